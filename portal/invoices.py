"""An invoice as a PDF: A4, tagged for screen readers (PDF/UA-1), the same bytes for the same transaction.

What stands in it is decided here, how it looks in templates/invoice/invoice.typ. Customers' and products' names reach
the template as JSON, so they are text whatever they contain.
"""

import re
import threading
import unicodedata
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson
from babel import Locale
from babel.numbers import format_percent

from portal import brand, config, i18n
from portal.db import session
from portal.domain import periods, revisions
from portal.domain.customers import Address, Business, Customer
from portal.domain.transactions import Transaction
from portal.i18n import gettext as _

if TYPE_CHECKING:
    import typst

_TEMPLATES = config.ROOT / "templates" / "invoice"
_BRANDS = {"amex": "American Express", "diners_club": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}
_LONGEST = 200
_PAID = ("paid", "completed")
_compiling = threading.Lock()


def pdf(
    transaction: Transaction,
    customer: Customer,
    address: Address | None = None,
    business: Business | None = None,
    *,
    language: str,
    zone: str | None,
) -> bytes:
    """The invoice of a transaction, in a language, with its dates in a time zone (UTC if that is not known).

    It names customer, address and business as they were revised, if they were.
    """
    with i18n.speaking(language, zone):
        contents = _contents(transaction, customer, address, business)
    inputs = {"invoice": orjson.dumps(contents).decode()}
    dated = int((transaction.billed_at or transaction.created_at).timestamp())
    with _compiling:
        return _compile(inputs, dated)


def _compile(inputs: dict[str, str], dated: int) -> bytes:
    """PDF/UA-1 demands a glyph for every character; a name with others still gets its tagged PDF."""
    import typst

    try:
        made = _compiler().compile(sys_inputs=inputs, timestamp=dated, pdf_standards=["ua-1"])
    except typst.TypstError:
        made = _compiler().compile(sys_inputs=inputs, timestamp=dated)
    return cast(bytes, made)


@lru_cache
def _compiler() -> "typst.Compiler":
    """One for the process, made at the first invoice: before it, nobody pays its memory."""
    import typst

    return typst.Compiler(str(_TEMPLATES / "invoice.typ"), root=str(_TEMPLATES))


def of(transaction: Transaction, *, language: str) -> bytes:
    """The invoice of a transaction, with whom it is for as the database has them."""
    customer = session().get_one(Customer, transaction.customer_id)
    address = session().get(Address, transaction.address_id) if transaction.address_id else None
    business = session().get(Business, transaction.business_id) if transaction.business_id else None
    return pdf(transaction, customer, address, business, language=language, zone=customer.time_zone)


def _contents(
    transaction: Transaction, customer: Customer, address: Address | None, business: Business | None = None
) -> dict[str, Any]:
    number = transaction.invoice_number or transaction.id
    seller = brand.brand()
    state, detail = _state(transaction)
    return _words() | {
        "heading": _("Revised invoice") if transaction.revised_at else _("Invoice"),
        "language": i18n.language().partition("_")[0],
        "accent": brand.readable(config.current().brand_accent, on="#ffffff"),
        "title": _text(_title(transaction) % {"number": number}),
        "seller": _text(seller.name),
        "seller_address": [_text(line) for line in seller.address],
        "billed_to": [*_billed_to(transaction, customer, address, business), _email(customer.email)],
        "facts": _facts(transaction, number),
        "lines": [_line(line, transaction.currency_code) for line in transaction.lines],
        "totals": _totals(transaction),
        "state": state,
        "state_detail": detail,
    }


def _title(transaction: Transaction) -> str:
    return _("Revised invoice %(number)s") if transaction.revised_at else _("Invoice %(number)s")


def _words() -> dict[str, Any]:
    return {
        "billed_to_label": _("Billed to"),
        "columns": [_("Description"), _("Quantity"), _("Unit price"), _("Amount")],
        "page_of": _("Page {page} of {pages}"),
    }


def _billed_to(
    transaction: Transaction, customer: Customer, address: Address | None, business: Business | None
) -> list[str]:
    person = revisions.revised(customer, transaction, revisions.CUSTOMER)
    place = revisions.revised(address, transaction, revisions.ADDRESS)
    return [_text(line) for line in (*_business(transaction, business), person.name, *_address(place)) if line]


def _business(transaction: Transaction, business: Business | None) -> list[str]:
    """Its name and tax identifier; a revision may name one where there was none."""
    changes = (transaction.revision or {}).get(revisions.BUSINESS) or {}
    name = changes.get("name") or (business.name if business else None)
    number = changes.get("tax_identifier") or (business.tax_identifier if business else None)
    if name is None:
        return []
    return [name, _("Tax ID %(number)s") % {"number": number}] if number else [name]


def _totals(transaction: Transaction) -> list[tuple[str, str]]:
    """The total; with earlier credit also that, and what is left of it."""
    currency = transaction.currency_code
    totals = [(_("Total"), i18n.amount(transaction.amount, currency))]
    if transaction.credit:
        totals.append((_("Credit"), i18n.amount(-transaction.credit, currency)))
        totals.append((_("Amount due"), i18n.amount(transaction.due, currency)))
    return totals


