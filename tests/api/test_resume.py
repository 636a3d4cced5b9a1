"""An app ends a pause, or says when it will end."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.outbox import emails
from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, END, UNKNOWN

SAME = {"on_resume": "continue_existing_billing_period"}
PAUSED = {"status": "paused", "next_billed_at": None, "period_starts_at": None, "period_ends_at": None}


@pytest.fixture
def paused(app: Flask, seller: App, the_clock: Any) -> str:
    """A subscription that was paused five days ago, in the middle of its period."""
    sub = visits.subscribed()
    seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"})
    the_clock.advance(days=5)
    return sub


@pytest.mark.parametrize("body", ["", "{}", '{"effective_from": null}', '{"effective_from": "immediately"}'])
def test_by_default_a_new_period_begins_now_and_is_billed_in_full(
    seller: App, paused: str, body: str, the_clock: Any
) -> None:
    entity = seller.post(f"/subscriptions/{paused}/resume", data=body, content_type="application/json").json["data"]
    assert (entity["status"], entity["paused_at"]) == ("active", None)
    assert entity["current_billing_period"] == {
        "starts_at": "2026-11-26T12:00:00.000000Z",
        "ends_at": "2026-12-26T12:00:00.000000Z",
    }
    assert entity["next_billed_at"] == "2026-12-26T12:00:00.000000Z"
    assert [item["status"] for item in entity["items"]] == ["active"]
    billing.work()
    assert billing.charged() == [30000]
    assert visits.said(paused)[0][2:6] == [
        "subscription.updated",
        "subscription.resumed",
        "transaction.created",
        "transaction.billed",
    ]
    assert visits.said(paused)[1] == ["paused", "resumed", "renewed"]


def test_what_was_left_of_the_period_can_go_on_without_a_charge(seller: App, paused: str, the_clock: Any) -> None:
    entity = seller.post(f"/subscriptions/{paused}/resume", SAME).json["data"]
    assert entity["status"] == "active"
    assert entity["current_billing_period"]["ends_at"] == "2026-12-11T12:00:00.000000Z"
    assert entity["current_billing_period"]["starts_at"] == "2026-11-11T12:00:00.000000Z"
    billing.work()
    assert billing.charged() == []
    mail = emails.compose(visits.mails("resumed")[0]).as_string()
    assert "nothing is charged now" in " ".join(mail.split())
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert (billing.charged(), people.row(paused).kept_period_ends_at) == ([30000], None)


def test_a_period_that_has_passed_can_t_go_on(seller: App, paused: str, the_clock: Any) -> None:
    the_clock.set(END)
    before = visits.records()
    code = "subscription_continuing_existing_billing_period_not_allowed"
    assert refusal(seller.post(f"/subscriptions/{paused}/resume", SAME)) == (400, code)
    late = SAME | {"effective_from": (END + timedelta(days=1)).isoformat()}
    assert refusal(seller.post(f"/subscriptions/{paused}/resume", late)) == (400, code)
    assert visits.records() == before


def test_on_a_date_it_is_scheduled_and_can_be_scheduled_anew(seller: App, paused: str, the_clock: Any) -> None:
    for day in (7, 9):
        at = NOW + timedelta(days=day)
        entity = seller.post(f"/subscriptions/{paused}/resume", {"effective_from": at.isoformat()}).json["data"]
        assert (entity["status"], entity["scheduled_change"]["action"]) == ("paused", "resume")
    assert entity["scheduled_change"]["effective_at"] == "2026-11-30T12:00:00.000000Z"
    the_clock.set(NOW + timedelta(days=9, seconds=31))
    billing.work()
    row = people.row(paused)
    assert (row.status, row.period_starts_at, billing.charged()) == ("active", NOW + timedelta(days=9), [30000])


def test_a_scheduled_continuation_charges_nothing(seller: App, paused: str, the_clock: Any) -> None:
    at = NOW + timedelta(days=10)
    seller.post(f"/subscriptions/{paused}/resume", SAME | {"effective_from": at.isoformat()})
    the_clock.set(at + timedelta(seconds=31))
    billing.work()
    row = people.row(paused)
    assert (row.status, row.next_billed_at, billing.charged()) == ("active", END, [])


def test_a_date_for_a_pause_that_is_planned_sets_when_it_ends(seller: App, app: Flask) -> None:
    sub = visits.subscribed()
    seller.post(f"/subscriptions/{sub}/pause")
    at = {"effective_from": (END + timedelta(days=3)).isoformat()}
    change = seller.post(f"/subscriptions/{sub}/resume", at).json["data"]["scheduled_change"]
    assert change == {
        "action": "pause",
        "effective_at": "2026-12-11T12:00:00.000000Z",
        "resume_at": "2026-12-14T12:00:00.000000Z",
    }
    early = {"effective_from": END.isoformat()}
    assert fields_of(seller.post(f"/subscriptions/{sub}/resume", early)) == ["effective_from"]
    assert refusal(seller.post(f"/subscriptions/{sub}/resume")) == (400, "subscription_must_be_paused")


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        (CANCELED, (400, "subscription_is_canceled_action_invalid")),
        ({}, (400, "subscription_must_be_paused")),
        ({"status": "trialing"}, (400, "subscription_must_be_paused")),
        ({"status": "past_due"}, (400, "subscription_must_be_paused")),
        (PAUSED | {"card": None}, (400, "subscription_missing_payment_method_cannot_resume")),
        (PAUSED | visits.ending(), (400, "subscription_locked_pending_changes")),
    ],
)
def test_in_another_state_it_is_refused_and_nothing_changes(
    app: Flask, seller: App, fields: dict[str, Any], refused: tuple[int, str]
) -> None:
    sub = visits.subscribed(**fields)
    before = visits.records()
    assert refusal(seller.post(f"/subscriptions/{sub}/resume")) == refused
    assert visits.records() == before


def test_asked_twice_the_second_is_refused_and_billed_once(seller: App, paused: str) -> None:
    assert seller.post(f"/subscriptions/{paused}/resume").status_code == 200
    assert refusal(seller.post(f"/subscriptions/{paused}/resume")) == (400, "subscription_must_be_paused")
    billing.work()
    assert billing.charged() == [30000]


def test_a_declined_resumption_is_past_due(app: Flask, seller: App) -> None:
    sub = visits.subscribed(card="sandbox_declines", **PAUSED)
    assert seller.post(f"/subscriptions/{sub}/resume").json["data"]["status"] == "active"
    billing.work()
    assert people.row(sub).status == "past_due"


def test_strangers_and_keys_without_the_permission(app: Flask, seller: App, paused: str) -> None:
    assert refusal(seller.post(f"/subscriptions/sub_{UNKNOWN}/resume")) == (404, "not_found")
    assert refusal(App(app, "subscription.read").post(f"/subscriptions/{paused}/resume")) == (403, "forbidden")
    assert refusal(seller.post(f"/subscriptions/{paused}/resume", {"effective_from": "later"}))[0] == 400
