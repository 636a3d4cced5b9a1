"""Making and changing prices.

A transaction keeps the price it was billed with. A subscription follows its prices: a new amount counts from its next
bill on. What it is billed by, the cycle, the number of payments and the currency, can't change under it.
"""

from typing import Any

from sqlalchemy import func, select

from portal import clock, ids
from portal.db import session
from portal.domain import catalog, changes, charges, events
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.errors import Changed, EntityArchived, InvalidField, InvalidRequest

_BILLED_BY = {
    "billing_interval": "billing_cycle",
    "billing_frequency": "billing_cycle",
    "payments": "payments",
    "currency_code": "currency",
}
_NEED_CYCLE = {
    "trial_interval": ("trial_period", "needs a billing_cycle, which begins when the trial ends"),
    "payments": ("payments", "needs a billing_cycle, which says how often one is due"),
}


def create(fields: dict[str, Any], *, by: Actor) -> Price:
    """`fields` are columns. Raises NotFound or EntityArchived for its product, InvalidRequest."""
    _refuse_without_cycle(fields)
    if catalog.product(fields["product_id"]).status != "active":
        raise EntityArchived(f"The product {fields['product_id']} is archived. Nothing was done.")
    now = clock.now()
    created = Price(id=ids.new("pri"), status="active", created_at=now, updated_at=now, **fields)
    session().add(created)
    session().flush()
    events.record("price.created", created, by=by)
    return created


def update(price: Price, wanted: dict[str, Any], *, by: Actor) -> None:
    """Raises Changed where a living subscription is billed by what would change, InvalidRequest."""
    differing = changes.differing(price, wanted)
    if {"billing_interval", *_NEED_CYCLE} & differing.keys():
        kept = {name: getattr(price, name) for name in ("billing_interval", *_NEED_CYCLE)}
        _refuse_without_cycle(kept | differing)
    if of_subscriptions := {_BILLED_BY[name] for name in differing if name in _BILLED_BY}:
        _refuse_while_used(price.id, of_subscriptions)
    if "amount" in differing:
        _refuse_endless(price.id, differing["amount"])
    changes.record("price.updated", price, wanted, by=by)


def _refuse_without_cycle(fields: dict[str, Any]) -> None:
    if fields.get("billing_interval"):
        return
    wrong = [{"field": field, "message": why} for name, (field, why) in _NEED_CYCLE.items() if fields.get(name)]
    if wrong:
        raise InvalidRequest("invalid_field", "Request does not pass validation. Nothing was changed.", fields=wrong)


def _refuse_endless(price_id: str, amount: int) -> None:
    """A bill that no database column holds would stop the worker for everybody. Raises InvalidRequest."""
    living = (
        select(func.max(SubscriptionItem.quantity))
        .join(Subscription, Subscription.id == SubscriptionItem.subscription_id)
        .where(SubscriptionItem.price_id == price_id, Subscription.status != "canceled")
    )
    most = session().scalar(living) or 0
    if most * amount > charges.MOST:
        raise InvalidField(
            "unit_price.amount", f"a subscription has {most} of it: they may cost {charges.MOST} at most"
        )


def _refuse_while_used(price_id: str, fields: set[str]) -> None:
    living = (
        select(SubscriptionItem.subscription_id)
        .join(Subscription, Subscription.id == SubscriptionItem.subscription_id)
        .where(SubscriptionItem.price_id == price_id, Subscription.status != "canceled")
    )
    if (one := session().scalar(living.limit(1))) is not None:
        told = " and ".join(sorted(fields))
        raise Changed(
            f"The subscription {one} is billed by this price, so its {told} can't change. Nothing was changed. "
            "Create another price, and move subscriptions to it."
        )
