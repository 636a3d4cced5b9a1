"""The audit record: who did what, when, by which way. The database itself refuses to change or delete a row of it.

Every act of staff, of the commands of the shell, and every change that a customer or an app makes to a subscription
stands here; what the portal does by itself stands in the history (events.py).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, func, insert, select
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


def find(
    *,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
    limit: int,
) -> Sequence[Any]:
    """Entries, newest first: of somebody, of a kind (`staff.` finds all that begin so), about something, in a time.

    `subject` is an id: of what it happened to, or of its customer. `before` is the last entry seen already.
    """
    row = table(AuditEntry).c
    wanted = select(table(AuditEntry)).order_by(row.id.desc()).limit(limit)
    if actor is not None:
        wanted = wanted.where(row.actor_id == actor)
    if action is not None:
        is_group = action.endswith(".")
        wanted = wanted.where(row.action.startswith(action, autoescape=True) if is_group else row.action == action)
    if subject is not None:
        wanted = wanted.where(row.customer_id == subject if subject.startswith("ctm_") else row.subject_id == subject)
    if since is not None:
        wanted = wanted.where(row.id >= ids.earliest("aud", since))
    if until is not None:
        wanted = wanted.where(row.id < ids.earliest("aud", until))
    if before is not None:
        wanted = wanted.where(row.id < before)
    return connection().execute(wanted).all()


def actions() -> Sequence[str]:
    """Every kind of act on record: the index is read by jumps from one to the next, however many entries there are."""
    row = table(AuditEntry).c
    jump = select(func.min(row.action).label("action")).cte("kinds", recursive=True)
    following = select(func.min(row.action)).where(row.action > jump.c.action).scalar_subquery()
    kinds = jump.union_all(select(following).where(jump.c.action.is_not(None)))
    return connection().scalars(select(kinds.c.action).where(kinds.c.action.is_not(None))).all()
