"""Pauses: planned for the period's end or begun now, and the resumption that ends them.

    asked by      at_period_end, now                     resume                      withdraw
    app (key)     refused: not active, change pending,   refused: not paused,        refused: canceled, past due,
                  locked for renewal; past due only now  no card, an end scheduled   locked for renewal

A resumption begins a new period, billed in full; or it goes on with what was left of the period that a pause cut
short, as long as something is left of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_

from portal import clock, config
from portal.domain import (
    bills,
    charges,
    debts,
    ending,
    events,
    history,
    mails,
    payment_plans,
    periods,
    subscriptions,
    transactions,
)
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import NEW_PERIOD, PAUSE, RESUME, SAME_PERIOD, Subscription
from portal.errors import (
    ActionOnCanceled,
    CannotBePaused,
    ChangePending,
    InvalidField,
    MustBePaused,
    NoPaymentMethod,
    Outstanding,
    PeriodCannotContinue,
    UnpaidPeriodCannotContinue,
)


def due(limit: int) -> Sequence[str]:
    """The ids of what there is to pause or to resume."""
    return subscriptions.ids_where(*_is_due(), first=Subscription.scheduled_effective_at, limit=limit)


def carry_out(limit: int, only: str | None = None) -> int:
    """Pauses and resumes what is due (or `only` one of it); answers how many."""
    conditions = (*_is_due(), *subscriptions.just(only))
    claimed = subscriptions.locked(*conditions, first=Subscription.scheduled_effective_at, limit=limit)
    for subscription in claimed:
        at = subscription.scheduled_effective_at or clock.now()
        if subscription.scheduled_action == PAUSE:
            resume_at = subscription.scheduled_resume_at
            _pause(subscription, at=at, resume_at=resume_at, by=system(), effective_from="next_billing_period")
        else:
            _resume(subscription, at=at, on_resume=subscription.on_resume, by=system())
    return len(claimed)


def at_period_end(
    subscription: Subscription, *, by: Actor, resume_at: datetime | None = None, on_resume: str | None = None
) -> None:
    """Schedules a pause for the end of the paid period, and its own end if `resume_at` says so.

    Raises ActionOnCanceled, CannotBePaused, PastDue, LockedForRenewal, ChangePending, InvalidField,
    PeriodCannotContinue.
    """
    _refuse_unpausable(subscription)
    subscription.refuse_apps(by)
    at = subscription.paid_until
    if subscription.scheduled_action:
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled already. Nothing was changed.")
    if at is None or subscription.status == "past_due":
        raise CannotBePaused("There is no paid period at whose end a pause could begin. Nothing was changed.")
    _refuse_resumption(resume_at, after=at)
    if on_resume == SAME_PERIOD and resume_at is not None:
        raise PeriodCannotContinue("The pause begins when the period has passed. Nothing was changed.")
    subscription.schedule(PAUSE, at=at, by=by, resume_at=resume_at)
    subscription.on_resume = on_resume
    told = [history.scheduled(subscription)]
    events.record("subscription.updated", subscription, by=by, transition="pause_scheduled", history=told)


def now(
    subscription: Subscription, *, by: Actor, resume_at: datetime | None = None, on_resume: str | None = None
) -> None:
    """Pauses at this instant: nothing is refunded, a planned pause is replaced.

    What is past due is given up; credit in it waits for the next bill.

    Raises ActionOnCanceled, CannotBePaused, LockedForRenewal, ChangePending, InvalidField, Outstanding,
    PaymentUnderWay, PeriodCannotContinue.
    """
    _refuse_unpausable(subscription)
    subscription.refuse_apps_near_billing(by)
    if subscription.is_ending:
        raise ChangePending("A cancel is scheduled already. Nothing was changed.")
    at = clock.now()
    _refuse_resumption(resume_at, after=at)
    if on_resume == SAME_PERIOD:
        _refuse_to_continue(subscription, subscription.period_ends_at, resume_at or at)
    for debt in debts.of(subscription.id):
        if debt.change is not None:
            raise Outstanding("A change of it is being paid this moment. Nothing was changed. Try in a minute.")
        if debt.status == "past_due":
            transactions.cancel(debt, by=by)
            charges.give_back(subscription, debt)
    subscription.on_resume = on_resume
    _pause(subscription, at=at, resume_at=resume_at, by=by, effective_from="immediately")


def resume(subscription: Subscription, *, by: Actor, at: datetime | None = None, on_resume: str | None = None) -> None:
    """Ends a pause: now, or on a date. Of a pause that is planned, a date sets when it will end.

    Raises ActionOnCanceled, MustBePaused, ChangePending, InvalidField, NoPaymentMethod, PeriodCannotContinue; for
    apps LockedForRenewal.
    """
    if subscription.status == "canceled":
        raise ActionOnCanceled("The subscription is canceled, which is final. Nothing was changed.")
    if subscription.scheduled_action == PAUSE and at is not None:
        _move_resumption(subscription, at, on_resume, by=by)
        return
    if subscription.status != "paused":
        raise MustBePaused("The subscription is not paused. Nothing was changed.")
    if subscription.is_ending:
        raise ChangePending("A cancel is scheduled. Nothing was changed; remove it first.")
    on_resume = on_resume or subscription.on_resume or NEW_PERIOD
    _refuse_resumption(at, after=clock.now(), field="effective_from")
    if on_resume == SAME_PERIOD:
        _refuse_to_continue(subscription, subscription.kept_period_ends_at, at or clock.now())
    elif subscription.is_automatic and subscription.payment_method is None:
        raise NoPaymentMethod("resume")
    if at is None:
        _resume(subscription, at=clock.now(), on_resume=on_resume, by=by)
        return
    verb = "updated" if subscription.scheduled_action else "added"
    subscription.schedule(RESUME, at=at, by=by)
    subscription.on_resume = on_resume
    told = [history.scheduled(subscription, verb=verb)]
    events.record("subscription.updated", subscription, by=by, transition="resumption_scheduled", history=told)


def withdraw(subscription: Subscription, *, by: Actor) -> bool:
    """Takes a scheduled pause, or a scheduled resume, back. False: none was scheduled.

    Raises AlreadyCanceled; for apps PastDue, LockedForRenewal.
    """
    subscription.refuse_if_canceled()
    if subscription.scheduled_action not in (PAUSE, RESUME):
        return False
    subscription.refuse_apps(by)
    transition = "pause_withdrawn" if subscription.scheduled_action == PAUSE else "resumption_withdrawn"
    told = [history.scheduled(subscription, verb="removed")]
    subscription.unschedule()
    subscription.on_resume = None
    events.record("subscription.updated", subscription, by=by, transition=transition, history=told)
    return True


def exhausted(subscription: Subscription) -> None:
    """Pauses a subscription whose last attempt to collect a payment has failed."""
    _pause(
        subscription,
        at=clock.now(),
        resume_at=None,
        by=system(),
        effective_from="immediately",
        because="payment_failed",
    )


def _is_due() -> tuple[Any, ...]:
    """A resumption bills, so it waits as a renewal does: who canceled in time is in time."""
    now, action, at = clock.now(), Subscription.scheduled_action, Subscription.scheduled_effective_at
    resuming = and_(action == RESUME, at <= now - config.current().renewal_grace)
    come = or_(and_(action == PAUSE, at <= now), resuming)
    return action.in_((PAUSE, RESUME)), come, transactions.has_no_change_under_way(Subscription.id)


def _pause(
    subscription: Subscription,
    *,
    at: datetime,
    resume_at: datetime | None,
    by: Actor,
    effective_from: str,
    because: str = "",
) -> None:
    """Nothing is billed any more; a resume date that was given becomes the next scheduled change."""
    subscription.clear_schedule()
    _keep_period(subscription, at)
    subscription.status, subscription.paused_at = "paused", at
    subscription.period_starts_at = subscription.period_ends_at = None
    subscription.bill_next_at(None)
    for item in subscription.items:
        item.status = "inactive"
    if resume_at is not None:
        subscription.schedule(RESUME, at=resume_at, by=by)
    told = [history.paused(effective_from), *([history.scheduled(subscription)] if resume_at else [])]
    paused = (("subscription.updated", subscription, None), ("subscription.paused", subscription, "paused"))
    events.record_all(paused, by=by, facts={"history": told})
    owed = debts.told_of(subscription.id)
    key = f"paused:{subscription.id}:{at:%Y%m%d%H%M%S}"
    mails.tell("paused", subscription, key=key, resumes_at=resume_at, because=because, **owed)


def _keep_period(subscription: Subscription, at: datetime) -> None:
    """Remembers a paid period that a pause cuts short."""
    ends_at = subscription.period_ends_at
    if subscription.status == "active" and ends_at is not None and ends_at > at:
        subscription.kept_period_starts_at, subscription.kept_period_ends_at = subscription.period_starts_at, ends_at


def _resume(subscription: Subscription, *, at: datetime, on_resume: str | None, by: Actor) -> None:
    """A new period begins, billed in full, and months count from here; or what was left of the old one goes on."""
    starts_at, ends_at = subscription.kept_period_starts_at, subscription.kept_period_ends_at
    continues = subscription.goes_on_with_period(at, on_resume)
    if not continues:
        starts_at, subscription.anchor_at, subscription.price_lasts = at, at, None
        ends_at = periods.nth(at, subscription.billing_interval, subscription.billing_frequency, 1)
    subscription.clear_schedule()
    subscription.on_resume = subscription.kept_period_starts_at = subscription.kept_period_ends_at = None
    subscription.status, subscription.paused_at = "active", None
    subscription.period_starts_at, subscription.period_ends_at = starts_at, ends_at
    subscription.bill_next_at(ends_at)
    if not continues:
        payment_plans.count(subscription)
    for item in subscription.items:
        item.status = "active"
        item.previously_billed_at = item.previously_billed_at if continues else at
    told = payment_plans.told_of_bill(subscription, history.resumed(SAME_PERIOD if continues else NEW_PERIOD))
    events.record("subscription.updated", subscription, by=by)
    events.record("subscription.resumed", subscription, by=by, transition="resumed", **told)
    billed = None
    if not continues and ends_at is not None:
        billed = bills.bill(subscription, starts_at=at, ends_at=ends_at, by=by)
    next_payment = ending.told_next(subscription)  # of which what waited for that bill is no part
    key = f"resumed:{subscription.id}:{at:%Y%m%d%H%M%S}"
    mails.tell("resumed", subscription, key=key, continues=continues, **next_payment)
    if billed is not None:
        bills.tell(subscription, billed)


def _move_resumption(subscription: Subscription, at: datetime, on_resume: str | None, *, by: Actor) -> None:
    """Says when a pause that is planned will end."""
    subscription.refuse_apps(by)
    _refuse_resumption(at, after=subscription.scheduled_effective_at or clock.now(), field="effective_from")
    if (on_resume or subscription.on_resume) == SAME_PERIOD:
        raise PeriodCannotContinue("The pause begins when the period has passed. Nothing was changed.")
    subscription.scheduled_resume_at, subscription.on_resume = at, on_resume or subscription.on_resume
    subscription.touch()
    told = [history.scheduled(subscription, verb="updated")]
    events.record("subscription.updated", subscription, by=by, transition="resumption_scheduled", history=told)


def _refuse_unpausable(subscription: Subscription) -> None:
    if subscription.status == "canceled":
        raise ActionOnCanceled("The subscription is canceled, which is final. Nothing was changed.")
    if subscription.status not in ("active", "past_due"):
        raise CannotBePaused(f"The subscription is {subscription.status}. Nothing was changed.")


def _refuse_resumption(at: datetime | None, *, after: datetime, field: str = "resume_at") -> None:
    if at is not None and at <= after:
        raise InvalidField(field, f"must be later than {after.isoformat()}")


def _refuse_to_continue(subscription: Subscription, ends_at: datetime | None, at: datetime) -> None:
    if subscription.status == "past_due":
        raise UnpaidPeriodCannotContinue("The period is not paid, so it can't go on. Nothing was changed.")
    if ends_at is None or ends_at <= at:
        raise PeriodCannotContinue("The period has passed by then, so it can't go on. Nothing was changed.")
