"""What is expected in the next thirty days is what the worker then bills, to the minor unit."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import clock, ids
from portal.db import session, transaction
from portal.domain import cancellation, charges, expected, overview, pausing, periods, subscriptions
from portal.domain.actors import Actor, system
from portal.domain.subscriptions import SAME_PERIOD
from portal.domain.transactions import Transaction
from tests import people, plans, statements
from tests.api import billing
from tests.conftest import NOW, Clock

IN_TEN_DAYS = NOW + timedelta(days=10)
DAYS = 31
"""Today and the thirty days after it."""
WEEKLY: dict[str, Any] = {"interval": "week", "began": NOW - timedelta(days=6)}


def subscribed(amount: int = 3000, **fields: Any) -> str:
    """One that is billed by the month, for the next time in ten days, unless told otherwise."""
    interval = fields.get("interval", "month")
    fields = {"period_ends_at": IN_TEN_DAYS, "anchor_at": fields.get("period_ends_at", IN_TEN_DAYS)} | fields
    price = people.price(amount, interval=interval, currency=fields.get("currency_code", "USD"))
    return people.subscription(people.customer(), quantity=1, price_id=price, **fields)


def staff() -> Actor:
    return Actor("staff", "stf_1", "console", "Sam Support")


def wait(sub: str, *amounts: int) -> str:
    """Puts charges, and credit, on the next bill."""
    with transaction():
        price = subscriptions.get(sub).items[0].price
        charges.add(sub, [charges.line(price, 1) | {"id": ids.new("txnitm"), "amount": each} for each in amounts])
    return sub


def act(verb: Any, sub: str, *args: Any, **how: Any) -> str:
    with transaction():
        verb(subscriptions.get(sub), *args, **how)
    return sub


def agreed(the_clock: Clock) -> dict[str, int]:
    """What is expected, once it was seen that the worker bills as much until the window is over."""
    begins = overview.midnight(clock.now())
    figure: dict[str, int] = overview.compute()["expected"]
    known = _bills()
    for day in range(1, DAYS + 1):  # what begins at the last midnight is billed half a minute after it
        the_clock.set(begins + timedelta(days=day, seconds=29))
        billing.work()
    billed: Counter[str] = Counter()
    for currency, due in (bill for id, bill in _bills().items() if id not in known):
        billed[currency] += due
    assert figure == dict(+billed)
    return figure


def _bills() -> dict[str, tuple[str, int]]:
    with transaction():
        return {each.id: (each.currency_code, each.due) for each in session().scalars(select(Transaction))}


def test_months_are_counted_from_the_anchor(database: str, the_clock: Clock) -> None:
    the_clock.set(datetime(2027, 2, 28, 6, tzinfo=UTC))
    billing_at = datetime(2027, 2, 28, 12, tzinfo=UTC)
    subscribed(1000, began=billing_at.replace(month=1, day=31), anchor_at=billing_at.replace(month=1, day=31),
               period_ends_at=billing_at)  # fmt: skip
    assert agreed(the_clock) == {"USD": 1000}, "the next one is on the 31st of March, when the window is over"


def test_a_charge_that_waits_is_expected_with_the_next_bill(database: str, the_clock: Clock) -> None:
    wait(subscribed(), 50000)
    assert agreed(the_clock) == {"USD": 53000}


def test_a_charge_waits_with_whom_nothing_is_billed(database: str, the_clock: Clock) -> None:
    wait(subscribed(status="paused", next_billed_at=None), 50000)
    wait(subscribed(period_ends_at=NOW + timedelta(days=40)), 50000)
    assert agreed(the_clock) == {}


def test_credit_that_waits_makes_the_next_bill_less(database: str, the_clock: Clock) -> None:
    wait(subscribed(), -2500)
    assert agreed(the_clock) == {"USD": 500}


def test_credit_beyond_a_bill_makes_the_one_after_it_less(database: str, the_clock: Clock) -> None:
    wait(subscribed(700, **WEEKLY, period_ends_at=NOW + timedelta(days=1)), 100, -1200)
    assert agreed(the_clock) == {"USD": 5 * 700 + 100 - 1200}


def test_credit_of_one_pays_nothing_of_another(database: str, the_clock: Clock) -> None:
    wait(subscribed(), -9900)
    subscribed(1000)
    assert agreed(the_clock) == {"USD": 1000}


def test_who_leaves_on_a_date_pays_for_a_part_less_the_credit_that_waits(database: str, the_clock: Clock) -> None:
    for amounts in ((), (-2500,), (50000,)):
        act(cancellation.on, wait(subscribed(), *amounts), NOW + timedelta(days=15), by=staff())
    assert agreed(the_clock) == {"USD": 484 + 0 + 50484}


def test_who_leaves_on_a_date_beyond_the_window_pays_whole_periods_within_it(database: str, the_clock: Clock) -> None:
    act(cancellation.on, subscribed(700, **WEEKLY, period_ends_at=NOW + timedelta(days=1)),
        NOW + timedelta(days=1000), by=staff())  # fmt: skip
    assert agreed(the_clock) == {"USD": 5 * 700}


def test_who_leaves_at_the_paid_end_pays_nothing(database: str, the_clock: Clock) -> None:
    wait(act(cancellation.at_period_end, subscribed(), by=staff()), 50000)
    assert agreed(the_clock) == {}


def test_a_pause_that_ends_by_itself_is_followed_by_a_bill(database: str, the_clock: Clock) -> None:
    act(pausing.now, subscribed(), by=system(), resume_at=NOW + timedelta(days=5))
    wait(act(pausing.now, subscribed(), by=system(), resume_at=NOW + timedelta(days=6)), -100, 300)
    assert agreed(the_clock) == {"USD": 3000 + 3200}


def test_periods_after_a_pause_count_from_its_end(database: str, the_clock: Clock) -> None:
    weekly = subscribed(700, **WEEKLY, period_ends_at=NOW + timedelta(days=1))
    act(pausing.now, weekly, by=system(), resume_at=NOW + timedelta(days=15))
    assert agreed(the_clock) == {"USD": 3 * 700}


def test_a_pause_that_leaves_the_paid_period_is_followed_by_no_bill_but_the_next(
    database: str, the_clock: Clock
) -> None:
    weekly = subscribed(700, **WEEKLY, period_ends_at=NOW + timedelta(days=4))
    act(pausing.now, weekly, by=system(), resume_at=NOW + timedelta(days=2), on_resume=SAME_PERIOD)
    assert agreed(the_clock) == {"USD": 4 * 700}


def test_a_pause_without_an_end_is_followed_by_nothing(database: str, the_clock: Clock) -> None:
    act(pausing.now, subscribed(), by=system())
    act(pausing.at_period_end, subscribed(), by=system())
    assert agreed(the_clock) == {}


def test_a_planned_pause_is_followed_by_a_bill_if_it_ends_by_itself(database: str, the_clock: Clock) -> None:
    act(pausing.at_period_end, subscribed(), by=system(), resume_at=NOW + timedelta(days=25))
    act(pausing.at_period_end, subscribed(), by=system(), resume_at=NOW + timedelta(days=35))
    assert agreed(the_clock) == {"USD": 3000}


def test_the_rest_of_a_year_is_expected_besides_the_next_year(database: str, the_clock: Clock) -> None:
    the_clock.set(NOW - timedelta(days=360))
    year: dict[str, Any] = {"interval": "year", "began": NOW - timedelta(days=720)}
    sub = subscribed(120000, **year, period_ends_at=NOW - timedelta(days=355))
    act(cancellation.on, sub, NOW, by=staff())
    the_clock.set(NOW - timedelta(days=350))
    billing.work()
    the_clock.set(NOW - timedelta(hours=1))
    act(cancellation.withdraw, sub, by=staff())
    assert agreed(the_clock) == {"USD": 3288 + 120000}


@pytest.mark.parametrize(("early", "due"), [(0, {}), (1, {"USD": 100})])
def test_the_window_ends_with_the_thirtieth_day(
    database: str, the_clock: Clock, early: int, due: dict[str, int]
) -> None:
    subscribed(100, period_ends_at=datetime(2026, 12, 22, tzinfo=UTC) - timedelta(seconds=early))
    assert agreed(the_clock) == due


def test_a_plan_pays_what_is_left_of_it(database: str, the_clock: Clock) -> None:
    plans.plan(1, period_ends_at=NOW + timedelta(days=1))
    weekly: dict[str, Any] = {**WEEKLY, "period_ends_at": NOW + timedelta(days=1)}
    subscribed(700, **weekly, remaining_payments=2)
    wait(subscribed(500, **weekly, remaining_payments=2), -600)
    resumed = act(pausing.now, subscribed(300, **weekly, remaining_payments=2), by=system(), resume_at=IN_TEN_DAYS)
    assert people.row(resumed).remaining_payments == 2
    assert agreed(the_clock) == {"USD": 3000 + 2 * 700 + 400 + 2 * 300}


def test_a_trial_pays_when_it_is_over(database: str, the_clock: Clock) -> None:
    trial: dict[str, Any] = {"status": "trialing", "first_billed_at": None, "period_ends_at": IN_TEN_DAYS}
    subscribed(**trial)
    wait(subscribed(700, interval="week", **trial), -100)
    assert agreed(the_clock) == {"USD": 3000 + 4 * 700 - 100 - 700}


def test_an_invoice_is_expected_as_a_charged_card_is(database: str, the_clock: Clock) -> None:
    wait(subscribed(collection_mode="manual", card=None, currency_code="EUR"), 1000)
    subscribed()
    assert agreed(the_clock) == {"EUR": 4000, "USD": 3000}


def test_what_a_late_worker_has_not_billed_yet_is_expected(database: str, the_clock: Clock) -> None:
    subscribed(700, **WEEKLY, period_ends_at=NOW - timedelta(days=8))
    assert agreed(the_clock) == {"USD": 6 * 700}


def test_who_is_past_due_is_billed_nothing_until_the_debt_is_paid(database: str, the_clock: Clock) -> None:
    wait(subscribed(status="past_due"), -100)
    act(cancellation.on, subscribed(status="past_due"), NOW + timedelta(days=15), by=staff())
    assert agreed(the_clock) == {}


@pytest.mark.parametrize("seed", range(6))
def test_of_many_together_as_much_is_expected_as_is_billed(database: str, the_clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    the_clock.set(rng.choice((datetime(2027, 1, 31, 6, tzinfo=UTC), datetime(2028, 2, 1, 23, 59, tzinfo=UTC), NOW)))
    for _ in range(12):
        _drawn(rng)
    assert agreed(the_clock)


def _drawn(rng: random.Random) -> None:
    """Somewhere in a period of any length, with anything waiting and anything scheduled."""
    now, interval, frequency = clock.now(), rng.choice(("day", "week", "month", "year")), rng.choice((1, 1, 2, 5))
    anchor = now - timedelta(days=rng.choice((31, 59, 90, 365)), hours=rng.random() * 48)
    ends_at = periods.following(anchor, interval, frequency, now)
    began = max(anchor, ends_at - (periods.nth(ends_at, interval, frequency, 1) - ends_at))
    cycle = {"interval": interval, "billing_frequency": frequency, "anchor_at": anchor, "began": began}
    sub = subscribed(
        rng.choice((1, 999, 3000)),
        **cycle,
        period_ends_at=ends_at,
        remaining_payments=rng.choice((None, None, 1, 3)),
    )
    wait(sub, *rng.choice(((), (), (500,), (-700,), (1500, -9000))))
    within, later = (timedelta(days=40 * rng.random(), minutes=1) for _ in range(2))
    plan, what = people.row(sub).remaining_payments, rng.randrange(8)
    if what == 0 and plan is None:
        act(cancellation.on, sub, now + within, by=staff())
    elif what == 1:
        act(pausing.now, sub, by=system(), resume_at=now + within)
    elif what == 2 and now + within < ends_at:
        act(pausing.now, sub, by=system(), resume_at=now + within, on_resume=SAME_PERIOD)
    elif what == 3:
        act(pausing.at_period_end, sub, by=system(), resume_at=ends_at + later)


def test_it_takes_as_many_statements_for_many_as_for_a_few(database: str) -> None:
    def several(count: int) -> int:
        for _ in range(count):
            wait(subscribed(), -100)
            wait(subscribed(), 100)
        with statements.seen() as found:
            expected.before(NOW + timedelta(days=DAYS))
        return len(found)

    assert several(1) == several(20)
