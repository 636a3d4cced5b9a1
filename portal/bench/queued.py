"""The rows behind the webhooks of a measurement: destinations, events, what is queued for them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from portal import clock, db
from portal.db import session, transaction
from portal.domain import events, notification_settings, snapshots
from portal.domain.actors import shell, system
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification, NotificationLog
from portal.domain.subscriptions import Subscription
from portal.outbox import errands

_TYPE = "subscription.updated"
_MOST_SUBSCRIPTIONS = 500
_LONGEST = 180


def destinations(urls: Sequence[str]) -> None:
    """These and no others, with nothing to be told yet."""
    forget()
    with transaction():
        for url in urls:
            notification_settings.create(
                type="url", description="bench", destination=url, subscribed_events=[_TYPE], by=shell()
            )


def forget() -> None:
    """Takes away what the measurements have left."""
    with transaction():
        for table in (NotificationLog, Notification, NotificationSetting, Event):
            session().execute(delete(table))


def happen(count: int) -> None:
    """Records so many events in one transaction, of as many subscriptions as there are."""
    with transaction():
        found = snapshots.whole(select(Subscription).order_by(Subscription.id).limit(min(count, _MOST_SUBSCRIPTIONS)))
        changes = [(_TYPE, found[n % len(found)], None) for n in range(count)]
        events.record_all(changes, by=system())


def newest() -> str:
    try:
        return session().scalars(select(Event.id).order_by(Event.id.desc()).limit(1)).one()
    finally:
        db.close()


def bodies() -> list[bytes]:
    """What will be sent for what is queued."""
    wanted = select(Notification.id, Event).join(Event, Event.id == Notification.event_id)
    found = [
        errands.payload(errands.Parcel(id, event.id, event.type, event.occurred_at, event.data, 0))
        for id, event in session().execute(wanted.order_by(Notification.id))
    ]
    db.close()
    return found


def queue_again() -> None:
    """Everything is due as it was before the first attempt."""
    fresh = {"status": "not_attempted", "times_attempted": 0, "last_attempt_at": None, "delivered_at": None}
    with transaction():
        session().execute(delete(NotificationLog))
        session().execute(update(Notification).values(run_at=clock.now(), **fresh))


def wait_until_written() -> None:
    """Until the outcome of every delivery stands in the database."""
    _wait_until_none(lambda: select(Notification.id).where(Notification.run_at.is_not(None)))


def let_rest() -> None:
    """Gives up on what hangs, waits until nobody is in hand, and forgets how the endpoints did."""
    with transaction():
        session().execute(update(Notification).values(run_at=None))
    _wait_until_none(lambda: select(NotificationSetting.id).where(NotificationSetting.lease_until > clock.now()))
    with transaction():
        session().execute(update(NotificationSetting).values(failing_since=None, failures_in_a_row=0, rests_until=None))


def _wait_until_none(wanted: Callable[[], Select[Any]]) -> None:
    """Raises RuntimeError if there still is one after a while."""
    deadline = time.monotonic() + _LONGEST
    while session().scalar(select(func.count()).select_from(wanted().subquery())):
        db.close()
        if time.monotonic() > deadline:
            raise RuntimeError("the worker did not finish what was in hand")
        time.sleep(0.05)
    db.close()
