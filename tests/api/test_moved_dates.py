"""Changes after the billing date was moved: nobody is given back more than was paid, and there and back is nothing."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import session, transaction
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
    """Planned and made in memory, as a preview is; each line is rounded by half a unit at most.

    Moved, more and fewer, billed or not, exchanged, paused, at prices that change meanwhile.
    """
    chance, others = random.Random(seed), [people.price(amount) for amount in (1700, 4500)]
    for _ in range(10):
        the_clock.set(NOW)
        subscription, known = _fresh(sub, [base, *others])
        net, lines, said = PAID, 0, []
        for _ in range(chance.randint(1, 8)):
            left = subscription.period_ends_at - clock.now()
            the_clock.advance(seconds=max(0.0, chance.random() * (left.total_seconds() - 7200)))
            wanted = chance.choice([_any_move(chance), _any_items(chance, [base, *others])])
            act = chance.choice([_make, _make, _make, _make_while_paused, _make_after_a_new_price])
            amounts = act(subscription, wanted, known)
            net, lines = net + sum(amounts), lines + len(amounts)
            said.append((clock.now() - NOW, act.__name__, wanted, amounts))
            assert all(0 <= each.billed_quantity <= each.quantity for each in subscription.items), said
        soon = clock.now() + timedelta(minutes=31)
        for last in (_seats(base, 1), plans.Wanted(next_billed_at=soon, mode=NOW_MODE)):
            amounts = _make(subscription, last, known)
            net, lines = net + sum(amounts), lines + len(amounts)
        assert net >= -lines, said


def _fresh(sub: str, price_ids: list[str]) -> tuple[Any, dict[str, Any]]:
    """A subscription and the prices that there are, which the database does not hear of any more."""
    with transaction():
        subscription, known = snapshots.find(sub), changing.prices(price_ids)
        session().expunge_all()
    return subscription, known


def _any_move(chance: random.Random) -> plans.Wanted:
    at = clock.now() + timedelta(minutes=31, seconds=chance.choice([1, 86400, 86400 * 90]) * chance.random())
    return plans.Wanted(next_billed_at=at, mode=chance.choice([NOW_MODE, NEXT_MODE, UNPAID]))


def _any_items(chance: random.Random, price_ids: list[str]) -> plans.Wanted:
    some = chance.sample(price_ids, chance.choice([1, 1, 2]))
    return plans.Wanted(items=[(each, chance.randint(1, 60)) for each in some], mode=chance.choice(plans.MODES))


def _seats(base: str, quantity: int) -> plans.Wanted:
    return plans.Wanted(items=[(base, quantity)], mode=NOW_MODE)


def _make(subscription: Any, wanted: plans.Wanted, known: dict[str, Any]) -> list[int]:
    by = Actor("key", "apikey", "API", received_at=clock.now())
    plan = plans.of_update(subscription, wanted, known, by=by)
    changing.take(subscription, plan.change, known)
    return [each["amount"] for each in plan.lines]


def _make_while_paused(subscription: Any, wanted: plans.Wanted, known: dict[str, Any]) -> list[int]:
    """Only items change then, and without a bill; the period that was paid goes on."""
    if wanted.items is None:
        return _make(subscription, wanted, known)
    period = subscription.period_starts_at, subscription.period_ends_at
    subscription.status, subscription.next_billed_at = "paused", None
    subscription.period_starts_at = subscription.period_ends_at = None
    subscription.kept_period_starts_at, subscription.kept_period_ends_at = period
    amounts = _make(subscription, replace(wanted, mode=UNPAID), known)
    subscription.status, subscription.next_billed_at = "active", period[1]
    subscription.period_starts_at, subscription.period_ends_at = period
    subscription.kept_period_starts_at = subscription.kept_period_ends_at = None
    return amounts


def _make_after_a_new_price(subscription: Any, wanted: plans.Wanted, known: dict[str, Any]) -> list[int]:
    for price in known.values():
        price.amount = price.amount * 7 % 9001
    for item in subscription.items:
        item.price.amount = known[item.price_id].amount
    return _make(subscription, wanted, known)
