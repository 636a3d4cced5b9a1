"""The rows, written in chunks inside the transaction in force."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from portal.db import session
from portal.domain import search
from portal.domain.catalog import Price, Product
from portal.domain.customers import Address, Business, Customer
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.importing.contents import Contents
from portal.importing.rows import Row
from portal.importing.spool import CHUNK

Progress = Callable[[int, int], None]


def write(contents: Contents, progress: Progress) -> dict[str, int]:
    """Writes everything; answers how many rows of each kind. Stored products and prices give way to newer ones only."""
    total = sum(len(k) for k in (contents.products, contents.prices))
    total += sum(k.count for k in (contents.customers, contents.addresses, contents.businesses, contents.subscriptions))
    written: dict[str, int] = {}
    done = 0
    for kind, count, passed in _steps(contents):
        written[kind] = written.get(kind, 0) + count
        done += passed
        if passed:
            progress(done, total)
    return written


def _steps(contents: Contents) -> Iterator[tuple[str, int, int]]:
    """(kind, rows written, entries done with) after each chunk, in the order that references need."""
    people = ((Customer, contents.customers), (Address, contents.addresses), (Business, contents.businesses))
    for table, spool in people:
        for chunk in spool.chunks():
            _insert(table, [contents.moved(row) for _, row in chunk])
            if table is Customer:
                search.add((row["id"], row["name"], row["email"]) for _, row in chunk)
            yield table.__tablename__, len(chunk), len(chunk)
    for sold, known in ((Product, contents.products), (Price, contents.prices)):
        rows = [contents.moved(row) for _, row in known.values()]
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            yield sold.__tablename__, _insert_newer(sold, chunk), len(chunk)
    amounts: dict[str, int] = {}
    for records in contents.subscriptions_at_present():
        methods = [method for *_, method in records if method]
        _insert(PaymentMethod, methods)
        _insert(Subscription, [row for _, row, _, _ in records])
        items = [item for _, _, items, _ in records for item in items]
        _bill(items, amounts)
        _insert(SubscriptionItem, items)
        yield "payment_methods", len(methods), 0
        yield "subscriptions", len(records), len(records)


def _bill(items: list[Row], amounts: dict[str, int]) -> None:
    """What is billed of the items was billed at the prices as they are stored now; `amounts` are those known."""
    unknown = sorted({each["price_id"] for each in items} - amounts.keys())
    for start in range(0, len(unknown), CHUNK):
        wanted = select(Price.id, Price.amount).where(Price.id.in_(unknown[start : start + CHUNK]))
        amounts.update({row.id: row.amount for row in session().execute(wanted)})
    for each in items:
        each["billed_amount"] = each["billed_quantity"] * amounts[each["price_id"]]


def _insert(table: Any, rows: list[Row]) -> None:
    if rows:
        session().connection().execute(insert(table.__table__), rows)


def _insert_newer(table: Any, rows: list[Row]) -> int:
    found = session().execute(select(table.id, table.updated_at).where(table.id.in_([row["id"] for row in rows])))
    stored: dict[str, datetime] = {row.id: row.updated_at for row in found}
    newer = [row for row in rows if row["id"] in stored and row["updated_at"] > stored[row["id"]]]
    for row in newer:
        session().execute(update(table).where(table.id == row["id"]).values(row))
    fresh = [row for row in rows if row["id"] not in stored]
    _insert(table, fresh)
    return len(fresh) + len(newer)
