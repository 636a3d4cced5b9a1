"""Payment plans: so many payments and no more, ended by themselves, or earlier by the seller; by the customer never."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import clock, worker
from portal.db import session, transaction
from portal.domain import cancellation, history, orders, pausing, payment_plans, periods, purchases, renewal
from portal.domain import subscriptions as domain
from portal.domain.actors import Actor, system
from portal.domain.catalog import Price
from portal.domain.mails import Mail
from portal.domain.payment_methods import Card, PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.errors import Changed, InvalidField, PlanCompleted, PlanEndedBySeller, ScheduledByOthers, TransactionRefusal
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people, plans
from tests.api.test_transactions import address
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END

VISA = Card("visa", "4242", 7, 2029, gateway="sandbox", reference="sandbox_ok")
BEGAN = END - timedelta(days=30)


def work() -> None:
    for task in (worker.period_end, worker.pauses, worker.renewals, worker.collections, worker.reminders):
        while task():
            pass


def charges() -> list[int]:
    with transaction():
        return [each.amount for each in session().scalars(select(SandboxCharge))]


def transactions_of(sub: str) -> list[str]:
    with transaction():
        wanted = select(Transaction.status).where(Transaction.subscription_id == sub).order_by(Transaction.id)
        return list(session().scalars(wanted))


def actor(kind: str) -> Actor:
    return Actor(kind, f"{kind}_1", "a test")


def ask(verb: Any, sub: str, by: str, *args: Any) -> Any:
    with transaction():
        return verb(domain.get(sub), *args, by=actor(by))


def buy(*price_ids: str) -> str:
    """Pays an order; gives the subscription that began."""
    customer_id = people.customer()
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        order = orders.create([(each, 1) for each in price_ids], by=system(), **ids).id
    assert purchases.pay(order, VISA, Sandbox(), by=system()) is None
    with transaction():
        return session().scalars(select(Subscription.id).where(Subscription.customer_id == customer_id)).one()


def pass_period(sub: str, the_clock: Any) -> None:
    """To the next payment, or to the end, and what the worker does then."""
    row = people.row(sub)
    the_clock.set((row.next_billed_at or row.scheduled_effective_at) + timedelta(seconds=31))  # type: ignore[operator]
    work()


def facts(kind: str) -> list[dict[str, Any]]:
    with transaction():
        return [each.facts for each in session().scalars(select(Mail).where(Mail.kind == kind).order_by(Mail.id))]


def test_a_plan_of_three_payments_is_paid_three_times_and_ends_with_its_last_period(
    database: str, the_clock: Any
) -> None:
    sub = buy(plans.price(3))
    assert (people.row(sub).remaining_payments, charges()) == (2, [3000])
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.remaining_payments, row.next_billed_at, row.scheduled_action) == (1, row.period_ends_at, None)
    pass_period(sub, the_clock)
    row, ends_at = people.row(sub), periods.nth(NOW, "month", 1, 3)
    assert (row.status, row.remaining_payments, row.next_billed_at, row.remind_at) == ("active", 0, None, None)
    assert (row.scheduled_action, row.scheduled_effective_at) == ("cancel", ends_at)
    assert (row.scheduled_by, row.canceled_by, row.billing_resumes_at) == ("system", "system", None)
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.status, row.canceled_at, row.remaining_payments, row.canceled_by) == ("canceled", ends_at, 0, "system")
    the_clock.advance(days=400)
    work()
    assert (charges(), transactions_of(sub)) == ([3000] * 3, ["completed"] * 3)


def test_what_is_recorded_and_mailed_of_its_end(database: str, the_clock: Any) -> None:
    sub = plans.plan(1, began=BEGAN, period_ends_at=END)
    pass_period(sub, the_clock)
    [renewed] = [each for each in visits.events(sub) if each.transition]
    ends_at = people.row(sub).scheduled_effective_at
    assert (renewed.transition, renewed.facts["because"]) == ("renewed", "plan_completed")
    assert renewed.data["remaining_payments"] == 0
    assert renewed.data["scheduled_change"]["action"] == "cancel"
    assert [each["action"] for each in renewed.facts["history"]] == [
        "subscription_renewed",
        "subscription_scheduled_change_added",
    ]
    assert people.mails_of(sub) == ["renewed"]
    [receipt] = facts("renewed")
    assert (receipt["payments_left"], receipt["bound"], receipt["ends_at"]) == (
        0,
        True,
        renewed.data["scheduled_change"]["effective_at"],
    )
    the_clock.set(ends_at + timedelta(minutes=1))
    work()
    assert people.mails_of(sub) == ["renewed", "subscription_ended"]
    assert facts("subscription_ended")[0]["because"] == "plan_completed"
    ended = visits.events(sub)[-1]
    assert (ended.transition, ended.actor_kind, ended.facts["because"]) == (
        "subscription_ended",
        "system",
        "plan_completed",
    )
    entries = history.entries(history.events_of(sub))
    assert [(each.action, each.reason) for each in entries] == [
        ("subscription_renewed", None),
        ("subscription_scheduled_change_added", "plan_completed"),
        ("subscription_canceled", "plan_completed"),
    ]


def test_plans_and_others_that_end_in_one_batch_are_told_apart(database: str, the_clock: Any) -> None:
    subs = [
        plans.plan(**plans.completed(period_ends_at=END)),
        plans.plan(2, period_ends_at=END, **visits.ending("staff")),
        visits.subscribed(**visits.ending()),
    ]
    the_clock.set(END + timedelta(seconds=6))
    work()
    assert {people.row(sub).status for sub in subs} == {"canceled"}
    assert [visits.events(sub)[-1].facts.get("because") for sub in subs] == ["plan_completed", None, None]
    assert sorted(each["because"] for each in facts("subscription_ended")) == ["", "", "plan_completed"]


def test_a_trial_pays_nothing_yet(database: str, the_clock: Any) -> None:
    sub = buy(plans.price(2, trial_interval="day", trial_frequency=14))
    assert (people.row(sub).status, people.row(sub).remaining_payments, charges()) == ("trialing", 2, [])
    for left in (1, 0):
        pass_period(sub, the_clock)
        assert people.row(sub).remaining_payments == left
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.status, row.canceled_at) == ("canceled", periods.nth(NOW + timedelta(days=14), "month", 1, 2))
    assert charges() == [3000, 3000]


def test_a_trial_that_is_ended_early_counts_its_payment(database: str) -> None:
    sub = plans.plan(1, status="trialing", first_billed_at=None, period_ends_at=END)
    ask(renewal.activate, sub, "key")
    row = people.row(sub)
    assert (row.status, row.remaining_payments, row.scheduled_effective_at) == ("active", 0, row.period_ends_at)
    assert visits.events(sub)[1].facts["because"] == "plan_completed"


def test_a_customer_may_leave_while_the_trial_runs_and_come_back(database: str) -> None:
    sub = plans.plan(6, status="trialing", first_billed_at=None, period_ends_at=END)
    ask(cancellation.at_period_end, sub, "customer")
    assert people.row(sub).scheduled_effective_at == END
    assert ask(cancellation.withdraw, sub, "customer")
    assert (people.row(sub).next_billed_at, people.row(sub).remaining_payments) == (END, 6)


@pytest.mark.parametrize("state", [{}, {"status": "past_due"}, {"status": "paused", "next_billed_at": None}])
def test_a_customer_does_not_end_a_plan(database: str, state: dict[str, Any]) -> None:
    sub = plans.plan(3, period_ends_at=END, **state)
    before = visits.records()
    with pytest.raises(PlanEndedBySeller):
        ask(cancellation.at_period_end, sub, "customer")
    assert visits.records() == before


def test_what_the_customer_scheduled_elsewhere_they_may_take_back(database: str) -> None:
    sub = plans.plan(3, period_ends_at=END, **visits.ending())
    ask(cancellation.at_period_end, sub, "customer")  # stands already: unchanged, as everywhere
    assert people.events_of(sub) == []
    assert ask(cancellation.withdraw, sub, "customer")
    assert (people.row(sub).next_billed_at, people.row(sub).remaining_payments) == (END, 3)


@pytest.mark.parametrize("by", ["staff", "key"])
@pytest.mark.parametrize("left", [1, 3])
def test_the_seller_ends_it_at_any_point(database: str, the_clock: Any, by: str, left: int) -> None:
    sub = plans.plan(left, began=BEGAN, period_ends_at=END)
    ask(cancellation.at_period_end, sub, by)
    row = people.row(sub)
    assert (row.scheduled_by, row.scheduled_effective_at, row.remaining_payments) == (by, END, left)
    the_clock.set(END + timedelta(minutes=1))
    work()
    row = people.row(sub)
    assert (row.status, row.canceled_at, row.remaining_payments, charges()) == ("canceled", END, left, [])
    assert facts("subscription_ended")[0]["because"] == ""


@pytest.mark.parametrize("by", ["staff", "key"])
@pytest.mark.parametrize("left", [0, 1, 3])
def test_the_seller_ends_it_at_once_at_any_point(database: str, by: str, left: int) -> None:
    fields = {"period_ends_at": END} | ({"left": left} if left else plans.completed(period_ends_at=END))
    sub = plans.plan(**fields)
    ask(cancellation.now, sub, by)
    row = people.row(sub)
    assert (row.status, row.canceled_at, row.remaining_payments) == ("canceled", NOW, left)
    assert facts("subscription_ended")[0]["because"] == ""


@pytest.mark.parametrize("left", [1, 2])
def test_taken_back_by_staff_it_resumes_with_the_payments_that_are_left(
    database: str, the_clock: Any, left: int
) -> None:
    sub = plans.plan(left, began=BEGAN, period_ends_at=END)
    ask(cancellation.at_period_end, sub, "staff")
    with pytest.raises(ScheduledByOthers):
        ask(cancellation.withdraw, sub, "customer")
    assert ask(cancellation.withdraw, sub, "staff")
    assert (people.row(sub).next_billed_at, people.row(sub).remaining_payments) == (END, left)
    for _ in range(left + 1):
        pass_period(sub, the_clock)
    assert (people.row(sub).status, charges()) == ("canceled", [3000] * left)


@pytest.mark.parametrize("by", ["customer", "staff", "key"])
def test_the_end_of_a_completed_plan_is_not_taken_back(database: str, by: str) -> None:
    sub = plans.plan(**plans.completed(period_ends_at=END))
    before = visits.records()
    with pytest.raises(PlanCompleted):
        ask(cancellation.withdraw, sub, by)
    if by != "key":
        ask(cancellation.at_period_end, sub, by)
    assert visits.records() == before


def test_a_date_within_a_later_period_bills_the_payments_until_then_and_a_part(database: str, the_clock: Any) -> None:
    sub = plans.plan(3, began=BEGAN, period_ends_at=END)
    second = periods.nth(BEGAN, "month", 1, 2)
    ask(cancellation.on, sub, "staff", second + timedelta(days=10))
    while people.row(sub).status != "canceled":
        pass_period(sub, the_clock)
    whole, part = charges()
    assert (whole, 0 < part < 3000) == (3000, True)
    assert people.row(sub).remaining_payments == 2, "a part of a period is not one of its payments"


def test_a_date_after_the_end_of_the_plan_is_refused(database: str) -> None:
    sub = plans.plan(1, period_ends_at=END)
    before = visits.records()
    with pytest.raises(InvalidField):
        ask(cancellation.on, sub, "staff", END + timedelta(days=40))
    assert visits.records() == before


def fail_at_the_gateway(sub: str) -> None:
    with transaction():
        session().get_one(PaymentMethod, domain.get(sub).payment_method_id).reference = "sandbox_declines"


def test_a_payment_that_fails_in_the_middle_is_collected_later_and_counted_once(database: str, the_clock: Any) -> None:
    sub = plans.plan(2, began=BEGAN, period_ends_at=END, card="sandbox_declines")
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.status, row.remaining_payments, charges()) == ("past_due", 1, [])
    with transaction():
        debt = session().scalars(select(Transaction.id)).one()
    assert renewal.collect_with("sandbox_ok", debt, Sandbox(), by=actor("customer")) is None
    assert (people.row(sub).status, people.row(sub).remaining_payments) == ("active", 1)


def test_exhausted_it_ends_with_what_is_left(database: str, the_clock: Any, configure: Callable[..., None]) -> None:
    configure(payment_retries=())
    sub = plans.plan(3, began=BEGAN, period_ends_at=END, card="sandbox_declines")
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.status, row.remaining_payments, charges()) == ("canceled", 2, [])
    assert facts("subscription_ended")[0]["because"] == "payment_failed"


def test_exhausted_and_paused_it_goes_on_with_what_is_left(
    database: str, the_clock: Any, configure: Callable[..., None]
) -> None:
    configure(payment_retries=(), payment_exhausted="paused")
    sub = plans.plan(2, began=BEGAN, period_ends_at=END, card="sandbox_declines")
    pass_period(sub, the_clock)
    assert (people.row(sub).status, people.row(sub).remaining_payments) == ("paused", 1)
    with transaction():
        session().scalars(select(PaymentMethod)).one().reference = "sandbox_ok"
    ask(pausing.resume, sub, "key")
    work()
    row = people.row(sub)
    assert (row.status, row.remaining_payments, row.scheduled_by) == ("active", 0, "system")
    assert row.scheduled_effective_at == row.period_ends_at
    assert charges() == [3000]
    [resumed] = [each for each in visits.events(sub) if each.transition == "resumed"]
    assert resumed.facts["because"] == "plan_completed"


def test_a_resumption_that_goes_on_with_the_old_period_counts_no_payment(database: str) -> None:
    sub = plans.plan(2, period_ends_at=END)
    ask(pausing.now, sub, "key")
    with transaction():
        pausing.resume(domain.get(sub), by=actor("key"), on_resume=pausing.SAME_PERIOD)
    assert (people.row(sub).status, people.row(sub).remaining_payments) == ("active", 2)


def test_a_last_payment_that_fails_is_tried_until_it_is_exhausted(
    database: str, the_clock: Any, configure: Callable[..., None]
) -> None:
    configure(payment_exhausted="paused")
    sub = plans.plan(1, began=BEGAN, period_ends_at=END, card="sandbox_declines")
    pass_period(sub, the_clock)
    row = people.row(sub)
    assert (row.status, row.remaining_payments, row.is_ending) == ("past_due", 0, True)
    for days in (1, 3, 5, 7):
        the_clock.advance(days=days)
        work()
    assert people.row(sub).status == "canceled", "what ends anyway is not paused"
    assert facts("subscription_ended")[0]["because"] == "payment_failed"


def test_a_plan_that_ends_with_its_last_payment_open_says_that_it_is_due(
    database: str, the_clock: Any, configure: Callable[..., None]
) -> None:
    configure(payment_retries=(timedelta(days=60),))
    sub = plans.plan(1, began=BEGAN, period_ends_at=END, card="sandbox_declines")
    pass_period(sub, the_clock)
    pass_period(sub, the_clock)
    assert people.row(sub).status == "canceled"
    assert {name: facts("subscription_ended")[0][name] for name in ("owed", "owed_by")} == {
        "owed": 3000,
        "owed_by": "card",
    }


def test_a_late_worker_bills_no_payment_too_many(database: str, the_clock: Any) -> None:
    sub = plans.plan(3, began=BEGAN, period_ends_at=END)
    the_clock.set(END + timedelta(days=400))
    work()
    work()
    row = people.row(sub)
    assert (row.status, row.remaining_payments, row.canceled_at) == ("canceled", 0, periods.nth(BEGAN, "month", 1, 4))
    assert charges() == [3000] * 3


def test_a_killed_worker_counts_a_payment_once(database: str, the_clock: Any) -> None:
    sub = plans.plan(2, began=BEGAN, period_ends_at=END)
    the_clock.set(END + timedelta(seconds=31))

    class Killed(BaseException):
        pass

    def dies_before_the_commit() -> None:
        with transaction():
            renewal.open_due(10)
            raise Killed

    with pytest.raises(Killed):
        dies_before_the_commit()
    row = people.row(sub)
    assert (row.remaining_payments, row.version, transactions_of(sub)) == (2, 1, [])

    class DiesAfterCharging(Sandbox):
        def charge(self, *args: Any, **more: Any) -> None:
            super().charge(*args, **more)
            raise Killed

    worker.renewals()
    with pytest.raises(Killed):
        renewal.collect_next(DiesAfterCharging())
    the_clock.advance(minutes=3)
    work()
    row = people.row(sub)
    assert (row.remaining_payments, row.version, charges(), transactions_of(sub)) == (1, 2, [3000], ["completed"])


def test_an_invoice_counts_as_soon_as_it_is_billed(database: str, the_clock: Any) -> None:
    sub = plans.plan(1, began=BEGAN, period_ends_at=END, collection_mode="manual", card=None)
    pass_period(sub, the_clock)
    assert (people.row(sub).remaining_payments, transactions_of(sub), charges()) == (0, ["billed"], [])
    pass_period(sub, the_clock)
    assert people.row(sub).status == "canceled"


def test_plans_are_not_mixed_with_what_is_endless_or_with_other_plans(database: str) -> None:
    for other in (people.price(), plans.price(12)):
        with pytest.raises(TransactionRefusal) as refused, transaction():
            orders.create([(plans.price(6), 1), (other, 1)], by=system())
        assert refused.value.code == "transaction_price_different_payments"
    with transaction():
        assert orders.create([(plans.price(6), 1), (plans.price(6), 2)], by=system()).amount == 9000
        once = people.price()
    with transaction():
        assert orders.create([(plans.price(6), 1), (once_price(once), 1)], by=system()).status == "draft"


def once_price(price_id: str) -> str:
    """The same price, charged once."""
    row = session().get_one(Price, price_id)
    row.billing_interval = row.billing_frequency = None
    return price_id


def test_an_order_whose_number_of_payments_changed_is_not_paid(database: str) -> None:
    price_id, customer_id = plans.price(6), people.customer()
    with transaction():
        ids = {"customer_id": customer_id, "address_id": address(customer_id)}
        order = orders.create([(price_id, 1)], by=system(), **ids).id
    with transaction():
        session().get_one(Price, price_id).payments = 12
    with pytest.raises(Changed):
        purchases.pay(order, VISA, Sandbox(), by=system())
    assert charges() == []


def progress(sub: str) -> Any:
    with transaction():
        return payment_plans.progress(domain.get(sub))


def at(n: int, began: datetime = BEGAN) -> datetime:
    return periods.nth(began, "month", 1, n)


def test_how_far_it_is(database: str, the_clock: Any) -> None:
    sub = plans.plan(3, payments=6, began=BEGAN, period_ends_at=at(1), anchor_at=BEGAN)
    found = progress(sub)
    assert (found.payments, found.made, found.to_go, found.last_at, found.ends_at) == (6, 3, 3, at(3), at(4))
    pass_period(sub, the_clock)
    assert (progress(sub).made, progress(sub).last_at, progress(sub).ends_at) == (4, at(3), at(4))
    ask(cancellation.at_period_end, sub, "staff")
    assert (progress(sub).last_at, progress(sub).ends_at) == (None, people.row(sub).period_ends_at)
    assert progress(visits.subscribed()) is None


def test_a_bill_that_is_open_is_not_a_payment_made(database: str) -> None:
    sub = plans.plan(2, payments=6)

    class Debt:
        origin = "subscription_recurring"

    with transaction():
        found = payment_plans.progress(domain.get(sub), [Debt])
    assert found is not None
    assert (found.made, found.to_go) == (3, 3)


def test_a_plan_that_outlasts_every_calendar_has_no_last_date(database: str) -> None:
    sub = plans.plan(900, payments=999, billing_frequency=900, billing_interval="year")
    assert (progress(sub).to_go, progress(sub).last_at, progress(sub).ends_at) == (900, None, None)
    assert clock.now() == NOW
