"""What must hold between entries, with the clock, and with the database."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from portal.db import session
from portal.domain import shapes
from portal.domain.catalog import Price, Product
from portal.domain.customers import Address, Business, Customer
from portal.domain.subscriptions import LIVE, Subscription
from portal.importing.contents import Contents
from portal.importing.problems import Problems
from portal.importing.rows import Row

_AT_ONCE = 1000
_MOST_A_PERIOD = 2**53
_PAYMENTS = select(Price.id, Price.payments)


def days_to_move(contents: Contents, now: datetime) -> int:
    """The days after which the live period that began last has begun within the last 24 hours."""
    starts = (
        row["period_starts_at"]
        for _, row, _, _ in contents.subscriptions
        if row["status"] in LIVE and row["period_starts_at"]
    )
    latest = max(starts, default=None)
    return (now - latest) // timedelta(days=1) if latest else 0


def kept_payments(contents: Contents, problems: Problems) -> None:
    """A price keeps the number of payments that is stored, if the file does not say one; a new price has none."""
    silent = [row for _, row in contents.prices.values() if "payments" not in row]
    stored: dict[str, int | None] = {}
    for part in _parts([row["id"] for row in silent]):
        stored |= {row.id: row.payments for row in session().execute(_PAYMENTS.where(Price.id.in_(part)))}
    for row in silent:
        row["payments"] = stored.get(row["id"])
    for entry, row in contents.prices.values():
        if row["payments"] and not row["billing_interval"]:
            problems.add(entry, "billing_cycle", f"is missing: the price {row['id']} has {row['payments']} payments")


def clock_and_references(contents: Contents, problems: Problems, now: datetime, *, shifted: bool) -> None:
    """Notes the subscriptions that are not current, and those whose prices do not fit them."""
    for entry, row, items, _ in contents.subscriptions:
        for field, message in _not_current(row, now, contents.by, shifted):
            problems.add(entry, field, message)
        for number, item in enumerate(items):
            if item["price_id"] in contents.prices:
                price = contents.prices[item["price_id"]][1]
                _check_price(entry, f"items[{number}].price", row, item, price, problems)
        _check_plan(entry, row, items, contents.prices, problems)
        _check_total(entry, items, contents.prices, problems)


def database(contents: Contents, problems: Problems) -> None:
    """Notes what is stored already and what is referred to but stands nowhere."""
    for entry, row in _stored(contents.customers, Customer.id, "id"):
        problems.add(entry, "id", f"{row['id']} is stored already; customers are not overwritten, take it out")
    for entry, row in _stored(contents.customers, Customer.email_key, "email_key"):
        problems.add(entry, "email", f"{row['email']} is the address of a stored customer")
    for entry, row in _stored(contents.addresses, Address.id, "id"):
        problems.add(entry, "id", f"{row['id']} is stored already; addresses are not overwritten, take it out")
    for entry, row in _stored(contents.businesses, Business.id, "id"):
        problems.add(entry, "id", f"{row['id']} is stored already; businesses are not overwritten, take it out")
    for entry, row in _stored(contents.subscriptions, Subscription.id, "id"):
        problems.add(entry, "id", f"{row['id']} is stored already; subscriptions are not overwritten, take it out")
    _missing(contents, "ctm", Customer.id, contents.ids, "customer", problems)
    _missing(contents, "pro", Product.id, contents.products, "product", problems)
    _missing(contents, "pri", Price.id, contents.prices, "price", problems)
    _stored_prices(contents, problems)


def _not_current(row: Row, now: datetime, by: timedelta, shifted: bool) -> Iterator[tuple[str, str]]:
    """What is over or has not begun once the row has been moved by so much."""
    starts_at, ends_at = row["period_starts_at"], row["period_ends_at"]
    billing, effective_at = row["next_billed_at"], row["scheduled_effective_at"]
    live, then = row["status"] in LIVE, now - by
    remedy = "" if shifted else "; bring it up to date, or move the whole file to the present with --shift"
    if live and ends_at and ends_at <= then:
        yield "current_billing_period", f"is over (it ends {shapes.instant(ends_at + by)}){remedy}"
    elif live and billing and billing <= then:
        yield "next_billed_at", f"has passed ({shapes.instant(billing + by)}){remedy}"
    elif effective_at and effective_at <= then:
        yield "scheduled_change.effective_at", f"has passed ({shapes.instant(effective_at + by)}){remedy}"
    elif shifted and live and starts_at and starts_at > then:
        yield "current_billing_period", f"has not begun (it starts {shapes.instant(starts_at + by)})"


def _check_price(entry: str, field: str, row: Row, item: Row, price: Any, problems: Problems) -> None:
    if price["currency_code"] != row["currency_code"]:
        given = f"{price['id']} is in {price['currency_code']}, the subscription in {row['currency_code']}"
        problems.add(entry, f"{field}.unit_price.currency_code", f"{given}; they must be the same")
    billed = price["billing_interval"], price["billing_frequency"]
    if item["recurring"] and billed != (row["billing_interval"], row["billing_frequency"]):
        given = f"{price['id']} is not billed as often as the subscription"
        problems.add(entry, f"{field}.billing_cycle", f"{given}; the cycles must be the same")


def _check_plan(entry: str, row: Row, items: list[Row], prices: Any, problems: Problems) -> None:
    """What is left to pay must fit the prices, which must all be of one plan or all be endless."""
    sold = [prices[item["price_id"]][1] for item in items if item["recurring"] and item["price_id"] in prices]
    counts, left = {price["payments"] for price in sold}, row["remaining_payments"]
    if len(counts) > 1:
        problems.add(entry, "items", "have prices with different numbers of payments; all must have the same")
    elif counts == {None} and left is not None:
        problems.add(entry, "remaining_payments", "must be null: its prices go on until it is canceled")
    elif counts and counts != {None}:
        (payments,) = counts
        if left is None and row["status"] != "canceled":
            problems.add(entry, "remaining_payments", f"is missing: its price has {payments} payments")
        elif left is not None and left > payments:
            problems.add(entry, "remaining_payments", f"is more than the {payments} payments of its price")


def _check_total(entry: str, items: list[Row], prices: Any, problems: Problems) -> None:
    known = ((prices[item["price_id"]][1]["amount"], item) for item in items if item["price_id"] in prices)
    if sum(amount * item["quantity"] for amount, item in known) > _MOST_A_PERIOD:
        problems.add(entry, "items", f"cost more than {_MOST_A_PERIOD} minor units together")


def _stored_prices(contents: Contents, problems: Problems) -> None:
    """The same for prices that the file only refers to."""
    wanted = [id for id in contents.needed["pri"] if id not in contents.prices]
    if not wanted:
        return
    found = session().execute(select(*Price.__table__.columns).where(Price.id.in_(wanted))).mappings()
    stored = {price["id"]: ("", price) for price in found}
    for entry, row, items, _ in contents.subscriptions:
        for number, item in enumerate(items):
            if item["price_id"] in stored:
                _check_price(entry, f"items[{number}].price_id", row, item, stored[item["price_id"]][1], problems)
        if any(item["price_id"] in stored for item in items):
            _check_plan(entry, row, items, stored | contents.prices, problems)
        _check_total(entry, items, contents.prices | stored, problems)


def _stored(records: Any, column: Any, name: str) -> Iterator[tuple[str, Row]]:
    """The records whose value stands in a column already, with their entries."""
    for chunk in records.chunks():
        taken = _among(column, [record[1][name] for record in chunk])
        yield from ((record[0], record[1]) for record in chunk if record[1][name] in taken)


def _missing(contents: Contents, kind: str, column: Any, here: Any, noun: str, problems: Problems) -> None:
    wanted = [id for id in contents.needed[kind] if id not in here]
    for part in _parts(wanted):
        stored = _among(column, part)
        for id in part:
            if id not in stored:
                entry, field = contents.needed[kind][id]
                problems.add(entry, field, f"there is no {noun} {id}; add the {noun} to the file")


def _among(column: Any, values: Iterable[str]) -> set[str]:
    return set(session().scalars(select(column).where(column.in_(list(values)))))


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[n : n + _AT_ONCE] for n in range(0, len(values), _AT_ONCE))
