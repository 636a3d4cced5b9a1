"""Due cancellations carried out per second, against plain SQL that changes the same rows."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select, text, update

from portal import clock, db, worker
from portal.bench import plain_sql, serving
from portal.bench.synthetic import made_id
from portal.db import session, transaction
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.subscriptions import Subscription

_LONGEST = 300


@dataclass(frozen=True)
class Carried:
    rows: int
    per_second: float
    plain_per_second: float

    @property
    def ratio(self) -> float:
        return self.per_second / self.plain_per_second


def measure(rows: int, rounds: int) -> Carried:
    """The worker's task and plain SQL in turn, each on the same due subscriptions; medians."""
    own, plain = [], []
    for _ in range(rounds):
        make_due(rows)
        own.append(_timed(_by_worker))
        _check(rows)
        make_due(rows)
        plain.append(_timed(plain_sql.carry_out))
        _check(rows)
    return Carried(rows, rows / _median(own), rows / _median(plain))


def idle_look() -> float:
    """Milliseconds a worker needs to find that nothing is due, in all its tasks; the best of some looks."""
    while _look():
        pass
    return 1000 * min(_timed(_look) for _ in range(5))


def worker_memory(rows: int, url: str, folder: Path) -> float:
    """MB of `portal worker` after it has carried out so many cancellations."""
    make_due(rows)
    started = serving.process(["-c", "from portal.cli import main; main()", "worker"], url, folder / "worker.log")
    try:
        _wait_until_done(started)
        return serving.memory_of(started.pid)
    finally:
        serving.stop(started)


def make_due(rows: int) -> None:
    """Makes the first subscriptions end a minute ago, as customers asked; what told of earlier ends is forgotten."""
    ends = clock.now() - timedelta(minutes=1)
    planned = {"scheduled_action": "cancel", "scheduled_effective_at": ends, "scheduled_at": ends, "version": 1}
    alive = {
        "status": "active",
        "scheduled_by": "customer",
        "canceled_by": "customer",
        "next_billed_at": None,
        "canceled_at": None,
    }
    with transaction():
        for table in ("events", "mails"):
            session().execute(text(f"DELETE FROM {table}"))
        wanted = update(Subscription).where(Subscription.id < made_id("sub", rows))
        session().execute(wanted.values(**planned, **alive).execution_options(synchronize_session=False))


def _look() -> bool:
    """One round of a worker's tasks; whether one of them found something."""
    found = [task() for task in worker.TASKS]
    return any(found)


def _by_worker() -> None:
    while worker.period_end():
        pass


def _check(rows: int) -> None:
    """Every row ended, told by two events and one mail."""
    events, mails, waiting = _count(select(Event.id)), _count(select(Mail.id)), _waiting()
    if waiting or events != 2 * rows or mails != rows:
        raise RuntimeError(f"{rows} cancellations left {events} events, {mails} mails and {waiting} rows undone")


def _waiting() -> int:
    due = (Subscription.scheduled_action == "cancel") & (Subscription.scheduled_effective_at <= clock.now())
    return _count(select(Subscription.id).where(due))


def _count(wanted: Select[Any]) -> int:
    try:
        return session().scalar(select(func.count()).select_from(wanted.subquery())) or 0
    finally:
        db.close()


def _wait_until_done(started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LONGEST
    while _waiting():
        if started.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the worker did not carry out what was due")
        time.sleep(0.5)


def _timed(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    db.close()
    return time.perf_counter() - began


def _median(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]
