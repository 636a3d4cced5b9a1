"""Ending a subscription: at the period's end, now, not after all, and when its instant has come.

    asked by     at_period_end                                  on     now                  withdraw
    customer     always; past due and inside the lock too       never  never                its own, until the instant
    staff        always                                         yes    yes                  any, until the instant
    app (key)    refused: canceled, past due, change pending,   never  with permission      refused: canceled, past due,
                 locked for renewal; paused ends at once               (the door checks)    locked for renewal

An end that stands may be moved: by staff to any date, by its customer to an earlier one. It stays whose it was.
Each verb is guard → change → record, under the row's lock. Rules: `docs/rules.md`
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from sqlalchemy import or_, select, update

from portal import clock, config, db, ids
from portal.db import session
from portal.domain import (
    charges,
    debts,
    ending,
    events,
    history,
    mails,
    payment_plans,
    snapshots,
    staff,
    subscriptions,
    transactions,
)
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import CANCEL, RENEWING, RESUME, Subscription
from portal.errors import (
    Changed,
    ChangePending,
    InvalidField,
    ScheduledByOthers,
    TooLateToKeep,
)

SCHEDULED, MOVED = "cancellation_scheduled", "cancellation_moved"
REASONS = ("too_expensive", "unused", "missing_features", "switched", "technical", "temporary", "other")
LONGEST_COMMENT = 2000
FARTHEST = relativedelta(years=5)
"""How far ahead staff may choose the end."""
GRACE = timedelta(seconds=5)
"""How long past its instant an end is carried out: longer than a request waits for the row on a busy machine."""


def at_period_end(
    subscription: Subscription,
    *,
    by: Actor,
    reason: str | None = None,
    comment: str | None = None,
    tell: bool = True,
) -> None:
    """Schedules the end for the end of the paid period; asked twice, it is recorded once.

    A paused subscription with nothing left to run out ends at once. `tell`: whether the customer is mailed. Raises
    AlreadyCanceled; for staff TooLateToKeep, for apps PastDue, ChangePending, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    subscription.refuse_apps(by)
    _refuse_apps_while_pending(subscription, by)
    if subscription.is_ending and not _moves(subscription, by):
        return
    payment_plans.refuse_customer(subscription, by)
    _refuse_overtaken(subscription, by)
    if subscription.has_run_out(by.received_at) or (subscription.status == "paused" and by.kind == "key"):
        _end(subscription, at=by.received_at, by=by, why=_why(reason, comment), tell=tell)
        return
    _schedule(subscription, subscription.paid_until, by=by, why=_why(reason, comment), tell=tell)


def on(
    subscription: Subscription,
    at: datetime,
    *,
    by: Actor,
    reason: str | None = None,
    comment: str | None = None,
    tell: bool = True,
) -> None:
    """Schedules the end for an instant, or moves the end that stands; asked twice, it is recorded once.

    Within the paid period nothing more is charged. Beyond it payments go on until then, and the last one pays for its
    part of a period (next_period.py). For staff only. Raises AlreadyCanceled, TooLateToKeep, Changed; InvalidField for
    an instant that has passed, is more than five years ahead, or comes after a payment plan has ended by itself.
    """
    subscription.refuse_if_canceled()
    if by.kind != "staff":
        raise ValueError("only staff end a subscription on a date")
    _refuse_ended(subscription, by)
    refuse_instant(subscription, at, by)
    if subscription.is_ending and subscription.ends_at == at:
        return
    _refuse_overtaken(subscription, by)
    _schedule(subscription, at, by=by, why=_why(reason, comment), tell=tell)


def now(
    subscription: Subscription,
    *,
    by: Actor,
    reason: str | None = None,
    comment: str | None = None,
    tell: bool = True,
) -> None:
    """Ends it at this instant: no refund, no credit, and no further attempt to collect what is unpaid.

    For staff, and for apps whose key may; never for customers. Raises AlreadyCanceled, PaymentUnderWay.
    """
    subscription.refuse_if_canceled()
    if by.kind == "customer":
        raise ValueError("a customer ends a subscription at its period's end only")
    for debt in debts.of(subscription.id):
        transactions.cancel(debt, by=by)
    _end(subscription, at=clock.now(), by=by, why=_why(reason, comment), tell=tell)


