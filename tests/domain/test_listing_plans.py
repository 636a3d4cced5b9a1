"""Each statement of the list goes by an index; the databases are asked for their plans, among 20,000 subscriptions."""

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from portal import clock, db
from portal.bench import filling
from portal.bench.synthetic import made_id
from portal.domain import listing
from portal.domain.listing import Filters

SIZE, MOST_WORK = 20_000, {"sqlite": 6_000, "postgresql": 12_000}
LARGE = (
    "listing_entries|listing_terms|search_terms|subscriptions|subscription_items|customers|payment_methods|transactions"
)
TODAY = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
MONTH, DAY = (TODAY, TODAY + timedelta(days=40)), (TODAY + timedelta(days=9), TODAY + timedelta(days=10))
AIMLESS = """SELECT count(*)
    FROM search_terms JOIN subscriptions ON subscriptions.customer_id = search_terms.customer_id
    WHERE subscriptions.currency_code <> 'x'"""
PRODUCT = made_id("pro", 3)
FILTERS = {
    "none": Filters(),
    "oldest": Filters(sort="oldest"),
    "by end": Filters(sort="ends"),
    "active": Filters(states=("active",)),
    "active by end": Filters(states=("active",), sort="ends"),
    "pending by end": Filters(states=("pending",), sort="ends"),
    "two states": Filters(states=("paused", "trialing")),
    "product": Filters(product_id=PRODUCT),
    "product by end": Filters(product_id=PRODUCT, sort="ends"),
    "month": Filters(ends_from=MONTH[0], ends_before=MONTH[1]),
    "day": Filters(ends_from=DAY[0], ends_before=DAY[1], sort="ends"),
    "by staff": Filters(canceled_by="staff"),
    "by customer": Filters(canceled_by="customer", sort="ends"),
    "common": Filters(search="amelia", sort="name"),
    "everybody": Filters(search="example com", sort="name"),
    "everybody, newest": Filters(search="example com"),
    "common, newest": Filters(search="amelia"),
    "rare, newest": Filters(search="customer4711 e"),
    "rare by end, paused": Filters(search="customer47", states=("paused",), sort="ends"),
    "rare": Filters(search="customer4711 e", sort="name"),
    "two words": Filters(search="becker noah", sort="name"),
    "nobody": Filters(search="zzz", sort="name"),
    "common and pending": Filters(search="amelia", states=("pending",), sort="name"),
    "common and pending, newest": Filters(search="amelia", states=("pending", "canceled")),
    "common, product, day": Filters(
        search="amelia", product_id=PRODUCT, ends_from=DAY[0], ends_before=DAY[1], sort="name"
    ),
    "everybody by end, of a product": Filters(search="example com", product_id=PRODUCT, sort="ends"),
    "by staff, product": Filters(product_id=PRODUCT, canceled_by="staff"),
    "product, state, month": Filters(("active", "past_due"), PRODUCT, *MONTH),
    "all at once": Filters(("pending", "canceled"), PRODUCT, *MONTH, "customer", "a", "ends"),
}


@pytest.fixture
def filled(database: str) -> str:
    filling.fill(SIZE)
    return database


@pytest.fixture
def statements() -> Iterator[list[tuple[str, Any]]]:
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def test_every_statement_of_the_list_goes_by_an_index(filled: str, statements: list[tuple[str, Any]]) -> None:
    assert scanned("SELECT * FROM subscriptions WHERE currency_code = 'x'", ()) == ["subscriptions"], "it would be seen"
    found = {}
    for name, filters in FILTERS.items():
        statements.clear()
        _look_around(filters)
        asked = [each for each in statements if each[0].lstrip().startswith(("SELECT", "WITH"))]
        assert asked
        for statement, values in asked:
            if tables := scanned(statement, values):
                found[f"{name}: {statement}"] = tables
    assert found == {}


