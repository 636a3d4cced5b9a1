"""Renewals: announced, billed when the period begins, collected; failed, tried again, exhausted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import worker
from portal.db import session, transaction
from portal.domain import cancellation, renewal, subscriptions
from portal.domain.actors import Actor
from portal.domain.mails import Mail
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.conftest import NOW

END = NOW + timedelta(days=20)
DUE = END + timedelta(seconds=31)


def work() -> None:
    for task in (worker.period_end, worker.pauses, worker.renewals, worker.collections, worker.reminders):
        while task():
            pass


def charges() -> list[tuple[int, str]]:
    with transaction():
        return [(each.amount, each.currency) for each in session().scalars(select(SandboxCharge))]


def only_transaction() -> Transaction:
    with transaction():
        return session().scalars(select(Transaction)).one()


@pytest.fixture
def sub(database: str) -> str:
    return people.subscription(people.customer(), began=END - timedelta(days=30), period_ends_at=END)


def test_a_renewal_moves_the_period_charges_once_and_sends_a_receipt(sub: str, the_clock: Any) -> None:
    the_clock.set(END + timedelta(seconds=29))
    work()
    assert people.row(sub).period_ends_at == END
    the_clock.set(DUE)
    work()
    work()
    row = people.row(sub)
    assert (row.status, row.period_starts_at, row.next_billed_at) == ("active", END, row.period_ends_at)
    assert charges() == [(30000, "USD")]
    assert people.events_of(sub) == [
        "subscription.updated",
        "transaction.created",
        "transaction.billed",
        "transaction.updated",
        "transaction.paid",
        "transaction.updated",
        "transaction.completed",
    ]
    assert people.mails_of(sub) == ["renewed"]
    paid = only_transaction()
    assert (paid.status, paid.amount, paid.invoice_number) == ("completed", 30000, "2026-000001")


def test_a_trial_becomes_a_paid_period(database: str, the_clock: Any) -> None:
    sub = people.subscription(
        people.customer(), status="trialing", first_billed_at=None, period_ends_at=END, anchor_at=END
    )
    the_clock.set(DUE)
    work()
    row = people.row(sub)
    assert (row.status, row.first_billed_at, row.period_starts_at) == ("active", END, END)
    assert row.period_ends_at == END.replace(month=END.month % 12 + 1, year=END.year + END.month // 12)
    assert charges() == [(30000, "USD")]


def test_nothing_is_renewed_or_charged_after_a_cancellation(sub: str, the_clock: Any) -> None:
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("customer", "ctm", "test"))
    the_clock.set(END)
    work()
    the_clock.advance(days=90)
    work()
    assert people.row(sub).canceled_at == END
    assert charges() == []
    assert people.mails_of(sub) == ["cancellation_scheduled", "subscription_ended"]


def test_a_cancellation_taken_back_renews_on_the_day_it_was_planned_for(sub: str, the_clock: Any) -> None:
    by = Actor("customer", "ctm", "test")
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=by)
    the_clock.set(DUE)
    work()
    assert people.row(sub).period_starts_at == END
    assert charges() == [(30000, "USD")]


def test_a_renewal_is_announced_once(sub: str, the_clock: Any) -> None:
    with transaction():
        subscriptions.get(sub).bill_next_at(END)
    the_clock.set(END - timedelta(days=3, seconds=1))
    work()
    assert people.mails_of(sub) == []
    the_clock.set(END - timedelta(days=3))
    work()
    work()
    assert people.mails_of(sub) == ["renewal_reminder"]


def test_a_canceled_renewal_is_not_announced(sub: str, the_clock: Any) -> None:
    with transaction():
        row = subscriptions.get(sub)
        row.bill_next_at(END)
        cancellation.at_period_end(row, by=Actor("customer", "ctm", "test"))
    the_clock.set(END - timedelta(days=2))
    work()
    assert people.mails_of(sub) == ["cancellation_scheduled"]


@pytest.fixture
def failing(database: str, the_clock: Any) -> str:
    """A subscription whose renewal has just failed."""
    sub = people.subscription(
        people.customer(), began=END - timedelta(days=30), period_ends_at=END, card="sandbox_declines"
    )
    the_clock.set(DUE)
    work()
    return sub


def test_a_failed_renewal_is_past_due_and_says_so(failing: str) -> None:
    row = people.row(failing)
    assert (row.status, row.period_starts_at) == ("past_due", END)
    assert people.events_of(failing) == [
        "subscription.updated",
        "transaction.created",
        "transaction.billed",
        "transaction.payment_failed",
        "transaction.past_due",
        "subscription.past_due",
    ]
    assert people.mails_of(failing) == ["payment_failed"]
    assert only_transaction().next_attempt_at == DUE + timedelta(days=1)


def test_it_is_tried_again_on_schedule_and_then_ends(failing: str, the_clock: Any) -> None:
    for days in (1, 3, 5):
        the_clock.advance(days=days)
        work()
        assert people.row(failing).status == "past_due"
    the_clock.advance(days=7)
    work()
    row = people.row(failing)
    assert (row.status, row.canceled_at) == ("canceled", the_clock.at)
    assert people.events_of(failing)[-3:] == [
        "transaction.payment_failed",
        "subscription.updated",
        "subscription.canceled",
    ]
    assert people.mails_of(failing) == ["payment_failed"] * 4 + ["subscription_ended"]
    the_clock.advance(days=60)
    work()
    assert only_transaction().failed_attempts == 5
    assert charges() == []


def test_exhausted_it_is_paused_if_the_seller_wants_so(
    failing: str, the_clock: Any, configure: Callable[..., None]
) -> None:
    configure(payment_exhausted="paused", payment_retries=())
    the_clock.advance(days=1)
    work()
    assert (people.row(failing).status, people.mails_of(failing)[-1]) == ("paused", "paused")


def test_a_new_card_pays_the_debt_and_the_scheduled_end_stays(failing: str) -> None:
    by = Actor("customer", "ctm", "test")
    with transaction():
        cancellation.at_period_end(subscriptions.get(failing), by=by)
    refusal = renewal.collect_with("sandbox_ok", only_transaction().id, Sandbox(), by=by)
    row = people.row(failing)
    assert refusal is None
    assert (row.status, row.scheduled_action, row.next_billed_at) == ("active", "cancel", None)
    assert charges() == [(30000, "USD")]
    assert only_transaction().status == "completed"


def test_a_declined_card_leaves_debt_and_schedule_as_they_were(failing: str) -> None:
    before = only_transaction().next_attempt_at
    refusal = renewal.collect_with("sandbox_declines", only_transaction().id, Sandbox(), by=Actor("customer", "c", "t"))
    after = only_transaction()
    assert (refusal, after.status, after.next_attempt_at, after.failed_attempts) == ("declined", "past_due", before, 1)


def test_an_attempt_cut_short_is_repeated_with_its_own_key_so_that_money_moves_once(sub: str, the_clock: Any) -> None:
    the_clock.set(DUE)
    worker.renewals()

    class Killed(Exception):
        pass

    class DiesAfterCharging(Sandbox):
        def charge(self, *args: Any, **more: Any) -> None:
            super().charge(*args, **more)
            raise Killed

    with pytest.raises(Killed):
        renewal.collect_next(DiesAfterCharging())
    assert only_transaction().status == "billed"
    assert renewal.collect_next(Sandbox()) is False
    the_clock.advance(minutes=3)
    assert renewal.collect_next(Sandbox()) is True
    assert only_transaction().status == "completed"
    assert charges() == [(30000, "USD")]
    assert people.mails_of(sub) == ["renewed"]


def test_an_invoice_customer_is_billed_and_not_charged(database: str, the_clock: Any) -> None:
    sub = people.subscription(
        people.customer(), began=END - timedelta(days=30), period_ends_at=END, collection_mode="manual", card=None
    )
    the_clock.set(DUE)
    work()
    assert (people.row(sub).status, only_transaction().status, charges()) == ("active", "billed", [])
    assert people.mails_of(sub) == ["renewed"]


def test_a_scheduled_pause_comes_and_ends_on_its_day(database: str, the_clock: Any) -> None:
    resumes = END + timedelta(days=10)
    sub = people.subscription(
        people.customer(),
        began=END - timedelta(days=30),
        period_ends_at=END,
        next_billed_at=None,
        scheduled_action="pause",
        scheduled_effective_at=END,
        scheduled_resume_at=resumes,
        billing_resumes_at=END,
    )
    the_clock.set(DUE)
    work()
    row = people.row(sub)
    assert (row.status, row.paused_at, row.scheduled_action, row.scheduled_effective_at) == (
        "paused",
        END,
        "resume",
        resumes,
    )
    the_clock.set(resumes + timedelta(seconds=31))
    work()
    row = people.row(sub)
    assert (row.status, row.period_starts_at, row.scheduled_action) == ("active", resumes, None)
    assert charges() == [(30000, "USD")]
    assert people.mails_of(sub) == ["paused", "resumed", "renewed"]


def test_mails_of_transitions_have_keys_that_keep_them_single(sub: str, the_clock: Any) -> None:
    the_clock.set(DUE)
    work()
    with transaction():
        assert [mail.key for mail in session().scalars(select(Mail))] == [f"paid:{only_transaction().id}"]
