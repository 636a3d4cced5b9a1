"""Don't cancel: a pending cancellation is stopped, and payments go on at the date they were planned for."""

from typing import Any

from flask import g, render_template, request, url_for
from flask_login import current_user

from portal.access import staff_required
from portal.db import transaction
from portal.domain import cancellation, ending, subscriptions
from portal.staff import bp, see_other


@bp.get("/subscriptions/<id>/keep")
@staff_required()
def keep(id: str) -> str:
    shown = subscriptions.get(id)
    return render_template(
        "staff/keep.html",
        subscription=shown,
        customer=shown.customer,
        too_late=shown.ends_at is not None and g.received_at >= shown.ends_at,
        coming=ending.once_kept(shown),
    )


@bp.post("/subscriptions/<id>/keep")
@staff_required()
def keep_submit(id: str) -> Any:
    with transaction():
        kept = cancellation.withdraw(subscriptions.get(id), by=current_user.acting(), tell="tell" in request.form)
    return see_other(url_for("console.subscription", id=id, done="kept" if kept else None, _anchor="done"))
