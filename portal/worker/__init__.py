"""Carries out what is due. Each task claims rows, does them, and says whether there is more.

Mails have a thread of their own, and so have webhooks: a mail server or an endpoint that hangs delays no cancellation.
So have the figures of the overview: counting a million rows delays nobody.

Any number of workers may run, on any number of machines: PostgreSQL's row locks share the work, SQLite's write lock
serializes it. Whatever a worker was killed over is still due, and is done by the next. One whose clock is wrong does
nothing: by it a subscription would end, or a mail that another is sending would go out again, before its time.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg
from sqlalchemy.exc import OperationalError

from portal import clock, config, db, gateways
from portal.db import transaction
from portal.domain import cancellation, dispatch, overview, pausing, renewal, seller_settings
from portal.outbox import delivery, smtp
from portal.outbox import webhooks as endpoints
from portal.worker import housekeeping

log = logging.getLogger("portal.worker")
BATCH = 500
_POLL_SECONDS = {"sqlite": 0.5, "postgresql": 1.0}
_POLL_EVENTS_SECONDS = 0.2
"""On SQLite, where nobody can wake the worker; the look for events is one read of a partial index."""
_POLL_FIGURES_SECONDS = 10.0
_AFTER_TROUBLE_SECONDS = 2.0
_IN_HAND_SECONDS = 6.0
"""How long a mail or webhook in hand may still take; after that its lease brings it back, as the same message."""
_COMPLAIN_SECONDS = 60.0
_stopping = False
_complained_at = -_COMPLAIN_SECONDS


def period_end() -> bool:
    """Ends the subscriptions whose instant has come."""
    return _of_subscriptions(cancellation.due, cancellation.carry_out, BATCH)


def pauses() -> bool:
    """Begins and ends the pauses whose instant has come."""
    return _of_subscriptions(pausing.due, pausing.carry_out, BATCH)


def renewals() -> bool:
    """Opens and bills the periods that begin."""
    return _of_subscriptions(renewal.to_open, renewal.open_due, BATCH // 5)


def collections() -> bool:
    """Makes the next attempt to collect, with transactions of its own around the gateway."""
    return renewal.collect_next(gateways.current())


def reminders() -> bool:
    """Announces the renewals that come near."""
    return _of_subscriptions(renewal.to_remind, renewal.remind_due, BATCH)


def mails() -> bool:
    return bool(delivery.send_due(stopping=is_stopping))


def events() -> bool:
    """Makes the notifications of what has happened."""
    return _batch(dispatch.any_open, dispatch.carry_out, BATCH)


def webhooks() -> bool:
    return endpoints.deliver(stopping=is_stopping)


def figures() -> bool:
    """Computes the overview anew when it is too old; nothing waits for it."""
    overview.refresh()
    return False


Task = Callable[[], bool]
CHANGES: tuple[Task, ...] = (period_end, pauses, renewals, collections, reminders, housekeeping.tidy)
LETTERS: tuple[Task, ...] = (mails,)
WEBHOOKS: tuple[Task, ...] = (events, webhooks)
FIGURES: tuple[Task, ...] = (figures,)
TASKS = (*CHANGES, *WEBHOOKS, *LETTERS)


def run_until_idle() -> None:
    """Does everything that is due now; for the demo's data and for tests."""
    while any(task() for task in TASKS):
        pass
    db.close()


def stop() -> None:
    """Lets `run` finish what is in hand and return; safe to call in a signal handler."""
    global _stopping
    _stopping = True


def is_stopping() -> bool:
    return _stopping


def run() -> None:
    """Works until told to stop; what is in hand is finished first."""
    if config.current().smtp_url:
        smtp.place(config.current().smtp_url)
    log.info("worker started", extra={"database": config.current().database_url.split(":", 1)[0]})
    beside = [
        threading.Thread(target=_loop, args=(LETTERS,), name="letters", daemon=True),
        threading.Thread(target=_send_webhooks, name="webhooks", daemon=True),
        threading.Thread(target=_loop, args=(FIGURES, _POLL_FIGURES_SECONDS), name="figures", daemon=True),
    ]
    for thread in beside:
        thread.start()
    _loop(CHANGES)
    until = time.monotonic() + _IN_HAND_SECONDS
    for thread in beside:
        thread.join(max(0.0, until - time.monotonic()))
    log.info("worker stopped")


