"""Portal sessions: what an app opened for a customer, and what each page's link allows.

A link is attenuated: it opens one page and allows the acts of its errand, nothing else (`docs/architecture.md`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, delete, false, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, session, table
from portal.domain import browser_sessions, customers, subscriptions
from portal.domain.actors import Actor
from portal.errors import NotFound

MOST_SUBSCRIPTIONS = 25


class PortalSession(Base):
    __tablename__ = "portal_sessions"
    __table_args__ = (Index(None, "customer_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    subscription_ids: Mapped[Any] = mapped_column(JSON)
    return_url: Mapped[str | None]
    opened_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    by_staff: Mapped[bool] = mapped_column(default=False, server_default=false())
    page: Mapped[str | None]
    """The one page that a link of staff opens."""
    uses: Mapped[int] = mapped_column(default=0, server_default="0")
    first_used_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """How often its link was followed by whom it was for; counted for those of staff."""

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and clock.now() < self.expires_at


_INSERT = insert(table(PortalSession))
_COLUMNS = PortalSession.__table__.c.keys()


def open(
    customer_id: str,
    subscription_ids: Sequence[str],
    *,
    return_url: str | None,
    lifetime: timedelta,
    by: Actor,
    page: str | None = None,
) -> PortalSession:
    """Opens a session for a customer, for every page or for one.

    Raises NotFound if there is no such customer or one single subscription is not theirs; EntityArchived.
    """
    customers.refuse_unless_active(customer_id)
    strangers = subscriptions.unknown_among(subscription_ids, customer_id)
    if strangers:
        raise NotFound("subscription", strangers[0])
    now = clock.now()
    opened = PortalSession(
        id=ids.new("cpls"),
        customer_id=customer_id,
        subscription_ids=list(subscription_ids),
        return_url=return_url,
        opened_by=by.id,
        by_staff=by.kind == "staff",
        page=page,
        uses=0,
        created_at=now,
        expires_at=now + lifetime,
    )
    row = {name: getattr(opened, name) for name in _COLUMNS}
    connection().execute(_INSERT, row)
    return opened


def is_open(portal_session_id: str) -> bool:
    """Whether it is there, not called back, and not too old."""
    opened = session().get(PortalSession, portal_session_id)
    return opened is not None and opened.is_open


def opens(portal_session: PortalSession, page: str, subscription_id: str | None) -> bool:
    """Whether a link to this page can be one of its links: those of staff open one page."""
    if portal_session.page is None:
        return True
    return (page, [subscription_id] if subscription_id else []) == (
        portal_session.page,
        portal_session.subscription_ids,
    )


def use(portal_session: PortalSession) -> bool:
    """Counts that its link was followed; whether that was the first time, which of many at once one is told."""
    now, column = clock.now(), PortalSession
    counted = session().execute(
        update(PortalSession)
        .where(PortalSession.id == portal_session.id)
        .values(uses=column.uses + 1, first_used_at=func.coalesce(column.first_used_at, now), last_used_at=now)
        .returning(column.uses)
        .execution_options(synchronize_session=False)
    )
    return counted.scalar_one() == 1


def revoke_all_of(customer_id: str) -> int:
    """Calls back whatever was opened for a customer and still works; answers how many that were."""
    browser_sessions.hold(customer_id)
    now = clock.now()
    own = PortalSession.customer_id == customer_id, PortalSession.revoked_at.is_(None), PortalSession.expires_at > now
    revoked = session().execute(update(PortalSession).where(*own).values(revoked_at=now))
    return revoked.rowcount  # type: ignore[attr-defined]


def revoke_all_by(staff_id: str) -> Sequence[PortalSession]:
    """Calls back whatever somebody of the staff opened and still works, as `revoke` does; answers what that was."""
    now, grant = clock.now(), browser_sessions.Grant
    own = (
        PortalSession.opened_by == staff_id,
        PortalSession.by_staff,
        PortalSession.revoked_at.is_(None),
        PortalSession.expires_at > now,
    )
    browser_sessions.hold(select(PortalSession.customer_id).where(*own))
    session().execute(delete(grant).where(grant.portal_session_id.in_(select(PortalSession.id).where(*own))))
    return session().scalars(update(PortalSession).where(*own).values(revoked_at=now).returning(PortalSession)).all()


def revoke(portal_session: PortalSession) -> None:
    """Its links and every browser that followed one are out, from the next request on."""
    browser_sessions.hold(portal_session.customer_id)
    portal_session.revoked_at = portal_session.revoked_at or clock.now()
    grant = browser_sessions.Grant
    session().execute(delete(grant).where(grant.portal_session_id == portal_session.id))
