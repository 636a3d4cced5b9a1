"""What happens around the end of a period, by processes whose clocks agree and run: customers, workers, an app."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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


def begin_together(barrier: Any, begin: Any, story_begins: datetime) -> None:
    """Everybody's clock says `story_begins` at the same moment."""
    db.LOCK_TIMEOUT_SECONDS = LOCK_TIMEOUT_SECONDS
    db.connect(config.current().database_url)
    with transaction():
        cancellation.carry_out(0)  # connected and warm
    db.close()
    barrier.wait(60)
    clock.shift(story_begins - datetime.now(UTC) + timedelta(seconds=time.monotonic() - begin.value))


def customers(tell: Tell, barrier: Any, begin: Any, story_begins: datetime, plans: list[Plan]) -> list[Done]:
    """Each acts at their moment, from a thread of the web server."""
    begin_together(barrier, begin, story_begins)
    with ThreadPoolExecutor(6) as threads:
        return [done for each in threads.map(_act, sorted(plans, key=lambda plan: plan.at)) for done in each]


def _act(plan: Plan) -> list[Done]:
    time.sleep(max(0.0, (plan.at - clock.now()).total_seconds()))
    return [_do(plan.subscription, act) for act in plan.acts]


def _do(subscription_id: str, act: str) -> Done:
    by = Actor("customer", "ctm_" + "0" * 26, "email link")
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


def works(tell: Tell, barrier: Any, begin: Any, story_begins: datetime, until: datetime) -> int:
    """A worker with small batches, all the time."""
    worker.BATCH = 25
    begin_together(barrier, begin, story_begins)
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


def disturbs(tell: Tell, barrier: Any, begin: Any, story_begins: datetime, until: datetime, ids: list[str]) -> int:
    """Somebody who keeps rows locked for a while, so that everybody else has to wait for them."""
    rng = random.Random(5)
    begin_together(barrier, begin, story_begins)
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
