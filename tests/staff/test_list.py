"""The list of subscriptions: what shows, how it is filtered, and that its address says all of it."""

from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.customer import visits
from tests.person import Person
from tests.staff import console

LIST = "/console/subscriptions"


@pytest.fixture
def sam(app: Flask) -> Person:
    return console.colleague(app)


def ending(sub: str, by: str = "customer") -> str:
    with visits.transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor(by, "x", "portal"))
    return sub


def test_a_row_says_who_what_and_what_comes_next(sam: Person) -> None:
    sub = people.subscription(people.customer("Amelia Harper", email="amelia@example.com"), quantity=10)
    page = sam.open(LIST)
    for words in ("Amelia Harper", "amelia@example.com", "AeroEdit Pro × 10", "Active", "$300.00", "1 subscription"):
        assert words in page
    assert page.links["Amelia Harper"] == f"{LIST}/{sub}"
    assert f'href="{LIST}/{sub}/cancel">Cancel payments<' in page.html


def test_active_off_and_pending_cancellation_on_shows_what_ends_and_offers_to_keep_it(sam: Person) -> None:
    stays, ends = people.subscription(people.customer("Stay Put")), people.subscription(people.customer("Leaves Soon"))
    ending(ends)
    page = sam.open(f"{LIST}?state=pending")
    assert "Leaves Soon" in page
    assert "Stay Put" not in page
    assert f'href="{LIST}/{ends}/keep">Don’t cancel<' in page.html
    assert "Leaves Soon" not in sam.open(f"{LIST}?state=active&state=paused")
    assert people.row(ends).canceled_by == "customer"
    assert people.row(stays).canceled_by is None


def test_who_canceled_is_kept_until_it_is_taken_back_and_beyond_the_end(app: Flask, the_clock: Any) -> None:
    kept, ended, now = (people.subscription(people.customer(f"P{n} X")) for n in range(3))
    ending(kept, "staff")
    ending(ended)
    with visits.transaction():
        cancellation.withdraw(subscriptions.get(kept), by=Actor("staff", "x", "console"))
        cancellation.now(subscriptions.get(now), by=Actor("key", "x", "API"))
    the_clock.advance(days=40)
    with visits.transaction():
        cancellation.carry_out(10)
    assert [people.row(each).canceled_by for each in (kept, ended, now)] == [None, "customer", "key"]
    sam = console.colleague(app)
    assert "P1 X" in sam.open(f"{LIST}?by=customer")
    assert "P2 X" not in sam.open(f"{LIST}?by=customer")


def test_what_is_filtered_stands_above_the_list_and_can_be_cleared(sam: Person) -> None:
    people.subscription(people.customer())
    page = sam.open(f"{LIST}?state=paused&by=staff&ends_from=2026-11-01&ends_to=2026-12-01&q=nobody")
    assert page.status == 200
    assert "No subscription fits these filters." in page
    assert page.links["Clear all"] == LIST
    assert "2026-11-01" in page
    assert "Remove the filter Search nobody" in page
    without = page.html.partition('nobody</bdi> <a href="')[2].partition('"')[0]
    assert "q=" not in without
    assert "by=staff" in without


def test_before_there_is_any_it_says_where_they_come_from(sam: Person) -> None:
    assert "There are no subscriptions yet." in sam.open(LIST)


def test_next_and_previous_lead_through_all_of_them(sam: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.domain.listing.page.__defaults__", (None, 2))
    owner, sold = people.customer(), people.price()
    made = [people.subscription(owner, price_id=sold, card=None) for _ in range(5)]
    seen, page = [], sam.open(LIST)
    first = page.html
    while True:
        seen += [each for each in reversed(made) if f'{LIST}/{each}"' in page.html]
        if "Next" not in page.links:
            break
        page = sam.open(page.links["Next"])
    assert seen == made[::-1]
    sam.open(page.links["Previous"])
    page = sam.open(sam.page.links["Previous"]) if sam.page else page
    assert [each for each in made if f'{LIST}/{each}"' in page.html] == [
        each for each in made if f'{LIST}/{each}"' in first
    ]


@pytest.mark.parametrize(
    "query",
    [
        "state=x", "by=' OR 1=1", "sort=price", "ends_from=yesterday", "ends_to=0001-01-01", "ends_from=9999-99-99",
        "after=x", "after=%00", "before=W10", "after=WyJhIiwiYiJd", "after=WzFd", "after=" + "a" * 3000,
        "sort=ends&after=WzAsIngiLCJ5Il0", "sort=ends&after=Wzk5LCIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwieSJd",
        "after=WyJhXHUwMDAwIl0", "after=bnVsbA",
    ],
)  # fmt: skip
def test_an_address_that_we_did_not_make_is_refused_in_plain_words(sam: Person, query: str) -> None:
    people.subscription(people.customer())
    page = sam.open(f"{LIST}?{query}")
    assert page.status == 400
    assert "There is a problem." in page


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "{{ 7*7 }}", "'; DROP TABLE customers; --", "\x00\ud7ff%_"]
)
def test_hostile_text_is_text(sam: Person, text: str) -> None:
    people.subscription(people.customer(f"Eve {text}".replace("\x00", "")))
    page = sam.open(f"{LIST}?{urlencode({'q': text, 'product': text})}")
    assert page.status == 200
    assert "<script>" not in page.html
    assert "49" not in page.words or "{{" in page.words
    assert f"Eve {text}".replace("\x00", "").split()[0] in sam.open(LIST)


def test_signed_out_it_asks_to_sign_in_and_leads_back(person: Person) -> None:
    assert person.open(f"{LIST}?state=paused").path == "/console/sign-in"
    assert person.open(f"{LIST}.csv").path == "/console/sign-in"


def test_a_period_is_found_by_its_end_and_an_end_by_its_date(sam: Person) -> None:
    people.subscription(people.customer("In Time"))
    assert "In Time" in sam.open(f"{LIST}?ends_from=2026-12-01&ends_to=2026-12-31&sort=ends")
    assert "In Time" not in sam.open(f"{LIST}?ends_from=2027-02-01")
