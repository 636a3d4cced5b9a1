"""The orders of the list of subscriptions: an entry's place in each, and the index that is walked in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from portal.db import Instant
from portal.domain.listing_entries import ACTIVE
from portal.domain.listing_filters import (
    BY_END,
    BY_NAME,
    ENTRY,
    NEWEST,
    PART,
    ROW,
    STATE_TERM,
    TERM,
    Filters,
    as_is,
    begins_so,
    number,
    within,
    word,
)

Key = tuple[Any, ...]
"""An entry's place in an order; the last of it is the subscription's id."""
Mark = tuple[int, ...]
"""What of a place decides how a statement is made that goes on there: by end, its rank."""

_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_LIVES, _ENDED, _UNDATED = 0, 1, 2
_KEYS = {BY_END: (int, datetime, str), BY_NAME: (str, str, str)}
_TRIED = (ENTRY.state, ENTRY.ends_at, ENTRY.canceled_by)
"""What the index has beside the key, to be tried."""


@dataclass(frozen=True)
class Walk:
    """An index in the order of the list. `covers`: the filters that all of its entries fit.

    It has parts where it is several ranges of the index, which are read side by side and merged. Each gives the key,
    k0 and so on, and beside it what is tried on an entry.
    """

    covers: frozenset[str]
    parts: Callable[[Mark | None, bool, int], Iterator[Select[Any]]]
    descends: bool = False

    def some(self, limit: int) -> Select[Any]:
        """So many of them, in no order."""
        parts = [in_order(part, False).limit(number(limit)) for part in self.parts(None, False, limit)]
        return select(union_all(*(select(part.subquery()) for part in parts)).subquery()).limit(number(limit))

    def entries(self, after: Mark | None, back: bool, limit: int) -> Select[Any]:
        """The next of them."""
        return self._merged(after, back, limit).limit(number(limit))

    def last(self, after: Mark | None, back: bool, limit: int) -> Select[Any]:
        """The last of so many, if there are so many."""
        return self._merged(after, back, limit).offset(number(limit - 1)).limit(number(1))

    def _merged(self, after: Mark | None, back: bool, limit: int) -> Select[Any]:
        down = self.descends != back
        parts = [in_order(part, down) for part in self.parts(after, down, limit)]
        if len(parts) == 1:
            return parts[0]
        merged = union_all(*(select(part.limit(number(limit)).subquery()) for part in parts)).subquery()
        return in_order(select(merged), down)


def in_order(wanted: Select[Any], down: bool) -> Select[Any]:
    """By its key; what is the same in each row is left out, or SQLite would sort the whole index."""
    told = (each for each in keys(wanted) if not isinstance(getattr(each, "element", None), BindParameter))
    return wanted.order_by(*(each.desc() if down else each.asc() for each in told))


def keys(wanted: Select[Any]) -> list[ColumnElement[Any]]:
    """Those of its columns that are the key."""
    return [each for each in wanted.selected_columns if each.key in ("k0", "k1", "k2")]


def beyond(columns: Sequence[ColumnElement[Any]], down: bool, at: int = 0) -> ColumnElement[bool]:
    """The rows behind a place, which is given as after0, after1 and so on, from `at`.

    Spelled out so that either engine begins in the middle of an index.
    """
    first = columns[0]
    mark = bindparam(f"after{at}", type_=first.type)
    farther = first < mark if down else first > mark
    if len(columns) == 1:
        return farther
    here = first <= mark if down else first >= mark
    return and_(here, or_(farther, beyond(columns[1:], down, at + 1)))


def mark(filters: Filters, after: Key | None) -> Mark | None:
    if after is None:
        return None
    return after[:1] if filters.order == BY_END else ()


def values(filters: Filters, after: Key | None) -> dict[str, Any]:
    """What goes with a statement that begins behind a place."""
    return filters.values | {f"after{at}": each for at, each in enumerate(after or ())}


def descends(filters: Filters) -> bool:
    return filters.order == NEWEST


def place(filters: Filters) -> list[ColumnElement[Any]]:
    """An entry's key."""
    id = ENTRY.subscription_id
    if filters.order == BY_END:
        rank = case((ENTRY.ends_at.is_(None), _UNDATED), (ENTRY.state == word("canceled"), _ENDED), else_=_LIVES)
        return [rank.label("k0"), func.coalesce(ENTRY.ends_at, literal(_NEVER, Instant())).label("k1"), id.label("k2")]
    if filters.order == BY_NAME:
        owner = ENTRY.customer_id
        called = select(func.min(TERM.text)).where(TERM.customer_id == owner, begins_so(TERM.text)).scalar_subquery()
        return [called.label("k0"), owner.label("k1"), id.label("k2")]
    return [id.label("k0")]


def kinds(filters: Filters) -> tuple[type, ...]:
    """Of what the key of a cursor consists."""
    return _KEYS.get(filters.order, (str,))


def walk(filters: Filters) -> Walk:
    """The index that has the wanted order and leaves out most of what the filters leave out."""
    match filters.order:
        case order if order == BY_END:
            return Walk(frozenset(("product", "state", "ends")), lambda after, down, _: _by_end(filters, after, down))
        case order if order == BY_NAME and ACTIVE in filters.wanted:
            return Walk(frozenset(("search",)), lambda *asked: _by_name(filters, *asked))
        case order if order == BY_NAME:
            return Walk(frozenset(("search", "state")), lambda *asked: _by_name_and_state(filters, *asked))
    covers = ("product", "state", "by") if filters.canceled_by else ("product", "state")
    return Walk(frozenset(covers), lambda after, down, _: _by_id(filters, after, down), descends(filters))


