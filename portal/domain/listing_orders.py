"""The orders of the list of subscriptions: a row's place in each, and the indexes that can be walked in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    union_all,
)

from portal.db import Instant
from portal.domain import search
from portal.domain.listing_filters import (
    BY_END,
    BY_NAME,
    ITEM,
    NEWEST,
    ROW,
    TERM,
    Filters,
    as_is,
    ends,
    number,
    state,
    within,
    word,
)

Key = tuple[Any, ...]
"""A row's place in an order; the last of it is the subscription's id."""

_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_LIVES, _ENDED, _UNDATED = 0, 1, 2


@dataclass(frozen=True)
class Walk:
    """An index in the order of the list. `covers`: the filters that all of its entries fit.

    It has parts where it is several ranges of the index, which are read side by side and merged.
    """

    covers: frozenset[str]
    parts: Callable[[Key | None, bool, int], Iterator[Select[Any]]]
    descends: bool = False
    repeats: bool = False

    def entries(self, after: Key | None, back: bool, limit: int) -> Select[Any]:
        """The keys of the next entries."""
        down = self.descends != back
        parts = [in_order(part, down).limit(number(limit)) for part in self.parts(after, down, limit)]
        if len(parts) == 1:
            return parts[0]
        merged = (union if self.repeats else union_all)(*(select(part.subquery()) for part in parts)).subquery()
        return in_order(select(merged), down).limit(number(limit))


def in_order(wanted: Select[Any], down: bool) -> Select[Any]:
    """By all of its columns; what is the same in each row is left out, or SQLite would sort the whole index."""
    told = (each for each in wanted.selected_columns if not isinstance(getattr(each, "element", None), BindParameter))
    return wanted.order_by(*(each.desc() if down else each.asc() for each in told))


def beyond(columns: Sequence[ColumnElement[Any]], key: Key, down: bool) -> ColumnElement[bool]:
    """The rows behind a place. Spelled out so that either engine begins in the middle of an index."""
    first, mark = columns[0], key[0]
    farther = first < mark if down else first > mark
    if len(columns) == 1:
        return farther
    here = first <= mark if down else first >= mark
    return and_(here, or_(farther, beyond(columns[1:], key[1:], down)))


def descends(filters: Filters) -> bool:
    return filters.order == NEWEST


def place(filters: Filters) -> list[ColumnElement[Any]]:
    """The columns of a row's key."""
    if filters.order == BY_END:
        rank = case((ends.is_(None), _UNDATED), (ROW.status == "canceled", _ENDED), else_=_LIVES)
        return [rank.label("k0"), func.coalesce(ends, literal(_NEVER, Instant())).label("k1"), ROW.id.label("k2")]
    if filters.order == BY_NAME:
        first = select(func.min(TERM.text)).where(TERM.customer_id == ROW.customer_id)
        named = first.where(search.begins_with(filters.search)).correlate(ROW.id.table).scalar_subquery()
        return [named.label("k0"), ROW.customer_id.label("k1"), ROW.id.label("k2")]
    return [ROW.id.label("k0")]


def kinds(filters: Filters) -> tuple[type, ...]:
    """Of what the key of a cursor consists."""
    return {BY_END: (int, datetime, str), BY_NAME: (str, str, str)}.get(filters.order, (str,))


def walks(filters: Filters) -> list[Walk]:
    """The indexes that have the wanted order, and leave out what some of the filters leave out."""
    if filters.order == BY_END:
        return [Walk(frozenset(("state", "ends")), lambda after, down, _: _by_end(filters, after, down))]
    if filters.order == BY_NAME:
        return [Walk(frozenset(("search",)), lambda *asked: _by_name(filters, *asked))]
    found = []
    if filters.states or filters.canceled_by:
        wanted = [select(ROW.id.label("k0")).where(state == word(each)) for each in filters.wanted]
        found.append(_by_id("state", wanted, filters))
    if filters.canceled_by:
        theirs = select(ROW.id.label("k0")).where(ROW.canceled_by == word(filters.canceled_by))
        found.append(_by_id("by", [theirs], filters))
    if filters.product_id and filters.has_few_prices:
        sold = [select(ITEM.subscription_id.label("k0")).distinct().where(ITEM.price_id == p) for p in filters.prices]
        found.append(_by_id("product", sold, filters))
    return found or [_by_id("", [select(ROW.id.label("k0"))], filters)]


def _by_id(covers: str, wanted: Sequence[Select[Any]], filters: Filters) -> Walk:
    def parts(after: Key | None, down: bool, _limit: int) -> Iterator[Select[Any]]:
        for each in wanted:
            column = next(iter(each.selected_columns)).element
            yield each if after is None else each.where(beyond([column], after, down))

    return Walk(frozenset((covers,)), parts, descends(filters), repeats=covers == "product")


def _by_end(filters: Filters, after: Key | None, down: bool) -> Iterator[Select[Any]]:
    """State by state: what lives by the end of its period, then what has ended, then what has no end."""
    for each in filters.wanted:
        for rank in (_ENDED if each == "canceled" else _LIVES, *(() if filters.has_ends else (_UNDATED,))):
            if after is not None and (rank > after[0] if down else rank < after[0]):
                continue
            dated = rank != _UNDATED
            columns = [ends, ROW.id] if dated else [ROW.id]
            shown = ends if dated else literal(_NEVER, Instant())
            wanted = select(literal(rank).label("k0"), shown.label("k1"), ROW.id.label("k2"))
            wanted = wanted.where(state == word(each), within(filters) if dated else ends.is_(None))
            if after is not None and rank == after[0]:
                wanted = wanted.where(beyond(columns, after[-len(columns) :], down))
            yield wanted


def _by_name(filters: Filters, after: Key | None, down: bool, limit: int) -> Iterator[Select[Any]]:
    """By the first of a customer's terms that fit.

    So many terms are read first, each of a customer who has subscriptions, whatever PostgreSQL expects to find: it is
    often wrong by a thousand about how many terms begin with something.
    """
    earlier, owned = TERM.customer_id.table.alias("earlier").c, ROW.customer_id.table.alias("owned").c
    fitting = search.begins_with(filters.search, earlier.text)
    first = ~exists().where(earlier.customer_id == TERM.customer_id, fitting, earlier.text < TERM.text)
    owns = exists().where(owned.customer_id == TERM.customer_id)
    columns = [TERM.text.label("k0"), TERM.customer_id.label("k1")]
    terms = select(*columns).where(search.begins_with(filters.search), as_is([first, owns]))
    if after is not None:
        here = and_(TERM.text == after[0], TERM.customer_id == after[1])
        edge = TERM.text <= after[0] if down else TERM.text >= after[0]
        terms = terms.where(edge, or_(here, beyond([TERM.text, TERM.customer_id], after, down)))
    found = in_order(terms, down).limit(number(limit + 1)).subquery("terms").c
    wanted = select(found.k0, found.k1, ROW.id.label("k2")).join(ROW.id.table, ROW.customer_id == found.k1)
    yield wanted if after is None else wanted.where(beyond([found.k0, found.k1, ROW.id], after, down))
