"""What is charged next, and until a subscription ends: computed as the bills themselves are, and changing nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.domain import charges, next_period, periods, shapes
from portal.domain.charges import Bill
from portal.domain.next_period import Period
from portal.domain.snapshots import Snapshot
from portal.domain.subscriptions import LIVE, RENEWING

_MOST_TOLD = 12
"""Charges that a mail lists one by one; of more it tells the first, the last and what they come to."""


@dataclass(frozen=True)
class Charge:
    """One bill to come: when, for which time, and what it asks for, in minor units."""

    at: datetime
    period: Period
    bill: Bill

    @property
    def due(self) -> int:
        return self.bill.due

    @property
    def is_part(self) -> bool:
        """Whether it pays for a part of a period only."""
        return self.period.share is not None


def charges_until(
    subscription: Any, end: datetime | None, waiting: Iterable[dict[str, Any]] | None = None
) -> list[Charge]:
    """The bills of a subscription that ends at an instant, in order; None: that goes on only to the paid end.

    `waiting` are the lines that wait for the next bill; they are read if they are not given. What is past due is not
    among them; while it is not paid none of these comes.
    """
    planned = first_at(subscription)
    if end is None or planned is None or planned >= end:
        return []
    if waiting is None:
        waiting = charges.lines_waiting_of(subscription.id)
    return list(_charges(subscription, planned, list(waiting), before=end, end=end))


def charges_begun(subscription: Any, instant: datetime) -> list[Charge]:
    """The bills of the periods that have begun by an instant and wait for what is past due to be paid."""
    planned, ends_at = first_at(subscription), subscription.ends_at
    before = min(instant, ends_at) if ends_at else instant
    if planned is None or planned >= before:
        return []
    return list(_charges(subscription, planned, charges.lines_waiting_of(subscription.id), before=before, end=ends_at))


def charges_before(subscription: Snapshot, until: datetime, waiting: Iterable[dict[str, Any]]) -> list[Charge]:
    """The bills that come before an instant if nothing changes, in order: also after a pause that ends by itself.

    `waiting` are the lines that wait for the next bill. Past due, no bill comes.
    """
    planned = _resumed(subscription)
    if planned.next_billed_at is None or planned.status not in RENEWING:
        return []
    before = min(until, planned.ends_at or until)
    return list(_charges(planned, planned.next_billed_at, list(waiting), before=before, end=planned.ends_at))


def first_at(subscription: Any) -> datetime | None:
    """When the next payment is planned for, or would be if no end were scheduled; None if nothing is charged."""
    if subscription.status not in LIVE or subscription.remaining_payments == 0:
        return None
    planned: datetime | None = subscription.next_billed_at or subscription.billing_resumes_at
    return planned


def next_charge(subscription: Any, waiting: Iterable[dict[str, Any]] | None = None) -> Charge | None:
    """The next bill as things are planned, with what waits for it; None if none is planned."""
    if subscription.next_billed_at is None:
        return None
    return _charge(subscription, next_period.of(subscription, subscription.next_billed_at), waiting)


def next_payment(subscription: Any, waiting: Iterable[dict[str, Any]] | None = None) -> Charge | None:
    """The next bill that a person is told of: also the one with which a pause, or a planned one, is to end."""
    at = subscription.resumes_at
    if at is None:
        return next_charge(subscription, waiting)
    if subscription.goes_on_with_period(at, subscription.on_resume):
        return None
    ends_at = periods.nth(at, subscription.billing_interval, subscription.billing_frequency, 1)
    return _charge(subscription, Period(at, ends_at), waiting)


def once_kept(subscription: Any) -> Charge | None:
    """The next bill if the end that is scheduled is taken back, with what waits for it; None if none is planned."""
    at = first_at(subscription)
    return _charge(subscription, next_period.unbroken(subscription, at)) if at is not None else None


def plan_ends_at(subscription: Any) -> datetime | None:
    """When a payment plan ends by itself; None if it is none, or nothing is planned."""
    planned, left = first_at(subscription), subscription.remaining_payments
    if left == 0:
        completed: datetime | None = subscription.period_ends_at
        return completed
    if left is None or planned is None:
        return None
    cycle = subscription.anchor_at, subscription.billing_interval, subscription.billing_frequency
    try:
        return periods.ahead(*cycle, planned, left)
    except (OverflowError, ValueError):
        return None  # after all calendars


def told_next(subscription: Any, waiting: Iterable[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What a mail says of the next payment if it is not just the price: for a part of a period, or with what waits."""
    coming = next_charge(subscription, waiting)
    if coming is None or not (coming.is_part or coming.bill.has_more):
        return {}
    part = {"part_ends_at": coming.period.ends_at} if coming.is_part else {}
    return {"next_due": coming.due, "next_has_more": coming.bill.has_more, **part}


def told_charges(subscription: Any) -> dict[str, Any]:
    """What a mail says of the payments that come before the scheduled end."""
    coming = charges_until(subscription, subscription.ends_at) if subscription.bills_until_end else []
    told = coming if len(coming) <= _MOST_TOLD else [coming[0], coming[-1]]
    return {
        "charges": [_told(each) for each in told],
        "charges_count": len(coming),
        "charges_total": total(coming),
        "charges_have_more": any(each.bill.has_more for each in coming),
    }


def _told(charge: Charge) -> dict[str, Any]:
    """`part` if the end cuts what it pays for, `rest` if it pays for what such an end had left of a period."""
    is_cut = charge.period.is_cut
    return {
        "charged_at": shapes.text(charge.at),
        "amount": charge.due,
        "part": is_cut,
        "rest": charge.is_part and not is_cut,
    }


def total(coming: Sequence[Charge]) -> int:
    """What all of them come to, in minor units."""
    return sum(each.due for each in coming)


def _charge(subscription: Any, period: Period, waiting: Iterable[dict[str, Any]] | None = None) -> Charge:
    if waiting is None:
        waiting = charges.lines_waiting_of(subscription.id)
    return Charge(period.starts_at, period, charges.next_bill(subscription, waiting, period.share))


def _resumed(subscription: Snapshot) -> Snapshot:
    """How it stands when a pause has ended by itself: a bill is planned, of a new period or after the one kept."""
    at = subscription.resumes_at
    if at is None or subscription.status == "past_due":
        return subscription
    if subscription.goes_on_with_period(at, subscription.on_resume):
        planned = {"next_billed_at": subscription.kept_period_ends_at}
    else:
        planned = {"next_billed_at": at, "anchor_at": at, "price_lasts": None}
    return Snapshot(**vars(subscription) | {"status": "active", "scheduled_action": None} | planned)


def _charges(
    subscription: Any, at: datetime, waiting: list[dict[str, Any]], *, before: datetime, end: datetime | None
) -> Iterator[Charge]:
    left, usual = subscription.remaining_payments, None
    while at < before and left != 0:
        period = next_period.of(subscription, at, until=end)
        if waiting or period.share is not None:
            bill = charges.next_bill(subscription, waiting, period.share)
            waiting = _rest(waiting, bill.credit)
        else:
            bill = usual = usual or charges.next_bill(subscription, ())
        yield Charge(at, period, bill)
        at = period.ends_at
        if left is not None and not period.is_cut:
            left -= 1


def _rest(waiting: list[dict[str, Any]], credit: int) -> list[dict[str, Any]]:
    """What waits on after a bill: the credit it had no use for, as one line."""
    rest = sum(each["amount"] for each in waiting if each["amount"] < 0) + credit
    return [{"amount": rest}] if rest else []
