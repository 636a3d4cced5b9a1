"""A customer signs out: on the server, at once."""

from typing import Any

import pytest
from sqlalchemy import func, select

from portal.db import session, transaction
from portal.domain.browser_sessions import BrowserSession, Grant
from tests import people
from tests.customer import visits
from tests.customer.visits import email_link, get
from tests.person import Person


@pytest.fixture
def amelia(app: Any) -> str:
    return people.customer("Amelia Harper")


def rows() -> tuple[int, int]:
    with transaction():
        return (
            session().scalar(select(func.count(BrowserSession.id))) or 0,
            session().scalar(select(func.count(Grant.id))) or 0,
        )


def test_signing_out_ends_the_session_on_the_server(person: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    cookie = visits.cookie_of(person) or ""
    assert "You are signed out" in person.press("Sign out")
    assert visits.cookie_of(person) is None
    assert rows() == (0, 0)
    person.client.set_cookie("portal", cookie)
    assert get(person, "/portal").headers["Location"].startswith("/portal/sign-in")


def test_an_old_form_sent_after_signing_out_changes_nothing(person: Person, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    person.open(email_link("cancel", sub))
    form = person.page.forms[-1]
    cookie = visits.cookie_of(person) or ""
    person.press("Sign out")
    person.client.set_cookie("portal", cookie)
    answer = person.client.post(form.action, data=form.fields)
    assert answer.location.startswith("/portal/sign-in")
    assert not visits.is_scheduled(sub)


def test_signing_out_twice_or_without_a_session_is_harmless(person: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    for _ in range(2):
        assert visits.post(person, "/portal/sign-out").headers["Location"] == "/portal/signed-out"
    assert person.open("/portal/signed-out").status == 200


def test_only_this_browser_is_signed_out(person: Person, someone_else: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    visits.come_in(someone_else, amelia)
    person.press("Sign out")
    assert get(someone_else, "/portal").status == 200
    assert rows() == (1, 1)


def test_no_link_and_no_other_site_signs_anybody_out(person: Person, amelia: str) -> None:
    visits.come_in(person, amelia)
    csrf = person.csrf_token()
    assert person.client.get("/portal/sign-out").status_code == 405
    assert person.client.post("/portal/sign-out").status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert person.client.post("/portal/sign-out", data={"csrf_token": csrf}, headers=foreign).status_code == 403
    assert get(person, "/portal").status == 200
