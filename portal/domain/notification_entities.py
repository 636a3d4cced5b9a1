"""Events, destinations and notifications as types, like `entities`."""

from typing import Any, Literal

from typing_extensions import TypedDict

from portal.domain.entities import EventId, Instant, NotificationId, NotificationLogId, NotificationSettingId


class Event(TypedDict):
    """`data` is the whole entity as it was after the change."""

    event_id: EventId
    event_type: str
    occurred_at: Instant
    data: dict[str, Any]


class EventType(TypedDict):
    name: str
    description: str
    group: str
    available_versions: list[int]


class NotificationSetting(TypedDict):
    id: NotificationSettingId
    description: str
    type: Literal["url", "email"]
    destination: str
    active: bool
    api_version: int
    include_sensitive_fields: bool
    subscribed_events: list[EventType]
    endpoint_secret_key: str
    traffic_source: Literal["platform", "simulation", "all"]
    off_because: str | None
    previous_secret_expires_at: Instant | None
    standard_webhook_secret: str


class NotificationPayload(Event):
    notification_id: NotificationId


class Notification(TypedDict):
    id: NotificationId
    type: str
    status: Literal["not_attempted", "needs_retry", "delivered", "failed"]
    payload: NotificationPayload
    occurred_at: Instant
    delivered_at: Instant | None
    replayed_at: Instant | None
    origin: Literal["event", "replay"]
    last_attempt_at: Instant | None
    retry_at: Instant | None
    times_attempted: int
    notification_setting_id: NotificationSettingId


class NotificationLog(TypedDict):
    id: NotificationLogId
    response_code: int
    response_content_type: str | None
    response_headers: str | None
    response_body: str
    error: str | None
    milliseconds: int
    attempted_at: Instant


class ReplayedNotification(TypedDict):
    notification_id: NotificationId
