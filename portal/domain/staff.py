"""The seller's people."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, session


class StaffMember(Base):
    __tablename__ = "staff"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


def add(email: str) -> StaffMember:
    """Adds somebody who may use the console and is told what needs a person; asked twice, added once."""
    key = email.strip().casefold()
    member = session().scalar(select(StaffMember).where(StaffMember.email == key))
    if member is None:
        member = StaffMember(id=ids.new("stf"), email=key, created_at=clock.now())
        session().add(member)
    return member


def addresses() -> Sequence[str]:
    return session().scalars(select(StaffMember.email).order_by(StaffMember.id)).all()
