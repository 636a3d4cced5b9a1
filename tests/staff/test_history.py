"""The history as staff read it: who did what, when, by which way, why, and what came of mails, webhooks and links."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text, update

from portal import clock, db, ids, worker
from portal.db import session, transaction
from portal.domain import (
    audit,
    cancellation,
    customers,
    debts,
    dispatch,
    events,
    paid_otherwise,
    pausing,
    payment_methods,
    staff_links,
    subscriptions,
    timeline,
)
from portal.domain.actors import Actor, system
from portal.domain.customers import Customer
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.notifications import Notification, NotificationLog
from portal.domain.payment_methods import Card
from portal.domain.portal_sessions import PortalSession
from portal.outbox import delivery
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.outbox import shop
from tests.person import Page, Person
from tests.staff import console

HOSTILE = "<script>alert(1)</script>{{7*7}}' OR 1=1 --\r\nBcc: x@y.example \u202eevil"


def page_of(app: Flask, sub: str, query: str = "") -> Page:
    return console.colleague(app, name="Olivia Onlooker").open(f"/console/subscriptions/{sub}{query}")


def told(page: Page) -> list[str]:
    """The entries of a history, newest first, each as its words."""
    section = page.html[page.html.index('<h2 id="history">') :]
    listed = section[section.index("<ol") : section.index("</ol>")] if "<ol" in section else ""
    return [words(each) for each in re.split(r"\n    <li>", listed)[1:]]


def words(html: str) -> str:
    plain = " ".join(re.sub(r"<[^>]+>", " ", html).replace("&#39;", "'").split())
    return re.sub(r" ([.,:])", r"\1", plain)


def act(verb: Any, sub: str, by: Actor, **more: Any) -> None:
    """Somebody asks for something, now."""
    with transaction():
        verb(subscriptions.get(sub), by=replace(by, received_at=clock.now()), **more)


def at(minute: str, day: str = "21 November 2026") -> str:
    return f"{day} at {minute} UTC"


def work() -> None:
    for task in (worker.period_end, worker.pauses, worker.renewals, worker.collections, worker.reminders):
        while task():
            pass


def test_the_story_of_a_cancellation_is_read_line_by_line(
    app: Flask, person: Person, smtp: Any, the_clock: Any
) -> None:
    """A colleague cancels with a reason, stops it, sends a link; the customer follows it and cancels."""
    sub = visits.subscribed()
    customer = customers.get(visits.owner(sub))
    robin = console.acting("support", "Robin Roe")
    act(cancellation.at_period_end, sub, robin, reason="too_expensive", comment="They asked on the phone.")
    the_clock.advance(minutes=1)
    delivery.send_due()
    the_clock.advance(minutes=9)
    act(cancellation.withdraw, sub, robin)
    the_clock.advance(minutes=10)
    with transaction():
        staff_links.send(customers.get(customer.id), "cancel", subscriptions.get(sub), by=robin)
    the_clock.advance(minutes=10)
    person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the period")
    the_clock.advance(minutes=1)
    visits.post(person, f"/portal/subscriptions/{sub}/reason", reason="unused", comment="Too busy")
    lines = told(page_of(app, sub))
    assert len(lines) == 4, lines
    canceled, sent, kept, first = lines
    assert canceled.startswith(f"Cancellation scheduled for {at('12:00', '11 December 2026')}")
    assert f"{at('12:30')} · The customer, by a link from an email" in canceled
    assert "Reason: Not used enough Comment: Too busy" in canceled
    assert f"Mail about the cancellation to {customer.email}: queued" in canceled
    assert sent.startswith(f"Sent a link to the page to cancel, to {customer.email}")
    assert "Not opened yet. It works until" in sent
    assert f"{at('12:20')} · Robin Roe, in the console" in sent
    assert f"Mail about a link from a colleague to {customer.email}: queued" in sent
    assert kept.startswith(f"Cancellation withdrawn: it would have ended on {at('12:00', '11 December 2026')}")
    assert f"{at('12:10')} · Robin Roe, in the console" in kept
    assert first.startswith(f"Cancellation scheduled for {at('12:00', '11 December 2026')}")
    assert f"{at('12:00')} · Robin Roe, in the console" in first
    assert "Reason: Too expensive Comment: They asked on the phone." in first
    assert f"Mail about the cancellation to {customer.email}: accepted by the mail server on {at('12:01')}" in first


def test_the_use_of_a_link_is_told(app: Flask, the_clock: Any) -> None:
    sub, robin = visits.subscribed(), console.acting("support", "Robin Roe")
    with transaction():
        opened, _ = staff_links.show(customers.get(visits.owner(sub)), "subscription", subscriptions.get(sub), by=robin)
    used = {"uses": 2, "first_used_at": NOW, "last_used_at": NOW + timedelta(minutes=5)}
    with transaction():
        session().execute(update(PortalSession).values(used))
    the_clock.advance(minutes=10)
    (line,) = told(page_of(app, sub))
    assert line.startswith("Copied a link to the subscription Opened 2 times, first on")
    assert f"last on {at('12:05')}. It works until" in line
    with transaction():
        staff_links.take_back(visits.owner(sub), opened.id, by=robin)
    back, line = told(page_of(app, sub))
    assert back.startswith("Took the link to the subscription back")
    assert f"Taken back on {at('12:10')}" in line


@pytest.mark.parametrize(
    ("outcome", "words_"),
    [
        ({"status": "sent", "sent_at": NOW}, f"accepted by the mail server on {at('12:00')}"),
        ({"status": "failed", "last_error": "550 no such user"}, "failed, 550 no such user"),
        ({"status": "dropped", "last_error": "no customer has this address"}, "not sent, nobody to send it to ( no"),
        ({"last_error": "421 busy", "run_at": NOW + timedelta(minutes=5)}, "queued; the last attempt failed: 421 busy"),
        ({}, "queued"),
    ],
)
def test_what_became_of_a_mail_stands_with_the_act_it_tells_of(app: Flask, outcome: Any, words_: str) -> None:
    sub = visits.subscribed()
    act(cancellation.at_period_end, sub, Actor("customer", visits.owner(sub), "sign-in", "Amelia Harper"))
    with transaction():
        session().execute(update(Mail).values({"status": "queued"} | outcome))
    (line,) = told(page := page_of(app, sub))
    assert words_ in line
    assert "The customer, signed in by email" in line
    assert f"/console/mails/{visits.mails()[0].id}" in page.html


def test_a_mail_of_no_act_stands_by_itself(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed(remind_at=END - timedelta(days=3))
    the_clock.set(END - timedelta(days=3))
    work()
    (line,) = told(page_of(app, sub))
    assert line.startswith("Mail about the payment to come to")
    assert f"queued {at('12:00', '8 December 2026')} · The portal, by itself" in line


def test_mails_of_earlier_releases_stand_by_themselves(app: Flask) -> None:
    sub = visits.subscribed()
    act(cancellation.at_period_end, sub, console.acting("support", "Robin Roe"))
    with transaction():
        session().execute(update(Mail).values(event_id=None))
    mail, canceled = told(page_of(app, sub))
    assert mail.startswith("Mail about the cancellation to")
    assert canceled.startswith("Cancellation scheduled")
    assert "Mail" not in canceled


def test_webhooks_are_told_with_status_attempts_and_the_last_answer(app: Flask) -> None:
    sub = visits.subscribed()
    for name in ("a", "b", "c"):
        shop.destination(f"https://{name}.example/hooks")
    act(cancellation.now, sub, console.acting("admin", "Ada Admin"))
    with transaction():
        assert dispatch.carry_out(10)
    outcomes: Iterable[tuple[str, dict[str, Any], int, str | None]] = (
        ("a", {"status": "delivered", "times_attempted": 1, "delivered_at": NOW}, 200, None),
        ("b", {"status": "failed", "times_attempted": 9}, 0, "connection refused"),
        ("c", {"status": "needs_retry", "times_attempted": 2, "run_at": NOW + timedelta(minutes=4)}, 500, None),
    )
    with transaction():
        sent = {shop.setting(n.setting_id).destination[8]: n for n in reversed(shop.notes())}
        for name, changes, code, error in outcomes:
            session().execute(update(Notification).where(Notification.id == sent[name].id).values(**changes))
            for answered in (404, code):
                session().add(
                    NotificationLog(
                        id=ids.new("ntflog"),
                        notification_id=sent[name].id,
                        response_code=answered,
                        error=error,
                        milliseconds=12,
                        attempted_at=NOW,
                    )
                )
    (line,) = told(page_of(app, sub))
    assert line.startswith("Subscription ended, at once")
    assert "Webhooks: 1 of 6 delivered, 1 failed" in line
    assert "subscription.updated to a.example: delivered on " in line
    assert "1 attempt, last answer 200" in line
    assert "b.example: failed, 9 attempts, last: connection refused" in line
    assert f"c.example: to be tried again on {at('12:04')}, 2 attempts, last answer 500" in line
    assert "subscription.canceled to a.example: not attempted yet" in line


def test_of_an_endpoint_only_the_host_is_told_and_an_address_as_it_is(app: Flask) -> None:
    """Its path or query may hold a secret, and only admins may open the destinations."""
    sub = visits.subscribed()
    shop.destination("https://8.8.8.8:8443/hooks/SECRET-IN-PATH?key=TOPSECRET")
    shop.destination("events@aeroedit.example", type="email")
    act(cancellation.at_period_end, sub, console.acting())
    with transaction():
        assert dispatch.carry_out(10)
    for path in (f"subscriptions/{sub}", f"customers/{visits.owner(sub)}"):
        page = console.colleague(app, name="Olivia Onlooker").open(f"/console/{path}")
        assert "subscription.updated to 8.8.8.8 : not attempted yet" in page
        assert "subscription.updated to events@aeroedit.example : " in page
        assert "SECRET" not in page.html
        assert "8443" not in page.html


def test_a_request_that_had_to_wait_says_when_it_came(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed()
    by = Actor("staff", "stf_1", "console", "Robin Roe", received_at=NOW)
    the_clock.advance(seconds=7)
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    assert "The request arrived at 12:00:00 UTC and was carried out at 12:00:07 UTC." in told(page_of(app, sub))[0]


def test_a_period_its_payment_and_the_receipt_are_told(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed()
    the_clock.set(END + timedelta(seconds=40))
    with transaction():
        assert worker.renewal.open_due(10) == 1
    the_clock.advance(minutes=1)
    work()
    paid, renewed = told(page_of(app, sub))
    assert renewed.startswith(f"Renewed: {at('12:00', '11 December 2026')} to {at('12:00', '11 January 2027')}")
    assert "The portal, by itself" in renewed
    assert paid.startswith("Paid: $300.00, invoice 2026-000001")
    assert "Mail about the payment or invoice to" in paid


def test_an_invoice_that_a_colleague_marks_as_paid_is_told_with_their_note(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed(collection_mode="manual", card=None)
    the_clock.set(END + timedelta(seconds=40))
    work()
    the_clock.advance(days=1)
    with transaction():
        owed = debts.of(sub)[0].id
        paid_otherwise.record(owed, by=console.acting("admin", "Ada Admin"), note="By transfer")
    paid, renewed = told(page_of(app, sub))
    assert paid.startswith("Marked as paid: the money came by other means Paid: $300.00, invoice 2026-000001")
    assert "Ada Admin, in the console Comment: By transfer" in paid
    assert renewed.startswith("Renewed")
    assert "Paid Other means $300.00" in words(console.colleague(app).open(f"/console/transactions/{owed}").html)


def test_failed_attempts_are_told_with_their_errors(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    for days in (0, 2, 6, 12, 20):
        the_clock.set(END + timedelta(days=days, seconds=40))
        work()
    lines = told(page_of(app, sub))
    assert "Subscription ended, at once" in lines[0]
    assert sum("An attempt to collect $300.00 failed: the bank declined the card" in each for each in lines) == 5
    assert any("Past due since a payment failed" in each for each in lines)
    assert "Mail about the end to" in lines[0]


def test_old_and_new_stand_where_they_are_known(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed()
    by = Actor("customer", visits.owner(sub), "portal session", "Amelia Harper")
    act(
        payment_methods.replace,
        sub,
        by,
        card=Card("mastercard", "4444", 1, 2030, "sandbox", "sandbox_other"),
        next_payment={},
    )
    the_clock.advance(minutes=1)
    headers = people.key("subscription.write")
    price = people.price(product="AeroEdit Plus", amount=100)
    kept = people.row(sub)
    with transaction():
        price_id = subscriptions.get(sub).items[0].price_id
    answer = app.test_client().patch(
        f"/subscriptions/{kept.id}",
        headers=headers,
        json={
            "items": [{"price_id": price_id, "quantity": 12}, {"price_id": price, "quantity": 1}],
            "proration_billing_mode": "do_not_bill",
        },
    )
    assert answer.status_code == 200, answer.json
    items, card = told(page_of(app, sub))
    assert card.startswith("Payment method changed: Visa ending in 4242 → Mastercard ending in 4444")
    assert "The customer, by a link of the app or of a colleague" in card
    assert items.startswith("Quantity of Monthly (per seat): 10 → 12 Added: 1 × Monthly (per seat)")
    assert "The app with the key “ test ”, over the API" in items


def test_a_pause_and_its_end_are_told(app: Flask, the_clock: Any) -> None:
    sub, by = visits.subscribed(), Actor("key", "apikey_1", "API", "Backoffice")
    act(pausing.at_period_end, sub, by, resume_at=END + timedelta(days=10))
    the_clock.advance(minutes=1)
    act(pausing.withdraw, sub, by)
    the_clock.advance(minutes=1)
    act(pausing.now, sub, by)
    the_clock.advance(minutes=1)
    act(pausing.resume, sub, by)
    lines = told(page_of(app, sub))
    assert [each.partition(" 21 November")[0] for each in lines[1:]] == [
        "Paused, at once",
        f"Scheduled pause withdrawn: it would have begun on {at('12:00', '11 December 2026')}",
        f"Pause scheduled for {at('12:00', '11 December 2026')}, until {at('12:00', '21 December 2026')}",
    ]
    assert lines[0].startswith("Resumed, with a new period")


def test_what_is_audited_and_no_event_stands_there_once(app: Flask, the_clock: Any) -> None:
    """Of the customer what is no other subscription's; and no act twice, which the record holds too."""
    sub, robin = visits.subscribed(), console.acting("support", "Robin Roe")
    her, other = visits.owner(sub), visits.subscribed(visits.owner(sub))
    act(cancellation.at_period_end, sub, robin)
    acts: tuple[tuple[str, str, str | None, dict[str, Any]], ...] = (
        ("customer.email_changed", her, her, {"old": "a@b.example", "new": "c@d.example"}),
        ("subscription.looked_at", sub, None, {"old": 1, "new": [2]}),
        ("portal_link.sent", other, her, {"page": "keep"}),
        ("customer.signed_out", her, her, {"browsers": 1, "links": 2}),
    )
    for action, subject, customer_id, facts in acts:
        the_clock.advance(minutes=1)
        with transaction():
            audit.record(action, by=robin, subject=subject, customer_id=customer_id, **facts)
    lines = told(page_of(app, sub))
    assert [each.partition(" 21 ")[0] for each in lines[:3]] == [
        "Ended all sessions and links of the customer: 1 browser, 2 links",
        "Subscription: looked at – old: 1, new: [2]",
        "Changed the email address: a@b.example → c@d.example",
    ]
    assert len(lines) == 4
    hers = told(console.colleague(app).open(f"/console/customers/{her}"))
    assert len(hers) == 4
    assert any(each.startswith("Sent a link to the page to keep it") for each in hers)


