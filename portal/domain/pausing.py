"""Pauses that were planned: taking effect, ending again, taken back."""

from typing import Any

from sqlalchemy import and_, or_

from portal import clock, config
from portal.db import session
from portal.domain import events, mails, periods, subscriptions, transactions
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import PAUSE, RESUME, Subscription


def any_due() -> bool:
    """Whether there is a pause to begin or to end."""
    return subscriptions.any_where(*_is_due())


def carry_out(limit: int) -> int:
    """Pauses and resumes what is due; answers how many."""
    due = (
        session()
        .scalars(
            subscriptions.whole()
            .where(*_is_due())
            .order_by(Subscription.scheduled_effective_at)
            .limit(limit)
            .with_for_update(of=Subscription, skip_locked=True)
        )
        .all()
    )
    for subscription in due:
        if subscription.scheduled_action == PAUSE:
            _pause(subscription, by=system())
        else:
            _resume(subscription, by=system())
    return len(due)


def withdraw(subscription: Subscription, *, by: Actor) -> bool:
    """Takes a scheduled pause, or a scheduled resume, back. False: none was scheduled.

    Raises AlreadyCanceled; for apps PastDue, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    if subscription.scheduled_action not in (PAUSE, RESUME):
        return False
    subscription.refuse_apps(by)
    subscription.unschedule()
    events.record("subscription.updated", subscription, by=by, transition="pause_withdrawn")
    return True


def exhausted(subscription: Subscription) -> None:
    """Pauses a subscription whose last attempt to collect a payment has failed."""
    subscription.clear_schedule()
    _pause(subscription, by=system())


def _is_due() -> tuple[Any, ...]:
    """A resumption bills, so it waits as a renewal does: who canceled in time is in time."""
    now, action, at = clock.now(), Subscription.scheduled_action, Subscription.scheduled_effective_at
    resuming = and_(action == RESUME, at <= now - config.current().renewal_grace)
    return action.in_((PAUSE, RESUME)), or_(and_(action == PAUSE, at <= now), resuming)


def _pause(subscription: Subscription, *, by: Actor) -> None:
    """Nothing is billed any more; a resume date that was given becomes the next scheduled change."""
    effective_at, resume_at = (
        subscription.scheduled_effective_at or clock.now(),
        subscription.scheduled_resume_at,
    )
    subscription.clear_schedule()
    subscription.status, subscription.paused_at = "paused", effective_at
    subscription.period_starts_at = subscription.period_ends_at = None
    subscription.bill_next_at(None)
    for item in subscription.items:
        item.status = "inactive"
    if resume_at is not None:
        subscription.schedule(RESUME, at=resume_at, by=by)
    events.record("subscription.updated", subscription, by=by, occurred_at=effective_at)
    events.record("subscription.paused", subscription, by=by, transition="paused", occurred_at=effective_at)
    key = f"paused:{subscription.id}:{effective_at:%Y%m%d%H%M%S}"
    mails.tell("paused", subscription, key=key, resumes_at=resume_at)


def _resume(subscription: Subscription, *, by: Actor) -> None:
    """A new period begins, billed in full; months count from here."""
    starts_at = subscription.scheduled_effective_at or clock.now()
    subscription.clear_schedule()
    subscription.status, subscription.paused_at, subscription.anchor_at = "active", None, starts_at
    ends_at = periods.nth(starts_at, subscription.billing_interval, subscription.billing_frequency, 1)
    subscription.period_starts_at, subscription.period_ends_at = starts_at, ends_at
    subscription.bill_next_at(ends_at)
    for item in subscription.items:
        item.status, item.previously_billed_at = "active", starts_at
    events.record("subscription.updated", subscription, by=by)
    events.record("subscription.resumed", subscription, by=by, transition="resumed")
    transactions.bill(subscription, starts_at=starts_at, ends_at=ends_at, by=by)
    mails.tell("resumed", subscription, key=f"resumed:{subscription.id}:{starts_at:%Y%m%d%H%M%S}")
