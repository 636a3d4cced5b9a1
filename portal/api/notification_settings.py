"""Destinations of events for apps: endpoints and addresses."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field
from sqlalchemy import select

from portal import destinations, email_address
from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import entities, event_types, notification_entities, notification_settings, notifications
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notification_shapes import notification_setting as shaped
from portal.errors import NotificationRefusal

_MOST_SECONDS = int(notification_settings.LONGEST_OVERLAP.total_seconds())
TrafficSource = Literal["platform", "simulation", "all"]
Description = Annotated[str, Field(min_length=1, max_length=500)]
Destination = Annotated[str, Field(min_length=1, max_length=2048)]
EventNames = Annotated[list[Literal[event_types.NAMES]], Field(min_length=1, max_length=200)]  # type: ignore[valid-type]


class Create(bodies.Body):
    description: Description
    type: Literal["url", "email"]
    destination: Destination
    subscribed_events: EventNames
    api_version: Literal[1] | None = None
    include_sensitive_fields: bool | None = None
    traffic_source: TrafficSource | None = None


class Update(bodies.Body):
    description: Description | None = None
    destination: Destination | None = None
    active: bool | None = None
    subscribed_events: EventNames | None = None
    api_version: Literal[1] | None = None
    include_sensitive_fields: bool | None = None
    traffic_source: TrafficSource | None = None


class Rotate(bodies.Body):
    overlap: Annotated[int, Field(ge=0, le=_MOST_SECONDS)] | None = None


class Settings(lists.Query):
    after: entities.NotificationSettingId | None = None
    per_page: lists.PerPage = lists.MOST
    active: catalog.Flag | None = None
    traffic_source: TrafficSource | None = None


class UrlIncorrect(NotificationRefusal):
    code = "url_notification_setting_incorrect"


@operation(
    "GET",
    "/notification-settings",
    permission="notification_setting.read",
    query=Settings,
    gives=list[notification_entities.NotificationSetting],
    example={"active": "true"},
)
def list_notification_settings(query: Any) -> Response:
    """List destinations of events."""
    wanted = select(NotificationSetting).where(NotificationSetting.deleted_at.is_(None))
    if query.active is not None:
        wanted = wanted.where(NotificationSetting.active.is_(query.active == "true"))
    if query.traffic_source is not None:
        wanted = wanted.where(NotificationSetting.traffic_source == query.traffic_source)
    page = lists.Page(query, wanted, NotificationSetting.id)
    return page.answer([shaped(each) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/notification-settings",
    permission="notification_setting.write",
    takes=Create,
    gives=notification_entities.NotificationSetting,
    status=201,
    refuses=("url_notification_setting_incorrect", "notification_maximum_active_settings_reached"),
    example={
        "description": "Our shop",
        "type": "url",
        "destination": "https://shop.example.com/webhooks",
        "subscribed_events": ["subscription.updated", "subscription.canceled"],
    },
)
def create_notification_setting(body: Create) -> notification_entities.NotificationSetting:
    """Create a destination of events.

    What happens from now on is sent there. An endpoint's URL begins with https:// and leads to a public address. The
    answer has the secret that signs what is sent (`endpoint_secret_key`), for Standard Webhooks libraries as
    `standard_webhook_secret`. At most 100 destinations may be active.
    """
    _refuse_unusable(body.type, body.destination)
    with transaction():
        notification_settings.refuse_another()
        return shaped(notification_settings.create(**_given(body), by=app_actor()))


@operation(
    "GET",
    "/notification-settings/<id>",
    permission="notification_setting.read",
    gives=notification_entities.NotificationSetting,
)
def get_notification_setting(id: str) -> notification_entities.NotificationSetting:
    """Read a destination of events."""
    return shaped(notification_settings.get(id))


@operation(
    "PATCH",
    "/notification-settings/<id>",
    permission="notification_setting.write",
    takes=Update,
    gives=notification_entities.NotificationSetting,
    refuses=("url_notification_setting_incorrect", "notification_maximum_active_settings_reached"),
    example={"active": True},
)
def update_notification_setting(id: str, body: Update) -> notification_entities.NotificationSetting:
    """Update a destination of events.

    `subscribed_events` replaces the whole list. With `active` false nothing more is sent, and what still waited is
    failed; it can be replayed. `active` true also switches on what the portal has switched off (`off_because`).
    """
    if body.destination is not None:
        _refuse_unusable(notification_settings.get(id).type, body.destination)
    with transaction():
        setting = notification_settings.get(id, lock=True)
        if body.active and not setting.active:
            notification_settings.refuse_another()
        notification_settings.update(setting, by=app_actor(), **_given(body))
        if not setting.active:
            notifications.give_up_on([setting.id])
        return shaped(setting)


@operation("DELETE", "/notification-settings/<id>", permission="notification_setting.write", status=204)
def delete_notification_setting(id: str) -> None:
    """Delete a destination of events.

    Nothing more is sent to it. What was sent can still be looked up under notifications.
    """
    with transaction():
        setting = notification_settings.get(id, lock=True)
        notification_settings.delete(setting, by=app_actor())
        notifications.give_up_on([setting.id])


@operation(
    "POST",
    "/notification-settings/<id>/rotate-secret",
    permission="notification_setting.write",
    takes=Rotate,
    gives=notification_entities.NotificationSetting,
    example={"overlap": 3600},
)
def rotate_notification_setting_secret(id: str, body: Rotate) -> notification_entities.NotificationSetting:
    """Rotate the secret of a destination.

    For `overlap` seconds (a day unless given, a week at most) deliveries are signed with both secrets, so that the
    endpoint can change over; 0 ends the old one at once.
    """
    overlap = notification_settings.DEFAULT_OVERLAP if body.overlap is None else timedelta(seconds=body.overlap)
    with transaction():
        setting = notification_settings.get(id, lock=True)
        notification_settings.rotate(setting, overlap, by=app_actor())
        return shaped(setting)


def _given(body: bodies.Body) -> dict[str, Any]:
    return {name: value for name, value in bodies.as_dict(body).items() if value is not None}


def _refuse_unusable(type: str, destination: str) -> None:
    """Asks DNS, so it stands outside of transactions."""
    try:
        if type == "url":
            destinations.check(destination)
        else:
            email_address.normalized(destination)
    except destinations.Unacceptable as why:
        raise UrlIncorrect(f"The destination can't be used: {why}. Nothing was changed.") from None
    except email_address.NoAddress:
        raise bodies.invalid_field("destination", "must be an email address") from None
