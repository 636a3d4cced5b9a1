"""T24: told to stop under load, server and worker finish what is in hand, leave the rest as it was, and go."""

import http.client
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from portal import clock, db, worker
from portal.db import transaction
from portal.domain import mails, subscriptions
from portal.domain.mails import Mail
from portal.domain.transactions import Transaction
from tests.faults import crowd
from tests.faults.browser import Browser
from tests.faults.processes import PortalProcess, portal, served, wait_until
from tests.smtp import Behaviour, MailServer

LONGEST = 10


@pytest.fixture(autouse=True)
def _real_time(database: str) -> None:
    """Other processes have the machine's clock; so have the rows of these tests."""
    clock._frozen = None


def customers_on_their_cancel_page(origin: str, count: int) -> dict[str, Browser]:
    browsers = {}
    for sub in crowd.subscriptions(count, clock.now() + timedelta(days=9)):
        browsers[sub] = Browser(origin)
        assert browsers[sub].follow_link("cancel", sub).status_code == 200
        browsers[sub].http.close()
    return browsers


class Press(threading.Thread):
    """One customer presses cancel; `answer` is the status, or what the connection said instead."""

    def __init__(self, sub: str, browser: Browser) -> None:
        super().__init__(daemon=True)
        self.sub, self.browser = sub, browser
        self.answer: Any = None

    def run(self) -> None:
        try:
            path = f"/portal/subscriptions/{self.sub}/cancel"
            self.answer = self.browser.press(path, follow=False).status_code
        except OSError as trouble:
            self.answer = type(trouble).__name__


@contextmanager
def everything_locked(subs: list[str]) -> Iterator[None]:
    """Nobody can change these rows (on SQLite: anything) as long as the block lasts."""
    with db.engine().begin() as connection:
        if db.is_postgresql():
            connection.execute(text("SELECT id FROM subscriptions WHERE id = ANY(:ids) FOR UPDATE"), {"ids": subs})
        yield


def no_thread_is_free(origin: str) -> bool:
    connection = http.client.HTTPConnection(origin.removeprefix("http://"), timeout=0.4)
    with suppress(OSError):
        connection.request("GET", "/healthz")
        try:
            return connection.getresponse().status != 200
        except TimeoutError:
            return True
        finally:
            connection.close()
    return False


def refuses_connections(origin: str) -> bool:
    connection = http.client.HTTPConnection(origin.removeprefix("http://"), timeout=0.4)
    try:
        connection.connect()
    except OSError:
        return True
    finally:
        connection.close()
    return False


def ending() -> set[str]:
    return {sub for sub, row in crowd.rows().items() if row.is_ending}


def logged(server: PortalProcess) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "request"]


def test_requests_in_flight_are_finished_before_the_server_goes(tmp_path: Path) -> None:
    with served(tmp_path / "log") as (server, origin):
        browsers = customers_on_their_cancel_page(origin, 4)
        presses = [Press(sub, browser) for sub, browser in browsers.items()]
        with everything_locked(list(browsers)):
            for press in presses:
                press.start()
            wait_until(lambda: no_thread_is_free(origin), "every thread of the server is waiting for the lock")
            assert ending() == set(), "they are in flight"
            server.ask_to_stop()
            began = time.monotonic()
            with suppress(AssertionError):
                wait_until(lambda: refuses_connections(origin), "it takes nobody new", 2)
            assert server.process.poll() is None, "it waits for them"
        for press in presses:
            press.join(15)
        assert [press.answer for press in presses] == [303] * 4
        assert server.stopped_within(LONGEST) == 0
        assert time.monotonic() - began < LONGEST
    assert ending() == set(browsers)


def test_under_load_whoever_was_answered_was_recorded_and_nobody_else(tmp_path: Path) -> None:
    with served(tmp_path / "log") as (server, origin):
        browsers = customers_on_their_cancel_page(origin, 60)
        presses = [Press(sub, browser) for sub, browser in browsers.items()]
        waiting, stop_now = queue.SimpleQueue[Press](), threading.Event()
        for press in presses:
            waiting.put(press)

        def one_after_the_other() -> None:
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait().run()
                    if sum(each.answer == 303 for each in presses) >= 15:
                        stop_now.set()

        crowded = [threading.Thread(target=one_after_the_other, daemon=True) for _ in range(8)]
        for each in crowded:
            each.start()
        assert stop_now.wait(30)
        server.ask_to_stop()
        code = server.stopped_within(LONGEST)
        for each in crowded:
            each.join(30)
        answers = Counter(press.answer for press in presses)
        done = {press.sub for press in presses if press.answer == 303}
        assert code == 0
        assert len(done) >= 15
        assert len(done) < 60, f"it was told to stop in the middle: {answers}"
        assert [status for status in answers if isinstance(status, int) and status >= 400] == []
        assert ending() == done, "recorded ⇔ answered"
        assert {line["status"] for line in logged(server) if line["method"] == "POST"} == {303}
        assert set(crowd.mails()) == done


def test_a_worker_told_to_stop_leaves_nothing_half_done_and_the_next_one_does_the_rest(tmp_path: Path) -> None:
    crowd.subscriptions(700, clock.now() - timedelta(minutes=5), ending=True)
    crowd.subscriptions(60, clock.now() - timedelta(minutes=5))

    def done() -> tuple[int, int]:
        counted = crowd.statuses()["canceled"]
        with crowd.reading() as found:
            paid = found.scalars(select(Transaction.id).where(Transaction.status == "completed")).all()
        return counted, len(paid)

    with portal("worker", log=tmp_path / "log") as first:
        wait_until(lambda: sum(done()) > 0, "it is at work", 30)
        first.ask_to_stop()
        assert first.stopped_within(LONGEST) == 0
    ended, paid = done()
    assert (ended, paid) < (700, 60), "it was told to stop in the middle"
    with crowd.reading() as found:
        leased = found.scalars(select(Transaction.id).where(Transaction.lease_until.is_not(None))).all()
    assert leased == [], "it gave back what it had claimed"
    worker.run_until_idle()
    assert done() == (700, 60)
    assert crowd.check_payments()["completed"] == 60


def test_a_worker_told_to_stop_amid_slow_mails_finishes_its_mail_and_gives_the_others_back(
    tmp_path: Path, smtp: MailServer
) -> None:
    smtp.behaviour, smtp.delay = Behaviour.SLOW, 1.0
    with transaction():
        for sub in crowd.subscriptions(20, clock.now() + timedelta(days=9)):
            mails.tell("resumed", subscriptions.get(sub))
    with portal("worker", log=tmp_path / "log") as first:
        wait_until(lambda: len(smtp.received) >= 2, "it is sending", 30)
        first.ask_to_stop()
        assert first.stopped_within(LONGEST) == 0
    with crowd.reading() as found:
        states = Counter((mail.status, mail.lease_until is None) for mail in found.scalars(select(Mail)))
    assert set(states) == {("sent", True), ("queued", True)}, states
    assert states["sent", True] == len(smtp.received)
    smtp.behaviour = Behaviour.NORMAL
    worker.run_until_idle()
    assert len(smtp.received) == len({each.message["Message-ID"] for each in smtp.received}) == 20
