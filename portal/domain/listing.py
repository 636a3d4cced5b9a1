"""The list of all subscriptions: filtered, sorted, a page at a time; as fast among a million as among a thousand.

How a page is found:

    a range  an index has the wanted order and all of the filters: its next entries are the page
    few      else by a filter that FEW entries at most fit: all of them are read, tried and sorted
    a walk   else the index that has the wanted order is walked, from where the page before ended, in steps; what it
             meets is tried against the other filters
    cut      after some MOST entries a page stops, however few it has found, and says where

A cursor is the place of an entry in the order, so that rows which come and go shift no page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, func, select, union_all

from portal import db, ids
from portal.db import connection, table
from portal.domain import listing_rows
from portal.domain.customers import Customer
from portal.domain.listing_entries import ACTIVE
from portal.domain.listing_filters import (
    BY_END,
    ENTRY,
    PART,
    ROW,
    TERM,
    Filters,
    as_is,
    begins_so,
    conditions,
    number,
    one_of_ids,
)
from portal.domain.listing_orders import (
    Key,
    Mark,
    beyond,
    called_and_standing,
    descends,
    in_order,
    keys,
    mark,
    newest,
    place,
    values,
    walk,
)
from portal.domain.transactions import Transaction

SIZE, COUNTED, FEW, MOST = 50, 200, 500, 3_000
_FIRST_STEP = 16
_SEARCHES = ("customers", "called")
_kept = lru_cache(500)


@dataclass(frozen=True)
class Cursor:
    """Behind which place of the order a page begins; `back`: before which it ends."""

    key: Key
    back: bool = False


@dataclass(frozen=True)
class Page:
    """Subscriptions as plain rows, whole, and where the pages beside it begin.

    `cut`: it stopped before it was full; whether there are more shows only behind the cursor. `many`: more than FEW fit
    each filter.
    """

    rows: Sequence[Any] = ()
    following: Cursor | None = None
    previous: Cursor | None = None
    cut: bool = False
    few: "_Few | None" = None
    many: bool = False


def page(filters: Filters, cursor: Cursor | None = None, size: int = SIZE) -> Page:
    """One page, in order, also if it was asked for from behind."""
    back = cursor is not None and cursor.back
    found = _look(filters, cursor.key if cursor else None, back, size + 1)
    keys, stopped = found.keys, found.stopped
    more, keys = len(keys) > size, keys[:size]
    if back and not more and stopped is None:
        return page(filters, None, size)
    end = keys[-1] if more else stopped
    onward, cut = Cursor(end, back) if end else None, bool(stopped) and not more
    if back:
        keys.reverse()
        return Page(_rows(keys), Cursor(keys[-1] if keys else stopped or ()), onward, cut, found.few, found.many)
    before = Cursor(keys[0] if keys else cursor.key, back=True) if cursor else None
    return Page(_rows(keys), onward, before, cut, found.few, found.many)


def every(filters: Filters, batch: int = 500) -> Iterator[Sequence[Any]]:
    """All of them in order, a batch at a time, each read by statements of its own."""
    found = page(filters, None, batch)
    yield found.rows
    while found.following is not None:
        found = page(filters, found.following, batch)
        yield found.rows


def count(filters: Filters, first: Page) -> int | None:
    """How many there are, told by the first page or by an index: exactly up to COUNTED, one more than that for more.

    None if it can't be told at once.
    """
    if first.following is None:
        return len(first.rows)
    shape = filters.shape
    for order in (newest(shape), replace(shape, sort=BY_END)):
        if _in_force(shape) <= walk(order).covers:
            return connection().scalar(_number_of_some(order, COUNTED + 1), filters.values)
    few = first.few or (None if first.many else _few(filters, COUNTED))
    if few is None:
        return None
    if few.way == "called" and _in_force(shape) <= {"search", "state"}:
        return min(len(set(few.ids)), COUNTED + 1)
    counting = _number_among(shape, few.way, COUNTED + 1, db.is_postgresql())
    return connection().scalar(counting, filters.values | {"ids": few.ids})


def named(text: str) -> tuple[str, str] | None:
    """What a text names by its id or by the number of its invoice: `subscription` or `customer`, and its id."""
    bought = table(Transaction).c
    owner = select(bought.subscription_id, bought.customer_id)
    for kind, column in (("subscription", ROW.id), ("customer", table(Customer).c.id)):
        if ids.is_id(text, {"subscription": "sub", "customer": "ctm"}[kind]):
            return (kind, text) if connection().scalar(select(column).where(column == text)) else None
    column = bought.id if ids.is_id(text, "txn") else bought.invoice_number
    found = connection().execute(owner.where(column == text)).first()
    if found is None or not any(found):
        return None
    return ("subscription", found.subscription_id) if found.subscription_id else ("customer", found.customer_id)


@dataclass(frozen=True)
class _Few:
    """The filter that fewest entries fit, if these are FEW, and the ids it leads to."""

    way: str
    ids: list[str]


@dataclass(frozen=True)
class _Found:
    """`stopped`: where it gave up before it had looked at all."""

    keys: list[Key]
    stopped: Key | None = None
    few: _Few | None = None
    many: bool = False


def _look(filters: Filters, after: Key | None, back: bool, want: int) -> _Found:
    """Up to so many keys from a place on."""
    if not filters.wanted:
        return _Found([])
    shape = filters.shape
    if _in_force(shape) <= walk(shape).covers:
        return _Found(_keys(_next(shape, mark(filters, after), back, want), values(filters, after)))
    if (few := _few(filters, FEW)) is not None:
        among = _next_among(shape, few.way, after is not None, back, want, db.is_postgresql())
        return _Found(_keys(among, values(filters, after) | {"ids": few.ids}), few=few)
    return _walked(filters, after, back, want)


def _walked(filters: Filters, after: Key | None, back: bool, want: int) -> _Found:
    """What fits of the next entries. PostgreSQL stops at the last that is wanted; SQLite tries all before it sorts
    them, and goes in steps as long as what was found lets expect.
    """
    found: list[Key] = []
    step, looked, shape = MOST if db.is_postgresql() else _FIRST_STEP * want, 0, filters.shape
    while looked < MOST:
        asked = values(filters, after) | {"want": want - len(found)}
        rows = connection().execute(_step(shape, mark(filters, after), back, step), asked).all()
        found += [tuple(row[1:]) for row in rows if not row[0]]
        after = next((tuple(row[1:]) for row in rows if row[0]), None)
        if len(found) == want or after is None:
            return _Found(found, many=True)
        looked += step
        expected = looked * (want - len(found)) // (len(found) or 1)
        step = 1 << min(expected, looked, max(MOST - looked, 0)).bit_length()  # few lengths: statements are kept
    return _Found(found, after, many=True)


def _few(filters: Filters, most: int) -> _Few | None:
    ways = _ways(filters.shape, most + 1)
    size, way = min(zip(connection().execute(_sizes(filters.shape, most + 1), filters.values).one(), ways, strict=True))
    if size > most:
        return None
    return _Few(way, list(connection().scalars(ways[way], filters.values)))


def _keys(wanted: Select[Any], asked: dict[str, Any]) -> list[Key]:
    return [tuple(row) for row in connection().execute(wanted, asked)]


@_kept
def _in_force(shape: Filters) -> frozenset[str]:
    """The names of the filters."""
    return frozenset(conditions(shape))


@_kept
def _next(shape: Filters, after: Mark | None, back: bool, want: int) -> Select[Any]:
    """The keys of the next entries of the index."""
    return _only_keys(walk(shape).entries(after, back, want))


@_kept
def _step(shape: Filters, after: Mark | None, back: bool, step: int) -> Select[Any]:
    """What fits of so many entries, up to `want`; if it is less, the last of them too, unless there are fewer.

    One statement, so that both are of one moment.
    """
    index = walk(shape)
    met, down = index.entries(after, back, step).subquery("met"), index.descends != back
    key = keys(select(met))
    tried = conditions(shape, {**met.c, "subscription_id": key[-1]})
    rest = as_is([each for name, each in tried.items() if name not in index.covers])
    want = bindparam("want", type_=Integer())
    fitting = in_order(select(*key).where(rest), down).limit(want).cte("fitting")
    last = _only_keys(index.last(after, back, step)).subquery()
    too_few = select(func.count()).select_from(fitting).scalar_subquery() < want
    both = union_all(select(number(0).label("is_last"), fitting), select(number(1), last).where(too_few)).subquery()
    return in_order(select(both), down)


def _only_keys(entries: Select[Any]) -> Select[Any]:
    return entries.with_only_columns(*keys(entries), maintain_column_froms=True)


@_kept
def _ways(shape: Filters, some: int) -> dict[str, Select[str]]:
    """By each filter the ids of what fits it, up to so many: of customers where a search leads to them."""
    ways = {"entries": select(walk(newest(shape)).some(some).subquery().c.k0)}
    if shape.has_ends:
        ways["ends"] = select(walk(replace(shape, sort=BY_END)).some(some).subquery().c.k2)
    if shape.search and ACTIVE in shape.wanted:
        ways["customers"] = select(TERM.customer_id).where(begins_so(TERM.text)).order_by(TERM.text).limit(number(some))
    elif shape.search:
        ways["called"] = select(called_and_standing(shape, some).subquery().c.subscription_id)
    return ways


@_kept
def _sizes(shape: Filters, some: int) -> Select[Any]:
    ways = _ways(shape, some).values()
    return select(*(select(func.count()).select_from(each.subquery()).scalar_subquery() for each in ways))


@_kept
def _number_of_some(shape: Filters, some: int) -> Select[Any]:
    return select(func.count()).select_from(walk(shape).some(some).subquery())


@_kept
def _number_among(shape: Filters, way: str, some: int, postgresql: bool) -> Select[Any]:
    if way == "customers" and _in_force(shape) <= {"search"}:
        theirs = _of_customers(postgresql)
    else:
        theirs = _among(shape, way, [ENTRY.subscription_id], postgresql)
    return select(func.count()).select_from(theirs.limit(number(some)).subquery())


@_kept
def _next_among(shape: Filters, way: str, goes_on: bool, back: bool, want: int, postgresql: bool) -> Select[Any]:
    down = descends(shape) != back
    rows = _among(shape, way, place(shape), postgresql).subquery("rows")
    wanted = select(rows).where(beyond(list(rows.c), down)) if goes_on else select(rows)
    return in_order(wanted, down).limit(number(want))


def _among(shape: Filters, way: str, columns: Sequence[ColumnElement[Any]], postgresql: bool) -> Select[Any]:
    """The entries that one filter led to, tried against the others; they may have changed since."""
    tried = conditions(shape)
    if way in _SEARCHES:
        del tried["search"]
    wanted = select(*columns).where(ENTRY.part == PART, as_is(list(tried.values())))
    if way == "customers":
        return wanted.where(ENTRY.subscription_id.in_(_of_customers(postgresql)))
    return wanted.where(one_of_ids(ENTRY.subscription_id, postgresql))


def _of_customers(postgresql: bool) -> Select[str]:
    return select(ROW.id).where(one_of_ids(ROW.customer_id, postgresql))


def _rows(keys: Sequence[Key]) -> list[Any]:
    return listing_rows.read([key[-1] for key in keys])
