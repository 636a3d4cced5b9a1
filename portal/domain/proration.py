"""Parts of a period's price, for changes in the middle of it: amount × seconds left ÷ seconds of the period.

Rounded half-even to the currency's minor unit, for each line of a bill by itself (`docs/rules.md`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from portal.domain.shapes import period

_DIGITS = 5


@dataclass(frozen=True)
class Share:
    """What part of a period is concerned: `fraction` of its price, for the time from `starts_at` to `ends_at`."""

    fraction: Fraction
    starts_at: datetime
    ends_at: datetime

    def of(self, amount: int) -> int:
        """The share of an amount, in minor units; negative amounts (credit) are rounded alike."""
        return round(self.fraction * amount)

    def told(self) -> dict[str, Any]:
        """How the contract tells of it; the rate is rounded, the amounts are not computed from it."""
        return {"rate": f"{float(self.fraction):.{_DIGITS}f}", "billing_period": period(self.starts_at, self.ends_at)}


def left(starts_at: datetime, ends_at: datetime, now: datetime) -> Share:
    """What is left of a period: all of it before it begins, nothing after its end."""
    here = min(max(now, starts_at), ends_at)
    return Share(_ratio(ends_at - here, ends_at - starts_at), here, ends_at)


def moved(starts_at: datetime, ends_at: datetime, new_end: datetime) -> Share:
    """What a period that ends at another instant is longer (or, negative, shorter) than it was."""
    earlier, later = sorted((ends_at, new_end))
    return Share(_ratio(new_end - ends_at, ends_at - starts_at), earlier, later)


def _ratio(part: timedelta, whole: timedelta) -> Fraction:
    if whole <= timedelta():
        return Fraction(0)
    microsecond = timedelta(microseconds=1)
    return Fraction(part // microsecond, whole // microsecond)
