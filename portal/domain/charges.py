"""What waits for the next bill of a subscription: one-time charges, and the cost or credit of changes in mid-period."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base

_WAITING = text("settled_at IS NULL")


class PendingCharge(Base):
    """`line` is a line of a transaction; a negative `amount` (minor units) is credit.

    Settled either by `transaction_id`, the bill it went into, or without one: forgiven at the cancellation.
    """

    __tablename__ = "pending_charges"
    __table_args__ = (
        Index("ix_pending_charges_waiting", "subscription_id", postgresql_where=_WAITING, sqlite_where=_WAITING),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    transaction_id: Mapped[str | None]
