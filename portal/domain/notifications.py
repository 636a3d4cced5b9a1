"""One event on its way to one destination: attempts, what was answered, when it is tried again, replay.

not_attempted → delivered
not_attempted → needs_retry → delivered | failed
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base

_WAITING = text("run_at IS NOT NULL")


class Notification(Base):
    """`run_at` is when it is due; none once it is delivered or given up."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index(
            "ix_notifications_due",
            "setting_id",
            "run_at",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(None, "setting_id", "id"),
        Index(None, "event_id"),
        Index(None, "status", "id"),
        Index(None, "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    setting_id: Mapped[str] = mapped_column(ForeignKey("notification_settings.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"))
    status: Mapped[str] = mapped_column(default="not_attempted")
    origin: Mapped[str] = mapped_column(default="event")
    times_attempted: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    replayed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class NotificationLog(Base):
    """One attempt. `response_code` is 0 where nobody answered; `error` then says why."""

    __tablename__ = "notification_logs"
    __table_args__ = (Index(None, "notification_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    notification_id: Mapped[str] = mapped_column(ForeignKey("notifications.id", ondelete="CASCADE"))
    response_code: Mapped[int]
    response_content_type: Mapped[str | None]
    response_headers: Mapped[str | None]
    response_body: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
    milliseconds: Mapped[int]
    attempted_at: Mapped[datetime]
