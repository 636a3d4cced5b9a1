"""Credit is given for what was billed for the current period, and for nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from portal import clock
from portal.db import session, transaction
from portal.domain import orders, pausing, purchases, subscriptions
from portal.domain.actors import Actor, system
from portal.domain.catalog import Price
from portal.domain.payment_methods import Card
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.gateways.sandbox import Sandbox
from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.api.test_transactions import MANUAL, address
from tests.conftest import NOW
from tests.customer import visits

END = NOW + timedelta(days=15)
"""The period of 30 days is half over."""
PRORATED, NEXT, UNPAID = "prorated_immediately", "prorated_next_billing_period", "do_not_bill"
VISA = Card("visa", "4242", 7, 2029, gateway="sandbox", reference="sandbox_ok")


@pytest.fixture
def sub(base: str) -> str:
    """Ten seats, for which 300.00 were paid 15 days ago."""
    return subscribed(base)


def subscribed(base: str, **fields: Any) -> str:
    return visits.subscribed(price_id=base, began=NOW - timedelta(days=15), period_ends_at=END, **fields)


def change(seller: App, sub: str, mode: str, *items: tuple[str, int], **more: Any) -> int:
    """What the change costs, or if negative gives back; its preview says the same."""
    listed = [{"price_id": price, "quantity": quantity} for price, quantity in items]
    body = {"proration_billing_mode": mode} | ({"items": listed} if items else {}) | more
    seen = seller.patch(f"/subscriptions/{sub}/preview", body).json["data"]
    before = sum(each.due for each in billing.bills_of(sub)) + sum(billing.waiting(sub))
    answer = seller.patch(f"/subscriptions/{sub}", body)
    assert answer.status_code == 200, answer.json
    cost = sum(each.due for each in billing.bills_of(sub)) + sum(billing.waiting(sub)) - before
    told = seen["update_summary"]
    result = told["result"] if told else {"amount": 0, "action": "charge"}
    assert cost == int(result["amount"]) * (1 if result["action"] == "charge" else -1)
    return cost


def move(seller: App, sub: str, days: float, mode: str = PRORATED) -> int:
    return change(seller, sub, mode, next_billed_at=(END + timedelta(days=days)).isoformat())


def billed(sub: str) -> list[tuple[int, int]]:
    with transaction():
        return [(each.billed_quantity, each.billed_amount) for each in subscriptions.get(sub).items]


def test_seats_that_nobody_paid_give_nothing_back(seller: App, base: str) -> None:
    sub = subscribed(base, quantity=4)
    assert change(seller, sub, UNPAID, (base, 100)) == 0
    assert change(seller, sub, PRORATED, (base, 4)) == 0
    assert (billing.waiting(sub), billing.charged()) == ([], [])
    coming = seller.get(f"/subscriptions/{sub}?include=next_transaction").json["data"]["next_transaction"]
    assert coming["details"]["totals"]["grand_total"] == "12000"


@pytest.mark.parametrize(("to", "credit"), [(12, 0), (10, 0), (7, -4500), (1, -13500)])
def test_of_granted_seats_the_unpaid_ones_go_first(seller: App, sub: str, base: str, to: int, credit: int) -> None:
    change(seller, sub, UNPAID, (base, 15))
    assert change(seller, sub, PRORATED, (base, to)) == credit
    assert billed(sub) == [(min(to, 10), min(to, 10) * 3000)]


def test_what_is_paid_on_top_of_granted_seats_gives_its_own_credit(seller: App, sub: str, base: str) -> None:
    change(seller, sub, UNPAID, (base, 20))
    assert change(seller, sub, PRORATED, (base, 24)) == 6000
    assert change(seller, sub, PRORATED, (base, 5)) == -(14 - 5) * 1500


def test_an_item_that_nobody_paid_gives_nothing_back(seller: App, sub: str, base: str) -> None:
    extra = people.price(600, product="Analytics")
    change(seller, sub, UNPAID, (base, 10), (extra, 50))
    assert change(seller, sub, PRORATED, (base, 10)) == 0


def test_a_date_that_moves_earlier_gives_credit_for_what_was_paid(seller: App, base: str) -> None:
    sub = subscribed(base, quantity=4)
    change(seller, sub, UNPAID, (base, 100))
    assert move(seller, sub, -5) == -2000


def test_and_there_and_back_is_nothing_with_unpaid_seats_too(seller: App, sub: str, base: str) -> None:
    change(seller, sub, UNPAID, (base, 100))
    assert move(seller, sub, 6) == 6000
    assert move(seller, sub, 0) == -6000


def test_the_next_bill_covers_what_was_granted(seller: App, sub: str, base: str, the_clock: Any) -> None:
    change(seller, sub, UNPAID, (base, 20))
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert (billing.charged(), billed(sub)) == ([60000], [(20, 60000)])
    row = people.row(sub)
    assert row.period_ends_at is not None
    the_clock.set(END + (row.period_ends_at - END) / 2)
    assert change(seller, sub, PRORATED, (base, 10)) == -15000


@pytest.mark.parametrize(
    ("on_resume", "credit"), [("continue_existing_billing_period", -7500), ("start_new_billing_period", -45000)]
)
def test_what_joined_in_a_pause_is_paid_with_a_new_period_only(
    seller: App, sub: str, base: str, on_resume: str, credit: int
) -> None:
    seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"})
    extra = people.price(6000, product="Analytics")
    change(seller, sub, UNPAID, (base, 10), (extra, 5))
    body = {"effective_from": "immediately", "on_resume": on_resume}
    assert seller.post(f"/subscriptions/{sub}/resume", body).status_code == 200
    billing.work()
    assert billed(sub) == [(10, 30000), (5, 30000) if credit == -45000 else (0, 0)]
    assert change(seller, sub, PRORATED, (base, 5)) == credit


def test_what_waits_for_the_next_bill_is_billed(seller: App, sub: str, base: str) -> None:
    assert change(seller, sub, NEXT, (base, 20)) == 15000
    assert change(seller, sub, NEXT, (base, 10)) == -15000
    assert sum(billing.waiting(sub)) == 0


@pytest.mark.parametrize("mode", ["full_immediately", "full_next_billing_period"])
def test_what_was_billed_in_full_gives_credit_for_what_is_left(seller: App, sub: str, base: str, mode: str) -> None:
    assert change(seller, sub, mode, (base, 12)) == 6000
    assert change(seller, sub, PRORATED, (base, 10)) == -3000


def test_in_a_longer_period_it_gives_no_more_back_than_it_cost(seller: App, sub: str, base: str) -> None:
    move(seller, sub, 105)
    extra = people.price(600, product="Analytics")
    assert change(seller, sub, "full_next_billing_period", (base, 10), (extra, 5)) == 3000
    assert change(seller, sub, PRORATED, (base, 10)) == -3000


@pytest.mark.parametrize("mode", [UNPAID, "full_immediately"])
def test_what_was_given_up_without_credit_stays_so(seller: App, sub: str, base: str, mode: str) -> None:
    assert change(seller, sub, mode, (base, 4)) == 0
    assert billed(sub) == [(4, 12000)]
    change(seller, sub, UNPAID, (base, 10))
    assert change(seller, sub, PRORATED, (base, 4)) == 0


@pytest.mark.parametrize(
    ("amount", "quantity", "credit"),
    [(3000, 10, -13500), (4500, 10, -13500), (1000, 10, -4500), (3000, 30, -13500), (3000, 5, -6000)],
)
def test_exchanged_without_a_bill_what_was_paid_counts_for_the_new_price(
    seller: App, sub: str, amount: int, quantity: int, credit: int
) -> None:
    new = people.price(amount, product="AeroEdit Enterprise")
    assert change(seller, sub, UNPAID, (new, quantity)) == 0
    assert change(seller, sub, PRORATED, (new, 1)) == credit


def test_exchanged_with_a_bill_the_new_price_is_paid(seller: App, sub: str, base: str) -> None:
    new = people.price(4500, product="AeroEdit Enterprise")
    assert change(seller, sub, PRORATED, (new, 10)) == 22500 - 15000
    assert billed(sub) == [(10, 45000)]
    assert change(seller, sub, PRORATED, (base, 10)) == 15000 - 22500


@pytest.mark.parametrize("amount", [1000, 6000])
def test_a_new_amount_of_the_price_does_not_change_what_was_paid(seller: App, sub: str, base: str, amount: int) -> None:
    with transaction():
        session().get_one(Price, base).amount = amount
    assert change(seller, sub, PRORATED, (base, 7)) == -4500
    assert move(seller, sub, 15) == 21000 * 15 // 30


def test_in_a_trial_nothing_is_paid_and_its_first_bill_pays_all(seller: App, base: str, the_clock: Any) -> None:
    sub = subscribed(base, status="trialing", first_billed_at=None, anchor_at=END)
    change(seller, sub, UNPAID, (base, 12))
    assert billed(sub) == [(0, 0)]
    assert seller.post(f"/subscriptions/{sub}/activate", {}).status_code == 200
    assert billed(sub) == [(12, 36000)]


def test_a_refused_charge_leaves_what_was_billed(seller: App, base: str) -> None:
    sub = subscribed(base, card="sandbox_declines")
    body = {"items": [{"price_id": base, "quantity": 12}], "proration_billing_mode": PRORATED}
    assert refusal(seller.patch(f"/subscriptions/{sub}", body)) == (400, "subscription_payment_declined")
    assert billed(sub) == [(10, 30000)]


def test_seats_that_are_past_due_give_nothing_back_before_they_are_paid(seller: App, base: str) -> None:
    sub = subscribed(base, card="sandbox_declines")
    assert change(seller, sub, PRORATED, (base, 20), on_payment_failure="apply_change") == 15000
    billing.work()
    body = {"items": [{"price_id": base, "quantity": 1}], "proration_billing_mode": PRORATED}
    assert refusal(seller.patch(f"/subscriptions/{sub}", body)) == (400, "subscription_update_when_past_due")


def test_nor_in_the_period_that_a_pause_cut_short(seller: App, base: str) -> None:
    """The debt is given up by the pause, so the period it was for is not there to go on with."""
    sub = subscribed(base, card="sandbox_declines")
    change(seller, sub, PRORATED, (base, 20), on_payment_failure="apply_change")
    billing.work()
    assert seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"}).status_code == 200
    with transaction():
        row = subscriptions.get(sub)
        by = Actor("key", "apikey", "API", received_at=clock.now())
        pausing.resume(row, by=by)
        assert [each.billed_quantity for each in row.items] == [20]
    assert [each.amount for each in billing.bills_of(sub)] == [15000, 60000]


def test_an_invoice_that_is_called_off_gives_nothing_back(seller: App, base: str) -> None:
    sub = subscribed(base, card=None, **MANUAL)
    assert change(seller, sub, PRORATED, (base, 20)) == 15000
    [invoice] = billing.bills_of(sub)
    assert seller.patch(f"/transactions/{invoice.id}", {"status": "canceled"}).status_code == 200
    assert billed(sub) == [(10, 30000)]
    assert change(seller, sub, PRORATED, (base, 10)) == 0
    assert change(seller, sub, PRORATED, (base, 4)) == -9000


def test_one_of_an_earlier_period_takes_nothing_away(seller: App, base: str, the_clock: Any) -> None:
    sub = subscribed(base, card=None, **MANUAL)
    change(seller, sub, PRORATED, (base, 20))
    [invoice] = billing.bills_of(sub)
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert seller.patch(f"/transactions/{invoice.id}", {"status": "canceled"}).status_code == 200
    assert billed(sub) == [(20, 60000)]


@pytest.mark.parametrize("manual", [False, True])
def test_what_is_bought_is_billed_from_the_start(database: str, the_clock: Any, manual: bool) -> None:
    customer_id = people.customer()
    with transaction():
        who = {"customer_id": customer_id, "address_id": address(customer_id)}
        txn = orders.create([(people.price(700), 3)], by=system(), **who, **(MANUAL if manual else {}))
        if manual:
            purchases.invoice(txn, by=system())
    if not manual:
        purchases.pay(txn.id, VISA, Sandbox(), by=system())
    with transaction():
        [item] = session().query(SubscriptionItem).all()
        assert (item.billed_quantity, item.billed_amount) == (3, 2100)
        assert session().query(Subscription).count() == 1
