"""Subscriptions read as plain rows, for answers that change nothing: two or three statements, however many there are.

The rows have the attribute names of the mapped classes, so that `shapes` takes either.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, select

from portal.db import connection, session
from portal.domain.catalog import Price, Product
from portal.domain.customers import Customer
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Standing, Subscription, SubscriptionItem
from portal.errors import NotFound

_SUBSCRIPTION = Subscription.__table__
_ITEM, _PRICE, _PRODUCT = SubscriptionItem.__table__, Price.__table__, Product.__table__
_SOLD = (*(c.label(f"price__{c.name}") for c in _PRICE.c), *(c.label(f"product__{c.name}") for c in _PRODUCT.c))
_ITEMS = (
    select(_ITEM, *_SOLD)
    .join(_PRICE, _PRICE.c.id == _ITEM.c.price_id)
    .join(_PRODUCT, _PRODUCT.c.id == _PRICE.c.product_id)
    .order_by(_ITEM.c.subscription_id, _ITEM.c.position)
)
_ONE = select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id == bindparam("id"))
_ITEMS_OF_ONE = _ITEMS.where(_ITEM.c.subscription_id == bindparam("id"))
_ITEMS_OF_MANY = (
    select(_ITEM)
    .where(_ITEM.c.subscription_id.in_(bindparam("ids", expanding=True)))
    .order_by(_ITEM.c.subscription_id, _ITEM.c.position)
)
_PRICES = (
    select(*_SOLD)
    .join(_PRODUCT, _PRODUCT.c.id == _PRICE.c.product_id)
    .where(_PRICE.c.id.in_(bindparam("ids", expanding=True)))
)
_ITEM_NAMES, _PRICE_NAMES, _PRODUCT_NAMES = (tuple(table.c.keys()) for table in (_ITEM, _PRICE, _PRODUCT))


_CARD = PaymentMethod.__table__
_SUBSCRIPTION_NAMES, _CARD_NAMES = tuple(_SUBSCRIPTION.c.keys()), tuple(_CARD.c.keys())
_WITH_ITEMS, _WITH_PRICE = (*_SUBSCRIPTION_NAMES, "items"), (*_ITEM_NAMES, "price")
_WITH_PRODUCT = (*_PRICE_NAMES, "product")
_OF_CUSTOMER = (
    select(_SUBSCRIPTION, *(c.label(f"card__{c.name}") for c in _CARD.c))
    .outerjoin(_CARD, _CARD.c.id == _SUBSCRIPTION.c.payment_method_id)
    .where(_SUBSCRIPTION.c.customer_id == bindparam("customer_id"))
    .order_by(_SUBSCRIPTION.c.id.desc())
)
_ITEMS_OF_CUSTOMER = _ITEMS.join(_SUBSCRIPTION, _SUBSCRIPTION.c.id == _ITEM.c.subscription_id).where(
    _SUBSCRIPTION.c.customer_id == bindparam("customer_id")
)


_PEOPLE = select(Customer).where(Customer.id.in_(bindparam("ids", expanding=True)))
_CARDS = select(_CARD).where(_CARD.c.id.in_(bindparam("ids", expanding=True)))


class Row:
    """Plain values under the names of their columns; a cache tells rows apart by who they are, not by their values."""

    def __init__(self, names: Iterable[str], values: Iterable[Any]) -> None:
        self.__dict__ = dict(zip(names, values, strict=True))


class Snapshot(Standing):
    """A subscription as plain values, with the properties of the mapped one."""

    __tablename__ = Subscription.__tablename__

    def __init__(self, **values: Any) -> None:
        self.become(values)

    def become(self, values: dict[str, Any]) -> None:
        """Takes other values, after a statement has given them to the row."""
        self.__dict__.update(values)


def get(subscription_id: str) -> Any:
    """Raises NotFound."""
    row = connection().execute(_ONE, {"id": subscription_id}).first()
    if row is None:
        raise NotFound("subscription", subscription_id)
    items = _items(connection().execute(_ITEMS_OF_ONE, {"id": subscription_id}))
    return Row(_WITH_ITEMS, (*row, items[row.id]))


def find(subscription_id: str) -> Snapshot:
    """One with its customer and card, to be looked at and changed in memory. Raises NotFound."""
    found = whole(select(Subscription).where(Subscription.id == subscription_id))
    if not found:
        raise NotFound("subscription", subscription_id)
    return found[0]


def of_customer(customer: Any) -> list[Any]:
    """A customer's subscriptions: pending cancellations first, then what lives, then what has ended."""
    rows = connection().execute(_OF_CUSTOMER, {"customer_id": customer.id}).all()
    items, found = _items(connection().execute(_ITEMS_OF_CUSTOMER, {"customer_id": customer.id})), []
    for row in rows:
        values, card = dict(zip(_SUBSCRIPTION_NAMES, row, strict=False)), None
        if values["payment_method_id"] is not None:
            card = Row(_CARD_NAMES, row[len(_SUBSCRIPTION_NAMES) :])
        found.append(Snapshot(**values, customer=customer, payment_method=card, items=items[row[0]]))
    return sorted(found, key=lambda s: (not s.is_ending, s.status == "canceled"))


def whole(wanted: Select[Any]) -> list[Any]:
    """The subscriptions of a statement with all that an event or a mail says of them: five statements in all."""
    rows = connection().execute(wanted.with_only_columns(*_SUBSCRIPTION.c)).all()
    if not rows:
        return []
    items = _items_of_many([row.id for row in rows])
    people = {each.id: each for each in session().scalars(_PEOPLE, {"ids": list({row.customer_id for row in rows})})}
    cards = {
        row.id: row for row in connection().execute(_CARDS, {"ids": list({row.payment_method_id for row in rows})})
    }
    return [
        Snapshot(
            **dict(zip(_SUBSCRIPTION_NAMES, row, strict=True)),
            items=items[row.id],
            customer=people[row.customer_id],
            payment_method=cards.get(row.payment_method_id),
        )
        for row in rows
    ]


def read(wanted: Select[Any]) -> list[Any]:
    """The subscriptions of a statement, in its order, each with its items, prices and products."""
    rows = connection().execute(wanted.with_only_columns(*_SUBSCRIPTION.c)).all()
    items = _items_of_many([row.id for row in rows])
    return [Row(_WITH_ITEMS, (*row, items[row[0]])) for row in rows]


def _items(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """The items of a few subscriptions, read together with their prices and products."""
    found: dict[str, list[Any]] = defaultdict(list)
    size = len(_ITEM_NAMES)
    for row in rows:
        item: Any = Row(_WITH_PRICE, (*row[:size], _price(row[size:])))
        found[item.subscription_id].append(item)
    return found


def _items_of_many(subscription_ids: list[str]) -> dict[str, list[Any]]:
    """The same of many subscriptions, which share few prices: each price is read, and made, once."""
    rows = connection().execute(_ITEMS_OF_MANY, {"ids": subscription_ids}).all()
    wanted = list({row.price_id for row in rows})
    prices = {each.id: each for each in map(_price, connection().execute(_PRICES, {"ids": wanted}))} if wanted else {}
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.subscription_id].append(Row(_WITH_PRICE, (*row, prices[row.price_id])))
    return found


def _price(row: Any) -> Any:
    """A price with its product."""
    size = len(_PRICE_NAMES)
    return Row(_WITH_PRODUCT, (*row[:size], Row(_PRODUCT_NAMES, row[size:])))
