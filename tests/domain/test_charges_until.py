"""What staff are shown before they cancel on a date is what the worker then bills, to the minor unit."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from portal import ids
from portal.db import session, transaction
from portal.domain import cancellation, charges, ending, periods, previews, snapshots, subscriptions
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.subscriptions import SubscriptionItem
from tests import people
from tests.api import billing
from tests.conftest import Clock

ANCHORS = (
    datetime(2027, 1, 31, 9, 30, 15, 250_001, tzinfo=UTC),
    datetime(2028, 1, 31, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2027, 11, 30, 12, tzinfo=UTC),
    datetime(2027, 3, 27, 1, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 0, 7, tzinfo=UTC),
)
CYCLES = [(each, n) for each in ("day", "week", "month", "year") for n in (1, 2, 3, 6)]
STEPS = {"day": 0.7, "week": 4, "month": 17, "year": 200}
Told = tuple[datetime, datetime, int, list[int]]


@dataclass
class Story:
    """A subscription somewhere in one of its periods, and the date that is chosen for its end."""

    id: str
    end: datetime
    step: timedelta


def draw(rng: random.Random, the_clock: Clock) -> Story:
    interval, frequency = rng.choice(CYCLES)
    anchor = rng.choice(ANCHORS)
    n, trial = rng.randrange(4), rng.random() < 0.2
    began = anchor - timedelta(days=14) if trial else periods.nth(anchor, interval, frequency, n)
    ends = anchor if trial else periods.nth(anchor, interval, frequency, n + 1)
    the_clock.set(began + (ends - began) * rng.random())
    sub = people.subscription(
        people.customer(),
        began=began,
        period_ends_at=ends,
        price_id=people.price(rng.choice((0, 1, 3, 999, 3000, 1_234_567)), interval=interval),
        quantity=rng.choice((1, 2, 7)),
        anchor_at=anchor,
        billing_interval=interval,
        billing_frequency=frequency,
        **({"status": "trialing", "first_billed_at": None} if trial else {}),
        **({"collection_mode": "manual", "card": None} if rng.random() < 0.3 else {}),
    )
    _second_item(sub, rng)
    _waiting(sub, rng)
    length = periods.nth(anchor, interval, frequency, 1) - anchor
    end = the_clock.at + length * rng.choice((0.4, 3, 5, 9)) * rng.random()
    if rng.random() < 0.15:
        end = periods.nth(anchor, interval, frequency, n + rng.randrange(1, 4))
    if rng.random() < 0.3:
        end = end.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return Story(sub, min(end, the_clock.at + timedelta(days=1500)), timedelta(days=STEPS[interval] * frequency))


def _second_item(sub: str, rng: random.Random) -> None:
    if rng.random() < 0.5:
        return
    price, began = people.price(rng.choice((5, 4999)), product="AeroEdit Storage"), people.row(sub).created_at
    with transaction():
        session().add(
            SubscriptionItem(
                subscription_id=sub, position=1, price_id=price, quantity=3, created_at=began, updated_at=began
            )
        )


def _waiting(sub: str, rng: random.Random) -> None:
    """One-time charges, and credit that may be more than the next bills come to."""
    with transaction():
        price = subscriptions.get(sub).items[0].price
        lines = [
            charges.line(price, 1) | {"id": ids.new("txnitm"), "amount": amount}
            for amount in rng.choice(((), (), (500,), (-700,), (1500, -1_000_000), (-3, 2, -9999)))
        ]
        charges.add(sub, lines)


def foretold(sub: str, end: datetime) -> list[Told]:
    found = ending.charges_until(snapshots.find(sub), end)
    return [_told(each.at, each.period.ends_at, each.due, each.bill.lines) for each in found]


def billed(sub: str) -> list[Told]:
    bills = [each for each in billing.bills_of(sub) if each.origin == "subscription_recurring"]
    return [_told(each.period_starts_at, each.period_ends_at, each.due, each.lines) for each in bills]


def _told(starts_at: Any, ends_at: Any, due: int, lines: list[dict[str, Any]]) -> Told:
    return starts_at, ends_at, due, [line["amount"] for line in lines]


def staff() -> Actor:
    return Actor("staff", "stf_1", "console", "Sam")


def schedule(story: Story) -> None:
    with transaction():
        cancellation.on(subscriptions.get(story.id), story.end, by=staff())


def live_through(story: Story, the_clock: Clock, rng: random.Random) -> Iterator[None]:
    """The clock moves step by step, sometimes far over several payments, until the end has been carried out."""
    while people.row(story.id).status != "canceled":
        far = 3 if rng.random() < 0.15 else 1
        the_clock.set(the_clock.at + story.step * far * rng.random() + timedelta(seconds=40))
        billing.work()
        yield


@pytest.mark.parametrize("seed", range(12))
def test_what_is_foretold_is_what_is_billed(database: str, the_clock: Clock, seed: int) -> None:
    rng, parts, several = random.Random(seed), 0, 0
    for _ in range(10):
        story = draw(rng, the_clock)
        expected = foretold(story.id, story.end)
        schedule(story)
        assert foretold(story.id, story.end) == expected, "pending, it is still what will be charged"
        for _ in live_through(story, the_clock, rng):
            seen, row = billed(story.id), people.row(story.id)
            assert seen == expected[: len(seen)]
            if row.status != "canceled":
                assert foretold(story.id, story.end) == expected[len(seen) :]
                assert (row.next_billed_at is None) == (len(seen) == len(expected))
                _assert_told_to_apps(story.id, expected[len(seen) :])
        assert billed(story.id) == expected, story
        assert people.row(story.id).canceled_at == story.end
        parts += any(each[1] == story.end for each in expected)
        several += len(expected) > 1
    assert parts > 1, "some ended within a period"
    assert several, "some were charged more than once"


def _assert_told_to_apps(sub: str, coming: list[Told]) -> None:
    """The API's preview of the next bill is the next one of them."""
    told = previews.next_transaction(snapshots.find(sub))
    if told is None:
        assert coming == []
        return
    assert told["details"]["totals"]["grand_total"] == str(coming[0][2])


