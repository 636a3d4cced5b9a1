"""Subscriptions read as plain rows, for answers that change nothing: two statements, however many there are.

The rows have the attribute names of the mapped classes, so that `shapes` takes either.
"""

from collections import defaultdict
from collections.abc import Iterable
from types import SimpleNamespace
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
_ITEMS = (
    select(
        _ITEM, *(c.label(f"price__{c.name}") for c in _PRICE.c), *(c.label(f"product__{c.name}") for c in _PRODUCT.c)
    )
    .join(_PRICE, _PRICE.c.id == _ITEM.c.price_id)
    .join(_PRODUCT, _PRODUCT.c.id == _PRICE.c.product_id)
    .order_by(_ITEM.c.subscription_id, _ITEM.c.position)
)
_ONE = select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id == bindparam("id"))
_ITEMS_OF_ONE = _ITEMS.where(_ITEM.c.subscription_id == bindparam("id"))
_ITEMS_OF_MANY = _ITEMS.where(_ITEM.c.subscription_id.in_(bindparam("ids", expanding=True)))
_NAMES = [tuple(c.name for c in table.c) for table in (_ITEM, _PRICE, _PRODUCT)]


_CARD = PaymentMethod.__table__
_SUBSCRIPTION_NAMES, _CARD_NAMES = tuple(_SUBSCRIPTION.c.keys()), tuple(_CARD.c.keys())
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
    return SimpleNamespace(**row._mapping, items=items[row.id])


def of_customer(customer: Any) -> list[Any]:
    """A customer's subscriptions: pending cancellations first, then what lives, then what has ended."""
    rows = connection().execute(_OF_CUSTOMER, {"customer_id": customer.id}).all()
    items, found = _items(connection().execute(_ITEMS_OF_CUSTOMER, {"customer_id": customer.id})), []
    for row in rows:
        values, card = dict(zip(_SUBSCRIPTION_NAMES, row, strict=False)), None
        if values["payment_method_id"] is not None:
            card = SimpleNamespace(**dict(zip(_CARD_NAMES, row[len(_SUBSCRIPTION_NAMES) :], strict=True)))
        found.append(Snapshot(**values, customer=customer, payment_method=card, items=items[row[0]]))
    return sorted(found, key=lambda s: (not s.is_ending, s.status == "canceled"))


def whole(wanted: Select[Any]) -> list[Any]:
    """The subscriptions of a statement with all that an event or a mail says of them: four statements in all."""
    rows = connection().execute(wanted.with_only_columns(*_SUBSCRIPTION.c)).all()
    if not rows:
        return []
    items = _items(connection().execute(_ITEMS_OF_MANY, {"ids": [row.id for row in rows]}))
    people = {each.id: each for each in session().scalars(_PEOPLE, {"ids": list({row.customer_id for row in rows})})}
    cards = {
        row.id: row for row in connection().execute(_CARDS, {"ids": list({row.payment_method_id for row in rows})})
    }
    return [
        Snapshot(
            **row._mapping,
            items=items[row.id],
            customer=people[row.customer_id],
            payment_method=cards.get(row.payment_method_id),
        )
        for row in rows
    ]


def read(wanted: Select[Any]) -> list[Any]:
    """The subscriptions of a statement, in its order, each with its items, prices and products."""
    rows = connection().execute(wanted.with_only_columns(*_SUBSCRIPTION.c)).all()
    items = _items(connection().execute(_ITEMS_OF_MANY, {"ids": [row.id for row in rows]}))
    return [SimpleNamespace(**row._mapping, items=items[row.id]) for row in rows]


def _items(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    catalog: dict[str, Any] = {}
    first, second = len(_NAMES[0]), len(_NAMES[0]) + len(_NAMES[1])
    for row in rows:
        item = SimpleNamespace(**dict(zip(_NAMES[0], row[:first], strict=True)))
        if item.price_id not in catalog:
            price = SimpleNamespace(**dict(zip(_NAMES[1], row[first:second], strict=True)))
            price.product = SimpleNamespace(**dict(zip(_NAMES[2], row[second:], strict=True)))
            catalog[item.price_id] = price
        item.price = catalog[item.price_id]
        found[item.subscription_id].append(item)
    return found
