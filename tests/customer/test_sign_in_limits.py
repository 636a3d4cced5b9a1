"""Sign-in forms are limited per address and per client; a valid link is never limited away (T13, T21)."""

from typing import Any

from tests import people
from tests.customer import visits
from tests.customer.visits import email_link
from tests.person import Person

ADDRESS = "amelia@example.com"


def ask(person: Person, email: str, client: str = "203.0.113.7") -> Any:
    form = {"csrf_token": person.csrf_token(), "email": email}
    return person.client.post("/portal/sign-in", data=form, environ_overrides={"REMOTE_ADDR": client})


def test_one_address_gets_five_mails_an_hour(person: Person, the_clock: Any) -> None:
    people.customer("Amelia Harper", email=ADDRESS)
    clients = (f"203.0.113.{n}" for n in range(1, 99))
    assert [ask(person, ADDRESS, next(clients)).status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = ask(person, " AMELIA@example.com", next(clients))
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert "Too many requests" in refused.text
    assert len(visits.mails("sign_in")) == 5
    the_clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert ask(person, ADDRESS, next(clients)).status_code == 200
    assert ask(person, ADDRESS, next(clients)).status_code == 429


def test_an_address_that_is_unknown_is_limited_alike(person: Person) -> None:
    people.customer("Amelia Harper", email=ADDRESS)
    known = [ask(person, ADDRESS).status_code for _ in range(6)]
    assert [ask(person, "nobody@example.com").status_code for _ in range(6)] == known == [200] * 5 + [429]


def test_one_client_may_ask_thirty_times_an_hour(person: Person) -> None:
    statuses = [ask(person, f"person{n}@example.com").status_code for n in range(32)]
    assert statuses == [200] * 30 + [429] * 2
    assert ask(person, "another@example.com", client="198.51.100.9").status_code == 200
    assert len(visits.mails("sign_in")) == 31


def test_a_refused_form_has_stored_nothing(person: Person) -> None:
    for _ in range(5):
        ask(person, ADDRESS)
    before = visits.records()
    assert ask(person, ADDRESS).status_code == 429
    assert visits.records() == before


def test_a_valid_cancel_link_is_never_limited_away(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper", email=ADDRESS)
    sub = visits.subscribed(amelia)
    for n in range(40):
        ask(person, f"person{n}@example.com", client="127.0.0.1")
        ask(person, ADDRESS, client="127.0.0.1")
    assert ask(person, ADDRESS, client="127.0.0.1").status_code == 429
    for _ in range(50):
        assert Person(app).open(email_link("cancel", sub)).status == 200
    person.open(email_link("cancel", sub))
    assert "Your cancellation is recorded" in person.press("Cancel at the end of the period")
    assert visits.is_scheduled(sub)
