"""What can be had of transactions once they exist: lists, invoices, corrections, and the way to change a card."""

import io
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from paddle_billing.Entities.Transaction import Transaction as OfTheSdk
from pypdf import PdfReader

from portal import ids, worker
from portal.db import session, transaction
from portal.domain import purchases
from portal.domain.actors import system
from portal.domain.customers import Customer
from portal.domain.payment_methods import Card
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import Sandbox
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.api.test_transactions import MANUAL, address, business, change, made, order, stored, told
from tests.conftest import NOW
from tests.customer import visits
from tests.person import Person

VISA = Card("visa", "4242", 7, 2029, gateway="sandbox", reference="sandbox_ok")
CARD = {"number": "4242 4242 4242 4242", "expiry": "07/29", "cvc": "123"}


@pytest.fixture
def amelia(app: Flask) -> dict[str, str]:
    customer_id = people.customer("Amelia Harper")
    return {"customer_id": customer_id, "address_id": address(customer_id, city="New York")}


def paid(seller: App, whose: dict[str, str], **more: Any) -> str:
    """A completed purchase; its id."""
    txn = made(seller, order(**whose, **more))["id"]
    assert purchases.pay(txn, VISA, Sandbox(), by=system()) is None
    return str(txn)


def words(seller: App, txn: str) -> str:
    """The invoice as an app's reader has it."""
    url = seller.get(f"/transactions/{txn}/invoice").json["data"]["url"]
    return " ".join(PdfReader(io.BytesIO(open_link(seller, url).data)).pages[0].extract_text().split())


def open_link(seller: App, url: str) -> Any:
    return seller.client.get(urlsplit(url)._replace(scheme="", netloc="").geturl())


def listed(seller: App, query: str) -> list[str]:
    return [each["id"] for each in seller.get(f"/transactions?{query}").json["data"]]


def test_a_completed_purchase_says_how_it_was_paid(seller: App, amelia: Any) -> None:
    data = seller.get(f"/transactions/{paid(seller, amelia)}").json["data"]
    OfTheSdk.from_dict(data)
    assert data["details"]["totals"]["balance"] == "0"
    assert data["payments"][0]["status"] == "captured"
    assert data["payments"][0]["method_details"]["card"]["last4"] == "4242"
    assert data["billing_period"]["ends_at"] == "2026-12-21T12:00:00.000000Z"
    assert data["checkout"] == {"url": None, "expires_at": None}
    assert data["subscription_id"].startswith("sub_")


def test_they_are_listed_by_thirty_and_to_the_last_page(seller: App) -> None:
    price = people.price()
    all_of_them = [made(seller, order(price))["id"] for _ in range(32)]
    first = seller.get("/transactions?per_page=200").json
    assert first["meta"]["pagination"]["per_page"] == 30
    assert first["meta"]["pagination"]["estimated_total"] == 32
    after = urlsplit(first["meta"]["pagination"]["next"])
    second = seller.get(f"{after.path}?{after.query}").json
    assert [each["id"] for each in first["data"] + second["data"]] == all_of_them[::-1]
    assert not second["meta"]["pagination"]["has_more"]


@pytest.mark.parametrize("field", ["billed_at", "created_at", "id", "updated_at"])
@pytest.mark.parametrize("direction", ["asc", "DESC"])
def test_they_are_ordered_page_by_page(seller: App, amelia: Any, the_clock: Any, field: str, direction: str) -> None:
    txns = []
    for n in range(4):
        txns.append(paid(seller, amelia) if n % 2 else made(seller, order())["id"])
        the_clock.advance(minutes=1)
    seen: list[str] = []
    query = f"order_by={field}[{direction}]&per_page=1"
    while True:
        page = seller.get(f"/transactions?{query}").json
        seen += [each["id"] for each in page["data"]]
        if not page["meta"]["pagination"]["has_more"]:
            break
        query = urlsplit(page["meta"]["pagination"]["next"]).query
    assert seen == (txns if direction == "asc" else txns[::-1])


