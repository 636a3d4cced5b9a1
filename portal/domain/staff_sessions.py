"""Where somebody of the staff is signed in: one row a browser, apart from every customer's session.

The cookie's value is random and stands nowhere; the row holds its SHA-256.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import clock, config, ids
from portal.db import Base, session
from portal.domain.staff import StaffMember

_SEEN_EVERY = timedelta(minutes=1)
_KEEP = timedelta(days=7)
"""How long a browser is remembered as one of the staff's after its sign-in has ended by itself."""


class StaffSession(Base):
    """`way` is how they proved who they are: `passkey` or `email link`."""

    __tablename__ = "staff_sessions"
    __table_args__ = (Index(None, "staff_id"), Index(None, "ends_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("staff.id"))
    way: Mapped[str]
    client: Mapped[str]
    agent: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    ends_at: Mapped[datetime]

    member: Mapped[StaffMember] = relationship(lazy="joined", innerjoin=True)


def begin(member: StaffMember, *, way: str, client: str, agent: str) -> str:
    """Signs somebody in; answers the cookie of this browser."""
    cookie, now = secrets.token_urlsafe(32), clock.now()
    session().add(
        StaffSession(
            id=ids.new("stfses"),
            hash=_hash(cookie),
            staff_id=member.id,
            way=way,
            client=client[:64],
            agent=agent[:200],
            created_at=now,
            last_seen_at=now,
            ends_at=now + config.current().staff_session_longest,
        )
    )
    session().flush()
    return cookie


def find(cookie: str) -> StaffSession | None:
    """The living session of a cookie; None if it ended, idled out, or its person is off the staff."""
    found = session().scalar(select(StaffSession).where(StaffSession.hash == _hash(cookie), *_lives()))
    return found if found is not None and found.member.removed_at is None else None


def is_known(cookie: str) -> bool:
    """Whether a cookie is somebody's, whose session may have ended by itself; one that was signed out is nobody's."""
    own = select(StaffSession.id).join(StaffMember).where(StaffSession.hash == _hash(cookie))
    return session().scalar(own.where(StaffMember.removed_at.is_(None))) is not None


def of(staff_id: str) -> Sequence[StaffSession]:
    """Where somebody is signed in, the latest first."""
    own = select(StaffSession).where(StaffSession.staff_id == staff_id, *_lives())
    return session().scalars(own.order_by(StaffSession.id.desc())).all()


def counted() -> dict[str, int]:
    """In how many browsers each is signed in; who is in none is left out."""
    living = select(StaffSession.staff_id, func.count()).where(*_lives()).group_by(StaffSession.staff_id)
    return {staff_id: count for staff_id, count in session().execute(living)}  # noqa: C416 (a Row is no tuple to mypy)


def is_stale(browser: StaffSession) -> bool:
    """Whether it is time to note again that this browser was seen."""
    return clock.now() - browser.last_seen_at > _SEEN_EVERY


def seen(session_id: str) -> None:
    session().execute(update(StaffSession).where(StaffSession.id == session_id).values(last_seen_at=clock.now()))


def end(session_id: str, *, staff_id: str) -> bool:
    """Signs one browser of somebody out. False: they have no such session."""
    own = delete(StaffSession).where(StaffSession.id == session_id, StaffSession.staff_id == staff_id)
    return session().execute(own).rowcount == 1  # type: ignore[attr-defined]


def end_all_of(staff_id: str, *, but: str | None = None) -> int:
    """Signs somebody out everywhere, or everywhere but in one browser; answers how many ended."""
    own = delete(StaffSession).where(StaffSession.staff_id == staff_id, StaffSession.id != (but or ""))
    return session().execute(own).rowcount  # type: ignore[attr-defined]


def forget_old() -> None:
    session().execute(delete(StaffSession).where(StaffSession.ends_at < clock.now() - _KEEP))


def _lives() -> tuple[Any, ...]:
    now = clock.now()
    idle_since = now - config.current().staff_session_idle
    return StaffSession.ends_at > now, StaffSession.last_seen_at > idle_since


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
