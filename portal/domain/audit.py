"""The audit record: who did what, when, by which way. The database itself refuses to change or delete a row of it.

Every act of staff, of the commands of the shell, and every change that a customer or an app makes to a subscription
stands here; what the portal does by itself stands in the history (events.py).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, insert
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, table
from portal.domain.actors import Actor


class AuditEntry(Base):
    """`action` is what happened, such as `staff.added` or `cancellation_scheduled`; `subject_id` what it happened to.

    `facts` are plain values: old and new, and never a token, a key or a secret.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index(None, "action", "id"),
        Index(None, "actor_id", "id"),
        Index(None, "subject_id", "id"),
        Index(None, "customer_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    way: Mapped[str]
    subject_id: Mapped[str | None]
    customer_id: Mapped[str | None]
    facts: Mapped[Any] = mapped_column(JSON)


_INSERT = insert(table(AuditEntry))


def record(action: str, *, by: Actor, subject: str | None = None, customer_id: str | None = None, **facts: Any) -> None:
    """Writes one act down, in the transaction that does it."""
    record_all(((action, subject, customer_id, facts),), by=by)


def record_all(acts: Iterable[tuple[str, str | None, str | None, dict[str, Any]]], *, by: Actor) -> None:
    """Writes many acts of one moment down with one statement: (action, subject, customer, facts) each."""
    rows = [
        {
            "id": ids.new("aud"),
            "at": clock.now(),
            "action": action,
            "actor_kind": by.kind,
            "actor_id": by.id,
            "actor_name": by.name,
            "way": by.way,
            "subject_id": subject,
            "customer_id": customer_id,
            "facts": facts,
        }
        for action, subject, customer_id, facts in acts
    ]
    if rows:
        connection().execute(_INSERT, rows)
