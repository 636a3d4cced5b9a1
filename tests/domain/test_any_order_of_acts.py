"""Cancelled on a date, moved, kept, paused, changed, unpaid, met by a late worker, in any order: what must always hold.

By card and by invoice, in currencies with and without a smaller unit. Nobody is billed twice for an instant, nor more
for a period than it costs, nor for anything from the end on; nobody gets more credit than was billed; what was foretold
is what is billed; and an end that was promised comes, at its instant.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from portal import clock
from portal.db import session, transaction
from portal.domain import (
    billed_to,
    cancellation,
    changing,
    debts,
    ending,
    paid_otherwise,
    pausing,
    periods,
    plans,
    previews,
    renewal,
    snapshots,
    subscriptions,
    transactions,
)
from portal.domain.actors import Actor
from portal.domain.payment_methods import PaymentMethod
from portal.domain.transactions import Transaction
from portal.errors import Refusal
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.api import billing
from tests.conftest import Clock

ANCHORS = (
    datetime(2027, 1, 31, 9, 30, 15, 250_001, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2027, 3, 27, 1, 30, tzinfo=UTC),
)
LENGTHS = {"day": 1, "week": 7, "month": 30, "year": 365}
KEPT = (
    "staff on a date",
    "staff at the period's end",
    "staff keeps",
    "customer cancels",
    "customer keeps",
    "app keeps",
)
CHANGES = (
    *("pause", "pause at the end", "resume", "seats", "seats before an end", "date", "charge"),
    *("pays", "card fails", "card works"),
)
INVOICED = ("invoice paid", "invoice paid", "collected otherwise")
ALL = (*KEPT, *CHANGES, *CHANGES, "activate")
CURRENCIES = ("USD", "JPY", "KWD")
TERMS = {"payment_terms": {"interval": "day", "frequency": 14}}


@dataclass
class Walk:
    """One subscription, what was billed of it when last looked, and the end that was promised."""

    rng: random.Random
    the_clock: Clock
    id: str
    price: str
    extra: str
    length: timedelta
    paid: int = 0
    said: list[str] = field(default_factory=list)

    def by(self, kind: str) -> Actor:
        return Actor(kind, f"{kind}_1", "console", "Sam", received_at=clock.now())

    def somewhen(self, periods: float = 3) -> datetime:
        at = self.the_clock.at + self.length * periods * self.rng.random()
        if self.rng.random() < 0.4:
            at = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        paid_until = people.row(self.id).paid_until
        return paid_until if self.rng.random() < 0.15 and paid_until is not None else at

    def cut(self) -> None:
        """Ends the next period within it, and goes on to that period."""
        begins = people.row(self.id).paid_until or self.the_clock.at
        self.ask(cancellation.on, "staff", begins + self.length * self.rng.random())
        self.work(begins + self.length * 0.1 * self.rng.random())

    def end_in_this_period(self) -> None:
        paid_until = people.row(self.id).paid_until or self.the_clock.at
        self.ask(cancellation.on, "staff", self.the_clock.at + (paid_until - self.the_clock.at) * self.rng.random())

    def seats_before_an_end(self) -> None:
        """Ends it within the period, and changes seats, twice, before that."""
        for act in ("staff on a date in this period", "prorated seats", "prorated seats"):
            self.do(act)

    def ask(self, verb: Callable[..., Any], kind: str, *given: Any, **more: Any) -> None:
        with transaction():
            verb(subscriptions.get(self.id), *given, by=self.by(kind), **more)

    def change(self, **wanted: Any) -> None:
        how = {"mode": self.rng.choice(plans.MODES), "on_payment_failure": self.fails()}
        asked, by = plans.Wanted(**how | wanted), self.by("key")
        self.make(lambda sub: plans.of_update(sub, asked, changing.prices([self.price]), by=by))

    def charge(self) -> None:
        how = {"when": self.rng.choice((plans.NOW, plans.NEXT)), "on_payment_failure": self.fails()}
        known, by = changing.prices([self.extra]), self.by("key")
        self.make(lambda sub: plans.of_charge(sub, [(self.extra, 1)], known, by=by, **how))

    def fails(self) -> str:
        return self.rng.choice((plans.PREVENT, plans.APPLY))

    def make(self, planned: Callable[[Any], plans.Plan]) -> None:
        """Makes a change that an app asks for; one that is to be paid first is sometimes left to the worker."""
        with transaction():
            subscription = subscriptions.get(self.id)
            plan, ends_at = planned(subscription), subscription.ends_at
            parts = [each["proration"]["billing_period"] for each in plan.lines if each["proration"]]
            if ends_at is not None:
                assert all(datetime.fromisoformat(each["ends_at"]) <= ends_at for each in parts)
            attempt = changing.make(subscription, plan, by=self.by("key"))
        if attempt is not None and self.rng.random() < 0.7:
            renewal.collect_now(attempt, Sandbox(), by=self.by("key"))

    def pay(self) -> None:
        """The customer pays what is owed with another card."""
        with transaction():
            owed = debts.to_collect(self.id)
        for each in owed:
            renewal.collect_with("sandbox_ok", each.id, Sandbox(), by=self.by("customer"))

    def invoice_paid(self) -> None:
        """An admin marks the bill that was open longest, or one at random, as paid; said twice, it counts once."""
        with transaction():
            owed = debts.of(self.id)
        bills = [*owed[:1], *billing.bills_of(self.id)]
        if not bills:
            return
        each = self.rng.choice(bills)
        for first in (each.status in transactions.OPEN, False):
            with transaction():
                assert paid_otherwise.record(each.id, by=self.by("staff")) == first

    def collect_otherwise(self) -> None:
        """An app lets what is collected by card be collected by invoice from now on, or the other way round."""
        by = self.by("key")
        sent: dict[str, Any] = {"collection_mode": "automatic"}
        if people.row(self.id).is_automatic:
            sent = {"collection_mode": "manual", "billing_details": TERMS}
        with transaction():
            subscription = subscriptions.get(self.id)
            fields, told = billed_to.changes(subscription, sent)
            wanted = plans.Wanted(fields=fields, told=told)
            known = changing.prices([self.price])
            changing.make(subscription, plans.of_update(subscription, wanted, known, by=by), by=by)

    def card(self, behaviour: str) -> None:
        with transaction():
            session().execute(update(PaymentMethod).values(reference=f"sandbox_{behaviour}"))

    def do(self, act: str) -> None:
        """Tries an act, a moment after the one before; what is refused changes nothing."""
        self.the_clock.advance(seconds=1)
        before = people.row(self.id).version
        acts: dict[str, Callable[[], None]] = {
            "staff on a date": lambda: self.ask(cancellation.on, "staff", self.somewhen()),
            "staff on a date in the next period": self.cut,
            "staff on a date in this period": self.end_in_this_period,
            "staff at the period's end": lambda: self.ask(cancellation.at_period_end, "staff"),
            "staff keeps": lambda: self.ask(cancellation.withdraw, "staff"),
            "customer cancels": lambda: self.ask(cancellation.at_period_end, "customer"),
            "customer keeps": lambda: self.ask(cancellation.withdraw, "customer"),
            "app keeps": lambda: self.ask(cancellation.withdraw, "key"),
            "pause": lambda: self.ask(pausing.now, "key"),
            "pause at the end": lambda: self.ask(pausing.at_period_end, "key"),
            "resume": lambda: self.ask(
                pausing.resume, "key", on_resume=self.rng.choice((pausing.NEW_PERIOD, pausing.SAME_PERIOD))
            ),
            "seats": lambda: self.change(items=[(self.price, self.rng.randrange(1, 6))]),
            "prorated seats": lambda: self.change(
                items=[(self.price, self.rng.randrange(1, 9))], mode="prorated_immediately"
            ),
            "seats before an end": self.seats_before_an_end,
            "date": lambda: self.change(next_billed_at=self.somewhen()),
            "card fails": lambda: self.card("declines"),
            "card works": lambda: self.card("ok"),
            "charge": self.charge,
            "pays": self.pay,
            "activate": lambda: self.ask(renewal.activate, "key"),
            "invoice paid": self.invoice_paid,
            "collected otherwise": self.collect_otherwise,
        }
        with suppress(Refusal):
            acts[act]()
            before = people.row(self.id).version
            self.said.append(f"{self.the_clock.at:%m-%d %H:%M} {act}")
        assert people.row(self.id).version == before, act

    def work(self, until: datetime | None = None) -> None:
        """Lets time pass, sometimes weeks without a worker; what was foretold before is what is billed."""
        steps = self.rng.choice((0.02, 0.2, 0.4, 0.4, 1, 3))
        until = until or self.the_clock.at + self.length * steps * self.rng.random()
        ends_at = people.row(self.id).ends_at
        if ends_at is not None and self.rng.random() < 0.8:
            until = min(until, ends_at - timedelta(seconds=40))
        self.the_clock.set(max(until, self.the_clock.at) + timedelta(seconds=31))
        before, row, billed = snapshots.find(self.id), people.row(self.id), len(self.bills)
        told = previews.next_transaction(before)
        coming = ending.charges_until(before, before.ends_at)
        billing.work()
        billing.work()
        self.said.append(f"{self.the_clock.at:%m-%d %H:%M} work: {_standing(people.row(self.id))}")
        new = self.bills[billed:]
        if told is not None and new:
            assert str(new[0].due) == told["details"]["totals"]["grand_total"]
            period = told["billing_period"]
            assert period["starts_at"] == f"{new[0].period_starts_at:%Y-%m-%dT%H:%M:%S.%fZ}"
            assert period["ends_at"] == f"{new[0].period_ends_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        if row.is_ending:
            assert all(each.period_ends_at <= row.ends_at for each in new)
            seen = [(each.period_starts_at, each.period_ends_at, each.due) for each in new]
            foretold = [(each.at, each.period.ends_at, each.due) for each in coming]
            assert seen == foretold[: len(seen)]
            after = people.row(self.id)
            if after.status == "canceled" and after.canceled_by != "system":
                assert after.canceled_at == row.ends_at
                assert row.status == "past_due" or self.owes() or len(seen) == len(foretold)

    @property
    def bills(self) -> list[Transaction]:
        return [each for each in billing.bills_of(self.id) if each.origin == "subscription_recurring"]

    def owes(self) -> bool:
        return any(each.status in ("past_due", "canceled") for each in billing.bills_of(self.id))

    def check(self) -> None:
        """What must hold in every state."""
        row = people.row(self.id)
        assert row.next_billed_at is None or row.billing_resumes_at is None
        if row.status == "canceled":
            planned = (row.next_billed_at, row.billing_resumes_at, row.remind_at, row.scheduled_action)
            assert planned == (None, None, None, None)
            assert row.canceled_at
            assert row.canceled_at <= self.the_clock.at
            assert all(each.period_starts_at < row.canceled_at for each in self.bills)
        elif row.status == "paused":
            assert (row.next_billed_at, row.period_ends_at) == (None, None)
        elif row.scheduled_action is None:
            assert row.next_billed_at == row.period_ends_at, "who is not leaving is billed when the period ends"
        elif row.next_billed_at is not None:
            assert row.bills_before_end(row.next_billed_at)
        else:
            assert row.is_plan_completed or row.billing_resumes_at == row.period_ends_at
        with transaction():
            charged = session().scalars(select(SandboxCharge)).all()
        bills = billing.bills_of(self.id)
        paid = [each.due for each in bills if each.status == "completed" and each.is_automatic]
        assert sum(each.amount for each in charged) == sum(paid)
        assert {each.currency for each in charged} | {each.currency_code for each in bills} <= {row.currency_code}
        billed, credit = self.paid, 0
        for each in bills:
            credit += each.credit
            assert credit <= billed + (each.amount if each.origin == "subscription_recurring" else 0)
            billed += each.amount
            if not each.is_automatic:
                assert (each.next_attempt_at, each.failed_attempts) == (None, 0), "no card is asked for an invoice"
                assert each.status in ("billed", "completed", "canceled")
            moved = [payment for payment in each.payments if payment["status"] == "captured"]
            assert [each.due] * (each.status == "completed") == [int(payment["amount"]) for payment in moved], (
                "paid once"
            )

    def live(self, acts: tuple[str, ...], steps: int) -> None:
        for _ in range(steps):
            if people.row(self.id).status == "canceled":
                break
            if self.rng.random() < 0.4:
                self.work()
            elif people.row(self.id).is_ending and self.rng.random() < 0.4:
                self.do("staff keeps")
            else:
                self.do(self.rng.choice(acts))
            self.check()


def _standing(row: Any) -> str:
    times = (row.period_starts_at, row.period_ends_at, row.next_billed_at, row.billing_resumes_at, row.ends_at)
    return " ".join([row.status, *(f"{each:%y-%m-%d}" if each else "-" for each in times)])


def begin(seed: int, the_clock: Clock, currency: str, **fields: Any) -> Walk:
    rng = random.Random(seed)
    interval, anchor = rng.choice(("day", "week", "month", "month", "year")), rng.choice(ANCHORS)
    ends = periods.nth(anchor, interval, 1, 1)
    the_clock.set(anchor + (ends - anchor) * rng.random())
    price = people.price(rng.choice((0, 1, 3, 999, 3000, 100_001)), currency, interval=interval)
    how = {"began": anchor, "interval": interval, "currency_code": currency}
    sub = people.subscription(people.customer(), price_id=price, quantity=rng.choice((1, 3)), **how, **fields)
    extra = billing.one_time(50, currency=currency)
    paid = 0 if fields.get("status") == "trialing" else snapshots.find(sub).amount
    return Walk(rng, the_clock, sub, price, extra, timedelta(days=LENGTHS[interval]), paid)


@pytest.mark.parametrize("seed", range(10))
def test_cancelled_moved_and_kept_a_period_costs_what_is_used_of_it(database: str, the_clock: Clock, seed: int) -> None:
    walk = begin(seed, the_clock, CURRENCIES[seed % 3])
    sub = snapshots.find(walk.id)
    walk.live(KEPT, 50)
    for before, after in zip(walk.bills, walk.bills[1:], strict=False):
        assert before.period_ends_at == after.period_starts_at, walk.said
    whole: dict[datetime, list[Transaction]] = {}
    for bill in walk.bills:
        ends_at = periods.following(sub.anchor_at, sub.billing_interval, 1, bill.period_starts_at)
        whole.setdefault(ends_at, []).append(bill)
    for ends_at, parts in whole.items():
        starts_at = parts[0].period_starts_at
        used = (parts[-1].period_ends_at - starts_at) / (ends_at - starts_at)
        assert abs(sum(each.amount for each in parts) - sub.amount * used) <= 0.5001, walk.said
        assert parts[-1].period_ends_at <= ends_at


@pytest.mark.parametrize("seed", range(24))
def test_whatever_is_done_nothing_is_billed_twice_or_after_the_end(
    database: str, the_clock: Clock, configure: Any, seed: int
) -> None:
    configure(payment_exhausted="canceled" if seed % 2 else "paused")
    trial = {"status": "trialing", "first_billed_at": None} if seed % 4 == 0 else {}
    plan = {"remaining_payments": 3} if seed % 3 == 0 else {}
    manual = {"collection_mode": "manual", "billing_details": TERMS} if seed % 5 < 2 else {}
    walk = begin(1000 + seed, the_clock, CURRENCIES[seed % 3], **trial, **plan, **manual)
    if trial:
        with transaction():
            row = subscriptions.get(walk.id)
            row.anchor_at = row.next_billed_at
    try:
        walk.live((*ALL, *INVOICED) if seed % 2 else (*ALL, *INVOICED[:2]) if manual else ALL, 60)
    except AssertionError:
        print("\n".join(walk.said))
        raise
    assert len({each.period_starts_at for each in walk.bills}) == len(walk.bills)
