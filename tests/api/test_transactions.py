"""Making, changing, billing and cancelling transactions over the API."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Transaction import Transaction as OfTheSdk
from sqlalchemy import event

from portal import clock, db, ids
from portal.db import session, transaction
from portal.domain.catalog import Price, Product
from portal.domain.customers import Address, Business, Customer
from portal.domain.events import Event
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.api.hostile_urls import HOSTILE_URLS
from tests.conftest import NOW


def address(customer_id: str, **fields: Any) -> str:
    made = Address(
        **{"id": ids.new("add"), "country_code": "US", "postal_code": "10021", "first_line": "1 Main Street"} | fields,
        customer_id=customer_id,
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    with transaction():
        session().add(made)
    return made.id


def business(customer_id: str, **fields: Any) -> str:
    made = Business(
        id=ids.new("biz"),
        customer_id=customer_id,
        name="Harper Aviation",
        tax_identifier="US123",
        contacts=[],
        created_at=clock.now(),
        updated_at=clock.now(),
        **fields,
    )
    with transaction():
        session().add(made)
    return made.id


def change(row_id: str, mapped: Any, **values: Any) -> None:
    with transaction():
        row = session().get_one(mapped, row_id)
        for name, value in values.items():
            setattr(row, name, value)


def archive_product_of(price_id: str) -> None:
    with transaction():
        price = session().get_one(Price, price_id)
        session().get_one(Product, price.product_id).status = "archived"


def stored(transaction_id: str) -> Transaction:
    with transaction():
        return session().get_one(Transaction, transaction_id)


def told(transaction_id: str) -> list[str]:
    """The events of a transaction, without the first word."""
    with transaction():
        wanted = session().query(Event.type).filter(Event.subject_id == transaction_id).order_by(Event.id)
        return [type.partition(".")[2] for (type,) in wanted]


@pytest.fixture
def amelia(app: Flask) -> dict[str, str]:
    customer_id = people.customer("Amelia Harper")
    return {"customer_id": customer_id, "address_id": address(customer_id)}


def order(*items: Any, **more: Any) -> dict[str, Any]:
    return {"items": [{"price_id": each, "quantity": 1} for each in items or [people.price()]], **more}


MANUAL = {
    "collection_mode": "manual",
    "billing_details": {"payment_terms": {"interval": "day", "frequency": 14}, "purchase_order_number": "PO-1"},
}


def made(seller: App, body: dict[str, Any]) -> Any:
    answer = seller.post("/transactions", body)
    assert answer.status_code == 201, answer.json
    OfTheSdk.from_dict(answer.json["data"])
    return answer.json["data"]


def test_with_customer_and_address_it_is_ready_to_be_paid(seller: App, amelia: Any) -> None:
    data = made(seller, {"items": [{"price_id": people.price(), "quantity": 10}], **amelia, "custom_data": {"n": 1}})
    assert (data["status"], data["origin"], data["collection_mode"]) == ("ready", "api", "automatic")
    assert (data["customer_id"], data["address_id"]) == (amelia["customer_id"], amelia["address_id"])
    assert data["details"]["totals"]["grand_total"] == data["details"]["totals"]["balance"] == "30000"
    assert data["items"][0]["quantity"] == 10
    assert data["custom_data"] == {"n": 1}
    assert data["checkout"]["url"].startswith(f"http://localhost/portal/checkout/{data['id']}?token=pga_")
    assert data["checkout"]["expires_at"] == "2026-12-21T12:00:00.000000Z"
    assert told(data["id"]) == ["created", "ready"]


def test_without_them_it_is_a_draft_that_its_checkout_completes(seller: App) -> None:
    data = made(seller, order())
    assert (data["status"], data["customer_id"], data["address_id"]) == ("draft", None, None)
    assert data["checkout"]["url"]
    assert told(data["id"]) == ["created"]


def test_the_link_is_made_anew_for_each_answer_and_stands_in_no_event(seller: App, amelia: Any, the_clock: Any) -> None:
    data = made(seller, order(**amelia))
    the_clock.advance(hours=1)
    again = seller.get(f"/transactions/{data['id']}").json["data"]
    assert again["checkout"] != data["checkout"]
    with transaction():
        for each in session().query(Event).filter(Event.subject_id == data["id"]):
            assert each.data["checkout"] == {"url": None, "expires_at": None}
            assert "pga_" not in str(each.data)


def test_a_page_of_the_sellers_own_learns_the_transaction(seller: App, amelia: Any) -> None:
    url = "https://app.aeroedit.example/pay?plan=pro"
    data = made(seller, order(**amelia, checkout={"url": url}))
    assert data["checkout"]["url"] == f"{url}&_ptxn={data['id']}"


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/pay",
        "https://app.aeroedit.example.evil.example/",
        "https://app.aeroedit.example@evil.example/",
        "javascript:alert(1)",
        "//app.aeroedit.example/",
        "https://app.aeroedit.example\\@evil.example/",
        "https://app.aeroedit.example/\r\nSet-Cookie: a=b",
    ],
)
def test_a_page_elsewhere_is_refused(seller: App, url: str) -> None:
    answer = seller.post("/transactions", order(checkout={"url": url}))
    assert refusal(answer) == (400, "transaction_checkout_url_domain_is_not_approved")


def test_no_address_that_only_looks_like_the_sellers_own_is_taken(app: Flask) -> None:
    seller, body, taken = App(app), order(), {}
    for url in (*HOSTILE_URLS, "https://[", "https://]/", "https://[::1", "//[", "https://app.aeroedit.example:x/"):
        answer = seller.post("/transactions", body | {"checkout": {"url": url}})
        if answer.status_code != 400:
            taken[url] = answer.status_code
    assert taken == {}


def test_an_entity_that_is_included_twice_is_looked_up_once(seller: App, amelia: Any) -> None:
    made(seller, order(**amelia))
    seen: list[str] = []
    event.listen(db.engine(), "before_cursor_execute", lambda *said: seen.append(said[2]))
    seller.get("/transactions?include=customer")
    once = len(seen)
    seller.get("/transactions?include=" + ",".join(["customer"] * 200))
    assert len(seen) <= 2 * once


def test_during_a_trial_nothing_is_due(seller: App, amelia: Any) -> None:
    price = people.price()
    change(price, Price, trial_interval="day", trial_frequency=14)
    data = made(seller, order(price, **amelia))
    assert data["details"]["totals"]["total"] == "0"
    assert data["details"]["line_items"][0]["unit_totals"]["total"] == "0"
    assert data["items"][0]["price"]["unit_price"]["amount"] == "3000"


def test_what_does_not_belong_together_is_refused(seller: App, amelia: Any) -> None:
    monthly, yearly, euros = people.price(), people.price(interval="year"), people.price(currency="EUR")
    trial = people.price()
    change(trial, Price, trial_interval="day", trial_frequency=14)
    someone = people.customer()
    for body, code in [
        (order("pri_" + "0" * 26), "transaction_price_not_found"),
        (order(monthly, monthly), "transaction_duplicate_price_ids"),
        (order(monthly, yearly), "transaction_price_different_billing_cycle"),
        (order(monthly, trial), "transaction_price_different_trial_period"),
        (order(monthly, euros), "transaction_currency_code_invalid"),
        (order(monthly, currency_code="EUR"), "transaction_currency_code_invalid"),
        ({"items": [{"price_id": monthly, "quantity": 101}]}, "transaction_item_quantity_out_of_range"),
        (order(monthly, address_id=amelia["address_id"]), "transaction_customer_is_required_with_address"),
        (
            order(monthly, business_id=business(amelia["customer_id"])),
            "transaction_customer_is_required_for_business_validation",
        ),
        (order(monthly, **amelia, collection_mode="manual"), "transaction_billing_details_object_required"),
        (order(monthly, billing_details=MANUAL["billing_details"]), "transaction_billing_details_must_be_null"),
        (order(monthly, **amelia, status="billed"), "transaction_invalid_status_change"),
        (order(monthly, **MANUAL, status="billed"), "transaction_status_must_be_ready"),
    ]:
        assert refusal(seller.post("/transactions", body)) == (400, code), body
    for body in (
        order(monthly, customer_id=someone, address_id=amelia["address_id"]),
        order(monthly, customer_id="ctm_" + "0" * 26),
        order(monthly, **amelia, business_id=business(someone)),
    ):
        assert refusal(seller.post("/transactions", body)) == (404, "not_found")
    assert seller.get("/transactions").json["data"] == []


def test_what_is_archived_is_not_sold(seller: App, amelia: Any) -> None:
    price, of_old_product = people.price(), people.price()
    change(price, Price, status="archived")
    archive_product_of(of_old_product)
    old = people.customer(status="archived")
    for body in (order(price), order(of_old_product), order(customer_id=old)):
        assert refusal(seller.post("/transactions", body)) == (400, "entity_archived")
    change(amelia["address_id"], Address, status="archived")
    assert refusal(seller.post("/transactions", order(**amelia))) == (400, "entity_archived")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"price_id": "pri_1", "quantity": 1}]}, "items.0.price_id"),
        ({"items": [{"price_id": "pri_" + "0" * 26, "quantity": 0}]}, "items.0.quantity"),
        ({"items": [{"price_id": "pri_" + "0" * 26, "quantity": True}]}, "items.0.quantity"),
        ({"items": [{"price": {}, "quantity": 1, "price_id": "pri_" + "0" * 26}]}, "items.0.price"),
        ({"discount_id": "dsc_" + "0" * 26}, "discount_id"),
        ({"status": "completed"}, "status"),
        ({"amount": "1"}, "amount"),
    ],
)
def test_hostile_bodies_name_the_field(seller: App, body: Any, field: str) -> None:
    body = body if "items" in body or not body else order("pri_" + "0" * 26, **body)
    assert fields_of(seller.post("/transactions", body)) == [field]


def test_a_draft_is_completed_and_then_ready(seller: App, amelia: Any) -> None:
    data = made(seller, order())
    changed = seller.patch(f"/transactions/{data['id']}", amelia).json["data"]
    assert changed["status"] == "ready"
    assert told(data["id"]) == ["created", "updated", "ready"]
    back = seller.patch(f"/transactions/{data['id']}", {"customer_id": None, "address_id": None}).json["data"]
    assert (back["status"], back["customer_id"]) == ("draft", None)


def test_items_are_replaced_as_a_whole_and_priced_anew(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia))
    dear = people.price(amount=9900)
    changed = seller.patch(f"/transactions/{data['id']}", {"items": [{"price_id": dear, "quantity": 2}]}).json["data"]
    assert [each["price_id"] for each in changed["items"]] == [dear]
    assert changed["details"]["totals"]["total"] == "19800"


def test_what_is_left_out_stays(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia, custom_data={"a": 1}))
    changed = seller.patch(f"/transactions/{data['id']}", {"business_id": business(amelia["customer_id"])}).json["data"]
    assert changed["custom_data"] == {"a": 1}
    assert changed["customer_id"] == amelia["customer_id"]
    assert seller.patch(f"/transactions/{data['id']}", {"custom_data": None}).json["data"]["custom_data"] is None


def test_a_change_to_what_it_is_already_is_none(seller: App, amelia: Any, the_clock: Any) -> None:
    price = people.price()
    data = made(seller, order(price, **amelia, **MANUAL, custom_data={"a": 1}))
    recorded = told(data["id"])
    the_clock.advance(hours=1)
    same = order(price, **amelia, **MANUAL, custom_data={"a": 1}, business_id=None, currency_code="USD")
    for name, value in same.items():
        answer = seller.patch(f"/transactions/{data['id']}", {name: value})
        assert answer.status_code == 200, name
        assert answer.json["data"]["updated_at"] == data["updated_at"], name
        assert [each["id"] for each in answer.json["data"]["details"]["line_items"]] == [
            each["id"] for each in data["details"]["line_items"]
        ], name
    assert told(data["id"]) == recorded
    more = {"items": [{"price_id": price, "quantity": 2}], **amelia}
    assert seller.patch(f"/transactions/{data['id']}", more).json["data"]["items"][0]["quantity"] == 2
    assert told(data["id"]) == [*recorded, "updated"]


def test_the_checkout_of_an_invoice_that_asks_for_one_is_not_there(seller: App, amelia: Any) -> None:
    """`enable_checkout` is kept, and without effect."""
    details = MANUAL["billing_details"] | {"enable_checkout": True}
    data = made(seller, order(**amelia, **MANUAL | {"billing_details": details}, status="billed"))
    assert (data["billing_details"]["enable_checkout"], data["checkout"]["url"]) == (True, None)


def test_a_manual_one_is_billed_with_an_invoice_and_its_subscription_begins(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia, **MANUAL))
    assert (data["status"], data["checkout"]["url"]) == ("ready", None)
    billed = seller.patch(f"/transactions/{data['id']}", {"status": "billed"}).json["data"]
    OfTheSdk.from_dict(billed)
    assert (billed["status"], billed["invoice_number"]) == ("billed", "2026-000001")
    assert billed["billed_at"] == "2026-11-21T12:00:00.000000Z"
    assert billed["billing_details"]["purchase_order_number"] == "PO-1"
    with transaction():
        begun = session().get_one(Subscription, billed["subscription_id"])
        assert (begun.status, begun.collection_mode, begun.payment_method_id) == ("active", "manual", None)
    assert told(data["id"]) == ["created", "ready", "updated", "billed"]
    assert people.mails_of(begun.id) == ["renewed"]
    for body in ({"status": "billed"}, {"custom_data": {}}):
        assert refusal(seller.patch(f"/transactions/{data['id']}", body)) == (400, "transaction_immutable")


def test_billed_at_once(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia, **MANUAL, status="billed"))
    assert (data["status"], data["invoice_number"]) == ("billed", "2026-000001")


def test_what_is_not_paid_can_be_called_off(seller: App, amelia: Any) -> None:
    for body in (order(), order(**amelia), order(**amelia, **MANUAL, status="billed")):
        data = made(seller, body)
        canceled = seller.patch(f"/transactions/{data['id']}", {"status": "canceled"}).json["data"]
        assert (canceled["status"], canceled["checkout"]["url"]) == ("canceled", None)
        assert told(data["id"])[-2:] == ["updated", "canceled"]
        again = seller.patch(f"/transactions/{data['id']}", {"status": "canceled"})
        assert refusal(again) == (400, "transaction_immutable")


def test_changing_and_cancelling_are_two_things(seller: App) -> None:
    data = made(seller, order())
    answer = seller.patch(f"/transactions/{data['id']}", {"status": "canceled", "custom_data": {}})
    assert refusal(answer) == (400, "transaction_cannot_be_modified_and_canceled")
    assert stored(data["id"]).status == "draft"


def test_while_it_is_being_paid_nothing_changes(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia))
    change(data["id"], Transaction, attempt_key="att_1")
    answer = seller.patch(f"/transactions/{data['id']}", {"custom_data": {}})
    assert refusal(answer) == (409, "transaction_immutable_while_processing_payment")
    answer = seller.patch(f"/transactions/{data['id']}", {"status": "canceled"})
    assert refusal(answer) == (409, "payment_under_way")


def test_related_entities_come_if_they_are_asked_for(seller: App, amelia: Any) -> None:
    bought_for = business(amelia["customer_id"])
    data = made(seller, order(**amelia, business_id=bought_for))
    everything = "customer,address,business,adjustment,adjustments_totals,available_payment_methods,discount"
    more = seller.get(f"/transactions/{data['id']}?include={everything}").json["data"]
    OfTheSdk.from_dict(more)
    assert (more["customer"]["id"], more["address"]["id"]) == (amelia["customer_id"], amelia["address_id"])
    assert (more["business"]["id"], more["adjustments"], more["available_payment_methods"]) == (
        bought_for,
        [],
        ["card"],
    )
    assert "customer" not in seller.get(f"/transactions/{data['id']}").json["data"]
    answer = seller.post("/transactions?include=customer", order(**amelia))
    assert answer.json["data"]["customer"]["id"] == amelia["customer_id"]


def test_a_key_needs_the_permission(app: Flask) -> None:
    reader, nobody = App(app, "transaction.read"), App(app, "product.read")
    assert reader.get("/transactions").status_code == 200
    assert refusal(reader.post("/transactions", order())) == (403, "forbidden")
    assert refusal(nobody.get("/transactions")) == (403, "forbidden")


def test_an_unknown_one_is_not_found(seller: App) -> None:
    unknown = "/transactions/txn_" + "0" * 26
    for answer in (seller.get(unknown), seller.patch(unknown, {}), seller.get(f"{unknown}/invoice")):
        assert refusal(answer) == (404, "not_found")


def test_a_customer_who_is_archived_later_keeps_what_was_made(seller: App, amelia: Any) -> None:
    data = made(seller, order(**amelia))
    change(amelia["customer_id"], Customer, status="archived")
    assert seller.get(f"/transactions/{data['id']}").json["data"]["status"] == "ready"


def test_times_of_a_billing_period_are_kept(seller: App) -> None:
    period = {"starts_at": "2026-12-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}
    data = made(seller, order(billing_period=period))
    assert data["billing_period"] == {
        "starts_at": "2026-12-01T00:00:00.000000Z",
        "ends_at": "2027-01-01T00:00:00.000000Z",
    }
    backwards = {"starts_at": period["ends_at"], "ends_at": period["starts_at"]}
    assert fields_of(seller.post("/transactions", order(billing_period=backwards))) == ["billing_period"]
    assert stored(data["id"]).created_at == NOW


def test_a_sum_that_no_reader_of_json_reads_exactly_is_refused(seller: App) -> None:
    price = people.price(amount=2**52)
    answer = seller.post("/transactions", {"items": [{"price_id": price, "quantity": 3}]})
    assert refusal(answer) == (400, "transaction_item_quantity_out_of_range")
