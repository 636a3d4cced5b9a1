"""Signing in by a link in a mail: once, for ten minutes, the newest only; alike for every address."""

import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from portal import db, links, tokens
from portal.db import session, transaction
from portal.domain.browser_sessions import BrowserSession
from portal.domain.sign_in import SignInRequest
from tests import people, races, statements
from tests.customer import visits
from tests.customer.visits import ENDLESS_ADDRESS, UNKNOWN, get
from tests.person import Person

ADDRESS = "amelia@example.com"
CONFIRM = "/portal/sign-in/confirm"


@pytest.fixture(autouse=True)
def amelia(app: Any) -> str:
    return people.customer("Amelia Harper", email=ADDRESS)


def ask(person: Person, email: str = ADDRESS, **fields: str) -> Any:
    return visits.post(person, "/portal/sign-in", email=email, **fields)


def mailed_link() -> str:
    """The link of the newest sign-in mail."""
    mail = visits.mails("sign_in")[-1]
    with transaction():
        asked = session().get_one(SignInRequest, mail.facts["request"])
    return links.sign_in_url(asked.id, expires_at=asked.expires_at, issued_at=mail.created_at)


def sessions() -> int:
    with transaction():
        return session().scalar(select(func.count(BrowserSession.id))) or 0


def test_the_whole_way_from_the_page_to_the_portal(person: Person) -> None:
    person.open("/portal")
    assert person.page.path == "/portal/sign-in"
    assert "a sign-in link is on its way" in person.press("Email me a sign-in link", email=" Amelia@Example.com ")
    assert "The link works once, for 10 minutes." in person.page
    [mail] = visits.mails()
    assert (mail.kind, mail.status, mail.sent_at) == ("sign_in", "queued", None)
    assert "pga_" not in repr(mail.facts)
    person.open(mailed_link())
    assert sessions() == 0
    assert "Signed in as Amelia Harper" in person.press("Sign in")
    assert (person.page.path, sessions()) == ("/portal", 1)


