"""An invoice is marked as paid: by an admin, once; then nothing is past due, and the customer gets a receipt."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, worker
from portal.db import session, transaction
from portal.domain import orders, purchases, timeline
from portal.domain import subscriptions as domain
from portal.domain.actors import system
from portal.domain.catalog import Price
from portal.domain.transactions import Transaction
from tests import people
from tests.api.test_transactions import address
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN, email_link
from tests.person import Page, Person
from tests.staff import console

DETAILS = {"payment_terms": {"interval": "day", "frequency": 14}, "enable_checkout": False}


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def invoiced(invoices: int = 1, **fields: Any) -> tuple[str, ...]:
    """A subscription that is paid by invoice, and the invoices of its last periods, oldest first."""
    ended = clock.now() - timedelta(minutes=1) - timedelta(days=31) * (invoices - 1)
    began = ended - timedelta(days=40)
    sub = people.subscription(
        people.customer(), began=began, anchor_at=ended, period_ends_at=ended, collection_mode="manual", card=None
    )
    while worker.renewals():
        pass
    with transaction():
        subscription = domain.get(sub)
        for name, value in fields.items():
            setattr(subscription, name, value)
        wanted = select(Transaction.id).where(Transaction.subscription_id == sub).order_by(Transaction.id)
        return sub, *session().scalars(wanted)


def row(txn: str) -> Transaction:
    with transaction():
        return session().get_one(Transaction, txn)


def path(txn: str) -> str:
    return f"/console/transactions/{txn}/paid"


def post(who: Person, txn: str, **fields: str) -> Page:
    return visits.post(who, path(txn), **fields)


def test_an_invoice_is_marked_as_paid(ada: Person) -> None:
    sub, txn = invoiced()
    before = len(visits.events(sub))
    assert ada.open(f"/console/transactions/{txn}").links["Mark as paid"] == path(txn)
    page = ada.open(path(txn))
    assert "Mark invoice 2026-000001 as paid" in page
    assert "$300.00" in page
    done = ada.press("Record $300.00 as paid", note="Transfer of 12 December, number 77")
    assert done.path == f"/console/transactions/{txn}"
    assert "The payment is recorded" in done
    paid = row(txn)
    assert (paid.status, paid.paid_at, paid.attempt_key, paid.next_attempt_at) == ("completed", NOW, None, None)
    [payment] = paid.payments
    assert (payment["status"], payment["amount"], payment["method_details"]["card"]) == ("captured", "30000", None)
    new = visits.events(sub)[before:]
    assert [each.type for each in new] == [
        "transaction.updated",
        "transaction.paid",
        "transaction.updated",
        "transaction.completed",
    ]
    assert {(each.actor_name, each.way) for each in new} == {("Ada Admin", "console")}
    assert people.mails_of(sub) == ["renewed", "renewed"]
    assert visits.mails("renewed")[-1].facts["paid_at"] == new[0].data["updated_at"]
    [entry] = console.audited("payment_recorded")
    assert (entry.actor_name, entry.subject_id, entry.customer_id) == ("Ada Admin", txn, visits.owner(sub))
    assert entry.facts == {"comment": "Transfer of 12 December, number 77"}


def test_asked_twice_it_is_recorded_once(ada: Person) -> None:
    _, txn = invoiced()
    ada.open(path(txn))
    post(ada, txn)
    before = visits.records()
    again = post(ada, txn, note="once more")
    assert (again.status, again.headers["Location"]) == (303, f"/console/transactions/{txn}?done=paid#done")
    shown = ada.open(path(txn))
    assert "is paid" in shown
    assert "Record" not in shown
    assert visits.records() == before


def test_what_was_past_due_is_active_again(ada: Person) -> None:
    sub, txn = invoiced(status="past_due")
    ada.open(path(txn))
    post(ada, txn)
    assert people.row(sub).status == "active"
    assert visits.events(sub)[-1].transition == "payment_collected"


def test_it_stays_past_due_while_something_else_is_owed(ada: Person) -> None:
    sub, txn, other = invoiced(2, status="past_due")
    ada.open(path(txn))
    post(ada, txn)
    assert people.row(sub).status == "past_due"
    post(ada, other)
    assert people.row(sub).status == "active"


def test_an_invoice_of_what_is_bought_once(ada: Person) -> None:
    customer_id, price_id = people.customer(), people.price()
    with transaction():
        once = session().get_one(Price, price_id)
        once.billing_interval = once.billing_frequency = None
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        order = orders.create([(price_id, 1)], by=system(), collection_mode="manual", billing_details=DETAILS, **ids)
        purchases.invoice(order, by=system())
        txn = order.id
    ada.open(path(txn))
    post(ada, txn)
    assert row(txn).status == "completed"
    assert [each.kind for each in visits.mails()] == ["purchased"]
    assert [each.subject_id for each in console.audited("payment_recorded")] == [txn]


@pytest.mark.parametrize(
    "state", [{"collection_mode": "automatic"}, {"status": "canceled"}, {"status": "draft"}, {"status": "ready"}]
)
def test_what_is_no_open_invoice_is_refused(ada: Person, state: dict[str, Any]) -> None:
    _, txn = invoiced()
    with transaction():
        for name, value in state.items():
            setattr(session().get_one(Transaction, txn), name, value)
    ada.open("/console/account")
    before = visits.records()
    for answer in (visits.get(ada, path(txn)), post(ada, txn)):
        assert answer.status == 400
        assert "This did not work" in answer
    assert visits.records() == before
    assert "Mark as paid" not in ada.open(f"/console/transactions/{txn}").links


def test_while_it_is_being_collected_it_waits(ada: Person) -> None:
    _, txn = invoiced()
    with transaction():
        session().get_one(Transaction, txn).attempt_key = "att_1"
    ada.open(path(txn))
    assert post(ada, txn).status == 409
    assert row(txn).status == "billed"


def test_support_may_not(app: Flask) -> None:
    _, txn = invoiced()
    sam = console.colleague(app)
    assert "Mark as paid" not in sam.open(f"/console/transactions/{txn}").links
    before = visits.records()
    for answer in (visits.get(sam, path(txn)), post(sam, txn)):
        assert answer.status == 403
        assert "Only an admin may do this" in answer
    assert visits.records() == before


def test_who_is_signed_out_may_not(person: Person) -> None:
    sub, txn = invoiced()
    assert person.open(path(txn)).path == "/console/sign-in"
    person.open(email_link("subscription", sub))
    assert post(person, txn).status in (303, 403)
    assert row(txn).status == "billed"


def test_unknown_ids_are_not_found(ada: Person) -> None:
    ada.open("/console/account")
    for txn in (f"txn_{UNKNOWN}", "txn_x", "1' OR '1'='1"):
        assert visits.get(ada, path(txn)).status == 404
        assert post(ada, txn).status == 404


def test_a_form_of_another_site_does_nothing(ada: Person) -> None:
    _, txn = invoiced()
    ada.open(path(txn))
    assert visits.post(ada, path(txn), csrf_token="forged").status == 403
    assert row(txn).status == "billed"


def test_a_note_that_is_too_long_is_kept_and_marked(ada: Person) -> None:
    _, txn = invoiced()
    ada.open(path(txn))
    wrong = post(ada, txn, note="x" * 501)
    assert wrong.status == 422
    assert "longer than 500 characters" in wrong
    assert "x" * 501 in wrong.html
    assert row(txn).status == "billed"


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "{{ 7*7 }}", "'; DROP TABLE transactions; --", "=1+1\r\nBcc: x@e.com"],
)
def test_hostile_notes_are_text(ada: Person, hostile: str) -> None:
    sub, txn = invoiced()
    ada.open(path(txn))
    post(ada, txn, note=hostile)
    assert console.audited("payment_recorded")[0].facts == {"comment": hostile}
    page = ada.open(f"/console/subscriptions/{sub}")
    assert page.status == 200
    assert "<script>alert(1)" not in page.html
    assert "Marked as paid: the money came by other means" in page
    with transaction():
        assert timeline.of_subscription(domain.get(sub))


def test_the_customer_reads_that_it_is_paid_and_not_the_note(ada: Person, someone_else: Person) -> None:
    sub, txn = invoiced()
    ada.open(path(txn))
    post(ada, txn, note="Paid late, as ever")
    page = someone_else.open(email_link("subscription", sub))
    assert "Invoice marked as paid" in page
    assert "as ever" not in page
