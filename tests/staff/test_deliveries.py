"""An admin sees what was delivered and what was not, and sends it again."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from portal import clock, db, ids, worker
from portal.db import session, transaction
from portal.domain import notifications
from portal.domain.notifications import Notification, NotificationLog
from tests import people
from tests.customer import visits
from tests.outbox import shop
from tests.person import Person
from tests.staff import console

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}"
ENDPOINT = "https://203.0.114.7/hooks"


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def delivered(setting: str, *statuses: str) -> list[str]:
    """Events that went to a destination and came to this; gives the ids of their deliveries."""
    shop.happen(len(statuses))
    while worker.events():
        pass
    made = [each.id for each in shop.notes(setting)][-len(statuses) :]
    for id, status in zip(made, statuses, strict=True):
        settle(id, status)
    return made


def settle(id: str, status: str) -> None:
    over = status in ("delivered", "failed")
    with transaction():
        note = session().get_one(Notification, id)
        note.status, note.times_attempted = status, 1
        note.run_at = None if over else clock.now() + timedelta(minutes=1)
        note.last_attempt_at = clock.now()
        note.delivered_at = clock.now() if status == "delivered" else None


def answered(id: str, **fields: Any) -> None:
    row = {"response_code": 500, "milliseconds": 12, "attempted_at": clock.now(), "response_body": ""} | fields
    with transaction():
        session().add(NotificationLog(id=ids.new("ntflog"), notification_id=id, **row))


def test_deliveries_are_filtered_by_their_state(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    sent, failed, retried, waiting = delivered(setting, "delivered", "failed", "needs_retry", "not_attempted")
    page = ada.open(f"/console/destinations/{setting}/deliveries")
    assert all(each in page for each in (sent, failed, retried, waiting))
    for status, only in {"delivered": sent, "failed": failed, "needs_retry": retried, "waiting": waiting}.items():
        page = ada.open(f"/console/destinations/{setting}/deliveries?status={status}")
        assert [each for each in (sent, failed, retried, waiting) if each in page] == [only]
    page = ada.open(f"/console/destinations/{setting}")
    assert "2 waiting , 1 failed" in page
    assert "Last delivered 21 November 2026 at 12:00 UTC" in page


def test_an_addresses_mails_are_deliveries_too(ada: Person) -> None:
    setting = shop.destination("events@aeroedit.example", type="email")
    [waiting] = delivered(setting, "not_attempted")
    with transaction():
        session().get_one(Notification, waiting).run_at = None
    assert "1 waiting" in ada.open(f"/console/destinations/{setting}")
    assert waiting in ada.open(f"/console/destinations/{setting}/deliveries?status=waiting")


def test_deliveries_come_in_pages(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    made = delivered(setting, *["failed"] * 51)
    page = ada.open(f"/console/destinations/{setting}/deliveries?status=failed")
    assert made[-1] in page
    assert made[0] not in page
    older = ada.open(page.links["Next"])
    assert made[0] in older
    assert made[-1] not in older
    assert made[-1] in ada.open(older.links["Back to the newest"])


def test_the_attempts_are_shown_with_what_was_answered_as_text(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    [id] = delivered(setting, "failed")
    answered(id, response_headers="Content-Type: text/html\nX-Evil: <img src=x>", response_body=HOSTILE)
    answered(id, response_code=0, error="the connection was refused")
    page = ada.open(f"/console/deliveries/{id}")
    assert HOSTILE in page
    assert "X-Evil: <img src=x>" in page
    assert "None: the connection was refused" in page
    assert "<script>" not in page.html
    assert "<img src=x" not in page.html


def test_a_failed_delivery_is_sent_again_and_a_replay_is_not(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    [id] = delivered(setting, "failed")
    ada.open(f"/console/deliveries/{id}")
    page = ada.press("Send again")
    first, again = shop.notes(setting)
    assert page.path == f"/console/deliveries/{again.id}"
    assert "The event is sent again" in page
    assert (again.origin, again.status, again.event_id) == ("replay", "not_attempted", first.event_id)
    assert first.replayed_at is not None
    [entry] = console.audited()
    assert (entry.action, entry.actor_name, entry.subject_id) == ("notification.replayed", "Ada Admin", id)
    settle(again.id, "failed")
    page = ada.submit(f"/console/deliveries/{again.id}/replay")
    assert (page.status, "A replay can't be replayed" in page) == (400, True)
    assert len(shop.notes(setting)) == 2


@pytest.mark.parametrize("status", ["not_attempted", "needs_retry"])
def test_what_is_on_its_way_is_not_sent_again(ada: Person, status: str) -> None:
    setting = shop.destination(ENDPOINT)
    [id] = delivered(setting, status)
    assert "still on its way" in ada.open(f"/console/deliveries/{id}")
    assert ada.submit(f"/console/deliveries/{id}/replay").status == 400
    assert len(shop.notes(setting)) == 1
    assert console.audited() == []


def test_nothing_is_sent_again_to_a_destination_that_is_off(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    [id] = delivered(setting, "failed")
    shop.touch(setting, active=False)
    assert "switched off or deleted" in ada.open(f"/console/deliveries/{id}")
    assert ada.submit(f"/console/deliveries/{id}/replay").status == 400
    assert ada.submit(f"/console/destinations/{setting}/replay", since="2026-11-01").status == 400
    assert len(shop.notes(setting)) == 1


def test_all_that_failed_since_a_day_is_sent_again_once(ada: Person, the_clock: Any) -> None:
    setting, other = shop.destination(ENDPOINT), shop.destination(ENDPOINT)
    [old] = delivered(setting, "failed")
    the_clock.advance(days=2)
    failed, _, again = delivered(setting, "failed", "delivered", "failed")
    with transaction():
        notifications.replay(again, by=console.acting("admin", "Ada Admin"))
    before = len(shop.notes(other))
    console.sign_in(ada, console.member("admin", "Ada Admin"))
    ada.open(f"/console/destinations/{setting}/deliveries")
    page = ada.press("Send again what failed", since="2026-11-23")
    assert "Sent again: 1" in page
    events = {each.id: each.event_id for each in shop.notes(setting)}
    assert events[shop.notes(setting)[-1].id] == events[failed]
    page = ada.submit(f"/console/destinations/{setting}/replay", since="2026-11-23")
    assert "There was nothing to send again" in page
    page = ada.submit(f"/console/destinations/{setting}/replay", since="2026-11-01")
    assert "Sent again: 1" in page
    assert events[old] == shop.notes(setting)[-1].event_id
    assert len(shop.notes(other)) == before
    bulk = console.audited("destination.replayed")
    assert [(each.subject_id, each.facts["count"]) for each in bulk] == [(setting, 1), (setting, 1)]


@pytest.mark.parametrize("since", ["1969-12-31", "0001-01-01"])
def test_since_a_day_before_all_ids_is_since_ever(ada: Person, since: str) -> None:
    setting = shop.destination(ENDPOINT)
    delivered(setting, "failed")
    page = ada.submit(f"/console/destinations/{setting}/replay", since=since)
    assert "Sent again: 1" in page
    assert len(shop.notes(setting)) == 2


def test_mails_of_events_are_sent_again_too(ada: Person) -> None:
    setting = shop.destination("events@aeroedit.example", type="email")
    [failed] = delivered(setting, "failed")
    ada.submit(f"/console/destinations/{setting}/replay", since="2026-11-01")
    assert [mail.key for mail in visits.mails("event_notification")] == [failed, shop.notes(setting)[-1].id]


@pytest.mark.parametrize("since", ["", "yesterday", "2026-13-01", "' OR 1=1", "9999999-01-01"])
def test_a_day_that_is_none_sends_nothing(ada: Person, since: str) -> None:
    setting = shop.destination(ENDPOINT)
    delivered(setting, "failed")
    assert ada.submit(f"/console/destinations/{setting}/replay", since=since).status == 400
    assert len(shop.notes(setting)) == 1


@pytest.mark.parametrize("count", ["-5", "many", "1001", ""])
def test_a_number_that_can_not_be_is_not_told(ada: Person, count: str) -> None:
    page = ada.open(f"/console/destinations/{shop.destination(ENDPOINT)}/deliveries?done=replayed&count={count}")
    assert page.status == 200
    assert "Sent again" not in page
    assert "nothing to send again" not in page


@pytest.mark.parametrize("query", ["status=gone", "after=x", "after=' OR 1=1", "status=failed'"])
def test_what_is_no_filter_is_refused(ada: Person, query: str) -> None:
    setting = shop.destination(ENDPOINT)
    assert ada.open(f"/console/destinations/{setting}/deliveries?{query}").status == 400


def test_an_event_tells_what_and_who_and_where_it_went(ada: Person) -> None:
    setting = shop.destination(ENDPOINT)
    who = people.customer(HOSTILE)
    [event] = shop.happen(sub=people.subscription(who, custom_data={"note": HOSTILE}))
    worker.events()
    page = ada.open(f"/console/events/{event}")
    assert "Event subscription.updated" in page
    assert "portal (system, worker" in page
    assert "Waiting Our shop" in page
    assert HOSTILE in page
    assert "<script>" not in page.html
    assert f'"customer_id": "{who}"' in page
    assert page.links["The customer"] == f"/console/customers/{who}"
    assert page.links["Our shop"].startswith("/console/deliveries/ntf_")
    assert ada.open(f"/console/deliveries/{shop.note(setting).id}").links[event] == f"/console/events/{event}"


PAGES = ("destinations/{setting}/deliveries", "deliveries/{note}", "events/{event}")
ACTS = ("destinations/{setting}/replay", "deliveries/{note}/replay")


def test_only_an_admin_may(app: Flask, person: Person) -> None:
    setting = shop.destination(ENDPOINT)
    [note] = delivered(setting, "failed")
    its = {"setting": setting, "note": note, "event": shop.notes(setting)[0].event_id}
    sam = console.colleague(app)
    for path in PAGES:
        assert sam.open(f"/console/{path.format(**its)}").status == 403
        assert person.open(f"/console/{path.format(**its)}").path == "/console/sign-in"
    for path in ACTS:
        assert sam.submit(f"/console/{path.format(**its)}", since="2026-11-01").status == 403
        assert person.submit(f"/console/{path.format(**its)}", since="2026-11-01").path == "/console/sign-in"
    assert len(shop.notes(setting)) == 1
    assert console.audited() == []


@pytest.mark.parametrize("id", ["00000000000000000000000000", "x'"])
def test_an_id_that_is_none_is_not_found(ada: Person, id: str) -> None:
    for path in (*PAGES, *ACTS):
        its = {"setting": f"ntfset_{id}", "note": f"ntf_{id}", "event": f"evt_{id}"}
        opened = ada.open(f"/console/{path.format(**its)}") if path in PAGES else None
        page = opened or ada.submit(f"/console/{path.format(**its)}", since="2026-11-01")
        assert page.status == 404


@pytest.mark.parametrize(
    ("status", "index"), [("failed", "ix_notifications_failed"), ("waiting", "ix_notifications_(due|status)")]
)
def test_what_was_not_delivered_is_found_by_an_index(database: str, status: str, index: str) -> None:
    """However much was delivered before."""
    setting = shop.setting(shop.destination(ENDPOINT))
    wanted = notifications.to_destination(setting, status).limit(51)
    said = wanted.compile(db.engine(), compile_kwargs={"literal_binds": True})
    with db.engine().connect() as connection:
        if db.is_postgresql():
            connection.execute(text("SET enable_seqscan = off"))
            plan = connection.execute(text(f"EXPLAIN {said}")).all()
        else:
            plan = connection.execute(text(f"EXPLAIN QUERY PLAN {said}")).all()
    assert re.search(index, str(plan))
