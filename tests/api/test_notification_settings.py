"""An app says where it wants to be told of events."""

import base64
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from portal import db, destinations, sealing
from portal.db import session, transaction
from portal.domain import notification_settings
from portal.domain.notification_settings import NotificationSetting
from portal.worker import housekeeping
from tests.api.calls import App, fields_of, refusal
from tests.outbox import shop

BODY = {
    "description": "Our shop",
    "type": "url",
    "destination": "https://shop.example.com/webhooks",
    "subscribed_events": ["subscription.updated", "subscription.canceled"],
}
PATH = "/notification-settings"
UNKNOWN = f"{PATH}/ntfset_01htymmb3hj0q9fmckjbtrmd73"


@pytest.fixture(autouse=True)
def _without_dns(monkeypatch: Any) -> None:
    monkeypatch.setattr(destinations, "_looked_up", lambda *_: ["93.184.216.34"])


def made(seller: App, **more: Any) -> Any:
    answer = seller.post(PATH, BODY | more)
    assert answer.status_code == 201, answer.json
    return answer.json["data"]


def row(id: str) -> NotificationSetting:
    with transaction():
        return session().get_one(NotificationSetting, id)


def test_a_destination_is_made_with_a_secret_of_its_own(seller: App) -> None:
    one, other = made(seller), made(seller)
    assert set(one) == {
        "id",
        "description",
        "type",
        "destination",
        "active",
        "api_version",
        "include_sensitive_fields",
        "subscribed_events",
        "endpoint_secret_key",
        "traffic_source",
        "off_because",
        "previous_secret_expires_at",
        "standard_webhook_secret",
    }
    assert (one["active"], one["api_version"], one["include_sensitive_fields"]) == (True, 1, False)
    assert (one["traffic_source"], one["off_because"], one["previous_secret_expires_at"]) == ("platform", None, None)
    assert [each["name"] for each in one["subscribed_events"]] == BODY["subscribed_events"]
    assert set(one["subscribed_events"][0]) == {"name", "description", "group", "available_versions"}
    secret = one["endpoint_secret_key"]
    assert re.fullmatch(r"pdl_ntfset_[a-z0-9]{26}_[a-zA-Z0-9]{32}", secret)
    assert secret != other["endpoint_secret_key"]
    assert one["standard_webhook_secret"] == "whsec_" + base64.b64encode(secret.encode()).decode()
    assert seller.get(f"{PATH}/{one['id']}").json["data"] == one


def test_the_database_holds_the_secret_sealed(seller: App, database: str) -> None:
    secret = made(seller)["endpoint_secret_key"]
    with db.engine().connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM notification_settings")).all())
    assert secret not in stored
    assert secret[-32:] not in stored


def test_all_that_may_be_said(seller: App) -> None:
    more = {"traffic_source": "all", "include_sensitive_fields": True, "api_version": 1}
    entity = made(seller, **more)
    assert {name: entity[name] for name in more} == more
    twice = made(seller, subscribed_events=["customer.created", "customer.created"])
    assert [each["name"] for each in twice["subscribed_events"]] == ["customer.created"]
    nothing_said = made(seller, traffic_source=None, include_sensitive_fields=None, api_version=None)
    assert (nothing_said["traffic_source"], nothing_said["include_sensitive_fields"]) == ("platform", False)


