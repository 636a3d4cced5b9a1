"""The only reader of the wall clock. Every instant is UTC with microseconds (tzinfo set)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_shift = timedelta()
_frozen: datetime | None = None


def now() -> datetime:
    """The present instant: the frozen one if a test froze it, else the machine's."""
    return _frozen if _frozen is not None else datetime.now(UTC) + _shift


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Stops the clock at an instant; nested calls move it and give it back."""
    global _frozen
    before, _frozen = _frozen, at.astimezone(UTC)
    try:
        yield
    finally:
        _frozen = before


def shift(by: timedelta) -> None:
    """Lets the clock run ahead of (or behind) the machine's; for rehearsals and skew tests."""
    global _shift
    _shift = by
