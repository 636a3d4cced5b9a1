"""Makes of each event that nobody has seen to yet one notification for every destination that asked for its type.

A destination hears of what happens from its creation on.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, not_, select, update

from portal import ids
from portal.db import connection, session, table
from portal.domain import mails, notifications
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification

_OPEN = select(Event.id, Event.type).where(not_(Event.dispatched)).order_by(Event.id)


def any_open() -> bool:
    return session().execute(_OPEN.limit(1)).first() is not None


def carry_out(limit: int) -> int:
    """A batch in the order of the events, under their locks; answers how many there were.

    Who comes second waits and finds nothing left: were it to go on with later events, these would be sent first.
    """
    events = session().execute(_OPEN.limit(limit).with_for_update()).all()
    if not events:
        return 0
    hearing = _hearing()
    since = {setting.id: ids.earliest("evt", setting.created_at) for setting in hearing}
    wanted = [
        (setting, id)
        for id, type in events
        for setting in hearing
        if type in setting.subscribed_events and id >= since[setting.id]
    ]
    rows = [notifications.row(setting, event_id) for setting, event_id in wanted]
    if rows:
        connection().execute(insert(table(Notification)), rows)
    by_mail = [
        (setting.destination, row) for (setting, _), row in zip(wanted, rows, strict=True) if row["run_at"] is None
    ]
    if by_mail:
        _send(by_mail)
    _mark([id for id, _ in events])
    return len(events)


def _hearing() -> Sequence[NotificationSetting]:
    setting = NotificationSetting
    heard = setting.active.is_(True), setting.deleted_at.is_(None), setting.traffic_source.in_(("platform", "all"))
    return session().scalars(select(setting).where(*heard).order_by(setting.id)).all()


def _send(by_mail: list[tuple[str, dict[str, Any]]]) -> None:
    told = {row["event_id"] for _, row in by_mail}
    known = {event.id: event for event in session().scalars(select(Event).where(Event.id.in_(told)))}
    mails.send_events([(to, row["id"], known[row["event_id"]]) for to, row in by_mail])


def _mark(event_ids: list[str]) -> None:
    session().execute(
        update(Event)
        .where(Event.id.in_(event_ids))
        .values(dispatched=True)
        .execution_options(synchronize_session=False)
    )
