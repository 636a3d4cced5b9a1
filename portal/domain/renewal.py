"""The next period: announced, opened and billed when it begins, collected through the gateway.

    reminded   `reminder_before` its billing
    activated  a trial that ends early begins its first paid period at once
    opened     `renewal_grace` after the period's end: the period moves, one transaction is billed
    collected  the gateway is asked outside any transaction: paid; or past due, tried again on schedule, exhausted

The grace is longer than any request may wait for a lock, so whoever canceled before the period's end holds the
row first (`docs/rules.md`: the row lock decides; who was in time wins).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from portal import clock, config, ids
from portal.db import session, transaction
from portal.domain import (
    bills,
    cancellation,
    changing,
    charges,
    debts,
    ending,
    events,
    history,
    mails,
    next_period,
    pausing,
    payment_plans,
    purchases,
    subscriptions,
    transactions,
)
from portal.domain.actors import Actor, system
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import RENEWING, STATUSES, Subscription
from portal.domain.transactions import Attempt, Transaction
from portal.errors import (
    ActionOnCanceled,
    ChangePending,
    NoPaymentMethod,
    NotAutomatic,
    NotTrialing,
)
from portal.gateways import Gateway


def to_remind(limit: int) -> Sequence[str]:
    """The ids of the subscriptions whose renewal is to be announced."""
    return subscriptions.ids_where(_is_to_remind(), first=Subscription.remind_at, limit=limit)


def to_open(limit: int) -> Sequence[str]:
    """The ids of the subscriptions whose next period is to be opened."""
    return subscriptions.ids_where(*_is_to_open(), first=Subscription.next_billed_at, limit=limit)


def remind_due(limit: int, only: str | None = None) -> int:
    """Queues the reminders that are due (or `only` one of them); answers how many."""
    conditions = (_is_to_remind(), *subscriptions.just(only))
    due = subscriptions.locked(*conditions, first=Subscription.remind_at, limit=limit)
    for subscription in due:
        subscription.remind_at = None
    told = [each for each in due if each.next_billed_at and each.status in RENEWING]
    waiting = charges.lines_waiting(each.id for each in told)
    mails.tell_all(
        ("renewal_reminder", s, f"reminder:{s.id}:{s.next_billed_at:%Y%m%d%H%M%S}", ending.told_next(s, waiting[s.id]))
        for s in told
    )
    return len(due)


def open_due(limit: int, only: str | None = None) -> int:
    """Opens the next period of the subscriptions whose billing is due (or `only` of one); answers how many."""
    conditions = (*_is_to_open(), *subscriptions.just(only))
    due = subscriptions.locked(*conditions, first=Subscription.next_billed_at, limit=limit)
    for subscription in due:
        begin_period(subscription, by=system())
    return len(due)


def _is_to_remind() -> Any:
    return Subscription.remind_at <= clock.now()


def _is_to_open() -> tuple[Any, ...]:
    """Names the statuses that do not renew, because SQLite would else read all that do, not the few that are due."""
    due = Subscription.next_billed_at <= clock.now() - config.current().renewal_grace
    renews = Subscription.status.not_in([each for each in STATUSES if each not in RENEWING])
    return due, renews, transactions.has_no_change_under_way(Subscription.id)


def activate(subscription: Subscription, *, by: Actor) -> None:
    """Ends a trial now: the first paid period begins, and months count from here; the worker collects.

    Raises ActionOnCanceled, NotTrialing, LockedForRenewal, ChangePending, NotAutomatic, NoPaymentMethod.
    """
    if subscription.status == "canceled":
        raise ActionOnCanceled("The subscription is canceled, which is final. Nothing was changed.")
    if subscription.status != "trialing":
        raise NotTrialing("The subscription is in no trial. Nothing was changed.")
    subscription.refuse_apps(by)
    if subscription.scheduled_action:
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled already. Nothing was changed.")
    if not subscription.is_automatic:
        raise NotAutomatic("The subscription is paid by invoice. Nothing was changed.")
    if subscription.payment_method is None:
        raise NoPaymentMethod("activate")
    subscription.anchor_at = subscription.next_billed_at = clock.now()
    for item in subscription.items:
        item.trial_ends_at = clock.now() if item.trial_ends_at else None
    begin_period(subscription, by=by)


def begin_period(subscription: Subscription, *, by: Actor) -> Transaction:
    """Moves a subscription into the period that begins at its billing date, and bills it."""
    was_trial = subscription.status == "trialing"
    opened = next_period.of(subscription, subscription.next_billed_at or clock.now())
    starts_at, ends_at = opened.starts_at, opened.ends_at
    subscription.status = "active"
    subscription.first_billed_at = subscription.first_billed_at or starts_at
    subscription.period_starts_at, subscription.period_ends_at = starts_at, ends_at
    subscription.price_lasts = opened.price_lasts
    subscription.bill_until_end(ends_at)
    if not opened.is_cut:
        payment_plans.count(subscription)
    for item in subscription.items:
        item.previously_billed_at = starts_at
        item.status = "active"
    subscription.touch()
    billed = ids.new("txn")
    _tell_period(subscription, billed, by=by, activated=was_trial)
    bill = bills.bill(subscription, starts_at=starts_at, ends_at=ends_at, by=by, id=billed, share=opened.share)
    bills.tell(subscription, bill)
    return bill


def _tell_period(subscription: Subscription, billed: str, *, by: Actor, activated: bool) -> None:
    transition = "activated" if activated else "renewed"
    told = payment_plans.told_of_bill(subscription, history.billed(f"subscription_{transition}", subscription, billed))
    if activated:
        events.record("subscription.updated", subscription, by=by)
        events.record("subscription.activated", subscription, by=by, transition=transition, **told)
    else:
        events.record("subscription.updated", subscription, by=by, transition=transition, **told)


def collect_next(gateway: Gateway) -> bool:
    """Makes the next attempt that is due; answers whether there was one."""
    due = transactions.next_due()
    if due is None:
        return False
    if transactions.is_purchase(due):
        purchases.recover(due, gateway)
        return True
    with transaction():
        attempt = transactions.claim_due(due, _subscription_of(due).payment_method)
    if attempt is not None:
        _make(attempt, gateway, by=system(), scheduled=not attempt.offered)
    return True


def collect_with(reference: str, transaction_id: str, gateway: Gateway, *, by: Actor) -> str | None:
    """Collects a debt from a card that is not stored yet; answers the gateway's refusal, or None if it is paid.

    An attempt somebody left unfinished is finished first, with its own card. Raises PaymentUnderWay.
    """
    while True:
        with transaction():
            attempt = _claim(transaction_id, reference)
        if attempt is None:
            return None
        refusal = _make(attempt, gateway, by=by, scheduled=attempt.repeats and not attempt.offered)
        if not attempt.repeats or refusal is None:
            return refusal


def collect_now(attempt: Attempt, gateway: Gateway, *, by: Actor) -> str | None:
    """Asks the gateway for what a change costs; answers its refusal, upon which nothing was changed.

    The attempt was claimed in the transaction that made the bill: if this process dies, the worker finishes it.
    """
    return _make(attempt, gateway, by=by, scheduled=True)


def _claim(transaction_id: str, reference: str) -> Attempt | None:
    """The attempt to make, if anything is owed. The subscription's row is locked first, as everywhere."""
    subscription = _subscription_of(transaction_id)
    return transactions.claim(transaction_id, subscription.payment_method, reference)


