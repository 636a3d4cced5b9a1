"""Invoices that customers pay by other means: nobody here knows if they are paid, so no card is charged for them."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain import orders, purchases, renewal, subscriptions
from portal.domain.actors import system
from portal.domain.catalog import Price
from portal.domain.customers import Customer
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.errors import Changed, EntityArchived
from portal.gateways.sandbox import Sandbox
from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.api.test_transactions import address, change
from tests.customer import visits
from tests.customer.test_checkout import CARD
from tests.person import Person

DETAILS = {"payment_terms": {"interval": "day", "frequency": 14}}


def ordered(customer_id: str, *items: tuple[str, int]) -> str:
    with transaction():
        who = {"customer_id": customer_id, "address_id": address(customer_id)}
        how = {"collection_mode": "manual", "billing_details": DETAILS}
        return orders.create(list(items), by=system(), **who, **how).id


def issue(txn: str) -> None:
    with transaction():
        purchases.invoice(session().get_one(Transaction, txn), by=system())


def begun() -> list[Subscription]:
    with transaction():
        return list(session().scalars(select(Subscription)))


def test_the_mail_says_what_the_invoice_says(database: str) -> None:
    price = people.price(3000)
    issue(ordered(people.customer(), (price, 2), (billing.one_time(5000), 1)))
    [mail] = visits.mails("renewed")
    assert mail.facts["amount"] == 11000


def test_nothing_begins_for_a_customer_who_could_not_cancel_it(database: str) -> None:
    customer_id = people.customer()
    txn = ordered(customer_id, (people.price(), 1))
    change(customer_id, Customer, status="archived")
    with pytest.raises(EntityArchived):
        issue(txn)
    assert begun() == []


def test_nothing_begins_with_a_price_that_is_billed_in_another_way_by_now(database: str) -> None:
    price = people.price()
    txn = ordered(people.customer(), (price, 1))
    change(price, Price, billing_interval="year")
    with pytest.raises(Changed):
        issue(txn)
    assert begun() == []


def test_an_open_invoice_does_not_keep_items_from_changing(app: Flask) -> None:
    seller, price = App(app), people.price()
    issue(ordered(people.customer(), (price, 1)))
    [sub] = begun()
    body = {"items": [{"price_id": price, "quantity": 3}], "proration_billing_mode": "full_immediately"}
    assert seller.patch(f"/subscriptions/{sub.id}", body).status_code == 200
    assert [each.amount for each in billing.bills_of(sub.id)] == [3000, 6000]


def test_a_card_that_is_given_later_pays_no_invoice(app: Flask, person: Person) -> None:
    sub = visits.subscribed(collection_mode="manual", billing_details=DETAILS)
    with transaction():
        renewal.begin_period(subscriptions.get(sub), by=system())
    assert App(app).patch(f"/subscriptions/{sub}", {"collection_mode": "automatic"}).status_code == 200
    person.open(visits.email_link("payment", sub))
    page = person.submit(f"/portal/subscriptions/{sub}/update-payment-method", **CARD)
    assert page.status == 200
    assert (billing.charged(), [each.status for each in billing.bills_of(sub)]) == ([], ["billed"])


def test_and_its_debts_once_paid_make_it_active_although_an_invoice_is_open(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed(collection_mode="manual", billing_details=DETAILS, card="sandbox_declines")
    with transaction():
        renewal.begin_period(subscriptions.get(sub), by=system())
    App(app).patch(f"/subscriptions/{sub}", {"collection_mode": "automatic"})
    the_clock.set(people.row(sub).next_billed_at.replace(minute=5))
    billing.work()
    assert people.row(sub).status == "past_due"
    debt = billing.bills_of(sub)[-1]
    assert renewal.collect_with("sandbox_ok", debt.id, Sandbox(), by=system()) is None
    assert people.row(sub).status == "active"


def test_an_app_is_told_why_no_invoice_is_issued(app: Flask) -> None:
    seller, price, customer_id = App(app), people.price(), people.customer()
    txn = ordered(customer_id, (price, 1))
    change(price, Price, billing_interval="year")
    assert refusal(seller.patch(f"/transactions/{txn}", {"status": "billed"})) == (409, "conflict")
    change(price, Price, billing_interval="month")
    change(customer_id, Customer, status="archived")
    assert refusal(seller.patch(f"/transactions/{txn}", {"status": "billed"})) == (400, "entity_archived")
    change(customer_id, Customer, status="active")
    assert seller.patch(f"/transactions/{txn}", {"status": "billed"}).status_code == 200
