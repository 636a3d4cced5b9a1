"""Parts of a period's price, for changes in the middle of it: amount × time left ÷ the time that one price pays for.

That time is the length of the period as it was billed, wherever its end was moved to since: `price_lasts`, in
microseconds, or None for a period that was not moved. Credit is such a part of what was billed for the period
(`billed.py`), so no part of it gives back more than was billed.

Rounded half-even to the currency's minor unit, for each line of a bill by itself (`docs/rules.md`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from portal.domain.shapes import period

_DIGITS = 5
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = 2**62
"""What a column holds; a price that lasts as long is worth nothing for any period there is."""


@dataclass(frozen=True)
class Share:
    """What part of a period is concerned: `fraction` of its price, for the time from `starts_at` to `ends_at`.

    `before` is the part of the price that was billed already, if it was billed in parts.
    """

    fraction: Fraction
    starts_at: datetime
    ends_at: datetime
    before: Fraction = Fraction(0)

    def of(self, amount: int) -> int:
        """The share of an amount, in minor units; negative amounts (credit) are rounded alike.

        The parts of a period, billed one after the other, come to its price exactly.
        """
        return round((self.before + self.fraction) * amount) - round(self.before * amount)

    def split(self, at: datetime) -> tuple["Share", "Share"]:
        """The parts of it before and after an instant, which together cost what it costs."""
        at = min(max(at, self.starts_at), self.ends_at)
        first = self.fraction * _ratio(at - self.starts_at, self.starts_at, self.ends_at, None)
        rest = Share(self.fraction - first, at, self.ends_at, self.before + first)
        return replace(self, fraction=first, ends_at=at), rest

    def told(self) -> dict[str, Any]:
        """How the contract tells of it; the rate is rounded, the amounts are not computed from it."""
        return {"rate": f"{float(self.fraction):.{_DIGITS}f}", "billing_period": period(self.starts_at, self.ends_at)}


def left(starts_at: datetime, ends_at: datetime, now: datetime, price_lasts: int | None = None) -> Share:
    """What is left of a period: all of it before it begins, nothing after its end."""
    here = min(max(now, starts_at), ends_at)
    return Share(_ratio(ends_at - here, starts_at, ends_at, price_lasts), here, ends_at)


def moved(starts_at: datetime, ends_at: datetime, new_end: datetime, price_lasts: int | None = None) -> Share:
    """What a period that ends at another instant is longer (or, negative, shorter) than it was."""
    earlier, later = sorted((ends_at, new_end))
    return Share(_ratio(new_end - ends_at, starts_at, ends_at, price_lasts), earlier, later)


def part(whole: tuple[datetime, datetime], starts_at: datetime, ends_at: datetime) -> Share:
    """A part of a whole period that is billed by itself, after what of it came before."""
    before = _ratio(starts_at - whole[0], *whole, None)
    return Share(_ratio(ends_at - starts_at, *whole, None), starts_at, ends_at, before)


def lasts(starts_at: datetime, ends_at: datetime, price_lasts: int | None) -> int:
    """How long one price pays for, in microseconds."""
    return (ends_at - starts_at) // _MICROSECOND if price_lasts is None else price_lasts


def spread(starts_at: datetime, ends_at: datetime, new_end: datetime, now: datetime, price_lasts: int | None) -> int:
    """How long one price pays for after a move that nobody paid: what is left is worth what it was worth before."""
    here = max(now, starts_at)
    before, after = (ends_at - here) // _MICROSECOND, (new_end - here) // _MICROSECOND
    now_lasts = lasts(starts_at, ends_at, price_lasts)
    if before <= 0 or after <= 0:
        return now_lasts
    return min(max(-(-now_lasts * after // before), 1), _LONGEST)


def _ratio(part: timedelta, starts_at: datetime, ends_at: datetime, price_lasts: int | None) -> Fraction:
    whole = lasts(starts_at, ends_at, price_lasts)
    return Fraction(part // _MICROSECOND, whole) if whole > 0 else Fraction(0)
