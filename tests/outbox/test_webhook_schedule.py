"""T11: an endpoint that is down for days. The schedule is kept to the second, then given up; others are not delayed."""

import time
from datetime import timedelta
from itertools import accumulate

import pytest
from sqlalchemy import func, select

from portal import config
from portal.config import ConfigError, durations
from portal.db import session, transaction
from portal.domain import notification_settings, notifications, staff
from portal.domain.actors import shell
from portal.domain.mails import Mail
from portal.outbox import exchange, retries, webhooks
from tests.conftest import NOW
from tests.outbox import shop
from tests.receiver import Behaviour, Receiver


@pytest.fixture(autouse=True)
def _with(database, configure, monkeypatch):
    configure(webhook_private=True)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())
    with transaction():
        staff.add("ops@aeroedit.example", by=shell())


@pytest.fixture
def down():
    with Receiver() as running:
        running.behaviour = Behaviour.FAIL
        yield running


@pytest.fixture
def up():
    with Receiver() as running:
        yield running


def mails(kind):
    with transaction():
        return list(session().scalars(select(Mail).where(Mail.kind == kind)))


def test_there_are_sixty_retries_in_three_days_a_third_of_them_in_the_first_hour():
    waits = config.Config().webhook_retries
    at = list(accumulate(waits, initial=timedelta()))
    assert len(waits) == 60
    assert timedelta(days=2, hours=23) < at[-1] < timedelta(days=3)
    assert sum(each <= timedelta(hours=1) for each in at) == 20
    assert list(waits) == sorted(waits)


def test_the_schedule_is_written_in_short():
    assert durations("20s,2m*2, 1h") == tuple(timedelta(seconds=s) for s in (20, 120, 120, 3600))
    for wrong in ("2m*", "2m*0", "*3", "2m*x", "2m*-1", "2m*1000"):
        with pytest.raises(ValueError):
            durations(wrong)
    with pytest.raises(ConfigError, match="PORTAL_WEBHOOK_RETRIES"):
        config.load({"PORTAL_ENV": "development", "PORTAL_WEBHOOK_RETRIES": "2m*"})


