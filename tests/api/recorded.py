"""What an app's call has left behind."""

from typing import Any

from sqlalchemy import select

from portal.db import session, transaction
from portal.domain.events import Event


def events(subject_id: str) -> list[Event]:
    """The events about one entity, oldest first."""
    with transaction():
        return list(session().scalars(select(Event).where(Event.subject_id == subject_id).order_by(Event.id)))


def types(subject_id: str) -> list[str]:
    return [each.type for each in events(subject_id)]


def stored(mapped: Any, id: str) -> Any:
    """A row as the database has it now."""
    with transaction():
        return session().get_one(mapped, id)
