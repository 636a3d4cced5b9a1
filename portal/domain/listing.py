"""The list of all subscriptions: filtered, sorted, a page at a time; as fast among a million as among a thousand.

How a page is found:

    few      by a filter that fits FEW rows at most: all of them are read, tried and sorted
    a walk   else an index that has the wanted order is walked, from where the page before ended, in steps; what it
             meets is tried against the other filters. Of several such indexes the one is taken that gets farthest
             with its first FEW entries, because it leaves out most
    cut      after some MOST entries a page stops, however few it has found, and says where

A cursor is the place of a row in the order, so that rows which come and go shift no page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true, union_all

from portal import ids
from portal.db import connection, table
from portal.domain import snapshots
from portal.domain.customers import Customer
from portal.domain.listing_filters import FEW, NEWEST, OLDEST, ROW, Filters, as_is, conditions, number, one_of
from portal.domain.listing_orders import Key, Walk, beyond, descends, in_order, place, walks
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction

SIZE, MOST = 50, 5_000
_FIRST_STEP = 16


@dataclass(frozen=True)
class Cursor:
    """Behind which place of the order a page begins; `back`: before which it ends."""

    key: Key
    back: bool = False


@dataclass(frozen=True)
class Page:
    """Subscriptions as plain rows, whole, and where the pages beside it begin.

    `cut`: it stopped before it was full; whether there are more shows only behind the cursor.
    """

    rows: Sequence[Any] = ()
    following: Cursor | None = None
    previous: Cursor | None = None
    cut: bool = False


def page(filters: Filters, cursor: Cursor | None = None, size: int = SIZE) -> Page:
    """One page, in order, also if it was asked for from behind."""
    back = cursor is not None and cursor.back
    keys, stopped = _look(filters, cursor.key if cursor else None, back, size + 1)
    more, keys = len(keys) > size, keys[:size]
    if back and not more and stopped is None:
        return page(filters, None, size)
    end = keys[-1] if more else stopped
    onward, cut = Cursor(end, back) if end else None, bool(stopped) and not more
    if back:
        keys.reverse()
        return Page(_whole(keys), Cursor(keys[-1] if keys else stopped or ()), onward, cut)
    before = Cursor(keys[0] if keys else cursor.key, back=True) if cursor else None
    return Page(_whole(keys), onward, before, cut)


def every(filters: Filters, batch: int = 500) -> Iterator[Sequence[Any]]:
    """All of them in order, a batch at a time, each read by statements of its own."""
    found = page(filters, None, batch)
    yield found.rows
    while found.following is not None:
        found = page(filters, found.following, batch)
        yield found.rows


def count(filters: Filters, first: Page) -> int | None:
    """How many there are, told by the first page or by an index: exactly up to FEW, one more than that for more.

    None if it can't be told at once.
    """
    if first.following is None:
        return len(first.rows)
    tried = conditions(filters)
    plain = filters if filters.order in (NEWEST, OLDEST) else replace(filters, sort=NEWEST)
    walk = next((each for each in walks(plain) if tried.keys() <= each.covers), None)
    if walk is not None:
        return _number_of(walk.entries(None, False, FEW + 1))
    name, few = filters.shortest
    if name is not None:
        return _number_of(select(ROW.id).where(*_among(name, few, tried)).limit(number(FEW + 1)))
    return None


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


def _look(filters: Filters, after: Key | None, back: bool, want: int) -> tuple[list[Key], Key | None]:
    """Up to so many keys from a place on; and, if it gave up before it had looked at all, where."""
    if not filters.can_fit:
        return [], None
    tried, possible = conditions(filters), walks(filters)
    walk = next((each for each in possible if tried.keys() <= each.covers), None)
    if walk is not None:
        return _keys(walk.entries(after, back, want)), None
    name, few = filters.shortest
    if name is not None:
        return _sorted(filters, _among(name, few, tried), after, back, want), None
    return _walked(_farthest(possible, after, back), tried, after, back, want)


def _walked(
    walk: Walk, tried: dict[str, ColumnElement[bool]], after: Key | None, back: bool, want: int
) -> tuple[list[Key], Key | None]:
    """What fits of the next entries, in steps as long as what was found lets expect."""
    rest = as_is([each for name, each in tried.items() if name not in walk.covers])
    found: list[Key] = []
    step, looked = _FIRST_STEP * want, 0
    while looked < MOST:
        fitting, after = _step(walk, rest, after, back, step, want - len(found))
        found += fitting
        if len(found) == want or after is None:
            return found, None
        looked += step
        expected = looked * (want - len(found)) // (len(found) or 1)
        step = 1 << min(expected, looked, max(MOST - looked, 0)).bit_length()  # few lengths: statements are kept
    return found, after


def _step(
    walk: Walk, rest: ColumnElement[bool], after: Key | None, back: bool, step: int, want: int
) -> tuple[list[Key], Key | None]:
    """What fits of so many entries, up to `want`; and the last of them, unless there are fewer."""
    met, down = walk.entries(after, back, step).cte("met"), walk.descends != back
    fits = select(true()).where(ROW.id == list(met.c)[-1], rest).scalar_subquery()
    fitting = in_order(select(met).where(fits), down).limit(want).subquery()
    last = in_order(select(met), down).offset(number(step - 1)).limit(number(1)).subquery()
    both = union_all(select(number(0).label("is_last"), fitting), select(number(1), last)).subquery()
    keys = _keys(in_order(select(both), down))
    return [key[1:] for key in keys if not key[0]], next((key[1:] for key in keys if key[0]), None)


def _farthest(among: Sequence[Walk], after: Key | None, back: bool) -> Walk:
    """The walk whose first FEW entries lead farthest."""
    if len(among) == 1:
        return among[0]
    reached = [(walk, _reached(walk, after, back)) for walk in among]
    to_the_end = next((walk for walk, key in reached if key is None), None)
    down = among[0].descends != back
    return to_the_end or (min if down else max)(reached, key=lambda each: each[1] or ())[0]


def _reached(walk: Walk, after: Key | None, back: bool) -> Key | None:
    """The entry at which FEW steps end; None if there are fewer."""
    entries = walk.entries(after, back, FEW).subquery()
    found = _keys(in_order(select(entries), walk.descends != back).offset(number(FEW - 1)).limit(number(1)))
    return found[0] if found else None


def _among(name: str, few: list[str], tried: dict[str, ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """The rows that a filter led to, tried against all: they may have changed since."""
    column = ROW.customer_id if name == "search" else ROW.id
    return [one_of(column, few), as_is(list(tried.values()))]


def _sorted(
    filters: Filters, fitting: Sequence[ColumnElement[bool]], after: Key | None, back: bool, want: int
) -> list[Key]:
    down = descends(filters) != back
    rows = select(*place(filters)).where(*fitting).subquery("rows")
    wanted = select(rows)
    if after is not None:
        wanted = wanted.where(beyond(list(rows.c), after, down))
    return _keys(in_order(wanted, down).limit(number(want)))


def _keys(wanted: Select[Any]) -> list[Key]:
    return [tuple(row) for row in connection().execute(wanted)]


def _number_of(wanted: Select[Any]) -> int:
    return connection().scalar(select(func.count()).select_from(wanted.subquery())) or 0


def _whole(keys: Sequence[Key]) -> list[Any]:
    """The rows of these keys, in their order."""
    wanted = [key[-1] for key in keys]
    rows = {each.id: each for each in snapshots.whole(select(Subscription).where(ROW.id.in_(wanted)))} if wanted else {}
    return [rows[each] for each in wanted if each in rows]
