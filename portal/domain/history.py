"""The history of a subscription, made of the events that carry a transition (`docs/api.md`).

Each verb says with `facts` what the history tells of it: `history=[…]`, one detail for each thing that happened, made
by the functions below. Events of earlier releases have none; then it is told from the transition and the entity.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, select

from portal import ids
from portal.db import connection, table
from portal.domain import shapes
from portal.domain.events import CancellationReason, Event

SOURCES = {
    "console": "dashboard",
    "API": "api",
    "worker": "system",
    **dict.fromkeys(("email link", "portal session", "sign-in", "checkout", "portal"), "customer_portal"),
}
ACTORS = {"customer": "customer", "staff": "user", "key": "api_key"}
REASONS = {"customer": "customer_request", "staff": "seller_request", "key": "seller_request"}
_LONGEST = 5000
_EVENT = table(Event)
_WITHOUT_DATA = [column for column in _EVENT.c if column.name not in ("data", "dispatched")]
_DATA = select(_EVENT.c.id, _EVENT.c.data).where(_EVENT.c.id.in_(bindparam("ids", expanding=True)))
_REASON = table(CancellationReason)
_GIVEN = select(_REASON).where(_REASON.c.subscription_id == bindparam("id"))


def scheduled(subscription: Any, *, verb: str = "added") -> dict[str, Any]:
    """A scheduled change was added, updated or removed; told while it stands on the subscription."""
    return {
        "action": f"subscription_scheduled_change_{verb}",
        "scheduled_change": shapes.scheduled_change(subscription),
    }


def ended(effective_from: str) -> dict[str, Any]:
    return {"action": "subscription_canceled", "effective_from": effective_from}


def paused(effective_from: str) -> dict[str, Any]:
    return {"action": "subscription_paused", "effective_from": effective_from, "status": "paused"}


def resumed(on_resume: str) -> dict[str, Any]:
    return {"action": "subscription_resumed", "status": "active", "on_resume": on_resume}


def billed(action: str, subscription: Any, transaction_id: str) -> dict[str, Any]:
    """A period was billed: `action` is subscription_renewed or subscription_activated."""
    return {
        "action": action,
        "status": subscription.status,
        "first_billed_at": shapes.instant(subscription.first_billed_at),
        "next_billed_at": shapes.instant(subscription.next_billed_at),
        "current_billing_period": shapes.period(subscription.period_starts_at, subscription.period_ends_at),
        "transaction_id": transaction_id,
    }


def past_due(transaction_id: str) -> dict[str, Any]:
    return {"action": "subscription_past_due", "status": "past_due", "transaction_id": transaction_id}


def _removed(event: Any, data: dict[str, Any]) -> dict[str, Any]:
    action = "cancel" if event.transition.startswith("cancellation") else "pause"
    effective_at = data["next_billed_at"] or shapes.instant(event.occurred_at)
    return {"scheduled_change": {"action": action, "effective_at": effective_at, "resume_at": None}}


def _billed(event: Any, data: dict[str, Any]) -> dict[str, Any]:
    kept = ("status", "first_billed_at", "next_billed_at", "current_billing_period")
    return {**{name: data[name] for name in kept}, "transaction_id": None}


def _created(_event: Any, data: dict[str, Any]) -> dict[str, Any]:
    kept = ("status", "collection_mode", "billing_details", "currency_code", "current_billing_period", "custom_data")
    items = [{"price": each["price"], "quantity": each["quantity"]} for each in data["items"]]
    rest = dict.fromkeys(("customer", "address", "business", "discount", "has_payment_method"))
    return {**{name: data[name] for name in (*kept, "billing_cycle")}, "items": items, **rest}


_UNTOLD: dict[str, tuple[str, Callable[[Any, dict[str, Any]], dict[str, Any]]]] = {
    "subscribed": ("subscription_created", _created),
    "cancellation_scheduled": (
        "subscription_scheduled_change_added",
        lambda event, data: {"scheduled_change": data["scheduled_change"]},
    ),
    "cancellation_withdrawn": ("subscription_scheduled_change_removed", _removed),
    "pause_withdrawn": ("subscription_scheduled_change_removed", _removed),
    "subscription_ended": (
        "subscription_canceled",
        lambda event, data: ended("next_billing_period" if event.actor_kind == "system" else "immediately"),
    ),
    "paused": ("subscription_paused", lambda event, data: paused("next_billing_period")),
    "resumed": ("subscription_resumed", lambda event, data: resumed("start_new_billing_period")),
    "renewed": ("subscription_renewed", _billed),
    "payment_collected": ("subscription_activated", _billed),
    "payment_failed": ("subscription_past_due", lambda event, data: {"status": "past_due", "transaction_id": None}),
    "payment_method_changed": ("subscription_payment_method_updated", lambda event, data: {}),
    "payment_method_removed": ("subscription_payment_method_removed", lambda event, data: {}),
}
"""Of transitions whose events say nothing themselves: their action, and the rest of the detail from the entity."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened; those of one request have the same `event`."""

    id: str
    event: Any
    action: str
    detail: dict[str, Any] | None

    @property
    def source(self) -> str:
        return SOURCES.get(self.event.way, "unknown")

    @property
    def actor_type(self) -> str:
        return ACTORS.get(self.event.actor_kind, "system")

    @property
    def actor_id(self) -> str | None:
        return None if self.actor_type == "system" else str(self.event.actor_id)

    @property
    def reason(self) -> str | None:
        """Why it came: who asked for it, in the contract's words; or because a payment plan is completed."""
        by_whom = self.action in ("subscription_canceled", "subscription_paused", "subscription_scheduled_change_added")
        return (self.event.facts or {}).get("because") or REASONS.get(self.event.actor_kind) if by_whom else None


