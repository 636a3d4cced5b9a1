"""Events reach their destinations: what is sent, how it is signed, what counts as delivered, in which order."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from paddle_billing.Notifications import Secret, Verifier
from standardwebhooks import Webhook

from portal import clock
from portal.db import session, transaction
from portal.domain import event_types, notification_settings
from portal.domain.actors import shell
from portal.domain.events import Event
from portal.outbox import exchange, webhooks
from tests.outbox import shop
from tests.receiver import Behaviour, Delivery, Receiver


@pytest.fixture(autouse=True)
def _with(database, configure, monkeypatch):
    configure(webhook_private=True)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


class Request:
    """A delivery as the SDK's verifier takes it."""

    def __init__(self, delivery: Delivery) -> None:
        self.headers = {"Paddle-Signature": delivery.headers["paddle-signature"]}
        self.body = delivery.body


def test_an_event_arrives_once_with_its_envelope_and_is_noted(receiver, the_clock):
    setting = shop.destination(receiver.url)
    (event,) = shop.happen()
    shop.work()
    (delivery,) = receiver.deliveries
    with transaction():
        row = session().get_one(Event, event)
    note = shop.note(setting)
    assert delivery.payload == {
        "event_id": event,
        "event_type": "subscription.updated",
        "occurred_at": "2026-11-21T12:00:00.000000Z",
        "notification_id": note.id,
        "data": row.data,
    }
    assert row.dispatched
    assert delivery.headers["content-type"] == "application/json"
    assert "Paddle" in delivery.headers["user-agent"]
    assert (note.status, note.times_attempted, note.run_at) == ("delivered", 1, None)
    assert note.delivered_at == note.last_attempt_at == the_clock.at
    (log,) = shop.logs()
    assert (log.response_code, log.response_body, log.response_content_type, log.error) == (
        200,
        "ok",
        "text/plain",
        None,
    )
    assert "Content-Type: text/plain" in log.response_headers
    shop.work()
    assert len(receiver.deliveries) == 1


def test_both_verifiers_accept_the_same_delivery(receiver):
    setting = shop.destination(receiver.url)
    with clock.frozen(datetime.now(UTC)):
        shop.happen()
        shop.work()
        (delivery,) = receiver.deliveries
        secret = shop.secret(setting)
        assert Verifier().verify(Request(delivery), Secret(secret))
        assert not Verifier().verify(Request(delivery), Secret(secret + "x"))
        standard = notification_shapes_secret(setting)
        assert Webhook(standard).verify(delivery.body, delivery.headers)["event_id"] == delivery.payload["event_id"]
    assert delivery.headers["paddle-signature"].count("h1=") == 1
    assert delivery.headers["webhook-id"] == delivery.payload["event_id"]


def notification_shapes_secret(setting):
    from portal.domain import notification_shapes

    return notification_shapes.notification_setting(shop.setting(setting))["standard_webhook_secret"]


def test_while_a_secret_is_rotated_both_are_good_and_afterwards_the_new_one_only(receiver, the_clock):
    setting = shop.destination(receiver.url)
    old = shop.secret(setting)
    with transaction():
        notification_settings.rotate(notification_settings.get(setting, lock=True), timedelta(hours=1), by=shell())
    new = shop.secret(setting)
    for moved in (timedelta(minutes=59), timedelta(minutes=2)):
        the_clock.set(the_clock.at + moved)
        shop.happen()
        shop.work()
    during, after = receiver.deliveries

    def good(delivery, secret):
        return Verifier().verify(Request(delivery), Secret(secret), verify_time_drift=False)

    assert [good(during, old), good(during, new), good(after, old), good(after, new)] == [True, True, False, True]
    assert during.headers["paddle-signature"].count("h1=") == 2
    assert after.headers["paddle-signature"].count("h1=") == 1
    last = (
        "ts=" + during.headers["webhook-timestamp"] + ";h1=" + during.headers["paddle-signature"].rpartition("h1=")[2]
    )
    only_last = Request(during)
    only_last.headers = {"Paddle-Signature": last}
    assert Verifier().verify(only_last, Secret(new), verify_time_drift=False), "SDKs that look at one take the last"
    assert len(during.headers["webhook-signature"].split(" ")) == 2