def _send_webhooks() -> None:
    _loop(WEBHOOKS, _POLL_EVENTS_SECONDS)
    try:
        if clock_is_right():
            endpoints.finish(_IN_HAND_SECONDS)
    except Exception:
        log.exception("outcomes of webhooks were not written; the lease brings them back")
    finally:
        db.close()


def _loop(tasks: tuple[Task, ...], sqlite_poll: float = _POLL_SECONDS["sqlite"]) -> None:
    waker = _Waker(sqlite_poll)
    while not is_stopping():
        more = False
        seller_settings.refresh()
        if _attempt(clock_is_right):
            for task in tasks:
                more = (not is_stopping() and _attempt(task)) or more
        db.close()
        if not more:
            waker.wait()


def clock_is_right() -> bool:
    """Whether nothing would be done early, or twice, by this machine's time; complains once a minute if not."""
    global _complained_at
    ahead = db.clock_ahead()
    if abs(ahead) <= clock.TOLERANCE:
        return True
    if time.monotonic() - _complained_at >= _COMPLAIN_SECONDS:
        _complained_at = time.monotonic()
        log.error(
            "this machine's clock is %.0f s %s the database server's; until they agree, this worker does nothing",
            abs(ahead.total_seconds()),
            "ahead of" if ahead > timedelta() else "behind",
        )
    return False


def _batch(any_due: Callable[[], bool], carry_out: Callable[[int], int], size: int) -> bool:
    """One batch in one transaction. Looks first: on SQLite a transaction keeps customers waiting."""
    if not any_due():
        return False
    with transaction():
        return carry_out(size) > 0


def _of_subscriptions(due: Callable[[int], Sequence[str]], carry_out: Callable[..., int], size: int) -> bool:
    """One batch; if a row of it can't be done, each by itself, so that nobody else waits for what a person must mend.

    Trouble of the database itself is not a row's: it is left to whoever called.
    """
    try:
        return _batch(lambda: bool(due(1)), carry_out, size)
    except OperationalError:
        raise
    except Exception:
        log.warning("a batch of %s failed; each row of it is tried by itself", carry_out.__module__)
        db.close()
    done = sum(_by_itself(carry_out, each) for each in due(size) if not is_stopping())
    if not done:
        _rest(_AFTER_TROUBLE_SECONDS)
    return done > 0


def _by_itself(carry_out: Callable[..., int], subscription_id: str) -> int:
    try:
        with transaction():
            return carry_out(1, subscription_id)
    except OperationalError:
        raise
    except Exception:
        log.exception("subscription %s can't be done; it stays due", subscription_id)
        return 0


def _attempt(task: Task) -> bool:
    """Trouble with one task (the database away, a defect) leaves its rows due and the other tasks running."""
    try:
        return task()
    except Exception:
        log.exception("%s failed; its rows stay due", task.__name__)
        db.close()
        _rest(_AFTER_TROUBLE_SECONDS)
        return False


def _rest(seconds: float) -> None:
    """Sleeps in short naps, so that a signal to stop is heard."""
    for _ in range(round(seconds * 10)):
        if is_stopping():
            return
        time.sleep(0.1)


class _Waker:
    """Sleeps until there may be work: a notification from PostgreSQL, or a moment's time."""

    def __init__(self, sqlite_poll: float = _POLL_SECONDS["sqlite"]) -> None:
        self._sqlite_poll = sqlite_poll
        self._connection: psycopg.Connection | None = None

    def wait(self) -> None:
        if not db.is_postgresql():
            _rest(self._sqlite_poll)
            return
        try:
            for _ in self._listening().notifies(timeout=_POLL_SECONDS["postgresql"], stop_after=1):
                pass
        except psycopg.Error:
            self._connection = None
            _rest(_AFTER_TROUBLE_SECONDS)

    def _listening(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            url = db.engine().url.set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection = psycopg.connect(url, autocommit=True)
            self._connection.execute("LISTEN portal_work")
        return self._connection
