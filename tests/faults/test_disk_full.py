"""T5: the disk is full, or the database away; people are told that nothing was recorded, and later it works again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from portal import clock, db, links
from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.faults import crowd, jobs
from tests.faults.processes import portal, start, wait_until
from tests.person import Person
from tests.postgres import TemporaryPostgres

CANCEL = "Cancel at the end of the period"
sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def sub(app: Flask) -> str:
    return people.subscription(people.customer())


@pytest.fixture
def durable(database: str) -> None:
    """The test server commits without waiting for its log; a crash could then lose what these tests count on."""
    with db.engine().begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{db.engine().url.database}" SET synchronous_commit = on'))
    db.engine().dispose()


@contextmanager
def full_disk() -> Iterator[None]:
    """The SQLite database can get no page more, and those it has are full."""
    engine, bystander = db.engine(), people.subscription(people.customer("Amelia Harper"))
    by = Actor("customer", "ctm_" + "0" * 26, "email link", "Amelia Harper")

    def limit(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1").close()  # SQLite raises it to what is there

    event.listen(engine, "connect", limit)
    engine.dispose()
    try:
        with pytest.raises(OperationalError, match="full"):
            cancel_again_and_again(bystander, by)
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def cancel_again_and_again(sub: str, by: Actor) -> None:
    for _ in range(200):
        with transaction():
            cancellation.at_period_end(subscriptions.get(sub), by=by)
        with transaction():
            subscriptions.get(sub).unschedule()


def state(sub: str) -> tuple[Any, ...]:
    row = people.row(sub)
    return row.version, row.scheduled_action, people.events_of(sub), people.mails_of(sub)


def open_cancel_page(person: Person, sub: str) -> None:
    person.open(links.page_url("cancel", customer_id=people.row(sub).customer_id, subscription_id=sub))
    assert person.page is not None
    assert person.page.status == 200


@sqlite
def test_on_a_full_disk_a_customer_is_told_that_nothing_was_recorded_and_can_cancel_once_there_is_room(
    sub: str, person: Person
) -> None:
    before = state(sub)
    open_cancel_page(person, sub)
    form = person.page
    with full_disk():
        for _ in range(3):
            person.page = form
            told = person.press(CANCEL)
            assert told.status == 503
            assert "NOT recorded" in told
            assert state(sub) == before
    person.page = form
    assert person.press(CANCEL).status == 200
    assert state(sub)[1:] == ("cancel", ["subscription.updated"], ["cancellation_scheduled"])


@sqlite
def test_on_a_full_disk_an_app_is_told_that_nothing_was_recorded(sub: str, app: Flask) -> None:
    before, client, key = state(sub), app.test_client(), people.key(everything=True)
    with full_disk():
        answer = client.post(f"/subscriptions/{sub}/cancel", json={}, headers=key)
        assert answer.status_code == 503
        assert answer.json is not None
        assert answer.json["error"]["code"] == "service_unavailable"
        assert "Nothing was recorded" in answer.json["error"]["detail"]
        assert client.get(f"/subscriptions/{sub}", headers=key).status_code == 200, "reading goes on"
        assert state(sub) == before
    assert client.post(f"/subscriptions/{sub}/cancel", json={}, headers=key).status_code == 200
    assert state(sub)[1:] == ("cancel", ["subscription.updated"], ["cancellation_scheduled"])


@sqlite
def test_on_a_full_disk_the_worker_leaves_what_is_due_due(sub: str, the_clock: Any) -> None:
    from portal import worker

    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("customer", "ctm", "test"))
    the_clock.advance(days=40)
    with full_disk():
        with pytest.raises(OperationalError, match="full"):
            worker.period_end()
        assert people.row(sub).status == "active"
        assert people.events_of(sub) == ["subscription.updated"]
    worker.period_end()
    assert people.row(sub).status == "canceled"
    assert people.events_of(sub) == ["subscription.updated"] * 2 + ["subscription.canceled"]


@sqlite
def test_where_files_may_not_grow_nothing_is_half_written_and_the_same_process_recovers(sub: str) -> None:
    """RLIMIT_FSIZE: writes break off in the middle of a page, like on a file system that has just filled up."""
    customer = people.row(sub).customer_id
    url = links.page_url("cancel", customer_id=customer, subscription_id=sub)
    member = start(jobs.cancel_where_files_may_not_grow, url)
    answers = member.result()
    assert answers["while full"] == [503] * 3, answers
    assert answers["not recorded"] == [True] * 3
    assert answers["unchanged"] == [True] * 3
    assert answers["after"] == 303
    assert state(sub)[1:] == ("cancel", ["subscription.updated"], ["cancellation_scheduled"])
    with db.engine().connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


@postgresql
def test_while_the_database_is_away_people_are_told_and_afterwards_the_same_app_works_again(
    durable: None, sub: str, app: Flask, person: Person, postgres: TemporaryPostgres
) -> None:
    open_cancel_page(person, sub)
    form, client, key = person.page, app.test_client(), people.key(everything=True)
    assert client.get("/readyz").status_code == 200
    postgres.stop(crash=True)
    try:
        for _ in range(3):
            person.page = form
            told = person.press(CANCEL)
            assert told.status == 503
            assert "NOT recorded" in told
            answer = client.post(f"/subscriptions/{sub}/cancel", json={}, headers=key)
            assert answer.status_code == 503
            assert "Nothing was recorded" in answer.text
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    finally:
        postgres.start()
    answers = []
    for _ in range(3):
        person.page = form
        answers.append(person.press(CANCEL).status)
    assert answers[-1] == 200, answers
    assert client.get("/readyz").status_code == 200
    assert state(sub)[1:] == ("cancel", ["subscription.updated"], ["cancellation_scheduled"])


@postgresql
def test_connections_that_broke_while_nobody_asked_cost_nobody_an_error(
    durable: None,
    sub: str,
    app: Flask,
    person: Person,
    postgres: TemporaryPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failover at night: the pooled connections are dead, and the first customer of the day must not pay for it."""
    monkeypatch.setattr(db, "_SHORT_REST_SECONDS", 0.0)
    open_cancel_page(person, sub)
    key = people.key(everything=True)
    alive = [engine.pool.checkedin() for engine in db._engines.values()]  # type: ignore[attr-defined]
    assert min(alive) > 0, "there are connections to break"
    postgres.restart()
    first = app.test_client().get(f"/subscriptions/{sub}", headers=key).status_code
    pressed = person.press(CANCEL).status
    assert (first, pressed) == (200, 200)


@postgresql
def test_a_crash_of_the_database_while_a_worker_ends_subscriptions_ends_each_of_them_once(
    durable: None, postgres: TemporaryPostgres, tmp_path: Path
) -> None:
    clock._frozen = None
    crowd.subscriptions(4000, clock.now() - timedelta(minutes=5), ending=True)
    with portal("worker", log=tmp_path / "log") as worker:
        try:
            wait_until(lambda: crowd.statuses()["canceled"] > 0, "it is at work", 30)
        finally:
            postgres.stop(crash=True)
            postgres.start()
        for engine in db._engines.values():
            engine.dispose()
        assert 0 < crowd.statuses()["canceled"] < 4000, "it was amid its batches"
        wait_until(lambda: crowd.statuses()["canceled"] == 4000, "all are ended, by the same worker", 60)
        assert "failed; its rows stay due" in worker.said()
    assert crowd.check_endings() == 4000
