"""Putting an app's changes on a row: only what differs counts as a change, so that asking twice records once."""

from typing import Any, TypeVar

import orjson

from portal import clock, db
from portal.db import Base, session
from portal.domain import events
from portal.domain.actors import Actor
from portal.errors import NotFound

Row = TypeVar("Row", bound=Base)


def find(mapped: type[Row], noun: str, id: str, **owner: str) -> Row:
    """One row, locked inside a transaction. Raises NotFound, alike for an unknown id and for another owner's."""
    locks = db.in_transaction()
    row = session().get(mapped, id, with_for_update=locks or None, populate_existing=locks)
    if row is None or any(getattr(row, name) != value for name, value in owner.items()):
        raise NotFound(noun, id)
    return row


def differing(row: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Those of the wanted values that the row does not have yet."""
    return {name: value for name, value in wanted.items() if _plain(getattr(row, name)) != _plain(value)}


def record(event: str, row: Any, wanted: dict[str, Any], *, by: Actor) -> None:
    """Changes the fields that differ and records the event; if none does, nothing happens."""
    changes = differing(row, wanted)
    if not changes:
        return
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated_at = clock.now()
    session().flush()
    events.record(event, row, by=by)


def _plain(value: Any) -> bytes:
    """As JSON, where true is not 1."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