def newest(filters: Filters) -> Filters:
    """The same in the order that any entries can be read in."""
    return replace(filters, sort=NEWEST)


def _by_id(filters: Filters, after: Mark | None, down: bool) -> Iterator[Select[Any]]:
    goes_by_table = filters.has_all_states and not filters.canceled_by
    tried = (*_TRIED, ENTRY.customer_id) if filters.search and goes_by_table else _TRIED
    wanted = select(ENTRY.subscription_id.label("k0"), *tried).where(ENTRY.part == PART)
    if filters.canceled_by:
        wanted = wanted.where(ENTRY.canceled_by == word(filters.canceled_by))
    if after is not None:
        wanted = wanted.where(beyond([ENTRY.subscription_id], down))
    if filters.has_all_states:
        yield wanted
    else:
        yield from (wanted.where(ENTRY.state == word(each)) for each in filters.wanted)


def _by_end(filters: Filters, after: Mark | None, down: bool) -> Iterator[Select[Any]]:
    """State by state: what lives by the end of its period, then what has ended, then what has no end."""
    for each in filters.wanted:
        for rank in (_ENDED if each == "canceled" else _LIVES, *(() if filters.has_ends else (_UNDATED,))):
            if after is not None and (rank > after[0] if down else rank < after[0]):
                continue
            dated = rank != _UNDATED
            columns = [ENTRY.ends_at, ENTRY.subscription_id] if dated else [ENTRY.subscription_id]
            shown = ENTRY.ends_at if dated else literal(_NEVER, Instant())
            key = literal(rank).label("k0"), shown.label("k1"), ENTRY.subscription_id.label("k2")
            wanted = select(*key, *_TRIED).where(ENTRY.part == PART, ENTRY.state == word(each))
            wanted = wanted.where(within(filters) if dated else ENTRY.ends_at.is_(None))
            if after is not None and rank == after[0]:
                wanted = wanted.where(beyond(columns, down, 3 - len(columns)))
            yield wanted


def _by_name(filters: Filters, after: Mark | None, down: bool, limit: int) -> Iterator[Select[Any]]:
    """By the first of a customer's terms that fit.

    So many terms are read first, each of a customer who has subscriptions, whatever PostgreSQL expects to find: it is
    often wrong by a thousand about how many terms begin with something.
    """
    owned = ROW.customer_id.table.alias("owned").c
    owns = exists().where(owned.customer_id == TERM.customer_id)
    columns = [TERM.text.label("k0"), TERM.customer_id.label("k1")]
    terms = select(*columns).where(begins_so(TERM.text), as_is([_is_first(filters, TERM), owns]))
    if after is not None:
        text, owner = bindparam("after0", type_=String()), bindparam("after1", type_=String())
        here = and_(TERM.text == text, TERM.customer_id == owner)
        edge = TERM.text <= text if down else TERM.text >= text
        terms = terms.where(edge, or_(here, beyond([TERM.text, TERM.customer_id], down)))
    found = in_order(terms, down).limit(number(limit + 1)).subquery("terms").c
    of_part = and_(ENTRY.part == PART, ENTRY.subscription_id == ROW.id)
    wanted = select(found.k0, found.k1, ROW.id.label("k2"), *_TRIED)
    wanted = wanted.join(ROW.id.table, ROW.customer_id == found.k1).outerjoin(ENTRY.part.table, of_part)
    yield wanted if after is None else wanted.where(beyond([found.k0, found.k1, ROW.id], down))


def _by_name_and_state(filters: Filters, after: Mark | None, down: bool, limit: int) -> Iterator[Select[Any]]:
    """The same of subscriptions in some states, which have terms of their own."""
    key = [STATE_TERM.text, STATE_TERM.customer_id, STATE_TERM.subscription_id]
    for each in filters.wanted:
        begins = begins_so(STATE_TERM.text)
        terms = select(*(column.label(f"k{at}") for at, column in enumerate(key)))
        terms = terms.where(STATE_TERM.state == word(each), begins, as_is([_is_first(filters, STATE_TERM)]))
        if after is not None:
            terms = terms.where(beyond(key, down))
        found = in_order(terms, down).limit(number(limit)).subquery(f"terms_{each}").c
        of_part = and_(ENTRY.part == PART, ENTRY.subscription_id == found.k2)
        yield select(found.k0, found.k1, found.k2, *_TRIED).outerjoin(ENTRY.part.table, of_part)


def called_and_standing(filters: Filters, limit: int) -> Select[Any]:
    """Some subscriptions in the wanted states whose customers are called so; one may come twice."""
    found = select(STATE_TERM.subscription_id).where(begins_so(STATE_TERM.text)).order_by(STATE_TERM.text)
    parts = [found.where(STATE_TERM.state == word(each)).limit(number(limit)) for each in filters.wanted]
    return select(union_all(*(select(part.subquery()) for part in parts)).subquery()).limit(number(limit))


def _is_first(filters: Filters, term: Any) -> ColumnElement[bool]:
    """Whether no other of the customer's terms fits and comes before it."""
    earlier = TERM.text.table.alias("earlier").c
    fitting = begins_so(earlier.text)
    return ~exists().where(earlier.customer_id == term.customer_id, fitting, earlier.text < term.text)