def events_of(subscription_id: str) -> Select[Any]:
    """The events that are its history, without their entities; a caller may narrow it."""
    mine = (_EVENT.c.subscription_id == subscription_id, _EVENT.c.transition.is_not(None))
    return select(*_WITHOUT_DATA).where(*mine).order_by(_EVENT.c.id.desc()).limit(_LONGEST)


def entries(events: Select[Any]) -> list[Entry]:
    """All that happened, oldest first, without the details that only the entity has."""
    return [entry for event in reversed(connection().execute(events).all()) for entry in _entries_of(event)]


def _entries_of(event: Any) -> Iterable[Entry]:
    told = (event.facts or {}).get("history")
    if told is None and event.transition in _UNTOLD:
        told = [None]
    for n, detail in enumerate(told or ()):
        action = detail["action"] if detail else _UNTOLD[event.transition][0]
        yield Entry(ids.later(event.id, "subhis", n), event, action, detail)


def told(page: list[Entry], subscription_id: str) -> list[dict[str, Any]]:
    """Entries as the contract's JSON, with the entity's part and with the reasons that were given; two statements."""
    untold = {each.event.id for each in page if each.detail is None}
    data = {row.id: row.data for row in connection().execute(_DATA, {"ids": list(untold)})} if untold else {}
    given = {row.event_id: row for row in connection().execute(_GIVEN, {"id": subscription_id})}
    return [_shape(each, data.get(each.event.id), given.get(each.event.id)) for each in page]


def _shape(entry: Entry, data: dict[str, Any] | None, given: Any) -> dict[str, Any]:
    event = entry.event
    facts = event.facts or {}
    reason, comment = (given.reason, given.comment) if given else (facts.get("reason"), facts.get("comment"))
    return {
        "id": entry.id,
        "group_id": ids.later(event.id, "subhisgrp", 0),
        "subscription_id": event.subscription_id,
        "occurred_at": shapes.text(event.occurred_at),
        "source": entry.source,
        "actor": {
            "type": entry.actor_type,
            "id": entry.actor_id,
            "name": event.actor_name or None,
        },
        "reason": entry.reason,
        "detail": entry.detail or {**_UNTOLD[event.transition][1](event, data or {}), "action": entry.action},
        "way": event.way,
        "cancellation": {"reason": reason, "comment": comment} if reason or comment else None,
    }
