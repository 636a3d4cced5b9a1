"""An app lists, creates, reads and changes prices."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Price import Price as SdkPrice
from paddle_billing.Notifications.Entities.Price import Price as SdkEventPrice

from portal.db import transaction
from portal.domain import renewal, subscriptions, transactions
from portal.domain.actors import system
from portal.domain.catalog import Price
from tests import people
from tests.api import recorded
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, UNKNOWN

USD = {"amount": "3000", "currency_code": "USD"}
MONTH = {"interval": "month", "frequency": 1}
KEYS = {
    *("id", "product_id", "type", "description", "name", "tax_mode", "billing_cycle", "trial_period", "unit_price"),
    *(
        "unit_price_overrides",
        "payments",
        "custom_data",
        "status",
        "quantity",
        "import_meta",
        "created_at",
        "updated_at",
    ),
}
ORDERS = (
    *("billing_cycle.frequency", "billing_cycle.interval", "id", "product_id", "quantity.maximum", "quantity.minimum"),
    *("status", "tax_mode", "unit_price.amount", "unit_price.currency_code"),
)


@pytest.fixture
def product(seller: App) -> str:
    return str(seller.post("/products", {"name": "AeroEdit", "tax_category": "saas"}).json["data"]["id"])


def asked(product: str, **fields: Any) -> dict[str, Any]:
    return {"description": "Monthly", "product_id": product, "unit_price": USD} | fields


def made(seller: App, product: str, **fields: Any) -> str:
    answer = seller.post("/prices", asked(product, **fields))
    assert answer.status_code == 201, answer.json
    return str(answer.json["data"]["id"])


def whole() -> dict[str, Any]:
    return {
        "name": "Monthly (per seat)",
        "type": "custom",
        "billing_cycle": MONTH,
        "trial_period": {"interval": "day", "frequency": 14},
        "tax_mode": "internal",
        "unit_price_overrides": [
            {"country_codes": ["AT", "DE"], "unit_price": {"amount": "2800", "currency_code": "EUR"}}
        ],
        "quantity": {"minimum": 2, "maximum": 999_999_999},
        "custom_data": {"k": [1]},
    }


def test_a_price_is_created_with_all_that_was_sent(seller: App, product: str) -> None:
    sent = asked(product, **whole())
    answer = seller.post("/prices", sent)
    entity = answer.json["data"]
    assert answer.status_code == 201
    assert set(entity) == KEYS
    assert {name: entity[name] for name in sent} == sent
    assert (entity["status"], entity["import_meta"]) == ("active", None)
    [event] = recorded.events(entity["id"])
    assert (event.type, event.data) == ("price.created", entity)
    assert seller.get(f"/prices/{entity['id']}").json["data"] == entity


def test_what_is_left_out_has_the_contracts_defaults(seller: App, product: str) -> None:
    entity = seller.post("/prices", asked(product, type=None)).json["data"]
    assert {name: entity[name] for name in whole()} == {
        "name": None,
        "type": "standard",
        "billing_cycle": None,
        "trial_period": None,
        "tax_mode": "account_setting",
        "unit_price_overrides": [],
        "quantity": {"minimum": 1, "maximum": 100},
        "custom_data": None,
    }


def test_the_sdk_reads_prices_and_their_events_and_sends_them_back(seller: App, product: str) -> None:
    id = made(seller, product, **whole())
    read = SdkPrice.from_dict(seller.get(f"/prices/{id}?include=product").json["data"])
    assert read.product is not None
    assert (read.id, read.product.id, read.unit_price.amount) == (id, product, "3000")
    assert read.unit_price_overrides[0].country_codes == ["AT", "DE"]
    assert SdkEventPrice.from_dict(recorded.events(id)[0].data).quantity.minimum == 2
    trial = {"interval": "day", "frequency": 14, "requires_payment_method": True, "unit_price": None}
    again = seller.patch(f"/prices/{id}", {"trial_period": trial | {"unit_price_overrides": []}})
    assert again.json["data"]["trial_period"] == {"interval": "day", "frequency": 14}


@pytest.mark.parametrize("more", [{"requires_payment_method": False}, {"unit_price": USD}])
def test_trials_that_the_portal_does_not_know_are_refused(seller: App, product: str, more: Any) -> None:
    trial = {"interval": "day", "frequency": 14} | more
    answer = seller.post("/prices", asked(product, billing_cycle=MONTH, trial_period=trial))
    assert [each.partition(".")[0] for each in fields_of(answer)] == ["trial_period"]


def override(*countries: str) -> dict[str, Any]:
    return {"country_codes": list(countries), "unit_price": USD}


WRONG: list[tuple[str, Any]] = [
    ("description", "x"),
    ("description", "x" * 501),
    ("description", None),
    ("unit_price", None),
    ("unit_price", "3000"),
    ("unit_price.amount", {"amount": "30.00", "currency_code": "USD"}),
    ("unit_price.amount", {"amount": "-1", "currency_code": "USD"}),
    ("unit_price.amount", {"amount": "", "currency_code": "USD"}),
    ("unit_price.amount", {"amount": "٣", "currency_code": "USD"}),
    ("unit_price.amount", {"amount": "9007199254740993", "currency_code": "USD"}),
    ("unit_price.amount", {"amount": 3000, "currency_code": "USD"}),
    ("unit_price.currency_code", {"amount": "1", "currency_code": "usd"}),
    ("unit_price.currency_code", {"amount": "1", "currency_code": "XXX"}),
    ("unit_price.currency_code", {"amount": "1", "currency_code": "DEM"}),
    ("unit_price.currency_code", {"amount": "1"}),
    ("unit_price.tax", {**USD, "tax": "1"}),
    ("name", ""),
    ("name", "x" * 151),
    ("type", "special"),
    ("billing_cycle.interval", {"interval": "decade", "frequency": 1}),
    ("billing_cycle.frequency", {"interval": "day", "frequency": 0}),
    ("billing_cycle.frequency", {"interval": "day", "frequency": 1000}),
    ("billing_cycle.frequency", {"interval": "day", "frequency": "1"}),
    ("billing_cycle.frequency", {"interval": "day", "frequency": 1.5}),
    ("trial_period", {"interval": "day", "frequency": 14}),
    ("tax_mode", "none"),
    ("tax_mode", None),
    ("unit_price_overrides", None),
    ("unit_price_overrides", [override("AT", "DE"), override("DE")]),
    ("unit_price_overrides", [override("AT", "AT")]),
    ("unit_price_overrides.0.country_codes", [override()]),
    ("unit_price_overrides.0.country_codes.0", [override("at")]),
    ("unit_price_overrides.0.country_codes.0", [override("EU")]),
    ("quantity", None),
    ("quantity", {"minimum": 3, "maximum": 2}),
    ("quantity.minimum", {"minimum": 0, "maximum": 2}),
    ("quantity.maximum", {"minimum": 1, "maximum": 10**9}),
    ("quantity.maximum", {"minimum": 1}),
    ("custom_data", []),
    ("id", f"pri_{UNKNOWN}"),
    ("product", {}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_and_unknown_fields_are_named(seller: App, product: str, field: str, value: Any) -> None:
    id = made(seller, product)
    before = visits.records()
    body = {field.partition(".")[0]: value}
    assert fields_of(seller.post("/prices", asked(product) | body)) == [field]
    assert fields_of(seller.patch(f"/prices/{id}", body)) == [field]
    assert visits.records() == before


def test_a_price_stays_with_its_product(seller: App, product: str) -> None:
    id = made(seller, product)
    assert fields_of(seller.patch(f"/prices/{id}", {"product_id": product})) == ["product_id"]


def test_a_price_needs_a_product_that_is_sold(seller: App, product: str) -> None:
    before = visits.records()
    assert refusal(seller.post("/prices", asked(f"pro_{UNKNOWN}"))) == (404, "not_found")
    assert fields_of(seller.post("/prices", asked("pro_x"))) == ["product_id"]
    assert visits.records() == before
    seller.patch(f"/products/{product}", {"status": "archived"})
    assert refusal(seller.post("/prices", asked(product))) == (400, "entity_archived")


def test_a_change_leaves_what_it_does_not_name(seller: App, product: str) -> None:
    id = made(seller, product, **whole())
    before = seller.get(f"/prices/{id}").json["data"]
    after = seller.patch(f"/prices/{id}", {"unit_price": USD | {"amount": "3500"}, "name": None}).json["data"]
    assert after == before | {"unit_price": USD | {"amount": "3500"}, "name": None}
    assert recorded.types(id) == ["price.created", "price.updated"]
    assert recorded.events(id)[-1].data == after


def test_a_change_that_changes_nothing_is_recorded_nowhere(seller: App, product: str) -> None:
    id = made(seller, product, **whole())
    before = visits.records()
    for body in ({}, whole(), {"unit_price": USD}):
        assert seller.patch(f"/prices/{id}", body).status_code == 200
    assert visits.records() == before


def test_a_trial_goes_with_its_cycle(seller: App, product: str) -> None:
    id = made(seller, product, **whole())
    assert fields_of(seller.patch(f"/prices/{id}", {"billing_cycle": None})) == ["trial_period"]
    entity = seller.patch(f"/prices/{id}", {"billing_cycle": None, "trial_period": None}).json["data"]
    assert (entity["billing_cycle"], entity["trial_period"]) == (None, None)
    trial = {"interval": "week", "frequency": 1}
    assert fields_of(seller.patch(f"/prices/{id}", {"trial_period": trial})) == ["trial_period"]
    assert seller.patch(f"/prices/{id}", {"billing_cycle": MONTH, "trial_period": trial}).status_code == 200


YEARLY = {"billing_cycle": {"interval": "year", "frequency": 1}}
EVERY_OTHER = {"billing_cycle": {"interval": "month", "frequency": 2}}
IN_EURO = {"unit_price": {"amount": "3000", "currency_code": "EUR"}}


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "paused"])
@pytest.mark.parametrize("change", [YEARLY, EVERY_OTHER, {"billing_cycle": None}, IN_EURO])
def test_cycle_and_currency_stay_while_a_subscription_is_billed_by_it(seller: App, status: str, change: Any) -> None:
    price = people.price()
    people.subscription(people.customer(), price_id=price, status=status)
    before = visits.records()
    assert refusal(seller.patch(f"/prices/{price}", change)) == (409, "conflict")
    assert visits.records() == before


def test_they_may_change_once_every_subscription_has_ended(seller: App) -> None:
    price = people.price()
    people.subscription(people.customer(), price_id=price, **CANCELED, period_ends_at=None)
    assert seller.patch(f"/prices/{price}", YEARLY | IN_EURO).status_code == 200


def test_a_new_amount_counts_from_the_next_bill_on(seller: App, the_clock: Any) -> None:
    price, customer = people.price(amount=3000), people.customer()
    sub = people.subscription(customer, price_id=price, quantity=2, period_ends_at=NOW + timedelta(days=1))

    def bill() -> None:
        the_clock.set(people.row(sub).next_billed_at)
        with transaction():
            renewal.begin_period(subscriptions.get(sub), by=system())

    bill()
    assert seller.patch(f"/prices/{price}", {"unit_price": USD | {"amount": "9000"}}).status_code == 200
    [first] = transactions.of_customer(customer)
    assert (first.amount, first.lines[0]["price"]["unit_price"]["amount"]) == (6000, "3000")
    shown = seller.get(f"/subscriptions/{sub}").json["data"]["items"][0]["price"]
    assert shown["unit_price"]["amount"] == "9000"
    bill()
    assert [each.amount for each in transactions.of_customer(customer)] == [18000, 6000]


def test_every_filter(seller: App, product: str) -> None:
    once = made(seller, product)
    monthly = made(seller, product, billing_cycle=MONTH, type="custom")
    other = people.price()
    archived = made(seller, product)
    seller.patch(f"/prices/{archived}", {"status": "archived"})
    expected = {
        "": {once, monthly, other},
        f"product_id={product}": {once, monthly},
        f"product_id={product},{recorded.stored(Price, other).product_id}": {once, monthly, other},
        "recurring=true": {monthly, other},
        "recurring=false": {once},
        "type=custom": {monthly},
        "status=archived": {archived},
        "status=archived,active&recurring=false": {once, archived},
        f"id={once},{archived}": {once},
    }
    for query, wanted in expected.items():
        answer = seller.get(f"/prices?{query}")
        assert {each["id"] for each in answer.json["data"]} == wanted, query
        assert answer.json["meta"]["pagination"]["estimated_total"] == len(wanted), query


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_every_order_loses_no_row(seller: App, product: str, order: str, direction: str) -> None:
    for number in range(5):
        cycle = {"interval": ("day", "year")[number % 2], "frequency": number} if number else None
        limits = {"minimum": 1 + number % 2, "maximum": 5 + number % 3}
        money = {"amount": str(100 - number), "currency_code": ("USD", "EUR")[number % 2]}
        made(seller, product, billing_cycle=cycle, quantity=limits, unit_price=money)
    path, found = f"/prices?per_page=2&order_by={order}[{direction}]&include=product", []
    for _ in range(3):
        page = seller.get(path).json
        found += page["data"]
        path = page["meta"]["pagination"]["next"].removeprefix("http://localhost")
    assert len({each["id"] for each in found}) == 5
    assert {each["product"]["id"] for each in found} == {product}
    names = order.split(".")
    values = [(each[names[0]] or {}).get(names[1]) if names[1:] else each[names[0]] for each in found]
    keyed = [(int(each) if names[-1] == "amount" else each) for each in values if each is not None]
    assert keyed == sorted(keyed, reverse=direction == "desc")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("recurring=yes", "recurring"),
        ("include=prices", "include"),
        ("order_by=description[ASC]", "order_by"),
        ("status=gone", "status"),
        ("after=pro_x", "after"),
    ],
)
def test_wrong_parameters_are_named(seller: App, query: str, field: str) -> None:
    assert fields_of(seller.get(f"/prices?{query}")) == [field]


def test_unknown_prices_are_not_found(seller: App) -> None:
    for method in ("GET", "PATCH"):
        for id in (f"pri_{UNKNOWN}", "pri_x", f"pro_{UNKNOWN}"):
            assert refusal(seller.call(method, f"/prices/{id}")) == (404, "not_found")


def test_a_key_does_only_what_it_may(app: Flask, seller: App, product: str) -> None:
    id = made(seller, product)
    before = visits.records()
    reader = App(app, "price.read", "product.write")
    assert reader.get(f"/prices/{id}").status_code == 200
    for answer in (reader.post("/prices", asked(product)), reader.patch(f"/prices/{id}", {"name": "x"})):
        assert refusal(answer) == (403, "forbidden")
    assert refusal(App(app, "price.write").get("/prices")) == (403, "forbidden")
    assert refusal(App(app, key={}).get("/prices")) == (403, "authentication_missing")
    assert visits.records() == before
