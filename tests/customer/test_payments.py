"""What was paid, and the invoice of each payment as a PDF."""

from datetime import timedelta
from typing import Any

import pytest

from portal.db import transaction
from portal.domain import bills, subscriptions
from portal.domain.actors import system
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN, alike, email_link, get
from tests.person import Person


def billed(sub: str, months_ago: int = 1, **changes: Any) -> str:
    """A payment of a subscription; gives its id."""
    start = NOW - timedelta(days=30 * months_ago)
    with transaction():
        made = bills.bill(subscriptions.get(sub), starts_at=start, ends_at=start + timedelta(days=30), by=system())
        for name, value in ({"status": "completed", "paid_at": NOW, "next_attempt_at": None} | changes).items():
            setattr(made, name, value)
    return made.id


def invoice(txn: str) -> str:
    return f"/portal/payments/{txn}/invoice.pdf"


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def test_payments_are_listed_newest_first_with_state_and_invoice(person: Person, sub: str) -> None:
    billed(sub, 3)
    billed(sub, 2, status="past_due", paid_at=None)
    newest = billed(sub, 1, status="canceled", paid_at=None)
    visits.come_in(person, visits.owner(sub))
    words = person.open("/portal/payments").words
    assert words.index("Not charged") < words.index("Overdue") < words.index("Paid Invoice")
    assert words.count("$300.00") == 3
    assert "AeroEdit Pro" in words
    assert person.page.links["Invoice 2026-000003"] == invoice(newest)


def test_without_payments_the_page_says_so(person: Person, sub: str) -> None:
    visits.come_in(person, visits.owner(sub))
    assert "There are no payments yet" in person.open("/portal/payments")


def test_the_invoice_is_a_pdf_that_nobody_keeps_or_frames(person: Person, sub: str) -> None:
    txn = billed(sub)
    visits.come_in(person, visits.owner(sub))
    answer = person.client.get(invoice(txn))
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert answer.headers["Content-Disposition"] == 'inline; filename="invoice-2026-000001.pdf"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_asked_twice_it_is_the_same_invoice_byte_for_byte(person: Person, sub: str, the_clock: Any) -> None:
    txn = billed(sub)
    visits.come_in(person, visits.owner(sub))
    first = person.client.get(invoice(txn)).data
    the_clock.advance(minutes=5)
    assert person.client.get(invoice(txn)).data == first


def test_somebody_elses_invoice_and_an_unknown_one_are_alike(person: Person, sub: str) -> None:
    theirs = billed(visits.subscribed(people.customer("Daniel Okoro")))
    billed(sub)
    for link in (email_link("portal", customer_id=visits.owner(sub)), email_link("cancel", sub)):
        person.client.delete_cookie("portal")
        person.open(link)
        answers = [get(person, invoice(each)) for each in (theirs, f"txn_{UNKNOWN}")]
        assert [page.status for page in answers] == [404, 404]
        assert alike(answers[0]) == alike(answers[1])


@pytest.mark.parametrize("page", ["subscription", "cancel", "payment"])
def test_a_link_to_one_subscription_opens_its_invoices(person: Person, sub: str, page: str) -> None:
    txn = billed(sub)
    person.open(email_link(page, sub))
    assert invoice(txn) in person.open(f"/portal/subscriptions/{sub}").links.values()
    assert person.client.get(invoice(txn)).mimetype == "application/pdf"


def test_a_link_to_one_subscription_does_not_open_the_invoices_of_another(person: Person, sub: str) -> None:
    other = billed(visits.subscribed(visits.owner(sub)))
    person.open(email_link("cancel", sub))
    answer = person.client.get(invoice(other))
    assert answer.status_code in (303, 403, 404)
    assert b"%PDF" not in answer.data


def test_signed_out_there_is_no_invoice(person: Person, sub: str) -> None:
    txn = billed(sub)
    page = get(person, invoice(txn))
    assert (page.status, page.headers["Location"].partition("?")[0]) == (303, "/portal/sign-in")


def test_a_post_to_an_invoice_is_refused(person: Person, sub: str) -> None:
    txn = billed(sub)
    visits.come_in(person, visits.owner(sub))
    before = visits.records()
    assert visits.post(person, invoice(txn)).status == 405
    assert visits.records() == before
