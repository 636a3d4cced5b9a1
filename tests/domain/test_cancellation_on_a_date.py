"""Staff end a subscription on a date: within the paid period, beyond it, moved, taken back, and met by the renewal."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from portal import clock, db
from portal.db import session, transaction
from portal.domain import cancellation, changing, pausing, plans, renewal, snapshots, subscriptions
from portal.domain.actors import Actor
from portal.domain.plans import Wanted
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.errors import (
    AlreadyCanceled,
    Changed,
    ChangePending,
    InvalidField,
    LockedForRenewal,
    ScheduledByOthers,
    TooLateToKeep,
)
from tests import people
from tests.api import billing
from tests.conftest import NOW, Clock
from tests.customer import visits

END = visits.END
SECOND, THIRD = (END + relativedelta(months=n) for n in (1, 2))
DAY = timedelta(days=1)
LATE = THIRD - 10 * DAY
"""Ten days before the end of the period after the next."""


def staff(at: datetime | None = None) -> Actor:
    return Actor("staff", "stf_1", "console", "Sam Support", received_at=at or clock.now())


def customer(at: datetime | None = None) -> Actor:
    return Actor("customer", "ctm_1", "email link", received_at=at or clock.now())


def app() -> Actor:
    return Actor("key", "apikey_1", "API", "shop")


def on(sub: str, at: datetime, by: Actor | None = None, **more: Any) -> None:
    with transaction():
        cancellation.on(subscriptions.get(sub), at, by=by or staff(), **more)


def at_period_end(sub: str, by: Actor) -> None:
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=by)


def withdraw(sub: str, by: Actor | None = None) -> bool:
    with transaction():
        return cancellation.withdraw(subscriptions.get(sub), by=by or staff())


def planned(sub: str) -> tuple[Any, ...]:
    """When it ends, when it is billed next, and when that would go on."""
    row = people.row(sub)
    return row.ends_at, row.next_billed_at, row.billing_resumes_at


def move_to(the_clock: Clock, at: datetime) -> None:
    """The worker carries out ends first, so an end that waited for a bill comes with its next round."""
    the_clock.set(at + timedelta(seconds=31))
    billing.work()
    billing.work()


def amounts(sub: str) -> list[int]:
    return [each.amount for each in billing.bills_of(sub)]


@pytest.mark.parametrize("at", [NOW + timedelta(microseconds=1), NOW + DAY, END])
def test_within_the_paid_period_nothing_more_is_charged(database: str, the_clock: Clock, at: datetime) -> None:
    sub = visits.subscribed()
    on(sub, at, reason="switched", comment="Moved away")
    assert planned(sub) == (at, None, END)
    assert people.row(sub).cancellation == {"reason": "switched", "comment": "Moved away"}
    assert people.row(sub).remind_at is None
    move_to(the_clock, at)
    row = people.row(sub)
    assert (row.status, row.canceled_at) == ("canceled", at)
    assert amounts(sub) == []
    assert visits.said(sub) == (
        ["subscription.updated", "subscription.updated", "subscription.canceled"],
        ["cancellation_scheduled", "subscription_ended"],
    )


def test_beyond_it_every_period_is_charged_and_the_last_in_proportion(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    assert planned(sub) == (LATE, END, None)
    move_to(the_clock, END)
    assert planned(sub) == (LATE, SECOND, None)
    move_to(the_clock, SECOND)
    assert planned(sub) == (LATE, None, LATE)
    row = people.row(sub)
    assert (row.period_starts_at, row.period_ends_at) == (SECOND, LATE)
    assert row.price_lasts == (THIRD - SECOND) // timedelta(microseconds=1)
    days = (THIRD - SECOND).days
    assert amounts(sub) == [30000, round(30000 * (days - 10) / days)]
    move_to(the_clock, LATE)
    row = people.row(sub)
    assert (row.status, row.canceled_at, row.next_billed_at) == ("canceled", LATE, None)
    assert [each["proration"] is not None for each in (bill.lines[0] for bill in billing.bills_of(sub))] == [
        False,
        True,
    ]


def test_an_end_that_is_a_boundary_is_charged_in_whole_periods(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, SECOND)
    move_to(the_clock, END)
    assert planned(sub) == (SECOND, None, SECOND)
    assert (people.row(sub).price_lasts, amounts(sub)) == (None, [30000])


def test_a_worker_that_comes_after_all_of_it_bills_all_of_it(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    move_to(the_clock, LATE + 100 * DAY)
    assert [each.period_starts_at for each in billing.bills_of(sub)] == [END, SECOND]
    assert billing.bills_of(sub)[1].period_ends_at == LATE
    assert people.row(sub).canceled_at == LATE
    assert people.row(sub).status == "canceled"


def test_an_end_seconds_after_a_billing_waits_until_it_is_billed(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(price_id=people.price(10**9))
    on(sub, END + timedelta(seconds=10))
    the_clock.set(END + timedelta(seconds=20))
    billing.work()
    assert people.row(sub).status == "active"
    move_to(the_clock, END)
    assert people.row(sub).canceled_at == END + timedelta(seconds=10)
    assert amounts(sub) == [round(10**10 * 10 / (SECOND - END).total_seconds())]


@pytest.mark.parametrize(
    "at", [NOW, NOW - DAY, NOW + relativedelta(years=5, microseconds=1), NOW + relativedelta(years=80)]
)
def test_the_past_and_more_than_five_years_are_refused(database: str, at: datetime) -> None:
    sub = visits.subscribed()
    with pytest.raises(InvalidField):
        on(sub, at)
    assert planned(sub) == (None, END, None)
    assert visits.said(sub) == ([], [])


def test_five_years_to_the_microsecond_are_accepted(database: str) -> None:
    sub = visits.subscribed()
    on(sub, NOW + relativedelta(years=5))
    assert planned(sub) == (NOW + relativedelta(years=5), END, None)


@pytest.mark.parametrize("by", [customer(), app()], ids=["customer", "app"])
def test_only_staff_choose_a_date(database: str, by: Actor) -> None:
    sub = visits.subscribed()
    with pytest.raises(ValueError, match="only staff"):
        on(sub, LATE, by)
    assert visits.said(sub) == ([], [])


def test_asked_twice_it_is_recorded_once(database: str) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    on(sub, LATE, reason="other")
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])


def test_without_telling_the_customer_it_is_recorded_all_the_same(database: str) -> None:
    sub = visits.subscribed()
    on(sub, LATE, tell=False)
    withdraw(sub)
    assert visits.said(sub) == (["subscription.updated"] * 2, ["cancellation_withdrawn"])
    assert visits.events(sub)[0].facts["customer_told"] is False
    assert "customer_told" not in visits.events(sub)[1].facts


def test_staff_move_an_end_that_stands(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, LATE, reason="switched")
    on(sub, END - DAY)
    assert planned(sub) == (END - DAY, None, END)
    on(sub, SECOND)
    assert planned(sub) == (SECOND, END, None)
    at_period_end(sub, staff())
    assert planned(sub) == (END, None, END)
    at_period_end(sub, staff())
    recorded = visits.events(sub)
    assert [each.transition for each in recorded] == ["cancellation_scheduled", *["cancellation_moved"] * 3]
    assert [each.facts["history"][0]["action"] for each in recorded] == [
        "subscription_scheduled_change_added",
        *["subscription_scheduled_change_updated"] * 3,
    ]
    assert people.row(sub).cancellation == {"reason": "switched", "comment": None}, "the reason stays"
    assert people.mails_of(sub) == ["cancellation_scheduled"] * 4


def test_a_reminder_is_planned_again_when_payments_go_on(database: str) -> None:
    sub = visits.subscribed()
    at_period_end(sub, staff())
    assert people.row(sub).remind_at is None
    on(sub, LATE)
    assert people.row(sub).remind_at == END - 3 * DAY


def test_payments_until_the_end_are_announced_with_their_part(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(remind_at=END - 3 * DAY)
    on(sub, END + (SECOND - END) / 2)
    the_clock.set(END - 3 * DAY)
    with transaction():
        assert renewal.remind_due(5) == 1
    (mail,) = visits.mails("renewal_reminder")
    assert mail.facts["next_due"] == 15000
    assert mail.facts["ends_at"] is not None


def test_taken_back_before_the_last_part_all_is_as_it_was(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    assert withdraw(sub)
    assert planned(sub) == (None, END, None)
    assert people.row(sub).scheduled_by is None
    move_to(the_clock, END)
    assert (amounts(sub), planned(sub)) == ([30000], (None, SECOND, None))


def test_taken_back_in_the_last_part_the_rest_of_the_period_follows(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    cut = END + (SECOND - END) / 3
    on(sub, cut)
    move_to(the_clock, END)
    assert withdraw(sub)
    assert planned(sub) == (None, cut, None)
    (mail,) = visits.mails("cancellation_withdrawn")
    assert mail.facts["next_due"] == 20000
    move_to(the_clock, cut)
    assert planned(sub) == (None, SECOND, None)
    move_to(the_clock, SECOND)
    assert amounts(sub) == [10000, 20000, 30000]
    assert people.row(sub).price_lasts is None
    assert planned(sub) == (None, THIRD, None)


def test_at_its_end_it_can_neither_be_moved_nor_taken_back(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, NOW + DAY)
    the_clock.set(NOW + DAY)
    for act in (lambda: on(sub, LATE), lambda: at_period_end(sub, staff()), lambda: withdraw(sub)):
        with pytest.raises(TooLateToKeep):
            act()
    assert len(visits.events(sub)) == 1


def test_a_customer_may_leave_earlier_than_staff_have_planned(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    at_period_end(sub, customer())
    assert planned(sub) == (END, None, END)
    last = visits.events(sub)[-1]
    assert (last.transition, last.actor_kind) == ("cancellation_scheduled", "customer")
    assert visits.mails("cancellation_scheduled")[-1].facts["can_keep"] is False
    with pytest.raises(ScheduledByOthers):
        withdraw(sub, customer())
    at_period_end(sub, customer())
    assert len(visits.events(sub)) == 2
    move_to(the_clock, END)
    assert (people.row(sub).status, amounts(sub)) == ("canceled", [])


def test_a_customer_does_not_lengthen_an_end_that_staff_have_planned(database: str) -> None:
    sub = visits.subscribed()
    on(sub, NOW + DAY)
    at_period_end(sub, customer())
    assert planned(sub)[0] == NOW + DAY
    assert len(visits.events(sub)) == 1


def test_what_a_customer_has_canceled_stays_theirs_when_staff_move_it(database: str) -> None:
    sub = visits.subscribed()
    at_period_end(sub, customer())
    on(sub, LATE)
    assert people.row(sub).scheduled_by == "customer"
    assert visits.mails("cancellation_scheduled")[-1].facts["can_keep"] is True
    at_period_end(sub, customer())
    assert planned(sub) == (END, None, END)
    assert withdraw(sub, customer())
    assert planned(sub) == (None, END, None)


def test_in_a_trial(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(status="trialing", first_billed_at=None, anchor_at=END)
    on(sub, END - DAY)
    assert planned(sub) == (END - DAY, None, END)
    on(sub, END + (SECOND - END) / 2)
    move_to(the_clock, END)
    assert (people.row(sub).status, amounts(sub)) == ("active", [15000])
    assert people.row(sub).first_billed_at == END


def test_past_due_retries_go_on_and_no_further_period_begins(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(card=None)
    on(sub, SECOND + DAY)
    move_to(the_clock, END)
    row = people.row(sub)
    assert (row.status, row.next_billed_at, row.ends_at) == ("past_due", SECOND, SECOND + DAY)
    with transaction():
        (debt,) = session().query(Transaction).filter_by(subscription_id=sub)
        assert debt.next_attempt_at is not None
    for _ in range(4):
        the_clock.advance(days=7)
        billing.work()
    assert people.row(sub).status == "canceled"
    assert amounts(sub) == [30000]


def test_past_due_at_its_end_it_ends_without_the_payments_that_waited(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(status="past_due")
    on(sub, END + 5 * DAY)
    assert planned(sub) == (END + 5 * DAY, END, None)
    move_to(the_clock, END + 5 * DAY)
    assert (people.row(sub).status, amounts(sub)) == ("canceled", [])


def test_paused_nothing_is_charged_and_the_resumption_is_replaced(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(
        status="paused",
        next_billed_at=None,
        scheduled_action="resume",
        scheduled_effective_at=END,
        scheduled_by="key",
    )
    on(sub, THIRD)
    assert planned(sub) == (THIRD, None, None)
    move_to(the_clock, THIRD)
    assert (people.row(sub).status, people.row(sub).canceled_at, amounts(sub)) == ("canceled", THIRD, [])


def test_a_pause_that_is_scheduled_is_replaced(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    with transaction():
        pausing.at_period_end(subscriptions.get(sub), by=staff())
    on(sub, LATE)
    assert planned(sub) == (LATE, END, None)
    move_to(the_clock, LATE)
    assert (people.row(sub).status, len(amounts(sub))) == ("canceled", 2)


def test_collected_manually_invoices_are_sent_until_the_end(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(collection_mode="manual", card=None)
    on(sub, END + (SECOND - END) / 2)
    move_to(the_clock, END)
    (mail,) = visits.mails("renewed")
    assert (mail.facts["amount"], mail.facts["paid_at"]) == (15000, None)


def test_without_a_period_it_ends_on_that_date(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(next_billed_at=None)
    with transaction():
        row = subscriptions.get(sub)
        row.period_starts_at = row.period_ends_at = None
    on(sub, LATE)
    assert planned(sub) == (LATE, None, None)
    move_to(the_clock, LATE)
    assert people.row(sub).canceled_at == LATE


def test_canceled_is_final(database: str) -> None:
    with pytest.raises(AlreadyCanceled):
        on(visits.subscribed(**visits.CANCELED), LATE)


def test_a_request_that_a_renewal_overtook_is_refused(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed()
    move_to(the_clock, END)
    with pytest.raises(Changed):
        on(sub, LATE, staff(END - timedelta(seconds=1)))


@pytest.mark.parametrize("left", [1, 2])
def test_a_payment_plan_is_not_charged_beyond_its_payments(database: str, the_clock: Clock, left: int) -> None:
    sub = visits.subscribed(remaining_payments=left)
    own_end = END + relativedelta(months=left)
    with pytest.raises(InvalidField):
        on(sub, own_end + DAY)
    on(sub, own_end - DAY)
    move_to(the_clock, own_end)
    row = people.row(sub)
    assert (row.status, row.canceled_at, len(amounts(sub))) == ("canceled", own_end - DAY, left)


def test_a_part_of_a_period_is_no_payment_of_a_plan_until_its_rest_is_billed(database: str, the_clock: Clock) -> None:
    sub = visits.subscribed(remaining_payments=1)
    cut = END + (SECOND - END) / 2
    on(sub, cut)
    move_to(the_clock, END)
    assert people.row(sub).remaining_payments == 1
    assert withdraw(sub)
    move_to(the_clock, cut)
    row = people.row(sub)
    assert (row.remaining_payments, row.ends_at, amounts(sub)) == (0, SECOND, [15000, 15000])


class TestApps:
    """What apps change while such an end is pending."""

    def test_are_locked_out_before_each_billing_and_before_the_end(self, database: str, the_clock: Clock) -> None:
        sub = visits.subscribed()
        on(sub, LATE)
        row = people.row(sub)
        assert not row.locks_apps_at(NOW)
        assert row.locks_apps_at(END - timedelta(minutes=29))
        move_to(the_clock, END)
        move_to(the_clock, SECOND)
        assert not people.row(sub).locks_apps_at(clock.now())
        the_clock.set(LATE - timedelta(minutes=29))
        with pytest.raises(LockedForRenewal), transaction():
            cancellation.withdraw(subscriptions.get(sub), by=app())

    def test_may_take_it_back_but_not_cancel_again(self, database: str) -> None:
        sub = visits.subscribed()
        on(sub, LATE)
        with pytest.raises(ChangePending):
            at_period_end(sub, app())
        assert withdraw(sub, app())

    def test_can_not_move_the_billing_date(self, database: str) -> None:
        sub = visits.subscribed()
        on(sub, LATE)
        wanted = Wanted(next_billed_at=END + DAY, mode="do_not_bill")
        with pytest.raises(ChangePending):
            plans.of_update(snapshots.find(sub), wanted, {}, by=app())

    def test_change_quantities_in_the_last_part_at_the_price_of_the_whole_period(
        self, database: str, the_clock: Clock
    ) -> None:
        sub = visits.subscribed()
        on(sub, END + (SECOND - END) / 2)
        move_to(the_clock, END)
        the_clock.set(END + (SECOND - END) / 4)
        item = people.row(sub)
        with transaction():
            found = subscriptions.get(sub)
            price = found.items[0].price_id
            wanted = Wanted(items=[(price, 14)], mode="prorated_immediately")
            plan = plans.of_update(found, wanted, changing.prices([price]), by=app())
        assert plan.bill.due == 3000, "4 more for a quarter of the month"
        assert item.price_lasts is not None

    @pytest.mark.parametrize(
        ("moved_to", "expected"),
        [
            (END + DAY, (LATE, END + DAY, None)),
            (LATE, (LATE, None, LATE)),
            (LATE + DAY, (LATE, None, LATE + DAY)),
        ],
    )
    def test_a_date_that_was_being_paid_for_is_moved_and_the_end_stays(
        self, database: str, moved_to: datetime, expected: tuple[Any, ...]
    ) -> None:
        sub = visits.subscribed()
        on(sub, LATE)
        with transaction():
            found = subscriptions.get(sub)
            change = {"next_billed_at": moved_to.isoformat(), "date_is_billed": True}
            changing.take(found, change, {})
        assert planned(sub) == expected


def test_the_entity_tells_of_the_end_and_of_the_next_billing(database: str) -> None:
    sub = visits.subscribed()
    on(sub, LATE)
    data = visits.events(sub)[-1].data
    assert data["scheduled_change"]["effective_at"] == LATE.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert data["next_billed_at"] is not None
    assert data["items"][0]["next_billed_at"] == data["next_billed_at"]


def test_where_renewal_and_date_meet_one_of_two_legal_histories_results(database: str, the_clock: Clock) -> None:
    """First the date: the new period is billed in part. First the renewal: in full, and nothing more is charged."""
    end, whole, part = END + (SECOND - END) / 2, 30000, 15000
    subs = [visits.subscribed() for _ in range(40)]
    the_clock.set(END + timedelta(seconds=31))
    barrier, refused = threading.Barrier(2), list[str]()
    done = [threading.Event() for _ in subs]

    def each_in_turn(who: int, act: Callable[[str], None]) -> None:
        """Of three one is free for all; on a busy machine one thread would else always come first."""
        for n, sub in enumerate(subs):
            barrier.wait(30)
            if n % 3 == 1 - who:
                done[n].wait(30)
            act(sub)
            done[n].set()
        db.close()

    def renew(sub: str) -> None:
        with transaction():
            renewal.open_due(1, sub)

    def cancel(sub: str) -> None:
        try:
            on(sub, end)
        except Changed:
            refused.append(sub)

    threads = [threading.Thread(target=each_in_turn, args=each) for each in ((0, renew), (1, cancel))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(100)
    while renewal.to_open(1):
        with transaction():
            renewal.open_due(100)
    outcomes = set()
    for sub in subs:
        row: Subscription = people.row(sub)
        (bill,) = billing.bills_of(sub)
        outcomes.add((bill.amount, bill.period_ends_at))
        assert sub not in refused
        assert (row.ends_at, row.next_billed_at, row.billing_resumes_at) == (end, None, bill.period_ends_at)
        assert (bill.amount, bill.period_ends_at) in {(whole, SECOND), (part, end)}
        assert sorted(each.transition for each in visits.events(sub) if each.transition) == [
            "cancellation_scheduled",
            "renewed",
        ]
    assert outcomes == {(whole, SECOND), (part, end)}, "both were seen"
