"""Credit in a bill that is canceled: it waits for the next bill, unless the subscription has ended."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from portal.db import session, transaction
from portal.domain import charges
from portal.domain.subscriptions import Subscription
from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.api.test_transactions import MANUAL
from tests.customer import visits
from tests.customer.visits import END

CREDIT = {"id": "txnitm_x", "quantity": 1, "price": {"id": "pri_x"}, "product": {}, "proration": None}
AT_ONCE = {"effective_from": "immediately"}


def due(*amounts: int) -> list[tuple[int, int]]:
    """Bills of 30.00 each, with these left to pay."""
    return [(3000, each) for each in amounts]


def bills(sub: str) -> list[tuple[int, int]]:
    return [(each.amount, each.due) for each in billing.bills_of(sub)]


def credited(credit: int, **fields: Any) -> str:
    """A subscription of 30.00 a month, renewed with a credit."""
    sub = visits.subscribed(quantity=1, **fields)
    with transaction():
        charges.add(sub, [CREDIT | {"amount": -credit}])
    return sub


def renew(the_clock: Any, months: int = 0) -> None:
    the_clock.set(END + timedelta(days=31 * months, seconds=31))
    billing.work()


def call_off(seller: App, sub: str) -> Any:
    return seller.patch(f"/transactions/{billing.bills_of(sub)[-1].id}", {"status": "canceled"})


@pytest.fixture
def invoiced(seller: App, the_clock: Any) -> str:
    """An invoice of 30.00, of which 20.00 are paid by credit."""
    sub = credited(2000, card=None, **MANUAL)
    renew(the_clock)
    assert (bills(sub), billing.waiting(sub)) == (due(1000), [])
    return sub


@pytest.fixture
def past_due(seller: App, the_clock: Any) -> str:
    """The same of a card that is refused."""
    sub = credited(2000, card="sandbox_declines")
    renew(the_clock)
    assert (bills(sub), billing.waiting(sub), people.row(sub).status) == (due(1000), [], "past_due")
    return sub


def test_credit_in_an_invoice_that_is_called_off_is_in_the_next_one(seller: App, invoiced: str, the_clock: Any) -> None:
    canceled = call_off(seller, invoiced).json["data"]
    assert (canceled["status"], canceled["details"]["totals"]["credit"]) == ("canceled", "2000")
    assert billing.waiting(invoiced) == [-2000]
    coming = seller.get(f"/subscriptions/{invoiced}?include=next_transaction").json["data"]["next_transaction"]
    assert coming["details"]["totals"]["grand_total"] == "1000"
    renew(the_clock, months=1)
    assert (bills(invoiced), billing.waiting(invoiced)) == (due(1000, 1000), [])


def test_called_off_twice_it_waits_once(seller: App, invoiced: str) -> None:
    call_off(seller, invoiced)
    before = visits.records()
    assert refusal(call_off(seller, invoiced)) == (400, "transaction_immutable")
    assert (visits.records(), billing.waiting(invoiced)) == (before, [-2000])


def test_as_often_as_the_next_one_is_called_off_too(seller: App, invoiced: str, the_clock: Any) -> None:
    for month in (1, 2):
        call_off(seller, invoiced)
        renew(the_clock, months=month)
    assert (bills(invoiced), billing.waiting(invoiced)) == (due(1000, 1000, 1000), [])


def test_credit_in_a_debt_that_a_pause_gives_up_is_in_the_bill_of_the_resumption(
    seller: App, past_due: str, the_clock: Any
) -> None:
    assert seller.post(f"/subscriptions/{past_due}/pause", AT_ONCE).status_code == 200
    assert billing.waiting(past_due) == [-2000]
    events = people.events_of(past_due)
    assert events[-2:] == ["subscription.updated", "subscription.paused"]
    the_clock.advance(days=3)
    assert seller.post(f"/subscriptions/{past_due}/resume", AT_ONCE).status_code == 200
    assert (bills(past_due), billing.waiting(past_due)) == (due(1000, 1000), [])
    assert [each.status for each in billing.bills_of(past_due)] == ["canceled", "billed"]


def test_paused_again_before_it_is_paid_it_waits_once_more(seller: App, past_due: str, the_clock: Any) -> None:
    for _ in range(2):
        assert seller.post(f"/subscriptions/{past_due}/pause", AT_ONCE).status_code == 200
        assert billing.waiting(past_due) == [-2000]
        the_clock.advance(days=1)
        assert seller.post(f"/subscriptions/{past_due}/resume", AT_ONCE).status_code == 200
        billing.work()
    assert bills(past_due) == due(1000, 1000, 1000)


def test_credit_that_pays_all_of_a_bill_is_used_up_with_it(seller: App, the_clock: Any) -> None:
    sub = credited(4000, card="sandbox_declines")
    renew(the_clock)
    assert [each.status for each in billing.bills_of(sub)] == ["completed"]
    assert seller.post(f"/subscriptions/{sub}/pause", AT_ONCE).status_code == 200
    assert billing.waiting(sub) == [-1000]


def test_only_what_the_bill_took_waits_beside_what_waited_on(seller: App, the_clock: Any) -> None:
    sub = credited(4000, card=None, **MANUAL)
    renew(the_clock)
    assert (bills(sub), billing.waiting(sub)) == (due(0), [-1000])
    assert call_off(seller, sub).status_code == 200
    assert sum(billing.waiting(sub)) == -4000


def test_credit_of_a_change_waits_when_its_invoice_is_called_off(seller: App, base: str, the_clock: Any) -> None:
    """The seats that were removed were paid; those that were added are not billed any more."""
    other = people.price(6000)
    sub = visits.subscribed(price_id=base, quantity=2, began=END - timedelta(days=40), card=None, **MANUAL)
    body = {"items": [{"price_id": other, "quantity": 2}], "proration_billing_mode": "prorated_immediately"}
    assert seller.patch(f"/subscriptions/{sub}", body).status_code == 200
    [invoice] = billing.bills_of(sub)
    assert (invoice.amount, invoice.credit, billing.waiting(sub)) == (6000, 3000, [])
    assert call_off(seller, sub).status_code == 200
    assert billing.waiting(sub) == [-3000]
    renew(the_clock)
    assert billing.bills_of(sub)[-1].due == 12000 - 3000


def test_nothing_waits_after_an_end_at_once_that_gives_debts_up(seller: App, past_due: str, app: Any) -> None:
    mighty = App(app, "subscription.write", "subscription.cancel_immediately")
    assert mighty.post(f"/subscriptions/{past_due}/cancel", AT_ONCE).status_code == 200
    assert [each.status for each in billing.bills_of(past_due)] == ["canceled"]
    assert billing.waiting(past_due) == []


def test_nothing_waits_when_an_invoice_is_called_off_after_the_end(seller: App, invoiced: str) -> None:
    with transaction():
        ended = {"status": "canceled", "canceled_at": END, "next_billed_at": None, "period_ends_at": None}
        session().execute(update(Subscription).where(Subscription.id == invoiced).values(**ended))
    assert call_off(seller, invoiced).json["data"]["status"] == "canceled"
    assert billing.waiting(invoiced) == []


def test_what_waits_again_is_forgiven_when_the_subscription_ends(seller: App, invoiced: str, the_clock: Any) -> None:
    assert seller.post(f"/subscriptions/{invoiced}/cancel").status_code == 200
    call_off(seller, invoiced)
    assert billing.waiting(invoiced) == [-2000]
    renew(the_clock, months=1)
    assert (people.row(invoiced).status, billing.waiting(invoiced)) == ("canceled", [])


def test_an_order_that_is_called_off_leaves_nothing_behind(seller: App, invoiced: str) -> None:
    order = {"items": [{"price_id": people.price(), "quantity": 1}]}
    made = seller.post("/transactions", order).json["data"]["id"]
    before = billing.waiting(invoiced)
    assert seller.patch(f"/transactions/{made}", {"status": "canceled"}).status_code == 200
    assert billing.waiting(invoiced) == before