def _make(attempt: Attempt, gateway: Gateway, *, by: Actor, scheduled: bool) -> str | None:
    """Asks the gateway, then writes down what it said."""
    if attempt.amount == 0:
        refusal = None
    elif attempt.reference is None:
        refusal = "no_payment_method"
    else:
        refusal = gateway.charge(attempt.reference, attempt.amount, attempt.currency, key=attempt.key)
    with transaction():
        subscription = _subscription_of(attempt.transaction_id)
        card = session().get(PaymentMethod, attempt.method_id) if attempt.method_id else None
        if refusal is None:
            _paid(subscription, attempt, card, by=by)
        elif scheduled:
            _failed(subscription, attempt, card, refusal, by=by)
        else:
            transactions.settle_declined(attempt, refusal)
    return refusal


def _paid(subscription: Subscription, attempt: Attempt, card: PaymentMethod | None, *, by: Actor) -> None:
    paid = transactions.settle_paid(attempt, card, by=by)
    if paid is None:
        return
    if paid.change is not None:
        changing.make_paid(subscription, paid)
    settled(subscription, paid, owed=debts.being_collected(subscription.id), by=by)


def settled(subscription: Subscription, paid: Transaction, *, owed: Sequence[Transaction], by: Actor) -> None:
    """What follows from a payment: the subscription is active again if nothing is `owed` any more; a receipt."""
    if subscription.status == "past_due" and not owed:
        subscription.status = "active"
        subscription.touch()
        told = [history.billed("subscription_activated", subscription, paid.id)]
        events.record("subscription.updated", subscription, by=by, transition="payment_collected", history=told)
    receipt = {"transaction": paid.id, "amount": paid.due, "paid_at": paid.paid_at}
    mails.tell("renewed", subscription, key=f"paid:{paid.id}", **receipt)


def _failed(
    subscription: Subscription, attempt: Attempt, card: PaymentMethod | None, refusal: str, *, by: Actor
) -> None:
    tried = session().get_one(Transaction, attempt.transaction_id)
    if tried.change is not None:
        if (given_up := transactions.settle_declined(attempt, refusal, card)) is not None:
            events.record("transaction.payment_failed", given_up, by=by)
            transactions.cancel(given_up, by=by)  # a change that is not paid for is not made
        return
    retry_at = _retry_at(tried.failed_attempts)
    failed = transactions.settle_failed(attempt, card, refusal, retry_at=retry_at, by=by)
    if failed is None or subscription.status not in (*RENEWING, "past_due"):
        return
    if subscription.status != "past_due":
        subscription.status = "past_due"
        subscription.touch()
        past = [history.past_due(failed.id)]
        events.record("subscription.past_due", subscription, by=by, transition="payment_failed", history=past)
    if retry_at is not None:
        told = {"transaction": failed.id, "owed": failed.due, "refusal": refusal, "retry_at": retry_at}
        mails.tell("payment_failed", subscription, key=f"failed:{attempt.key}", **told)
        return
    for other in debts.to_collect(subscription.id):
        other.next_attempt_at = None  # what is exhausted is the subscription: no debt of it is tried again
    if config.current().payment_exhausted == "paused" and not subscription.is_ending:
        pausing.exhausted(subscription)
    else:
        cancellation.exhausted(subscription)


def _retry_at(failed_before: int) -> datetime | None:
    waits = config.current().payment_retries
    return clock.now() + waits[failed_before] if failed_before < len(waits) else None


def _subscription_of(transaction_id: str) -> Subscription:
    return subscriptions.get(transactions.subscription_of(transaction_id) or "")