def test_after_signing_in_the_page_that_was_wanted_opens(person: Person, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    person.open(f"/portal/subscriptions/{sub}/cancel")
    person.press("Email me a sign-in link", email=ADDRESS)
    person.open(mailed_link())
    assert person.press("Sign in").path == f"/portal/subscriptions/{sub}/cancel"
    person.press("Cancel at the end of the period")
    assert visits.events(sub)[0].way == "sign-in"


def test_a_link_works_once(person: Person, someone_else: Person) -> None:
    ask(person)
    link = mailed_link()
    person.open(link)
    person.press("Sign in")
    shown = someone_else.open(link)
    assert "This sign-in link no longer works" in shown
    again = visits.post(someone_else, CONFIRM, token=link.partition("token=")[2])
    assert (again.status, visits.cookie_of(someone_else), sessions()) == (403, None, 1)


def test_only_the_newest_link_works(person: Person) -> None:
    ask(person)
    older = mailed_link()
    ask(person)
    newest = mailed_link()
    assert older != newest
    assert visits.post(person, CONFIRM, token=older.partition("token=")[2]).status == 403
    assert visits.post(person, CONFIRM, token=newest.partition("token=")[2]).status == 303


def test_asking_for_somebody_else_does_not_end_ones_own_link(person: Person) -> None:
    ask(person)
    link = mailed_link()
    ask(person, "daniel@example.com")
    assert visits.post(person, CONFIRM, token=link.partition("token=")[2]).status == 303


@pytest.mark.parametrize(("minutes", "status"), [(9.99, 303), (10, 403), (600, 403)])
def test_a_link_works_for_ten_minutes(person: Person, the_clock: Any, minutes: float, status: int) -> None:
    ask(person)
    link = mailed_link()
    the_clock.advance(minutes=minutes)
    assert visits.post(person, CONFIRM, token=link.partition("token=")[2]).status == status


def test_opening_the_link_signs_nobody_in(person: Person) -> None:
    ask(person)
    for _ in range(3):
        person.client.head(mailed_link())
        assert person.client.get(mailed_link()).status_code == 200
    assert (visits.cookie_of(person), sessions()) == (None, 0)
    token = mailed_link().partition("token=")[2]
    assert person.client.post(f"{CONFIRM}?token={token}", data={"csrf_token": person.csrf_token()}).status_code == 403


def test_of_many_who_redeem_at_once_exactly_one_is_signed_in(app: Any, person: Person) -> None:
    ask(person)
    token = mailed_link().partition("token=")[2]
    racers = [Person(app) for _ in range(12)]
    forms = [{"csrf_token": racer.csrf_token(), "token": token} for racer in racers]
    pairs = zip(racers, forms, strict=True)
    statuses = races.at_once(partial(racer.client.post, CONFIRM, data=form) for racer, form in pairs)
    assert sorted(each.status_code for each in statuses) == [303] + [403] * 11
    assert sum(visits.cookie_of(racer) is not None for racer in racers) == 1
    assert sessions() == 1


def test_guessing_signs_nobody_in(person: Person) -> None:
    ask(person)
    token = mailed_link().partition("token=")[2]
    body, _, signature = token.rpartition(".")
    own = tokens.issue(tokens.SIGN_IN, f"sil_{UNKNOWN}", page="sign-in", expires_at=visits.minutes(10))
    csrf = person.csrf_token()
    guesses = [f"{body}.{signature[:i]}{'A' if signature[i] != 'A' else 'B'}{signature[i + 1 :]}" for i in range(43)]
    for guess in [*guesses, own, "", "pga_", token[:-1], token + "A", token * 3, "\x00", "é" * 100]:
        answer = person.client.post(CONFIRM, data={"csrf_token": csrf, "token": guess})
        assert answer.status_code == 403, guess
    assert sessions() == 0
    assert person.client.post(CONFIRM, data={"csrf_token": csrf, "token": token}).status_code == 303


def test_a_customer_and_a_stranger_are_answered_alike(app: Any) -> None:
    pages, work = {}, {}
    ask(Person(app), "somebody@example.com")  # so that this client has been counted before
    for email in (ADDRESS, "nobody@example.com"):
        somebody = Person(app)
        sent = {"csrf_token": somebody.csrf_token(), "email": email}
        with statements.seen() as work[email]:
            pages[email] = somebody.client.post("/portal/sign-in", data=sent)
    known, unknown = pages.values()
    assert known.status_code == unknown.status_code == 200
    assert visits.alike(known) == visits.alike(unknown)
    assert [name for name, _ in known.headers] == [name for name, _ in unknown.headers]
    assert [len(value) for _, value in known.headers] == [len(value) for _, value in unknown.headers]
    assert work[ADDRESS] == work["nobody@example.com"]
    assert not [s for s in work[ADDRESS] if "customers" in s]
    assert [mail.status for mail in visits.mails("sign_in")] == ["queued"] * 3


def test_a_stranger_who_redeems_is_signed_in_nowhere(person: Person) -> None:
    ask(person, "nobody@example.com")
    assert visits.post(person, CONFIRM, token=mailed_link().partition("token=")[2]).status == 403
    assert sessions() == 0


def test_an_archived_customer_is_signed_in_nowhere(person: Person, amelia: str) -> None:
    ask(person)
    with transaction():
        from portal.domain import customers

        customers.get(amelia).status = "archived"
    assert visits.post(person, CONFIRM, token=mailed_link().partition("token=")[2]).status == 403


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "amelia",
        "amelia@",
        "@example.com",
        "a b@example.com",
        "amelia@example.com\r\nBcc: all@example.com",
        "amelia@example.com, daniel@example.com",
        "<script>alert(1)</script>@example.com",
        "amelia@example.com\x00",
        "a" * 300 + "@example.com",
        "'; DROP TABLE customers; --",
        "{{7*7}}",
    ],
)
def test_what_is_no_address_is_said_and_nothing_is_sent(person: Person, email: str) -> None:
    answer = ask(person, email)
    assert answer.status == 400
    assert "Enter an email address" in answer
    assert "<script>alert" not in answer.html
    assert visits.mails() == []


def test_an_address_made_to_be_judged_for_minutes_is_refused_at_once(person: Person) -> None:
    ask(person)
    began = time.process_time()
    answer = ask(person, ENDLESS_ADDRESS)
    assert time.process_time() - began < 0.5
    assert (answer.status, "Enter an email address" in answer) == (400, True)
    assert len(visits.mails()) == 1


def test_two_addresses_that_differ_in_one_letter_are_two_people(person: Person) -> None:
    people.customer("Jan Groß", email="Jan@Groß.example")
    people.customer("Jan Gross", email="jan@gross.example")
    ask(person, "JAN@groß.example")
    person.open(mailed_link())
    assert "Signed in as Jan Groß" in person.press("Sign in")


def test_who_is_signed_in_as_another_becomes_the_one_who_redeems(person: Person) -> None:
    visits.come_in(person, people.customer("Daniel Okoro"))
    ask(person)
    person.open(mailed_link())
    assert "Signed in as Amelia Harper" in person.press("Sign in")
    assert sessions() == 1


def test_the_mail_is_asked_for_in_the_language_of_the_browser(person: Person) -> None:
    csrf = person.csrf_token()
    person.client.post(
        "/portal/sign-in", data={"csrf_token": csrf, "email": ADDRESS}, headers={"Accept-Language": "de-AT,de;q=0.9"}
    )
    assert visits.mails()[0].locale == "de"
    assert get(person, "/portal/sign-in", **{"Accept-Language": "\x7f, {{7*7}};q=x, en_US@x"}).status == 200
    assert db.is_connected()
