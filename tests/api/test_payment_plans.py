"""An app sells payment plans: prices with a number of payments, and subscriptions that count them."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Price import Price as SdkPrice
from paddle_billing.Entities.Subscription import Subscription as SdkSubscription

from portal.db import session, transaction
from portal.domain import api_keys
from portal.domain.transactions import Transaction
from tests import people, plans
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END

MONTH = {"interval": "month", "frequency": 1}
USD = {"amount": "3000", "currency_code": "USD"}


@pytest.fixture
def seller(app: Flask) -> App:
    return App(app, *api_keys.ALL_BUT_NAMED, api_keys.CANCEL_IMMEDIATELY)


@pytest.fixture
def product(seller: App) -> str:
    return str(seller.post("/products", {"name": "AeroEdit", "tax_category": "saas"}).json["data"]["id"])


def asked(product: str, **fields: Any) -> dict[str, Any]:
    return {"description": "In six", "product_id": product, "unit_price": USD, "billing_cycle": MONTH} | fields


def made(seller: App, product: str, **fields: Any) -> dict[str, Any]:
    answer = seller.post("/prices", asked(product, **fields))
    assert answer.status_code == 201, answer.json
    return dict(answer.json["data"])


def code(answer: Any) -> str:
    return refusal(answer)[1]


def test_a_price_says_how_many_payments_there_are(seller: App, product: str) -> None:
    entity = made(seller, product, payments=6)
    assert entity["payments"] == 6
    assert made(seller, product)["payments"] is None
    assert seller.get(f"/prices/{entity['id']}?include=product").json["data"]["payments"] == 6
    assert seller.patch(f"/prices/{entity['id']}", {"payments": 12}).json["data"]["payments"] == 12
    assert seller.patch(f"/prices/{entity['id']}", {"name": "x"}).json["data"]["payments"] == 12
    assert seller.patch(f"/prices/{entity['id']}", {"payments": None}).json["data"]["payments"] is None


@pytest.mark.parametrize("wrong", [0, 1, 1000, -1, 2.5, "6", True])
def test_numbers_that_are_none_are_named(seller: App, product: str, wrong: Any) -> None:
    id = made(seller, product)["id"]
    before = visits.records()
    assert fields_of(seller.post("/prices", asked(product, payments=wrong))) == ["payments"]
    assert fields_of(seller.patch(f"/prices/{id}", {"payments": wrong})) == ["payments"]
    assert visits.records() == before


def test_payments_need_a_cycle(seller: App, product: str) -> None:
    assert fields_of(seller.post("/prices", asked(product, payments=6, billing_cycle=None))) == ["payments"]
    id = made(seller, product, payments=6)["id"]
    assert fields_of(seller.patch(f"/prices/{id}", {"billing_cycle": None})) == ["payments"]
    assert seller.patch(f"/prices/{id}", {"billing_cycle": None, "payments": None}).status_code == 200


@pytest.mark.parametrize("payments", [12, None])
def test_the_number_stays_while_a_subscription_is_billed_by_it(seller: App, payments: int | None) -> None:
    price_id = plans.price(6)
    plans.plan(3, price_id=price_id)
    before = visits.records()
    assert refusal(seller.patch(f"/prices/{price_id}", {"payments": payments})) == (409, "conflict")
    assert visits.records() == before


def test_a_subscription_tells_what_is_left_and_the_sdk_reads_both(seller: App) -> None:
    sub = plans.plan(3, payments=6)
    entity = seller.get(f"/subscriptions/{sub}").json["data"]
    assert (entity["remaining_payments"], entity["items"][0]["price"]["payments"]) == (3, 6)
    assert SdkSubscription.from_dict(entity).id == sub
    assert SdkPrice.from_dict(seller.get("/prices").json["data"][0]).unit_price.amount == "3000"
    assert seller.get(f"/subscriptions/{visits.subscribed()}").json["data"]["remaining_payments"] is None
    listed = seller.get("/subscriptions").json["data"]
    assert sorted(each["remaining_payments"] or 0 for each in listed) == [0, 3]


def test_an_order_does_not_mix_plans(seller: App) -> None:
    def order(*price_ids: str) -> Any:
        return seller.post("/transactions", {"items": [{"price_id": each, "quantity": 1} for each in price_ids]})

    assert code(order(plans.price(6), people.price())) == "transaction_price_different_payments"
    assert code(order(plans.price(6), plans.price(12))) == "transaction_price_different_payments"
    draft = order(plans.price(6), plans.price(6))
    assert draft.status_code == 201
    wanted = {"items": [{"price_id": plans.price(6), "quantity": 1}, {"price_id": people.price(), "quantity": 1}]}
    changed = seller.patch(f"/transactions/{draft.json['data']['id']}", wanted)
    assert code(changed) == "transaction_price_different_payments"


def change(seller: App, sub: str, *items: tuple[str, int]) -> Any:
    listed = [{"price_id": price_id, "quantity": quantity} for price_id, quantity in items]
    return seller.patch(f"/subscriptions/{sub}", {"items": listed, "proration_billing_mode": "prorated_immediately"})


def test_quantities_of_a_plan_change_and_nothing_is_added(seller: App) -> None:
    price_id = plans.price(6)
    sub = plans.plan(3, price_id=price_id)
    assert change(seller, sub, (price_id, 2)).status_code == 200
    assert people.row(sub).remaining_payments == 3
    others = (plans.price(6), plans.price(12), people.price())
    before = visits.records()
    for other in others:
        assert fields_of(change(seller, sub, (price_id, 2), (other, 1))) == ["items.1.price_id"]
    assert visits.records() == before


def test_a_plan_is_not_added_to_what_is_endless(seller: App) -> None:
    price_id = people.price()
    sub = people.subscription(people.customer(), price_id=price_id, quantity=1)
    other = plans.price(6)
    before = visits.records()
    assert fields_of(change(seller, sub, (price_id, 1), (other, 1))) == ["items.1.price_id"]
    assert visits.records() == before


def test_an_app_ends_a_plan_as_any_subscription(seller: App) -> None:
    sub = plans.plan(3, period_ends_at=END)
    entity = seller.post(f"/subscriptions/{sub}/cancel", {}).json["data"]
    assert (entity["scheduled_change"]["action"], entity["remaining_payments"]) == ("cancel", 3)
    kept = seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None}).json["data"]
    assert (kept["scheduled_change"], kept["remaining_payments"]) == (None, 3)
    ended = seller.post(f"/subscriptions/{sub}/cancel", {"effective_from": "immediately"}).json["data"]
    assert (ended["status"], ended["canceled_at"][:19]) == ("canceled", f"{NOW:%Y-%m-%dT%H:%M:%S}")


def test_the_end_of_a_completed_plan_is_not_removed(seller: App) -> None:
    sub = plans.plan(**plans.completed(period_ends_at=END))
    before = visits.records()
    assert refusal(seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None})) == (409, "payment_plan_completed")
    assert code(seller.post(f"/subscriptions/{sub}/cancel", {})) == "subscription_locked_pending_changes"
    assert visits.records() == before


def test_a_preview_knows_no_bill_after_the_last(seller: App) -> None:
    sub = plans.plan(**plans.completed(period_ends_at=END))
    assert seller.get(f"/subscriptions/{sub}?include=next_transaction").json["data"]["next_transaction"] is None
    last = plans.plan(1, period_ends_at=END)
    assert seller.get(f"/subscriptions/{last}?include=next_transaction").json["data"]["next_transaction"]


def test_a_transaction_of_an_earlier_release_has_the_field_too(seller: App) -> None:
    order = seller.post("/transactions", {"items": [{"price_id": people.price(), "quantity": 1}]}).json["data"]

    with transaction():
        row = session().get_one(Transaction, order["id"])
        row.lines = [
            each | {"price": {name: value for name, value in each["price"].items() if name != "payments"}}
            for each in row.lines
        ]
    assert seller.get(f"/transactions/{order['id']}").json["data"]["items"][0]["price"]["payments"] is None
