"""One mail: what was written to whom, what became of it; and sending it again."""

from flask import Response, render_template, url_for
from flask_login import current_user

from portal import limits, mail_preview
from portal.access import staff_required
from portal.db import transaction
from portal.domain import customers, resending
from portal.domain.mails import WHOLE_FOR, Mail
from portal.errors import MailRefused, RoleRefused
from portal.staff import bp, see_other


@bp.get("/mails/<id>")
@staff_required()
def mail(id: str) -> Response:
    return mail_preview.holding_frame(_page(_readable(id)))


@bp.get("/mails/<id>/html")
@staff_required()
def mail_html(id: str) -> Response:
    """What the frame shows."""
    preview = _preview(_readable(id))
    return mail_preview.framed(preview.html if preview else "")


@bp.post("/mails/<id>")
@staff_required()
def mail_again(id: str) -> Response:
    wanted = _readable(id)
    if resending.why_not(wanted) is None:
        limits.take(f"mail-again:{customers.email_key(wanted.to_address)}", per_hour=resending.PER_HOUR)
    try:
        with transaction():
            resending.send_again(resending.get(id), by=current_user.acting())
    except MailRefused:
        return Response(_page(_readable(id), refused=True), 409)
    return see_other(url_for("console.mail", id=id, done="queued", _anchor="done"))


def _page(mail: Mail, *, refused: bool = False) -> str:
    customer = customers.get(mail.customer_id) if mail.customer_id else None
    return render_template(
        "staff/mail.html",
        mail=mail,
        preview=_preview(mail),
        customer=customer,
        moved=customer is not None and customers.email_key(mail.to_address) != customer.email_key,
        why_not=resending.why_not(mail),
        dead_links=customer is not None and resending.has_dead_links(mail),
        refused=refused,
        days=WHOLE_FOR.days,
    )


def _preview(mail: Mail) -> mail_preview.Preview | None:
    """None if it can't be written, or what it said is removed."""
    return mail_preview.of(mail) if mail.has_facts else None


def _readable(id: str) -> Mail:
    """Raises NotFound; RoleRefused for what is written to the seller's own people, which admins look after."""
    mail = resending.get(id)
    is_customers = mail.customer_id or mail.subscription_id or mail.kind == "sign_in"
    if not is_customers and not current_user.is_admin:
        raise RoleRefused("Only an admin may see what is written to the staff. Nothing was changed.")
    return mail
