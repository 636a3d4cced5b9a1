"""What a subscription's next bills will be, and what a change would cost: computed as the bills themselves are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from portal import clock
from portal.domain import changing, charges, ending, shapes
from portal.domain.billing_entities import BillDetails, NextBill, UpdateSummary
from portal.domain.charges import Bill
from portal.domain.plans import Plan


def next_transaction(subscription: Any, waiting: Sequence[dict[str, Any]] | None = None) -> NextBill | None:
    """The next bill with all that waits for it; None if no further one is planned."""
    coming = ending.next_charge(subscription, waiting)
    if coming is None:
        return None
    return _bill(coming.bill, subscription, coming.period.starts_at, coming.period.ends_at)


def recurring_details(subscription: Any) -> BillDetails:
    """What every period costs, without one-time charges and prorations."""
    return _details(Bill(charges.recurring(subscription)), subscription.currency_code)


def of(subscription: Any, plan: Plan) -> dict[str, Any]:
    """A plain subscription as it would be after a plan, with its bills; it is changed, nothing in the database is."""
    waiting, immediate = [*charges.lines_waiting_of(subscription.id), *plan.change.get("waits", ())], None
    if plan.bills_now:
        immediate = _bill(plan.bill, subscription, plan.period[0] or clock.now(), _until(subscription, plan))
    else:
        waiting = [*waiting, *plan.lines]
    if not plan.is_empty:
        known = changing.prices(each["price_id"] for each in plan.change.get("items", ()))
        changing.take(subscription, plan.change, known)
    return {
        "immediate_transaction": immediate,
        "next_transaction": next_transaction(subscription, waiting),
        "recurring_transaction_details": recurring_details(subscription),
        "update_summary": _summary(plan, subscription.currency_code),
    }


def _until(subscription: Any, plan: Plan) -> datetime:
    return plan.period[1] or subscription.period_ends_at or clock.now()


def _bill(bill: Bill, subscription: Any, starts_at: datetime, ends_at: datetime) -> NextBill:
    return {
        "billing_period": {"starts_at": shapes.text(starts_at), "ends_at": shapes.text(ends_at)},
        "details": _details(bill, subscription.currency_code),
        "adjustments": [],
    }


def _details(bill: Bill, currency: str) -> BillDetails:
    return {
        "tax_rates_used": [{"tax_rate": "0", "totals": shapes.totals(bill.amount)}],
        "totals": shapes.bill_totals(bill.amount, bill.credit, currency),
        "line_items": [_line(each) for each in bill.lines],
    }


def _line(line: dict[str, Any]) -> Any:
    """As a transaction tells of it, but without an id."""
    return {name: value for name, value in shapes.line_item(line).items() if name != "id"}


def _summary(plan: Plan, currency: str) -> UpdateSummary | None:
    """What the change costs and gives back, and which of the two is more; None if nothing is billed for it."""
    if plan.when is None or not plan.lines:
        return None
    bill = plan.bill
    action: Any = "charge" if bill.due >= 0 else "credit"
    return {
        "credit": {"amount": str(-bill.credit), "currency_code": currency},
        "charge": {"amount": str(bill.amount), "currency_code": currency},
        "result": {"action": action, "amount": str(abs(bill.due)), "currency_code": currency},
    }
