"""Where the seller wants to be told of events: an endpoint of theirs (`url`) or an address (`email`)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class NotificationSetting(Base):
    """`secret` and `previous_secret` are sealed; the one before is signed with too until `previous_until`."""

    __tablename__ = "notification_settings"

    id: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    type: Mapped[str]
    destination: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    off_because: Mapped[str | None]
    """Why the portal switched it off by itself, if it did."""
    api_version: Mapped[int] = mapped_column(default=1)
    include_sensitive_fields: Mapped[bool] = mapped_column(default=False)
    traffic_source: Mapped[str] = mapped_column(default="platform")
    subscribed_events: Mapped[Any] = mapped_column(JSON)
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    failures_in_a_row: Mapped[int] = mapped_column(default=0)
    rests_until: Mapped[datetime | None]
    """An endpoint that does not answer is left alone for a while, so that it slows no other."""
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