def test_a_page_ends_where_the_next_begins(app: Flask, the_clock: Any) -> None:
    sub, robin = visits.subscribed(), console.acting("support", "Robin Roe")
    expected = []
    for n in range(55):
        the_clock.advance(minutes=1)
        with transaction():
            if n % 3 == 0:
                audit.record("subscription.noted", by=robin, subject=sub, n=n)
            else:
                now = Actor("staff", robin.id, "console", f"Number {n}")
                verb = cancellation.withdraw if subscriptions.get(sub).is_ending else cancellation.at_period_end
                verb(subscriptions.get(sub), by=now)
        expected.insert(0, n)
    page, read, pages = page_of(app, sub), [], 0
    while True:
        pages += 1
        lines = told(page)
        read += [int(re.search(r"(?:Number|n:) (\d+)", each)[1]) for each in lines]  # type: ignore[index]
        assert all("Mail about" in each for each in lines if "Number" in each)
        if "Older" not in page.links:
            break
        page = page_of(app, sub, "?" + page.links["Older"].partition("?")[2].partition("#")[0])
        assert page.links["Newest"] == f"/console/subscriptions/{sub}#history"
    assert read == expected
    assert pages == 3


def test_an_act_of_very_many_events_is_read_whole_or_cut_without_loss(database: str, the_clock: Any) -> None:
    sub = visits.subscribed()
    for n in (3, 150, 90, 450, 2):
        the_clock.advance(minutes=1)
        with transaction():
            shown, by = subscriptions.get(sub), Actor("staff", "stf_1", "console", f"{n}")
            events.record_all((("subscription.updated", shown, "custom_data_changed") for _ in range(n)), by=by)
    seen: list[str] = []
    before, pages = None, 0
    while True:
        page = timeline.of_subscription(people.row(sub), before=before)
        seen += [each.id for entry in page.entries for each in reversed(entry.events)]
        pages += 1
        if page.older is None:
            break
        before = page.older
    with transaction():
        everything = sorted(session().query(Event.id).all(), reverse=True)
    assert seen == [row.id for row in everything]
    assert pages < 7


