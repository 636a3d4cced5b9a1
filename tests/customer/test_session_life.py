"""How long a browser session lives: idle, at the latest, and whose it is (T14)."""

from typing import Any

import pytest

from portal.db import session, transaction
from portal.domain import browser_sessions, customers
from portal.domain.browser_sessions import BrowserSession
from tests import people
from tests.customer import visits
from tests.customer.visits import email_link, get
from tests.person import Person


@pytest.fixture
def amelia(app: Any) -> str:
    return people.customer("Amelia Harper")


def is_in(person: Person) -> bool:
    return get(person, "/portal").status == 200


def test_it_ends_after_an_hour_without_a_request(person: Person, amelia: str, the_clock: Any) -> None:
    visits.come_in(person, amelia)
    the_clock.advance(minutes=59)
    assert is_in(person)
    the_clock.advance(minutes=60)
    assert not is_in(person)


def test_every_request_keeps_it_alive_but_for_a_day_at_the_longest(person: Person, amelia: str, the_clock: Any) -> None:
    visits.come_in(person, amelia)
    for _ in range(47):
        the_clock.advance(minutes=30)
        assert is_in(person)
    the_clock.advance(minutes=30)
    assert not is_in(person)


def test_a_form_sent_after_the_end_changes_nothing(person: Person, amelia: str, the_clock: Any) -> None:
    sub = visits.subscribed(amelia)
    person.open(email_link("cancel", sub))
    form = person.page.forms[-1]
    the_clock.advance(minutes=61)
    answer = person.client.post(form.action, data=form.fields)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/portal/sign-in")
    assert not visits.is_scheduled(sub)


def test_another_link_does_not_prolong_what_an_earlier_one_allowed(person: Person, amelia: str, the_clock: Any) -> None:
    """Else a week-old cancel link, followed every hour, would keep the whole portal open for a week."""
    sub = visits.subscribed(amelia)
    visits.come_in(person, amelia)
    link = email_link("cancel", sub)
    for _ in range(30):
        the_clock.advance(minutes=50)
        person.open(link)
    assert get(person, f"/portal/subscriptions/{sub}/cancel").status == 200
    assert not is_in(person)


def test_the_cookie_changes_with_every_link(person: Person, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    seen = set()
    for page in ("cancel", "payment", "cancel", "keep"):
        person.open(email_link(page, sub))
        seen.add(visits.cookie_of(person))
    assert len(seen) == 4
    with transaction():
        assert session().query(BrowserSession).count() == 1


def test_the_cookie_before_a_link_is_worth_nothing_after_it(person: Person, someone_else: Person, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    person.open(email_link("cancel", sub))
    old = visits.cookie_of(person) or ""
    visits.come_in(person, amelia)
    someone_else.client.set_cookie("portal", old)
    assert get(someone_else, f"/portal/subscriptions/{sub}/cancel").status == 303


def test_a_cookie_planted_by_somebody_else_is_not_adopted(person: Person, amelia: str) -> None:
    planted = "A" * 43
    person.client.set_cookie("portal", planted)
    visits.come_in(person, amelia)
    assert visits.cookie_of(person) != planted
    stranger = Person(person.client.application)
    stranger.client.set_cookie("portal", planted)
    assert not is_in(stranger)


def test_a_session_planted_by_another_customer_gets_none_of_the_victims_power(
    person: Person, someone_else: Person, amelia: str
) -> None:
    visits.come_in(someone_else, people.customer("Daniel Okoro"))
    planted = visits.cookie_of(someone_else) or ""
    person.client.set_cookie("portal", planted)
    visits.come_in(person, amelia)
    assert "Signed in as Amelia Harper" in person.page
    assert visits.cookie_of(person) != planted
    assert not is_in(someone_else)


def test_no_made_up_cookie_opens_anything(person: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    with transaction():
        stored = session().query(BrowserSession).one().id
    for value in (stored, "", "' OR 1=1 --", "x" * 4000, "%00", "é", "admin", amelia):
        person.client.set_cookie("portal", value)
        page = get(person, "/portal")
        assert (page.status, page.headers["Location"].partition("?")[0]) == (303, "/portal/sign-in"), value


def test_an_archived_customer_is_out_from_the_next_request_on(person: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    with transaction():
        customers.get(amelia).status = "archived"
    assert not is_in(person)


def test_signing_out_everywhere_ends_every_browser(person: Person, someone_else: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    visits.come_in(someone_else, amelia)
    with transaction():
        browser_sessions.end_all_of(amelia)
    assert not is_in(person)
    assert not is_in(someone_else)
