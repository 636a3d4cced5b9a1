"""Notifications for apps: what was sent to which destination, what came back, and sending it again."""

from typing import Any, Literal

from flask import Response
from pydantic import Field
from sqlalchemy import or_, select

from portal.access import app_actor
from portal.api import bodies, events, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import entities, notification_entities, notifications
from portal.domain.events import Event
from portal.domain.notification_shapes import notification, notification_log
from portal.domain.notifications import Notification, NotificationLog


class Notifications(events.Span):
    after: entities.NotificationId | None = None
    notification_setting_id: bodies.Several[bodies.Part] = []
    search: str | None = Field(None, min_length=1, max_length=200)
    status: bodies.Several[Literal["not_attempted", "needs_retry", "delivered", "failed"]] = []


class Logs(lists.Query):
    after: entities.NotificationLogId | None = None


@operation(
    "GET",
    "/notifications",
    permission="notification.read",
    query=Notifications,
    gives=list[notification_entities.Notification],
    example={"status": "failed,needs_retry"},
)
def list_notifications(query: Any) -> Response:
    """List notifications.

    Of the last 90 days. `search` is the id of a notification or event, or part of an event's type; `from` and `to` are
    compared with the event's `occurred_at`.
    """
    known = select(Notification, Event).join(Event, Event.id == Notification.event_id)
    wanted = events.spanned(known.where(Notification.id >= notifications.first_recent()), query)
    if query.notification_setting_id:
        wanted = wanted.where(Notification.setting_id.in_(query.notification_setting_id))
    if query.status:
        wanted = wanted.where(Notification.status.in_(query.status))
    if query.search:
        by_type = Event.type.contains(query.search, autoescape=True)
        wanted = wanted.where(or_(Notification.id == query.search, Event.id == query.search, by_type))
    page = lists.Page(query, wanted, Notification.id)
    return page.answer([notification(row, event) for row, event in session().execute(page.statement())])


@operation("GET", "/notifications/<id>", permission="notification.read", gives=notification_entities.Notification)
def get_notification(id: str) -> notification_entities.Notification:
    """Read a notification."""
    return notification(*notifications.recent(id))


@operation(
    "GET",
    "/notifications/<id>/logs",
    permission="notification.read",
    query=Logs,
    gives=list[notification_entities.NotificationLog],
    example={"per_page": "10"},
)
def list_notification_logs(id: str, query: Any) -> Response:
    """List the attempts of a notification.

    `response_code` is 0 where nobody answered; `error` then says why. The first 2 KB of an answer are kept. Mails have
    none; `status` and `times_attempted` of the notification say what became of them.
    """
    row, _ = notifications.recent(id)
    wanted = select(NotificationLog).where(NotificationLog.notification_id == row.id)
    page = lists.Page(query, wanted, NotificationLog.id)
    return page.answer([notification_log(each) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/notifications/<id>/replay",
    permission="notification.write",
    gives=notification_entities.ReplayedNotification,
    status=202,
    refuses=("notification_cannot_replay", "notification_replay_invalid_origin_type"),
)
def replay_notification(id: str) -> notification_entities.ReplayedNotification:
    """Replay a notification.

    Sends the same event again, as a new notification with the same `event_id`. It must be delivered or failed, and
    must not be a replay itself.
    """
    with transaction():
        known, _ = notifications.recent(id)
        return {"notification_id": notifications.replay(known.id, by=app_actor()).id}