def _facts(transaction: Transaction, number: str) -> list[tuple[str, str]]:
    """Number, dates and period, as terms and their values."""
    billed_at = transaction.billed_at or transaction.created_at
    facts = [(_("Number"), _text(number)), (_("Billed on"), i18n.day(billed_at))]
    if transaction.status in _PAID and transaction.paid_at:
        facts.append((_("Paid on"), i18n.day(transaction.paid_at)))
    elif transaction.status != "canceled":
        facts.append((_("Due on"), i18n.day(_due_at(transaction, billed_at))))
    if transaction.revised_at:
        facts.append((_("Revised on"), i18n.day(transaction.revised_at)))
    if transaction.period_starts_at and transaction.period_ends_at:
        facts.append((_("Period"), _days(transaction.period_starts_at, transaction.period_ends_at)))
    return facts


def _due_at(transaction: Transaction, billed_at: datetime) -> datetime:
    """What is collected is due at once; an invoice as its payment terms say, if they say it (imports may not)."""
    terms = (transaction.billing_details or {}).get("payment_terms")
    if transaction.is_automatic or not terms:
        return billed_at
    try:
        return periods.nth(billed_at, terms["interval"], terms["frequency"], 1)
    except (KeyError, TypeError, ValueError, OverflowError):
        return billed_at


def _days(starts_at: datetime, ends_at: datetime) -> str:
    """`11 December 2026 – 21 December 2026`; no date is broken."""
    first, last = (each.replace(" ", "\u00a0") for each in (i18n.day(starts_at), i18n.end_day(ends_at)))
    return f"{first} – {last}"


def _line(line: dict[str, Any], currency: str) -> dict[str, str]:
    detail = line["price"]["name"] or line["price"]["description"] or ""
    return {
        "product": _text(line["product"]["name"]),
        "detail": _text(detail),
        "part": _part(line),
        "quantity": str(line["quantity"]),
        "unit": i18n.amount(_unit(line), currency),
        "amount": i18n.amount(line["amount"], currency),
    }


def _unit(line: dict[str, Any]) -> int:
    """What one costs for a whole period, also where the line pays for a part of one."""
    whole = line["amount"]
    if line.get("proration"):
        whole = line.get("whole", int(line["price"]["unit_price"]["amount"]) * line["quantity"])
    return round(Fraction(whole, line["quantity"]))


def _part(line: dict[str, Any]) -> str:
    """How much of a period a line pays for, and from when to when, if it is not the whole."""
    part = line.get("proration")
    if not part:
        return ""
    period = part["billing_period"]
    days = _days(datetime.fromisoformat(period["starts_at"]), datetime.fromisoformat(period["ends_at"]))
    share = format_percent(Decimal(part["rate"]).normalize(), locale=i18n.language(), decimal_quantization=False)
    return _("%(share)s of the price, for %(days)s") % {"share": share, "days": days}


def _state(transaction: Transaction) -> tuple[str, str]:
    """Whether it is paid, in one line, and what belongs to that in another."""
    total = i18n.amount(transaction.due, transaction.currency_code)
    if transaction.status in _PAID:
        card = _card(transaction)
        return _("Paid"), _("with %(card)s") % {"card": card} if card else ""
    if transaction.status == "canceled":
        return _("Canceled"), _("Nothing is to be paid for this invoice.")
    if transaction.status == "past_due":
        return _("Open: %(total)s") % {"total": total}, _("The payment did not go through yet.")
    if transaction.collection_mode == "manual":
        return _("Open: %(total)s") % {"total": total}, _("Please give the invoice number with your payment.")
    return _("Open: %(total)s") % {"total": total}, _("The amount is collected from your card.")


def _card(transaction: Transaction) -> str:
    """The card that paid: `Visa •••• 4242`."""
    for payment in reversed(transaction.payments):
        card = payment["method_details"]["card"]
        if payment["status"] == "captured" and card:
            name = _BRANDS.get(card["type"], card["type"].replace("_", " ").title())
            return _text(f"{name} •••• {card['last4']}")
    return ""


def _address(address: Address | None) -> list[str]:
    if address is None:
        return []
    town = f"{address.postal_code or ''} {address.city or ''}".strip()
    if address.region:
        town = f"{address.city or ''}, {address.region} {address.postal_code or ''}".strip(", ")
    country = Locale.parse(i18n.language()).territories.get(address.country_code, address.country_code)
    return [line for line in (address.first_line, address.second_line, town, country) if line]


def _text(value: str) -> str:
    """A name as one line that can be set: no control characters, not endless, and long words may be broken."""
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    plain = re.sub("[\u202a-\u202e\u2066-\u2069]", "", plain)
    short = plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
    return re.sub(r"\S{25,}", lambda word: "\u200b".join(re.findall(r".{1,12}", word[0])), short)


def _email(address: str) -> str:
    """Copied out of the PDF it must still be the address: only one too long for its line may be broken."""
    return address if len(address) <= 40 else _text(address)
