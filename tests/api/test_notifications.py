"""An app looks at what was sent and what came back, and has it sent again."""

from typing import Any

import pytest
from flask import Flask

from portal.outbox import webhooks
from tests.api.calls import App, fields_of, refusal
from tests.outbox import shop
from tests.receiver import Behaviour, Receiver

UNKNOWN = "/notifications/ntf_01htymmb3hj0q9fmckjbtrmd73"


@pytest.fixture(autouse=True)
def _with(app: Flask, configure: Any, monkeypatch: Any) -> None:
    configure(webhook_private=True)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())


@pytest.fixture
def receiver() -> Any:
    with Receiver() as running:
        yield running


def test_a_notification_says_what_was_sent_and_what_became_of_it(seller: App, receiver: Receiver) -> None:
    setting = shop.destination(receiver.url)
    shop.happen()
    shop.worker.events()
    (waiting,) = seller.get("/notifications").json["data"]
    assert (waiting["status"], waiting["times_attempted"], waiting["retry_at"]) == ("not_attempted", 0, None)
    shop.work()
    (listed,) = seller.get("/notifications").json["data"]
    assert listed == seller.get(f"/notifications/{listed['id']}").json["data"]
    assert listed["payload"] == receiver.deliveries[0].payload, "the very payload that was sent"
    at = "2026-11-21T12:00:00.000000Z"
    assert {name: value for name, value in listed.items() if name not in ("id", "payload")} == {
        "type": "subscription.updated",
        "status": "delivered",
        "occurred_at": at,
        "delivered_at": at,
        "replayed_at": None,
        "origin": "event",
        "last_attempt_at": at,
        "retry_at": None,
        "times_attempted": 1,
        "notification_setting_id": setting,
    }


def test_each_attempt_has_a_log(seller: App, receiver: Receiver, the_clock: Any) -> None:
    receiver.choose = lambda _: (Behaviour.FAIL, Behaviour.DROP, Behaviour.NORMAL)[len(receiver.deliveries) - 1]
    shop.destination(receiver.url)
    shop.happen()
    shop.work()
    (note,) = seller.get("/notifications").json["data"]
    assert (note["status"], note["retry_at"]) == ("needs_retry", "2026-11-21T12:00:20.000000Z")
    for seconds in (20, 60):
        the_clock.advance(seconds=seconds)
        shop.work()
    path = f"/notifications/{note['id']}/logs"
    logs = seller.get(f"{path}?order_by=id[ASC]").json["data"]
    assert [(each["response_code"], each["response_body"], each["error"]) for each in logs] == [
        (500, "ok", None),
        (0, "", "the connection broke before an answer came"),
        (200, "ok", None),
    ]
    assert [each["attempted_at"][11:19] for each in logs] == ["12:00:00", "12:00:20", "12:01:20"]
    assert set(logs[0]) == {
        "id",
        "response_code",
        "response_content_type",
        "response_headers",
        "response_body",
        "error",
        "milliseconds",
        "attempted_at",
    }
    first = seller.get(f"{path}?per_page=2").json
    assert (len(first["data"]), first["meta"]["pagination"]["has_more"]) == (2, True)
    rest = seller.get(first["meta"]["pagination"]["next"].removeprefix("http://localhost")).json
    assert [each["id"] for each in first["data"] + rest["data"]] == [each["id"] for each in logs[::-1]]


def test_notifications_are_found_by_destination_status_event_and_time(
    seller: App, receiver: Receiver, the_clock: Any
) -> None:
    good, bad = shop.destination(receiver.url), shop.destination("http://127.0.0.1:9/")
    (event,) = shop.happen()
    shop.work()
    the_clock.advance(hours=1)
    shop.happen(type="subscription.canceled")
    shop.worker.events()

    def found(query: str) -> int:
        return len(seller.get(f"/notifications?{query}").json["data"])

    sub = seller.get("/events").json["data"][-1]["data"]["id"]
    assert (found(""), found(f"notification_setting_id={good}"), found(f"notification_setting_id={good},{bad}")) == (
        4,
        2,
        4,
    )
    assert (found("status=delivered"), found("status=needs_retry,not_attempted")) == (1, 3)
    assert (found(f"filter={sub}"), found("filter=sub_x")) == (2, 0)
    assert (found("search=canceled"), found(f"search={event}"), found("search=%25")) == (2, 2, 0)
    assert fields_of(seller.get("/notifications?search=")) == ["search"]
    assert (found("from=2026-11-21T12:30:00Z"), found("to=2026-11-21T12:30:00Z")) == (2, 2)
    for query, field in (("status=lost", "status"), ("from=x", "from"), ("after=evt_x", "after"), ("x=1", "x")):
        assert fields_of(seller.get(f"/notifications?{query}")) == [field]


def test_a_replay_is_a_notification_of_its_own_with_the_same_event(
    seller: App, receiver: Receiver, the_clock: Any
) -> None:
    shop.destination(receiver.url)
    shop.happen()
    shop.work()
    (old,) = seller.get("/notifications").json["data"]
    the_clock.advance(days=2)
    answer = seller.post(f"/notifications/{old['id']}/replay")
    assert answer.status_code == 202
    assert set(answer.json["data"]) == {"notification_id"}
    new = seller.get(f"/notifications/{answer.json['data']['notification_id']}").json["data"]
    assert (new["origin"], new["status"]) == ("replay", "not_attempted")
    assert seller.get(f"/notifications/{old['id']}").json["data"]["replayed_at"] == "2026-11-23T12:00:00.000000Z"
    shop.work()
    first, again = (each.payload for each in receiver.deliveries)
    assert again == first | {"notification_id": new["id"]}
    refused = seller.post(f"/notifications/{new['id']}/replay")
    assert refusal(refused) == (400, "notification_replay_invalid_origin_type")
    assert len(shop.notes()) == 2


def test_what_is_still_on_its_way_or_has_nowhere_to_go_is_not_replayed(seller: App, receiver: Receiver) -> None:
    setting = shop.destination(receiver.url)
    receiver.behaviour = Behaviour.FAIL
    shop.happen()
    shop.worker.events()
    path = f"/notifications/{shop.note().id}/replay"
    assert refusal(seller.post(path)) == (400, "notification_cannot_replay")
    shop.work()
    assert shop.note().status == "needs_retry"
    assert refusal(seller.post(path)) == (400, "notification_cannot_replay")
    seller.patch(f"/notification-settings/{setting}", {"active": False})
    assert shop.note().status == "failed"
    assert refusal(seller.post(path)) == (400, "notification_cannot_replay")
    assert len(shop.notes()) == 1
    seller.patch(f"/notification-settings/{setting}", {"active": True})
    assert seller.post(path).status_code == 202
    seller.call("DELETE", f"/notification-settings/{setting}")
    assert refusal(seller.post(path)) == (400, "notification_cannot_replay")


def test_unknown_ids_are_404_and_keys_without_permission_are_refused(app: Flask, seller: App) -> None:
    for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/replay")):
        assert refusal(seller.call(method, UNKNOWN + path)) == (404, "not_found")
        assert refusal(App(app, "price.read").call(method, UNKNOWN + path)) == (403, "forbidden")
    assert refusal(App(app, "notification.read").post(f"{UNKNOWN}/replay")) == (403, "forbidden")
    assert refusal(App(app, "notification.write").get("/notifications")) == (403, "forbidden")
