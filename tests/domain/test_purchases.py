"""Purchases that are cut short: one charge, one subscription, one mail, whoever dies when."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import clock, worker
from portal.db import session, transaction
from portal.domain import orders, purchases, renewal, subscriptions, transactions
from portal.domain.actors import system
from portal.domain.catalog import Price
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import Card, PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Attempt, Transaction
from portal.errors import PaymentUnderWay
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.api.test_transactions import address, change
from tests.conftest import NOW

VISA = Card("visa", "4242", 7, 2029, gateway="sandbox", reference="sandbox_ok")
DECLINES = Card("visa", "0341", 7, 2029, gateway="sandbox", reference="sandbox_declines")


class Killed(BaseException):
    """The process is gone."""


class Gateway(Sandbox):
    """The sandbox, and a process that dies right before or right after the money moves."""

    def __init__(self, dies: str = "") -> None:
        self.dies, self.asked = dies, 0

    def charge(self, reference: str, amount: int, currency: str, *, key: str) -> str | None:
        self.asked += 1
        if self.dies == "before":
            raise Killed
        refusal = super().charge(reference, amount, currency, key=key)
        if self.dies == "after":
            raise Killed
        return refusal


@pytest.fixture
def order(database: str, the_clock: Any) -> str:
    """A transaction that is ready to be paid."""
    customer_id = people.customer("Amelia Harper")
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        return orders.create([(people.price(), 2)], by=system(), **ids).id


def row(txn: str) -> Transaction:
    with transaction():
        return session().get_one(Transaction, txn)


def counts() -> dict[str, int]:
    with transaction():
        kinds = {"charges": SandboxCharge, "subscriptions": Subscription, "mails": Mail, "cards": PaymentMethod}
        return {name: len(session().scalars(select(kind)).all()) for name, kind in kinds.items()}


ONCE = {"charges": 1, "subscriptions": 1, "mails": 1, "cards": 1}
NOTHING = dict.fromkeys(ONCE, 0)


def collect() -> None:
    while worker.collections():
        pass


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_killed_process_leaves_an_attempt_that_the_worker_finishes_once(
    order: str, the_clock: Any, dies: str
) -> None:
    with pytest.raises(Killed):
        purchases.pay(order, VISA, Gateway(dies), by=system())
    assert counts() == NOTHING | {"charges": int(dies == "after")}
    collect()
    assert row(order).status == "ready", "its lease still runs"
    the_clock.advance(minutes=3)
    collect()
    collect()
    assert counts() == ONCE
    paid = row(order)
    assert (paid.status, paid.attempt_key, paid.attempt_card, paid.lease_until) == ("completed", None, None, None)
    with transaction():
        (begun,) = session().scalars(select(Subscription))
        (card,) = session().scalars(select(PaymentMethod))
    assert (begun.status, begun.payment_method_id, card.last4) == ("active", card.id, "4242")


def test_the_buyer_who_comes_back_before_the_worker_pays_once(order: str, the_clock: Any) -> None:
    with pytest.raises(Killed):
        purchases.pay(order, VISA, Gateway("after"), by=system())
    with pytest.raises(PaymentUnderWay):
        purchases.pay(order, VISA, Sandbox(), by=system())
    the_clock.advance(minutes=3)
    assert purchases.pay(order, VISA, Sandbox(), by=system()) is None
    assert counts() == ONCE


def test_a_card_that_was_declined_in_the_dark_gives_way_to_another(order: str, the_clock: Any) -> None:
    with pytest.raises(Killed):
        purchases.pay(order, DECLINES, Gateway("before"), by=system())
    the_clock.advance(minutes=3)
    assert purchases.pay(order, VISA, Sandbox(), by=system()) is None
    with transaction():
        assert [each.last4 for each in session().scalars(select(PaymentMethod))] == ["4242"]
    assert [each["status"] for each in row(order).payments] == ["error", "captured"]


def test_the_worker_leaves_it_ready_if_the_repeated_card_is_declined(order: str, the_clock: Any) -> None:
    with pytest.raises(Killed):
        purchases.pay(order, DECLINES, Gateway("before"), by=system())
    the_clock.advance(minutes=3)
    collect()
    left = row(order)
    assert (left.status, left.attempt_key, left.next_attempt_at) == ("ready", None, None)
    assert counts() == NOTHING


def test_a_slow_answer_is_written_down_once_although_the_worker_was_faster(order: str, the_clock: Any) -> None:
    with transaction():
        attempt = transactions.claim(order, None, card=VISA)
    assert isinstance(attempt, Attempt)
    the_clock.advance(minutes=3)
    collect()
    assert counts() == ONCE
    assert purchases._make(attempt, Sandbox(), by=system()) is None
    assert counts() == ONCE


def test_paying_twice_pays_once(order: str) -> None:
    gateway = Gateway()
    assert purchases.pay(order, VISA, gateway, by=system()) is None
    assert purchases.pay(order, VISA, gateway, by=system()) is None
    assert (gateway.asked, counts()) == (1, ONCE)


def test_a_failing_write_undoes_all_of_it_and_the_worker_repeats_it(
    order: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("portal.domain.purchases.mails.tell", full)
        with pytest.raises(OSError, match="disk full"):
            purchases.pay(order, VISA, Sandbox(), by=system())
    assert counts() == NOTHING | {"charges": 1}
    assert row(order).invoice_number is None
    the_clock.advance(minutes=3)
    collect()
    assert counts() == ONCE
    assert row(order).invoice_number == "2026-000001"


def test_the_trial_becomes_a_paid_period_when_it_ends(database: str, the_clock: Any) -> None:
    customer_id, price = people.customer(), people.price()
    change(price, Price, trial_interval="day", trial_frequency=14)
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        txn = orders.create([(price, 1)], by=system(), **ids).id
    assert purchases.pay(txn, VISA, Sandbox(), by=system()) is None
    assert counts()["charges"] == 0
    the_clock.set(NOW + timedelta(days=14, seconds=31))
    assert worker.renewals()
    collect()
    with transaction():
        (begun,) = session().scalars(subscriptions.whole())
        assert (begun.status, begun.period_starts_at) == ("active", NOW + timedelta(days=14))
        assert [each.amount for each in session().scalars(select(SandboxCharge))] == [3000]


def test_what_was_bought_is_renewed(order: str, the_clock: Any) -> None:
    purchases.pay(order, VISA, Sandbox(), by=system())
    with transaction():
        (begun,) = session().scalars(select(Subscription))
    the_clock.set(begun.next_billed_at + timedelta(seconds=31))
    assert worker.renewals()
    collect()
    with transaction():
        bills = session().scalars(select(Transaction).order_by(Transaction.id)).all()
        assert [(each.origin, each.status) for each in bills] == [
            ("api", "completed"),
            ("subscription_recurring", "completed"),
        ]
        assert [each.amount for each in session().scalars(select(SandboxCharge))] == [6000, 6000]
    assert people.mails_of(begun.id) == ["subscribed", "renewed"]


def test_no_event_of_it_carries_the_gateways_name_of_the_card(order: str) -> None:
    purchases.pay(order, VISA, Sandbox(), by=system())
    with transaction():
        for event in session().scalars(select(Event)):
            assert "sandbox_ok" not in str(event.data)


def test_credit_is_not_charged(order: str) -> None:
    change(order, Transaction, credit=1000)
    assert purchases.pay(order, VISA, Sandbox(), by=system()) is None
    with transaction():
        assert [each.amount for each in session().scalars(select(SandboxCharge))] == [5000]


def test_renewal_hands_purchases_over(order: str, the_clock: Any) -> None:
    with transaction():
        transactions.claim(order, None, card=VISA)
    the_clock.advance(minutes=3)
    assert renewal.collect_next(Sandbox())
    assert row(order).status == "completed"
    assert clock.now() == row(order).paid_at
