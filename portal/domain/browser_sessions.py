"""What one browser may do for one customer: a session with one grant per link it followed.

The cookie's value is random and stands nowhere; its SHA-256 is the row's id.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import clock, config
from portal.db import Base, connection, session, table
from portal.domain.customers import Customer

READ, CANCEL, KEEP, PAY, PORTAL = "read", "cancel", "keep", "update_payment_method", "portal"
CONSOLE = "console"
"""The way of somebody of the staff, who looks at a customer's pages beside the console."""
PAGES: dict[str, frozenset[str]] = {
    "portal": frozenset({PORTAL, READ, CANCEL, KEEP, PAY}),
    "subscription": frozenset({READ}),
    "cancel": frozenset({READ, CANCEL, KEEP}),
    "keep": frozenset({READ, KEEP}),
    "payment": frozenset({READ, PAY}),
}
"""What the link to a page allows; every page but the portal itself, for one subscription."""

_SEEN_EVERY = timedelta(minutes=1)


class BrowserSession(Base):
    __tablename__ = "browser_sessions"
    __table_args__ = (Index(None, "customer_id"), Index(None, "ends_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    ends_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    grants: Mapped[list["Grant"]] = relationship(lazy="joined", order_by="Grant.id")

    @property
    def living_grants(self) -> list["Grant"]:
        """What was allowed and has not run out, the oldest first."""
        return [grant for grant in self.grants if grant.ends_at > clock.now()]

    @property
    def is_of_console(self) -> bool:
        """Whether staff opened it, to look: it lives only beside the console."""
        return any(grant.way == CONSOLE for grant in self.living_grants)

    def may(self, act: str, subscription_id: str | None = None) -> "Grant | None":
        """The grant that allows an act on a subscription (or on the portal as a whole), the widest first."""
        fitting = [
            grant
            for grant in self.living_grants
            if act in PAGES[grant.page] and grant.subscription_id in (None, subscription_id)
        ]
        return min(fitting, key=lambda grant: grant.subscription_id is not None, default=None)


class Grant(Base):
    """`page` names what the followed link allows; without a subscription it is the whole portal."""

    __tablename__ = "grants"
    __table_args__ = (Index(None, "browser_session_id"), Index(None, "portal_session_id"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    browser_session_id: Mapped[str] = mapped_column(ForeignKey("browser_sessions.id", ondelete="CASCADE"))
    portal_session_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    page: Mapped[str]
    way: Mapped[str]
    ends_at: Mapped[datetime]
    return_url: Mapped[str | None]


_INSERT, _INSERT_GRANT = insert(table(BrowserSession)), insert(table(Grant))
_LIVING = select(BrowserSession).where(
    BrowserSession.id == bindparam("hash"),
    BrowserSession.ends_at > bindparam("now"),
    BrowserSession.last_seen_at > bindparam("idle_since"),
)


def find(cookie: str) -> BrowserSession | None:
    """The living session of a cookie; None if it ended, idled out, was signed out, or lost its last grant."""
    now, settings = clock.now(), config.current()
    found = session().scalars(_LIVING, {"hash": _hash(cookie), "now": now, "idle_since": now - settings.session_idle})
    browser = found.unique().first()
    return browser if browser is not None and browser.living_grants and browser.customer.status == "active" else None


def is_stale(browser: BrowserSession) -> bool:
    """Whether it is time to note again that this browser was seen."""
    return clock.now() - browser.last_seen_at > _SEEN_EVERY


def seen(browser_id: str) -> None:
    session().execute(update(BrowserSession).where(BrowserSession.id == browser_id).values(last_seen_at=clock.now()))


def how_many_of(customer_id: str) -> int:
    """In how many browsers a customer is signed in; those in which staff look at their pages do not count."""
    now, since = clock.now(), clock.now() - config.current().session_idle
    lives = BrowserSession.ends_at > now, BrowserSession.last_seen_at > since, Grant.ends_at > now
    own = select(func.count(BrowserSession.id.distinct())).join(Grant, Grant.browser_session_id == BrowserSession.id)
    return session().scalar(own.where(BrowserSession.customer_id == customer_id, *lives, Grant.way != CONSOLE)) or 0


def hold(customers: str | Select[Any]) -> None:
    """Who lets a customer in and who calls them back take turns, until the end of the transaction.

    Of one customer, or of all whose ids a statement finds.
    """
    whose = Customer.id == customers if isinstance(customers, str) else Customer.id.in_(customers)
    session().execute(select(Customer.id).where(whose).order_by(Customer.id).with_for_update(key_share=True))


def begin(
    customer_id: str,
    *,
    page: str,
    way: str,
    subscription_id: str | None = None,
    portal_session_id: str | None = None,
    return_url: str | None = None,
    earlier: BrowserSession | None = None,
) -> str:
    """A new session for a browser that followed a link; answers its cookie.

    What the same customer's earlier session in this browser may do is carried over, with its end; the earlier cookie
    is void.
    """
    hold(customer_id)
    cookie, now = secrets.token_urlsafe(32), clock.now()
    same = earlier is not None and earlier.customer_id == customer_id
    grant = {
        "portal_session_id": portal_session_id,
        "subscription_id": subscription_id,
        "page": page,
        "way": way,
        "return_url": return_url,
    }
    errand, ends_at = set(grant.items()), now + config.current().session_longest
    carried = [
        {name: getattr(old, name) for name in (*grant, "ends_at")}
        for old in (_living_grants_of(earlier.id, now) if earlier and same else ())
    ]
    browser = {"id": _hash(cookie), "customer_id": customer_id, "created_at": now, "last_seen_at": now}
    connection().execute(_INSERT, browser | {"ends_at": ends_at})
    grants = [*(old for old in carried if not errand <= set(old.items())), grant | {"ends_at": ends_at}]
    connection().execute(_INSERT_GRANT, [each | {"browser_session_id": browser["id"]} for each in grants])
    if earlier is not None:
        end(earlier.id)
    return cookie


def _living_grants_of(browser_id: str, now: datetime) -> Sequence[Grant]:
    """As they are now, not as they were when the request came."""
    own = select(Grant).where(Grant.browser_session_id == browser_id, Grant.ends_at > now).order_by(Grant.id)
    return session().scalars(own.execution_options(populate_existing=True)).all()


def end(browser_id: str) -> None:
    """Signs a browser out, on the server."""
    session().execute(delete(Grant).where(Grant.browser_session_id == browser_id))
    session().execute(delete(BrowserSession).where(BrowserSession.id == browser_id))


def end_all_of(customer_id: str) -> int:
    """Signs every browser of a customer out, and makes every link sent to them so far useless.

    Answers how many browsers that were.
    """
    hold(customer_id)
    own = select(BrowserSession.id).where(BrowserSession.customer_id == customer_id)
    session().execute(delete(Grant).where(Grant.browser_session_id.in_(own)))
    ended = session().execute(delete(BrowserSession).where(BrowserSession.customer_id == customer_id))
    session().execute(update(Customer).where(Customer.id == customer_id).values(links_valid_from=clock.now()))
    return ended.rowcount  # type: ignore[attr-defined]


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