def test_there_may_be_more_than_ten(seller: App) -> None:
    for _ in range(12):
        made(seller)
    answer = seller.get(PATH).json
    assert len(answer["data"]) == 12
    assert answer["meta"]["pagination"]["per_page"] == 200


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"description": ""}, ["description"]),
        ({"description": "x" * 501}, ["description"]),
        ({"type": "sms"}, ["type"]),
        ({"subscribed_events": []}, ["subscribed_events"]),
        ({"subscribed_events": ["subscription.exploded"]}, ["subscribed_events.0"]),
        ({"subscribed_events": "subscription.updated"}, ["subscribed_events"]),
        ({"api_version": 2}, ["api_version"]),
        ({"traffic_source": "some"}, ["traffic_source"]),
        ({"destination": "https://e.com/" + "x" * 2048}, ["destination"]),
        ({"type": "email", "destination": "not an address"}, ["destination"]),
        ({"endpoint_secret_key": "mine"}, ["endpoint_secret_key"]),
        ({"active": False}, ["active"]),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_made(seller: App, wrong: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(seller.post(PATH, BODY | wrong)) == fields
    assert seller.get(PATH).json["data"] == []


@pytest.mark.parametrize("missing", ["description", "type", "destination", "subscribed_events"])
def test_what_is_missing_is_named(seller: App, missing: str) -> None:
    assert fields_of(seller.post(PATH, {k: v for k, v in BODY.items() if k != missing})) == [missing]


def test_a_destination_that_may_not_be_sent_to_is_refused(seller: App) -> None:
    answer = seller.post(PATH, BODY | {"destination": "http://127.0.0.1/"})
    assert refusal(answer) == (400, "url_notification_setting_incorrect")
    assert "https://" in answer.json["error"]["detail"]


def test_the_list_is_filtered(seller: App) -> None:
    on, off = made(seller)["id"], made(seller, traffic_source="simulation")["id"]
    seller.patch(f"{PATH}/{off}", {"active": False})

    def found(query: str) -> list[str]:
        return [each["id"] for each in seller.get(f"{PATH}?{query}").json["data"]]

    assert (found("active=true"), found("active=false")) == ([on], [off])
    assert (found("traffic_source=simulation"), found("traffic_source=all")) == ([off], [])
    assert found("") == [off, on]
    for spelling in ("maybe", "yes", "off", "1", "TRUE", ""):
        assert fields_of(seller.get(f"{PATH}?active={spelling}")) == ["active"], spelling


def test_what_is_given_changes_and_the_rest_stays(seller: App, the_clock: Any) -> None:
    before = made(seller)
    the_clock.advance(minutes=1)
    changes = {"description": "New", "destination": "https://new.example.com/x", "include_sensitive_fields": True}
    after = seller.patch(f"{PATH}/{before['id']}", changes | {"subscribed_events": ["price.created"]}).json["data"]
    assert after == before | changes | {"subscribed_events": after["subscribed_events"]}
    assert [each["name"] for each in after["subscribed_events"]] == ["price.created"]
    assert row(before["id"]).updated_at == the_clock.at
    same = seller.patch(f"{PATH}/{before['id']}", {"description": None, "active": None}).json["data"]
    assert same == after


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [({"type": "email"}, ["type"]), ({"subscribed_events": []}, ["subscribed_events"]), ({"x": 1}, ["x"])],
)
def test_a_change_that_does_not_fit_is_named(seller: App, wrong: dict[str, Any], fields: list[str]) -> None:
    before = made(seller)
    assert fields_of(seller.patch(f"{PATH}/{before['id']}", wrong)) == fields
    assert seller.get(f"{PATH}/{before['id']}").json["data"] == before


def test_switched_off_what_waits_is_failed_and_switched_on_it_is_told_of_what_comes(seller: App) -> None:
    id = made(seller)["id"]
    shop.happen()
    shop.worker.events()
    off = seller.patch(f"{PATH}/{id}", {"active": False}).json["data"]
    assert (off["active"], off["off_because"]) == (False, None)
    assert (shop.note(id).status, shop.note(id).run_at) == ("failed", None)
    shop.happen()
    shop.worker.events()
    assert len(shop.notes(id)) == 1
    shop.touch(id, off_because="The endpoint answered 410 Gone.", failures_in_a_row=9)
    on = seller.patch(f"{PATH}/{id}", {"active": True}).json["data"]
    assert (on["active"], on["off_because"], row(id).failures_in_a_row) == (True, None, 0)
    shop.happen()
    shop.worker.events()
    assert len(shop.notes(id)) == 2


def test_a_deleted_one_is_gone_but_what_it_was_sent_can_be_looked_up(seller: App) -> None:
    id = made(seller)["id"]
    shop.happen()
    shop.worker.events()
    answer = seller.call("DELETE", f"{PATH}/{id}")
    assert (answer.status_code, answer.data) == (204, b"")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret")):
        assert refusal(seller.call(method, f"{PATH}/{id}{path}")) == (404, "not_found")
    assert seller.get(PATH).json["data"] == []
    (note,) = seller.get("/notifications").json["data"]
    assert (note["notification_setting_id"], note["status"]) == (id, "failed")
    shop.happen()
    shop.worker.events()
    assert len(shop.notes()) == 1


