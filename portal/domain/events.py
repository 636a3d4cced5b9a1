"""The outbox and the memory: every change is recorded in the transaction that makes it.

An event carries the whole entity as it is after the change (`docs/api.md`), and who changed it, when, by which
way. `transition` names what happened in our own words (`cancellation_scheduled`); the rows that carry one are the
history that customer and staff see.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import JSON, Index, insert, select, text, true
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, connection, session, table
from portal.domain import audit, shapes
from portal.domain.actors import Actor

ENDINGS = ("cancellation_scheduled", "cancellation_withdrawn", "subscription_ended")
_UNDISPATCHED = text("NOT dispatched")
IS_ENDING = "transition IN ({})".format(", ".join(f"'{each}'" for each in ENDINGS))


class Event(Base):
    __tablename__ = "events"
    __table_args__ = (
        Index(None, "subscription_id", "id"),
        Index(None, "customer_id", "id"),
        Index(None, "type", "id"),
        Index(None, "subject_id", "id"),
        Index(
            "ix_events_endings",
            "transition",
            "id",
            postgresql_where=text(IS_ENDING),
            sqlite_where=text(IS_ENDING),
        ),
        Index("ix_events_undispatched", "id", postgresql_where=_UNDISPATCHED, sqlite_where=_UNDISPATCHED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    occurred_at: Mapped[datetime]
    subject_id: Mapped[str]
    customer_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    data: Mapped[Any] = mapped_column(JSON)
    transition: Mapped[str | None]
    facts: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """What the history tells of a transition beside the entity, as plain values."""
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    way: Mapped[str]
    received_at: Mapped[datetime]
    dispatched: Mapped[bool] = mapped_column(default=False, server_default=true())
    """Whether the worker has made the notifications of it (rows of earlier releases count as done)."""


class CancellationReason(Base):
    """Why somebody canceled, if they said so; given after the fact, never erased."""

    __tablename__ = "cancellation_reasons"
    __table_args__ = (Index(None, "subscription_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str]
    event_id: Mapped[str] = mapped_column(unique=True)
    reason: Mapped[str | None]
    comment: Mapped[str | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    given_at: Mapped[datetime]


_INSERT = insert(table(Event))
_LATEST = "latest events"


def record(
    type: str,
    subject: Any,
    *,
    by: Actor,
    transition: str | None = None,
    beside: dict[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Remembers one change, as of now: an instant that it counts from stands in the entity (`canceled_at`).

    So whoever goes by (occurred_at, id) goes by the order in which things were done, also after a late worker.
    `beside` is what the event's data has beside the entity; `facts` are what the history tells of the transition,
    as plain values.
    """
    record_all(((type, subject, transition),), by=by, facts=facts or None, beside=beside or {})


def record_all(
    changes: Iterable[tuple[str, Any, str | None]],
    *,
    by: Actor,
    facts: dict[str, Any] | None = None,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Remembers many changes of one moment with one statement: (type, subject, transition) each."""
    who = {
        "occurred_at": clock.now(),
        "actor_kind": by.kind,
        "actor_id": by.id,
        "actor_name": by.name,
        "way": by.way,
        "received_at": by.received_at,
    }
    session().flush()
    shape = lru_cache(maxsize=None)(shapes.of)  # two events of one change carry the same entity
    rows = [
        {
            "id": ids.new("evt"),
            "type": type,
            "subject_id": subject.id,
            "customer_id": subject.id if type.startswith("customer.") else getattr(subject, "customer_id", None),
            "subscription_id": subject.id
            if type.startswith("subscription.")
            else getattr(subject, "subscription_id", None),
            "data": {**shape(subject), **beside},
            "transition": transition,
            "facts": facts if transition else None,
            "dispatched": False,
            **who,
        }
        for type, subject, transition in changes
    ]
    if rows:
        connection().execute(_INSERT, rows)
        session().info.setdefault(_LATEST, {}).update((each["subscription_id"], each["id"]) for each in rows)
        db.wake_workers()
    if by.kind != "system":
        why = {name: value for name, value in (facts or {}).items() if name in ("reason", "comment") and value}
        acts = (each for each in rows if each["transition"])
        audit.record_all(((each["transition"], each["subject_id"], each["customer_id"], why) for each in acts), by=by)


def latest_of(subscription_id: str) -> str | None:
    """The event that this very transaction recorded last about a subscription, if it recorded one."""
    found: str | None = session().info.get(_LATEST, {}).get(subscription_id)
    return found


def history(subscription_id: str) -> Sequence[Event]:
    """What happened to a subscription in our words, newest first."""
    return (
        session()
        .scalars(
            select(Event)
            .where(
                Event.subscription_id == subscription_id,
                Event.transition.is_not(None),
                Event.transition != "custom_data_changed",  # the seller's own notes
            )
            .order_by(Event.id.desc())
            .limit(100)
        )
        .all()
    )