def test_no_statement_of_the_list_does_more_than_look_at_a_part(filled: str, statements: list[tuple[str, Any]]) -> None:
    found, most = {}, MOST_WORK[db.engine().dialect.name]
    for name, filters in FILTERS.items():
        statements.clear()
        _look_around(filters)
        for statement, values in [each for each in statements if each[0].lstrip().startswith(("SELECT", "WITH"))]:
            if (done := work(statement, values)) > most:
                found[f"{name}: {statement}"] = done
    assert work(AIMLESS, ()) > most, "it would be seen"
    assert found == {}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_state_is_a_range_of_an_index_and_not_tried_on_all_that_is_listed(
    filled: str, statements: list[tuple[str, Any]]
) -> None:
    assert _ranges("SELECT state FROM listing_entries WHERE part = '' ORDER BY subscription_id", ()) == ["(part=?)"]
    with_states = {name: filters for name, filters in FILTERS.items() if not filters.has_all_states}
    assert len(with_states) > 8
    for name, filters in with_states.items():
        statements.clear()
        _look_around(filters)
        for statement, values in statements:
            assert "(part=?)" not in _ranges(statement, values), f"{name}: {statement}"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_plan_for_all_values_goes_by_the_state_too(filled: str, statements: list[tuple[str, Any]]) -> None:
    """PostgreSQL keeps a plan for a statement that is repeated; it knows no values then. SQLite plans anew."""
    listing.page(Filters(states=("pending",)))
    walk = next(each for each, _ in statements if "listing_entries" in each)
    with db.engine().connect() as connection:
        generic = re.sub(r"%\(.*?\)s", "$1", walk)
        plan = connection.connection.cursor().execute(f"EXPLAIN (GENERIC_PLAN) {generic}").fetchall()
    assert "ix_listing_entries_state" in str(plan)
    assert "Filter" not in str(plan)


def _look_around(filters: Filters) -> None:
    """The first page, one in the middle, one backwards, and their number."""
    page = listing.page(filters)
    listing.count(filters, page)
    if page.following is not None:
        page = listing.page(filters, page.following)
        listing.page(filters, page.previous)


def scanned(statement: str, values: Any) -> list[str]:
    """The large tables that are read as a whole."""
    with db.engine().connect() as connection:
        if db.is_postgresql():
            return re.findall(rf"Seq Scan on ({LARGE})\b", str(_plan(connection, "EXPLAIN", statement, values)))
        rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        steps = [re.fullmatch(rf"SCAN ({LARGE})( AS \w+)?", row[3]) for row in rows]
        return [step[1] for step in steps if step]


def _ranges(statement: str, values: Any) -> list[str]:
    """What of the entries SQLite looks up."""
    with db.engine().connect() as connection:
        rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    found = [re.fullmatch(r"SEARCH listing_entries USING .*?(\(.*\))", row[3]) for row in rows]
    return [each[1] for each in found if each]


def work(statement: str, values: Any) -> int:
    """How much a statement does: rows that PostgreSQL met, on SQLite thirties of instructions."""
    with db.engine().connect() as connection:
        if db.is_postgresql():
            plan = str(_plan(connection, "EXPLAIN (ANALYZE, TIMING OFF)", statement, values))
            met = re.findall(r"actual rows=([\d.]+) loops=(\d+)", plan)
            left_out = sum(map(int, re.findall(r"Rows Removed by \w+(?: \w+)?: (\d+)", plan)))
            return int(sum(float(rows) * int(loops) for rows, loops in met)) + left_out
        driver, count = connection.connection.driver_connection, itertools.count()
        assert driver is not None
        driver.set_progress_handler(lambda: next(count) and None, 30)
        try:
            driver.execute(statement, values).fetchall()
        finally:
            driver.set_progress_handler(None, 0)
        return next(count)


def _plan(connection: Any, how: str, statement: str, values: Any) -> Any:
    cursor = connection.connection.cursor()
    cursor.execute("SET random_page_cost = 1.1")  # as on a disk without a head; the table is small for its plans
    return "\n".join(row[0] for row in cursor.execute(f"{how} {statement}", values).fetchall())
