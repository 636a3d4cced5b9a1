"""Invoices: what stands in them, and what no name can do to them."""

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from pypdf import PdfReader

from portal import invoices
from portal.db import transaction as database_transaction
from portal.domain import changing, plans, subscriptions
from portal.domain.actors import system
from portal.domain.customers import Address, Customer
from portal.domain.proration import Share
from portal.domain.transactions import Transaction
from tests import people
from tests.api import billing

BILLED = datetime(2026, 4, 8, 22, 38, 57, tzinfo=UTC)
AMELIA = Customer(name="Amelia Harper", email="amelia.harper@example.com")
BOULDER = Address(first_line="48 Hangar Road", city="Boulder", region="CO", postal_code="80301", country_code="US")


@pytest.fixture(autouse=True)
def seller(configure: Callable[..., None]) -> None:
    configure(brand_name="AeroEdit", brand_address="AeroEdit Ltd|12 Tower Street|VAT GB 123 4567 89")


def line(product: str = "AeroEdit Pro", quantity: int = 10, unit: int = 3000) -> dict[str, Any]:
    price = {"name": "Monthly (per seat)", "description": "Monthly", "unit_price": {"amount": str(unit)}}
    return {"quantity": quantity, "amount": quantity * unit, "price": price, "product": {"name": product}}


def transaction(*lines: dict[str, Any], **fields: Any) -> Transaction:
    lines = lines or (line(),)
    card = {"type": "visa", "last4": "4242"}
    return Transaction(
        **{
            "id": "txn_01htymmb3hj0q9fmckjbtrmd73",
            "status": "completed",
            "collection_mode": "automatic",
            "currency_code": "USD",
            "amount": sum(each["amount"] for each in lines),
            "lines": list(lines),
            "payments": [{"status": "captured", "method_details": {"card": card}}],
            "period_starts_at": BILLED,
            "period_ends_at": BILLED + timedelta(days=30),
            "invoice_number": "2026-000042",
            "billed_at": BILLED,
            "paid_at": BILLED + timedelta(days=1),
            "created_at": BILLED,
        }
        | fields
    )


def pdf(of: Transaction, customer: Customer = AMELIA, **given: Any) -> bytes:
    return invoices.pdf(of, customer, BOULDER, **({"language": "en", "zone": None} | given))


def read(document: bytes) -> str:
    """The text of a PDF, as somebody copies it: spaces and lines run together, break opportunities left out."""
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(document)).pages)
    return re.sub(r"\s+", " ", text.replace("\u200b", ""))


def test_an_invoice_says_who_what_when_and_how_much() -> None:
    text = read(pdf(transaction(line(), line("Analytics addon", 1, 10000))))
    for said in (
        *(
            "AeroEdit",
            "12 Tower Street",
            "VAT GB 123 4567 89",
            "Invoice",
            "2026-000042",
            "8 April 2026",
            "9 April 2026",
        ),
        *("Amelia Harper", "48 Hangar Road", "Boulder, CO 80301", "United States", "amelia.harper@example.com"),
        *("AeroEdit Pro", "Monthly (per seat)", "10", "$30.00", "$300.00", "Analytics addon", "$400.00"),
        *("Paid", "with Visa •••• 4242", "Page 1 of 1", "8 May 2026"),
    ):
        assert said in text


def test_dates_and_amounts_are_written_as_in_the_readers_country() -> None:
    text = read(pdf(transaction(currency_code="EUR"), language="de", zone="Europe/Berlin"))
    assert "9. April 2026" in text  # 22:38 in UTC is the next day in Berlin
    assert "300,00 €" in text
    assert "Vereinigte Staaten" in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "past_due", "paid_at": None}, "Open: $300.00"),
        ({"status": "billed", "paid_at": None, "collection_mode": "manual"}, "Please give the invoice number"),
        ({"status": "billed", "paid_at": None}, "is collected from your card"),
        ({"status": "canceled", "paid_at": None}, "Nothing is to be paid"),
    ],
)
def test_an_invoice_that_is_not_paid_says_so(fields: dict[str, Any], said: str) -> None:
    text = read(pdf(transaction(**fields)))
    assert said in text
    assert "Paid" not in text


def test_a_period_that_ends_at_midnight_is_named_by_its_last_day() -> None:
    december = {
        "period_starts_at": datetime(2026, 12, 1, tzinfo=UTC),
        "period_ends_at": datetime(2027, 1, 1, tzinfo=UTC),
    }
    assert "1 December 2026 – 31 December 2026" in read(pdf(transaction(**december)))
    assert "1 December 2026 – 1 January 2027" in read(pdf(transaction(**december), zone="Europe/Berlin"))
    assert "8 April 2026 – 8 May 2026" in read(pdf(transaction()))


FORTNIGHT = {"payment_terms": {"interval": "day", "frequency": 14}}
OPEN = {"status": "billed", "collection_mode": "manual", "paid_at": None, "payments": []}


def test_an_invoice_is_due_as_its_payment_terms_say() -> None:
    text = read(pdf(transaction(**OPEN, billing_details=FORTNIGHT)))
    assert "Billed on 8 April 2026 Due on 22 April 2026" in text
    a_month = {"payment_terms": {"interval": "month", "frequency": 1}}
    assert "Due on 8 May 2026" in read(pdf(transaction(**OPEN, billing_details=a_month)))


