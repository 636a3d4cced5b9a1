"""Every mail that the portal sends, in each of its states and languages, with made-up facts."""

from dataclasses import dataclass

from babel import Locale
from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import config, mail_preview
from portal.access import staff_required
from portal.db import transaction
from portal.domain import mails
from portal.domain.mails import Mail
from portal.domain.staff import ADMIN
from portal.errors import NotFound
from portal.staff import bp, see_other


@dataclass(frozen=True)
class _Wanted:
    kind: str
    state: str
    language: str

    @property
    def mail(self) -> Mail:
        return mail_preview.sample(self.kind, self.state, self.language)


@bp.get("/mail-previews", endpoint="mail_previews")
@staff_required(ADMIN)
def list_mail_previews() -> str:
    kinds = [(kind, mail_preview.trigger(kind), mail_preview.states(kind)) for kind in mails.KINDS]
    return render_template("staff/mail_previews.html", kinds=kinds)


@bp.get("/mail-previews/<kind>")
@staff_required(ADMIN)
def mail_sample(kind: str) -> Response:
    wanted = _wanted(kind)
    page = render_template(
        "staff/mail_preview.html",
        wanted=wanted,
        shown=mail_preview.of(wanted.mail),
        trigger=mail_preview.trigger(kind),
        states=[(each, each) for each in mail_preview.states(kind)],
        languages=[(each, _name(each)) for each in config.current().languages],
        frame=url_for(".mail_sample_html", kind=kind, state=wanted.state, language=wanted.language),
    )
    return mail_preview.holding_frame(page)


@bp.get("/mail-previews/<kind>/html")
@staff_required(ADMIN)
def mail_sample_html(kind: str) -> Response:
    """What the frame shows."""
    shown = mail_preview.of(_wanted(kind).mail)
    return mail_preview.framed(shown.html if shown else "")


@bp.post("/mail-previews/<kind>")
@staff_required(ADMIN)
def send_mail_sample(kind: str) -> Response:
    """To one's own address, through the mail server, as customers get theirs."""
    wanted = _wanted(kind)
    with transaction():
        mails.send_preview(wanted.mail, to=current_user.member.email, by=current_user.acting())
    where = url_for(
        ".mail_sample", kind=kind, state=wanted.state, language=wanted.language, done="sent", _anchor="done"
    )
    return see_other(where)


def _name(language: str) -> str:
    return Locale.parse(language, sep="-" if "-" in language else "_").get_display_name("en") or language


def _wanted(kind: str) -> _Wanted:
    """The kind of the path with the state and the language of the form. Raises NotFound."""
    languages = config.current().languages
    state, language = request.values.get("state", "usual"), request.values.get("language", languages[0])
    if kind not in mails.KINDS or state not in mail_preview.states(kind) or language not in languages:
        raise NotFound("mail", kind)
    return _Wanted(kind, state, language)
