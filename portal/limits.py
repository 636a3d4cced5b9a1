"""Rate limits that hold across processes: one row a key, by the generic cell rate algorithm.

A limit never stands before a valid link: only forms that send mail are limited.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db
from portal.db import Base, session, transaction
from portal.errors import TooMany


class RateLimit(Base):
    """`free_at` is when the key's bucket is empty again."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(primary_key=True)
    free_at: Mapped[datetime]


def take(key: str, *, per_hour: int) -> None:
    """Counts one use of a key. Raises TooMany once `per_hour` uses have come faster than one an hour's share."""
    now = clock.now()
    share = timedelta(hours=1) / per_hour
    with transaction():
        session().execute(db.insert_unless_there(RateLimit).values(key=key, free_at=now))
        used = session().get_one(RateLimit, key, with_for_update=True, populate_existing=True)
        free_at = max(used.free_at, now) + share
        if free_at > now + timedelta(hours=1):
            raise TooMany(int((free_at - now - timedelta(hours=1)).total_seconds()) + 1)
        used.free_at = free_at


def forget_old() -> None:
    session().execute(delete(RateLimit).where(RateLimit.free_at < clock.now()))
