"""Ending a subscription: at the period's end, now, not after all, and when its instant has come.

    asked by     at_period_end                                  now                  withdraw
    customer     always; past due and inside the lock too       never                its own, until the instant
    staff        always                                         yes                  any, until the instant
    app (key)    refused: canceled, past due, change pending,   with permission      refused: canceled, past due,
                 locked for renewal; paused ends at once        (the door checks)    locked for renewal

Each verb is guard → change → record, under the row's lock. Rules: `docs/rules.md`
"""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from portal import clock, db, ids
from portal.db import session
from portal.domain import charges, events, history, mails, snapshots, staff, subscriptions, transactions
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import CANCEL, Subscription
from portal.errors import (
    Changed,
    ChangePending,
    ScheduledByOthers,
    TooLateToKeep,
)

REASONS = ("too_expensive", "unused", "missing_features", "switched", "technical", "temporary", "other")
LONGEST_COMMENT = 2000
GRACE = timedelta(seconds=5)
"""How long past its instant an end is carried out: longer than a request waits for the row on a busy machine."""


def at_period_end(
    subscription: Subscription, *, by: Actor, reason: str | None = None, comment: str | None = None
) -> None:
    """Schedules the end for the end of the paid period; asked twice, it is recorded once.

    A paused subscription with nothing left to run out ends at once. Raises AlreadyCanceled; for apps also PastDue,
    ChangePending, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    subscription.refuse_apps(by)
    _refuse_apps_while_pending(subscription, by)
    if subscription.is_ending:
        return
    _refuse_overtaken(subscription, by)
    subscription.cancellation = _why(reason, comment)
    if subscription.has_run_out(by.received_at) or (subscription.status == "paused" and by.kind == "key"):
        _end(subscription, at=by.received_at, by=by)
        return
    subscription.schedule(CANCEL, at=subscription.paid_until, by=by)
    told = {"history": [history.scheduled(subscription)], **(_why(reason, comment) or {})}
    events.record("subscription.updated", subscription, by=by, transition="cancellation_scheduled", **told)
    mails.tell("cancellation_scheduled", subscription, received_at=by.received_at, asked_by=by.kind)
    if subscription.ends_at is None:
        mails.tell_staff("end_date_missing", subscription, staff.addresses(), received_at=by.received_at)


def now(subscription: Subscription, *, by: Actor, reason: str | None = None, comment: str | None = None) -> None:
    """Ends it at this instant: no refund, no credit, and no further attempt to collect what is unpaid.

    For staff, and for apps whose key may; never for customers. Raises AlreadyCanceled.
    """
    subscription.refuse_if_canceled()
    if by.kind == "customer":
        raise ValueError("a customer ends a subscription at its period's end only")
    for debt in transactions.open_of(subscription.id):
        transactions.cancel(debt, by=by)
    subscription.cancellation = _why(reason, comment) or subscription.cancellation
    _end(subscription, at=clock.now(), by=by)


def withdraw(subscription: Subscription, *, by: Actor) -> bool:
    """Takes a scheduled end back; payments go on at the instant they were planned for. False: nothing to withdraw.

    Raises AlreadyCanceled; TooLateToKeep once the instant has come; ScheduledByOthers if a customer would undo what
    staff or an app scheduled; for apps also PastDue, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    if not subscription.is_ending:
        return False
    if by.kind == "customer" and subscription.scheduled_by != "customer":
        raise ScheduledByOthers("The seller scheduled this end; only they can take it back.")
    if subscription.ends_at is not None and by.received_at >= subscription.ends_at:
        raise TooLateToKeep("The subscription has reached its end. It can't be kept any more.")
    subscription.refuse_apps(by)
    told = [history.scheduled(subscription, verb="removed")]
    subscription.unschedule()
    subscription.cancellation = None
    events.record("subscription.updated", subscription, by=by, transition="cancellation_withdrawn", history=told)
    mails.tell("cancellation_withdrawn", subscription, received_at=by.received_at)
    return True


def due(limit: int) -> Sequence[str]:
    """The ids of what there is to end."""
    return subscriptions.ids_where(*_is_due(), first=Subscription.scheduled_effective_at, limit=limit)


