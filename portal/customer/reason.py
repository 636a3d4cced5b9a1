"""Why somebody canceled: asked after the confirmation, answered if they like."""

from flask import Response, request, url_for
from flask_login import current_user

from portal.access import customer_required
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import cancellation
from portal.domain.browser_sessions import CANCEL


@bp.post("/subscriptions/<id>/reason")
@customer_required(CANCEL)
def reason(id: str) -> Response:
    with transaction():
        kept = cancellation.give_reason(
            current_user.subscription(id),
            reason=request.form.get("reason"),
            comment=request.form.get("comment"),
            by=current_user.acting(CANCEL, id),
        )
    return see_other(url_for("customer.subscription", id=id, done="reason_saved" if kept else None, _anchor="done"))