def test_they_are_found_by_what_they_are(seller: App, amelia: Any, the_clock: Any) -> None:
    bought = paid(seller, amelia)
    the_clock.advance(days=1)
    draft, billed = made(seller, order())["id"], made(seller, order(**amelia, **MANUAL, status="billed"))["id"]
    sub = stored(bought).subscription_id
    for query, found in {
        "status=completed": [bought],
        "status=draft,billed": [billed, draft],
        f"customer_id={amelia['customer_id']}": [billed, bought],
        f"id={draft},{bought}": [draft, bought],
        f"subscription_id={sub}": [bought],
        "subscription_id=null": [draft],
        f"subscription_id=null,{sub}": [draft, bought],
        "collection_mode=manual": [billed],
        "origin=api": [billed, draft, bought],
        "origin=web": [],
        "invoice_number=2026-000001": [bought],
        "created_at[GT]=2026-11-21T13:00:00Z": [billed, draft],
        "billed_at[LT]=2026-11-21T13:00:00Z": [bought],
        "updated_at[GTE]=2026-11-22T12:00:00Z": [billed, draft],
        "include=customer&status=draft": [draft],
    }.items():
        assert listed(seller, query) == found, query
    assert fields_of(seller.get("/transactions?status=open")) == ["status"]
    assert fields_of(seller.get("/transactions?order_by=amount[ASC]")) == ["order_by"]


def test_the_invoice_opens_for_an_hour_and_for_nobody_else(seller: App, amelia: Any, the_clock: Any) -> None:
    txn, other = paid(seller, amelia), paid(seller, amelia)
    answer = seller.get(f"/transactions/{txn}/invoice").json["data"]
    assert answer["expires_at"] == "2026-11-21T13:00:00.000000Z"
    pdf = open_link(seller, answer["url"])
    assert pdf.data.startswith(b"%PDF")
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="invoice-2026-000001.pdf"'
    shown = seller.get(f"/transactions/{txn}/invoice?disposition=inline").json["data"]["url"]
    assert open_link(seller, shown).headers["Content-Disposition"].startswith("inline")
    token = answer["url"].partition("token=")[2]
    for forged in (answer["url"].replace(txn, other), answer["url"][:-2], f"http://localhost/portal?token={token}"):
        assert open_link(seller, forged).status_code == 403, forged
    change(amelia["customer_id"], Customer, links_valid_from=NOW + timedelta(minutes=1))
    assert open_link(seller, answer["url"]).status_code == 410
    change(amelia["customer_id"], Customer, links_valid_from=None)
    the_clock.advance(minutes=61)
    assert open_link(seller, answer["url"]).status_code == 410


def test_what_is_not_billed_has_no_invoice(seller: App, amelia: Any) -> None:
    for body in (order(), order(**amelia)):
        txn = made(seller, body)["id"]
        answer = seller.get(f"/transactions/{txn}/invoice")
        assert refusal(answer) == (400, "transaction_invoice_not_available")
    billed = made(seller, order(**amelia, **MANUAL, status="billed"))["id"]
    assert "Please give the invoice number" in words(seller, billed)
    assert fields_of(seller.get(f"/transactions/{billed}/invoice?disposition=x")) == ["disposition"]


def test_an_invoice_is_corrected_once_and_says_so(seller: App, amelia: Any) -> None:
    bought_for = business(amelia["customer_id"])
    txn = paid(seller, amelia, business_id=bought_for)
    assert "Harper Aviation" in words(seller, txn)
    body = {
        "customer": {"name": "Amelia M. Harper"},
        "address": {"first_line": "5 Side Street", "second_line": None},
        "business": {"tax_identifier": "US999"},
    }
    data = seller.post(f"/transactions/{txn}/revise", body).json["data"]
    OfTheSdk.from_dict(data)
    assert (data["revised_at"], data["status"]) == ("2026-11-21T12:00:00.000000Z", "completed")
    assert told(txn)[-1] == "revised"
    text = words(seller, txn)
    for fact in ("Revised invoice", "Revised on", "Amelia M. Harper", "5 Side Street", "New York", "US999"):
        assert fact in text, fact
    assert "1 Main Street" not in text
    related = seller.get(f"/transactions/{txn}?include=customer,address,business").json["data"]
    assert related["customer"]["name"] == "Amelia M. Harper"
    assert (related["address"]["first_line"], related["address"]["city"]) == ("5 Side Street", "New York")
    assert related["business"]["tax_identifier"] == "US999"
    assert seller.get(f"/customers/{amelia['customer_id']}").json["data"]["name"] == "Amelia Harper"
    again = seller.post(f"/transactions/{txn}/revise", body)
    assert refusal(again) == (400, "transaction_revised_limit_reached")


def test_the_customer_sees_the_corrected_invoice(seller: App, amelia: Any, person: Person) -> None:
    txn = paid(seller, amelia)
    seller.post(f"/transactions/{txn}/revise", {"business": {"name": "Sky GmbH", "tax_identifier": "DE1"}})
    visits.come_in(person, amelia["customer_id"])
    pdf = person.client.get(f"/portal/payments/{txn}/invoice.pdf").data
    text = PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert "Sky GmbH" in text
    assert "DE1" in text