@pytest.mark.parametrize("seed", range(8))
def test_parts_of_a_period_come_to_its_price(database: str, the_clock: Clock, seed: int) -> None:
    """Cut by an end, which is taken back, cut again, taken back again: as if nothing had happened, to the cent."""
    rng = random.Random(100 + seed)
    amount, anchor = rng.choice((3, 7, 999, 100_001)), rng.choice(ANCHORS)
    the_clock.set(anchor + timedelta(days=3))
    sub = people.subscription(
        people.customer(), began=anchor, price_id=people.price(amount), quantity=1, collection_mode="automatic"
    )
    for n in range(1, 5):
        starts_at, ends_at = (periods.nth(anchor, "month", 1, n + each) for each in (0, 1))
        the_clock.set(starts_at - timedelta(hours=5))
        cuts = sorted(starts_at + (ends_at - starts_at) * rng.random() for _ in range(rng.randrange(4)))
        for cut in cuts:
            with transaction():
                cancellation.on(subscriptions.get(sub), cut, by=staff())
            the_clock.set(max(the_clock.at, people.row(sub).paid_until) + timedelta(seconds=31))
            billing.work()
            row = people.row(sub)
            assert (row.period_ends_at, row.billing_resumes_at, row.next_billed_at) == (cut, cut, None)
            the_clock.set(cut - timedelta(microseconds=1))
            with transaction():
                assert cancellation.withdraw(subscriptions.get(sub), by=staff())
            assert people.row(sub).next_billed_at == cut
        the_clock.set(the_clock.at + timedelta(seconds=40) if cuts else starts_at + timedelta(seconds=40))
        billing.work()
        row = people.row(sub)
        assert (row.status, row.period_ends_at, row.next_billed_at) == ("active", ends_at, ends_at)
        bills = [each for each in billing.bills_of(sub) if starts_at <= each.period_starts_at < ends_at]
        assert len(bills) == len(cuts) + 1
        assert sum(each.amount for each in bills) == amount
        assert [each.period_starts_at for each in bills] == [starts_at, *cuts]
        assert all(each.amount >= 0 for each in bills)


def test_five_years_of_days_are_foretold_and_usual_bills_made_once(database: str, the_clock: Clock) -> None:
    sub = people.subscription(people.customer(), interval="day", began=the_clock.at)
    coming = ending.charges_until(snapshots.find(sub), the_clock.at + cancellation.FARTHEST)
    assert len(coming) == 365 * 5 + 1 - 1
    assert ending.total(coming) == 30000 * len(coming)
    assert len({id(each.bill) for each in coming}) == 1


@pytest.mark.parametrize("status", ["paused", "canceled"])
def test_nothing_is_charged_of_what_is_paused_or_has_ended(database: str, the_clock: Clock, status: str) -> None:
    sub = people.subscription(people.customer(), status=status)
    assert ending.charges_until(snapshots.find(sub), the_clock.at + timedelta(days=300)) == []


@pytest.mark.parametrize("left", [1, 2, 5])
def test_a_payment_plan_is_charged_for_the_payments_that_are_left(database: str, the_clock: Clock, left: int) -> None:
    sub = people.subscription(people.customer(), remaining_payments=left)
    coming = ending.charges_until(snapshots.find(sub), the_clock.at + timedelta(days=1000))
    assert len(coming) == left
    assert coming[-1].period.ends_at == ending.plan_ends_at(people.row(sub))


def test_prices_of_a_year_with_a_leap_day_are_shared_by_its_days(database: str, the_clock: Clock) -> None:
    the_clock.set(datetime(2027, 6, 1, tzinfo=UTC))
    sub = people.subscription(
        people.customer(),
        began=datetime(2027, 1, 1, tzinfo=UTC),
        interval="year",
        price_id=people.price(36600, interval="year"),
        quantity=1,
    )
    update_to = datetime(2028, 3, 1, tzinfo=UTC)
    (only,) = ending.charges_until(snapshots.find(sub), update_to)
    assert only.due == (31 + 29) * 100
    assert only.is_part
    assert only.bill.lines[0]["proration"] == {
        "rate": "0.16393",
        "billing_period": {"starts_at": "2028-01-01T00:00:00.000000Z", "ends_at": "2028-03-01T00:00:00.000000Z"},
    }


def test_a_price_that_changes_meanwhile_changes_what_is_foretold(database: str, the_clock: Clock) -> None:
    price = people.price(3000)
    sub = people.subscription(people.customer(), price_id=price, quantity=1)
    end = the_clock.at + timedelta(days=60)
    before = ending.total(ending.charges_until(snapshots.find(sub), end))
    with transaction():
        session().execute(update(Price).where(Price.id == price).values(amount=6000))
    assert ending.total(ending.charges_until(snapshots.find(sub), end)) == 2 * before
