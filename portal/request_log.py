"""What apps asked of the API and how it was answered, for staff who are given a request id."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class ApiRequest(Base):
    """One request; never its body, its query or its key."""

    __tablename__ = "api_requests"
    __table_args__ = (Index(None, "at"), Index(None, "key_id", "at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    method: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    milliseconds: Mapped[int]
    key_id: Mapped[str | None]
    key_name: Mapped[str | None]
    client: Mapped[str | None]
    agent: Mapped[str | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    replayed: Mapped[bool] = mapped_column(default=False)
