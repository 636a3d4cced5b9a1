"""T10, T23 and killed workers: nothing is lost, and whoever goes by event_id and occurred_at ends right."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from portal import db, worker
from portal.db import session, transaction
from portal.domain import api_keys, cancellation, notification_settings, subscriptions
from portal.domain.actors import Actor, shell
from portal.domain.events import Event
from portal.outbox import exchange, webhooks
from tests import people
from tests.conftest import NOW
from tests.faults.processes import CONTEXT, KILLED, portal, start, wait_until
from tests.outbox import shop, webhook_jobs
from tests.receiver import Behaviour, Delivery, Receiver

SEED = 7
SELLER = Actor("key", "apikey_x", "API", "test", received_at=NOW)


@pytest.fixture(autouse=True)
def _with(database, configure, monkeypatch):
    configure(webhook_private=True)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


class Books:
    """What a careful receiver keeps: each event once, of each subscription the newest state."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.state: dict[str, tuple[tuple[str, str], dict]] = {}

    def take(self, delivery: Delivery) -> None:
        told = delivery.payload
        self.seen[told["event_id"]] += 1
        if self.seen[told["event_id"]] > 1:
            return
        key, at = told["data"]["id"], (told["occurred_at"], told["event_id"])
        if key not in self.state or at > self.state[key][0]:
            self.state[key] = (at, told["data"])


def test_a_receiver_that_goes_by_event_id_and_occurred_at_ends_right_whatever_happens_on_the_way(receiver, the_clock):
    """Dropped, delayed, answered 500 after it had acted, out of order; then everything replayed in a wild order."""
    rng, books = random.Random(SEED), Books()
    print(f"seed {SEED}")
    chances = [Behaviour.NORMAL] * 5 + [
        Behaviour.FAIL,
        Behaviour.DROP,
        Behaviour.ACT_THEN_FAIL,
        Behaviour.ACT_THEN_DROP,
    ]

    def unreliable(_: Delivery) -> Behaviour:
        return rng.choice(chances)

    receiver.choose = unreliable
    setting = shop.destination(receiver.url)
    subs = [people.subscription(people.customer()) for _ in range(8)]
    for _ in range(6):
        for sub in subs:
            with transaction():
                row = subscriptions.get(sub)
                if row.is_ending:
                    cancellation.withdraw(row, by=SELLER)
                else:
                    cancellation.at_period_end(row, by=SELLER)
            the_clock.advance(seconds=1)
        shop.work()
        the_clock.advance(seconds=rng.choice([0, 5, 40]))
    for _ in range(400):
        if all(each.status == "delivered" for each in shop.notes(setting)):
            break
        the_clock.advance(seconds=15)
        shop.work()
    assert {each.status for each in shop.notes(setting)} == {"delivered"}
    for delivery in receiver.acted:
        books.take(delivery)
    arrived = [each.payload["event_id"] for each in receiver.acted]
    assert max(books.seen.values()) > 1, "some came twice"
    assert arrived != sorted(arrived), "some came out of order"
    everything = shop_events()
    assert set(books.seen) == everything, "none was lost"
    right = {sub: state_of(sub) for sub in subs}
    assert {sub: books.state[sub][1]["scheduled_change"] for sub in subs} == right

    receiver.choose = None
    originals = shop.notes(setting)
    rng.shuffle(originals)
    for each in originals:
        with transaction():
            from portal.domain import notifications

            notifications.replay(each.id, by=shell())
        shop.work()
    for delivery in receiver.acted[len(arrived) :]:
        books.take(delivery)
    assert min(books.seen.values()) > 1
    assert {sub: books.state[sub][1]["scheduled_change"] for sub in subs} == right


def shop_events() -> set[str]:
    with transaction():
        return set(session().scalars(select(Event.id)))


def state_of(sub: str) -> object:
    """The change that is scheduled, as its last event tells it."""
    with transaction():
        newest = select(Event.data).where(Event.subject_id == sub).order_by(Event.id.desc()).limit(1)
        return session().scalar(newest)["scheduled_change"]


