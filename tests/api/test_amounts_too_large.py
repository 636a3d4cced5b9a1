"""Amounts beyond what a bill can hold are refused when they are asked for, and stop no worker later."""

from datetime import timedelta
from typing import Any

import pytest

from portal.domain.catalog import Price
from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of
from tests.api.test_transactions import change
from tests.customer import visits
from tests.customer.visits import END

DEAREST = 2**53


@pytest.mark.parametrize("mode", ["do_not_bill", "full_immediately", "prorated_next_billing_period"])
@pytest.mark.parametrize("path", ["", "/preview"])
def test_items(seller: App, the_clock: Any, mode: str, path: str) -> None:
    price = people.price(DEAREST)
    change(price, Price, quantity_maximum=999_999_999)
    base = people.price()
    sub, other = visits.subscribed(price_id=base), visits.subscribed()
    before = visits.records()
    items = [{"price_id": base}, {"price_id": price, "quantity": 999_999_999}]
    answer = seller.patch(f"/subscriptions/{sub}{path}", {"items": items, "proration_billing_mode": mode})
    assert fields_of(answer) == ["items"]
    assert visits.records() == before
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert [len(billing.bills_of(each)) for each in (sub, other)] == [1, 1]


@pytest.mark.parametrize("when", ["immediately", "next_billing_period"])
def test_one_time_charges(seller: App, when: str) -> None:
    price = billing.one_time(DEAREST)
    sub = visits.subscribed()
    before = visits.records()
    body = {"effective_from": when, "items": [{"price_id": price, "quantity": 2}]}
    assert fields_of(seller.post(f"/subscriptions/{sub}/charge", body)) == ["items"]
    assert visits.records() == before


def test_a_price_that_a_subscription_has_many_of(seller: App) -> None:
    price = people.price(3000)
    visits.subscribed(price_id=price, quantity=3)
    before = visits.records()
    dearest = {"unit_price": {"amount": str(DEAREST // 3 + 1), "currency_code": "USD"}}
    assert fields_of(seller.patch(f"/prices/{price}", dearest)) == ["unit_price.amount"]
    assert visits.records() == before
    dear = {"unit_price": {"amount": str(DEAREST // 3), "currency_code": "USD"}}
    assert seller.patch(f"/prices/{price}", dear).status_code == 200
