"""The list of subscriptions finds what a plain look at every row finds, however it is filtered, sorted and paged."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, update

from portal import clock
from portal.db import session, transaction
from portal.domain import listing, listing_entries, listing_filters, search, snapshots
from portal.domain.listing import Cursor, Filters
from portal.domain.subscriptions import Subscription
from tests import people

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
NAMES = ("Anna Schmidt", "Anna Maria Berg", "Berta Schmidt", "Carl Annan", None, "Änne O'Brien")
STATES = ("active", "past_due", "trialing", "paused", "canceled")


@pytest.fixture
def crowd(database: str) -> list[str]:
    """Sixty subscriptions in every state, of two products, canceled by everybody."""
    chance = random.Random(4)
    prices = [people.price(product=name) for name in ("Pro", "Basic")]
    owners = [people.customer(name or "x", email=f"{n}.anna@b{n}.example") for n, name in enumerate(NAMES * 3)]
    return [_subscription(chance, chance.choice(owners), prices) for _ in range(60)]


def _subscription(chance: random.Random, owner: str, prices: Sequence[str]) -> str:
    status, now = chance.choice(STATES), clock.now()
    ends = now + timedelta(days=chance.randint(1, 40))
    fields: dict[str, Any] = {"status": status, "period_ends_at": ends, "next_billed_at": ends}
    if status == "canceled":
        ended = {"canceled_at": now - timedelta(days=chance.randint(0, 20)), "period_ends_at": None}
        fields |= {**ended, "next_billed_at": None, "canceled_by": chance.choice([*listing_filters.WHO, None])}
    elif status == "paused" and chance.random() < 0.6:
        fields |= {"period_ends_at": None, "next_billed_at": None}
    elif chance.random() < 0.4:
        end = {"scheduled_effective_at": ends + timedelta(days=chance.randint(0, 9)), "next_billed_at": None}
        fields |= {**end, "scheduled_action": "cancel", "canceled_by": chance.choice(listing_filters.WHO)}
    return people.subscription(owner, price_id=chance.choice(prices), card=None, **fields)


@pytest.fixture(params=["few", "walks", "cut"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By which of its ways a page is found."""
    if request.param != "few":
        monkeypatch.setattr(listing, "FEW", 2)
        monkeypatch.setattr(listing, "MOST", 20 if request.param == "cut" else 10_000)
    return str(request.param)


def everything() -> list[Any]:
    with transaction():
        return snapshots.whole(select(Subscription))


def naive(filters: Filters, rows: list[Any] | None = None) -> list[str]:
    """The same by looking at every row."""
    rows = rows or everything()
    fitting = [each for each in rows if _fits(each, filters)]
    return [each.id for each in sorted(fitting, key=lambda s: _place(s, filters), reverse=filters.order == "newest")]


def _fits(s: Any, filters: Filters) -> bool:
    end = _end(s)
    found = not filters.search or _term(s, filters) is not None
    return (
        found
        and _state(s) in (filters.states or listing_entries.STATES)
        and filters.product_id in (None, s.items[0].price.product_id)
        and filters.canceled_by in (None, s.canceled_by)
        and not (filters.ends_from and (end is None or end < filters.ends_from))
        and not (filters.ends_before and (end is None or end >= filters.ends_before))
    )


def _place(s: Any, filters: Filters) -> tuple[Any, ...]:
    if filters.order == "ends":
        end = _end(s)
        return (2 if end is None else 1 if s.status == "canceled" else 0, end or NEVER, s.id)
    if filters.order == "name":
        return (_term(s, filters), s.customer_id, s.id)
    return (s.id,)


def _state(s: Any) -> str:
    return "pending" if s.is_ending else str(s.status)


def _end(s: Any) -> datetime | None:
    end: datetime | None = s.scheduled_effective_at if s.is_ending else s.canceled_at or s.period_ends_at
    return end


def _term(s: Any, filters: Filters) -> str | None:
    fitting = (t for t in search.terms(s.customer.name, s.customer.email) if t.startswith(filters.search))
    return min(fitting, default=None)


def walked(filters: Filters, size: int) -> list[listing.Page]:
    """Every page of the list, from the first to the last."""
    page = listing.page(filters, None, size)
    assert page.previous is None
    pages = [page]
    while page.following is not None:
        page = listing.page(filters, page.following, size)
        pages.append(page)
        assert len(pages) < 200
    return pages


