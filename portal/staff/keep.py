"""Don't cancel: a pending cancellation is stopped, and payments go on at the date they were planned for."""

from typing import Any

from flask import g, render_template, request, url_for
from flask_login import current_user

from portal.access import staff_required
from portal.db import transaction
from portal.domain import cancellation, charges, next_period, subscriptions
from portal.domain.subscriptions import Subscription
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
        resumes_at=shown.next_billed_at or shown.billing_resumes_at,
        amount=_next_amount(shown),
    )


@bp.post("/subscriptions/<id>/keep")
@staff_required()
def keep_submit(id: str) -> Any:
    with transaction():
        kept = cancellation.withdraw(subscriptions.get(id), by=current_user.acting(), tell="tell" in request.form)
    return see_other(url_for("console.subscription", id=id, done="kept" if kept else None, _anchor="done"))


def _next_amount(subscription: Subscription) -> int | None:
    """What the next payment will ask for once the end is taken back, with all that waits for it."""
    at = subscription.next_billed_at or subscription.billing_resumes_at
    if at is None:
        return None
    waiting = [each.line for each in charges.waiting_of(subscription.id)]
    return charges.next_bill(subscription, waiting, next_period.unbroken(subscription, at).share).due
