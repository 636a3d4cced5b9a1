"""Destinations and events for tests of webhooks."""

from typing import Any

from sqlalchemy import select

from portal import worker
from portal.db import session, transaction
from portal.domain import events, notification_settings, subscriptions
from portal.domain.actors import shell, system
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification, NotificationLog
from tests import people


def destination(url: str, *types: str, type: str = "url", **more: Any) -> str:
    """An endpoint that is told of all that happens to subscriptions, unless other types are named; gives its id."""
    with transaction():
        made = notification_settings.create(
            type=type,
            description="Our shop",
            destination=url,
            subscribed_events=types or ("subscription.updated", "subscription.canceled"),
            by=shell(),
            **more,
        )
        return made.id


def happen(count: int = 1, type: str = "subscription.updated", sub: str | None = None) -> list[str]:
    """Something happens to a subscription so many times; gives the events' ids."""
    sub = sub or people.subscription(people.customer())
    with transaction():
        for _ in range(count):
            events.record(type, subscriptions.get(sub), by=system())
    with transaction():
        return list(session().scalars(select(Event.id).order_by(Event.id.desc()).limit(count)))[::-1]


def work() -> None:
    """All that is due now is sent."""
    while worker.events() or worker.webhooks():
        pass


def setting(id: str) -> NotificationSetting:
    with transaction():
        return session().get_one(NotificationSetting, id)


def secret(id: str) -> str:
    return notification_settings.secret_of(setting(id))


def notes(setting_id: str | None = None) -> list[Notification]:
    """The notifications (of one destination) in the order they were made."""
    wanted = select(Notification).order_by(Notification.id)
    if setting_id:
        wanted = wanted.where(Notification.setting_id == setting_id)
    with transaction():
        return list(session().scalars(wanted))


def note(setting_id: str | None = None) -> Notification:
    (only,) = notes(setting_id)
    return only


def logs() -> list[NotificationLog]:
    with transaction():
        return list(session().scalars(select(NotificationLog).order_by(NotificationLog.id)))


def touch(id: str, **fields: Any) -> None:
    """Puts values into a destination's row."""
    with transaction():
        row = session().get_one(NotificationSetting, id)
        for name, value in fields.items():
            setattr(row, name, value)
