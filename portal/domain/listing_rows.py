"""What a row of the list of subscriptions shows, and no more: fifty of them lie in fifty places of a large database.

The rows have the attribute names of the mapped classes.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, select

from portal import db
from portal.db import connection, table
from portal.domain.catalog import Price, Product
from portal.domain.customers import Customer
from portal.domain.listing_filters import ROW, one_of_ids
from portal.domain.snapshots import Row, Snapshot
from portal.domain.subscriptions import SubscriptionItem

_PERSON, _ITEM, _PRICE, _PRODUCT = (table(each).c for each in (Customer, SubscriptionItem, Price, Product))
_SHOWN = (
    *(ROW.id, ROW.status, ROW.customer_id, ROW.currency_code, ROW.billing_interval, ROW.billing_frequency),
    *(ROW.collection_mode, ROW.started_at, ROW.period_ends_at, ROW.next_billed_at, ROW.canceled_at, ROW.created_at),
    *(ROW.scheduled_action, ROW.scheduled_effective_at, ROW.canceled_by, ROW.cancellation, ROW.remaining_payments),
)
_NAMES = (*(each.key for each in _SHOWN), "customer", "items")
_OF_PERSON, _OF_ITEM = ("id", "name", "email"), ("quantity", "recurring", "price")


def read(subscription_ids: Sequence[str]) -> list[Any]:
    """The rows of these subscriptions, in their order; what is gone meanwhile is left out. Three statements."""
    if not subscription_ids:
        return []
    asked = {"ids": subscription_ids}
    found = connection().execute(_subscriptions(db.is_postgresql()), asked).all()
    items, size, rows = _items(asked), len(_SHOWN), dict[str, Any]()
    for each in found:
        person = Row(_OF_PERSON, (each.customer_id, *each[size:]))
        rows[each.id] = Snapshot(**dict(zip(_NAMES, (*each[:size], person, items[each.id]), strict=True)))
    return [rows[each] for each in subscription_ids if each in rows]


def _items(asked: dict[str, Any]) -> dict[str, list[Any]]:
    """By their subscriptions, which share few prices: each price is read, and made, once."""
    rows = connection().execute(_items_of(db.is_postgresql()), asked).all()
    wanted = {"ids": list({each.price_id for each in rows})}
    prices = {
        id: Row(("amount", "product"), (amount, Row(("name",), (name,))))
        for id, amount, name in connection().execute(_prices(db.is_postgresql()), wanted)
    }
    found: dict[str, list[Any]] = defaultdict(list)
    for each in rows:
        found[each.subscription_id].append(Row(_OF_ITEM, (each.quantity, each.recurring, prices[each.price_id])))
    return found


@lru_cache
def _subscriptions(postgresql: bool) -> Select[Any]:
    wanted = select(*_SHOWN, _PERSON.name, _PERSON.email).join(_PERSON.id.table, _PERSON.id == ROW.customer_id)
    return wanted.where(one_of_ids(ROW.id, postgresql))


@lru_cache
def _items_of(postgresql: bool) -> Select[Any]:
    wanted = select(_ITEM.subscription_id, _ITEM.price_id, _ITEM.quantity, _ITEM.recurring)
    return wanted.where(one_of_ids(_ITEM.subscription_id, postgresql)).order_by(_ITEM.subscription_id, _ITEM.position)


@lru_cache
def _prices(postgresql: bool) -> Select[Any]:
    wanted = select(_PRICE.id, _PRICE.amount, _PRODUCT.name).join(_PRODUCT.id.table, _PRODUCT.id == _PRICE.product_id)
    return wanted.where(one_of_ids(_PRICE.id, postgresql))