def test_what_can_not_be_corrected(seller: App, amelia: Any) -> None:
    txn, ready = paid(seller, amelia), made(seller, order(**amelia))["id"]
    for body, code in [
        ({}, "transaction_nothing_to_revise"),
        ({"customer": {}, "address": None}, "transaction_nothing_to_revise"),
        ({"business": {"tax_identifier": "X"}}, "transaction_revise_missing_business_name"),
    ]:
        assert refusal(seller.post(f"/transactions/{txn}/revise", body)) == (400, code)
    answer = seller.post(f"/transactions/{ready}/revise", {"customer": {"name": "A"}})
    assert refusal(answer) == (400, "transaction_invalid_status_to_revise")
    for body, field in [
        ({"address": {"country_code": "DE"}}, "address.country_code"),
        ({"customer": {"name": None}}, "customer.name"),
        ({"business": {"tax_identifier": ""}}, "business.tax_identifier"),
        ({"customer": {"email": "a@b.example"}}, "customer.email"),
    ]:
        assert fields_of(seller.post(f"/transactions/{txn}/revise", body)) == [field]
    assert stored(txn).revised_at is None


WAY = "/subscriptions/{}/update-payment-method-transaction"


def test_the_way_to_change_a_card_is_one_transaction_however_often_it_is_asked_for(seller: App, person: Person) -> None:
    sub = visits.subscribed()
    first = seller.get(WAY.format(sub)).json["data"]
    OfTheSdk.from_dict(first)
    assert (first["origin"], first["status"]) == ("subscription_payment_method_change", "ready")
    assert (first["subscription_id"], first["details"]["totals"]["total"]) == (sub, "0")
    assert first["items"][0]["quantity"] == 10
    assert seller.get(WAY.format(sub)).json["data"]["id"] == first["id"]
    assert len(listed(seller, f"subscription_id={sub}")) == 1
    url = first["checkout"]["url"]
    assert url.startswith(f"http://localhost/portal/subscriptions/{sub}/update-payment-method?token=pga_")
    assert first["checkout"]["expires_at"] == "2026-11-21T13:00:00.000000Z"
    person.open(url)
    assert "Your card is saved" in person.press("Save card", **CARD)
    assert "$0.00" not in person.open(f"/portal/subscriptions/{sub}"), "it was no payment"
    assert stored(first["id"]).status == "completed"
    assert seller.get(WAY.format(sub)).json["data"]["id"] != first["id"]


def test_a_key_that_may_not_open_portals_gets_a_link_that_leads_through_sign_in(app: Flask) -> None:
    sub = visits.subscribed()
    data = App(app, "transaction.write").get(WAY.format(sub)).json["data"]
    assert data["checkout"] == {
        "url": f"http://localhost/portal/subscriptions/{sub}/update-payment-method",
        "expires_at": None,
    }


def test_past_due_it_is_the_latest_debt(seller: App, person: Person, the_clock: Any) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(visits.END + timedelta(seconds=31))
    assert worker.renewals()
    worker.collections()
    data = seller.get(WAY.format(sub)).json["data"]
    assert (data["origin"], data["status"]) == ("subscription_recurring", "past_due")
    person.open(data["checkout"]["url"])
    assert "payment went through" in person.press("Save card and pay $300.00", **CARD)
    assert stored(data["id"]).status == "completed"


def test_where_there_is_no_card_to_change(seller: App) -> None:
    manual, over = visits.subscribed(collection_mode="manual"), visits.subscribed(**visits.CANCELED)
    assert refusal(seller.get(WAY.format(manual))) == (400, "subscription_not_automatic_collection")
    assert refusal(seller.get(WAY.format(over))) == (400, "subscription_update_when_canceled")
    assert refusal(seller.get(WAY.format(ids.new("sub")))) == (404, "not_found")


def test_nothing_else_of_it_can_be_changed(seller: App) -> None:
    txn = seller.get(WAY.format(visits.subscribed())).json["data"]["id"]
    for body in ({"custom_data": {}}, {"status": "canceled"}):
        answer = seller.patch(f"/transactions/{txn}", body)
        assert refusal(answer) == (400, "transaction_payment_method_change_field_immutable")
    with transaction():
        assert session().get_one(Transaction, txn).status == "ready"
