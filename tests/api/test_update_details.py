"""An app changes whom a subscription bills and how, and what it keeps beside it."""

from typing import Any

import pytest
from flask import Flask

from portal import clock, ids
from portal.db import session, transaction
from portal.domain.customers import Address, Business
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import CANCELED, UNKNOWN

TERMS = {"payment_terms": {"interval": "day", "frequency": 14}}


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed()


def of(customer: str, kind: Any, prefix: str, **fields: Any) -> str:
    now = clock.now()
    made = kind(id=ids.new(prefix), customer_id=customer, created_at=now, updated_at=now, **fields)
    with transaction():
        session().add(made)
    return str(made.id)


def address(customer: str, **fields: Any) -> str:
    return of(customer, Address, "add", country_code="GB", **fields)


def business(customer: str, **fields: Any) -> str:
    return of(customer, Business, "biz", name="Harper Aviation", **fields)


def test_address_and_business_are_the_customers_own(seller: App, sub: str) -> None:
    customer = visits.owner(sub)
    wanted = {"address_id": address(customer), "business_id": business(customer)}
    entity = seller.patch(f"/subscriptions/{sub}", wanted).json["data"]
    assert {name: entity[name] for name in wanted} == wanted
    assert visits.said(sub) == (["subscription.updated"], [])
    assert seller.patch(f"/subscriptions/{sub}", {"business_id": None}).json["data"]["business_id"] is None
    assert seller.patch(f"/subscriptions/{sub}", {"address_id": None}).json["data"]["address_id"] is not None


@pytest.mark.parametrize(("field", "make"), [("address_id", address), ("business_id", business)])
def test_nobody_elses(seller: App, sub: str, field: str, make: Any) -> None:
    other = make(people.customer("Ben"))
    archived = make(visits.owner(sub), status="archived")
    before = visits.records()
    for wrong in (other, f"{other[:3]}_{UNKNOWN}"):
        assert fields_of(seller.patch(f"/subscriptions/{sub}", {field: wrong})) == [field]
    assert refusal(seller.patch(f"/subscriptions/{sub}", {field: archived})) == (400, "entity_archived")
    assert visits.records() == before


def test_custom_data_is_replaced_and_removed(seller: App, sub: str) -> None:
    assert seller.patch(f"/subscriptions/{sub}", {"custom_data": {"seats": [1, {"a": None}]}}).json["data"][
        "custom_data"
    ] == {"seats": [1, {"a": None}]}
    assert seller.patch(f"/subscriptions/{sub}", {}).json["data"]["custom_data"] is not None
    assert seller.patch(f"/subscriptions/{sub}", {"custom_data": None}).json["data"]["custom_data"] is None
    assert visits.said(sub)[0] == ["subscription.updated"] * 2


def test_invoices_need_terms_and_automatic_collection_needs_a_card(app: Flask, seller: App, sub: str) -> None:
    before = visits.records()
    assert fields_of(seller.patch(f"/subscriptions/{sub}", {"collection_mode": "manual"})) == ["billing_details"]
    assert fields_of(seller.patch(f"/subscriptions/{sub}", {"billing_details": TERMS})) == ["billing_details"]
    assert visits.records() == before
    manual = {"collection_mode": "manual", "billing_details": TERMS | {"purchase_order_number": "PO-7"}}
    entity = seller.patch(f"/subscriptions/{sub}", manual).json["data"]
    assert entity["billing_details"] == {
        "enable_checkout": False,
        "purchase_order_number": "PO-7",
        "additional_information": None,
        "payment_terms": {"interval": "day", "frequency": 14},
    }
    changed = seller.patch(f"/subscriptions/{sub}", {"billing_details": {"enable_checkout": True}}).json["data"]
    assert changed["billing_details"] == entity["billing_details"] | {"enable_checkout": True}
    assert fields_of(seller.patch(f"/subscriptions/{sub}", {"billing_details": None})) == ["billing_details"]
    automatic = seller.patch(f"/subscriptions/{sub}", {"collection_mode": "automatic"}).json["data"]
    assert (automatic["collection_mode"], automatic["billing_details"]) == ("automatic", None)
    cardless = visits.subscribed(card=None, collection_mode="manual", billing_details=TERMS)
    refused = seller.patch(f"/subscriptions/{cardless}", {"collection_mode": "automatic"})
    assert refusal(refused) == (400, "subscription_missing_payment_method_cannot_update")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer_id", f"ctm_{UNKNOWN}"),
        ("currency_code", "EUR"),
        ("discount", {"id": f"dsc_{UNKNOWN}", "effective_from": "immediately"}),
        ("status", "canceled"),
        ("proration_billing_mode", "free"),
        ("on_payment_failure", "hope"),
        ("next_billed_at", "tomorrow"),
        ("custom_data", "text"),
        ("collection_mode", "barter"),
    ],
)
def test_what_can_t_be_changed_names_its_field(seller: App, sub: str, field: str, value: Any) -> None:
    before = visits.records()
    assert fields_of(seller.patch(f"/subscriptions/{sub}", {field: value})) == [field]
    assert visits.records() == before


def test_what_it_is_already_is_taken(seller: App, sub: str) -> None:
    before = visits.records()
    same = {"customer_id": visits.owner(sub), "currency_code": "USD", "discount": None, "collection_mode": "automatic"}
    assert seller.patch(f"/subscriptions/{sub}", same).status_code == 200
    assert visits.records() == before


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        (CANCELED, (400, "subscription_update_when_canceled")),
        ({"status": "past_due"}, (400, "subscription_update_when_past_due")),
        ({"status": "trialing"}, (400, "subscription_update_when_trialing")),
        ({"status": "paused", "next_billed_at": None}, (400, "subscription_only_update_items_on_paused_subscription")),
    ],
)
def test_in_another_state_it_is_refused(app: Flask, seller: App, fields: Any, refused: tuple[int, str]) -> None:
    sub = visits.subscribed(**fields)
    before = visits.records()
    assert refusal(seller.patch(f"/subscriptions/{sub}", {"custom_data": {"a": 1}})) == refused
    assert visits.records() == before


def test_a_scheduled_change_is_removed_with_other_changes_but_not_with_a_charge(app: Flask, seller: App) -> None:
    price = people.price()
    sub = visits.subscribed(price_id=price, **visits.ending("key"))
    both = {"scheduled_change": None, "items": [{"price_id": price, "quantity": 11}]}
    before = visits.records()
    now = seller.patch(f"/subscriptions/{sub}", both | {"proration_billing_mode": "prorated_immediately"})
    assert fields_of(now) == ["scheduled_change"]
    assert visits.records() == before
    later = seller.patch(f"/subscriptions/{sub}", both | {"proration_billing_mode": "prorated_next_billing_period"})
    assert later.json["data"]["scheduled_change"] is None
    assert later.json["data"]["items"][0]["quantity"] == 11
