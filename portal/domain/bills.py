"""Bills of a subscription: for a period that begins, and for a change that is charged at once."""

from datetime import datetime
from typing import Any

from portal import clock, ids
from portal.db import session
from portal.domain import billed, charges, events, mails
from portal.domain.actors import Actor
from portal.domain.charges import Bill
from portal.domain.counters import next_invoice_number
from portal.domain.proration import Share
from portal.domain.transactions import Transaction


def bill(
    subscription: Any,
    *,
    starts_at: datetime,
    ends_at: datetime,
    by: Actor,
    id: str | None = None,
    share: Share | None = None,
) -> Transaction:
    """Bills one period, with what waited for it: a transaction to be collected now, with its invoice number.

    A `share` is what a period costs of which only a part is billed.
    """
    billed.in_full(subscription)
    waiting = charges.waiting_of(subscription.id)
    whole = charges.next_bill(subscription, [each.line for each in waiting], share)
    made = _made(
        subscription,
        whole,
        id=id or ids.new("txn"),
        origin="subscription_recurring",
        period_starts_at=starts_at,
        period_ends_at=ends_at,
        next_attempt_at=clock.now() if subscription.is_automatic else None,
    )
    charges.settle(waiting, made.id, whole.credit)
    _record(made, by=by)
    return made


def tell(subscription: Any, billed: Transaction, **facts: Any) -> None:
    """Mails the invoice of what is collected manually; a card's payment is told of when it is made."""
    if not subscription.is_automatic:
        told = {"transaction": billed.id, "amount": billed.due, "paid_at": None}
        mails.tell("renewed", subscription, key=f"billed:{billed.id}", **told, **facts)


def bill_now(
    subscription: Any,
    bill: Bill,
    *,
    id: str,
    origin: str,
    period: tuple[datetime | None, datetime | None],
    by: Actor,
    change: dict[str, Any] | None,
) -> Transaction:
    """Bills a change or a one-time charge at once.

    With a `change`, which is made once it is paid, somebody must claim it in this very transaction; without one the
    worker collects it.
    """
    collected_by_worker = subscription.is_automatic and change is None
    made = _made(
        subscription,
        bill,
        id=id,
        origin=origin,
        period_starts_at=period[0],
        period_ends_at=period[1],
        change=change,
        next_attempt_at=clock.now() if collected_by_worker else None,
    )
    _record(made, by=by)
    return made


def _made(subscription: Any, bill: Bill, **fields: Any) -> Transaction:
    now = clock.now()
    made = Transaction(
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        address_id=subscription.address_id,
        business_id=subscription.business_id,
        status="billed",
        collection_mode=subscription.collection_mode,
        currency_code=subscription.currency_code,
        billing_details=subscription.billing_details,
        amount=bill.amount,
        credit=bill.credit,
        lines=bill.lines,
        payments=[],
        invoice_number=next_invoice_number(),
        billed_at=now,
        failed_attempts=0,
        created_at=now,
        updated_at=now,
        **fields,
    )
    session().add(made)
    session().flush()
    return made


def _record(made: Transaction, *, by: Actor) -> None:
    events.record("transaction.created", made, by=by)
    events.record("transaction.billed", made, by=by)
