"""Tables that open in a spreadsheet: CSV, row by row, in which no cell is a formula."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
"""What makes a spreadsheet compute a cell instead of showing it, or hides such a beginning."""
_PARTED = re.compile(r"([;\t\r\n][ \"]*)(?=[=+\-@|%＝＋－＠])")
"""Where a cell ends for a spreadsheet that parts cells by semicolons, as in most of Europe, and one would begin."""


def lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The text of a table, a row at a time; the first piece tells spreadsheets that it is UTF-8."""
    yield "\ufeff" + _line(header)
    for row in rows:
        yield _line([cell(value) for value in row])


def cell(value: Any) -> str:
    """A value as text; what would be a formula gets an apostrophe before it, which spreadsheets take as "text"."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int | float):
        return str(value)
    text = _PARTED.sub(r"\1'", str(value).replace("\x00", ""))
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
