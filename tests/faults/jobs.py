"""What the tests' other processes do: work like a worker, act like a customer; and die where they are told to.

Every job begins with `tell`, by which it reports to the test, and runs on the settings of the test.
"""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite  # noqa: F401  (loaded once, before the forks)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, configure_mappers

from portal import cli, clock, config, db, worker
from portal.domain import cancellation, renewal, schema
from portal.gateways.sandbox import Sandbox
from portal.outbox import smtp
from tests.conftest import NOW

Tell = Callable[[Any], None]
assert schema.metadata.tables
configure_mappers()


def work(tell: Tell, at: datetime, tasks: tuple[str, ...], batch: int, die_at: int | None = None) -> int:
    """Does these tasks of the worker as long as there is something to do; answers how many times there was."""
    db.connect(config.current().database_url)
    worker.BATCH = batch
    if die_at is not None:
        _die_at(die_at, tell)
    done = 0
    with clock.frozen(at):
        while worked := sum(getattr(worker, task)() for task in tasks):
            done += worked
    db.disconnect()
    return done


def end_with_others(tell: Tell, barrier: Any, at: datetime, batch: int) -> int:
    """One of several workers that begin together; answers how many subscriptions it ended."""
    db.connect(config.current().database_url)
    with clock.frozen(at):
        _in_transaction(cancellation.carry_out, 0)  # connected and warm
        barrier.wait(30)
        ended = _as_long_as_it_works(lambda: _in_transaction(cancellation.carry_out, batch))
    db.disconnect()
    return ended


def renew_with_others(tell: Tell, barrier: Any, at: datetime, batch: int) -> dict[str, int]:
    """The same for renewals, and then for payments; answers how many it opened and how many it charged."""
    db.connect(config.current().database_url)
    charged = 0

    class Counting(Sandbox):
        def charge(self, *args: Any, **more: Any) -> str | None:
            nonlocal charged
            charged += 1
            return super().charge(*args, **more)

    with clock.frozen(at):
        _in_transaction(renewal.open_due, 0)
        barrier.wait(30)
        renewed = _as_long_as_it_works(lambda: _in_transaction(renewal.open_due, batch))
        barrier.wait(60)
        _as_long_as_it_works(lambda: int(renewal.collect_next(Counting())))
    db.disconnect()
    return {"renewed": renewed, "charged": charged}


def _in_transaction(verb: Callable[[int], int], limit: int) -> int:
    with db.transaction():
        return verb(limit)


def _as_long_as_it_works(work: Callable[[], int]) -> int:
    """Like a worker, it comes again when it had to wait too long for the other's lock."""
    total = 0
    while True:
        try:
            count = work()
        except OperationalError:
            db.close()
            continue
        db.close()
        if not count:
            return total
        total += count


def _die_at(step: int, tell: Tell) -> None:
    """SIGKILL at the nth of the points where it could hurt: around statements, commits, mails and charges."""
    passed = 0

    def point(where: str) -> None:
        nonlocal passed
        passed += 1
        if passed == step:
            tell(where)
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(when: str) -> Callable[..., None]:
        def seen(connection: Any, cursor: Any, text: str, *_: Any) -> None:
            inside = "inside" if db.in_transaction() else "outside"
            point(f"{when} {text.split(None, 1)[0]} {inside}")

        return seen

    event.listen(db.engine(), "before_cursor_execute", statement("before"))
    event.listen(db.engine(), "after_cursor_execute", statement("after"))
    event.listen(Session, "before_commit", lambda _: point("before COMMIT"))
    event.listen(Session, "after_commit", lambda _: point("after COMMIT"))
    _around(smtp.Server, "send", point)
    _around(Sandbox, "charge", point)
    _around(renewal, "_make", point)


def _around(owner: Any, name: str, point: Callable[[str], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **more: Any) -> Any:
        point(f"before {name}")
        answer = original(*args, **more)
        point(f"after {name}")
        return answer

    setattr(owner, name, wrapped)


def cancel_where_files_may_not_grow(tell: Tell, url: str) -> dict[str, Any]:
    """A customer presses cancel while no file of this process may get longer, and again when they may."""
    import resource
    from urllib.parse import urlsplit

    from portal import create_app
    from tests.person import Page

    with clock.frozen(NOW):
        client, parts = create_app().test_client(), urlsplit(url)
        page = Page(client.get(f"{parts.path}?{parts.query}", follow_redirects=True))
        fields = page.forms[-1].fields
        said: dict[str, Any] = {"while full": [], "not recorded": [], "unchanged": []}
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for room in (0, 3000, 9000):
            log = Path(f"{db.engine().url.database}-wal")
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + room, hard))
            answer = client.post(parts.path, data=fields)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            said["while full"].append(answer.status_code)
            said["not recorded"].append("NOT recorded" in answer.text)
            said["unchanged"].append(Page(client.get(parts.path)).forms[-1].fields.keys() == fields.keys())
        said["after"] = client.post(parts.path, data=fields).status_code
    db.disconnect()
    return said


def migrate(tell: Tell, die_at: int | None = None) -> None:
    """`portal migrate`."""
    db.connect(config.current().database_url)
    if die_at is not None:
        _die_at(die_at, tell)
    cli.upgrade()
    db.disconnect()
