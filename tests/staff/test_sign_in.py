"""Staff sign in by a link in a mail: once, for ten minutes, the newest only; alike for every address."""

import re
import time
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal import access, config, links, tokens
from portal.db import session, transaction
from portal.domain import staff
from portal.domain.actors import shell
from portal.domain.staff_sessions import StaffSession
from portal.domain.staff_sign_in import StaffSignIn
from portal.outbox import delivery
from portal.worker import housekeeping
from tests import races, statements
from tests.customer import visits
from tests.person import Page, Person
from tests.smtp import MailServer
from tests.staff import console

ADDRESS = "sam@aeroedit.example"
CONFIRM = "/console/sign-in/confirm"


@pytest.fixture(autouse=True)
def sam(app: Flask) -> Any:
    console.member("admin", "Ada Admin")
    return console.member()


def ask(person: Person, email: str = ADDRESS, client: str = "203.0.113.7", **fields: str) -> Page:
    sent = {"csrf_token": person.csrf_token(), "email": email, **fields}
    answer = person.client.post("/console/sign-in", data=sent, environ_overrides={"REMOTE_ADDR": client})
    return Page(answer)


def link() -> str:
    """The link of the newest sign-in mail."""
    mail = visits.mails("staff_sign_in")[-1]
    with transaction():
        asked = session().get_one(StaffSignIn, mail.facts["request"])
    return links.staff_sign_in_url(asked.id, expires_at=asked.expires_at, issued_at=mail.created_at)


def token() -> str:
    return link().partition("token=")[2]


def sessions() -> int:
    with transaction():
        return session().scalar(select(func.count(StaffSession.id))) or 0


def cookie_of(person: Person) -> str | None:
    found = person.client.get_cookie(access.staff_cookie_name())
    return found.value if found else None


def test_the_whole_way_from_the_page_to_the_console(person: Person) -> None:
    assert person.open("/console/account").path == "/console/sign-in"
    sent = person.press("Email me a sign-in link", email=" Sam@AeroEdit.example ")
    assert "If this address is on the staff, a sign-in link is on its way." in sent
    assert "The link works once, for 10 minutes." in sent
    [mail] = visits.mails()
    assert (mail.kind, mail.status, mail.locale) == ("staff_sign_in", "queued", "en")
    assert "pga_" not in repr(mail.facts)
    person.open(link())
    assert sessions() == 0
    assert "Your account" in person.press("Sign in")
    assert (person.page.path, sessions()) == ("/console/account", 1)  # type: ignore[union-attr]
    [entry] = console.audited("staff.signed_in")
    assert (entry.actor_name, entry.way, entry.facts["signed_in_by"]) == ("Sam Support", "console", "email link")


def test_the_mail_goes_to_people_on_the_staff_only_and_to_their_address_on_file(
    person: Person, smtp: MailServer
) -> None:
    ask(person, "SAM@aeroedit.example")
    ask(person, "nobody@aeroedit.example")
    delivery.send_due()
    [received] = smtp.received
    assert received.recipients == (ADDRESS,)
    assert received.subject == "Sign in to the console of AeroEdit"
    assert link_in(received.text).startswith("http://localhost/console/sign-in/confirm?token=pga_")
    assert sorted((mail.status, mail.last_error) for mail in visits.mails()) == [
        ("dropped", "nobody on the staff has this address"),
        ("sent", None),
    ]
    person.open(link_in(received.text))
    assert person.press("Sign in").status != 403


def link_in(text: str) -> str:
    return next(word for word in text.split() if word.startswith("http"))


def test_a_mail_for_a_link_that_was_replaced_is_not_sent(person: Person, smtp: MailServer) -> None:
    ask(person)
    ask(person)
    delivery.send_due()
    assert len(smtp.received) == 1
    assert sorted(mail.status for mail in visits.mails()) == ["dropped", "sent"]


def test_a_link_works_once(person: Person, someone_else: Person) -> None:
    ask(person)
    mailed = link()
    person.open(mailed)
    person.press("Sign in")
    assert "This sign-in link no longer works" in someone_else.open(mailed)
    again = visits.post(someone_else, CONFIRM, token=mailed.partition("token=")[2])
    assert (again.status, cookie_of(someone_else), sessions()) == (403, None, 1)


def test_only_the_newest_link_works(person: Person) -> None:
    ask(person)
    older = token()
    ask(person)
    newest = token()
    assert visits.post(person, CONFIRM, token=older).status == 403
    assert visits.post(person, CONFIRM, token=newest).status == 303


