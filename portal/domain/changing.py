"""Changes of what a subscription is and costs, and one-time charges: planned without a trace, then made.

    plan      what would change and what it would cost; a preview stops here (plans.py)
    make      nothing to pay now: done at once, and what it costs waits for the next bill
              to pay now: billed; with `apply_change` done at once, and the worker collects as it does a renewal
                          with `prevent_change` claimed; the door asks the gateway, and it is done once it is paid
    make_paid the gateway said yes: to the door, or to the worker if the door's process died over it

The bill keeps the change (`Transaction.change`), so that it is made exactly once, in the transaction that writes down
the payment; a refusal cancels the bill, and nothing has changed.
"""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal import clock, ids
from portal.db import session
from portal.domain import bills, charges, debts, events, proration, shapes, transactions
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.plans import Plan
from portal.domain.subscriptions import CANCEL, PAUSE, Subscription, SubscriptionItem
from portal.domain.transactions import Attempt, Transaction
from portal.errors import NoPaymentMethod, Outstanding

MOST_CHARGES_AN_HOUR = 20
"""Immediate charges of one subscription."""


def prices(price_ids: Iterable[str]) -> dict[str, Price]:
    """Prices with their products, by id; those that do not exist are missing."""
    wanted = select(Price).options(joinedload(Price.product)).where(Price.id.in_(set(price_ids)))
    return {price.id: price for price in session().scalars(wanted)}


def make(subscription: Subscription, plan: Plan, *, by: Actor) -> Attempt | None:
    """Makes a planned change, under the subscription's lock; or gives the attempt that must be paid for it first.

    Raises Outstanding while there is a bill to collect, NoPaymentMethod.
    """
    if plan.is_empty:
        return None
    if plan.touches_billing and debts.being_collected(subscription.id):
        raise Outstanding("The subscription has a transaction that is not paid. Nothing was changed.")
    if not plan.bills_now:
        charges.add(subscription.id, plan.lines)
        _change(subscription, plan.change, by=by)
        return None
    if subscription.is_automatic and subscription.payment_method is None:
        raise NoPaymentMethod("update")
    transaction_id = ids.new("txn")
    change = _told_of(plan.change, transaction_id)
    waits = subscription.is_automatic and plan.prevents
    billed = bills.bill_now(
        subscription,
        plan.bill,
        id=transaction_id,
        origin=plan.origin,
        period=plan.period,
        change=_stored(change, by) if waits else None,
        by=by,
    )
    if waits:
        return transactions.claim(transaction_id, subscription.payment_method)
    _change(subscription, change, by=by)
    bills.tell(subscription, billed, changed=True)
    return None


def make_paid(subscription: Subscription, paid: Transaction) -> None:
    """Makes the change that a bill was for, as asked by whoever asked; a canceled subscription stays as it is."""
    asked = paid.change or {}
    if subscription.status != "canceled":
        by = asked["by"] | {"received_at": datetime.fromisoformat(asked["by"]["received_at"])}
        _change(subscription, asked, by=Actor(**by))


def take(subscription: Any, change: dict[str, Any], known: dict[str, Any]) -> None:
    """Gives a subscription, a mapped row or a plain one, what a change says; `known` has the prices of its items."""
    for name, value in change.get("fields", {}).items():
        setattr(subscription, name, value)
    if "items" in change:
        _take_items(subscription, change["items"], known)
    if "next_billed_at" in change:
        at = datetime.fromisoformat(change["next_billed_at"])
        _take_date(subscription, at, is_billed=change["date_is_billed"])
    subscription.touch()


def _change(subscription: Subscription, change: dict[str, Any], *, by: Actor) -> None:
    known = prices(each["price_id"] for each in change["items"]) if "items" in change else {}
    take(subscription, change, known)
    charges.add(subscription.id, change.get("waits", ()))
    events.record(
        "subscription.updated", subscription, by=by, transition=change["transition"], history=change["history"]
    )


def _take_items(subscription: Any, wanted: list[dict[str, Any]], known: dict[str, Any]) -> None:
    """What stays keeps its place; what is new comes after it."""
    now, old = clock.now(), {item.price_id: item for item in subscription.items}
    position, items = max((item.position for item in subscription.items), default=-1), []
    for each in wanted:
        item = old.get(each["price_id"])
        if item is None:
            position += 1
            item = _new_item(subscription, known[each["price_id"]], position)
        if item.quantity != each["quantity"]:
            item.quantity, item.updated_at = each["quantity"], now
        item.billed_quantity = each.get("billed_quantity", each["quantity"])
        item.billed_amount = each.get("billed_amount", item.price.amount * each["quantity"])
        items.append(item)
    subscription.items = sorted(items, key=lambda item: item.position)


def _new_item(subscription: Any, price: Any, position: int) -> SubscriptionItem:
    now = clock.now()
    status = {"paused": "inactive", "trialing": "trialing"}.get(subscription.status, "active")
    item = SubscriptionItem(
        subscription_id=subscription.id,
        position=position,
        price_id=price.id,
        status=status,
        quantity=0,
        recurring=True,
        previously_billed_at=now if status == "active" else None,
        trial_starts_at=subscription.period_starts_at if status == "trialing" else None,
        trial_ends_at=subscription.period_ends_at if status == "trialing" else None,
        created_at=now,
        updated_at=now,
    )
    item.price = price
    return item


def _take_date(subscription: Any, at: datetime, *, is_billed: bool) -> None:
    """The period (of a trial: the trial) ends at another instant, and later periods count from it."""
    if subscription.period_starts_at is not None and at <= subscription.period_starts_at:
        return  # it was paid for so late that the period it would have ended is over
    subscription.price_lasts = _price_lasts(subscription, at, is_billed=is_billed)
    ends_with_period = subscription.scheduled_effective_at == subscription.paid_until
    subscription.anchor_at = subscription.period_ends_at = at
    if subscription.scheduled_action in (CANCEL, PAUSE) and ends_with_period:
        subscription.scheduled_effective_at = subscription.billing_resumes_at = at
    else:
        subscription.bill_until_end(at)
    for item in subscription.items:
        if subscription.status == "trialing" and item.trial_ends_at is not None:
            item.trial_ends_at = at


def _price_lasts(subscription: Any, at: datetime, *, is_billed: bool) -> int | None:
    """The time that the period gains or loses is paid for as all of it was; or nobody pays, and the price spreads."""
    starts_at, ends_at, lasts = subscription.period_starts_at, subscription.period_ends_at, subscription.price_lasts
    if starts_at is None or ends_at is None:
        return None
    if is_billed:
        return proration.lasts(starts_at, ends_at, lasts)
    return proration.spread(starts_at, ends_at, at, clock.now(), lasts)


def _told_of(change: dict[str, Any], transaction_id: str) -> dict[str, Any]:
    """The change whose history names the bill it was charged with."""
    told = [
        each | {"transaction_id": transaction_id} if "transaction_id" in each else each for each in change["history"]
    ]
    return change | {"history": told}


def _stored(change: dict[str, Any], by: Actor) -> dict[str, Any]:
    return change | {"by": asdict(by) | {"received_at": shapes.text(by.received_at)}}