def carry_out(limit: int, only: str | None = None) -> int:
    """Ends up to `limit` subscriptions (or `only` one) whose instant has come, as one batch; answers how many.

    It waits GRACE, so that who changed their mind in time is in time. Rows another worker holds are passed over.
    What was promised counts: `canceled_at` is the scheduled instant.
    """
    effective_at = Subscription.scheduled_effective_at
    mine = subscriptions.lock(*_is_due(), *subscriptions.just(only), first=effective_at, limit=limit)
    ending_now = snapshots.whole(select(Subscription).where(*mine).order_by(effective_at))
    if ending_now:
        values = _ended(at=effective_at) | {"version": Subscription.version + 1}
        ending = update(Subscription).where(Subscription.id.in_([each.id for each in ending_now])).values(values)
        session().execute(ending.execution_options(synchronize_session=False))
        charges.forgive(each.id for each in ending_now)
        indebted = {each.id for each in ending_now if each.status == "past_due"}
        for each in ending_now:
            each.become(_ended(at=each.scheduled_effective_at))
        _tell(ending_now, by=system(), indebted=indebted, told={"history": [history.ended("next_billing_period")]})
    return len(ending_now)


def exhausted(subscription: Subscription) -> None:
    """Ends a subscription whose last attempt to collect a payment has failed."""
    _end(subscription, at=clock.now(), by=system(), because="payment_failed")


def give_reason(subscription: Subscription, *, reason: str | None, comment: str | None, by: Actor) -> bool:
    """Keeps why somebody canceled, beside the cancellation it belongs to; one answer each.

    False: nothing was said, or there is no cancellation it could belong to.
    """
    reason = reason if reason in REASONS else None
    comment = (comment or "").replace("\x00", "").strip()[:LONGEST_COMMENT] or None
    scheduled = next((e for e in events.history(subscription.id) if e.transition == "cancellation_scheduled"), None)
    if scheduled is None or (reason is None and comment is None):
        return False
    if subscription.cancellation is None and subscription.is_ending:
        subscription.cancellation = _why(reason, comment)
    session().execute(
        db.insert_unless_there(events.CancellationReason).values(
            id=ids.new("rsn"),
            subscription_id=subscription.id,
            event_id=scheduled.id,
            reason=reason,
            comment=comment,
            actor_kind=by.kind,
            actor_id=by.id,
            given_at=by.received_at,
        )
    )
    return True


def _why(reason: str | None, comment: str | None) -> dict[str, Any] | None:
    return {"reason": reason, "comment": comment} if reason or comment else None


def _end(subscription: Subscription, *, at: datetime, by: Actor, because: str = "") -> None:
    """Ends one subscription at an instant."""
    for name, value in _ended(at=at).items():
        setattr(subscription, name, value)
    charges.forgive((subscription.id,))
    told = {"history": [history.ended("immediately")], **(subscription.cancellation or {})}
    _tell((subscription,), by=by, because=because, told=told)


def _is_due() -> tuple[Any, ...]:
    come = Subscription.scheduled_effective_at <= clock.now() - GRACE
    return Subscription.scheduled_action == CANCEL, come, transactions.has_no_change_under_way(Subscription.id)


def _ended(*, at: Any) -> dict[str, Any]:
    """What ending changes on a row; `at` is the instant, or the column that holds it."""
    nothing_left = (
        *("period_starts_at", "period_ends_at", "next_billed_at", "remind_at", "billing_resumes_at"),
        *("scheduled_action", "scheduled_effective_at", "scheduled_resume_at", "scheduled_at", "scheduled_by"),
        *("on_resume", "kept_period_starts_at", "kept_period_ends_at"),
    )
    return {"status": "canceled", "canceled_at": at, "updated_at": clock.now(), **dict.fromkeys(nothing_left)}


def _tell(
    ended: Sequence[Any],
    *,
    by: Actor,
    told: dict[str, Any],
    because: str = "",
    indebted: Set[str] = frozenset(),
) -> None:
    """Records and mails that subscriptions have ended; two statements, however many."""
    events.record_all(
        (
            (type, subscription, transition)
            for subscription in ended
            for type, transition in (("subscription.updated", None), ("subscription.canceled", "subscription_ended"))
        ),
        by=by,
        facts=told,
    )
    mails.tell_all(
        (
            "subscription_ended",
            subscription,
            f"ended:{subscription.id}",
            {"because": because, "debt_remains": subscription.id in indebted},
        )
        for subscription in ended
    )


def _refuse_overtaken(subscription: Subscription, by: Actor) -> None:
    """An honest answer to a request that was held up for longer than a renewal waits for it."""
    began = subscription.period_starts_at
    if began is not None and by.received_at < began <= clock.now():
        raise Changed("It was renewed while the request was on its way. Nothing was recorded. Look at it again.")


def _refuse_apps_while_pending(subscription: Subscription, by: Actor) -> None:
    if by.kind == "key" and subscription.scheduled_action:
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled already. Nothing was changed.")