@pytest.mark.parametrize(("minutes", "status"), [(9.99, 303), (10, 403), (600, 403)])
def test_a_link_works_for_ten_minutes(person: Person, the_clock: Any, minutes: float, status: int) -> None:
    ask(person)
    mailed = token()
    the_clock.advance(minutes=minutes)
    assert visits.post(person, CONFIRM, token=mailed).status == status


def test_opening_the_link_signs_nobody_in(person: Person) -> None:
    ask(person)
    for _ in range(3):
        person.client.head(link())
        assert person.client.get(link()).status_code == 200
    assert (cookie_of(person), sessions()) == (None, 0)
    assert person.client.post(f"{CONFIRM}?token={token()}", data={"csrf_token": person.csrf_token()}).status_code == 403
    assert person.client.post(CONFIRM, data={"token": token()}).status_code == 403
    assert sessions() == 0


def test_of_many_who_redeem_at_once_exactly_one_is_signed_in(app: Flask, person: Person) -> None:
    ask(person)
    racers = [Person(app) for _ in range(8)]
    sent = [{"csrf_token": racer.csrf_token(), "token": token()} for racer in racers]
    pairs = zip(racers, sent, strict=True)
    statuses = races.at_once(partial(racer.client.post, CONFIRM, data=fields) for racer, fields in pairs)
    assert sorted(each.status_code for each in statuses) == [303] + [403] * 7
    assert sessions() == 1


def test_guessing_signs_nobody_in(person: Person) -> None:
    ask(person)
    mailed = token()
    body, _, signature = mailed.rpartition(".")
    with transaction():
        asked = session().scalar(select(StaffSignIn.id))
    customers = tokens.issue(tokens.SIGN_IN, asked or "", page="sign-in", expires_at=visits.minutes(10))
    unknown = tokens.issue(tokens.STAFF_SIGN_IN, f"ssi_{visits.UNKNOWN}", page="console", expires_at=visits.minutes(10))
    guesses = [f"{body}.{signature[:i]}{'A' if signature[i] != 'A' else 'B'}{signature[i + 1 :]}" for i in range(43)]
    csrf = person.csrf_token()
    for guess in [*guesses, customers, unknown, "", "pga_", mailed[:-1], mailed * 3, "\x00", "é" * 100]:
        assert person.client.post(CONFIRM, data={"csrf_token": csrf, "token": guess}).status_code == 403, guess
    assert visits.post(person, "/portal/sign-in/confirm", token=mailed).status == 403
    assert sessions() == 0
    assert person.client.post(CONFIRM, data={"csrf_token": csrf, "token": mailed}).status_code == 303


def test_who_was_removed_meanwhile_is_signed_in_nowhere_even_when_added_again(person: Person) -> None:
    ask(person)
    mailed = token()
    with transaction():
        staff.remove(staff.by_email(ADDRESS), by=shell())  # type: ignore[arg-type]
    assert visits.post(person, CONFIRM, token=mailed).status == 403
    console.member()
    assert visits.post(person, CONFIRM, token=mailed).status == 403
    assert sessions() == 0


def test_a_colleague_and_a_stranger_are_answered_alike(app: Flask) -> None:
    pages, work = {}, {}
    ask(Person(app), "somebody@example.com")  # so that this client has been counted before
    for email in (ADDRESS, "nobody@example.com"):
        somebody = Person(app)
        sent = {"csrf_token": somebody.csrf_token(), "email": email}
        with statements.seen() as work[email]:
            pages[email] = somebody.client.post(
                "/console/sign-in", data=sent, environ_overrides={"REMOTE_ADDR": "203.0.113.7"}
            )
    known, unknown = pages.values()
    assert known.status_code == unknown.status_code == 200
    assert visits.alike(known) == visits.alike(unknown)
    assert [(name, len(value)) for name, value in known.headers] == [(n, len(v)) for n, v in unknown.headers]
    assert work[ADDRESS] == work["nobody@example.com"]
    assert not [each for each in work[ADDRESS] if re.search(r"\bstaff\b", each)]
    assert [mail.status for mail in visits.mails("staff_sign_in")] == ["queued"] * 3


def test_one_address_gets_five_mails_an_hour_known_or_not(person: Person, the_clock: Any) -> None:
    clients = iter(f"203.0.113.{n}" for n in range(1, 99))
    for email in (ADDRESS, "nobody@example.com"):
        assert [ask(person, email, next(clients)).status for _ in range(6)] == [200] * 5 + [429]
    refused = ask(person, " SAM@aeroedit.example", next(clients))
    assert "Too many requests" in refused
    assert len(visits.mails()) == 10
    the_clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert ask(person, ADDRESS, next(clients)).status == 200