@pytest.mark.parametrize("before", ["x", "", "0" * 26, "z" * 26, "' OR 1=1 --", "%00", "\u202e", "1" * 5000])
def test_an_address_that_names_no_entry_shows_a_page(app: Flask, before: str) -> None:
    sub = visits.subscribed()
    act(cancellation.at_period_end, sub, console.acting("support", "Robin Roe"))
    page = page_of(app, sub, f"?before={before}")
    assert page.status == 200
    assert "Cancellation scheduled" in page or "There is nothing older." in page


def test_hostile_words_are_text(app: Flask) -> None:
    sub = visits.subscribed(people.customer(HOSTILE, email="amelia@example.com"))
    by = Actor("staff", "stf_1", "console", HOSTILE)
    act(cancellation.at_period_end, sub, by, reason=HOSTILE, comment=HOSTILE)
    with transaction():
        session().execute(update(Mail).values(status="failed", last_error=HOSTILE, to_address=HOSTILE))
        audit.record("customer.email_changed", by=by, subject=sub, old=HOSTILE, new=HOSTILE)
        audit.record("customer.<b>x", by=by, subject=sub, what=HOSTILE, deep={"<b>": [HOSTILE]})
    shop.destination("https://shop.example/<b>x")
    for path in (f"subscriptions/{sub}", f"customers/{visits.owner(sub)}"):
        page = console.colleague(app).open(f"/console/{path}")
        assert page.status == 200
        assert "<script>alert" not in page.html
        assert "<b>" not in page.html
        history = page.html[page.html.index('<h2 id="history">') :]
        for place in history.split("\u202eevil")[:-1]:
            assert place.rpartition("<bdi>")[2].count("</bdi>") == 0, place[-300:]


