"""One customer as staff see them: who they are, what they have and paid, where they are signed in."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock, ids
from portal.db import session, transaction
from portal.domain import actors, bills, customers, payment_methods, subscriptions
from portal.domain.actors import Actor, system
from portal.domain.customers import Address, Business
from portal.domain.payment_methods import Card
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN
from tests.person import Page, Person
from tests.staff import console


def page_of(app: Flask, customer_id: str, rest: str = "") -> Page:
    return console.colleague(app).open(f"/console/customers/{customer_id}{rest}")


def billed(sub: str, count: int = 1) -> list[str]:
    """Bills of a subscription, oldest first; gives their ids."""
    made = []
    with transaction():
        for n in range(count):
            begins = NOW - timedelta(days=30 * (n + 1))
            made.append(bills.bill(subscriptions.get(sub), starts_at=begins, ends_at=begins, by=system()).id)
    return made


def test_who_they_are_stands_there(app: Flask) -> None:
    zone = {"custom_data": {"time_zone": "Europe/Berlin"}}
    her = people.customer("Jürgen Groß", email="juergen@example.com", locale="de-AT", **zone)
    now = clock.now()
    with transaction():
        for kind, more in (
            (Address, {"id": ids.new("add"), "first_line": "Ring 1", "city": "Wien", "country_code": "AT"}),
            (Address, {"id": ids.new("add"), "first_line": "Gone", "country_code": "AT", "status": "archived"}),
            (Business, {"id": ids.new("biz"), "name": "Groß GmbH", "tax_identifier": "ATU1", "contacts": []}),
        ):
            session().add(kind(**{"customer_id": her, "created_at": now, "updated_at": now} | more))
    shown = page_of(app, her)
    assert "Jürgen Groß Active" in shown
    assert "Email juergen@example.com Language German (Austria) Time zone Europe/Berlin" in shown
    assert "Customer since 21 November 2026 at 12:00 UTC" in shown
    assert "Address Ring 1, Wien, AT" in shown
    assert "Business Groß GmbH , ATU1" in shown
    assert "Gone" not in shown


def test_what_can_be_done_for_them_is_linked(app: Flask) -> None:
    her = people.customer()
    links = console.colleague(app, "admin", "Ada Admin").open(f"/console/customers/{her}").links
    assert links["Send or copy a link"] == f"/console/customers/{her}/link"
    assert links["Change the email address"] == f"/console/customers/{her}/email"
    assert links["End all sessions and links"] == f"/console/customers/{her}/sign-out"
    assert {*links} - {*page_of(app, her).links} >= {"Change the email address", "End all sessions and links"}


def test_who_has_nothing_has_a_page_that_says_so(app: Flask) -> None:
    shown = page_of(app, people.customer())
    assert shown.status == 200
    for words in (
        "They have none.",
        "Nothing has been billed yet.",
        "No card is stored",
        "nowhere at the moment",
        "Nothing has happened yet.",
        "not known, so they read UTC",
    ):
        assert words in shown
    assert "None" not in shown.words


def test_somebody_without_a_name_is_called_by_their_address(app: Flask) -> None:
    her = people.customer(email="nobody@example.com")
    with transaction():
        customers.update(customers.locked(her), {"name": None}, by=actors.shell())
    shown = page_of(app, her)
    assert "nobody@example.com Active" in shown


@pytest.mark.parametrize("locale", ["tlh-KLINGON", "x", "", "de_DE", "zz-ZZ-zz"])
def test_a_language_that_nobody_knows_breaks_nothing(app: Flask, locale: str) -> None:
    assert page_of(app, people.customer(locale=locale)).status == 200


def test_subscriptions_are_listed_pending_ones_first(app: Flask) -> None:
    her = people.customer()
    ended = visits.subscribed(her, price_id=people.price(product="Old"), **visits.CANCELED)
    visits.subscribed(her, price_id=people.price(product="Now"))
    visits.subscribed(her, price_id=people.price(product="Going"), **visits.ending())
    shown = page_of(app, her)
    words = shown.words
    assert words.index("Going Pending cancellation Ends on 11 December 2026") < words.index(
        "Now Active Next payment on"
    )
    assert words.index("Now Active") < words.index("Old Canceled Ended on 20 November 2026")
    assert shown.links["Old"] == f"/console/subscriptions/{ended}"


def test_payments_over_all_subscriptions_are_listed_the_latest_first(app: Flask) -> None:
    her = people.customer()
    first, second = visits.subscribed(her), visits.subscribed(her)
    old, new = billed(first) + billed(second)
    shown = page_of(app, her)
    assert shown.html.index(new) < shown.html.index(old)
    assert f"/console/transactions/{old}/invoice.pdf" in shown.html
    assert "All payments" not in shown


def test_more_payments_than_the_page_shows_are_paged(app: Flask) -> None:
    her = people.customer()
    made = billed(visits.subscribed(her), 58)[::-1]
    sam = console.colleague(app)

    def listed(page: Page) -> list[str]:
        return [each for each in made if f"/console/transactions/{each}/invoice.pdf" in page.html]

    assert listed(sam.open(f"/console/customers/{her}")) == made[:20]
    assert sam.page is not None
    page = sam.open(sam.page.links["All payments"])
    assert listed(page) == made[:50]
    page = sam.open(page.links["Older payments"])
    assert listed(page) == made[50:]
    assert "Older payments" not in page.links
    assert listed(sam.open(page.links["Newest payments"])) == made[:50]


@pytest.mark.parametrize("before", ["x", "txn_", "' OR 1=1 --", "%00", f"txn_{'0' * 26}"])
def test_an_address_that_names_no_payment_shows_a_page(app: Flask, before: str) -> None:
    her = people.customer()
    billed(visits.subscribed(her))
    page = page_of(app, her, f"/payments?before={before}")
    assert page.status == 200
    assert "There are no older payments." in page or "$300.00" in page


def test_cards_are_listed_with_their_expiry(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed()
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", "Amelia Harper")
        card = Card("mastercard", "4444", 12, 2026, "sandbox", "sandbox_other")
        payment_methods.replace(subscriptions.get(sub), card, by=by, next_payment={})
    assert "Mastercard ending in 4444, expires 12/2026 Visa ending in 4242, expires 07/2029" in page_of(
        app, visits.owner(sub)
    )
    the_clock.advance(days=45)
    assert "expires 12/2026 It has expired." in page_of(app, visits.owner(sub))


def test_where_they_are_signed_in_is_counted(app: Flask, person: Person, someone_else: Person, the_clock: Any) -> None:
    her = visits.owner(visits.subscribed())
    for each in (person, someone_else):
        visits.come_in(each, her)
    assert "in 2 browsers at the moment" in page_of(app, her)
    someone_else.open("/portal")
    someone_else.press("Sign out")
    assert "in 1 browser at the moment" in page_of(app, her)
    the_clock.advance(days=2)
    assert "nowhere at the moment" in page_of(app, her)


def test_an_archived_customer_is_shown_as_one(app: Flask) -> None:
    assert "Amelia Harper Archived" in page_of(app, people.customer(status="archived"))


def test_payments_of_somebody_unknown_are_not_found(app: Flask) -> None:
    assert page_of(app, f"ctm_{UNKNOWN}", "/payments").status == 404
    assert console.colleague(app).open(f"/console/customers/{UNKNOWN}").status == 404


def test_looking_changes_nothing(app: Flask) -> None:
    her = visits.owner(visits.subscribed())
    sam = console.colleague(app)
    before = visits.records()
    sam.open(f"/console/customers/{her}")
    sam.open(f"/console/customers/{her}/payments")
    assert visits.records() == before
    assert console.audited() == []
