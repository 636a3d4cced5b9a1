"""Billing periods, counted from the subscription's anchor (`docs/rules.md`: 31 Jan → 28 Feb → 31 Mar)."""

from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta


def nth(anchor: datetime, interval: str, frequency: int, n: int) -> datetime:
    """The instant `n` cycles after the anchor. Months and years clamp to the month's end, in UTC."""
    count = frequency * n
    if interval == "day":
        return anchor + timedelta(days=count)
    if interval == "week":
        return anchor + timedelta(weeks=count)
    return anchor + (relativedelta(months=count) if interval == "month" else relativedelta(years=count))


def following(anchor: datetime, interval: str, frequency: int, instant: datetime) -> datetime:
    """The first period boundary later than an instant."""
    return ahead(anchor, interval, frequency, instant, 1)


def ahead(anchor: datetime, interval: str, frequency: int, instant: datetime, count: int) -> datetime:
    """The `count`-th period boundary later than an instant."""
    days = {"day": 1.0, "week": 7.0, "month": 30.436875, "year": 365.2425}[interval] * frequency
    n = max(0, int((instant - anchor) / timedelta(days=days)) - 1)
    while nth(anchor, interval, frequency, n) <= instant:
        n += 1
    return nth(anchor, interval, frequency, n + count - 1)


def is_boundary(anchor: datetime, interval: str, frequency: int, instant: datetime) -> bool:
    """Whether a period begins at an instant (and, but for the anchor itself, another one ends)."""
    return following(anchor, interval, frequency, instant - timedelta(microseconds=1)) == instant


def anchor_of(first_billed_at: datetime, interval: str, frequency: int, next_billed_at: datetime) -> datetime:
    """The anchor of an imported subscription: its first billing if the next one fits it, else the next one."""
    fits = first_billed_at <= next_billed_at and is_boundary(first_billed_at, interval, frequency, next_billed_at)
    return first_billed_at if fits else next_billed_at
