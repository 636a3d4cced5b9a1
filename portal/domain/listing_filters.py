"""What the list of subscriptions can be filtered by, as conditions and as the shortest way to what fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    any_,
    case,
    exists,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from portal import db
from portal.db import Instant, connection, table
from portal.domain import search
from portal.domain.catalog import Price
from portal.domain.search import SearchTerm
from portal.domain.subscriptions import ENDS, STATE, Subscription, SubscriptionItem

PENDING = "pending"
STATES = ("active", PENDING, "past_due", "trialing", "paused", "canceled")
ENDING = (PENDING, "canceled")
WHO = ("customer", "staff", "key", "system")
NEWEST, OLDEST, BY_END, BY_NAME = SORTS = ("newest", "oldest", "ends", "name")
FEW = 500
"""Up to so many rows are all read; of more, an index is walked in the wanted order."""
MOST_PRICES = 20
"""Of a product with more prices no index is walked: each would be a range of its own."""

ROW, ITEM, TERM = table(Subscription).c, table(SubscriptionItem).c, table(SearchTerm).c
state: ColumnElement[str] = literal_column(STATE)
ends: ColumnElement[datetime] = literal_column(ENDS, Instant())


def word(known: str | None) -> ColumnElement[str]:
    """One of our own words, written into the statement.

    PostgreSQL plans a repeated statement once for all values; among states it would then take a rare one for common.
    """
    if known not in (*STATES, *WHO):
        raise ValueError("no word of ours")
    return literal_column(f"'{known}'", String())


def number(most: int) -> ColumnElement[int]:
    """How many rows, written into the statement for the same reason."""
    return literal_column(str(int(most)), Integer())


@dataclass(frozen=True)
class Filters:
    """`ends_from` ≤ the period's end (or the scheduled end, or when it ended) < `ends_before`.

    `canceled_by` is the kind of who asked for the cancellation; `search` is what a customer's name or address begins
    with, as `search.normal` gives it; `sort` one of SORTS.
    """

    states: tuple[str, ...] = ()
    product_id: str | None = None
    ends_from: datetime | None = None
    ends_before: datetime | None = None
    canceled_by: str | None = None
    search: str = ""
    sort: str = NEWEST

    @property
    def wanted(self) -> tuple[str, ...]:
        """The states that can fit; who canceled is known of two only."""
        among = ENDING if self.canceled_by else STATES
        return tuple(each for each in among if each in (self.states or STATES))

    @cached_property
    def prices(self) -> list[str]:
        """The prices of the wanted product."""
        if self.product_id is None:
            return []
        priced = table(Price).c
        return list(connection().scalars(select(priced.id).where(priced.product_id == self.product_id)))

    @property
    def has_few_prices(self) -> bool:
        return len(self.prices) <= MOST_PRICES

    @property
    def can_fit(self) -> bool:
        return bool(self.wanted) and (self.product_id is None or bool(self.prices))

    @cached_property
    def shortest(self) -> tuple[str | None, list[str]]:
        """The filter that fits fewest rows, if these are FEW, and the ids it leads to."""
        possible = ways(self)
        if len(possible) > 1:
            sizes = [select(func.count()).select_from(each.subquery()).scalar_subquery() for each in possible.values()]
            size, name = min(zip(connection().execute(select(*sizes)).one(), possible, strict=True))
            possible = {name: possible[name]} if size <= FEW else {}
        for name, wanted in possible.items():
            found = list(connection().scalars(wanted))
            if len(found) <= FEW:
                return name, found
        return None, []

    @property
    def order(self) -> str:
        """By name only what is searched by name."""
        return NEWEST if self.sort == BY_NAME and not self.search else self.sort

    @property
    def has_ends(self) -> bool:
        return self.ends_from is not None or self.ends_before is not None


def conditions(filters: Filters) -> dict[str, ColumnElement[bool]]:
    """Each filter in force, as it is tried on a row that was found by another."""
    found: dict[str, ColumnElement[bool]] = {}
    if len(filters.wanted) < len(STATES):
        found["state"] = state.in_([word(each) for each in filters.wanted])
    if filters.product_id is not None:
        found["product"] = exists().where(ITEM.subscription_id == ROW.id, ITEM.price_id.in_(filters.prices))
    if filters.has_ends:
        found["ends"] = within(filters)
    if filters.canceled_by is not None:
        found["by"] = ROW.canceled_by == word(filters.canceled_by)
    if filters.search:
        found["search"] = exists().where(TERM.customer_id == ROW.customer_id, search.begins_with(filters.search))
    return found


def within(filters: Filters) -> ColumnElement[bool]:
    """The end lies between the wanted days; what has none does not."""
    bounds = [ends >= filters.ends_from] if filters.ends_from else [ends.is_not(None)]
    return and_(*bounds, *([ends < filters.ends_before] if filters.ends_before else []))


def ways(filters: Filters) -> dict[str, Select[str]]:
    """By each filter the ids of what fits it, up to one more than FEW: of subscriptions, by `search` of customers."""
    found: dict[str, Select[str]] = {}
    for name in conditions(filters):
        parts = [part.limit(number(FEW + 1)) for part in _parts(name, filters)]
        if not parts:
            continue
        merged = union_all(*(select(part.subquery()) for part in parts)).subquery()
        found[name] = parts[0] if len(parts) == 1 else select(merged).limit(number(FEW + 1))
    return found


def one_of(column: ColumnElement[str], wanted: list[str]) -> ColumnElement[bool]:
    """One of many ids, given as one value: looked up by its index, one by one, whatever a database thinks of it."""
    if db.is_postgresql():
        return column == any_(literal(wanted, ARRAY(String)))
    return column.in_(select(func.json_each(orjson.dumps(wanted).decode()).table_valued("value").c.value))


def as_is(tried: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """All of them, only tried on a row that was found: neither database shall look for another way by them."""
    return case((and_(true(), *tried), 1), else_=0) == 1


def _parts(name: str, filters: Filters) -> list[Select[str]]:
    """Ranges of an index. Each has its order, so that no database reads the table because most of it fits."""
    match name:
        case "state":
            return [select(ROW.id).where(state == word(each)).order_by(ROW.id) for each in filters.wanted]
        case "product":
            bought = select(ITEM.subscription_id).order_by(ITEM.subscription_id)
            return [bought.where(ITEM.price_id == price) for price in filters.prices if filters.has_few_prices]
        case "ends":
            fitting = select(ROW.id).where(within(filters)).order_by(ends, ROW.id)
            return [fitting.where(state == word(each)) for each in filters.wanted]
        case "by":
            return [select(ROW.id).where(ROW.canceled_by == word(filters.canceled_by)).order_by(ROW.id)]
        case _:
            return [select(TERM.customer_id).where(search.begins_with(filters.search)).order_by(TERM.text)]
