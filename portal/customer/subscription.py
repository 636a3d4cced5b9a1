"""One subscription: what it is, what comes next, what happened."""

from collections.abc import Callable

from flask import g, render_template, request
from flask_login import current_user

from portal import config
from portal.access import customer_required
from portal.customer import bp
from portal.domain import charges, debts, ending, events, payment_plans, transactions
from portal.domain.browser_sessions import READ
from portal.domain.subscriptions import Subscription

_BANNERS: dict[str, Callable[[Subscription], bool]] = {
    "canceled": lambda s: s.is_ending,
    "kept": lambda s: not s.is_ending and s.status != "canceled",
    "ended": lambda s: s.status == "canceled",
    "card_saved": lambda s: s.payment_method is not None,
    "paid": lambda s: s.status != "past_due",
    "reason_saved": lambda s: True,
}


@bp.get("/subscriptions/<id>")
@customer_required(READ)
def subscription(id: str) -> str:
    shown = current_user.subscription(id)
    payments = transactions.of_subscription(id)
    owed = debts.of(id)
    waiting = charges.lines_waiting_of(id)
    return render_template(
        "customer/subscription.html",
        subscription=shown,
        payments=payments,
        owed=owed,
        plan=payment_plans.progress(shown, owed),
        coming=ending.next_payment(shown, waiting),
        until_end=ending.charges_until(shown, shown.ends_at, waiting) if shown.bills_until_end else [],
        is_overdue=shown.next_billed_at is not None and shown.next_billed_at <= g.received_at,
        history=events.history(id),
        banner=_banner(shown),
        reasons=config.current().cancel_reasons,
    )


def _banner(shown: Subscription) -> str | None:
    """What just happened, if that is still how it stands: the address may be an old one."""
    done = request.args.get("done", "")
    return done if done in _BANNERS and _BANNERS[done](shown) else None
