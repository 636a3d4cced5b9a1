"""Imports whose next billing comes after the end of the current period: whole periods follow it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.domain import ending
from tests.api import billing
from tests.conftest import Clock
from tests.importing.test_import import DEMO, IN_APRIL, TEN_SEATS, amelia_with, load, stored

LATER = "2024-05-28T10:00:00Z"
"""The current period runs from 8 April to 8 May, counted from the 8th."""
Period = tuple[datetime, datetime, int]


def day(month: int, of_month: int) -> datetime:
    return datetime(2024, month, of_month, 10, tzinfo=UTC)


@pytest.fixture
def april(database: str, the_clock: Clock) -> Clock:
    the_clock.set(IN_APRIL)
    return the_clock


def foretold(end: datetime) -> list[Period]:
    return [(each.period.starts_at, each.period.ends_at, each.due) for each in ending.charges_until(stored(), end)]


def charged(the_clock: Clock, until: datetime) -> list[Period]:
    """What the worker bills, a day at a time."""
    while the_clock.at < until:
        the_clock.advance(days=1)
        billing.work()
    return [(each.period_starts_at, each.period_ends_at, each.due) for each in billing.bills_of(TEN_SEATS)]  # type: ignore[misc]


def test_whole_periods_are_billed_from_then_on(april: Clock) -> None:
    load(amelia_with(next_billed_at=LATER))
    row = stored()
    assert (row.anchor_at, row.next_billed_at, row.paid_until) == (day(5, 28),) * 3
    whole = [(day(5, 28), day(6, 28), 40000), (day(6, 28), day(7, 28), 40000)]
    assert foretold(day(7, 28)) == whole
    assert charged(april, day(7, 20)) == whole


def test_nothing_is_charged_before(april: Clock) -> None:
    load(amelia_with(next_billed_at=LATER))
    assert charged(april, day(5, 27)) == []
    assert stored().status == "active"


@pytest.mark.parametrize("by", ["staff", "key", "customer"])
def test_up_to_a_cancel_that_comes_later_what_is_foretold_is_billed(april: Clock, by: str) -> None:
    cancel = {"action": "cancel", "effective_at": "2024-07-13T10:00:00Z"}
    load(amelia_with(next_billed_at=LATER, scheduled_change=cancel, scheduled_by=by))
    row = stored()
    assert (row.anchor_at, row.next_billed_at, row.ends_at) == (day(5, 28), day(5, 28), day(7, 13))
    half = [(day(5, 28), day(6, 28), 40000), (day(6, 28), day(7, 13), 20000)]
    assert foretold(day(7, 13)) == half
    assert charged(april, day(7, 14)) == half
    assert (stored().status, stored().canceled_at) == ("canceled", day(7, 13))


def test_a_cancel_between_the_periods_end_and_the_next_billing_leaves_nothing_to_bill(april: Clock) -> None:
    cancel = {"action": "cancel", "effective_at": "2024-05-20T10:00:00Z"}
    load(amelia_with(next_billed_at=None, scheduled_change=cancel))
    assert charged(april, day(5, 21)) == []
    assert stored().canceled_at == day(5, 20)


def test_a_day_that_the_first_billing_leads_to_keeps_the_first_billing_as_the_anchor(april: Clock) -> None:
    first = {"started_at": "2024-01-31T10:00:00Z", "first_billed_at": "2024-01-31T10:00:00Z"}
    period = {"starts_at": "2024-03-31T10:00:00Z", "ends_at": "2024-04-30T10:00:00Z"}
    load(amelia_with(**first, current_billing_period=period, next_billed_at="2024-06-30T10:00:00Z"))
    assert stored().anchor_at == day(1, 31)
    assert foretold(day(8, 31)) == [(day(6, 30), day(7, 31), 40000), (day(7, 31), day(8, 31), 40000)]


def test_a_trial_that_is_billed_later_counts_its_months_from_that_billing(april: Clock) -> None:
    load(amelia_with(status="trialing", first_billed_at=None, next_billed_at=LATER))
    assert stored().anchor_at == day(5, 28)
    assert charged(april, day(6, 1)) == [(day(5, 28), day(6, 28), 40000)]


def test_it_holds_for_what_is_moved_to_the_present(database: str, the_clock: Clock) -> None:
    load(amelia_with(next_billed_at=LATER), shift=True)
    row = stored()
    assert row.anchor_at == row.next_billed_at > row.period_ends_at + timedelta(days=19)  # type: ignore[operator]
    [only] = foretold(row.anchor_at + timedelta(days=5))
    assert only[0] == row.anchor_at


def test_without_a_later_date_the_anchor_is_what_it_was(april: Clock) -> None:
    given: Any = next(each for each in DEMO["subscriptions"] if each["id"] == TEN_SEATS)
    load(amelia_with())
    assert stored().anchor_at == datetime.fromisoformat(given["first_billed_at"])
