"""T25: a machine whose clock is wrong, or goes wrong, ends nothing early and does nothing twice."""

import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from portal import clock, config, db, worker
from portal.domain import cancellation
from tests.faults import crowd
from tests.faults.processes import PortalProcess, portal, wait_until
from tests.smtp import MailServer

HOUR = timedelta(hours=1)
postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
"""SQLite has one machine, and one clock."""


@pytest.fixture(autouse=True)
def _real_time(database: str) -> Iterator[None]:
    """Other processes have the machine's clock; so have the rows of these tests."""
    clock._frozen = None
    yield
    clock.shift(timedelta())


def canceled() -> set[str]:
    return {sub for sub, row in crowd.rows().items() if row.status == "canceled"}


def ending(count: int, within: timedelta) -> set[str]:
    """Subscriptions that end so much later than now by the right clock."""
    return set(crowd.subscriptions(count, clock.now() + within, ending=True))


def complaints(worker: PortalProcess) -> int:
    return worker.said().count("until they agree, this worker does nothing")


@postgresql
@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(seconds=30)], ids=["ahead", "back", "30 s"])
def test_a_worker_whose_clock_jumps_does_nothing_until_it_is_right_again(
    tmp_path: Path, smtp: MailServer, jump: timedelta
) -> None:
    due = ending(5, timedelta(minutes=-5))
    with portal("worker", log=tmp_path / "log", jump=jump) as worker:
        wait_until(lambda: canceled() == due, "what was due is ended", 30)
        wait_until(lambda: sum(map(len, crowd.mails().values())) == len(smtp.received) == 5, "all are told", 30)
        worker.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: complaints(worker), "it says that its clock is wrong", 30)
        meanwhile, later = ending(5, timedelta(minutes=-1)), ending(5, timedelta(minutes=30))
        unpaid = set(crowd.subscriptions(5, clock.now() + timedelta(minutes=30)))
        with pytest.raises(AssertionError, match="by the wrong clock"):
            wait_until(lambda: canceled() != due, "something is ended by the wrong clock", 3)
        assert len(smtp.received) == 5
        worker.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: canceled() == due | meanwhile, "the rest of what is due is ended", 30)
        wait_until(lambda: len(smtp.received) == 10, "all are told", 30)
        worker.ask_to_stop()
        assert worker.stopped_within(10) == 0
        assert complaints(worker) <= 2, "once a minute, not with every look"
    assert crowd.events() == dict.fromkeys(due | meanwhile, crowd.ENDED), "nobody else ended, nobody was billed"
    assert crowd.mails() == {sub: ["subscription_ended"] for sub in due | meanwhile}
    assert {sub for sub, row in crowd.rows().items() if row.status == "active"} == later | unpaid
    assert len(smtp.received) == 10


@postgresql
def test_one_machine_with_a_wrong_clock_leaves_the_work_to_the_other(tmp_path: Path) -> None:
    with portal("worker", log=tmp_path / "wrong", jump=HOUR) as wrong, portal("worker", log=tmp_path / "right"):
        wait_until(lambda: "worker started" in wrong.said(), "it is there", 30)
        wrong.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: complaints(wrong), "it says that its clock is wrong", 30)
        due, later = ending(20, timedelta(minutes=-1)), ending(5, timedelta(minutes=30))
        wait_until(lambda: canceled() >= due, "the other does the work", 30)
        assert canceled() & later == set()
    assert crowd.check_endings() == 20


def test_clocks_that_differ_a_little_keep_nobody_from_work(tmp_path: Path) -> None:
    due = ending(5, timedelta(minutes=-1))
    with portal("worker", log=tmp_path / "log", jump=timedelta(seconds=-3)) as worker:
        wait_until(lambda: canceled() == due, "what was due is ended", 30)
        worker.process.send_signal(signal.SIGUSR1)
        more = ending(5, timedelta(minutes=-1))
        wait_until(lambda: canceled() == due | more, "what is due is ended", 30)
        assert complaints(worker) == 0


@pytest.mark.parametrize("wrong", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_server_with_a_wrong_clock_still_answers_and_its_figures_say_how_wrong(
    app: Flask, configure: Any, wrong: timedelta
) -> None:
    """Customers must be able to cancel, also if the wrong clock is the database server's."""
    configure(metrics_token="a-token-for-metrics")
    clock.shift(wrong)
    operator, token = app.test_client(), {"Authorization": "Bearer a-token-for-metrics"}
    assert operator.get("/readyz").status_code == 200
    [said] = re.findall(r"^portal_clock_ahead_seconds (.+)$", operator.get("/metrics", headers=token).text, re.M)
    assert float(said) == pytest.approx(wrong.total_seconds() if db.is_postgresql() else 0.0, abs=5)


def test_an_end_never_comes_early_by_a_clock_that_may_work() -> None:
    assert clock.TOLERANCE < cancellation.GRACE < config.current().renewal_grace


@postgresql
def test_a_worker_that_is_stopped_while_its_clock_is_wrong_writes_no_outcome_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished: list[float] = []
    monkeypatch.setattr("portal.outbox.webhooks.finish", finished.append)
    monkeypatch.setattr("portal.worker._stopping", True)
    clock.shift(HOUR)
    worker._send_webhooks()
    assert finished == [], "by it their endpoints would rest for an hour"
    clock.shift(timedelta())
    worker._send_webhooks()
    assert len(finished) == 1
