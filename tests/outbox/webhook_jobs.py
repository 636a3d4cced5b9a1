"""What other processes do with webhooks: work like a worker, and die where they are told to."""

import os
import signal
from datetime import datetime
from typing import Any

from portal import clock, config, db, worker
from portal.outbox import outcomes, webhooks
from tests.faults.jobs import Tell


def deliver(tell: Tell, at: datetime, die: str = "", after: int = 0) -> int:
    """Makes notifications and sends them until nothing is due; dies `before` or `after` the nth writing of outcomes.

    Answers how many outcomes it wrote.
    """
    db.connect(config.current().database_url)
    written, write = 0, outcomes.write

    def counted(reports: Any) -> None:
        nonlocal written
        _die_if(die == "before" and written >= after, tell, written)
        write(reports)
        written += sum(each.attempt is not None for each in reports)
        _die_if(die == "after" and written >= after, tell, written)

    outcomes.write = counted
    with clock.frozen(at):
        while worker.events() or worker.webhooks():
            pass
    db.disconnect()
    return written


def deliver_with_others(tell: Tell, barrier: Any, at: datetime) -> int:
    """One of several workers that begin together; answers how many it delivered."""
    db.connect(config.current().database_url)
    with clock.frozen(at):
        webhooks.claim(0, set())
        barrier.wait(30)
        return deliver(tell, at)


def _die_if(now: bool, tell: Tell, written: int) -> None:
    if now:
        tell(written)
        os.kill(os.getpid(), signal.SIGKILL)
