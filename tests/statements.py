"""The SQL that something takes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def seen() -> Iterator[list[str]]:
    """Every statement of the block, on whichever connection, without its values."""
    found: list[str] = []

    def note(*said: Any) -> None:
        found.append(re.sub(r"\s+", " ", said[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)
