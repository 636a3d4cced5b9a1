"""A destination may be an address: the event goes there as a mail, and the notification follows what becomes of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import worker
from portal.db import session, transaction
from portal.domain import notification_settings, notifications
from portal.domain.actors import shell
from portal.domain.mails import Mail
from portal.outbox import delivery
from tests.outbox import shop
from tests.smtp import Behaviour

TO = "events@shop.example"


@pytest.fixture(autouse=True)
def _with(database, smtp):
    """Every test has a database and a mail server."""


@pytest.fixture
def setting():
    return shop.destination(TO, type="email")


def mails():
    with transaction():
        return list(session().scalars(select(Mail).order_by(Mail.id)))


def test_an_event_is_mailed_once_and_delivered_when_the_server_has_taken_it(smtp, setting, the_clock):
    (event,) = shop.happen()
    worker.events()
    note, (mail,) = shop.note(setting), mails()
    assert (note.status, note.run_at, mail.key, mail.kind) == ("not_attempted", None, note.id, "event_notification")
    the_clock.advance(seconds=3)
    worker.run_until_idle()
    note = shop.note(setting)
    assert (note.status, note.times_attempted, note.delivered_at) == ("delivered", 1, the_clock.at)
    (arrived,) = smtp.received
    assert arrived.recipients == (TO,)
    assert arrived.subject.startswith("Event subscription.updated: sub_")
    for fact in (
        f'"event_id": "{event}"',
        f'"notification_id": "{note.id}"',
        '"occurred_at": "2026-11-21T12:00:00.000000Z"',
    ):
        assert fact in arrived.text
    assert "token=" not in arrived.text


def test_one_that_is_not_taken_for_now_is_tried_again_and_refused_for_good_is_failed(smtp, setting, the_clock):
    smtp.behaviour = Behaviour.REFUSE_FOR_NOW
    shop.happen()
    worker.run_until_idle()
    note = shop.note(setting)
    assert (note.status, note.times_attempted, note.last_attempt_at) == ("needs_retry", 1, the_clock.at)
    smtp.behaviour = Behaviour.REFUSE
    the_clock.advance(minutes=1)
    worker.run_until_idle()
    note = shop.note(setting)
    assert (note.status, note.times_attempted, note.delivered_at) == ("failed", 2, None)


def test_a_server_that_is_down_for_days_fails_it_and_a_replay_is_a_mail_of_its_own(smtp, setting, the_clock):
    smtp.stop()
    shop.happen()
    worker.run_until_idle()
    assert shop.note(setting).status == "needs_retry"
    the_clock.advance(seconds=delivery.LONGEST_OUTAGE.total_seconds() + 60)
    worker.run_until_idle()
    failed = shop.note(setting)
    assert failed.status == "failed"
    smtp.start()
    with transaction():
        again = notifications.replay(failed.id, by=shell()).id
    worker.run_until_idle()
    assert [each.status for each in shop.notes(setting)] == ["failed", "delivered"]
    assert [each.key for each in mails()] == [failed.id, again]
    assert len(smtp.received) == 1


def test_endpoints_and_addresses_hear_of_the_same_events(smtp, setting, configure):
    configure(webhook_private=True)
    endpoint = shop.destination("http://127.0.0.1:9/")
    shop.happen(3)
    worker.run_until_idle()
    assert len(shop.notes(endpoint)) == len(shop.notes(setting)) == len(smtp.received) == 3
    assert shop.setting(endpoint).rests_until - shop.setting(endpoint).failing_since == timedelta(seconds=1)


def switch_off(setting):
    with transaction():
        notification_settings.update(notification_settings.get(setting, lock=True), by=shell(), active=False)
        notifications.give_up_on([setting])


def take_away(setting):
    with transaction():
        notification_settings.delete(notification_settings.get(setting, lock=True), by=shell())
        notifications.give_up_on([setting])


@pytest.mark.parametrize("end", [switch_off, take_away])
def test_an_address_that_was_taken_away_gets_nothing_more(smtp, setting, the_clock, end):
    """Neither what was to be tried again, nor what was never tried: customers' data is in it."""
    smtp.stop()
    shop.happen()
    worker.run_until_idle()
    shop.happen()
    worker.events()
    assert [each.status for each in shop.notes(setting)] == ["needs_retry", "not_attempted"]
    end(setting)
    assert [each.status for each in shop.notes(setting)] == ["failed", "failed"]
    smtp.start()
    the_clock.advance(hours=1)
    worker.run_until_idle()
    assert smtp.received == []
    assert {(each.status, each.last_error) for each in mails()} == {
        ("dropped", "its destination was switched off or deleted")
    }


def test_what_was_given_up_with_an_address_can_be_replayed_once_it_is_on_again(smtp, setting, the_clock):
    smtp.stop()
    shop.happen()
    worker.run_until_idle()
    switch_off(setting)
    smtp.start()
    with transaction():
        notification_settings.update(notification_settings.get(setting, lock=True), by=shell(), active=True)
        again = notifications.replay(shop.note(setting).id, by=shell()).id
    the_clock.advance(hours=1)
    worker.run_until_idle()
    assert [(each.status, each.origin) for each in shop.notes(setting)] == [
        ("failed", "event"),
        ("delivered", "replay"),
    ]
    assert [f'"notification_id": "{again}"' in each.text for each in smtp.received] == [True]


def test_a_mail_made_while_its_destination_was_switched_off_is_dropped_and_failed(smtp, setting):
    """The worker had looked up who hears of it a moment before."""
    shop.happen()
    worker.events()
    shop.touch(setting, active=False)
    worker.run_until_idle()
    assert (smtp.received, shop.note(setting).status, mails()[0].status) == ([], "failed", "dropped")


def send_while_it_is_switched_off(setting, monkeypatch):
    """The mail is composed already when the destination goes."""
    compose = delivery.emails.compose

    def meanwhile(mail):
        switch_off(setting)
        return compose(mail)

    monkeypatch.setattr(delivery.emails, "compose", meanwhile)
    worker.run_until_idle()


def test_a_mail_that_is_on_its_way_while_its_destination_is_switched_off_says_what_became_of_it(
    smtp, setting, monkeypatch
):
    shop.happen()
    worker.events()
    send_while_it_is_switched_off(setting, monkeypatch)
    note = shop.note(setting)
    assert (len(smtp.received), note.status, note.times_attempted) == (1, "delivered", 1)


def test_one_that_fails_while_its_destination_is_switched_off_is_not_tried_again(smtp, setting, the_clock, monkeypatch):
    smtp.behaviour = Behaviour.REFUSE_FOR_NOW
    shop.happen()
    worker.events()
    send_while_it_is_switched_off(setting, monkeypatch)
    smtp.behaviour = Behaviour.NORMAL
    the_clock.advance(hours=1)
    worker.run_until_idle()
    assert (smtp.received, shop.note(setting).status, mails()[0].status) == ([], "failed", "dropped")


def test_what_waits_follows_a_destination_that_gets_another_address(smtp, setting, the_clock):
    smtp.stop()
    shop.happen()
    worker.run_until_idle()
    with transaction():
        notification_settings.update(
            notification_settings.get(setting, lock=True), by=shell(), destination="new@shop.example"
        )
    smtp.start()
    the_clock.advance(hours=1)
    worker.run_until_idle()
    assert [each.recipients for each in smtp.received] == [("new@shop.example",)]
