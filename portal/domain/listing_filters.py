"""What the list of subscriptions can be filtered by, as conditions on its entries.

To make a statement takes ten times as long as to carry it out. So statements are made once for each `shape` of
filters and kept; what is asked for comes as values, under the names below.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Integer,
    String,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from portal.db import Instant, table
from portal.domain import search
from portal.domain.listing_entries import EVERYTHING, PENDING, STATES, ListingEntry, ListingTerm
from portal.domain.search import SearchTerm
from portal.domain.subscriptions import Subscription

ENDING = (PENDING, "canceled")
WHO = ("customer", "staff", "key", "system")
NEWEST, OLDEST, BY_END, BY_NAME = SORTS = ("newest", "oldest", "ends", "name")

PART, ENDS_FROM, ENDS_BEFORE = (
    bindparam("part", type_=String()),
    bindparam("ends_from", type_=Instant()),
    bindparam("ends_before", type_=Instant()),
)
TEXT, TEXT_END = bindparam("text", type_=String()), bindparam("text_end", type_=String())

ROW, ENTRY = table(Subscription).c, table(ListingEntry).c
TERM, STATE_TERM = table(SearchTerm).c, table(ListingTerm).c


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

    @property
    def has_all_states(self) -> bool:
        return len(self.wanted) == len(STATES)

    @property
    def shape(self) -> "Filters":
        """The same without its values: what decides how a statement is made."""
        given = {name: each for name, each in _ANY.items() if getattr(self, name)}
        return replace(self, **given)

    @property
    def values(self) -> dict[str, Any]:
        """What goes with the statements."""
        first, end = search.between(self.search)
        ends = {"ends_from": self.ends_from, "ends_before": self.ends_before}
        return {"part": self.product_id or EVERYTHING, **ends, "text": first, "text_end": end}

    @property
    def order(self) -> str:
        """By name only what is searched by name."""
        return NEWEST if self.sort == BY_NAME and not self.search else self.sort

    @property
    def has_ends(self) -> bool:
        return self.ends_from is not None or self.ends_before is not None


_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_ANY: dict[str, Any] = {"product_id": "x", "ends_from": _SOME_DAY, "ends_before": _SOME_DAY, "search": "x"}


def conditions(filters: Filters, entry: Any = ENTRY) -> dict[str, ColumnElement[bool]]:
    """Each filter in force, as it is tried on an entry of the part that is looked at, or on nulls if there is none."""
    found: dict[str, ColumnElement[bool]] = {}
    if not filters.has_all_states:
        found["state"] = entry["state"].in_([word(each) for each in filters.wanted])
    if filters.product_id is not None:
        found["product"] = entry["state"].is_not(None)
    if filters.has_ends:
        found["ends"] = within(filters, entry["ends_at"])
    if filters.canceled_by is not None:
        found["by"] = entry["canceled_by"] == word(filters.canceled_by)
    if filters.search:
        found["search"] = _called_so(entry)
    return found


def _called_so(entry: Any) -> ColumnElement[bool]:
    """Its customer has a term that fits; where an index gives entries without their customers these are looked up."""
    # PostgreSQL might else read all terms that fit before it tries the first entry, by an estimate that is often wrong.
    one_by_one = entry["subscription_id"].is_not(None)
    if "customer_id" in entry:
        return exists().where(TERM.customer_id == entry["customer_id"], begins_so(TERM.text), one_by_one)
    own = ENTRY.part.table.alias("own").c
    called = exists().where(TERM.customer_id == own.customer_id, begins_so(TERM.text))
    return exists().where(own.part == PART, own.subscription_id == entry["subscription_id"], called)


def within(filters: Filters, ends: ColumnElement[Any] = ENTRY.ends_at) -> ColumnElement[bool]:
    """The end lies between the wanted days; what has none does not."""
    first = ends >= ENDS_FROM if filters.ends_from else ends.is_not(None)
    return and_(first, ends < ENDS_BEFORE) if filters.ends_before else first


def begins_so(text: ColumnElement[str]) -> ColumnElement[bool]:
    """A term begins with what is searched: one range of an index."""
    return and_(text >= TEXT, text < TEXT_END)


def one_of_ids(column: ColumnElement[str], postgresql: bool) -> ColumnElement[bool]:
    """One of many ids, given as one value: looked up by its index, one by one, whatever a database thinks of it."""
    if postgresql:
        return column == any_(bindparam("ids", type_=ARRAY(String)))
    given = bindparam("ids", type_=JSON())
    return column.in_(select(func.json_each(given).table_valued("value").c.value))


def as_is(tried: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    """All of them, only tried on a row that was found: neither database shall look for another way by them."""
    return case((and_(true(), *tried), 1), else_=0) == 1
