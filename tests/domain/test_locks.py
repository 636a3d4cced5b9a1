"""Whoever waited for a subscription sees all of it as it was left, not only its row."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from portal import clock, db
from portal.db import session, transaction
from portal.domain import cancellation, subscriptions, transactions
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription, SubscriptionItem
from tests import people
from tests.api import billing
from tests.customer import visits


def until_somebody_waits() -> None:
    """On SQLite who waits has not begun a transaction, and nothing tells."""
    for _ in range(1000 if db.is_postgresql() else 0):
        with db.engine().connect() as looking:
            if looking.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        time.sleep(0.01)


def test_who_waited_for_the_row_reads_the_items_and_the_card_that_were_left(database: str) -> None:
    sub = visits.subscribed()
    seen: list[Any] = []

    def wait() -> None:
        with transaction():
            found = subscriptions.get(sub)
            seen.append((found.items[0].quantity, found.payment_method.last4, found.version))
        db.close()

    waiting = threading.Thread(target=wait)
    with transaction():
        held = subscriptions.get(sub)
        waiting.start()
        until_somebody_waits()
        session().execute(update(SubscriptionItem).values(quantity=77))
        session().execute(update(PaymentMethod).values(last4="1881"))
        held.touch()
    waiting.join(10)
    assert seen == [(77, "1881", 2)]


def test_a_change_that_began_while_a_row_was_being_locked_comes_before_the_end(database: str) -> None:
    sub = visits.subscribed(**visits.ending())
    conditions = transactions.has_no_change_under_way(Subscription.id)
    row = people.row(sub)
    with transaction():
        mine = subscriptions.lock(conditions, first=Subscription.id, limit=5)
        assert session().scalars(subscriptions.whole().where(*mine)).all()
        session().add(_change_under_way(row))
        session().flush()
        assert not session().scalars(subscriptions.whole().where(*mine)).all()


@pytest.mark.parametrize("limit", [1, 5])
def test_a_batch_locks_no_more_than_it_takes(database: str, limit: int, the_clock: Any) -> None:
    for _ in range(3):
        visits.subscribed(**visits.ending())
    the_clock.set(visits.END + timedelta(minutes=1))
    with transaction():
        assert cancellation.carry_out(limit) == min(limit, 3)
    billing.work()
    assert cancellation.due(5) == []


def _change_under_way(sub: Subscription) -> transactions.Transaction:
    now = clock.now()
    return transactions.Transaction(
        id="txn_1",
        customer_id=sub.customer_id,
        subscription_id=sub.id,
        status="billed",
        origin="subscription_update",
        collection_mode="automatic",
        currency_code="USD",
        amount=1,
        lines=[],
        payments=[],
        change={"fields": {}},
        lease_until=now,
        created_at=now,
        updated_at=now,
    )
