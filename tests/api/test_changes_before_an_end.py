"""Changes while an end is scheduled within the paid period: billed until that end; the rest counts if it is kept."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from portal.db import transaction
from portal.domain import cancellation, changing, plans, snapshots, subscriptions
from portal.domain.actors import Actor, system
from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.api.test_transactions import MANUAL
from tests.conftest import NOW, Clock
from tests.customer import visits

PAID_UNTIL = NOW + timedelta(days=25)
ENDS = NOW + timedelta(days=1)
LATER = NOW + timedelta(days=21)
PRORATED = "prorated_immediately"


@pytest.fixture
def sub(base: str) -> str:
    """Ten seats, paid until 25 days from now, of a subscription that ends tomorrow."""
    return ending(base)


def ending(base: str, **fields: Any) -> str:
    sub = subscribed(base, **fields)
    on(sub, ENDS)
    return sub


def subscribed(base: str, **fields: Any) -> str:
    return visits.subscribed(price_id=base, began=NOW - timedelta(days=5), period_ends_at=PAID_UNTIL, **fields)


def staff() -> Actor:
    return Actor("staff", "stf_1", "console", "Sam Support")


def on(sub: str, at: datetime) -> None:
    with transaction():
        cancellation.on(subscriptions.get(sub), at, by=staff())


def keep(sub: str) -> None:
    with transaction():
        assert cancellation.withdraw(subscriptions.get(sub), by=staff())


def seats(seller: App, sub: str, *items: tuple[str, int], mode: str = PRORATED, **more: Any) -> int:
    """What is billed for the change at once; its preview says the same."""
    listed = [{"price_id": price, "quantity": quantity} for price, quantity in items]
    body = {"items": listed, "proration_billing_mode": mode} | more
    seen = seller.patch(f"/subscriptions/{sub}/preview", body).json["data"]["immediate_transaction"]
    before = sum(each.due for each in billing.bills_of(sub))
    answer = seller.patch(f"/subscriptions/{sub}", body)
    assert answer.status_code == 200, answer.json
    cost = sum(each.due for each in billing.bills_of(sub)) - before
    assert cost == (int(seen["details"]["totals"]["grand_total"]) if seen else 0)
    if cost:
        bill = seller.get(f"/transactions/{billing.bills_of(sub)[-1].id}").json["data"]
        assert seen["billing_period"]["ends_at"] == bill["billing_period"]["ends_at"]
    return cost


def come_to(the_clock: Clock, at: datetime) -> None:
    the_clock.set(at + timedelta(seconds=31))
    billing.work()


def test_seats_added_before_an_end_cost_the_time_until_it(seller: App, sub: str, base: str, the_clock: Clock) -> None:
    assert seats(seller, sub, (base, 20)) == 1000
    [bill] = billing.bills_of(sub)
    assert (bill.period_ends_at, bill.lines[0]["proration"]["rate"]) == (ENDS, "0.03333")
    come_to(the_clock, ENDS)
    assert people.row(sub).status == "canceled"
    assert (billing.charged(), billing.waiting(sub)) == ([1000], [])


def test_taken_back_the_next_bill_takes_the_rest_of_the_period(
    seller: App, sub: str, base: str, the_clock: Clock
) -> None:
    seats(seller, sub, (base, 20))
    keep(sub)
    coming = seller.get(f"/subscriptions/{sub}?include=next_transaction").json["data"]["next_transaction"]
    assert coming["details"]["totals"]["grand_total"] == "84000"
    come_to(the_clock, PAID_UNTIL)
    assert billing.charged() == [1000, 60000 + 24000]


@pytest.mark.parametrize("kept", [False, True])
def test_removed_again_they_give_back_what_was_billed_and_no_more(
    seller: App, sub: str, base: str, kept: bool, the_clock: Clock
) -> None:
    seats(seller, sub, (base, 20))
    if kept:
        keep(sub)
    assert seats(seller, sub, (base, 10)) == 0
    assert sum(billing.waiting(sub)) == -1000
    if not kept:
        come_to(the_clock, ENDS)
        assert (billing.charged(), billing.waiting(sub)) == ([1000], [])


def test_an_upgrade_costs_the_difference_until_the_end(seller: App, sub: str, base: str) -> None:
    better = people.price(4500, product="AeroEdit Enterprise")
    assert seats(seller, sub, (better, 10)) == 500
    assert sum(billing.waiting(sub)) == 12000


def test_moved_to_a_later_date_nothing_more_is_billed(seller: App, sub: str, base: str, the_clock: Clock) -> None:
    seats(seller, sub, (base, 20))
    on(sub, LATER)
    come_to(the_clock, LATER)
    assert (people.row(sub).status, billing.charged()) == ("canceled", [1000])


def test_nor_does_what_was_not_billed_pay_for_anything_else(seller: App, sub: str, base: str) -> None:
    """Of 20 seats 260.00 are paid and not used: 10 until the end of the period, and 10 for a day."""
    seats(seller, sub, (base, 20))
    on(sub, LATER)
    better = people.price(4500, product="AeroEdit Enterprise")
    assert seats(seller, sub, (better, 20)) == 63000 - 26000
    assert sum(billing.waiting(sub)) == 75000 - 50000 + 25000 - 1000 - (63000 - 26000)


def test_moved_beyond_the_paid_period_its_next_bill_takes_the_rest(
    seller: App, sub: str, base: str, the_clock: Clock
) -> None:
    seats(seller, sub, (base, 20))
    on(sub, PAID_UNTIL + timedelta(days=60))
    come_to(the_clock, PAID_UNTIL)
    assert billing.charged() == [1000, 60000 + 24000]


def test_moved_to_an_earlier_date_nothing_is_given_back(seller: App, sub: str, base: str, the_clock: Clock) -> None:
    seats(seller, sub, (base, 20))
    on(sub, NOW + timedelta(hours=2))
    assert seats(seller, sub, (base, 30)) == round(30000 * 2 / 720)
    come_to(the_clock, NOW + timedelta(hours=2))
    assert (people.row(sub).status, billing.charged()) == ("canceled", [1000, 83])


@pytest.mark.parametrize(("mode", "cost"), [("full_immediately", 30000), ("do_not_bill", 0)])
def test_in_full_or_without_a_bill_it_is_as_without_an_end(
    seller: App, sub: str, base: str, mode: str, cost: int
) -> None:
    assert seats(seller, sub, (base, 20), mode=mode) == cost
    assert [each.period_ends_at for each in billing.bills_of(sub)] == [PAID_UNTIL] * bool(cost)
    assert billing.waiting(sub) == []


def test_what_waits_does_not_pay_for_anything_that_is_billed_before_it(seller: App, base: str) -> None:
    """Without an end alike: 50 seats of which 10 are paid are exchanged for dearer ones."""
    sub = subscribed(base)
    assert seats(seller, sub, (base, 50), mode="prorated_next_billing_period") == 0
    better = people.price(4500, product="AeroEdit Enterprise")
    assert seats(seller, sub, (better, 50)) == 187500 - 25000
    assert sum(billing.waiting(sub)) == 0


def test_a_declined_charge_leaves_nothing_that_waits(seller: App, base: str) -> None:
    sub = ending(base, card="sandbox_declines")
    body = {"items": [{"price_id": base, "quantity": 20}], "proration_billing_mode": PRORATED}
    assert refusal(seller.patch(f"/subscriptions/{sub}", body)) == (400, "subscription_payment_declined")
    assert billing.waiting(sub) == []


def test_of_an_invoice_that_is_called_off_nothing_follows(seller: App, base: str) -> None:
    sub = ending(base, card=None, **MANUAL)
    assert seats(seller, sub, (base, 20)) == 1000
    assert seats(seller, sub, (base, 25)) == 500
    first, _ = billing.bills_of(sub)
    assert billing.waiting(sub) == [24000, 12000]
    assert seller.patch(f"/transactions/{first.id}", {"status": "canceled"}).status_code == 200
    assert billing.waiting(sub) == [12000]


@pytest.mark.parametrize("seed", range(6))
def test_with_ends_that_come_and_go_it_comes_to_the_same(base: str, the_clock: Clock, seed: int) -> None:
    """Of two that are changed alike one has ends set, moved and taken back; none of its bills is for later than these.

    Whatever waits is counted in: it is what is billed once nothing is ending any more.
    """
    chance, better = random.Random(seed), people.price(4500)
    ends, goes_on = (subscribed(base, card=None, **MANUAL) for _ in range(2))
    for _ in range(12):
        the_clock.advance(hours=chance.choice((1, 12)))
        stands = people.row(ends).ends_at
        if stands is not None and (stands < the_clock.at + timedelta(days=1) or chance.random() < 0.2):
            keep(ends)
        elif chance.random() < 0.6:
            on(ends, the_clock.at + timedelta(days=chance.choice((1, 3, 11, 40)), seconds=chance.random()))
        some = chance.sample([base, better], chance.choice((1, 2)))
        items = [(each, chance.randint(1, 40)) for each in some]
        wanted = plans.Wanted(items, mode=chance.choice((PRORATED, PRORATED, "full_immediately", "do_not_bill")))
        until = [make(each, wanted, [base, better]) for each in (ends, goes_on)]
        stands = people.row(ends).ends_at
        assert stands is None or wanted.mode != PRORATED or until[0] is None or until[0] <= stands
        assert total(ends) == total(goes_on)


def make(sub: str, wanted: plans.Wanted, price_ids: list[str]) -> datetime | None:
    """Makes a change, and says up to when it was billed; its preview, planned on a plain row, costs the same."""
    with transaction():
        known, row = changing.prices(price_ids), subscriptions.get(sub)
        plan, seen = (plans.of_update(each, wanted, known, by=system()) for each in (row, snapshots.find(sub)))
        assert plan.bill.due == seen.bill.due
        changing.make(row, plan, by=system())
    return plan.period[1] if plan.bills_now else None


def total(sub: str) -> int:
    return sum(each.due for each in billing.bills_of(sub)) + sum(billing.waiting(sub))