def withdraw(subscription: Subscription, *, by: Actor, tell: bool = True) -> bool:
    """Takes a scheduled end back; payments go on at the instant they were planned for. False: nothing to withdraw.

    If that end has cut the current period, the rest of it follows, and costs what of its price was not billed.

    Raises AlreadyCanceled; TooLateToKeep once the instant has come; ScheduledByOthers if a customer would undo what
    staff or an app scheduled; for apps also PastDue, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    if not subscription.is_ending:
        return False
    refuse_withdrawal(subscription, by=by)
    told = [history.scheduled(subscription, verb="removed")]
    subscription.unschedule()
    subscription.cancellation = None
    events.record(
        "subscription.updated", subscription, by=by, transition="cancellation_withdrawn", history=told, **_untold(tell)
    )
    if tell:
        facts = {"received_at": by.received_at, **ending.told_next(subscription)}
        mails.tell("cancellation_withdrawn", subscription, **facts)
    return True


def refuse_withdrawal(subscription: Any, *, by: Actor) -> None:
    """Raises what `withdraw` raises of an end, or another change, that is scheduled."""
    payment_plans.refuse_completed(subscription)
    if by.kind == "customer" and subscription.scheduled_by != "customer":
        raise ScheduledByOthers("The seller scheduled this end; only they can take it back.")
    if subscription.ends_at is not None and by.received_at >= subscription.ends_at:
        raise TooLateToKeep("The subscription has reached its end. It can't be kept any more.")
    subscription.refuse_apps(by)


def refuse_instant(subscription: Subscription, at: datetime, by: Actor) -> None:
    """Raises InvalidField where staff can't choose an instant as the end."""
    if at <= by.received_at:
        raise InvalidField("date", "has passed; choose a later one, or cancel now")
    if at > by.received_at + FARTHEST:
        raise InvalidField("date", "must be within five years")
    plan_ends_at = ending.plan_ends_at(subscription)
    if plan_ends_at is not None and at > plan_ends_at:
        raise InvalidField("date", "comes after the payment plan has ended by itself; choose an earlier one")


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
        owed = debts.of_each(each.id for each in ending_now)
        for each in ending_now:
            each.become(_ended(at=each.scheduled_effective_at))
        for some, told in payment_plans.apart(ending_now, {"history": [history.ended("next_billing_period")]}):
            _tell(some, by=system(), owed=owed, told=told, because=told.get("because", ""))
    return len(ending_now)


def exhausted(subscription: Subscription) -> None:
    """Ends a subscription whose last attempt to collect a payment has failed."""
    _end(subscription, at=clock.now(), by=system(), because="payment_failed")


def give_reason(subscription: Subscription, *, reason: str | None, comment: str | None, by: Actor) -> bool:
    """Keeps why somebody canceled, beside the cancellation it belongs to; one answer each.

    False: nothing was said, or there is no cancellation it could belong to.
    """
    reason = reason if reason in {*REASONS, *config.current().cancel_reasons} else None
    comment = (comment or "").replace("\x00", "").strip()[:LONGEST_COMMENT] or None
    scheduled = next((e for e in events.history(subscription.id) if e.transition == SCHEDULED), None)
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


