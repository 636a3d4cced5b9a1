"""Idempotency-Key: the same key gets the same answer for a day, and acts once."""

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import idempotency
from portal.db import session, transaction
from portal.domain import search
from portal.domain.customers import Customer
from portal.idempotency import IdempotencyKey
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits

KEY = "e3f1a1f0-order-4711"


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def create(app: App, email: str = "jo@example.com", key: str = KEY, **more: Any) -> Any:
    return app.post("/customers", {"email": email, **more}, headers={"Idempotency-Key": key})


def customers() -> list[str]:
    with transaction():
        return list(session().scalars(select(Customer.email)))


def test_asked_twice_with_a_key_one_customer_is_made_and_the_answer_is_the_same(seller: App) -> None:
    first, second = create(seller), create(seller)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert customers() == ["jo@example.com"]


def test_without_a_key_or_with_another_the_request_is_another_one(seller: App) -> None:
    create(seller)
    assert refusal(create(seller, key="another")) == (409, "customer_already_exists")
    assert refusal(seller.post("/customers", {"email": "jo@example.com"})) == (409, "customer_already_exists")


def test_the_same_key_with_another_body_or_path_is_refused_and_changes_nothing(seller: App, sub: str) -> None:
    create(seller)
    assert refusal(create(seller, name="Jo")) == (422, "idempotency_key_reused")
    assert refusal(create(seller, email="other@example.com")) == (422, "idempotency_key_reused")
    cancel = seller.post(f"/subscriptions/{sub}/cancel", headers={"Idempotency-Key": KEY})
    assert refusal(cancel) == (422, "idempotency_key_reused")
    assert not visits.is_scheduled(sub)
    assert "other@example.com" not in customers()


def test_another_app_may_use_the_same_key(app: Flask, seller: App) -> None:
    create(seller)
    assert create(App(app), email="other@example.com").status_code == 201


def test_after_a_day_the_key_is_free_again(seller: App, the_clock: Any) -> None:
    create(seller)
    the_clock.advance(hours=23, minutes=59)
    assert create(seller).headers["Idempotency-Replayed"] == "true"
    the_clock.advance(minutes=1)
    assert refusal(create(seller)) == (409, "customer_already_exists")


def test_a_cancellation_retried_with_its_key_is_answered_not_refused(seller: App, sub: str) -> None:
    answers = [seller.post(f"/subscriptions/{sub}/cancel", headers={"Idempotency-Key": KEY}) for _ in range(3)]
    assert [each.status_code for each in answers] == [200] * 3
    assert len({each.data for each in answers}) == 1
    assert people.events_of(sub) == ["subscription.updated"]
    assert people.mails_of(sub) == ["cancellation_scheduled"]


def test_a_patch_takes_a_key_too(seller: App, sub: str) -> None:
    seller.post(f"/subscriptions/{sub}/cancel")
    keep = {"scheduled_change": None}
    first, second = (seller.patch(f"/subscriptions/{sub}", keep, headers={"Idempotency-Key": KEY}) for _ in range(2))
    assert first.data == second.data
    assert people.events_of(sub) == ["subscription.updated"] * 2


def test_a_refusal_of_the_request_itself_is_kept(seller: App) -> None:
    first, second = create(seller, email="no address"), create(seller, email="no address")
    assert refusal(first) == (400, "customer_email_invalid")
    assert first.data == second.data
    assert second.headers["Idempotency-Replayed"] == "true"


def test_a_refusal_because_of_the_moment_is_not_kept(seller: App) -> None:
    seller.post("/customers", {"email": "jo@example.com"})
    assert refusal(create(seller)) == (409, "customer_already_exists")
    with transaction():
        customer = session().scalars(select(Customer)).one()
        customer.email = customer.email_key = "x@example.com"
        search.replace(customer)
    assert create(seller).status_code == 201