def test_a_destination_is_told_of_what_it_asked_for_only(receiver):
    updates = shop.destination(receiver.url, "subscription.updated")
    shop.destination(receiver.url, "customer.created")
    simulated = shop.destination(receiver.url, traffic_source="simulation")
    off = shop.destination(receiver.url, active=False)
    everything = shop.destination(receiver.url, traffic_source="all")
    shop.happen(type="subscription.updated")
    shop.happen(type="subscription.canceled")
    shop.work()
    assert [len(shop.notes(each)) for each in (updates, simulated, off, everything)] == [1, 0, 0, 2]
    assert len(receiver.deliveries) == 3


def test_a_destination_hears_of_what_happens_from_its_creation_on(receiver, the_clock):
    shop.happen()
    the_clock.advance(seconds=1)
    setting = shop.destination(receiver.url)
    (after,) = shop.happen()
    shop.work()
    assert [note.event_id for note in shop.notes(setting)] == [after]


def test_events_of_one_endpoint_arrive_in_their_order_over_one_connection(receiver):
    shop.destination(receiver.url)
    happened = shop.happen(20)
    shop.work()
    assert receiver.event_ids == happened
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (Behaviour.FAIL, 500, None),
        (Behaviour.CREATED, 201, None),
        (Behaviour.REDIRECT, 302, None),
        (Behaviour.DROP, 0, "the connection broke before an answer came"),
        (Behaviour.GARBAGE, 0, "what it answered is not HTTP"),
        (Behaviour.HANG, 0, "no complete answer within 0.3 seconds"),
        (Behaviour.DRIP, 0, "no complete answer within 0.3 seconds"),
        (Behaviour.DRIP_BODY, 0, "no complete answer within 0.3 seconds"),
    ],
)
def test_nothing_but_a_200_in_time_counts(receiver, monkeypatch, the_clock, behaviour, code, words):
    monkeypatch.setattr(exchange, "SECONDS", 0.3)
    receiver.behaviour = behaviour
    with Receiver() as other:
        receiver.elsewhere = other.url
        shop.destination(receiver.url)
        shop.happen()
        began = time.monotonic()
        shop.work()
        assert time.monotonic() - began < 3
        assert other.deliveries == [], "redirects are not followed"
    note, (log,) = shop.note(), shop.logs()
    assert (note.status, note.times_attempted, note.delivered_at) == ("needs_retry", 1, None)
    assert note.run_at == the_clock.at + timedelta(seconds=20)
    assert (log.response_code, log.error) == (code, words)


def test_nobody_listening_is_noted(receiver):
    receiver.stop()
    shop.destination(receiver.url)
    shop.happen()
    shop.work()
    (log,) = shop.logs()
    assert (log.response_code, log.response_body, log.error) == (0, "", "the connection was refused")


def test_of_a_large_answer_the_beginning_is_kept(receiver):
    receiver.behaviour = Behaviour.LARGE
    shop.destination(receiver.url)
    shop.happen(3)
    shop.work()
    assert [len(each.response_body) for each in shop.logs()] == [2048] * 3
    assert {each.status for each in shop.notes()} == {"delivered"}


def test_a_connection_that_ended_while_unused_is_made_anew(receiver):
    """Counted as no failure: the endpoint had only closed an idle connection."""
    endpoint = exchange.Endpoint(receiver.url)
    headers = {"Content-Type": "application/json"}
    assert endpoint.post(b"{}", headers).status == 200
    endpoint._connection.sock.sock.shutdown(2)
    assert endpoint.post(b"{}", headers).status == 200
    endpoint.close()
    assert receiver.connections == 2


