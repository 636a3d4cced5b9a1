"""The transaction with which an app sends a customer to change the card of a subscription. It costs nothing."""

from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session
from portal.domain import debts, events, orders, transactions
from portal.domain.actors import Actor
from portal.domain.transactions import METHOD_CHANGE, Transaction
from portal.errors import NotAutomatic


def find_or_make(subscription: Any, *, by: Actor) -> Transaction:
    """The open one, or a new one; while past due the latest debt, which is paid on the way.

    Asked again, it is the same. Raises AlreadyCanceled, NotAutomatic.
    """
    subscription.refuse_if_canceled()
    if not subscription.is_automatic:
        raise NotAutomatic("The subscription is paid by invoice; there is no card to change. Nothing was changed.")
    owed = [each for each in debts.to_collect(subscription.id) if each.status == "past_due"]
    if subscription.status == "past_due" and owed:
        return owed[-1]
    return _opened(subscription) or _make(subscription, by=by)


def finish(subscription: Any, *, by: Actor) -> None:
    """The card was changed: what was opened for it is done."""
    opened = _opened(subscription)
    if opened is not None:
        opened.billed_at = opened.paid_at = clock.now()
        transactions.complete(opened, by=by)


def _opened(subscription: Any) -> Transaction | None:
    mine = (Transaction.subscription_id == subscription.id, Transaction.origin == METHOD_CHANGE)
    return session().scalar(select(Transaction).where(*mine, Transaction.status == "ready").with_for_update())


def _make(subscription: Any, *, by: Actor) -> Transaction:
    now = clock.now()
    made = Transaction(
        id=ids.new("txn"),
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        address_id=subscription.address_id,
        business_id=subscription.business_id,
        status="ready",
        origin=METHOD_CHANGE,
        collection_mode="automatic",
        currency_code=subscription.currency_code,
        amount=0,
        credit=0,
        lines=[orders.line(each.price, each.quantity, free=True) for each in subscription.items if each.recurring],
        payments=[],
        failed_attempts=0,
        created_at=now,
        updated_at=now,
    )
    session().add(made)
    session().flush()
    events.record("transaction.created", made, by=by)
    events.record("transaction.ready", made, by=by)
    return made