def test_a_secret_is_rotated_with_an_overlap(seller: App, the_clock: Any) -> None:
    before = made(seller)
    path = f"{PATH}/{before['id']}/rotate-secret"
    after = seller.post(path).json["data"]
    assert after["endpoint_secret_key"] != before["endpoint_secret_key"]
    assert after["previous_secret_expires_at"] == "2026-11-22T12:00:00.000000Z"
    assert sealing.unseal(row(before["id"]).previous_secret.encode()).decode() == before["endpoint_secret_key"]
    assert (
        seller.post(path, {"overlap": 60}).json["data"]["previous_secret_expires_at"] == "2026-11-21T12:01:00.000000Z"
    )
    at_once = seller.post(path, {"overlap": 0}).json["data"]
    assert at_once["previous_secret_expires_at"] is None
    assert row(before["id"]).previous_secret is None
    for wrong in (-1, 604801, "60", 1.5, True):
        assert fields_of(seller.post(path, {"overlap": wrong})) == ["overlap"]
    assert seller.get(f"{PATH}/{before['id']}").json["data"] == at_once


def test_housekeeping_seals_anew_so_that_an_old_key_may_be_dropped(seller: App, configure: Any, the_clock: Any) -> None:
    configure(secret_keys=("the-old-secret-of-the-test-suite-123456",))
    entity = made(seller)
    seller.post(f"{PATH}/{entity['id']}/rotate-secret")
    secret = seller.get(f"{PATH}/{entity['id']}").json["data"]["endpoint_secret_key"]
    configure(secret_keys=("the-new-secret-of-the-test-suite-123456", "the-old-secret-of-the-test-suite-123456"))
    tidy()
    configure(secret_keys=("the-new-secret-of-the-test-suite-123456",))
    assert seller.get(f"{PATH}/{entity['id']}").json["data"]["endpoint_secret_key"] == secret
    assert row(entity["id"]).previous_secret is not None
    the_clock.advance(days=1)
    tidy()
    assert (row(entity["id"]).previous_secret, row(entity["id"]).previous_until) == (None, None)
    configure(secret_keys=("yet-another-secret-of-the-tests-1234567",))
    tidy()
    lost = seller.get(f"{PATH}/{entity['id']}").json["data"]
    assert (lost["endpoint_secret_key"], lost["standard_webhook_secret"]) == ("", "")
    assert seller.post(f"{PATH}/{entity['id']}/rotate-secret").json["data"]["endpoint_secret_key"]


def tidy() -> None:
    housekeeping._next = None
    housekeeping.tidy()


def test_keys_without_permission_are_refused(app: Flask, seller: App) -> None:
    path = f"{PATH}/{made(seller)['id']}"
    reader, writer = App(app, "notification_setting.read"), App(app, "notification_setting.write")
    for refused in (
        reader.post(PATH, BODY),
        reader.patch(path, {"active": False}),
        reader.call("DELETE", path),
        reader.post(f"{path}/rotate-secret"),
        writer.get(PATH),
        writer.get(path),
    ):
        assert refusal(refused) == (403, "forbidden")
    assert refusal(reader.get(UNKNOWN)) == (404, "not_found")
    assert refusal(writer.patch(UNKNOWN, {"destination": "https://example.com/"})) == (404, "not_found")


def test_there_is_a_most_that_may_be_active(seller: App, monkeypatch: Any) -> None:
    monkeypatch.setattr(notification_settings, "MOST_ACTIVE", 3)
    first, _, third = (made(seller)["id"] for _ in range(3))
    body = {"type": "email", "destination": "ops@example.com", "description": "One more"}
    one_more = body | {"subscribed_events": ["customer.created"]}
    too_many = (400, "notification_maximum_active_settings_reached")
    assert refusal(seller.post(PATH, one_more)) == too_many
    seller.patch(f"{PATH}/{first}", {"active": False})
    assert seller.post(PATH, one_more).status_code == 201
    assert refusal(seller.patch(f"{PATH}/{first}", {"active": True})) == too_many
    assert seller.patch(f"{PATH}/{third}", {"active": True, "description": "Still on"}).status_code == 200
    seller.call("DELETE", f"{PATH}/{third}")
    assert seller.patch(f"{PATH}/{first}", {"active": True}).status_code == 200
    assert len(seller.get(f"{PATH}?active=true").json["data"]) == 3
