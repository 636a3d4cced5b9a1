"""All of a customer's sessions and links are ended at once, from the console."""

from typing import Any

import pytest
from flask import Flask

from portal import links
from portal.db import transaction
from portal.domain import sign_in
from tests import people
from tests.customer import visits
from tests.person import Person
from tests.staff import console

AMELIA = "amelia@example.com"


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email=AMELIA)


def test_browsers_links_and_sign_in_requests_end_and_the_page_says_how_many(app: Flask, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    laptop, phone = visits.come_in(Person(app), amelia), visits.come_in(Person(app), amelia)
    other = visits.come_in(Person(app), visits.owner(visits.subscribed()))
    in_mail = visits.email_link("cancel", sub)
    of_app = visits.open_session(app, amelia, [sub])["urls"]["general"]["overview"]
    with transaction():
        sign_in.request(AMELIA, next_path="/portal", locale="en", client="")
    request = visits.mails("sign_in")[0].facts["request"]
    asked = links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0))

    ada = console.colleague(app, "admin", "Ada Admin")
    ada.open(f"/console/customers/{amelia}/sign-out")
    page = ada.press("End all sessions and links")
    assert "Amelia Harper is signed out everywhere" in page
    assert "2 browsers were signed out, and 1 link of apps and staff called back." in page
    for browser in (laptop, phone):
        assert browser.open("/portal").path == "/portal/sign-in"
    assert other.open("/portal").path == "/portal"
    for url in (in_mail, of_app):
        assert visits.get(Person(app), url).status == 410
    assert "Sign in" not in [b["text"] for f in Person(app).open(asked).forms for b in f.buttons]
    (entry,) = console.audited()
    assert (entry.action, entry.subject_id, entry.customer_id) == ("customer.signed_out", amelia, amelia)
    assert (entry.actor_name, entry.facts) == ("Ada Admin", {"browsers": 2, "links": 1})
    assert visits.events(sub) == []


def test_links_that_are_made_afterwards_work(app: Flask, amelia: str, the_clock: Any) -> None:
    ada = console.colleague(app, "admin", "Ada Admin")
    ada.submit(f"/console/customers/{amelia}/sign-out")
    the_clock.advance(seconds=1)
    assert visits.come_in(Person(app), amelia).open("/portal").path == "/portal"


def test_asked_twice_nothing_is_left_to_end(app: Flask, amelia: str) -> None:
    visits.come_in(Person(app), amelia)
    ada = console.colleague(app, "admin", "Ada Admin")
    ada.submit(f"/console/customers/{amelia}/sign-out")
    page = ada.submit(f"/console/customers/{amelia}/sign-out")
    assert "0 browsers were signed out, and 0 links" in page
    assert [each.facts["browsers"] for each in console.audited()] == [1, 0]


def test_looking_at_the_page_ends_nothing(app: Flask, amelia: str, person: Person) -> None:
    visits.come_in(person, amelia)
    ada = console.colleague(app, "admin", "Ada Admin")
    ada.open(f"/console/customers/{amelia}/sign-out?done=ended")
    assert "is signed out everywhere" not in ada.page  # type: ignore[operator]
    assert person.open("/portal").path == "/portal"


def test_only_admins_end_sessions(app: Flask, amelia: str, person: Person) -> None:
    sam, before = console.colleague(app), visits.records()
    assert sam.open(f"/console/customers/{amelia}/sign-out").status == 403
    assert sam.submit(f"/console/customers/{amelia}/sign-out").status == 403
    assert person.submit(f"/console/customers/{amelia}/sign-out").path == "/console/sign-in"
    assert visits.records() == before


def test_unknown_customers_and_hostile_names(app: Flask) -> None:
    ada, odd = console.colleague(app, "admin", "Ada Admin"), people.customer("<script>x</script>{{ 7*7 }}")
    assert ada.open(f"/console/customers/ctm_{visits.UNKNOWN}/sign-out").status == 404
    assert ada.submit(f"/console/customers/ctm_{visits.UNKNOWN}/sign-out").status == 404
    page = ada.open(f"/console/customers/{odd}/sign-out")
    assert "<script>x</script>{{ 7*7 }}" in page
    assert "<script>x" not in page.html
