"""What has happened, for apps that ask instead of being told."""

from typing import Annotated, Any

from flask import Response
from pydantic import Field
from sqlalchemy import or_, select

from portal import ids
from portal.api import bodies, lists
from portal.api.operations import operation
from portal.db import connection, table
from portal.domain import entities, event_types, notification_entities, notification_shapes
from portal.domain.events import Event

_EVENT = table(Event)
_SHOWN = (_EVENT.c.id, _EVENT.c.type, _EVENT.c.occurred_at, _EVENT.c.data)


class Span(lists.Query):
    """Events of some time, about something."""

    filter: bodies.Id | None = None
    from_: Annotated[bodies.Bound | None, Field(alias="from")] = None
    to: bodies.Bound | None = None


class Events(Span):
    after: entities.EventId | None = None
    event_type: bodies.Several[bodies.Part] = []


@operation(
    "GET",
    "/events",
    permission="notification.read",
    query=Events,
    gives=list[notification_entities.Event],
    example={"event_type": "subscription.canceled", "per_page": "10"},
)
def list_events(query: Any) -> Response:
    """List events.

    The same as webhooks carry, without a notification's id, whether or not a destination is set up. `filter` is the id
    of a customer, subscription, transaction or any other entity; `from` and `to` are compared with `occurred_at`.
    """
    wanted = spanned(select(Event), query)
    if query.event_type:
        wanted = wanted.where(Event.type.in_(query.event_type))
    page = lists.Page(query, wanted, Event.id)
    rows = connection().execute(page.statement().with_only_columns(*_SHOWN))
    return page.answer([notification_shapes.event(each) for each in rows])


@operation("GET", "/event-types", permission=None, gives=list[notification_entities.EventType])
def list_event_types() -> list[notification_entities.EventType]:
    """List types of events.

    All that this portal records; not split into pages.
    """
    return [notification_shapes.event_type(name) for name in event_types.NAMES]


def spanned(wanted: Any, query: Span) -> Any:
    """What `filter`, `from` and `to` leave."""
    if query.filter is not None:
        about = Event.subject_id, Event.customer_id, Event.subscription_id
        wanted = wanted.where(or_(*(column == query.filter for column in about)))
    if query.from_ is not None:
        # Nothing is recorded before it has occurred, so the ids before that moment need not be looked at.
        wanted = wanted.where(Event.occurred_at >= query.from_, Event.id >= ids.earliest("evt", query.from_))
    if query.to is not None:
        wanted = wanted.where(Event.occurred_at <= query.to)
    return wanted
