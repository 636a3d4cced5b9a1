"""What happens around the end of a period, by processes whose clocks agree and run: customers, workers, an app."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.exc import OperationalError

from portal import clock, config, db, worker
from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from portal.errors import Refusal
from tests.faults.jobs import Tell

LOCK_TIMEOUT_SECONDS = 1
"""Shorter than the grace of renewals, as in production (8 seconds and 30)."""


@dataclass(frozen=True)
class Plan:
    """One customer: what they do, one thing after the other, from which moment on."""

    subscription: str
    acts: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Done:
    """What came of an act: done, unchanged, the name of a refusal, or not recorded."""

    subscription: str
    act: str
    received_at: datetime
    outcome: str


@dataclass(frozen=True)
class Together:
    """What lets everybody begin in the same moment, with clocks that agree; slower than real ones on a busy machine."""

    barrier: Any
    begun: Any
    story_begins: datetime
    pace: float

    def go(self) -> None:
        self.begun.value = time.monotonic()
        self.barrier.wait(60)

    def join(self) -> None:
        db.LOCK_TIMEOUT_SECONDS = LOCK_TIMEOUT_SECONDS
        db.connect(config.current().database_url)
        with transaction():
            cancellation.carry_out(0)  # connected and warm
        db.close()
        self.barrier.wait(60)
        clock.now = self.now

    def now(self) -> datetime:
        return self.story_begins + timedelta(seconds=(time.monotonic() - self.begun.value) * self.pace)

    def sleep_until(self, moment: datetime) -> None:
        time.sleep(max(0.0, (moment - self.now()).total_seconds() / self.pace))


def customers(tell: Tell, together: Together, plans: list[Plan]) -> list[Done]:
    """Each acts at their moment, from a thread of the web server."""
    together.join()
    with ThreadPoolExecutor(6) as threads:
        plans = sorted(plans, key=lambda plan: plan.at)
        return [done for each in threads.map(partial(_act, together), plans) for done in each]


def _act(together: Together, plan: Plan) -> list[Done]:
    together.sleep_until(plan.at)
    return [_do(plan.subscription, act) for act in plan.acts]


def _do(subscription_id: str, act: str) -> Done:
    by = Actor("customer", "ctm_" + "0" * 26, "email link", received_at=clock.now())
    verb = cancellation.at_period_end if act == "cancel" else cancellation.withdraw
    outcome = "unchanged"
    try:
        with transaction():
            row = subscriptions.get(subscription_id)
            was_ending = row.is_ending
            verb(row, by=by)
            if row.is_ending != was_ending:
                outcome = "done"
    except Refusal as refusal:
        outcome = type(refusal).__name__
    except OperationalError:
        outcome = "not recorded"
    return Done(subscription_id, act, by.received_at, outcome)


def works(tell: Tell, together: Together, until: datetime) -> int:
    """A worker with small batches, all the time."""
    worker.BATCH = 25
    together.join()
    rounds = 0
    while clock.now() < until:
        try:
            more = [worker.period_end(), worker.renewals(), worker.collections()]
        except OperationalError:
            continue
        db.close()
        if not any(more):
            time.sleep(0.002)
        rounds += 1
    return rounds


def disturbs(tell: Tell, together: Together, until: datetime, ids: list[str]) -> int:
    """Somebody who keeps rows locked for a while, so that everybody else has to wait for them."""
    rng = random.Random(5)
    together.join()
    held = 0
    while clock.now() < until:
        try:
            with transaction():
                subscriptions.get(rng.choice(ids)).touch()
                time.sleep(rng.uniform(0.005, 0.03))
            held += 1
        except OperationalError:
            pass
        time.sleep(0.03)
    return held
