"""Payment plans: a fixed number of payments, after which a subscription ends by itself.

    begun        from prices with `payments`: as many are left, without what is paid at the start
    billed       one fewer is left (renewals, and resumptions that begin a new period)
    completed    the last one is billed: nothing is planned any more, the end is scheduled for that period's end

The seller may end a plan earlier, as any subscription. Its customer may while a trial runs, and not later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.domain import history, periods
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import CANCEL, Subscription
from portal.errors import PlanCompleted, PlanEndedBySeller

COMPLETED = "plan_completed"
"""Why a plan ends that was paid to its last payment, as the history says it."""
FEWEST, MOST = 2, 999


@dataclass(frozen=True)
class Progress:
    """How far a plan is; `made` and `to_go` together are `payments`, if the price still says how many there are."""

    payments: int | None
    made: int | None
    to_go: int
    last_at: datetime | None
    """When the last payment is planned; None if nothing is planned, or all is billed."""
    ends_at: datetime | None
    """The end of what the last payment pays for."""


def payments_left(subscription: Any) -> int | None:
    """How many payments are still to be billed; None if it renews until it is canceled."""
    left: int | None = subscription.remaining_payments
    return left


def at_start(lines: Sequence[dict[str, Any]], *, is_trial: bool) -> int | None:
    """What is left of a plan that begins with an order's recurring lines: a trial pays nothing yet."""
    payments: int | None = lines[0]["price"].get("payments")
    return payments if payments is None or is_trial else payments - 1


def count(subscription: Subscription) -> None:
    """A period is billed, so one payment fewer is left; after the last one the end comes with the period's.

    An end that somebody has scheduled for an earlier instant stays.
    """
    if subscription.remaining_payments is None:
        return
    subscription.remaining_payments = max(0, subscription.remaining_payments - 1)
    if subscription.remaining_payments > 0:
        return
    subscription.bill_next_at(None)
    subscription.billing_resumes_at = None
    ends_at, period_ends_at = subscription.ends_at, subscription.period_ends_at
    if ends_at is None or period_ends_at is None or ends_at > period_ends_at:
        by = system()
        subscription.schedule(CANCEL, at=period_ends_at, by=by)
        subscription.canceled_by, subscription.cancellation = by.kind, None


def told_of_bill(subscription: Any, billed: dict[str, Any]) -> dict[str, Any]:
    """What the history tells of a bill: that it is the last one too, if it is."""
    if not subscription.is_plan_completed:
        return {"history": [billed]}
    return {"history": [billed, history.scheduled(subscription)], "because": COMPLETED}


def apart(ended: Iterable[Any], told: dict[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Subscriptions that have ended, by why they did: because the plan is completed, or because somebody asked."""
    by_plan: dict[bool, list[Any]] = {}
    for each in ended:
        by_plan.setdefault(each.is_plan_completed, []).append(each)
    for completed, some in by_plan.items():
        yield some, (told | {"because": COMPLETED} if completed else told)


def refuse_customer(subscription: Any, by: Actor) -> None:
    """Raises PlanEndedBySeller if a customer would end a plan."""
    if by.kind == "customer" and subscription.binds_customer:
        raise PlanEndedBySeller("It is a payment plan, which the seller ends on request. Nothing was changed.")


def refuse_completed(subscription: Any) -> None:
    """Raises PlanCompleted once the last payment is billed: there is nothing left that could go on."""
    if subscription.is_plan_completed:
        raise PlanCompleted("All payments of the plan are billed, so it ends with its last period.")


def progress(subscription: Any, owed: Iterable[Any] = ()) -> Progress | None:
    """How far a plan is; None if it is none. `owed` are its open transactions: billed, and not made yet."""
    left = payments_left(subscription)
    if left is None:
        return None
    payments = next((item.price.payments for item in subscription.items if item.recurring), None)
    to_go = left + sum(each.origin == "subscription_recurring" for each in owed)
    return Progress(
        payments=payments,
        made=payments - to_go if payments is not None and payments >= to_go else None,
        to_go=to_go,
        last_at=_ahead(subscription, left - 1) if left else None,
        ends_at=_ahead(subscription, left) or subscription.ends_at,
    )


def _ahead(subscription: Any, count: int) -> datetime | None:
    """The instant `count` periods after the next payment; None if none is planned, or it is after all calendars."""
    at: datetime | None = subscription.next_billed_at
    if at is None or count == 0:
        return at
    cycle = subscription.billing_interval, subscription.billing_frequency
    try:
        return periods.ahead(subscription.anchor_at, *cycle, at, count)
    except (OverflowError, ValueError):
        return None