def test_when_to_try_again_is_a_table():
    waits = (timedelta(seconds=20), timedelta(minutes=1))
    assert [retries.next_attempt(n, NOW, waits) for n in (1, 2, 3)] == [NOW + waits[0], NOW + waits[1], None]
    assert [retries.rest(n).total_seconds() for n in (1, 2, 3, 4, 5, 6, 7, 8, 5000)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_endpoint_down_for_days_is_tried_as_planned_then_given_up_and_a_replay_works(down, up, the_clock):
    broken, healthy = shop.destination(down.url), shop.destination(up.url)
    (event,) = shop.happen()
    shop.work()
    planned = list(accumulate(config.current().webhook_retries, initial=NOW))
    seen = [NOW]
    while (waiting := shop.note(broken)).status == "needs_retry":
        the_clock.set(waiting.run_at - timedelta(microseconds=1))
        before = len(down.deliveries)
        shop.work()
        assert len(down.deliveries) == before, "not a moment too early"
        the_clock.set(waiting.run_at)
        shop.work()
        seen.append(the_clock.at)
    assert seen == planned
    assert len(down.deliveries) == len(shop.logs()) - 1 == 61
    given_up = shop.note(broken)
    assert (given_up.status, given_up.times_attempted, given_up.run_at) == ("failed", 61, None)
    assert (shop.note(healthy).status, len(up.deliveries)) == ("delivered", 1)
    assert {each.body for each in down.deliveries} == {down.deliveries[0].body}, "the same bytes each time"
    stamps = [each.headers["webhook-timestamp"] for each in down.deliveries]
    assert len(set(stamps)) == 61, "signed anew each time"
    assert shop.setting(broken).active, "a whole schedule fits before an endpoint is given up"

    down.behaviour = Behaviour.NORMAL
    the_clock.advance(days=1)
    with transaction():
        again = notifications.replay(given_up.id, by=shell()).id
    shop.work()
    old, new = shop.notes(broken)
    assert (old.status, old.replayed_at) == ("failed", the_clock.at)
    assert (new.id, new.status, new.origin, new.event_id) == (again, "delivered", "replay", event)
    assert shop.setting(broken).failing_since is None


def test_an_endpoint_that_has_failed_for_too_long_is_switched_off_and_the_staff_is_told(down, up, the_clock):
    broken, healthy = shop.destination(down.url), shop.destination(up.url)
    for _ in range(4):
        shop.happen()
        shop.work()
        assert shop.setting(broken).active
        the_clock.advance(hours=23)
    the_clock.advance(hours=5)
    shop.happen(2)
    shop.work()
    row = shop.setting(broken)
    assert (row.active, row.off_because) == (False, "No delivery has succeeded since 2026-11-21T12:00:00.000000Z.")
    assert {each.status for each in shop.notes(broken)} == {"failed"}
    assert {each.run_at for each in shop.notes(broken)} == {None}
    assert len(up.deliveries) == 6
    assert shop.setting(healthy).active
    (mail,) = mails("endpoint_off")
    assert mail.to_address == "ops@aeroedit.example"
    assert mail.facts["setting"] == broken
    assert "hooks" not in str(mail.facts), "an endpoint's URL may hold a secret"
    tried = len(down.deliveries)
    shop.happen()
    shop.work()
    assert len(down.deliveries) == tried
    assert len(shop.notes(broken)) == 6, "nothing is planned for it any more"

    down.behaviour = Behaviour.NORMAL
    with transaction():
        notification_settings.update(notification_settings.get(broken, lock=True), by=shell(), active=True)
    row = shop.setting(broken)
    assert (row.active, row.off_because, row.failing_since, row.rests_until) == (True, None, None, None)
    shop.happen()
    shop.work()
    assert len(down.deliveries) == tried + 1


def test_zero_never_switches_off(down, the_clock, configure):
    configure(webhook_off_after=timedelta())
    broken = shop.destination(down.url)
    shop.touch(broken, failing_since=NOW - timedelta(days=365))
    shop.happen()
    shop.work()
    assert shop.setting(broken).active


def test_410_switches_off_at_once(down):
    down.behaviour = Behaviour.GONE
    gone = shop.destination(down.url)
    shop.happen(3)
    shop.work()
    row = shop.setting(gone)
    assert (row.active, row.off_because) == (False, "The endpoint answered 410 Gone.")
    assert [(each.status, each.times_attempted) for each in shop.notes()] == [
        ("failed", 1),
        ("failed", 0),
        ("failed", 0),
    ]
    assert len(down.deliveries) == len(mails("endpoint_off")) == 1


def test_a_success_ends_what_the_failures_began(down, the_clock):
    setting = shop.destination(down.url)
    for failures, rest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16)):
        shop.happen()
        shop.work()
        row = shop.setting(setting)
        assert (row.failures_in_a_row, row.failing_since) == (failures, NOW)
        assert row.rests_until == the_clock.at + timedelta(seconds=rest)
        shop.touch(setting, rests_until=None)
    down.behaviour = Behaviour.NORMAL
    shop.happen()
    shop.work()
    row = shop.setting(setting)
    assert (row.failures_in_a_row, row.failing_since, row.rests_until) == (0, None, None)


def test_an_endpoint_that_is_up_again_gets_its_backlog_in_order(down, the_clock):
    """What was tried while it was down does not wait hours for its own retry, behind all that came later."""
    setting = shop.destination(down.url)
    happened = shop.happen(6)
    for _ in range(3):
        shop.work()
        the_clock.set(shop.setting(setting).rests_until)
    assert down.event_ids == happened[:3]
    down.behaviour = Behaviour.NORMAL
    later = shop.happen(webhooks.AT_ONCE)
    shop.work()
    probe, *others = down.event_ids[3:]
    assert probe == happened[3], "one shows that it is up"
    assert others == [*happened[:3], *happened[4:], *later]
    assert {each.status for each in shop.notes(setting)} == {"delivered"}


