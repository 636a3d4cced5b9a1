"""An app charges a subscription once."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, END, UNKNOWN

DUE = END + timedelta(seconds=31)


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed()


@pytest.fixture
def set_up(app: Flask) -> str:
    return billing.one_time(5000)


def charge(seller: App, sub: str, price: str, when: str = "immediately", quantity: Any = 1, **more: Any) -> Any:
    body = {"effective_from": when, "items": [{"price_id": price, "quantity": quantity}]}
    return seller.post(f"/subscriptions/{sub}/charge", body | more)


def test_at_once_it_is_a_paid_transaction_and_the_subscription_stays_as_it_is(
    seller: App, sub: str, set_up: str, the_clock: Any
) -> None:
    entity = charge(seller, sub, set_up, quantity=2).json["data"]
    assert (entity["id"], len(entity["items"]), entity["next_billed_at"]) == (sub, 1, "2026-12-11T12:00:00.000000Z")
    [bill] = billing.bills_of(sub)
    assert (bill.origin, bill.status, bill.amount, billing.charged()) == (
        "subscription_charge",
        "completed",
        10000,
        [10000],
    )
    assert people.mails_of(sub) == ["renewed"]
    the_clock.set(DUE)
    billing.work()
    assert billing.charged() == [10000, 30000]


def test_with_the_next_period_it_goes_into_that_bill_once(seller: App, sub: str, set_up: str, the_clock: Any) -> None:
    charge(seller, sub, set_up, "next_billing_period")
    assert (billing.waiting(sub), billing.bills_of(sub)) == ([5000], [])
    the_clock.set(DUE)
    billing.work()
    assert (billing.charged(), billing.waiting(sub)) == ([35000], [])
    the_clock.advance(days=31)
    billing.work()
    assert billing.charged() == [35000, 30000]


def test_a_declined_card_prevents_it(app: Flask, seller: App, set_up: str) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    assert refusal(charge(seller, sub, set_up)) == (400, "subscription_payment_declined")
    assert [each.status for each in billing.bills_of(sub)] == ["canceled"]
    assert (people.row(sub).status, people.mails_of(sub)) == ("active", [])


def test_or_leaves_a_debt(app: Flask, seller: App, set_up: str) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    assert charge(seller, sub, set_up, on_payment_failure="apply_change").status_code == 200
    billing.work()
    assert [each.status for each in billing.bills_of(sub)] == ["past_due"]
    assert people.row(sub).status == "past_due"


@pytest.mark.parametrize("now", [True, False])
def test_what_waits_is_forgiven_when_the_subscription_ends(
    app: Flask, seller: App, sub: str, set_up: str, the_clock: Any, now: bool
) -> None:
    charge(seller, sub, set_up, "next_billing_period")
    if now:
        mighty = App(app, "subscription.write", "subscription.cancel_immediately")
        mighty.post(f"/subscriptions/{sub}/cancel", {"effective_from": "immediately"})
    else:
        seller.post(f"/subscriptions/{sub}/cancel")
        assert billing.waiting(sub) == [5000]
    the_clock.set(DUE)
    billing.work()
    assert (people.row(sub).status, billing.waiting(sub), billing.charged()) == ("canceled", [], [])


@pytest.mark.parametrize(
    ("fields", "when", "refused"),
    [
        (CANCELED, "immediately", (400, "subscription_update_when_canceled")),
        ({"status": "past_due"}, "immediately", (400, "subscription_update_when_past_due")),
        ({"status": "trialing"}, "immediately", (400, "subscription_not_active")),
        ({"status": "paused", "next_billed_at": None}, "next_billing_period", (400, "subscription_not_active")),
        (visits.ending(), "next_billing_period", (400, "subscription_locked_pending_changes")),
        ({"card": None}, "immediately", (400, "subscription_missing_payment_method_cannot_update")),
        ({"period_ends_at": NOW + timedelta(minutes=9)}, "immediately", (409, "subscription_locked_renewal")),
    ],
)
def test_in_another_state_it_is_refused_and_nothing_changes(
    app: Flask, seller: App, set_up: str, fields: dict[str, Any], when: str, refused: tuple[int, str]
) -> None:
    sub = visits.subscribed(**fields)
    before = visits.records()
    assert refusal(charge(seller, sub, set_up, when)) == refused
    assert visits.records() == before


def test_the_twenty_first_charge_in_an_hour_is_refused(seller: App, sub: str, set_up: str, the_clock: Any) -> None:
    for _ in range(20):
        assert charge(seller, sub, set_up).status_code == 200
    refused = charge(seller, sub, set_up)
    assert refusal(refused) == (429, "subscription_immediate_charge_hour_limit_exceeded")
    assert len(billing.charged()) == 20
    assert charge(seller, visits.subscribed(), set_up).status_code == 200
    the_clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert charge(seller, sub, set_up).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "effective_from"),
        ({"effective_from": "never"}, "effective_from"),
        ({"items": []}, "items"),
        ({"items": [{"price_id": "RECURRING", "quantity": 1}]}, "items.0.price_id"),
        ({"items": [{"price_id": f"pri_{UNKNOWN}", "quantity": 1}]}, "items.0.price_id"),
        ({"items": [{"price_id": "ONCE", "quantity": 101}]}, "items.0.quantity"),
        ({"items": [{"price_id": "ONCE", "quantity": -1}]}, "items.0.quantity"),
        ({"items": [{"price_id": "ONCE"}]}, "items.0.quantity"),
        ({"items": [{"price": {"description": "x"}, "quantity": 1}]}, "items.0.price"),
        ({"currency": "USD"}, "currency"),
    ],
)
def test_hostile_bodies_name_their_field(seller: App, sub: str, set_up: str, body: dict[str, Any], field: str) -> None:
    known = {"ONCE": set_up, "RECURRING": people.price()}
    fits = {"effective_from": "immediately", "items": [{"price_id": set_up, "quantity": 1}]}
    body = deepcopy(body)  # its cases are shared by the runs on both databases
    for item in body.get("items", ()):
        if "price_id" in item:
            item["price_id"] = known.get(item["price_id"], item["price_id"])
    before = visits.records()
    sent = fits | body if body else {"items": fits["items"]}
    assert field in fields_of(seller.post(f"/subscriptions/{sub}/charge", sent))
    assert visits.records() == before


def test_what_is_archived_is_not_charged(seller: App, sub: str, set_up: str) -> None:
    assert seller.patch(f"/prices/{set_up}", {"status": "archived"}).status_code == 200
    before = visits.records()
    assert refusal(charge(seller, sub, set_up)) == (400, "entity_archived")
    assert visits.records() == before


def test_strangers_and_keys_without_the_permission(app: Flask, seller: App, sub: str, set_up: str) -> None:
    assert refusal(charge(seller, f"sub_{UNKNOWN}", set_up)) == (404, "not_found")
    assert refusal(charge(App(app, "subscription.read"), sub, set_up)) == (403, "forbidden")
