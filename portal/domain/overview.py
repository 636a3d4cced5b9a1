"""The figures of the payments overview, computed by the worker, so that no page counts a million rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class Overview(Base):
    """One row: the figures as of `computed_at`, as plain values."""

    __tablename__ = "overviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any] = mapped_column(JSON)
    computed_at: Mapped[datetime]
