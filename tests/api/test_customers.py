"""An app creates, reads and changes customers."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Customer import Customer as SdkCustomer
from paddle_billing.Notifications.Entities.Customer import Customer as SdkEventCustomer
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain.events import Event
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN

CREATED = "2026-11-21T12:00:00.000000Z"


def events_of(customer: str) -> list[str]:
    with transaction():
        return list(session().scalars(select(Event.type).where(Event.customer_id == customer).order_by(Event.id)))


def test_a_customer_is_created_with_all_that_was_sent(seller: App) -> None:
    body = {
        "email": "Amelia@Example.com",
        "name": "Amelia Harper",
        "locale": "de-AT",
        "custom_data": {"crm": {"Id": 7}, "tags": ["a", None]},
    }
    answer = seller.post("/customers", body)
    assert answer.status_code == 201
    made = answer.json["data"]
    assert made["email"].lower() == "amelia@example.com"
    assert {name: made[name] for name in ("name", "locale", "custom_data")} == {
        name: body[name] for name in ("name", "locale", "custom_data")
    }
    assert (made["status"], made["marketing_consent"], made["import_meta"]) == ("active", False, None)
    assert (made["created_at"], made["updated_at"]) == (CREATED, CREATED)
    assert len(made["id"]) == 30
    assert answer.json["meta"]["request_id"] == answer.headers["Request-Id"]
    assert events_of(made["id"]) == ["customer.created"]
    assert seller.get(f"/customers/{made['id']}").json["data"] == made


def test_an_address_is_enough(seller: App) -> None:
    made = seller.post("/customers", {"email": "amelia@example.com"}).json["data"]
    assert (made["name"], made["locale"], made["custom_data"]) == (None, "en", None)


@pytest.mark.parametrize("email", ["amelia@example.com", "AMELIA@example.COM", "Amelia@Example.com"])
def test_a_taken_address_names_its_customer_at_the_end(seller: App, email: str) -> None:
    amelia = people.customer("Amelia Harper", email="amelia@example.com")
    before = visits.records()
    answer = seller.post("/customers", {"email": email, "name": "Somebody Else"})
    assert refusal(answer) == (409, "customer_already_exists")
    assert answer.json["error"]["detail"].split()[-1] == amelia
    assert visits.records() == before


def test_a_wrong_address_is_refused(seller: App) -> None:
    before = visits.records()
    for email in ("", "amelia", "amelia@", "@example.com", "a b@example.com", "a@b@example.com", None, 7, [], {}):
        answer = seller.post("/customers", {"email": email})
        assert answer.status_code == 400, email
        assert refusal(answer)[1] in ("invalid_field", "customer_email_invalid"), email
    assert fields_of(seller.post("/customers", {})) == ["email"]
    assert visits.records() == before


def test_a_wrong_address_has_the_contracts_own_code(seller: App) -> None:
    assert refusal(seller.post("/customers", {"email": "amelia"}))[1] == "customer_email_invalid"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 7),
        ("name", "x" * 1025),
        ("name", ["Amelia"]),
        ("locale", ""),
        ("locale", "klingon"),
        ("locale", "x" * 21),
        ("locale", None),
        ("locale", "../en"),
        ("custom_data", "text"),
        ("custom_data", [1]),
        ("status", "archived"),
        ("id", f"ctm_{UNKNOWN}"),
        ("created_at", CREATED),
        ("is_admin", True),
    ],
)
def test_wrong_and_unknown_fields_are_named(seller: App, field: str, value: Any) -> None:
    before = visits.records()
    assert fields_of(seller.post("/customers", {"email": "amelia@example.com", field: value})) == [field]
    assert visits.records() == before


@pytest.mark.parametrize("locale", ["en", "de", "en-GB", "pt_BR", "zh-Hant-TW"])
def test_languages_are_taken(seller: App, locale: str) -> None:
    answer = seller.post("/customers", {"email": "amelia@example.com", "locale": locale})
    assert (answer.status_code, answer.json["data"]["locale"]) == (201, locale)


def test_only_the_fields_that_are_sent_change(seller: App, the_clock: Any) -> None:
    made = seller.post("/customers", {"email": "amelia@example.com", "name": "Amelia"}).json["data"]
    the_clock.advance(minutes=5)
    answer = seller.patch(f"/customers/{made['id']}", {"name": "Amelia Harper"})
    assert answer.status_code == 200
    assert answer.json["data"] == made | {"name": "Amelia Harper", "updated_at": "2026-11-21T12:05:00.000000Z"}
    assert events_of(made["id"]) == ["customer.created", "customer.updated"]
    cleared = seller.patch(f"/customers/{made['id']}", {"name": None, "custom_data": None})
    assert (cleared.json["data"]["name"], cleared.json["data"]["email"]) == (None, "amelia@example.com")


def test_a_taken_address_is_refused_on_change_and_ones_own_is_not(seller: App) -> None:
    amelia = people.customer("Amelia Harper", email="amelia@example.com")
    daniel = people.customer("Daniel Okoro", email="daniel@example.com")
    answer = seller.patch(f"/customers/{daniel}", {"email": "AMELIA@example.com"})
    assert refusal(answer) == (409, "customer_already_exists")
    assert answer.json["error"]["detail"].endswith(amelia)
    assert seller.patch(f"/customers/{daniel}", {"email": "daniel@example.com"}).status_code == 200


def test_wrong_changes_are_refused(seller: App) -> None:
    amelia = people.customer("Amelia Harper")
    before = visits.records()
    for field, value in (("email", None), ("email", "x"), ("status", "deleted"), ("locale", "klingon"), ("id", "x")):
        assert fields_of(seller.patch(f"/customers/{amelia}", {field: value})) == [field]
    assert visits.records() == before


def test_an_archived_customer_can_be_brought_back(seller: App) -> None:
    amelia = people.customer("Amelia Harper")
    for status in ("archived", "active"):
        assert seller.patch(f"/customers/{amelia}", {"status": status}).json["data"]["status"] == status


def test_an_unknown_customer_is_named(seller: App) -> None:
    for answer in (seller.get(f"/customers/ctm_{UNKNOWN}"), seller.patch(f"/customers/ctm_{UNKNOWN}", {"name": "x"})):
        assert refusal(answer) == (404, "not_found")
        assert f"ctm_{UNKNOWN}" in answer.json["error"]["detail"]


def listed(seller: App, **query: str) -> list[str]:
    answer = seller.get("/customers", query_string=query).json
    ids = [each["id"] for each in answer["data"]]
    assert answer["meta"]["pagination"]["estimated_total"] == len(ids)
    return ids


def test_a_list_shows_who_is_active_and_on_request_who_is_not(seller: App) -> None:
    amelia, daniel = people.customer("Amelia Harper"), people.customer("Daniel Okoro")
    gone = people.customer("Gone Away", status="archived")
    assert listed(seller) == [daniel, amelia]
    assert listed(seller, order_by="id[asc]") == [amelia, daniel]
    assert listed(seller, status="archived") == [gone]
    assert listed(seller, status="active,archived", id=f"{amelia},{gone}") == [gone, amelia]
    assert listed(seller, id=gone) == []


def test_an_address_is_found_as_a_whole_and_a_text_anywhere(seller: App) -> None:
    amelia = people.customer("Amelia Harper", email="Amelia@Example.com")
    daniel = people.customer("Daniel Okoro", email="daniel_100%@example.com")
    assert listed(seller, email="AMELIA@example.com") == [amelia]
    assert listed(seller, email="amelia@example.com,daniel_100%@example.com") == [daniel, amelia]
    assert listed(seller, email="amelia@example") == []
    for text in ("harper", "AMELIA", amelia[-8:], "amelia@"):
        assert listed(seller, search=text) == [amelia], text
    assert listed(seller, search="example.COM") == [daniel, amelia]
    assert listed(seller, search="%") == listed(seller, search="_100") == [daniel]
    assert listed(seller, search="' OR 1=1 --") == []


def test_pages_go_to_the_last_and_the_count_can_be_skipped(seller: App) -> None:
    everyone = [people.customer(f"Pilot {number}") for number in range(7)]
    path, found = "/customers?per_page=3&search=pilot", []
    for _ in range(3):
        page = seller.get(path).json
        found += [each["id"] for each in page["data"]]
        path = page["meta"]["pagination"]["next"].removeprefix("http://localhost")
    assert found == everyone[::-1]
    assert (page["meta"]["pagination"]["has_more"], page["meta"]["pagination"]["estimated_total"]) == (False, 7)
    skipped = seller.get("/customers?per_page=500", headers={"Skip-Count": "true"}).json["meta"]["pagination"]
    assert (skipped["per_page"], skipped["estimated_total"]) == (200, 0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=gone", "status"),
        ("search=" + "x" * 101, "search"),
        ("search=", "search"),
        ("order_by=name[ASC]", "order_by"),
        ("after=sub_x", "after"),
        ("name=Amelia", "name"),
        ("email=" + "x" * 321, "email"),
    ],
)
def test_wrong_parameters_are_named(seller: App, query: str, field: str) -> None:
    assert fields_of(seller.get(f"/customers?{query}")) == [field]


def test_a_key_that_may_not_read_sees_no_list(app: Flask) -> None:
    assert refusal(App(app, "customer.write").get("/customers")) == (403, "forbidden")
    assert refusal(App(app, key={}).get("/customers")) == (403, "authentication_missing")


def test_a_change_that_changes_nothing_is_recorded_nowhere(seller: App) -> None:
    amelia = people.customer("Amelia Harper", email="amelia@example.com")
    before = visits.records()
    for body in ({}, {"name": "Amelia Harper", "email": "amelia@example.com"}, {"status": "active"}):
        assert seller.patch(f"/customers/{amelia}", body).status_code == 200
    assert visits.records() == before


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "paused"])
def test_a_customer_with_a_living_subscription_is_not_archived(seller: App, status: str) -> None:
    amelia = people.customer("Amelia Harper")
    people.subscription(amelia, status=status)
    before = visits.records()
    assert refusal(seller.patch(f"/customers/{amelia}", {"status": "archived"})) == (409, "conflict")
    assert visits.records() == before


def test_the_sdk_reads_customers_and_their_events(seller: App) -> None:
    made = seller.post("/customers", {"email": "amelia@example.com", "custom_data": {"vip": True}}).json["data"]
    assert SdkCustomer.from_dict(made).email == "amelia@example.com"
    with transaction():
        [event] = session().scalars(select(Event).where(Event.customer_id == made["id"]))
    assert SdkEventCustomer.from_dict(event.data).id == made["id"]
