"""A file's contents as rows. The many stand on disk until all have been checked, the catalogue in memory."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from portal import ids
from portal.importing import entities, rows, source
from portal.importing.problems import ImportRefused, Problems
from portal.importing.rows import Row
from portal.importing.spool import Spool
from portal.importing.subscription import Embedded, Subscription, contradictions

_KINDS: dict[str, type[entities.Entity]] = {
    "ctm": entities.Customer,
    "add": entities.Address,
    "biz": entities.Business,
    "pro": entities.Product,
    "pri": entities.Price,
    "sub": Subscription,
}


class Contents:
    """Rows by kind, each with the entry it came from; the ids they have and the ids they refer to."""

    def __init__(self) -> None:
        self.customers, self.addresses, self.businesses, self.subscriptions = Spool(), Spool(), Spool(), Spool()
        self.products, self.prices = dict[str, tuple[str, Row]](), dict[str, tuple[str, Row]]()
        self.emails, self.ids = dict[str, str](), set[str]()
        self.needed: dict[str, dict[str, tuple[str, str]]] = {"ctm": {}, "pro": {}, "pri": {}}
        self.by, self.now = timedelta(), datetime.min
        self._embedded: Embedded = {}
        self._sold = dict[str, entities.Entity]()

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *_: object) -> None:
        for spool in (self.customers, self.addresses, self.businesses, self.subscriptions):
            spool.close()

    def read(self, path_or_text: Path | str, problems: Problems) -> None:
        """Reads every entry. What is wrong with one is noted; raises ImportRefused for an unreadable file."""
        try:
            with _open(path_or_text) as file:
                for place, data in source.entries(file):
                    self._read_entry(place, data, problems)
        except source.Malformed as wrong:
            problems.add("", "", str(wrong))
        except UnicodeDecodeError:
            problems.add("", "", "is no UTF-8 text")
        except OSError as wrong:
            raise ImportRefused([f"{path_or_text}: {wrong.strerror}. Nothing was imported."]) from None

    def move(self, by: timedelta, now: datetime) -> None:
        """From now on all instants are given moved by this much."""
        self.by, self.now = by, now

    def moved(self, row: Row) -> Row:
        return rows.moved(row, self.by, self.now)

    def subscriptions_at_present(self) -> Iterator[list[tuple[str, Row, list[Row], Row | None]]]:
        """Chunks of (entry, subscription, items, payment method)."""
        for chunk in self.subscriptions.chunks():
            yield [
                (
                    entry,
                    rows.at_present(row, self.by, self.now),
                    [self.moved(item) for item in items],
                    self.moved(method) if method else None,
                )
                for entry, row, items, method in chunk
            ]

    def _read_entry(self, place: str, data: Any, problems: Problems) -> None:
        given_id = data.get("id") if isinstance(data, dict) else None
        kind = _kind_of(given_id)
        entry = f"{place} ({given_id})".strip() if kind else place
        if not isinstance(data, dict):
            problems.add(entry, "", "takes an entity (a JSON object)")
        elif kind is None:
            problems.add(
                entry, "id", f"takes one of {', '.join(f'{k}_…' for k in _KINDS)} with 26 characters behind it"
            )
        else:
            self._validate(kind, entry, data, problems)

    def _validate(self, kind: str, entry: str, data: Row, problems: Problems) -> None:
        try:
            given = _KINDS[kind].model_validate(data, context=self._embedded)
        except ValidationError as wrong:
            for each in wrong.errors(include_url=False, include_context=False, include_input=False):
                problems.add(entry, _path(each["loc"]), each["msg"].removeprefix("Value error, "))
            return
        if kind in ("ctm", "add", "biz", "sub") and data["id"] in self.ids:
            problems.add(entry, "id", "stands in the file twice")
        self.ids.add(data["id"])
        getattr(self, f"_add_{kind}")(entry, given, problems)

    def _add_ctm(self, entry: str, given: entities.Customer, problems: Problems) -> None:
        row = rows.customer(given)
        first = self.emails.setdefault(row["email_key"], given.id)
        if first != given.id:
            problems.add(entry, "email", f"{given.email} is the address of {first} too; a customer needs their own")
        self.customers.add((entry, row))

    def _add_add(self, entry: str, given: entities.Address, problems: Problems) -> None:
        self._need("ctm", given.customer_id, entry, "customer_id")
        self.addresses.add((entry, rows.address(given)))

    def _add_biz(self, entry: str, given: entities.Business, problems: Problems) -> None:
        self._need("ctm", given.customer_id, entry, "customer_id")
        self.businesses.add((entry, rows.business(given)))

    def _add_pro(self, entry: str, given: entities.Product, problems: Problems) -> None:
        if self._sold.get(given.id) is not given:
            self._sold[given.id] = given
            _keep_newest(self.products, entry, rows.product(given))

    def _add_pri(self, entry: str, given: entities.Price, problems: Problems) -> None:
        if self._sold.get(given.id) is not given:
            self._sold[given.id] = given
            self._need("pro", given.product_id, entry, "product_id")
            _keep_newest(self.prices, entry, rows.price(given))

    def _add_sub(self, entry: str, given: Subscription, problems: Problems) -> None:
        for field, message in contradictions(given):
            problems.add(entry, field, message)
        self._need("ctm", given.customer_id, entry, "customer_id")
        for number, item in enumerate(given.items):
            if item.product:
                self._add_pro(entry, item.product, problems)
            if item.price:
                self._add_pri(entry, item.price, problems)
            elif item.price_id:
                self._need("pri", item.price_id, entry, f"items[{number}].price_id")
        card = given.payment_method
        method = rows.payment_method(card, given.customer_id, given.created_at) if card else None
        row = rows.subscription(given) | {"payment_method_id": method["id"] if method else None}
        self.subscriptions.add((entry, row, rows.items(given), method))

    def _need(self, kind: str, id: str, entry: str, field: str) -> None:
        self.needed[kind].setdefault(id, (entry, field))


def _open(path_or_text: Path | str) -> TextIO:
    text = path_or_text if isinstance(path_or_text, str) else None
    if text is not None and text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", ""):
        return StringIO(text.removeprefix("\ufeff"))
    return Path(path_or_text).open(encoding="utf-8-sig")


def _kind_of(id: object) -> str | None:
    prefix = str(id).partition("_")[0]
    return prefix if prefix in _KINDS and ids.is_id(id, prefix) else None


def _path(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _keep_newest(known: dict[str, tuple[str, Row]], entry: str, row: Row) -> None:
    """What the newest says nothing of is as an earlier one says."""
    before, given = known.get(row["id"]), (entry, row)
    if before is None:
        known[row["id"]] = given
        return
    older, newer = (before, given) if _age(row) > _age(before[1]) else (given, before)
    known[row["id"]] = (newer[0], older[1] | newer[1])


def _age(row: Row) -> float:
    return row["updated_at"].timestamp() if row["updated_at"] else 0.0