def test_other_customers_are_not_in_it(app: Flask) -> None:
    sub, theirs = visits.subscribed(), visits.subscribed(people.customer("Daniel Okoro"))
    robin = console.acting("support", "Robin Roe")
    act(cancellation.at_period_end, theirs, robin)
    with transaction():
        audit.record("customer.signed_out", by=robin, subject=visits.owner(theirs), customer_id=visits.owner(theirs))
    assert told(page_of(app, sub)) == []


def test_what_happens_to_a_customer_is_told_with_old_and_new(app: Flask, the_clock: Any) -> None:
    her = people.customer("Amelia Harper", email="amelia@example.com")
    robin = console.acting("support", "Robin Roe")
    for wanted in ({"name": "Amelia Roe"}, {"email": "roe@example.com", "locale": "de"}):
        the_clock.advance(minutes=1)
        with transaction():
            customers.update(customers.locked(her), wanted, by=Actor("key", "apikey_1", "API", "Backoffice"))
    the_clock.advance(minutes=1)
    sub = visits.subscribed(her)
    act(cancellation.at_period_end, sub, robin)
    page = console.colleague(app).open(f"/console/customers/{her}")
    canceled, second, first = told(page)
    assert second.startswith("Email address: amelia@example.com → roe@example.com Language: en → de")
    assert first.startswith("Customer details changed")  # what they were before is not on record
    assert "The app with the key “ Backoffice ”, over the API" in first
    assert canceled.startswith("Cancellation scheduled")
    assert canceled.endswith("queued")
    assert "Robin Roe, in the console · AeroEdit Pro" in canceled
    assert f"/console/subscriptions/{sub}" in page.html[page.html.index('<h2 id="history">') :]


