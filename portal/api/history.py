"""Apps read what happened to a subscription, by whom and why."""

from typing import Any

from flask import Response

from portal.api import bodies, lists
from portal.api.operations import operation
from portal.domain import billing_entities, history, snapshots
from portal.domain.events import Event


class History(lists.compared("occurred_at")):  # type: ignore[misc]
    after: bodies.Id | None = None
    action: bodies.Several[bodies.Part] = []
    source: bodies.Several[bodies.Part] = []
    actor_type: bodies.Several[bodies.Part] = []
    actor_id: bodies.Several[bodies.Part] = []
    reason: bodies.Several[bodies.Part] = []


@operation(
    "GET",
    "/subscriptions/<id>/history",
    permission="subscription.read",
    query=History,
    gives=list[billing_entities.HistoryEntry],
    example={"per_page": "20"},
)
def list_subscription_history(id: str, query: Any) -> Response:
    """List the history of a subscription.

    Newest first, unless ordered otherwise. What happened in one request has one `group_id`. `reason` says who asked;
    `cancellation` has the reason and the comment that were given.
    """
    snapshots.get(id)
    events = lists.within(history.events_of(id), query, occurred_at=Event.occurred_at)
    page = lists.Gathered(query, [each for each in history.entries(events) if _fits(each, query)])
    return page.answer(history.told(page.rows, id))


def _fits(entry: history.Entry, query: Any) -> bool:
    return all(
        not wanted or value in wanted
        for wanted, value in (
            (query.action, entry.action),
            (query.source, entry.source),
            (query.actor_type, entry.actor_type),
            (query.actor_id, entry.actor_id),
            (query.reason, entry.reason),
        )
    )
