"""`portal import`: customers, addresses, businesses, products, prices, subscriptions from JSON in the API's shapes.

    source.py       text → entries, one at a time, however large the file
    entities.py     what an entry may hold, every field typed and bounded; subscription.py the same of subscriptions
    storable.py     what a database can hold
    rows.py         entities → rows
    contents.py     reads a file into rows; spool.py keeps them on disk until all of it has been checked
    checking.py     what must hold between entries, with the clock, and with the database
    writing.py      the rows, in chunks, in one transaction

All or nothing. Nothing that is imported counts as a change: no event is recorded and no mail is sent, history begins
afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from portal import clock, db
from portal.importing import checking, writing
from portal.importing.contents import Contents
from portal.importing.problems import ImportRefused, Problems

__all__ = ["ImportRefused", "Summary", "load"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """How many rows of each kind were written, and by how many days the file's instants were moved."""

    customers: int = 0
    addresses: int = 0
    businesses: int = 0
    products: int = 0
    prices: int = 0
    subscriptions: int = 0
    payment_methods: int = 0
    days: int = 0

    def __str__(self) -> str:
        """`Imported 1 customer and 2 subscriptions, moved by 953 days.`"""
        kinds = {"address": (self.addresses, "addresses"), "business": (self.businesses, "businesses")}
        for one in ("customer", "product", "price", "payment_method", "subscription"):
            kinds[one.replace("_", " ")] = getattr(self, f"{one}s"), f"{one}s".replace("_", " ")
        told = [f"{count} {one if count == 1 else many}" for one, (count, many) in kinds.items() if count]
        moved = f", moved by {self.days} days" if self.days else ""
        return f"Imported {', '.join(told) or 'nothing'}{moved}."


def load(path_or_text: Path | str, *, shift: bool, progress: Progress | None = None) -> Summary:
    """Imports a file, or a text that begins with `{` or `[`. With `shift` its instants move up to the present.

    `progress` is told (rows written, rows in all) after every chunk. Raises ImportRefused with every problem found
    (at most 20 are listed); then nothing has been imported.
    """
    problems = Problems(_name(path_or_text))
    with Contents() as contents:
        contents.read(path_or_text, problems)
        problems.refuse()
        now = clock.now()
        contents.move(timedelta(days=checking.days_to_move(contents, now) if shift else 0), now)
        checking.kept_payments(contents, problems)
        checking.clock_and_references(contents, problems, now, shifted=shift)
        problems.refuse()
        return _store(contents, problems, progress or (lambda done, total: None))


def _store(contents: Contents, problems: Problems, progress: Progress) -> Summary:
    try:
        with db.transaction():
            checking.database(contents, problems)
            problems.refuse()
            written = writing.write(contents, progress)
    except IntegrityError:
        problems.add("", "", "the same ids or addresses were stored by somebody else at this moment; import it again")
        problems.refuse()
    return Summary(**written, days=contents.by.days)


def _name(path_or_text: Path | str) -> str:
    text = str(path_or_text)
    return "the text" if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", "") else Path(text).name
