"""The list as a table for a spreadsheet: what is filtered, row by row, for admins."""

import csv
import io
import tracemalloc

import pytest
from flask import Flask

from portal import clock
from portal.bench import filling
from portal.domain import listing
from portal.domain.listing_filters import Filters
from tests import people
from tests.person import Person
from tests.staff import console

TABLE = "/console/subscriptions.csv"


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def rows(person: Person, query: str = "") -> list[dict[str, str]]:
    page = person.open(f"{TABLE}?{query}")
    assert page.status == 200
    return list(csv.DictReader(io.StringIO(page.html.removeprefix("\ufeff"))))


def test_it_holds_what_is_filtered_and_the_record_says_who_took_it(ada: Person) -> None:
    sub = people.subscription(people.customer("Amelia Harper"), quantity=10)
    people.subscription(people.customer("Paul Paused"), status="paused")
    page = ada.open(f"{TABLE}?state=active")
    assert page.html.startswith('\ufeff"subscription","state",')
    assert page.headers["Content-Type"].startswith("text/csv")
    assert page.headers["Content-Disposition"] == f'attachment; filename="subscriptions-{clock.now():%Y-%m-%d}.csv"'
    assert [each.facts for each in console.audited("subscriptions.exported")] == [{"filters": {"state": ["active"]}}]
    (row,) = rows(ada, "state=active")
    assert (row["subscription"], row["name"], row["products"]) == (sub, "Amelia Harper", "AeroEdit Pro × 10")
    assert (row["price"], row["currency"], row["every"]) == ("300.00", "USD", "1 month")


@pytest.mark.parametrize("name", ["=1+1", "+49", "-2", "@SUM(A1)", "\tx", '=HYPERLINK("http://x")', 'a","b\r\n=c'])
def test_no_cell_is_a_formula(ada: Person, name: str) -> None:
    people.subscription(people.customer("Eve", email="=cmd@example.com"), price_id=people.price(product=name))
    (row,) = rows(ada)
    assert row["email"] == "'=cmd@example.com"
    assert not row["products"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_support_sees_the_list_but_can_not_take_it_along(app: Flask) -> None:
    console.member("admin", "Ada Admin")
    people.subscription(people.customer())
    sam = console.colleague(app)
    assert "An admin can download this list" in sam.open("/console/subscriptions")
    assert sam.open(TABLE).status == 403
    assert console.audited("subscriptions.exported") == []


def test_a_look_at_the_head_takes_nothing(ada: Person) -> None:
    assert ada.client.head(TABLE, headers=ada.headers).status_code == 200
    assert console.audited("subscriptions.exported") == []


def test_a_filter_that_is_none_gives_no_table(ada: Person) -> None:
    assert ada.open(f"{TABLE}?state=x").status == 400
    assert console.audited("subscriptions.exported") == []


@pytest.mark.parametrize("size", [3_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_it_streams_in_the_memory_of_a_batch(app: Flask, size: int) -> None:
    """The head comes before the first row is read, and the memory at its highest does not know how many rows follow."""
    ada = console.colleague(app, "admin", "Ada Admin")
    filling.fill(size)
    assert max(len(batch) for batch in listing.every(Filters())) <= 500
    ada.client.get(f"{TABLE}?q=zzz", headers=ada.headers)
    answer = ada.client.get(TABLE, headers=ada.headers, buffered=False)
    tracemalloc.start()
    pieces = iter(answer.response)
    assert next(pieces).startswith('\ufeff"subscription"'.encode())  # type: ignore[union-attr]
    lines = sum(piece.count(b"\n") for piece in pieces)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    answer.close()
    assert lines == size
    assert peak < 24_000_000
