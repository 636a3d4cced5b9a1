"""The period that a subscription's next payment pays for: whole, or a part of one.

    whole   from one boundary to the next
    cut     an end is scheduled within it: it ends there, and costs what it lasts
    rest    that end was taken back: what is left of the period follows, and costs what was not billed

A cut period keeps in `price_lasts` how long it would have been. By that, and by beginning where no period begins, the
rest of one is known. Parts and price agree to the minor unit (`proration.Share`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from portal.domain import periods, proration
from portal.domain.proration import Share


@dataclass(frozen=True)
class Period:
    """`share` is None for a whole period; `is_cut` if the scheduled end cuts it short."""

    starts_at: datetime
    ends_at: datetime
    share: Share | None = None
    price_lasts: int | None = None
    is_cut: bool = False


def of(subscription: Any, starts_at: datetime, *, until: datetime | None = None) -> Period:
    """The period that begins at an instant; `until` is an end to assume instead of the one that is scheduled."""
    return _until(subscription, starts_at, until or subscription.ends_at)


def unbroken(subscription: Any, starts_at: datetime) -> Period:
    """The same as if no end were scheduled."""
    return _until(subscription, starts_at, None)


def _until(subscription: Any, starts_at: datetime, end: datetime | None) -> Period:
    cycle = subscription.anchor_at, subscription.billing_interval, subscription.billing_frequency
    whole_ends_at = periods.following(*cycle, starts_at)
    whole = _began(subscription, cycle, starts_at, whole_ends_at), whole_ends_at
    is_cut = end is not None and starts_at < end < whole_ends_at
    ends_at = end if is_cut and end is not None else whole_ends_at
    if whole == (starts_at, ends_at):
        return Period(starts_at, ends_at)
    share = proration.part(whole, starts_at, ends_at)
    return Period(starts_at, ends_at, share, proration.lasts(*whole, None), is_cut)


def _began(
    subscription: Any, cycle: tuple[datetime, str, int], starts_at: datetime, whole_ends_at: datetime
) -> datetime:
    """When the whole period began of which this is, or is not, the rest."""
    if subscription.price_lasts is None or periods.is_boundary(*cycle, starts_at):
        return starts_at
    began = whole_ends_at - timedelta(microseconds=subscription.price_lasts)
    return min(began, starts_at)
