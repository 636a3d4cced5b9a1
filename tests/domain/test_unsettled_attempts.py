"""Attempts to collect that somebody began and did not settle: money moves once and is never forgotten."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from portal import clock, worker
from portal.db import session, transaction
from portal.domain import cancellation, renewal, subscriptions
from portal.domain.actors import Actor
from portal.domain.payment_methods import PaymentMethod
from portal.domain.transactions import Attempt, Transaction
from portal.errors import PaymentUnderWay
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.conftest import NOW

END = NOW + timedelta(days=20)


@pytest.fixture
def billed(database: str, the_clock: Any) -> Callable[..., str]:
    """A subscription whose renewal has just been billed: `billed(card="sandbox_declines")`."""

    def make(**fields: Any) -> str:
        sub = people.subscription(people.customer(), period_ends_at=END, **fields)
        the_clock.set(END + timedelta(seconds=31))
        assert worker.renewals()
        return sub

    return make


def debts(sub: str) -> list[Transaction]:
    with transaction():
        wanted = select(Transaction).where(Transaction.subscription_id == sub).order_by(Transaction.id)
        return list(session().scalars(wanted))


def charges() -> int:
    with transaction():
        return len(session().scalars(select(SandboxCharge)).all())


def begin(sub: str, reference: str | None = None) -> Attempt:
    with transaction():
        attempt = renewal._claim(debts(sub)[0].id, reference)
    assert attempt is not None
    return attempt


def charge(attempt: Attempt) -> None:
    assert attempt.reference is not None
    assert Sandbox().charge(attempt.reference, attempt.amount, attempt.currency, key=attempt.key) is None


def collect() -> None:
    while worker.collections():
        pass


def end_now(sub: str) -> None:
    with transaction():
        cancellation.now(subscriptions.get(sub), by=Actor("staff", "stf", "test", received_at=clock.now()))


def test_a_customers_charge_is_written_down_within_minutes_of_a_crash(billed: Any, the_clock: Any) -> None:
    sub = billed(card="sandbox_declines")
    collect()
    charge(begin(sub, "sandbox_ok"))
    the_clock.advance(minutes=3)
    collect()
    assert (debts(sub)[0].status, charges(), people.row(sub).status) == ("completed", 1, "active")


def test_even_when_no_further_attempt_was_planned(billed: Any, the_clock: Any, configure: Callable[..., None]) -> None:
    configure(payment_retries=(), payment_exhausted="paused")
    sub = billed(card="sandbox_declines")
    collect()
    assert people.row(sub).status == "paused"
    charge(begin(sub, "sandbox_ok"))
    the_clock.advance(minutes=3)
    collect()
    assert (debts(sub)[0].status, charges()) == ("completed", 1)


def test_a_customers_declined_card_does_not_use_up_the_schedule_when_a_crash_is_repeated(
    billed: Any, the_clock: Any
) -> None:
    sub = billed(card="sandbox_declines")
    collect()
    before = debts(sub)[0].next_attempt_at
    begin(sub, "sandbox_declines")
    the_clock.advance(minutes=3)
    collect()
    debt = debts(sub)[0]
    assert (debt.failed_attempts, debt.next_attempt_at, debt.attempt_key) == (1, before, None)


def test_ending_now_waits_until_an_attempt_is_settled_and_forgets_no_money(billed: Any, the_clock: Any) -> None:
    sub = billed()
    charge(begin(sub))
    the_clock.advance(minutes=3)
    with pytest.raises(PaymentUnderWay):
        end_now(sub)
    collect()
    end_now(sub)
    assert (debts(sub)[0].status, charges(), people.row(sub).status) == ("completed", 1, "canceled")


def test_a_slow_no_of_the_gateway_revives_no_debt_that_was_given_up(billed: Any, the_clock: Any) -> None:
    sub = billed(card="sandbox_declines")
    attempt = begin(sub)
    the_clock.advance(minutes=3)
    with pytest.raises(PaymentUnderWay):
        end_now(sub)
    renewal._make(attempt, Sandbox(), by=Actor("system", "portal", "test"), scheduled=True)
    end_now(sub)
    with transaction():
        session().execute(update(PaymentMethod).values(reference="sandbox_ok"))
    the_clock.advance(days=30)
    collect()
    assert (debts(sub)[0].status, charges()) == ("canceled", 0)


def test_nothing_of_an_exhausted_subscription_is_tried_again(database: str, the_clock: Any) -> None:
    sub = people.subscription(
        people.customer(), period_ends_at=END, anchor_at=END, interval="week", card="sandbox_declines"
    )
    the_clock.set(END + timedelta(days=20))
    while worker.renewals():
        pass
    assert len(debts(sub)) == 3
    while people.row(sub).status != "canceled":
        collect()
        the_clock.advance(hours=6)
    with transaction():
        session().execute(update(PaymentMethod).values(reference="sandbox_ok"))
    the_clock.advance(days=30)
    collect()
    assert charges() == 0


def test_one_reminder_sent_before_does_not_stop_the_others(
    database: str, the_clock: Any, configure: Callable[..., None]
) -> None:
    configure(reminder_before=timedelta(days=7))
    sub = people.subscription(people.customer(), period_ends_at=END, remind_at=END - timedelta(days=7))
    other = people.subscription(people.customer(), period_ends_at=END, remind_at=END - timedelta(days=2))
    the_clock.set(END - timedelta(days=7))
    assert worker.reminders()
    configure(reminder_before=timedelta(days=3))
    by = Actor("customer", "ctm", "test", received_at=clock.now())
    for verb in (cancellation.at_period_end, cancellation.withdraw):
        with transaction():
            verb(subscriptions.get(sub), by=by)
    the_clock.set(END - timedelta(days=2))
    worker.reminders()
    assert people.mails_of(other) == ["renewal_reminder"]
    assert people.mails_of(sub).count("renewal_reminder") == 1


def test_who_canceled_before_a_resumption_is_neither_refused_nor_charged(database: str, the_clock: Any) -> None:
    resumes = NOW + timedelta(days=5)
    sub = people.subscription(
        people.customer(),
        status="paused",
        next_billed_at=None,
        period_starts_at=None,
        period_ends_at=None,
        scheduled_action="resume",
        scheduled_effective_at=resumes,
    )
    the_clock.set(resumes + timedelta(seconds=10))
    worker.pauses()
    with transaction():
        by = Actor("customer", "ctm", "test", received_at=resumes - timedelta(milliseconds=100))
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    the_clock.advance(days=1)
    worker.pauses()
    collect()
    assert (people.row(sub).status, charges()) == ("canceled", 0)


def test_a_period_that_has_not_begun_can_be_canceled(database: str) -> None:
    sub = people.subscription(people.customer(), began=NOW + timedelta(days=3))
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("customer", "ctm", "test", received_at=NOW))
    assert people.row(sub).is_ending
