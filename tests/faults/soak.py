"""What goes on around a portal all day: customers come before their periods end, apps ask, staff look, things die."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import requests
from sqlalchemy import text

from portal import access, clock, db
from portal.db import transaction
from portal.domain import staff_sessions
from tests import people
from tests.faults import crowd
from tests.faults.browser import Browser
from tests.faults.processes import PortalProcess, served
from tests.faults.processes import portal as running
from tests.receiver import Behaviour, Delivery
from tests.smtp import MailServer
from tests.staff import console

PATIENCE_SECONDS = 40
"""How long somebody tries again while no server answers them."""
ACTS: dict[bool, Sequence[tuple[str, ...]]] = {
    False: ((), ("cancel",), ("cancel", "keep"), ("cancel", "cancel")),
    True: ((), ("keep",), ("keep", "cancel"), ("keep", "keep")),
}
DONE = {"cancel": "cancellation_scheduled", "keep": "cancellation_withdrawn"}
WAITING = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@dataclass
class Life:
    """One subscription whose period ends while all this goes on; `answered_at` is when its last act was answered."""

    sub: str
    ends: datetime
    was_ending: bool
    acts: tuple[str, ...]
    comes: datetime
    answered_at: datetime | None = None

    @property
    def is_certain(self) -> bool:
        """All that was asked for was confirmed before the period ended: then nothing is left to chance."""
        return not self.acts or (self.answered_at is not None and self.answered_at < self.ends)

    def story(self) -> list[str]:
        """The transitions it must have, in order: asking twice is asking once."""
        ending, told = self.was_ending, []
        for act in self.acts:
            if ending != (act == "cancel"):
                ending = act == "cancel"
                told.append(DONE[act])
        return [*told, "subscription_ended" if ending else "renewed"]


def lives(count: int, since: datetime, until: datetime, rng: random.Random) -> list[Life]:
    """Subscriptions whose periods end in between, and what their customers do in the seconds before."""
    ends = [since + (until - since) * rng.random() for _ in range(count)]
    half = count // 2
    subs = crowd.subscriptions(half, ends[:half]) + crowd.subscriptions(count - half, ends[half:], ending=True)
    made = []
    for n, (sub, at) in enumerate(zip(subs, ends, strict=True)):
        was_ending = n >= half
        made.append(Life(sub, at, was_ending, rng.choice(ACTS[was_ending]), at - timedelta(seconds=rng.uniform(5, 14))))
    return sorted(made, key=lambda life: life.comes)


@dataclass
class Seen:
    """What people were told that they must not be told, what died, and how it was with those that lived."""

    stop: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    died: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    memory: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)
    longest_lock: float = 0.0

    def growth(self, who: str) -> float:
        """How much more a process holds at the end than half-way, as a ratio of medians."""
        held = self.memory[who]
        fifth = len(held) // 5
        return median(held[-fifth:]) / median(held[2 * fifth : 3 * fifth])


class Servers:
    """Two web servers, as behind a proxy: whoever finds one dead goes to the other."""

    def __init__(self, seen: Seen, *origins: str) -> None:
        self.seen, self.origins = seen, origins

    def ask(
        self, who: str, act: Callable[[str], requests.Response], first: int, in_time_until: datetime | None = None
    ) -> requests.Response | None:
        """The answer, of whichever server gives one; none if nobody does for long. Too late, a 409 is right."""
        until, n = time.monotonic() + PATIENCE_SECONDS, first
        while time.monotonic() < until:
            try:
                answer = act(self.origins[n % len(self.origins)])
            except (requests.ConnectionError, requests.Timeout):
                self.seen.unanswered += 1
                n += 1
                time.sleep(0.1)
                continue
            self.seen.asked[who] += 1
            too_late = in_time_until is not None and clock.now() >= in_time_until
            if answer.status_code >= 400 and not (too_late and answer.status_code == 409):
                self.seen.problems.append(f"{who}: {answer.status_code} {answer.request.method} {answer.url[:160]}")
            return answer
        self.seen.problems.append(f"{who}: nobody answered for {PATIENCE_SECONDS} seconds")
        return None


def customers(servers: Servers, plans: Sequence[Life], number: int) -> None:
    """Each comes at their time by a link, presses, and reads that it is done."""
    for life in plans:
        if servers.seen.stop.wait(max(0.0, (life.comes - clock.now()).total_seconds())):
            return
        for act in life.acts:
            press = partial(_act, sub=life.sub, act=act)
            answer = servers.ask("customer", press, number, in_time_until=life.ends)
            if answer is None or answer.status_code >= 400:
                life.answered_at = None
                break
            life.answered_at = clock.now()


def _act(origin: str, sub: str, act: str) -> requests.Response:
    browser = Browser(origin)
    with browser.http:
        page = browser.follow_link(act, sub)
        return page if page.status_code >= 400 else browser.press(f"/portal/subscriptions/{sub}/{act}")


def app(servers: Servers, plans: Sequence[Life], key: dict[str, str]) -> None:
    """Opens sessions for customers, lists, reads."""
    owners = {life.sub: people.row(life.sub).customer_id for life in plans[:40]}
    db.close()
    rng = random.Random(1)
    while not servers.seen.stop.wait(0.15):
        sub = rng.choice(list(owners))
        for method, path, body in (
            ("POST", f"/customers/{owners[sub]}/portal-sessions", {"subscription_ids": [sub]}),
            ("GET", f"/subscriptions/{sub}", None),
            ("GET", "/subscriptions?per_page=50&status=active", None),
        ):
            servers.ask("app", partial(_call, method=method, path=path, body=body, key=key), rng.randrange(2))


def _call(origin: str, method: str, path: str, body: Any, key: dict[str, str]) -> requests.Response:
    return requests.request(method, origin + path, json=body, headers=key, timeout=30)


def colleague(servers: Servers, plans: Sequence[Life]) -> None:
    """Looks at the list, searches, reads a subscription and the overview."""
    member = console.member("admin", "Ada Lindqvist")
    with transaction():
        cookie = staff_sessions.begin(member, way="email link", client="127.0.0.1", agent="Mozilla/5.0 (a colleague)")
    name = access.staff_cookie_name()
    db.close()
    rng = random.Random(2)
    while not servers.seen.stop.wait(0.5):
        for path in ("?state=pending", "?q=amel&sort=ends", f"/{rng.choice(plans).sub}"):
            servers.ask("staff", partial(_look, path=f"subscriptions{path}", cookies={name: cookie}), 0)
        servers.ask("staff", partial(_look, path="overview", cookies={name: cookie}), 1)


def _look(origin: str, path: str, cookies: dict[str, str]) -> requests.Response:
    answer = requests.get(f"{origin}/console/{path}", cookies=cookies, timeout=30, allow_redirects=False)
    if answer.status_code != 200:
        answer.status_code = max(answer.status_code, 499)  # sent to sign in: a colleague was signed out
    return answer


class Mortals:
    """The worker and the server that are killed and started again; the mail server that goes down and comes back."""

    def __init__(self, seen: Seen, folder: Path, mails: MailServer) -> None:
        self.seen, self.folder, self.mails = seen, folder, mails
        self._stack = ExitStack()
        self.worker: PortalProcess | None = None
        self.server: PortalProcess | None = None
        self.origin = ""

    def __enter__(self) -> "Mortals":
        self._begin_working()
        self.server, self.origin = self._stack.enter_context(served(self.folder / "mortal-server.log", web_workers="1"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def die_every(self, seconds: float) -> None:
        """Until it is over: one after the other, in turn."""
        turns = (self.kill_worker, self.kill_server_process, self.mail_server_goes_down)
        for n in range(1_000_000):
            if self.seen.stop.wait(seconds):
                return
            turns[n % len(turns)]()

    def kill_worker(self) -> None:
        assert self.worker is not None
        os.killpg(self.worker.process.pid, signal.SIGKILL)
        self.worker.process.wait()
        self.seen.died["worker"] += 1
        self._begin_working()

    def kill_server_process(self) -> None:
        """The process that answers; the one above it starts another."""
        assert self.server is not None
        for child in psutil.Process(self.server.process.pid).children():
            child.kill()
        self.seen.died["server process"] += 1

    def mail_server_goes_down(self) -> None:
        self.mails.stop()
        self.seen.died["mail server"] += 1
        self.seen.stop.wait(2)
        self.mails.start()

    def _begin_working(self) -> None:
        log = self.folder / "mortal-worker.log"
        self.worker = self._stack.enter_context(running("worker", log=log, webhook_private="on"))


def faulty(rng: random.Random) -> Callable[[Delivery], Behaviour]:
    """An endpoint that fails now and then."""
    bad = (Behaviour.FAIL, Behaviour.ACT_THEN_DROP, Behaviour.DROP)
    return lambda _: rng.choice(bad) if rng.random() < 0.03 else Behaviour.NORMAL


def watch(seen: Seen, living: dict[str, PortalProcess]) -> None:
    """Once a second: what those that are never killed hold, and how long anybody waits for a lock."""
    while not seen.stop.wait(1.0):
        for who, process in living.items():
            main = psutil.Process(process.process.pid)
            busy = [main, *main.children(recursive=True)]
            seen.memory.setdefault(who, []).append(sum(each.memory_info().rss for each in busy) / 1e6)
            seen.files.setdefault(who, []).append(sum(each.num_fds() for each in busy))
        seen.longest_lock = max(seen.longest_lock, _longest_wait())


def _longest_wait() -> float:
    if db.is_postgresql():
        with db.engine().connect() as connection:
            return float(connection.execute(text(WAITING)).scalar_one())
    began = time.monotonic()
    with closing(sqlite3.connect(str(db.engine().url.database), timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return time.monotonic() - began


@contextmanager
def together(seen: Seen, *parts: Callable[[], None]) -> Iterator[None]:
    """All at once, each in a thread of its own, until the block is over; what breaks one of them is a problem."""

    def part(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as broken:
            seen.problems.append(f"{broken!r}")
            raise
        finally:
            db.close()

    threads = [threading.Thread(target=part, args=(act,), daemon=True) for act in parts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        seen.stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS + 20)
