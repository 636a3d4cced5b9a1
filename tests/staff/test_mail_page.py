"""One mail in the console: what it says, without its power; and sending it again, to whom it was written for."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.db import session, transaction
from portal.domain import (
    browser_sessions,
    cancellation,
    customers,
    mails,
    notifications,
    resending,
    sign_in,
    subscriptions,
)
from portal.domain.actors import Actor, shell
from portal.domain.mails import KINDS, Mail
from portal.outbox import delivery
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.outbox.letters import letter
from tests.person import Person
from tests.staff import console

AMELIA = "amelia@example.com"


def canceled(**more: Any) -> tuple[str, Mail]:
    """A subscription whose customer has canceled it, and the mail of that."""
    sub = visits.subscribed(people.customer("Amelia Harper", email=AMELIA, **more))
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", "Amelia Harper")
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    return sub, visits.mails("cancellation_scheduled")[-1]


def settled(mail: Mail, **outcome: Any) -> None:
    with transaction():
        row = session().get_one(Mail, mail.id)
        for name, value in ({"status": "sent", "sent_at": NOW, "attempts": 1} | outcome).items():
            setattr(row, name, value)


def test_it_shows_what_was_sent_to_whom_and_what_became_of_it(app: Flask) -> None:
    sub, mail = canceled()
    settled(mail, status="failed", sent_at=None, attempts=11, last_error="550 no such user <here>")
    page = console.colleague(app).open(f"/console/mails/{mail.id}")
    for words in ("Your cancellation: AeroEdit Pro ends on", AMELIA, "Given up", "11", "550 no such user <here>", sub):
        assert words in page, words
    assert page.links["Amelia Harper"] == f"/console/customers/{visits.owner(sub)}"
    assert "Nothing more is charged for this subscription." in page


@pytest.mark.parametrize("kind", KINDS)
def test_no_preview_has_a_token_whatever_the_mail_carries(app: Flask, kind: str) -> None:
    written = letter(kind)
    written.customer_id = people.customer("Amelia Harper") if written.customer_id else None
    with transaction():
        session().add(written)
    ada = console.colleague(app, "admin", "Ada Admin")
    page, frame = ada.open(f"/console/mails/{written.id}"), visits.get(ada, f"/console/mails/{written.id}/html")
    assert page.status == frame.status == 200
    for html in (page.html, frame.html):
        assert "pga_" not in html
        assert "token=" not in html
    assert all(url.startswith("http://localhost/") for url in re.findall(r'href="(http[^"]+)"', frame.html))


def test_the_frame_runs_nothing_and_leads_nowhere(app: Flask) -> None:
    _, mail = canceled()
    sam = console.colleague(app)
    page, frame = sam.open(f"/console/mails/{mail.id}"), visits.get(sam, f"/console/mails/{mail.id}/html")
    assert re.search(rf'<iframe [^>]*src="/console/mails/{mail.id}/html"[^>]* sandbox></iframe>', page.html)
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    assert frame.headers["Content-Security-Policy"].endswith("frame-ancestors 'self'; sandbox")
    assert frame.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "default-src 'none'" in frame.headers["Content-Security-Policy"]


def test_it_is_sent_again_as_the_same_message(app: Flask, smtp: Any) -> None:
    _, mail = canceled()
    delivery.send_due()
    sam = console.colleague(app)
    sam.open(f"/console/mails/{mail.id}")
    page = sam.press("Send it again")
    assert "It will be sent again" in page
    assert (visits.mails()[0].status, visits.mails()[0].attempts) == ("queued", 0)
    (entry,) = console.audited("mail.sent_again")
    assert (entry.subject_id, entry.customer_id) == (mail.id, mail.customer_id)
    assert (entry.actor_name, entry.facts) == ("Sam Support", {"kind": "cancellation_scheduled", "to": AMELIA})
    delivery.send_due()
    first, second = smtp.received
    assert first.message.as_bytes() == second.message.as_bytes()
    assert visits.mails()[0].status == "sent"


def test_asked_twice_while_it_waits_it_is_recorded_once(app: Flask) -> None:
    _, mail = canceled()
    settled(mail)
    sam = console.colleague(app)
    for _ in range(3):
        assert sam.submit(f"/console/mails/{mail.id}").status == 200
    assert len(console.audited("mail.sent_again")) == 1
    assert len(visits.mails()) == 1


def test_nobody_floods_a_mailbox(app: Flask, the_clock: Any) -> None:
    _, mail = canceled()
    sam = console.colleague(app)
    for _ in range(resending.PER_HOUR):
        settled(mail)
        assert sam.submit(f"/console/mails/{mail.id}").status == 200
    settled(mail)
    page = sam.submit(f"/console/mails/{mail.id}")
    assert (page.status, page.headers["Retry-After"]) == (429, "180")
    assert len(console.audited("mail.sent_again")) == resending.PER_HOUR
    assert visits.mails()[0].status == "sent"
    the_clock.advance(minutes=3)
    assert sam.submit(f"/console/mails/{mail.id}").status == 200


def test_a_mail_that_waits_for_its_next_attempt_is_left_to_it(app: Flask) -> None:
    _, mail = canceled()
    settled(mail, status="queued", sent_at=None, run_at=NOW + timedelta(hours=1))
    sam = console.colleague(app)
    assert "It waits to be sent already." in sam.open(f"/console/mails/{mail.id}")
    sam.submit(f"/console/mails/{mail.id}")
    assert visits.mails()[0].run_at == NOW + timedelta(hours=1)
    assert console.audited("mail.sent_again") == []


def test_it_goes_to_the_address_it_was_written_for(app: Flask) -> None:
    sub, mail = canceled()
    settled(mail)
    with transaction():
        customers.update(customers.locked(visits.owner(sub)), {"email": "new@example.com"}, by=shell())
    page = console.colleague(app).open(f"/console/mails/{mail.id}")
    assert "The customer’s address is new@example.com by now." in page
    assert f"It goes to {AMELIA} , for which it was written, and nowhere else." in page


def expiring(kind: str) -> Mail:
    """A mail that was sent and carries access which still works."""
    customer = people.customer("Amelia Harper", email=AMELIA)
    with transaction():
        if kind == "sign_in":
            sign_in.request(AMELIA, next_path="/portal", locale="en", client="")
        else:
            mails.send_access(
                "fresh_link", to=AMELIA, locale="en", customer_id=customer, page="portal", subscription=None
            )
    mail = visits.mails(kind)[-1]
    settled(mail)
    return mail


@pytest.mark.parametrize("kind", ["sign_in", "fresh_link"])
def test_access_is_sent_again_only_while_it_works(app: Flask, the_clock: Any, kind: str) -> None:
    mail, sam = expiring(kind), console.colleague(app)
    sam.submit(f"/console/mails/{mail.id}")
    assert visits.mails()[-1].status == "queued"
    settled(mail)
    the_clock.advance(hours=1)
    page = sam.open(f"/console/mails/{mail.id}")
    assert "that link no longer works" in page
    assert [form for form in page.forms if not form.action] == []
    page = sam.submit(f"/console/mails/{mail.id}")
    assert (page.status, "It was not sent again" in page) == (409, True)
    assert visits.mails()[-1].status == "sent"
    assert len(console.audited("mail.sent_again")) == 1


def test_a_link_of_staff_is_sent_again_until_it_is_taken_back(app: Flask) -> None:
    sub, sam = visits.subscribed(people.customer(email=AMELIA)), console.colleague(app)
    sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send")
    (mail,) = visits.mails()
    settled(mail)
    assert sam.submit(f"/console/mails/{mail.id}").status == 200
    settled(mail)
    sam.open(f"/console/customers/{visits.owner(sub)}/link")
    sam.press("Take it back")
    assert sam.submit(f"/console/mails/{mail.id}").status == 409


def test_it_says_that_the_links_in_it_are_dead(app: Flask, the_clock: Any) -> None:
    sub, mail = canceled()
    settled(mail)
    sam = console.colleague(app)
    assert "The links in it no longer open anything." not in sam.open(f"/console/mails/{mail.id}")
    with transaction():
        browser_sessions.end_all_of(visits.owner(sub))
    assert "The links in it no longer open anything." in sam.open(f"/console/mails/{mail.id}")
    sam.press("Send it again")
    assert visits.mails()[0].status == "queued"


def test_what_tells_of_events_is_replayed_instead(app: Flask, monkeypatch: Any) -> None:
    monkeypatch.setattr(notifications, "mail_settled", lambda *_, **__: None)
    written = letter("event_notification")
    with transaction():
        session().add(written)
    settled(written)
    ada = console.colleague(app, "admin", "Ada Admin")
    assert "Replay the notification instead" in ada.open(f"/console/mails/{written.id}")
    assert ada.submit(f"/console/mails/{written.id}").status == 409


def test_what_is_written_to_staff_is_for_admins(app: Flask) -> None:
    with transaction():
        mails.warn_staff(
            "endpoint_off",
            ["ada@aeroedit.example"],
            key="x",
            description="Shop",
            setting="ntfset_1",
            because="410",
            since_at=None,
        )
    (mail,) = visits.mails()
    settled(mail)
    sam = console.colleague(app)
    for page in (
        sam.open(f"/console/mails/{mail.id}"),
        sam.open(f"/console/mails/{mail.id}/html"),
        sam.submit(f"/console/mails/{mail.id}"),
    ):
        assert page.status == 403
    assert visits.mails()[0].status == "sent"
    assert console.colleague(app, "admin", "Ada Admin").open(f"/console/mails/{mail.id}").status == 200


def test_nobody_reads_mails_without_signing_in(app: Flask, person: Person) -> None:
    sub, mail = canceled()
    settled(mail)
    visits.come_in(person, visits.owner(sub))
    for path in (f"/console/mails/{mail.id}", f"/console/mails/{mail.id}/html"):
        assert person.open(path).path == "/console/sign-in"
    assert person.submit(f"/console/mails/{mail.id}").path == "/console/sign-in"
    assert visits.mails()[0].status == "sent"


def test_unknown_mails(app: Flask) -> None:
    sam = console.colleague(app)
    for path in (f"/console/mails/mail_{visits.UNKNOWN}", f"/console/mails/mail_{visits.UNKNOWN}/html"):
        assert sam.open(path).status == 404
    assert sam.submit(f"/console/mails/mail_{visits.UNKNOWN}").status == 404


@pytest.mark.parametrize(
    "address", ["<script>alert(1)</script>@example.com", "a@b.example\r\nBcc: x@y.example", "none"]
)
def test_an_address_that_is_none_is_shown_as_text(app: Flask, address: str) -> None:
    _, mail = canceled()
    settled(mail, status="failed", to_address=address)
    sam = console.colleague(app)
    page = sam.open(f"/console/mails/{mail.id}")
    assert (page.status, "<script>alert" in page.html) == (200, False)
    assert "Its address is none that mail can be sent to." in page
    assert visits.get(sam, f"/console/mails/{mail.id}/html").status == 200


def test_hostile_names_stay_inside_the_frame_as_text(app: Flask) -> None:
    sub = visits.subscribed(people.customer("<script>alert(1)</script>", email=AMELIA))
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=shell())
    (mail,) = visits.mails()
    sam = console.colleague(app)
    assert "<script>alert" not in visits.get(sam, f"/console/mails/{mail.id}/html").html
    assert "<script>alert" not in sam.open(f"/console/mails/{mail.id}").html
