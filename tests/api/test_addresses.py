"""An app lists, creates, reads and changes the addresses of a customer."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Address import Address as SdkAddress
from paddle_billing.Notifications.Entities.Address import Address as SdkEventAddress

from portal.domain import codes
from portal.domain.customers import Address
from tests import people
from tests.api import recorded
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN

WHOLE = {
    "country_code": "US",
    "description": "Hangar",
    "first_line": "12 Runway Road",
    "second_line": "2nd floor",
    "city": "Dayton",
    "postal_code": "45402",
    "region": "OH",
    "custom_data": {"gate": 7},
}


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper")


def made(seller: App, customer: str, **fields: Any) -> str:
    answer = seller.post(f"/customers/{customer}/addresses", {"country_code": "AT"} | fields)
    assert answer.status_code == 201, answer.json
    return str(answer.json["data"]["id"])


def test_an_address_is_created_with_all_that_was_sent(seller: App, amelia: str) -> None:
    answer = seller.post(f"/customers/{amelia}/addresses", WHOLE)
    entity = answer.json["data"]
    assert answer.status_code == 201
    assert set(entity) == {*WHOLE, "id", "customer_id", "status", "import_meta", "created_at", "updated_at"}
    assert {name: entity[name] for name in WHOLE} == WHOLE
    assert (entity["customer_id"], entity["status"]) == (amelia, "active")
    [event] = recorded.events(entity["id"])
    assert (event.type, event.data, event.customer_id) == ("address.created", entity, amelia)
    assert seller.get(f"/customers/{amelia}/addresses/{entity['id']}").json["data"] == entity


def test_the_country_is_enough(seller: App, amelia: str) -> None:
    entity = seller.post(f"/customers/{amelia}/addresses", {"country_code": "AT"}).json["data"]
    assert {name: entity[name] for name in WHOLE} == dict.fromkeys(WHOLE) | {"country_code": "AT"}


def test_the_sdk_reads_addresses_and_their_events(seller: App, amelia: str) -> None:
    id = made(seller, amelia, **WHOLE)
    assert SdkAddress.from_dict(seller.get(f"/customers/{amelia}/addresses/{id}").json["data"]).country_code == "US"
    assert SdkEventAddress.from_dict(recorded.events(id)[0].data).city == "Dayton"


@pytest.mark.parametrize("country", codes.NEED_POSTAL_CODE)
def test_some_countries_need_a_postal_code(seller: App, amelia: str, country: str) -> None:
    path = f"/customers/{amelia}/addresses"
    before = visits.records()
    for code in ({}, {"postal_code": None}, {"postal_code": ""}, {"postal_code": "  "}):
        assert fields_of(seller.post(path, {"country_code": country} | code)) == ["postal_code"]
    assert visits.records() == before
    assert seller.post(path, {"country_code": country, "postal_code": "1"}).status_code == 201


def test_a_change_keeps_the_postal_code_that_is_needed(seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/addresses/{made(seller, amelia)}"
    assert fields_of(seller.patch(path, {"country_code": "GB"})) == ["postal_code"]
    assert seller.patch(path, {"country_code": "GB", "postal_code": "SW1A 1AA"}).status_code == 200
    assert fields_of(seller.patch(path, {"postal_code": None})) == ["postal_code"]
    assert seller.patch(path, {"country_code": "AT", "postal_code": None}).status_code == 200


WRONG: list[tuple[str, Any]] = [
    *(("country_code", value) for value in ("", "us", "USA", "EU", "ZZ", "QO", None, 7, "U\u0405")),
    *((name, "x" * 1025) for name in ("description", "first_line", "second_line")),
    *((name, "x" * 201) for name in ("city", "postal_code", "region")),
    ("custom_data", "text"),
    ("id", f"add_{UNKNOWN}"),
    ("customer_id", f"ctm_{UNKNOWN}"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_and_unknown_fields_are_named(seller: App, amelia: str, field: str, value: Any) -> None:
    path = f"/customers/{amelia}/addresses"
    id = made(seller, amelia)
    before = visits.records()
    assert fields_of(seller.post(path, {"country_code": "AT", field: value})) == [field]
    assert fields_of(seller.patch(f"{path}/{id}", {field: value})) == [field]
    assert visits.records() == before


def test_a_change_leaves_what_it_does_not_name(seller: App, amelia: str) -> None:
    id = made(seller, amelia, **WHOLE)
    path = f"/customers/{amelia}/addresses/{id}"
    entity = seller.patch(path, {"second_line": None, "city": "Akron"}).json["data"]
    assert {name: entity[name] for name in WHOLE} == WHOLE | {"second_line": None, "city": "Akron"}
    assert recorded.types(id) == ["address.created", "address.updated"]
    assert recorded.events(id)[-1].data == entity
    before = visits.records()
    for body in ({}, {"city": "Akron"}):
        assert seller.patch(path, body).json["data"] == entity
    assert visits.records() == before


def test_an_archived_address_leaves_the_list(seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/addresses"
    id, other = made(seller, amelia), made(seller, amelia)
    seller.patch(f"{path}/{id}", {"status": "archived"})
    assert [each["id"] for each in seller.get(path).json["data"]] == [other]
    assert [each["id"] for each in seller.get(f"{path}?status=archived").json["data"]] == [id]
    assert len(seller.get(f"{path}?status=active,archived&id={id},{other}").json["data"]) == 2


def test_a_search_looks_everywhere(seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/addresses"
    id = made(seller, amelia, **WHOLE)
    made(seller, amelia, city="Graz", description="100% _odd_")
    for text in (id[-12:], "hangar", "RUNWAY", "2nd", "dayt", "4540", "oh", "us", "gate"):
        found = seller.get(path, query_string={"search": text}).json
        assert [each["id"] for each in found["data"]] == [id], text
        assert found["meta"]["pagination"]["estimated_total"] == 1
    for text, count in (("%", 1), ("_odd_", 1), ("active", 0), ("nothing like it", 0), ("'; --", 0)):
        assert len(seller.get(path, query_string={"search": text}).json["data"]) == count, text
    for text in ("", "x" * 101):
        assert fields_of(seller.get(path, query_string={"search": text})) == ["search"]


def test_pages_go_to_the_last(seller: App, amelia: str) -> None:
    ids = [made(seller, amelia) for _ in range(5)]
    made(seller, people.customer("Somebody Else"))
    path, found = f"/customers/{amelia}/addresses?per_page=2&order_by=id[asc]", []
    for _ in range(3):
        page = seller.get(path).json
        found += [each["id"] for each in page["data"]]
        path = page["meta"]["pagination"]["next"].removeprefix("http://localhost")
    assert found == ids
    assert page["meta"]["pagination"]["estimated_total"] == 5


def test_other_peoples_addresses_are_not_found(seller: App, amelia: str) -> None:
    daniel = people.customer("Daniel Osei")
    id = made(seller, daniel)
    before = visits.records()
    for customer, address in ((amelia, id), (amelia, f"add_{UNKNOWN}"), (f"ctm_{UNKNOWN}", id), (daniel, "add_x")):
        for method in ("GET", "PATCH"):
            path = f"/customers/{customer}/addresses/{address}"
            assert refusal(seller.call(method, path, {"city": "Graz"} if method == "PATCH" else None)) == (
                404,
                "not_found",
            )
    for method, body in (("GET", None), ("POST", WHOLE)):
        answer = seller.call(method, f"/customers/ctm_{UNKNOWN}/addresses", body)
        assert refusal(answer) == (404, "not_found")
    assert visits.records() == before


def test_an_archived_customer_gets_no_new_address(seller: App) -> None:
    gone = people.customer("Gone Away", status="archived")
    assert refusal(seller.post(f"/customers/{gone}/addresses", WHOLE)) == (400, "entity_archived")
    assert seller.get(f"/customers/{gone}/addresses").json["data"] == []


def test_a_key_does_only_what_it_may(app: Flask, seller: App, amelia: str) -> None:
    path = f"/customers/{amelia}/addresses"
    id = made(seller, amelia)
    before = visits.records()
    reader = App(app, "address.read", "customer.write")
    assert reader.get(path).status_code == reader.get(f"{path}/{id}").status_code == 200
    for answer in (reader.post(path, WHOLE), reader.patch(f"{path}/{id}", {"city": "x"})):
        assert refusal(answer) == (403, "forbidden")
    assert refusal(App(app, "address.write").get(path)) == (403, "forbidden")
    assert refusal(App(app, key={}).get(path)) == (403, "authentication_missing")
    assert visits.records() == before


def test_hostile_texts_are_kept_as_text(seller: App, amelia: str) -> None:
    hostile = "'; DROP TABLE addresses; -- <script>alert(1)</script> {{7*7}} \u202e"
    id = made(seller, amelia, first_line=hostile)
    assert recorded.stored(Address, id).first_line == hostile
