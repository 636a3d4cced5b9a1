"""What subscriptions are to pay before an instant if nothing changes: added up by the database where bills are alike.

    summed      each bill is the price, the first one with the charges that wait for it
    one by one  something is scheduled, the period was moved or cut, or credit waits

A bill is never below zero: what of the credit it has no use for is taken in by the next one, so credit has no sum.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, text, union

from portal import db
from portal.db import connection, table
from portal.domain import charges, ending, periods, snapshots
from portal.domain.catalog import Price
from portal.domain.charges import PendingCharge
from portal.domain.snapshots import Snapshot
from portal.domain.subscriptions import CANCEL, PAUSE, RENEWING, RESUME, Subscription, SubscriptionItem

_BATCH = 500
_SUB, _ITEM, _PRICE, _WAITS = (table(each) for each in (Subscription, SubscriptionItem, Price, PendingCharge))
_CREDIT = _WAITS.alias("credit")
_IS_CREDIT = _CREDIT.c.settled_at.is_(None), _CREDIT.c.amount < 0
_RENEWS = _SUB.c.status.in_(RENEWING), _SUB.c.scheduled_action.is_(None)


def before(until: datetime) -> dict[str, int]:
    """By currency, in minor units: each bill of a period that begins before then; overdue debts are not in it."""
    expected: Counter[str] = Counter()
    for currency, amount in chain(_recurring(until), _charges_waiting(until), _one_by_one(until)):
        expected[currency] += amount
    return dict(+expected)


def _recurring(until: datetime) -> Iterator[tuple[str, int]]:
    """What recurs of the summed; those with the same anchor that are billed on the same day are one row."""
    how = (_SUB.c.currency_code, _SUB.c.billing_interval, _SUB.c.billing_frequency, _SUB.c.remaining_payments)
    days = _day(_SUB.c.anchor_at).label("anchor"), _day(_SUB.c.next_billed_at).label("day")
    has_credit = exists().where(_CREDIT.c.subscription_id == _SUB.c.id, *_IS_CREDIT)
    summed = (
        select(*how, *days, func.sum(_PRICE.c.amount * _ITEM.c.quantity).label("amount"))
        .join(_ITEM, _ITEM.c.subscription_id == _SUB.c.id)
        .join(_PRICE, _PRICE.c.id == _ITEM.c.price_id)
        .where(*_has_price(until), ~has_credit, _ITEM.c.recurring)
        .group_by(*how, text("anchor"), text("day"))
    )
    for row in connection().execute(summed):
        cycle = _instant(row.anchor), row.billing_interval, row.billing_frequency
        times = _times(cycle, _instant(row.day), until)
        left = times if row.remaining_payments is None else row.remaining_payments
        yield row.currency_code, int(row.amount) * min(times, left)


def _charges_waiting(until: datetime) -> Iterator[tuple[str, int]]:
    """The charges that wait for the next bills of the summed."""
    waits = select(_WAITS.c.subscription_id, func.sum(_WAITS.c.amount).label("amount"))
    waits = waits.where(_WAITS.c.settled_at.is_(None)).group_by(_WAITS.c.subscription_id)
    each = waits.having(func.min(_WAITS.c.amount) > 0).subquery()
    summed = select(_SUB.c.currency_code, func.sum(each.c.amount)).join(each, each.c.subscription_id == _SUB.c.id)
    for currency, amount in connection().execute(summed.where(*_has_price(until)).group_by(_SUB.c.currency_code)):
        yield currency, int(amount)


def _one_by_one(until: datetime) -> Iterator[tuple[str, int]]:
    apart = connection().scalars(_apart(until)).all()
    for first in range(0, len(apart), _BATCH):
        some = apart[first : first + _BATCH]
        waiting = charges.lines_waiting(some)
        for each in snapshots.read(select(_SUB).where(_SUB.c.id.in_(some))):
            coming = ending.charges_before(Snapshot(**vars(each)), until, waiting[each.id])
            yield each.currency_code, ending.total(coming)


def _has_price(until: datetime) -> tuple[Any, ...]:
    """Whether the price is what each period costs that begins by then."""
    return _SUB.c.next_billed_at < until, *_RENEWS, _SUB.c.price_lasts.is_(None)


def _apart(until: datetime) -> Any:
    """The ids of all others that may be billed by then."""
    action = _SUB.c.scheduled_action
    billed = _SUB.c.next_billed_at < until
    resumed = or_(_SUB.c.scheduled_resume_at < until, and_(action == RESUME, _SUB.c.scheduled_effective_at < until))
    return union(
        select(_SUB.c.id).where(action.in_((CANCEL, PAUSE, RESUME)), or_(billed, resumed)),
        select(_SUB.c.id).where(billed, *_RENEWS, _SUB.c.price_lasts.is_not(None)),
        select(_CREDIT.c.subscription_id).where(*_IS_CREDIT),
    )


def _times(cycle: tuple[datetime, str, int], at: datetime, until: datetime) -> int:
    """How many periods begin from one that begins at an instant."""
    times = 0
    while at < until:
        times, at = times + 1, periods.following(*cycle, at)
    return times


def _day(instant: Any) -> Any:
    return func.date_trunc("day", instant) if db.is_postgresql() else func.date(instant)


def _instant(day: Any) -> datetime:
    """SQLite gives the day as text."""
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") if isinstance(day, str) else day
