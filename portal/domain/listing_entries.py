"""The list of subscriptions as tables of its own, so that any filters with any order are one range of an index.

A subscription has an entry among all (its `part` is empty) and one for each of its products; an entry says what the
list filters and sorts by. Of a subscription that is not simply active there are also its customer's terms, by its
state, so that "called so, and pending" is one range too.

The database itself keeps both (triggers, migrations 0004 and 0005), whoever writes a subscription, its items or a
customer's terms.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base
from portal.domain.search import BYTEWISE

PENDING, ACTIVE = "pending", "active"
STATES = (ACTIVE, PENDING, "past_due", "trialing", "paused", "canceled")
"""How a subscription stands, as a person calls it: its status, or `pending` while a cancellation is scheduled."""
EVERYTHING = ""
"""The part that all subscriptions have an entry in."""
_BY = text("canceled_by IS NOT NULL")


class ListingEntry(Base):
    """Each index has all that is tried on an entry but whose it is: the table itself is read for a search only."""

    __tablename__ = "listing_entries"
    __table_args__ = (
        Index("ix_listing_entries_state", "part", "state", "subscription_id", "ends_at", "canceled_by"),
        Index("ix_listing_entries_ends", "part", "state", "ends_at", "subscription_id", "canceled_by"),
        Index(
            "ix_listing_entries_by",
            *("part", "state", "canceled_by", "subscription_id", "ends_at"),
            postgresql_where=_BY,
            sqlite_where=_BY,
        ),
        {"sqlite_with_rowid": False},
    )

    part: Mapped[str] = mapped_column(primary_key=True)
    """EVERYTHING, or a product's id."""
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str]
    """One of STATES."""
    ends_at: Mapped[datetime | None]
    """When it ends (scheduled) or ended, else when its period ends."""
    canceled_by: Mapped[str | None]
    customer_id: Mapped[str] = mapped_column(server_default="")


class ListingTerm(Base):
    """What the customer of a subscription that is not ACTIVE is found by."""

    __tablename__ = "listing_terms"
    __table_args__ = ({"sqlite_with_rowid": False},)

    state: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True)
