"""Numbers without gaps."""

from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db
from portal.db import Base, session


class Counter(Base):
    """A number that grows by one in the transaction that uses it, without gaps."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


def next_invoice_number() -> str:
    """`2026-000042`. Taken inside a transaction: if that is undone, so is the number."""
    return f"{clock.now():%Y}-{_count('invoice', 1):06d}"


def hold(name: str) -> None:
    """Whoever counts the same thing takes turns, until the end of the transaction."""
    _count(name, 0)


def _count(name: str, by: int) -> int:
    insert = db.upsert(Counter).values(name=name, value=by)
    counted = insert.on_conflict_do_update(index_elements=["name"], set_={"value": Counter.value + by})
    return session().execute(counted.returning(Counter.value)).scalar_one()
