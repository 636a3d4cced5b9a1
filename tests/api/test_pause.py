"""An app pauses a subscription."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from portal.domain.transactions import Transaction
from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, END, UNKNOWN

NOTHING_SAID = ["", "{}", '{"effective_from": null, "resume_at": null}', '{"effective_from": "next_billing_period"}']
AT_ONCE = {"effective_from": "immediately"}


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed()


@pytest.mark.parametrize("body", NOTHING_SAID)
def test_every_way_of_saying_nothing_pauses_at_the_period_end(seller: App, sub: str, body: str, the_clock: Any) -> None:
    answer = seller.post(f"/subscriptions/{sub}/pause", data=body, content_type="application/json")
    entity = answer.json["data"]
    assert (answer.status_code, entity["status"], entity["next_billed_at"]) == (200, "active", None)
    assert entity["scheduled_change"] == {
        "action": "pause",
        "effective_at": "2026-12-11T12:00:00.000000Z",
        "resume_at": None,
    }
    assert visits.said(sub) == (["subscription.updated"], [])
    the_clock.set(END)
    billing.work()
    row = people.row(sub)
    assert (row.status, row.paused_at, row.next_billed_at, row.period_ends_at) == ("paused", END, None, None)
    assert visits.said(sub)[1] == ["paused"]
    assert billing.charged() == []


def test_at_once_it_is_paused_with_its_items_and_its_period_is_kept(seller: App, sub: str) -> None:
    entity = seller.post(f"/subscriptions/{sub}/pause", AT_ONCE).json["data"]
    assert (entity["status"], entity["paused_at"]) == ("paused", "2026-11-21T12:00:00.000000Z")
    assert (entity["current_billing_period"], entity["next_billed_at"], entity["scheduled_change"]) == (
        None,
        None,
        None,
    )
    assert [item["status"] for item in entity["items"]] == ["inactive"]
    assert visits.said(sub) == (["subscription.updated", "subscription.paused"], ["paused"])
    assert people.row(sub).kept_period_ends_at == END


def test_a_resume_date_is_the_next_scheduled_change_once_it_is_paused(seller: App, sub: str, the_clock: Any) -> None:
    resumes = END + timedelta(days=14)
    planned = seller.post(f"/subscriptions/{sub}/pause", {"resume_at": resumes.isoformat()}).json["data"]
    assert planned["scheduled_change"]["resume_at"] == "2026-12-25T12:00:00.000000Z"
    the_clock.set(END)
    billing.work()
    change = seller.get(f"/subscriptions/{sub}").json["data"]["scheduled_change"]
    assert change == {"action": "resume", "effective_at": "2026-12-25T12:00:00.000000Z", "resume_at": None}
    the_clock.set(resumes + timedelta(seconds=31))
    billing.work()
    row = people.row(sub)
    assert (row.status, row.period_starts_at, billing.charged()) == ("active", resumes, [30000])


@pytest.mark.parametrize("body", [{"resume_at": END.isoformat()}, AT_ONCE | {"resume_at": NOW.isoformat()}])
def test_it_can_t_resume_before_it_is_paused(seller: App, sub: str, body: dict[str, Any]) -> None:
    before = visits.records()
    assert fields_of(seller.post(f"/subscriptions/{sub}/pause", body)) == ["resume_at"]
    assert visits.records() == before


def test_asked_twice_the_second_is_refused(seller: App, sub: str) -> None:
    assert seller.post(f"/subscriptions/{sub}/pause").status_code == 200
    before = visits.records()
    assert refusal(seller.post(f"/subscriptions/{sub}/pause")) == (400, "subscription_locked_pending_changes")
    assert visits.records() == before
    assert seller.post(f"/subscriptions/{sub}/pause", AT_ONCE).json["data"]["status"] == "paused"
    assert refusal(seller.post(f"/subscriptions/{sub}/pause", AT_ONCE)) == (400, "subscription_cannot_be_paused")


def test_a_planned_pause_is_removed_like_any_scheduled_change(seller: App, sub: str) -> None:
    seller.post(f"/subscriptions/{sub}/pause", {"resume_at": (END + timedelta(days=5)).isoformat()})
    entity = seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None}).json["data"]
    assert (entity["scheduled_change"], entity["next_billed_at"]) == (None, "2026-12-11T12:00:00.000000Z")
    assert visits.said(sub)[0] == ["subscription.updated"] * 2


@pytest.mark.parametrize(
    ("fields", "body", "refused"),
    [
        (CANCELED, {}, (400, "subscription_is_canceled_action_invalid")),
        (CANCELED, AT_ONCE, (400, "subscription_is_canceled_action_invalid")),
        ({"status": "trialing"}, {}, (400, "subscription_cannot_be_paused")),
        ({"status": "trialing"}, AT_ONCE, (400, "subscription_cannot_be_paused")),
        ({"status": "paused", "next_billed_at": None}, {}, (400, "subscription_cannot_be_paused")),
        ({"status": "past_due"}, {}, (400, "subscription_update_when_past_due")),
        (visits.ending(), {}, (400, "subscription_locked_pending_changes")),
        (visits.ending(), AT_ONCE, (400, "subscription_locked_pending_changes")),
        ({"period_ends_at": NOW + timedelta(minutes=29)}, {}, (409, "subscription_locked_renewal")),
        ({"period_ends_at": NOW + timedelta(minutes=29)}, AT_ONCE, (409, "subscription_locked_renewal")),
        (
            {"status": "past_due"},
            AT_ONCE | {"on_resume": "continue_existing_billing_period"},
            (400, "subscription_continuing_existing_billing_period_not_allowed_subscription_past_due"),
        ),
        (
            {},
            {"resume_at": (END + timedelta(days=1)).isoformat(), "on_resume": "continue_existing_billing_period"},
            (400, "subscription_continuing_existing_billing_period_not_allowed"),
        ),
    ],
)
def test_in_another_state_it_is_refused_and_nothing_changes(
    app: Flask, seller: App, fields: dict[str, Any], body: dict[str, Any], refused: tuple[int, str]
) -> None:
    sub = visits.subscribed(**fields)
    before = visits.records()
    assert refusal(seller.post(f"/subscriptions/{sub}/pause", body)) == refused
    assert visits.records() == before


def past_due(the_clock: Any) -> str:
    """A subscription whose renewal was declined."""
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert people.row(sub).status == "past_due"
    return sub


def test_a_pause_at_once_gives_up_what_is_past_due(app: Flask, seller: App, the_clock: Any) -> None:
    sub = past_due(the_clock)
    assert seller.post(f"/subscriptions/{sub}/pause", AT_ONCE).json["data"]["status"] == "paused"
    debts: list[Transaction] = billing.bills_of(sub)
    assert [each.status for each in debts] == ["canceled"]
    assert people.row(sub).kept_period_ends_at is None
    the_clock.set(clock.now() + timedelta(days=60))
    billing.work()
    assert billing.charged() == []


def test_an_unknown_subscription_and_a_key_without_the_permission(app: Flask, seller: App, sub: str) -> None:
    assert refusal(seller.post(f"/subscriptions/sub_{UNKNOWN}/pause")) == (404, "not_found")
    assert refusal(App(app, "subscription.read").post(f"/subscriptions/{sub}/pause")) == (403, "forbidden")


@pytest.mark.parametrize("body", [{"effective_from": "soon"}, {"resume_at": "2026-12-25"}, {"reason": "x"}])
def test_hostile_bodies_name_their_field(seller: App, sub: str, body: dict[str, Any]) -> None:
    before = visits.records()
    assert fields_of(seller.post(f"/subscriptions/{sub}/pause", body)) == list(body)
    assert visits.records() == before


def test_who_cancels_in_a_pause_ends_it_with_the_period_that_was_paid_for(
    seller: App, sub: str, the_clock: Any
) -> None:
    seller.post(f"/subscriptions/{sub}/pause", AT_ONCE)
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", received_at=clock.now())
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    row = people.row(sub)
    assert (row.status, row.scheduled_action, row.scheduled_effective_at) == ("paused", "cancel", END)
    assert refusal(seller.post(f"/subscriptions/{sub}/resume")) == (400, "subscription_locked_pending_changes")
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert (people.row(sub).canceled_at, billing.charged()) == (END, [])


def test_an_app_that_cancels_a_paused_one_ends_it_at_once(seller: App, sub: str) -> None:
    seller.post(f"/subscriptions/{sub}/pause", AT_ONCE)
    assert seller.post(f"/subscriptions/{sub}/cancel").json["data"]["status"] == "canceled"
    assert people.row(sub).kept_period_ends_at is None
