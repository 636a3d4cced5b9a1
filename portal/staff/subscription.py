"""One subscription: what it is, what is paid, what comes next, and all that happened."""

from typing import Any

from flask import render_template, request

from portal import clock
from portal.access import staff_required
from portal.domain import charges, debts, ending, payment_plans, snapshots, subscriptions, timeline, transactions
from portal.staff import bp


@bp.get("/subscriptions/<id>")
@staff_required()
def subscription(id: str) -> str:
    shown = subscriptions.get(id)
    owed = debts.of(id)
    return render_template(
        "staff/subscription.html",
        subscription=shown,
        customer=shown.customer,
        owed=owed,
        payments=transactions.of_subscription(id),
        plan=payment_plans.progress(shown, owed),
        others=[each for each in snapshots.of_customer(shown.customer) if each.id != id],
        asked=timeline.who_asked(shown),
        history=timeline.of_subscription(shown, before=before()),
        begins_anew=before() is None,
        now=clock.now(),
        **_to_come(shown),
    )


def before() -> str | None:
    """Below which entry the page of a history begins; an address that names none shows the newest."""
    wanted = request.args.get("before", "")
    return wanted if timeline.is_cursor(wanted) else None


def _to_come(shown: Any) -> dict[str, Any]:
    """The next bill, if one is planned, what waits for it, and all that is charged until an end beyond the period."""
    waiting = charges.lines_waiting_of(shown.id)
    coming = ending.next_payment(shown, waiting)
    return {
        "next_bill": coming.bill if coming else None,
        "is_part": coming is not None and coming.is_part,
        "waiting": sum(each["amount"] for each in waiting),
        "until_end": ending.charges_until(shown, shown.ends_at, waiting) if shown.bills_until_end else [],
    }
