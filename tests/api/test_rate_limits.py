"""An app may send so many requests a minute, over all processes; it is told what is left and when to come back."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from portal import limits
from portal.db import session, transaction
from portal.limits import RateLimit
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.person import Person

Configure = Callable[..., None]


@pytest.fixture
def seller(app: Flask, configure: Configure) -> App:
    configure(api_requests_per_minute=60)
    return App(app)


def ask(app: App) -> Any:
    return app.get("/subscriptions")


def test_each_answer_says_what_is_left(seller: App) -> None:
    left = [int(ask(seller).headers["RateLimit-Remaining"]) for _ in range(5)]
    assert left == [59, 58, 57, 56, 55]
    headers = ask(seller).headers
    assert headers["RateLimit-Limit"] == "60"
    assert headers["RateLimit-Policy"] == "60;w=60"
    assert 0 < int(headers["RateLimit-Reset"]) <= 60


def test_beyond_the_limit_a_request_is_refused_and_does_nothing(seller: App) -> None:
    sub = visits.subscribed(people.customer("Amelia Harper"))
    assert {ask(seller).status_code for _ in range(60)} == {200}
    refused = seller.post(f"/subscriptions/{sub}/cancel")
    assert refusal(refused) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert not visits.is_scheduled(sub)


def test_after_retry_after_the_next_request_passes(seller: App, the_clock: Any) -> None:
    for _ in range(60):
        ask(seller)
    waits = int(ask(seller).headers["Retry-After"])
    the_clock.advance(seconds=waits)
    assert ask(seller).status_code == 200
    assert ask(seller).status_code == 429
    the_clock.advance(seconds=60)
    assert {ask(seller).status_code for _ in range(60)} == {200}


def test_one_app_does_not_spend_what_another_has(app: Flask, seller: App) -> None:
    for _ in range(61):
        ask(seller)
    assert ask(App(app)).status_code == 200


def test_processes_share_one_limit(seller: App) -> None:
    """Another process has an allowance of its own and takes it from the same row."""
    passed = 0
    for _ in range(70):
        limits._allowances.clear()  # as many processes, each with one request
        passed += ask(seller).status_code == 200
    assert passed <= 60


def test_only_one_request_in_a_share_writes(seller: App) -> None:
    ask(seller)
    with transaction():
        first = session().scalars(select(RateLimit.free_at)).all()
    ask(seller)
    ask(seller)
    with transaction():
        assert session().scalars(select(RateLimit.free_at)).all() == first


def test_many_threads_never_get_more_than_the_limit(seller: App) -> None:
    barrier, answers = threading.Barrier(8), []

    def hurry() -> None:
        barrier.wait()
        answers.extend(ask(seller).status_code for _ in range(10))

    threads = [threading.Thread(target=hurry) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(answers) == {200, 429}
    assert answers.count(200) <= 60


def test_zero_is_no_limit(app: Flask, configure: Configure) -> None:
    configure(api_requests_per_minute=0)
    answer = ask(App(app))
    assert answer.status_code == 200
    assert not [name for name in answer.headers.keys() if name.startswith("RateLimit")]  # noqa: SIM118


def test_a_wrong_key_costs_no_app_anything(app: Flask, seller: App) -> None:
    stranger = App(app, key={"Authorization": "Bearer pdl_live_apikey_unknown"})
    for _ in range(61):
        assert refusal(ask(stranger)) == (403, "invalid_token")
    assert ask(seller).headers["RateLimit-Remaining"] == "59"


def test_customers_links_are_never_limited(app: Flask, seller: App, person: Person) -> None:
    sub = visits.subscribed(people.customer("Amelia Harper"))
    for _ in range(61):
        ask(seller)
    assert person.open(visits.email_link("cancel", sub)).status == 200
    person.press("Cancel at the end of the period")
    assert visits.is_scheduled(sub)


def test_a_database_that_cant_count_lets_apps_read(seller: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_more: Any) -> Any:
        raise OperationalError("UPDATE", {}, Exception("disk is full"))

    monkeypatch.setattr(limits, "_grant", full)
    limits._allowances.clear()
    assert ask(seller).status_code == 200