def test_a_key_without_the_permission_leaves_no_trace(app: Flask) -> None:
    reader = App(app, "customer.read")
    assert refusal(create(reader)) == (403, "forbidden")
    with transaction():
        assert session().scalar(select(IdempotencyKey.id)) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "tab\tbed"])
def test_a_key_that_cant_be_one_is_refused(seller: App, key: str) -> None:
    as_sent = key.encode().decode("latin1")
    sent = seller.post("/customers", {"email": "jo@example.com"}, headers={"Idempotency-Key": as_sent})
    assert refusal(sent) == (400, "bad_request")
    assert customers() == []


def test_reading_ignores_the_header(seller: App, sub: str) -> None:
    for _ in range(2):
        read = seller.get(f"/subscriptions/{sub}", headers={"Idempotency-Key": KEY})
        assert read.status_code == 200
        assert "Idempotency-Replayed" not in read.headers


def test_while_the_first_is_under_way_the_second_is_told_to_wait(app: Flask, seller: App) -> None:
    key_id = people.key_id(seller.headers)
    body = b'{"email": "jo@example.com"}'
    under_way = idempotency.claim(key_id, KEY, b"POST\n/customers?\n" + body, may_be_repeated=True)
    assert isinstance(under_way, idempotency.Claim)
    sent: dict[str, Any] = {"data": body, "headers": {"Idempotency-Key": KEY, "Content-Type": "application/json"}}
    second = seller.call("POST", "/customers", **sent)
    assert refusal(second) == (409, "idempotency_key_in_use")
    assert second.headers["Retry-After"] == "1"
    assert customers() == []
    under_way.release()
    assert seller.call("POST", "/customers", **sent).status_code == 201


def test_twelve_at_once_act_once(seller: App) -> None:
    barrier: threading.Barrier = threading.Barrier(12)
    answers: list[Any] = []

    def ask() -> None:
        barrier.wait()
        answers.append(create(seller))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    made = [each for each in answers if each.status_code == 201]
    assert len({each.data for each in made}) == 1
    assert sum("Idempotency-Replayed" not in each.headers for each in made) == 1
    assert {refusal(each) for each in answers if each not in made} <= {(409, "idempotency_key_in_use")}
    assert customers() == ["jo@example.com"]


def test_a_request_that_was_killed_can_be_repeated_after_a_minute(seller: App, the_clock: Any) -> None:
    """Killed before its transaction ended, it has changed nothing; only the key stands."""
    create(seller)
    with transaction():
        session().execute(update(IdempotencyKey).values(status=None, body=None))
        customer = session().scalars(select(Customer)).one()
        customer.email = customer.email_key = "gone@example.com"
        search.replace(customer)
    assert refusal(create(seller)) == (409, "idempotency_key_in_use")
    the_clock.advance(seconds=60)
    assert create(seller).status_code == 201


def test_an_overtaken_request_records_nothing(seller: App) -> None:
    mine = idempotency.claim("apikey", KEY, b"x", may_be_repeated=True)
    assert isinstance(mine, idempotency.Claim)
    with transaction():
        session().execute(update(IdempotencyKey).values(lease_until=IdempotencyKey.expires_at))
    with pytest.raises(idempotency.Changed):
        mine.keep(idempotency.Answer(200, b"{}"))


def test_what_is_kept_is_sealed_for_an_answer_may_hold_links(seller: App, sub: str) -> None:
    customer = people.row(sub).customer_id
    opened = seller.post(f"/customers/{customer}/portal-sessions", {}, headers={"Idempotency-Key": KEY})
    token = opened.json["data"]["urls"]["general"]["overview"].partition("token=")[2]
    again = seller.post(f"/customers/{customer}/portal-sessions", {}, headers={"Idempotency-Key": KEY})
    assert again.json["data"]["urls"]["general"]["overview"].endswith(token)
    with transaction():
        [kept] = session().scalars(select(IdempotencyKey))
    assert token.encode() not in (kept.body or b"")
    assert KEY not in kept.id
