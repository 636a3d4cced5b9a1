"""Cancel a subscription: always and only for the end of the paid period."""

from flask import Response, g, render_template, url_for
from flask_login import current_user

from portal import config
from portal.access import customer_required
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import cancellation, debts, ending
from portal.domain.browser_sessions import CANCEL
from portal.errors import SelfCancellationOff


@bp.get("/subscriptions/<id>/cancel")
@customer_required(CANCEL)
def cancel(id: str) -> str:
    subscription = current_user.subscription(id)
    return render_template(
        "customer/cancel.html",
        subscription=subscription,
        effective_at=subscription.paid_until,
        coming=ending.next_payment(subscription) if subscription.binds_customer else None,
        at_once=subscription.has_run_out(g.received_at),
        owed=debts.of(id),
        allowed=config.current().self_cancellation,
        instructions=config.current().self_cancellation_instructions,
        message=config.current().cancel_message,
    )


@bp.post("/subscriptions/<id>/cancel")
@customer_required(CANCEL)
def cancel_submit(id: str) -> Response:
    if not config.current().self_cancellation:
        raise SelfCancellationOff("The seller ends subscriptions on request.")
    with transaction():
        subscription = current_user.subscription(id)
        cancellation.at_period_end(subscription, by=current_user.acting(CANCEL, id))
    done = "ended" if subscription.status == "canceled" else "canceled"
    return see_other(url_for("customer.subscription", id=id, done=done, _anchor="done"))
