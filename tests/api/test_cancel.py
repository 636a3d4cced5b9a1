"""An app cancels a subscription, and takes the cancellation back."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.db import transaction
from portal.domain import api_keys, bills, cancellation, subscriptions, transactions
from portal.domain.actors import system
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN

NOTHING_SAID = ["", "{}", '{"effective_from": null}', '{"effective_from": "next_billing_period"}', " \n"]
AT_ONCE = {"effective_from": "immediately"}
REMOVE = {"scheduled_change": None}


@pytest.fixture
def mighty(app: Flask) -> App:
    """An app whose key was granted by name what no key has by default."""
    return App(app, "subscription.write", "subscription.read", api_keys.CANCEL_IMMEDIATELY)


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"))


@pytest.mark.parametrize("body", NOTHING_SAID)
def test_every_way_of_saying_nothing_cancels_at_the_period_end(seller: App, sub: str, body: str) -> None:
    answer = seller.post(f"/subscriptions/{sub}/cancel", data=body, content_type="application/json")
    entity = answer.json["data"]
    assert answer.status_code == 200
    assert (entity["status"], entity["canceled_at"], entity["next_billed_at"]) == ("active", None, None)
    assert [item["next_billed_at"] for item in entity["items"]] == [None]
    assert entity["scheduled_change"] == {
        "action": "cancel",
        "effective_at": "2026-12-11T12:00:00.000000Z",
        "resume_at": None,
    }
    assert entity["current_billing_period"]["ends_at"] == "2026-12-11T12:00:00.000000Z"
    row = people.row(sub)
    assert (row.scheduled_effective_at, row.scheduled_by, row.billing_resumes_at) == (END, "key", END)
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])
    [event] = visits.events(sub)
    assert (event.actor_kind, event.actor_name, event.way) == ("key", "test", "API")
    assert "management_urls" not in event.data
    assert visits.mails()[0].to_address == "amelia@example.com"


def test_a_body_without_content_type_is_taken(seller: App, sub: str) -> None:
    assert seller.post(f"/subscriptions/{sub}/cancel", data=b"{}").status_code == 200


def test_the_answer_is_what_is_read_afterwards(seller: App, sub: str) -> None:
    answered = seller.post(f"/subscriptions/{sub}/cancel").json["data"]
    read = seller.get(f"/subscriptions/{sub}").json["data"]
    assert {**answered, "management_urls": 0} == {**read, "management_urls": 0}


def test_asked_twice_the_second_is_refused_and_nothing_more_is_recorded(seller: App, sub: str) -> None:
    assert seller.post(f"/subscriptions/{sub}/cancel").status_code == 200
    before = visits.records()
    assert refusal(seller.post(f"/subscriptions/{sub}/cancel")) == (400, "subscription_locked_pending_changes")
    assert visits.records() == before


def test_a_key_with_every_usual_permission_does_not_end_it_at_once(seller: App, sub: str) -> None:
    before = visits.records()
    answer = seller.post(f"/subscriptions/{sub}/cancel", AT_ONCE)
    assert refusal(answer) == (403, "forbidden")
    assert "subscription.cancel_immediately" in answer.json["error"]["detail"]
    assert visits.records() == before


def test_the_reason_comes_back_in_answers_and_events_until_it_is_taken_back(seller: App, sub: str) -> None:
    why = {"reason": "unused", "comment": "No time to fly."}
    assert seller.post(f"/subscriptions/{sub}/cancel", why).json["data"]["cancellation"] == why
    assert visits.events(sub)[-1].data["cancellation"] == why
    kept = seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None}).json["data"]
    assert kept["cancellation"] is visits.events(sub)[-1].data["cancellation"] is None


def test_the_reason_stays_when_the_end_has_come(seller: App, sub: str, the_clock: Any) -> None:
    seller.post(f"/subscriptions/{sub}/cancel", {"reason": "switched"})
    the_clock.set(END + timedelta(minutes=1))
    with transaction():
        assert cancellation.carry_out(10) == 1
    assert visits.events(sub)[-1].type == "subscription.canceled"
    assert visits.events(sub)[-1].data["cancellation"] == {"reason": "switched", "comment": None}


@pytest.mark.parametrize("body", [{"reason": "bored"}, {"reason": 7}, {"comment": "x" * 2001}, {"comment": ["x"]}])
def test_a_reason_that_is_none_of_ours_cancels_nothing(seller: App, sub: str, body: dict[str, Any]) -> None:
    assert fields_of(seller.post(f"/subscriptions/{sub}/cancel", body)) == list(body)
    assert not visits.is_scheduled(sub)


def test_a_key_that_was_granted_it_by_name_ends_it_at_once(mighty: App, sub: str, the_clock: Any) -> None:
    the_clock.advance(hours=3)
    entity = mighty.post(f"/subscriptions/{sub}/cancel", AT_ONCE).json["data"]
    assert (entity["status"], entity["canceled_at"]) == ("canceled", "2026-11-21T15:00:00.000000Z")
    assert (entity["current_billing_period"], entity["next_billed_at"], entity["scheduled_change"]) == (None,) * 3
    assert [(item["status"], item["next_billed_at"]) for item in entity["items"]] == [("active", None)]
    assert visits.said(sub) == (["subscription.updated", "subscription.canceled"], ["subscription_ended"])
    assert len({event.occurred_at for event in visits.events(sub)}) == 1


def test_at_once_is_allowed_while_an_end_is_scheduled(mighty: App, sub: str) -> None:
    mighty.post(f"/subscriptions/{sub}/cancel")
    assert mighty.post(f"/subscriptions/{sub}/cancel", AT_ONCE).json["data"]["status"] == "canceled"


def test_past_due_is_refused_but_at_once_ends_it_and_its_debt(mighty: App) -> None:
    sub = visits.subscribed(status="past_due")
    with transaction():
        debt = bills.bill(subscriptions.get(sub), starts_at=NOW - timedelta(days=10), ends_at=END, by=system())
    before = visits.records()
    assert refusal(mighty.post(f"/subscriptions/{sub}/cancel")) == (400, "subscription_update_when_past_due")
    assert visits.records() == before
    assert mighty.post(f"/subscriptions/{sub}/cancel", AT_ONCE).json["data"]["status"] == "canceled"
    with transaction():
        assert transactions.get(debt.id, customer_id=visits.owner(sub)).status == "canceled"


def test_a_paused_one_that_is_to_resume_ends_at_once_too(seller: App) -> None:
    sub = visits.subscribed(status="paused", next_billed_at=None)
    seller.post(f"/subscriptions/{sub}/resume", {"effective_from": END.isoformat()})
    assert people.row(sub).scheduled_action == "resume"
    entity = seller.post(f"/subscriptions/{sub}/cancel").json["data"]
    assert (entity["status"], entity["scheduled_change"]) == ("canceled", None)
    assert visits.said(sub)[0][-2:] == ["subscription.updated", "subscription.canceled"]


def test_a_paused_one_ends_at_once(seller: App) -> None:
    sub = visits.subscribed(status="paused", next_billed_at=None)
    assert seller.post(f"/subscriptions/{sub}/cancel").json["data"]["status"] == "canceled"


@pytest.mark.parametrize("body", [{}, AT_ONCE])
def test_a_canceled_one_is_refused(mighty: App, body: dict[str, str]) -> None:
    sub = visits.subscribed(**visits.CANCELED)
    before = visits.records()
    assert refusal(mighty.post(f"/subscriptions/{sub}/cancel", body)) == (400, "subscription_update_when_canceled")
    assert refusal(mighty.patch(f"/subscriptions/{sub}", REMOVE)) == (400, "subscription_update_when_canceled")
    assert visits.records() == before


def test_close_to_the_renewal_apps_are_locked_out(seller: App, sub: str, the_clock: Any) -> None:
    ending = visits.subscribed(**visits.ending("key"))
    the_clock.set(END - timedelta(minutes=29))
    for answer in (
        seller.post(f"/subscriptions/{sub}/cancel"),
        seller.patch(f"/subscriptions/{ending}", REMOVE),
    ):
        assert refusal(answer) == (409, "subscription_locked_renewal")
    assert visits.said(sub) == visits.said(ending) == ([], [])


WRONG: list[Any] = [
    {"effective_from": "now"},
    {"effective_from": "IMMEDIATELY"},
    {"effective_from": ""},
    {"effective_from": True},
    {"effective_from": 0},
    {"effective_from": ["immediately"]},
    {"effective_from": {"a": 1}},
    {"effective_from": "2026-12-01T00:00:00Z"},
]


def test_wrong_and_unknown_fields_are_named(mighty: App, sub: str) -> None:
    before = visits.records()
    for body in WRONG:
        assert fields_of(mighty.post(f"/subscriptions/{sub}/cancel", body)) == ["effective_from"], body
    for name in ("effective_at", "date", "status", "Effective_From", "immediately"):
        assert fields_of(mighty.post(f"/subscriptions/{sub}/cancel", {name: "immediately"})) == [name]
    assert visits.records() == before


def test_removing_the_scheduled_change_restores_the_next_billing(seller: App, sub: str) -> None:
    unscheduled = seller.get(f"/subscriptions/{sub}").json["data"]
    seller.post(f"/subscriptions/{sub}/cancel")
    entity = seller.patch(f"/subscriptions/{sub}", REMOVE).json["data"]
    assert {**entity, "management_urls": 0} == {**unscheduled, "management_urls": 0, "updated_at": entity["updated_at"]}
    assert entity["next_billed_at"] == "2026-12-11T12:00:00.000000Z"
    assert visits.said(sub)[1] == ["cancellation_scheduled", "cancellation_withdrawn"]
    assert people.events_of(sub) == ["subscription.updated"] * 2


@pytest.mark.parametrize("body", [REMOVE, {}])
def test_with_nothing_scheduled_nothing_happens(seller: App, sub: str, body: Any) -> None:
    before = visits.records()
    assert seller.patch(f"/subscriptions/{sub}", body).status_code == 200
    assert visits.records() == before


def test_an_absent_key_leaves_the_scheduled_change(seller: App, sub: str) -> None:
    seller.post(f"/subscriptions/{sub}/cancel")
    entity = seller.patch(f"/subscriptions/{sub}", {}).json["data"]
    assert entity["scheduled_change"]["action"] == "cancel"


def test_a_scheduled_change_can_only_be_set_to_null(seller: App, sub: str) -> None:
    seller.post(f"/subscriptions/{sub}/cancel")
    before = visits.records()
    for value in ({"action": "cancel"}, {}, [], "", 0, False, "null"):
        answer = seller.patch(f"/subscriptions/{sub}", {"scheduled_change": value})
        assert refusal(answer) == (400, "subscription_scheduled_change_invalid_update"), value
    assert visits.records() == before


def test_a_customers_own_cancellation_can_be_taken_back_by_an_app(seller: App) -> None:
    sub = visits.subscribed(**visits.ending("customer"))
    assert seller.patch(f"/subscriptions/{sub}", REMOVE).json["data"]["scheduled_change"] is None


def test_an_unknown_one_is_not_found(mighty: App) -> None:
    for body in ({}, AT_ONCE):
        assert refusal(mighty.post(f"/subscriptions/sub_{UNKNOWN}/cancel", body)) == (404, "not_found")
    assert refusal(mighty.patch(f"/subscriptions/sub_{UNKNOWN}", REMOVE)) == (404, "not_found")
