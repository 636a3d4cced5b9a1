"""One subscription: what it is, what comes next, what happened."""

from flask import render_template, request
from flask_login import current_user

from portal.access import customer_required
from portal.customer import bp
from portal.domain import cancellation, events, transactions
from portal.domain.browser_sessions import READ
from portal.domain.transactions import OPEN

_BANNERS = {"canceled", "kept", "card_saved", "reason_saved", "ended", "paid"}


@bp.get("/subscriptions/<id>")
@customer_required(READ)
def subscription(id: str) -> str:
    shown = current_user.subscription(id)
    payments = transactions.of_subscription(id)
    done = request.args.get("done")
    return render_template(
        "customer/subscription.html",
        subscription=shown,
        payments=payments,
        owed=[each for each in payments if each.status in OPEN],
        history=events.history(id),
        banner=done if done in _BANNERS else None,
        reasons=cancellation.REASONS,
    )