@pytest.mark.parametrize("die", ["before", "after"])
def test_a_worker_killed_between_sending_and_writing_loses_nothing(receiver, the_clock, configure, die):
    configure(webhook_senders=1)  # one endpoint after the other, so that it does not have everything in hand at once
    settings = [shop.destination(receiver.url) for _ in range(4)]
    happened = shop.happen(5)
    code, said = start(webhook_jobs.deliver, NOW, die=die, after=3).finish()
    assert code == KILLED
    assert len(receiver.deliveries) >= 3
    delivered = [each for each in shop.notes() if each.status == "delivered"]
    assert len(delivered) == said[0] < 20, "it died in the middle"
    before = len(receiver.deliveries)
    assert start(webhook_jobs.deliver, NOW + timedelta(seconds=59)).result() <= 20 - before
    held = [each for each in shop.notes() if each.status != "delivered"]
    the_clock.advance(seconds=61)
    shop.work()
    assert {each.status for each in shop.notes()} == {"delivered"}
    for setting in settings:
        ids = {each.id for each in shop.notes(setting)}
        mine = [d.payload["event_id"] for d in receiver.deliveries if d.payload["notification_id"] in ids]
        assert list(dict.fromkeys(mine)) == happened, "in their order, each at least once"
    counts = Counter(each.payload["notification_id"] for each in receiver.deliveries)
    again = {id for id, count in counts.items() if count > 1}
    assert again <= {each.id for each in held}, "what was written down is not sent again"
    assert again or die == "after", "what was sent and not written down is sent again"


def test_two_workers_share_and_nothing_is_sent_twice(receiver, the_clock):
    settings = [shop.destination(receiver.url) for _ in range(30)]
    happened = shop.happen(10)
    barrier = CONTEXT.Barrier(2)
    crew = [start(webhook_jobs.deliver_with_others, barrier, NOW) for _ in range(2)]
    done = [each.result(90) for each in crew]
    assert sum(done) == len(receiver.deliveries) == 300, done
    assert {each.status for each in shop.notes()} == {"delivered"}
    assert len(shop.logs()) == 300
    for setting in settings:
        ids = {each.id for each in shop.notes(setting)}
        mine = [d.payload["event_id"] for d in receiver.deliveries if d.payload["notification_id"] in ids]
        assert mine == happened


def test_while_a_lease_lives_nobody_else_sends_and_afterwards_somebody_does(receiver, the_clock):
    setting = shop.destination(receiver.url)
    shop.happen()
    worker.events()
    (errand,) = webhooks.claim(10, set())
    assert errand.lease_until == NOW + webhooks.LEASE
    shop.work()
    the_clock.advance(seconds=59)
    shop.work()
    assert receiver.deliveries == []
    the_clock.advance(seconds=1)
    shop.work()
    assert len(receiver.deliveries) == 1
    assert shop.setting(setting).lease_until == the_clock.at, "free again"


def test_one_who_comes_back_after_its_lease_takes_nothing_from_the_other(receiver, the_clock):
    from portal.outbox import errands, outcomes

    setting = shop.destination(receiver.url)
    shop.happen()
    worker.events()
    (late,) = webhooks.claim(10, set())
    the_clock.advance(seconds=61)
    (newer,) = webhooks.claim(10, set())
    failed = errands.Attempt(late.parcels[0], the_clock.at, 5, error="no answer")
    outcomes.write([errands.Report(late)])
    assert shop.setting(setting).lease_until == newer.lease_until
    done = errands.Attempt(newer.parcels[0], the_clock.at, 5, code=200)
    outcomes.write([errands.Report(newer, done), errands.Report(newer)])
    outcomes.write([errands.Report(late, failed)])
    assert (shop.note().status, shop.note().times_attempted) == ("delivered", 1)
    assert len(shop.logs()) == 2, "both attempts were made, and both are told"


