"""When a webhook is tried again, and how long an endpoint that fails is left alone."""

from collections.abc import Sequence
from datetime import datetime, timedelta

_SHORTEST_REST, _LONGEST_REST = timedelta(seconds=1), timedelta(seconds=60)


def next_attempt(attempts: int, at: datetime, waits: Sequence[timedelta]) -> datetime | None:
    """When to try again after so many failed attempts, the last of them `at`; None: never more."""
    return at + waits[attempts - 1] if attempts <= len(waits) else None


def rest(failures: int) -> timedelta:
    """1, 2, 4 … 60 seconds after so many failures in a row."""
    return min(_SHORTEST_REST * 2 ** min(failures - 1, 10), _LONGEST_REST)
