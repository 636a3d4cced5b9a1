"""Rate limits that hold across processes: one row a key, by the generic cell rate algorithm.

    take(key, per_hour)   each use is written down; for forms that send mail and for charges
    spend(key_id)         requests of an app, by the minute; a process takes a twentieth of the limit at a time, so that
                          few requests write, and never more is spent than the limit

A limit never stands before a valid link.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config, db
from portal.db import Base, session, transaction
from portal.errors import TooMany

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_SHARES_OF_LIMIT = 20
_SHARE_LASTS = timedelta(seconds=10)


class RateLimit(Base):
    """`free_at` is when the key's bucket is empty again."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(primary_key=True)
    free_at: Mapped[datetime]


@dataclass
class Allowance:
    """What this process may still spend of an app's limit, and what the others had left when it was taken."""

    limit: int
    left: int
    others_left: int
    taken_at: datetime
    free_at: datetime

    def may_be_spent(self, limit: int, now: datetime) -> bool:
        fresh = timedelta() <= now - self.taken_at < _SHARE_LASTS
        return self.limit == limit and self.left > 0 and fresh

    def headers(self) -> dict[str, str]:
        """As the IETF's draft on rate limit headers names them; the reset is in seconds."""
        reset = max(0, ceil((self.free_at - clock.now()).total_seconds()))
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.left + self.others_left),
            "RateLimit-Reset": str(reset),
            "RateLimit-Policy": f"{self.limit};w=60",
        }


_allowances: dict[str, Allowance] = {}
_lock = threading.Lock()


def take(key: str, *, per_hour: int) -> None:
    """Counts one use of a key. Raises TooMany once `per_hour` uses have come faster than one an hour's share."""
    _grant(key, 1, share=_HOUR / per_hour, window=_HOUR)


def spend(key_id: str) -> dict[str, str]:
    """Counts one request of an app; answers the headers that tell it what is left. Raises TooMany with them."""
    limit = config.current().api_requests_per_minute
    if limit == 0:
        return {}
    with _lock:
        allowance = _allowances.get(key_id)
        now = clock.now()
        if allowance is not None and allowance.may_be_spent(limit, now):
            allowance.left -= 1
            return allowance.headers()
    share = max(1, limit // _SHARES_OF_LIMIT)
    try:
        granted, free_at = _grant(f"api:{key_id}", share, share=_MINUTE / limit, window=_MINUTE)
    except TooMany as refused:
        refused.headers = Allowance(limit, 0, 0, now, now + timedelta(seconds=refused.retry_after or 1)).headers()
        raise
    except DBAPIError:
        return {}  # a database that can't count does not keep apps from reading
    others_left = max(0, int((now + _MINUTE - free_at) / (_MINUTE / limit)))
    allowance = Allowance(limit, granted - 1, others_left, now, free_at)
    with _lock:
        _allowances[key_id] = allowance
    return allowance.headers()


def _grant(key: str, wanted: int, *, share: timedelta, window: timedelta) -> tuple[int, datetime]:
    """Up to `wanted` uses, as many as the window still holds, and when the bucket is empty. Raises TooMany at none."""
    now = clock.now()
    with transaction():
        session().execute(db.insert_unless_there(RateLimit).values(key=key, free_at=now))
        used = session().get_one(RateLimit, key, with_for_update=True, populate_existing=True)
        since = max(used.free_at, now)
        granted = min(wanted, int((now + window - since) / share + 1e-9))
        if granted < 1:
            raise TooMany(max(1, ceil((since + share - now - window).total_seconds())))
        used.free_at = since + share * granted
        return granted, used.free_at


def forget_old() -> None:
    session().execute(delete(RateLimit).where(RateLimit.free_at < clock.now()))