def test_the_worker_at_many_subscriptions_of_a_customer_is_told_of_each(app: Flask, the_clock: Any) -> None:
    her = people.customer()
    for _ in range(3):
        visits.subscribed(her, **visits.ending())
    the_clock.set(END + timedelta(minutes=1))
    with transaction():
        assert cancellation.carry_out(10) == 3
    lines = told(console.colleague(app).open(f"/console/customers/{her}"))
    assert len(lines) == 3
    assert all(each.startswith("Subscription ended, as scheduled") and each.count("Mail about") == 1 for each in lines)


def test_every_statement_of_it_goes_by_an_index(database: str, the_clock: Any) -> None:
    sub, robin = visits.subscribed(), console.acting("support", "Robin Roe")
    shop.destination("https://shop.example/a")
    act(cancellation.at_period_end, sub, robin)
    with transaction():
        staff_links.send(customers.get(visits.owner(sub)), "keep", subscriptions.get(sub), by=robin)
        dispatch.carry_out(10)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        timeline.of_subscription(people.row(sub), before="z" * 26)
        timeline.of_customer(visits.owner(sub), before="z" * 26)
        timeline.who_asked(people.row(sub))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    tables = "events|mails|audit_entries|notifications|notification_logs|portal_sessions|cancellation_reasons"
    read = [each for each in asked if re.search(rf"FROM ({tables})", each[0])]
    assert len(read) > 15
    with db.engine().connect() as looking:
        if db.is_postgresql():
            looking.execute(text("SET enable_seqscan = off"))
        explain = "EXPLAIN " if db.is_postgresql() else "EXPLAIN QUERY PLAN "
        for statement, values in read:
            plan = str(looking.exec_driver_sql(explain + statement, values).all())
            assert not re.search(rf"(SCAN|Seq Scan on) ({tables})\b", plan), f"{statement}\n{plan}"


def test_the_facts_of_an_act_know_the_event_they_belong_to(database: str) -> None:
    sub = visits.subscribed()
    act(cancellation.at_period_end, sub, system())
    with transaction():
        assert visits.mails()[0].event_id == visits.events(sub)[-1].id
        assert session().get_one(Customer, visits.owner(sub)).status == "active"
        assert events.latest_of(sub) is None
