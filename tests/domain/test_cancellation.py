"""The state × action table of the domain: who may end a subscription, when it ends, what is recorded and mailed."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from portal import config, db
from portal.db import session, transaction
from portal.domain import cancellation, renewal, subscriptions
from portal.domain.actors import Actor, shell
from portal.domain.transactions import Transaction
from portal.errors import (
    AlreadyCanceled,
    Changed,
    ChangePending,
    LockedForRenewal,
    PastDue,
    Refusal,
    ScheduledByOthers,
    TooLateToKeep,
)
from tests import people
from tests.conftest import NOW

END = NOW + timedelta(days=20)
CANCELED = {"status": "canceled", "canceled_at": NOW - timedelta(days=1), "next_billed_at": None}
CANCELED |= {"period_starts_at": None, "period_ends_at": None}


def pending(by: str, action: str = "cancel", at: datetime = END) -> dict[str, Any]:
    return {
        "next_billed_at": None,
        "scheduled_action": action,
        "scheduled_effective_at": at,
        "scheduled_at": NOW - timedelta(days=2),
        "scheduled_by": by,
        "billing_resumes_at": at,
    }


STATES: dict[str, dict[str, Any]] = {
    "active": {},
    "trialing": {"status": "trialing", "first_billed_at": None},
    "past due": {"status": "past_due"},
    "manual": {"collection_mode": "manual", "card": None},
    "pause scheduled": pending("key", "pause"),
    "ending by customer": pending("customer"),
    "ending by staff": pending("staff"),
    "ending by app": pending("key"),
    "paused, period running": {"status": "paused", "next_billed_at": None},
    "paused, nothing left": {
        "status": "paused",
        "next_billed_at": None,
        "period_starts_at": None,
        "period_ends_at": None,
    },
    "canceled": CANCELED,
    "no period": {"next_billed_at": None, "period_starts_at": None, "period_ends_at": None},
}


def make(state: str, **more: Any) -> str:
    fields: dict[str, Any] = {"period_ends_at": END} | STATES[state] | more
    ends = fields.pop("period_ends_at")
    sub = people.subscription(people.customer(), period_ends_at=END, **fields)
    if ends is None:
        with transaction():
            row = subscriptions.get(sub)
            row.period_starts_at = row.period_ends_at = None
    return sub


def actor(kind: str, at: datetime = NOW) -> Actor:
    return Actor(kind, f"{kind}_1", "a test", received_at=at)


def ask(verb: Any, sub: str, by: str, at: datetime = NOW) -> Any:
    with transaction():
        return verb(subscriptions.get(sub), by=actor(by, at))


@dataclass
class Row:
    """One line of the table: in this state, this actor asks; this comes of it."""

    state: str
    by: str
    outcome: str | type[Refusal]

    def __str__(self) -> str:
        outcome = self.outcome if isinstance(self.outcome, str) else f"refused, {self.outcome.__name__}"
        return f"{self.state}: {self.by} → {outcome}"


CANCEL_TABLE = [
    Row("active", "customer", "scheduled"),
    Row("active", "staff", "scheduled"),
    Row("active", "key", "scheduled"),
    Row("trialing", "customer", "scheduled"),
    Row("trialing", "key", "scheduled"),
    Row("past due", "customer", "scheduled"),
    Row("past due", "staff", "scheduled"),
    Row("past due", "key", PastDue),
    Row("manual", "customer", "scheduled"),
    Row("manual", "key", "scheduled"),
    Row("pause scheduled", "customer", "scheduled"),
    Row("pause scheduled", "key", ChangePending),
    Row("ending by customer", "customer", "unchanged"),
    Row("ending by staff", "customer", "unchanged"),
    Row("ending by app", "customer", "unchanged"),
    Row("ending by customer", "key", ChangePending),
    Row("ending by app", "key", ChangePending),
    Row("paused, period running", "customer", "scheduled"),
    Row("paused, period running", "key", "ended"),
    Row("paused, nothing left", "customer", "ended"),
    Row("paused, nothing left", "key", "ended"),
    Row("no period", "customer", "recorded without a date"),
    Row("canceled", "customer", AlreadyCanceled),
    Row("canceled", "staff", AlreadyCanceled),
    Row("canceled", "key", AlreadyCanceled),
]


@pytest.mark.parametrize("row", CANCEL_TABLE, ids=str)
def test_cancelling(database: str, row: Row) -> None:
    sub = make(row.state)
    before = vars_of(sub)
    if isinstance(row.outcome, type):
        with pytest.raises(row.outcome):
            ask(cancellation.at_period_end, sub, row.by)
    else:
        ask(cancellation.at_period_end, sub, row.by)
    after = people.row(sub)
    if row.outcome == "scheduled":
        assert (after.status, after.scheduled_action) == (before["status"], "cancel")
        assert (after.scheduled_effective_at, after.next_billed_at, after.period_ends_at) == (END, None, END)
        assert after.scheduled_by == row.by
        assert said(sub) == (["subscription.updated"], ["cancellation_scheduled"])
    elif row.outcome == "ended":
        assert (after.status, after.canceled_at, after.next_billed_at) == ("canceled", NOW, None)
        assert said(sub) == (["subscription.updated", "subscription.canceled"], ["subscription_ended"])
    elif row.outcome == "recorded without a date":
        assert (after.status, after.scheduled_action, after.scheduled_effective_at) == ("active", "cancel", None)
        assert said(sub) == (["subscription.updated"], ["cancellation_scheduled"])
    else:
        assert vars_of(sub) == before
        assert said(sub) == ([], [])


WITHDRAW_TABLE = [
    Row("ending by customer", "customer", "kept"),
    Row("ending by customer", "staff", "kept"),
    Row("ending by customer", "key", "kept"),
    Row("ending by staff", "customer", ScheduledByOthers),
    Row("ending by app", "customer", ScheduledByOthers),
    Row("ending by staff", "staff", "kept"),
    Row("ending by app", "key", "kept"),
    Row("active", "customer", "unchanged"),
    Row("active", "key", "unchanged"),
    Row("pause scheduled", "customer", "unchanged"),
    Row("canceled", "customer", AlreadyCanceled),
    Row("canceled", "key", AlreadyCanceled),
]


@pytest.mark.parametrize("row", WITHDRAW_TABLE, ids=str)
def test_withdrawing(database: str, row: Row) -> None:
    sub = make(row.state)
    before = vars_of(sub)
    if isinstance(row.outcome, type):
        with pytest.raises(row.outcome):
            ask(cancellation.withdraw, sub, row.by)
    else:
        assert ask(cancellation.withdraw, sub, row.by) is (row.outcome == "kept")
    if row.outcome == "kept":
        after = people.row(sub)
        assert (after.status, after.scheduled_action, after.next_billed_at) == ("active", None, END)
        assert after.period_ends_at == END
        assert said(sub) == (["subscription.updated"], ["cancellation_withdrawn"])
    else:
        assert vars_of(sub) == before
        assert said(sub) == ([], [])


def test_a_past_due_subscription_that_is_ending_can_be_kept_by_its_customer_but_not_by_an_app(database: str) -> None:
    sub = make("past due", **pending("customer"))
    with pytest.raises(PastDue):
        ask(cancellation.withdraw, sub, "key")
    assert ask(cancellation.withdraw, sub, "customer") is True
    assert (people.row(sub).status, people.row(sub).next_billed_at) == ("past_due", END)


@pytest.mark.parametrize("state", ["active", "ending by customer"])
def test_inside_the_lock_apps_are_refused_and_customers_are_not(database: str, state: str) -> None:
    verb = cancellation.at_period_end if state == "active" else cancellation.withdraw
    sub = make(state)
    with pytest.raises(LockedForRenewal):
        ask(verb, sub, "key", END - timedelta(minutes=29))
    ask(verb, sub, "customer", END - timedelta(microseconds=1))
    assert len(people.events_of(sub)) == 1


@pytest.mark.parametrize("state", ["active", "ending by app"])
def test_outside_the_lock_apps_are_not_refused(database: str, state: str) -> None:
    verb = cancellation.at_period_end if state == "active" else cancellation.withdraw
    sub = make(state)
    ask(verb, sub, "key", END - timedelta(minutes=31))
    assert len(people.events_of(sub)) == 1


def test_a_cancellation_can_be_withdrawn_up_to_its_instant_and_not_at_it(database: str) -> None:
    sub = make("ending by customer")
    with pytest.raises(TooLateToKeep):
        ask(cancellation.withdraw, sub, "customer", END)
    assert people.row(sub).is_ending
    assert ask(cancellation.withdraw, sub, "customer", END - timedelta(microseconds=1)) is True


def test_a_click_in_time_counts_even_if_the_portal_was_slow(database: str, the_clock: Any) -> None:
    sub = make("active")
    the_clock.set(END + timedelta(seconds=5))
    ask(cancellation.at_period_end, sub, "customer", END - timedelta(seconds=1))
    assert people.row(sub).scheduled_effective_at == END
    with transaction():
        assert renewal.open_due(10) == 0
        assert cancellation.carry_out(10) == 1
    assert people.row(sub).canceled_at == END


def test_a_customer_who_cancels_after_the_end_but_before_the_late_renewal_is_not_charged(
    database: str, the_clock: Any
) -> None:
    sub = make("active")
    the_clock.set(END + timedelta(days=2))
    ask(cancellation.at_period_end, sub, "customer", END + timedelta(days=2))
    with transaction():
        assert renewal.open_due(10) == 0
        cancellation.carry_out(10)
    assert (people.row(sub).status, people.row(sub).canceled_at) == ("canceled", END)
    with transaction():
        assert session().query(Transaction).count() == 0


@pytest.mark.parametrize("state", ["active", "trialing", "past due", "ending by customer", "paused, nothing left"])
@pytest.mark.parametrize("kind", ["staff", "key"])
def test_staff_and_apps_end_a_subscription_now(database: str, state: str, kind: str) -> None:
    sub = make(state)
    ask(cancellation.now, sub, kind)
    after = people.row(sub)
    assert (after.status, after.canceled_at, after.scheduled_action, after.period_ends_at) == (
        "canceled",
        NOW,
        None,
        None,
    )
    assert said(sub) == (["subscription.updated", "subscription.canceled"], ["subscription_ended"])


def test_no_customer_reaches_the_verb_that_ends_now(database: str) -> None:
    sub = make("active")
    with pytest.raises(ValueError, match="period's end only"):
        ask(cancellation.now, sub, "customer")
    assert people.row(sub).status == "active"


def test_when_its_instant_comes_a_subscription_ends_at_that_instant_however_late_the_worker(
    database: str, the_clock: Any
) -> None:
    sub = make("ending by customer")
    with transaction():
        assert cancellation.carry_out(10) == 0
    the_clock.set(END + timedelta(hours=7))
    with transaction():
        assert cancellation.carry_out(10) == 1
    with transaction():
        assert cancellation.carry_out(10) == 0
    after = people.row(sub)
    assert (after.status, after.canceled_at, after.scheduled_action) == ("canceled", END, None)
    assert said(sub) == (["subscription.updated", "subscription.canceled"], ["subscription_ended"])
    assert {event.occurred_at for event in all_events(sub)} == {END + timedelta(hours=7)}
    entity = all_events(sub)[-1].data
    assert (entity["status"], entity["scheduled_change"], entity["current_billing_period"]) == ("canceled", None, None)
    assert [item["status"] for item in entity["items"]] == ["active"]


def test_staff_are_told_of_a_cancellation_that_has_no_date(database: str) -> None:
    from portal.domain import staff

    with transaction():
        staff.add("ops@aeroedit.example", by=shell())
    sub = make("no period")
    ask(cancellation.at_period_end, sub, "customer")
    assert people.mails_of(sub) == ["cancellation_scheduled", "end_date_missing"]


def test_the_actor_the_way_and_the_arrival_stand_in_the_event(database: str) -> None:
    sub = make("active")
    ask(cancellation.at_period_end, sub, "customer", NOW - timedelta(seconds=3))
    event = all_events(sub)[0]
    assert (event.actor_kind, event.actor_id, event.way) == ("customer", "customer_1", "a test")
    assert event.received_at == NOW - timedelta(seconds=3)
    assert event.transition == "cancellation_scheduled"


def test_a_reason_is_kept_beside_its_cancellation_and_survives_a_change_of_mind(database: str) -> None:
    from portal.domain.events import CancellationReason

    sub = make("active")
    ask(cancellation.at_period_end, sub, "customer")
    with transaction():
        cancellation.give_reason(
            subscriptions.get(sub), reason="too_expensive", comment="  Sorry. ", by=actor("customer")
        )
    ask(cancellation.withdraw, sub, "customer")
    with transaction():
        kept = session().query(CancellationReason).one()
    assert (kept.reason, kept.comment, kept.event_id) == ("too_expensive", "Sorry.", all_events(sub)[0].id)


def vars_of(sub: str) -> dict[str, Any]:
    row = people.row(sub)
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def said(sub: str) -> tuple[list[str], list[str]]:
    return people.events_of(sub), people.mails_of(sub)


def all_events(sub: str) -> list[Any]:
    from portal.domain.events import Event

    with transaction():
        return session().query(Event).filter_by(subscription_id=sub).order_by(Event.id).all()


def test_a_request_that_was_held_up_past_the_renewal_is_told_so_and_records_nothing(database: str) -> None:
    sub = make("active")
    began = people.row(sub).period_starts_at
    assert began is not None
    with pytest.raises(Changed):
        ask(cancellation.at_period_end, sub, "customer", began - timedelta(seconds=1))
    assert said(sub) == ([], [])


def test_a_change_of_mind_in_time_is_not_overtaken_by_the_worker(database: str, the_clock: Any) -> None:
    sub = make("ending by customer")
    the_clock.set(END + timedelta(seconds=4))
    with transaction():
        assert cancellation.carry_out(10) == 0
    assert ask(cancellation.withdraw, sub, "customer", END - timedelta(milliseconds=1)) is True
    assert people.row(sub).next_billed_at == END


def test_a_scheduled_end_wins_over_the_pause_that_follows_exhaustion(database: str, the_clock: Any) -> None:
    from portal import worker

    config.use(replace(config.current(), payment_exhausted="paused", payment_retries=()))
    sub = people.subscription(
        people.customer(), began=END - timedelta(days=30), period_ends_at=END, card="sandbox_declines"
    )
    the_clock.set(END + timedelta(seconds=31))
    worker.renewals()
    ask(cancellation.at_period_end, sub, "customer", the_clock.at)
    worker.collections()
    assert people.row(sub).status == "canceled"


def test_hundreds_of_due_ends_are_one_batch_of_a_handful_of_statements(database: str, the_clock: Any) -> None:
    who, price = people.customer(), people.price()
    subs = [people.subscription(who, price_id=price, period_ends_at=END, **pending("customer")) for _ in range(60)]
    the_clock.set(END + timedelta(seconds=10))
    statements: list[str] = []
    event.listen(db.engine(), "before_cursor_execute", lambda *args: statements.append(args[2]))
    with transaction():
        assert cancellation.carry_out(500) == 60
    assert len(statements) <= 12, statements
    assert {people.row(sub).status for sub in subs} == {"canceled"}
    assert people.mails_of(subs[0]) == ["subscription_ended"]
