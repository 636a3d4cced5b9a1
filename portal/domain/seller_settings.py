"""What the seller has set in the console; it goes before what the environment says."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class SellerSetting(Base):
    """`name` is a field of config.Config, `value` as its variable would be written."""

    __tablename__ = "seller_settings"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class SellerFile(Base):
    """A file the seller uploaded, such as the logo."""

    __tablename__ = "seller_files"

    name: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime]
