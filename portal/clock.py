"""The only reader of the wall clock. Every instant is UTC with microseconds (tzinfo set)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=4)
"""How far a machine's clock may be from the database server's; beyond it no worker carries out anything.

Less than the 5 s by which an end waits for whoever changes their mind in time, so that none comes early.
"""

_shift = timedelta()
_frozen: datetime | None = None


def now() -> datetime:
    """The present instant: the frozen one if a test froze it, else the machine's."""
    return _frozen if _frozen is not None else machine()


def machine() -> datetime:
    """What this machine takes for the present instant, frozen or not; only to compare it with another machine's."""
    return datetime.now(UTC) + _shift


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
    """Lets the machine's clock run ahead (or behind); for tests of machines that disagree."""
    global _shift
    _shift = by
