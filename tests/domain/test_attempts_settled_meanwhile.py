"""A worker that found something to collect, and came to it after somebody else had settled it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import worker
from portal.db import session, transaction
from portal.domain import orders, transactions
from portal.domain.actors import system
from portal.domain.catalog import Price
from portal.domain.payment_methods import Card
from portal.domain.subscriptions import Subscription
from portal.gateways.sandbox import SandboxCharge
from tests import people
from tests.api import billing
from tests.api.test_transactions import address, change
from tests.customer import visits
from tests.customer.visits import END

DECLINES = Card("visa", "0341", 7, 2029, gateway="sandbox", reference="sandbox_declines")


def found_before(monkeypatch: pytest.MonkeyPatch, txn: str) -> None:
    """The worker has looked, and is about to claim what it saw."""
    seen = iter([txn])
    monkeypatch.setattr(transactions, "next_due", lambda: next(seen, None))


@pytest.mark.parametrize("trial", [True, False])
def test_a_declined_purchase_is_not_tried_without_a_card(
    database: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch, trial: bool
) -> None:
    """Nobody gets a trial, or anything else, that no card was given for."""
    customer_id, price = people.customer(), people.price()
    if trial:
        change(price, Price, trial_interval="day", trial_frequency=14)
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        txn = orders.create([(price, 1)], by=system(), **ids).id
    with transaction():
        attempt = transactions.claim(txn, None, card=DECLINES)
    assert attempt
    the_clock.advance(minutes=3)
    found_before(monkeypatch, txn)
    with transaction():
        transactions.settle_declined(attempt, "declined")
    worker.collections()
    monkeypatch.undo()
    the_clock.advance(minutes=3)
    billing.work()
    with transaction():
        left = session().get_one(transactions.Transaction, txn)
        assert (left.status, left.attempt_key, left.lease_until) == ("ready", None, None)
        assert session().scalars(select(Subscription)).all() == []
        assert session().scalars(select(SandboxCharge)).all() == []


def test_a_failed_renewal_waits_for_its_next_day(
    database: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    [bill] = billing.bills_of(sub)
    assert (bill.failed_attempts, people.mails_of(sub)) == (1, ["payment_failed"])
    found_before(monkeypatch, bill.id)
    worker.collections()
    [bill] = billing.bills_of(sub)
    assert (bill.failed_attempts, bill.attempt_key, people.mails_of(sub)) == (1, None, ["payment_failed"])


def test_what_is_exhausted_is_charged_no_more(
    database: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch, configure: Any
) -> None:
    configure(payment_retries=())
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    [bill] = billing.bills_of(sub)
    assert people.row(sub).status == "canceled"
    before = visits.records()
    found_before(monkeypatch, bill.id)
    worker.collections()
    assert visits.records() == before
