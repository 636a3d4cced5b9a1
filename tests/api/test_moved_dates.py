"""Changes after the billing date was moved: nobody is given back more than was paid, and there and back is nothing."""

import random
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import transaction
from portal.domain import changing, plans, snapshots
from portal.domain.actors import Actor
from tests import people
from tests.api import billing
from tests.api.calls import App
from tests.conftest import NOW
from tests.customer import visits

END = NOW + timedelta(days=30)
NOW_MODE, NEXT_MODE, UNPAID = "prorated_immediately", "prorated_next_billing_period", "do_not_bill"
PAID = 30000


@pytest.fixture
def seller(app: Flask) -> App:
    return App(app)


@pytest.fixture
def base(app: Flask) -> str:
    return people.price(3000)


@pytest.fixture
def sub(base: str) -> str:
    """A subscription whose 30 days, for which 300.00 are paid, have just begun."""
    return visits.subscribed(price_id=base, began=NOW, period_ends_at=END)


def move(seller: App, sub: str, days: float, mode: str = NOW_MODE) -> None:
    body = {"next_billed_at": (NOW + timedelta(days=days)).isoformat(), "proration_billing_mode": mode}
    assert seller.patch(f"/subscriptions/{sub}", body).status_code == 200


def seats(seller: App, sub: str, base: str, quantity: int, mode: str = NOW_MODE) -> None:
    """Changes the quantity; its preview must say the same."""
    body = {"items": [{"price_id": base, "quantity": quantity}], "proration_billing_mode": mode}
    seen = seller.patch(f"/subscriptions/{sub}/preview", body).json["data"]
    before = sum(billing.charged()) + sum(billing.waiting(sub))
    assert seller.patch(f"/subscriptions/{sub}", body).status_code == 200
    cost = sum(billing.charged()) + sum(billing.waiting(sub)) - before
    summary = seen["update_summary"]
    assert cost == int(summary["result"]["amount"]) * (1 if summary["result"]["action"] == "charge" else -1)


def test_seats_removed_from_a_shorter_period_give_back_what_is_left_of_their_price(
    seller: App, sub: str, base: str
) -> None:
    move(seller, sub, 3)
    seats(seller, sub, base, 1)
    assert billing.waiting(sub) == [-27000, -2700]


def test_seats_added_to_a_shorter_period_cost_its_days(seller: App, sub: str, base: str) -> None:
    move(seller, sub, 3)
    seats(seller, sub, base, 20, NEXT_MODE)
    assert billing.waiting(sub) == [-27000, 3000]


@pytest.mark.parametrize("days", [3, 29.5, 45, 60, 1000])
@pytest.mark.parametrize("mode", [NOW_MODE, NEXT_MODE])
def test_there_and_back_costs_nothing(seller: App, sub: str, days: float, mode: str) -> None:
    move(seller, sub, days, mode)
    move(seller, sub, 30, mode)
    assert sum(billing.charged()) + sum(billing.waiting(sub)) == 0


def test_a_move_that_nobody_pays_leaves_what_is_left_worth_what_it_was(
    seller: App, sub: str, base: str, the_clock: Any
) -> None:
    the_clock.set(NOW + timedelta(days=15))
    move(seller, sub, 60, UNPAID)
    seats(seller, sub, base, 1)
    assert billing.waiting(sub) == [-13500]


def test_the_next_period_pays_for_its_own_length_again(seller: App, sub: str, base: str, the_clock: Any) -> None:
    move(seller, sub, 3)
    assert people.row(sub).price_lasts == 30 * 86_400_000_000
    the_clock.set(NOW + timedelta(days=3, seconds=31))
    billing.work()
    row = people.row(sub)
    assert (row.price_lasts, row.period_starts_at) == (None, NOW + timedelta(days=3))
    assert row.period_ends_at is not None
    the_clock.set(NOW + timedelta(days=3) + (row.period_ends_at - NOW - timedelta(days=3)) / 2)
    before = sum(billing.waiting(sub))
    seats(seller, sub, base, 1, NEXT_MODE)
    assert sum(billing.waiting(sub)) - before == -13500


@pytest.mark.parametrize(
    ("on_resume", "lasts"),
    [("continue_existing_billing_period", 30 * 86_400_000_000), ("start_new_billing_period", None)],
)
def test_a_pause_keeps_it_for_the_period_it_keeps(seller: App, sub: str, on_resume: str, lasts: int | None) -> None:
    move(seller, sub, 20)
    assert seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"}).status_code == 200
    body = {"effective_from": "immediately", "on_resume": on_resume}
    assert seller.post(f"/subscriptions/{sub}/resume", body).status_code == 200
    assert people.row(sub).price_lasts == lasts


def test_a_move_that_costs_more_than_a_bill_holds_is_refused(seller: App, app: Flask) -> None:
    dear = people.price(2**46)
    sub = visits.subscribed(price_id=dear, quantity=1, began=NOW, period_ends_at=NOW + timedelta(hours=1))
    before = visits.records()
    body = {"next_billed_at": (NOW + timedelta(days=1800)).isoformat(), "proration_billing_mode": NEXT_MODE}
    assert seller.patch(f"/subscriptions/{sub}", body).status_code == 400
    assert visits.records() == before


@pytest.mark.parametrize("seed", range(40))
def test_no_sequence_of_changes_gives_back_more_than_was_paid(sub: str, base: str, the_clock: Any, seed: int) -> None:
    """Planned and made in memory, as a preview is; each line is rounded by half a unit at most."""
    chance = random.Random(seed)
    for _ in range(10):
        the_clock.set(NOW)
        with transaction():
            subscription = snapshots.find(sub)
        net, lines = PAID, 0
        for _ in range(chance.randint(1, 8)):
            left = subscription.period_ends_at - clock.now()
            the_clock.advance(seconds=max(0.0, chance.random() * (left.total_seconds() - 7200)))
            changes = [_any_move(chance), _seats(base, chance.randint(1, 60))]
            for amount in _make(subscription, chance.choice(changes)):
                net, lines = net + amount, lines + 1
        soon = clock.now() + timedelta(minutes=31)
        for last in (_seats(base, 1), plans.Wanted(next_billed_at=soon, mode=NOW_MODE)):
            for amount in _make(subscription, last):
                net, lines = net + amount, lines + 1
        assert net >= -lines


def _any_move(chance: random.Random) -> plans.Wanted:
    at = clock.now() + timedelta(minutes=31, seconds=chance.choice([1, 86400, 86400 * 90]) * chance.random())
    return plans.Wanted(next_billed_at=at, mode=chance.choice([NOW_MODE, NEXT_MODE, UNPAID]))


def _seats(base: str, quantity: int) -> plans.Wanted:
    return plans.Wanted(items=[(base, quantity)], mode=NOW_MODE)


def _make(subscription: Any, wanted: plans.Wanted) -> list[int]:
    by = Actor("key", "apikey", "API", received_at=clock.now())
    plan = plans.of_update(subscription, wanted, {}, by=by)
    changing.take(subscription, plan.change, {})
    return [each["amount"] for each in plan.lines]