def test_one_client_may_ask_thirty_times_an_hour(person: Person) -> None:
    assert [ask(person, f"p{n}@example.com").status for n in range(32)] == [200] * 30 + [429] * 2
    assert ask(person, "another@example.com", client="198.51.100.9").status == 200


def test_a_link_that_was_sent_is_never_limited_away(person: Person) -> None:
    ask(person)
    mailed = token()
    for n in range(32):
        ask(person, f"p{n}@example.com")
    assert visits.post(person, CONFIRM, token=mailed).status == 303


@pytest.mark.parametrize(
    "email",
    [
        "",
        "sam",
        "sam@",
        "a b@example.com",
        "sam@example.com\r\nBcc: all@example.com",
        "<script>x</script>@e.com",
        "\x00",
    ],
)
def test_what_is_no_address_is_said_and_nothing_is_sent(person: Person, email: str) -> None:
    answer = ask(person, email)
    assert answer.status == 400
    assert "Enter an email address" in answer
    assert "<script>x" not in answer.html
    assert visits.mails() == []


def test_an_address_made_to_be_judged_for_minutes_is_refused_at_once(person: Person) -> None:
    ask(person)
    began = time.process_time()
    answer = ask(person, visits.ENDLESS_ADDRESS)
    assert time.process_time() - began < 0.5
    assert (answer.status, "Enter an email address" in answer) == (400, True)


@pytest.mark.parametrize(
    ("wanted", "opened"),
    [
        ("/console/account?x=1", "/console/account?x=1"),
        ("/console?x=1", "/console?x=1"),
        ("/console/subscriptions/sub_1/cancel", "/console/subscriptions/sub_1/cancel"),
        ("/console/sign-out", "/console"),
        ("/console/subscriptions/sub_1/cancel/", "/console"),
        ("/console/nothing", "/console"),
        ("https://evil.example", "/console"),
        ("//evil.example", "/console"),
        ("/console//evil.example", "/console"),
        ("/console\\evil", "/console"),
        ("/console/../portal?token=pga_x", "/console"),
        ("/console/%2E%2e/portal", "/console"),
        ("/console/./%2e./portal", "/console"),
        ("/console/\r\nSet-Cookie: x=1", "/console"),
        ("/consoles", "/console"),
        ("/portal", "/console"),
        ("/console/" + "x" * 2000, "/console"),
        ("", "/console"),
    ],
)
def test_after_signing_in_a_page_of_the_console_opens_and_no_other(person: Person, wanted: str, opened: str) -> None:
    ask(person, next=wanted)
    assert visits.post(person, CONFIRM, token=token()).headers["Location"] == opened


def test_signing_in_gives_a_new_cookie_and_ends_what_was_in_this_browser(app: Flask) -> None:
    ada = console.colleague(app, "admin", "Ada Admin")
    before = cookie_of(ada)
    ask(ada)
    assert visits.post(ada, CONFIRM, token=token()).status == 303
    assert "Sam Support" in ada.open("/console/account")
    assert cookie_of(ada) not in (None, before)
    assert sessions() == 1


def test_the_cookie_is_for_browsers_only_and_for_https_where_there_is_https(
    app: Flask, person: Person, configure: Any
) -> None:
    ask(person)
    mailed = token()
    plain = visits.post(person, CONFIRM, token=mailed).headers["Set-Cookie"]
    assert plain.startswith("console=")
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    configure(base_url="https://account.aeroedit.example")
    assert config.current().secure
    assert access.staff_cookie_name() == "__Host-console"


def test_a_foreign_site_can_not_ask_or_redeem(person: Person) -> None:
    ask(person)
    for path, fields in (("/console/sign-in", {"email": ADDRESS}), (CONFIRM, {"token": token()})):
        sent = {"csrf_token": person.csrf_token(), **fields}
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert person.client.post(path, data=sent, headers=headers).status_code == 403
    assert sessions() == 0


def test_old_sign_ins_and_sessions_are_forgotten(person: Person, the_clock: Any, monkeypatch: Any) -> None:
    ask(person)
    visits.post(person, CONFIRM, token=token())
    the_clock.advance(days=8)
    monkeypatch.setattr(housekeeping, "_next", None)
    housekeeping.tidy()
    with transaction():
        assert session().scalar(select(func.count(StaffSignIn.id))) == 0
    assert sessions() == 0
