"""Finding customers by the beginning of their name or address: an index that answers alike at a thousand and a million.

Each customer has a few terms. A term begins with one word of the name or the address and goes on with the others, so
that a search is one range of the index: all terms that begin with what was typed.

    Amelia Harper        amelia harper · harper amelia
    Amelia Rose Harper   each word first, each other word second: six terms
    amelia.h@a.example   amelia h a example · h a example · a example

Terms of the middles of words are left out: they would make the index five times as large.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ForeignKey, Index, String, delete, insert
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, connection, table

LONGEST = 100
"""Characters of a term, and of what is looked for."""

_MOST_WORDS = 6
_LAST = "\U0010ffff"
_ALONE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"  # written without blanks: each character is a word
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "'": "", "’": ""}
)


BYTEWISE = String().with_variant(String(collation="C"), "postgresql")
"""Compared byte by byte on either engine, whatever the database's own language is."""


class SearchTerm(Base):
    __tablename__ = "search_terms"
    __table_args__ = (Index(None, "customer_id", "text"), {"sqlite_with_rowid": False})

    text: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), primary_key=True)


_TERM = table(SearchTerm)
_INSERT, _DELETE = insert(_TERM), delete(_TERM)


def normal(text: str) -> str:
    """The words of a text in the form in which they are compared: lower case, without accents or signs."""
    return " ".join(_words(text))[:LONGEST].rstrip()


def terms(name: str | None, email: str) -> set[str]:
    """What a customer is found by."""
    called, reached = _words(name or "")[:_MOST_WORDS], _words(email)
    found: set[tuple[str, ...]] = {tuple(called)} if len(called) == 1 else set()
    for first in range(len(called)):
        for second in range(len(called)):
            if first != second:
                others = (word for at, word in enumerate(called) if at not in (first, second))
                found.add((called[first], called[second], *others))
    for first in range(min(max(len(reached) - 1, 1), _MOST_WORDS)):
        found.add(tuple(reached[first:]))
    return {" ".join(words)[:LONGEST].rstrip() for words in found if words}


def add(people: Iterable[tuple[str, str | None, str]]) -> None:
    """Makes new customers findable: id, name and address of each. In the transaction that writes them."""
    rows = [{"text": text, "customer_id": id} for id, name, email in people for text in terms(name, email)]
    if rows:
        connection().execute(_INSERT, rows)


def replace(customer: Any) -> None:
    """The same for a customer whose name or address has changed."""
    connection().execute(_DELETE.where(_TERM.c.customer_id == customer.id))
    add(((customer.id, customer.name, customer.email),))


def between(normalized: str) -> tuple[str, str]:
    """The terms that begin so are from the first of these on, and before the second."""
    return normalized, normalized + _LAST


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text[: 10 * LONGEST].casefold())
    plain = "".join(each for each in plain if not unicodedata.combining(each)).translate(_PLAIN)
    return _WORD.findall(unicodedata.normalize("NFC", plain))