def test_after_hours_of_failing_the_backlog_comes_in_order_as_well(down, the_clock):
    setting = shop.destination(down.url)
    happened = shop.happen(3)
    for _ in range(200):
        shop.work()
        the_clock.advance(minutes=1)
    assert min(each.times_attempted for each in shop.notes(setting)) > 5
    down.behaviour, before = Behaviour.NORMAL, len(down.deliveries)
    happened += shop.happen(3)
    shop.work()
    probe, *others = down.event_ids[before:]
    assert others == [each for each in happened if each != probe]


def test_one_that_is_always_refused_stops_the_others_no_more_than_once(down, the_clock):
    """It is tried again when the endpoint takes another, and from then on at its own times only."""
    setting = shop.destination(down.url)
    (refused,) = shop.happen()
    down.choose = lambda delivery: Behaviour.FAIL if delivery.payload["event_id"] == refused else Behaviour.NORMAL
    others = shop.happen(3)
    for _ in range(5):
        shop.work()
        the_clock.advance(seconds=1)
        others += shop.happen(3)
    assert down.event_ids.count(refused) == 2
    assert [each for each in down.event_ids if each != refused] == others[:-3]
    note = next(each for each in shop.notes(setting) if each.event_id == refused)
    assert (note.times_attempted, note.status) == (2, "needs_retry")
    assert note.run_at > the_clock.at


def test_an_endpoint_that_works_again_hurries_no_other(down, up, the_clock):
    with Receiver() as third:
        third.behaviour = Behaviour.FAIL
        broken, other = shop.destination(down.url), shop.destination(third.url)
        shop.happen()
        shop.work()
        waits = shop.note(other).run_at
        down.behaviour = Behaviour.NORMAL
        the_clock.set(shop.note(broken).run_at)
        shop.touch(other, rests_until=the_clock.at + timedelta(minutes=1))
        shop.work()
        assert shop.note(broken).status == "delivered"
        assert (shop.note(other).run_at, shop.note(other).status) == (waits, "needs_retry")


def test_the_rest_never_lasts_longer_than_until_the_next_planned_attempt(down, the_clock):
    setting = shop.destination(down.url)
    shop.touch(setting, failures_in_a_row=50, failing_since=NOW)
    shop.happen()
    shop.work()
    assert shop.setting(setting).rests_until == the_clock.at + timedelta(seconds=20)


def test_endpoints_that_hang_do_not_slow_the_others(monkeypatch, configure, up):
    """Ten of a hundred hang; eight senders."""
    monkeypatch.setattr(exchange, "SECONDS", 1.0)
    configure(webhook_senders=16)
    with Receiver() as hanging:
        hanging.behaviour = Behaviour.HANG
        slow = [shop.destination(hanging.url) for _ in range(10)]
        fast = [shop.destination(up.url) for _ in range(90)]
        shop.happen()
        began = time.monotonic()
        shop.work()
        took = time.monotonic() - began
    healthy = max(each.at for each in up.deliveries) - began
    assert (len(up.deliveries), len(hanging.deliveries)) == (len(fast), len(slow))
    assert healthy < took, "the healthy ones were done while others still hung"
    with transaction():
        assert session().scalar(select(func.count()).select_from(notifications.NotificationLog)) == 100


def test_who_waited_longest_for_a_sender_comes_first(up, configure, the_clock):
    """One with much to do must not keep the others waiting."""
    configure(webhook_senders=1)
    busy = shop.destination(up.url)
    shop.happen(webhooks.AT_ONCE * 3)
    quiet = shop.destination(up.url, "subscription.canceled")
    the_clock.advance(seconds=1)
    shop.happen(type="subscription.canceled")
    shop.work()
    types = [each.payload["event_type"] for each in up.deliveries]
    assert types.index("subscription.canceled") <= webhooks.AT_ONCE
    assert len(shop.notes(busy)) == webhooks.AT_ONCE * 3 + 1
    assert shop.note(quiet).status == "delivered"