def test_what_arrived_counts_even_if_it_was_given_up_meanwhile(receiver):
    from portal.domain import notifications
    from portal.outbox import errands, outcomes

    setting = shop.destination(receiver.url)
    shop.happen(2)
    worker.events()
    (errand,) = webhooks.claim(10, set())
    with transaction():
        notification_settings.update(notification_settings.get(setting, lock=True), by=shell(), active=False)
        notifications.give_up_on([setting])
    one, other = errand.parcels
    outcomes.write(
        [
            errands.Report(errand, errands.Attempt(one, NOW, 5, code=200)),
            errands.Report(errand, errands.Attempt(other, NOW, 5, code=500)),
            errands.Report(errand),
        ]
    )
    assert [(each.status, each.run_at) for each in shop.notes()] == [("delivered", None), ("failed", None)]


def test_a_worker_that_is_asked_to_stop_finishes_what_is_in_hand(receiver, tmp_path, the_clock):
    """The real command: events happen, deliveries go out, SIGTERM while one takes a second."""
    slow: Callable[[Delivery], Behaviour] = lambda _: time.sleep(1) or Behaviour.NORMAL  # noqa: E731
    receiver.choose = slow
    shop.destination(receiver.url)
    shop.happen(4)
    with portal("worker", log=tmp_path / "worker.log", webhook_private="on") as running:
        wait_until(lambda: receiver.deliveries, "the first delivery")
        running.process.send_signal(signal.SIGTERM)
        assert running.stopped_within(9) == 0, running.said()
    sent = len(receiver.deliveries)
    assert sent < 4
    assert [each.status for each in shop.notes()].count("delivered") == sent, running.said()
    assert "worker stopped" in running.said()


def test_a_hanging_endpoint_does_not_hold_up_a_stop_for_long(receiver, tmp_path):
    receiver.behaviour = Behaviour.HANG
    shop.destination(receiver.url)
    shop.happen()
    with portal("worker", log=tmp_path / "worker.log", webhook_private="on") as running:
        wait_until(lambda: receiver.deliveries, "the first delivery")
        running.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert running.stopped_within(9) == 0, running.said()
    assert time.monotonic() - began < 8
    assert exchange.SECONDS == 5.0


def test_no_secret_gets_into_a_log_a_payload_or_the_database(receiver, caplog, the_clock, configure):
    """T23: secrets of endpoints, tokens in their URLs, keys of apps, our own keys."""
    token = "token-in-the-path-of-an-endpoint"
    setting = shop.destination(f"{receiver.url}/{token}?key={token}")
    secrets = {shop.secret(setting)}
    with transaction():
        notification_settings.rotate(notification_settings.get(setting, lock=True), timedelta(days=1), by=shell())
        secrets.add(api_keys.create("shop", api_keys.ALL_BUT_NAMED, by=shell()))
    secrets |= {shop.secret(setting), *worker.config.current().secret_keys}
    with caplog.at_level("DEBUG"):
        for behaviour in (Behaviour.NORMAL, Behaviour.FAIL, Behaviour.DROP, Behaviour.GARBAGE, Behaviour.GONE):
            receiver.behaviour = behaviour
            shop.happen()
            shop.work()
            the_clock.advance(minutes=2)
    assert len(receiver.deliveries) == 5
    logged = "".join(
        f"{each.getMessage()} {each.__dict__}" for each in caplog.records if each.name.startswith("portal")
    )
    assert "webhook not delivered" in logged
    assert "webhook delivered" in logged
    sent = b"".join(each.body + repr(each.headers).encode() for each in receiver.deliveries).decode()
    with transaction():
        tables = [table.name for table in db.Base.metadata.sorted_tables]
        stored = "".join(str(row) for name in tables for row in session().execute(text(f"SELECT * FROM {name}")))
    assert setting in logged
    assert setting in stored
    for secret in secrets:
        for where in (logged, sent, stored):
            assert secret not in where
            assert secret[-32:] not in where
    assert token not in logged
    assert token not in sent