def test_after_a_failure_the_rest_waits_and_nothing_overtakes_it(receiver, the_clock):
    setting = shop.destination(receiver.url)
    first, second, third = shop.happen(3)
    receiver.choose = lambda delivery: Behaviour.FAIL if len(receiver.deliveries) == 2 else Behaviour.NORMAL
    shop.work()
    assert receiver.event_ids == [first, second]
    assert [each.status for each in shop.notes()] == ["delivered", "needs_retry", "not_attempted"]
    assert shop.setting(setting).rests_until == the_clock.at + timedelta(seconds=1)
    shop.work()
    assert len(receiver.deliveries) == 2, "it rests"
    the_clock.advance(seconds=1)
    shop.work()
    assert receiver.event_ids[2:] == [third, second], "once one is taken, what failed does not wait for its own retry"
    assert shop.setting(setting).rests_until is None


def test_one_that_cannot_be_composed_holds_up_no_other(receiver, monkeypatch):
    from portal.outbox import errands

    setting = shop.destination(receiver.url)
    broken, fine = shop.happen(2)
    payload = errands.payload
    monkeypatch.setattr(errands, "payload", lambda parcel: 1 / 0 if parcel.event_id == broken else payload(parcel))
    shop.work()
    assert receiver.event_ids == [fine]
    assert [each.status for each in shop.notes()] == ["needs_retry", "delivered"]
    assert [each.error for each in shop.logs()] == ["can't be composed: ZeroDivisionError", None]
    assert shop.setting(setting).failing_since is None


def test_a_secret_that_no_key_opens_is_said_and_rotating_it_helps(receiver, the_clock, configure):
    setting = shop.destination(receiver.url)
    configure(secret_keys=("another-secret-of-the-test-suite-1234567",))
    shop.happen()
    shop.work()
    (log,) = shop.logs()
    assert "rotate it" in log.error
    assert receiver.deliveries == []
    with transaction():
        notification_settings.rotate(notification_settings.get(setting, lock=True), timedelta(), by=shell())
    the_clock.advance(seconds=20)
    shop.work()
    assert len(receiver.deliveries) == 1


def test_outcomes_that_cannot_be_written_are_kept_and_written_later(receiver, monkeypatch):
    from portal.outbox import outcomes

    shop.destination(receiver.url)
    shop.happen()
    write, tried = outcomes.write, []

    def fail_twice(reports):
        tried.append(1)
        if len(tried) < 3:
            raise OSError("the database is away")
        write(reports)

    monkeypatch.setattr(outcomes, "write", fail_twice)
    shop.worker.events()
    for _ in range(200):
        try:
            if not shop.worker.webhooks():
                break
        except OSError:
            pass
    assert len(tried) >= 3
    assert len(receiver.deliveries) == 1
    assert shop.note().status == "delivered"


def test_every_type_that_the_portal_records_can_be_subscribed_to():
    import re
    from pathlib import Path

    import portal

    code = "\n".join(file.read_text() for file in (Path(portal.__file__).parent).rglob("domain/*.py"))
    code = re.sub(r'audit\.record\(\s*"[^"]+"', "", code)  # acts on record that are no events
    entities = {name.partition(".")[0] for name in event_types.NAMES}
    recorded = {
        each
        for each in re.findall(r'"((?:\w+)\.(?:\w+))"', code)
        if each.partition(".")[0] in entities and not each.endswith((".read", ".write", ".cancel_immediately"))
    }
    assert recorded - set(event_types.NAMES) == set()


def test_a_worker_told_to_stop_begins_nothing_more(receiver):
    shop.destination(receiver.url)
    happened = shop.happen(3)
    shop.worker.events()
    while webhooks.deliver(stopping=lambda: len(receiver.deliveries) >= 1):
        pass
    assert receiver.event_ids == happened[:1]
    assert [each.status for each in shop.notes()] == ["delivered", "not_attempted", "not_attempted"]
    shop.work()
    assert receiver.event_ids == happened
