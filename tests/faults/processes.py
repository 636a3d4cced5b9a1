"""Processes of the tests' own: forked from a clean server in milliseconds, so that hundreds can be killed.

`start(job, …)` runs a function of jobs.py elsewhere; `PortalProcess` is the real command.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from portal import config
from tests.ports import free_port

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "tests.faults.jobs"])
KILLED = -signal.SIGKILL


class Member:
    """A process that does one job; `tell` is its way to say things, also just before it is killed."""

    def __init__(self, job: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self._receiver, sender = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=_run, args=(sender, config.current(), job, arguments, named), daemon=True)
        self.process.start()
        sender.close()

    def finish(self, seconds: float = 60) -> tuple[int, list[Any]]:
        """Its exit code, and all that it said; killed if it takes too long."""
        said, deadline = [], time.monotonic() + seconds
        try:
            while self._receiver.poll(max(0.0, deadline - time.monotonic())):
                said.append(self._receiver.recv())
        except EOFError:
            pass
        self.process.join(max(0.1, deadline - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join(10)
            raise AssertionError(f"a process was still busy after {seconds} s; it said {said}")
        return self.process.exitcode or 0, said

    def result(self, seconds: float = 60) -> Any:
        """What its function returned; an error of its own fails the test."""
        code, said = self.finish(seconds)
        assert code == 0, f"the process ended with {code}; it said {said}"
        return said[-1]


def start(job: Callable[..., Any], *arguments: Any, **named: Any) -> Member:
    return Member(job, *arguments, **named)


def _run(tell: Any, settings: Any, job: Callable[..., Any], arguments: Any, named: Any) -> None:
    config.use(settings)
    tell.send(job(tell.send, *arguments, **named))
    tell.close()


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Asks until it is true; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer


def environment(**settings: str) -> dict[str, str]:
    """The environment of a portal command that works on the database of this test."""
    current = config.current()
    ours = {
        "PORTAL_ENV": "development",
        "PORTAL_DATABASE_URL": current.database_url,
        "PORTAL_SECRET_KEYS": ",".join(current.secret_keys),
        "PORTAL_BASE_URL": current.base_url,
        "PORTAL_SMTP_URL": current.smtp_url,
        "PORTAL_MAIL_FROM": current.mail_from,
        "PORTAL_BRAND_NAME": current.brand_name,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    return kept | ours | {f"PORTAL_{name.upper()}": value for name, value in settings.items()}


RUN = "from portal.cli import main; main()"
JUMPY = """
import signal
from datetime import timedelta
from portal import clock
signal.signal(signal.SIGUSR1, lambda *_: clock.shift(timedelta(seconds={seconds})))
signal.signal(signal.SIGUSR2, lambda *_: clock.shift(timedelta()))
"""


class PortalProcess:
    """`portal worker` or `portal serve` as an operator runs it, its stderr in a file (or on a device).

    `jump`: how far the clock of its machine goes astray when it gets SIGUSR1, until SIGUSR2 (the worker only).
    """

    def __init__(self, *command: str, log: Path, jump: timedelta | None = None, **settings: str) -> None:
        program = RUN if jump is None else JUMPY.format(seconds=jump.total_seconds()) + RUN
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *command],
                cwd=config.ROOT,
                env=environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stopped_within(self, seconds: float) -> int:
        """Its exit code; fails if it does not stop in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not stop within {seconds} s; its log:\n{self.said()}") from None

    def said(self) -> str:
        return self.log.read_text() if self.log.is_file() else ""


@contextmanager
def portal(*command: str, log: Path, jump: timedelta | None = None, **settings: str) -> Iterator[PortalProcess]:
    running = PortalProcess(*command, log=log, jump=jump, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)  # its own process group: it and its workers
            running.process.wait()


@contextmanager
def served(log: Path, **settings: str) -> Iterator[tuple[PortalProcess, str]]:
    """`portal serve` on a free port, ready; with its origin."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with portal("serve", "--port", str(port), log=log, base_url=origin, **settings) as running:

        def ready() -> bool:
            assert running.process.poll() is None, f"the server ended:\n{running.said()}"
            try:
                with urllib.request.urlopen(f"{origin}/readyz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(ready, "the server is ready", 40)
        yield running, origin