def test_it_is_due_on_the_day_that_it_is_where_the_customer_lives() -> None:
    text = read(pdf(transaction(**OPEN, billing_details=FORTNIGHT), zone="Europe/Berlin"))
    assert "Billed on 9 April 2026 Due on 23 April 2026" in text


@pytest.mark.parametrize(
    "details",
    [
        None,
        {},
        {"payment_terms": None},
        {"payment_terms": {"interval": "day"}},
        {"payment_terms": {"interval": "year", "frequency": 10_000}},
        {"payment_terms": {"interval": "day", "frequency": "14"}},
        {"payment_terms": "14 days"},
    ],
)
def test_without_terms_that_can_be_read_it_is_due_at_once(details: Any) -> None:
    assert "Due on 8 April 2026" in read(pdf(transaction(**OPEN, billing_details=details)))


def test_what_a_card_pays_is_due_at_once() -> None:
    text = read(pdf(transaction(**OPEN | {"collection_mode": "automatic"})))
    assert "Billed on 8 April 2026 Due on 8 April 2026" in text


def part(quantity: int, unit: int, *, whole: int | None = None, days: int = 10) -> dict[str, Any]:
    """A line for ten days of 31."""
    starts_at = datetime(2026, 12, 11, tzinfo=UTC)
    share = Share(Fraction(days, 31), starts_at, starts_at + timedelta(days=days))
    made = line(quantity=quantity, unit=unit)
    whole = made["amount"] if whole is None else whole
    return made | {"amount": share.of(whole), "proration": share.told(), "whole": whole}


def test_a_line_for_a_part_of_a_period_says_which_part_so_that_it_can_be_computed() -> None:
    text = read(pdf(transaction(part(7, 999))))
    assert "Monthly (per seat) 32.258% of the price, for 11 December 2026 – 20 December 2026 7 $9.99 $22.56" in text
    assert round(7 * 9.99 * 0.32258, 2) == 22.56


def test_and_so_it_does_in_german() -> None:
    text = read(pdf(transaction(part(7, 999), currency_code="EUR"), language="de", zone="Europe/Berlin"))
    assert "32,258 % des Preises, für 11. Dezember 2026 – 21. Dezember 2026 7 9,99 € 22,56 €" in text


def test_a_part_of_what_was_billed_at_an_earlier_price_shows_that_price() -> None:
    assert "7 $7.99 $18.04" in read(pdf(transaction(part(7, 999, whole=7 * 799))))


def test_a_whole_period_says_nothing_of_a_part() -> None:
    text = read(pdf(transaction(line() | {"proration": None})))
    assert "10 $30.00 $300.00" in text
    assert "of the price" not in text


def test_lines_of_a_change_multiply_and_their_total_is_what_was_charged(database: str) -> None:
    ends_at = datetime(2027, 1, 1, tzinfo=UTC)
    began = datetime(2026, 11, 1, tzinfo=UTC)
    amelia = people.customer()
    price_id = people.price(999)
    sub = people.subscription(amelia, price_id=price_id, quantity=3, began=began, period_ends_at=ends_at)
    with database_transaction():
        subscription = subscriptions.get(sub)
        wanted = plans.Wanted(items=[(price_id, 10)], mode="prorated_immediately", on_payment_failure="apply_change")
        plan = plans.of_update(subscription, wanted, {}, by=system())
        changing.make(subscription, plan, by=system())
    [bill] = billing.bills_of(sub)
    with database_transaction():
        text = read(invoices.of(bill, language="en"))
    assert "66.393% of the price, for 21 November 2026 – 31 December 2026 7 $9.99 $46.43" in text
    assert "Total $46.43" in text


def test_a_free_period_needs_no_card_and_no_address() -> None:
    free = transaction(line(unit=0), payments=[], invoice_number=None)
    nobody = Customer(name=None, email="amelia.harper@example.com")
    text = read(invoices.pdf(free, nobody, language="en", zone="Mars/Olympus"))
    assert "$0.00" in text
    assert "txn_01htymmb3hj0q9fmckjbtrmd73" in text


def test_an_invoice_is_tagged_for_screen_readers() -> None:
    document = pdf(transaction())
    assert document.startswith(b"%PDF-")
    assert b"pdfuaid" in document


def test_the_same_transaction_gives_the_same_bytes() -> None:
    assert pdf(transaction()) == pdf(transaction())
    assert pdf(transaction()) != pdf(transaction(invoice_number="2026-000043"))


@pytest.mark.parametrize(
    "name",
    ["#strong[x]", "$x^2$ *bold* _it_ `raw`", "<label> @ref \\ // /* */", '"] #panic("x") ["', "https://x.example"],
)
def test_markup_in_a_name_stays_text(name: str) -> None:
    text = read(pdf(transaction(line(name)), Customer(name=name, email="amelia.harper@example.com")))
    assert text.count(name) == 2


@pytest.mark.parametrize("name", ["W" * 500, "😀 🛫", "مرحبا \u202eevil", "名前", "a\x01b\nc", "e\u0301" * 200])
def test_no_name_breaks_an_invoice(name: str) -> None:
    document = pdf(transaction(line(name), line(name)), Customer(name=name, email=f"{'a' * 64}@example.com"))
    assert document.startswith(b"%PDF-")


def test_a_hundred_lines_go_on_over_pages_with_their_heading() -> None:
    text = read(pdf(transaction(*(line(f"Product {n}") for n in range(100)))))
    assert "Product 99" in text
    assert text.count("Unit price") == len(re.findall(r"Page \d of", text)) > 1