def counted(filters: Filters) -> int | None:
    return listing.count(filters, listing.page(filters, None, 1))


def ids_of(page: Any) -> list[str]:
    return [each.id for each in page.rows]


def every_filter(sold: str) -> list[Filters]:
    now = clock.now()
    states = ((), ("pending",), ("active", "trialing"), ("canceled", "paused", "past_due"))
    spans = ((None, None), (now, now + timedelta(days=20)), (None, now), (now + timedelta(days=5), None))
    wanted = product(states, (None, sold), spans, (None, "customer"), ("", "anna", "schmidt b"), ("newest", "ends"))
    every = [Filters(s, p, *span, by, text, sort) for s, p, span, by, text, sort in wanted]
    return every + [Filters(f.states, f.product_id, search="anna", sort="name") for f in every[::6]]


def test_every_combination_of_filters_finds_what_a_look_at_every_row_finds(crowd: list[str], way: str) -> None:
    sold = people.row(crowd[0])
    with transaction():
        product_id = snapshots.find(sold.id).items[0].price.product_id
    rows = everything()
    for filters in every_filter(product_id)[:: 2 if way == "few" else 7]:
        wanted = naive(filters, rows)
        pages = walked(filters, 11)
        assert [id for page in pages for id in ids_of(page)] == wanted, filters
        assert way == "cut" or not any(page.cut for page in pages)
        if way == "few":
            assert listing.count(filters, pages[0]) == len(wanted), filters


@pytest.mark.parametrize("sort", listing_filters.SORTS)
def test_the_way_back_shows_the_same_pages(crowd: list[str], way: str, sort: str) -> None:
    filters = Filters(states=("active", "pending", "canceled", "trialing"), search="anna", sort=sort)
    pages = walked(filters, 5)
    seen, cursor = [], pages[-1].previous
    while cursor is not None:
        assert cursor.back
        page = listing.page(filters, cursor, 5)
        seen = ids_of(page) + seen
        cursor = page.previous
    assert seen + ids_of(pages[-1]) == naive(filters) or len(pages) == 1


def test_rows_that_come_and_go_shift_no_page(crowd: list[str], way: str) -> None:
    filters = Filters(states=("active", "trialing", "pending"), sort="newest")
    first = listing.page(filters, None, 7)
    newer = people.subscription(people.customer())
    with transaction():
        session().execute(update(Subscription).where(Subscription.id == first.rows[3].id).values(status="canceled"))
    seen = ids_of(first)
    page = first
    while page.following is not None:
        page = listing.page(filters, page.following, 7)
        seen += ids_of(page)
    assert newer not in seen
    assert len(seen) == len(set(seen))
    assert set(naive(filters)) - {newer} <= set(seen)


def test_a_page_that_was_cut_says_where_it_goes_on(crowd: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FEW", 2)
    monkeypatch.setattr(listing, "MOST", 4)
    monkeypatch.setattr(listing, "_FIRST_STEP", 1)
    other, sold = people.customer("Zoe Zed", email="zed@example.com"), people.price()
    for _ in range(12):
        people.subscription(other, price_id=sold, card=None)
    filters, pages = Filters(search="anna", sort="newest", states=("paused", "active")), 0
    page = listing.page(filters, None, 3)
    assert not page.rows
    while page.cut:
        assert page.following is not None
        pages, page = pages + 1, listing.page(filters, page.following, 3)
    assert pages > 1
    assert ids_of(page) == naive(filters)[:3]


def test_a_place_behind_the_last_row_leads_back(crowd: list[str]) -> None:
    page = listing.page(Filters(), Cursor(("",)))
    assert not page.rows
    assert page.following is None
    back = listing.page(Filters(), Cursor(("",), back=True), 5)
    assert [each.id for each in back.rows] == naive(Filters())[-5:]


def test_how_many_there_are_is_told_while_they_are_few(crowd: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(Filters()) == 60
    for bound in ("COUNTED", "FEW"):
        monkeypatch.setattr(listing, bound, 5)
    assert counted(Filters()) == 6
    assert counted(Filters(states=("active", "pending"))) == 6
    assert counted(Filters(search="anna")) is None
    assert counted(Filters(search="anna", states=("active", "pending"))) is None
    assert counted(Filters(states=("active",), canceled_by="staff")) == 0