def _schedule(
    subscription: Subscription, at: datetime | None, *, by: Actor, why: dict[str, Any] | None, tell: bool
) -> None:
    """Schedules an end, or moves the one that stands. What staff move is no new cancellation."""
    moved, whose = subscription.is_ending, (subscription.scheduled_by, subscription.canceled_by)
    subscription.cancellation = why or (subscription.cancellation if moved else None)
    drops = subscription.scheduled_action if not moved else None
    subscription.schedule(CANCEL, at=at, by=by)
    if moved:
        subscription.scheduled_by, subscription.canceled_by = whose
    told = {"history": [history.scheduled(subscription, verb="updated" if moved else "added")], **(why or {})}
    transition = MOVED if moved and by.kind == "staff" else SCHEDULED
    events.record("subscription.updated", subscription, by=by, transition=transition, **told, **_untold(tell))
    if tell:
        owed = debts.told_of(subscription.id)
        facts = {"received_at": by.received_at, "asked_by": by.kind, **owed, **ending.told_charges(subscription)}
        can_keep = subscription.scheduled_by == "customer"
        mails.tell("cancellation_scheduled", subscription, can_keep=can_keep, drops=drops, **facts)
    if subscription.ends_at is None:
        mails.tell_staff("end_date_missing", subscription, staff.addresses(), received_at=by.received_at)


def _moves(subscription: Subscription, by: Actor) -> bool:
    """Whether asking for the paid end moves the end that stands: for staff to there, for the customer to earlier."""
    runs_out = subscription.paid_until is not None and subscription.ends_at != subscription.paid_until
    if by.kind == "staff" and (runs_out or subscription.has_run_out(by.received_at)):
        _refuse_ended(subscription, by)
        return True
    if not runs_out:
        return False
    return subscription.bills_until_end and not _has_ended(subscription, by)


def _untold(tell: bool) -> dict[str, Any]:
    """What the history keeps of a change that the customer was not mailed of."""
    return {} if tell else {"customer_told": False}


def _end(
    subscription: Subscription,
    *,
    at: datetime,
    by: Actor,
    why: dict[str, Any] | None = None,
    because: str = "",
    tell: bool = True,
) -> None:
    """Ends one subscription at an instant; `why` goes before what was said when its end was scheduled."""
    subscription.cancellation = why or subscription.cancellation
    for name, value in _ended(at=at).items():
        setattr(subscription, name, value)
    subscription.canceled_by = by.kind
    charges.forgive((subscription.id,))
    told = {"history": [history.ended("immediately")], **(subscription.cancellation or {})}
    owed = debts.of_each((subscription.id,))
    _tell((subscription,), by=by, owed=owed, because=because, told=told | _untold(tell), tell=tell)


def _is_due() -> tuple[Any, ...]:
    """An end beyond the paid period waits until what begins before it is billed, however late the worker is."""
    effective_at = Subscription.scheduled_effective_at
    come = effective_at <= clock.now() - GRACE
    nothing_to_bill = or_(
        Subscription.next_billed_at.is_(None),
        Subscription.next_billed_at >= effective_at,
        Subscription.status.not_in(RENEWING),
    )
    no_change = transactions.has_no_change_under_way(Subscription.id)
    return Subscription.scheduled_action == CANCEL, come, nothing_to_bill, no_change


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
    owed: Mapping[str, Sequence[Any]],
    tell: bool = True,
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
            {"because": because, **debts.told(owed.get(subscription.id, ()))},
        )
        for subscription in (ended if tell else ())
    )


def _has_ended(subscription: Subscription, by: Actor) -> bool:
    return subscription.ends_at is not None and by.received_at >= subscription.ends_at


def _refuse_ended(subscription: Subscription, by: Actor) -> None:
    if _has_ended(subscription, by):
        raise TooLateToKeep("The subscription has reached its end. Nothing was changed.")


def _refuse_overtaken(subscription: Subscription, by: Actor) -> None:
    """An honest answer to a request that was held up for longer than a renewal waits for it."""
    began = subscription.period_starts_at
    if began is not None and by.received_at < began <= clock.now():
        raise Changed("It was renewed while the request was on its way. Nothing was recorded. Look at it again.")


def _refuse_apps_while_pending(subscription: Subscription, by: Actor) -> None:
    """A pause that is to end by itself binds nobody: what is paused ends at once. Raises ChangePending."""
    if by.kind == "key" and subscription.scheduled_action not in (None, RESUME):
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled already. Nothing was changed.")
