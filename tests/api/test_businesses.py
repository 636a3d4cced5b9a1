"""An app lists, creates, reads and changes the businesses of a customer."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Business import Business as SdkBusiness
from paddle_billing.Notifications.Entities.Business import Business as SdkEventBusiness

from portal.domain.customers import Business
from tests import people
from tests.api import recorded
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN

JO = {"name": "Jo Pilot", "email": "accounts@example.com"}
WHOLE = {
    "name": "Harper Aviation GmbH",
    "company_number": "FN 123456 a",
    "tax_identifier": "ATU12345678",
    "contacts": [JO, {"name": None, "email": "office@example.com"}],
    "custom_data": {"vip": True},
}


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper")


def made(seller: App, customer: str, **fields: Any) -> str:
    answer = seller.post(f"/customers/{customer}/businesses", {"name": "Harper"} | fields)
    assert answer.status_code == 201, answer.json
    return str(answer.json["data"]["id"])


def test_a_business_is_created_with_all_that_was_sent(seller: App, amelia: str) -> None:
    answer = seller.post(f"/customers/{amelia}/businesses", WHOLE)
    entity = answer.json["data"]
    assert answer.status_code == 201
    assert set(entity) == {*WHOLE, "id", "customer_id", "status", "import_meta", "created_at", "updated_at"}
    assert {name: entity[name] for name in WHOLE} == WHOLE
    assert (entity["customer_id"], entity["status"]) == (amelia, "active")
    [event] = recorded.events(entity["id"])
    assert (event.type, event.data, event.customer_id) == ("business.created", entity, amelia)
    assert seller.get(f"/customers/{amelia}/businesses/{entity['id']}").json["data"] == entity


@pytest.mark.parametrize("body", [{}, {"contacts": None}, {"contacts": []}])
def test_a_name_is_enough(seller: App, amelia: str, body: Any) -> None:
    entity = seller.post(f"/customers/{amelia}/businesses", {"name": "Harper"} | body).json["data"]
    assert {name: entity[name] for name in WHOLE} == dict.fromkeys(WHOLE) | {"name": "Harper", "contacts": []}


def test_the_sdk_reads_businesses_and_their_events(seller: App, amelia: str) -> None:
    id = made(seller, amelia, contacts=[{"email": "office@example.com"}])
    read = SdkBusiness.from_dict(seller.get(f"/customers/{amelia}/businesses/{id}").json["data"])
    assert [(each.name, each.email) for each in read.contacts] == [(None, "office@example.com")]
    assert SdkEventBusiness.from_dict(recorded.events(id)[0].data).name == "Harper"


WRONG: list[tuple[str, Any]] = [
    *(("name", value) for value in ("", None, 7, "x" * 1025)),
    ("company_number", "x" * 1025),
    ("tax_identifier", 7),
    ("contacts", [JO, JO]),
    ("contacts", "accounts@example.com"),
    ("contacts", [{"email": f"a{n}@example.com"} for n in range(101)]),
    ("contacts.0.email", [{"name": "Jo"}]),
    ("contacts.0.email", [{"email": "jo"}]),
    ("contacts.0.name", [{"email": "jo@example.com", "name": "x" * 1025}]),
    ("contacts.0.phone", [{"email": "jo@example.com", "phone": "1"}]),
    ("custom_data", []),
    ("id", f"biz_{UNKNOWN}"),
    ("customer_id", f"ctm_{UNKNOWN}"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_and_unknown_fields_are_named(seller: App, amelia: str, field: str, value: Any) -> None:
    path = f"/customers/{amelia}/businesses"
    id = made(seller, amelia)
    before = visits.records()
    body = {field.partition(".")[0]: value}
    assert fields_of(seller.post(path, {"name": "Harper"} | body)) == [field]
    assert fields_of(seller.patch(f"{path}/{id}", body)) == [field]
    assert visits.records() == before


def test_a_change_leaves_what_it_does_not_name(seller: App, amelia: str) -> None:
    id = made(seller, amelia, **WHOLE)
    path = f"/customers/{amelia}/businesses/{id}"
    entity = seller.patch(path, {"tax_identifier": None, "contacts": [JO]}).json["data"]
    assert {name: entity[name] for name in WHOLE} == WHOLE | {"tax_identifier": None, "contacts": [JO]}
    assert seller.patch(path, {"contacts": None}).json["data"]["contacts"] == []
    assert recorded.types(id) == ["business.created", "business.updated", "business.updated"]
    before = visits.records()
    for body in ({}, {"contacts": []}, {"name": WHOLE["name"]}):
        assert seller.patch(path, body).status_code == 200
    assert visits.records() == before


def test_an_archived_business_leaves_the_list(seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/businesses"
    id, other = made(seller, amelia), made(seller, amelia)
    seller.patch(f"{path}/{id}", {"status": "archived"})
    assert [each["id"] for each in seller.get(path).json["data"]] == [other]
    assert [each["id"] for each in seller.get(f"{path}?status=archived").json["data"]] == [id]
    assert len(seller.get(f"{path}?status=active,archived&id={id},{other}").json["data"]) == 2


def test_a_search_looks_everywhere(seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/businesses"
    id = made(seller, amelia, **WHOLE)
    made(seller, amelia, name="Another")
    for text in (id[-12:], "AVIATION", "fn 123", "atu", "accounts@", "Jo Pilot", "vip"):
        found = seller.get(path, query_string={"search": text}).json
        assert [each["id"] for each in found["data"]] == [id], text
    for text in ("active", "%", "nothing like it"):
        assert seller.get(path, query_string={"search": text}).json["data"] == [], text


def test_other_peoples_businesses_are_not_found(seller: App, amelia: str) -> None:
    daniel = people.customer("Daniel Osei")
    id = made(seller, daniel)
    before = visits.records()
    for customer, business in ((amelia, id), (amelia, f"biz_{UNKNOWN}"), (f"ctm_{UNKNOWN}", id), (daniel, "biz_x")):
        path = f"/customers/{customer}/businesses/{business}"
        assert refusal(seller.get(path)) == (404, "not_found")
        assert refusal(seller.patch(path, {"name": "Mine"})) == (404, "not_found")
    assert refusal(seller.get(f"/customers/ctm_{UNKNOWN}/businesses")) == (404, "not_found")
    assert refusal(seller.post(f"/customers/ctm_{UNKNOWN}/businesses", WHOLE)) == (404, "not_found")
    assert visits.records() == before
    assert seller.get(f"/customers/{amelia}/businesses").json["data"] == []


def test_an_archived_customer_gets_no_new_business(seller: App) -> None:
    gone = people.customer("Gone Away", status="archived")
    assert refusal(seller.post(f"/customers/{gone}/businesses", WHOLE)) == (400, "entity_archived")


def test_a_key_does_only_what_it_may(app: Flask, seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/businesses"
    id = made(seller, amelia)
    before = visits.records()
    reader = App(app, "business.read", "customer.write")
    assert reader.get(path).status_code == reader.get(f"{path}/{id}").status_code == 200
    for answer in (reader.post(path, WHOLE), reader.patch(f"{path}/{id}", {"name": "x"})):
        assert refusal(answer) == (403, "forbidden")
    assert refusal(App(app, "business.write").get(path)) == (403, "forbidden")
    assert refusal(App(app, key={}).get(path)) == (403, "authentication_missing")
    assert visits.records() == before


def test_hostile_texts_are_kept_as_text(seller: App, amelia: str) -> None:
    hostile = "'; DROP TABLE businesses; -- <script>alert(1)</script> {{7*7}} \u202e"
    id = made(seller, amelia, name=hostile)
    assert recorded.stored(Business, id).name == hostile
