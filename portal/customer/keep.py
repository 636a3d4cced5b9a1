"""Keep a subscription whose cancellation is scheduled: the change of mind."""

from flask import Response, g, render_template, url_for
from flask_login import current_user

from portal.access import customer_required
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import cancellation, debts, ending
from portal.domain.browser_sessions import KEEP


@bp.get("/subscriptions/<id>/keep")
@customer_required(KEEP)
def keep(id: str) -> str:
    subscription = current_user.subscription(id)
    too_late = subscription.ends_at is not None and g.received_at >= subscription.ends_at
    coming = ending.once_kept(subscription) if subscription.is_ending else ending.next_payment(subscription)
    return render_template(
        "customer/keep.html",
        subscription=subscription,
        too_late=too_late,
        coming=coming,
        owed=debts.of(id),
    )


@bp.post("/subscriptions/<id>/keep")
@customer_required(KEEP)
def keep_submit(id: str) -> Response:
    with transaction():
        subscription = current_user.subscription(id)
        kept = cancellation.withdraw(subscription, by=current_user.acting(KEEP, id))
    return see_other(url_for("customer.subscription", id=id, done="kept" if kept else None, _anchor="done"))
