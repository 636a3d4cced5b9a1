"""An app ends a trial before its time."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, END, UNKNOWN

TRIAL = {"status": "trialing", "first_billed_at": None, "anchor_at": END}


def test_the_first_paid_period_begins_now_and_is_charged_once(app: Flask, seller: App, the_clock: Any) -> None:
    sub = visits.subscribed(**TRIAL)
    entity = seller.post(f"/subscriptions/{sub}/activate").json["data"]
    assert (entity["status"], entity["first_billed_at"]) == ("active", "2026-11-21T12:00:00.000000Z")
    assert entity["current_billing_period"] == {
        "starts_at": "2026-11-21T12:00:00.000000Z",
        "ends_at": "2026-12-21T12:00:00.000000Z",
    }
    assert people.events_of(sub)[:4] == [
        "subscription.updated",
        "subscription.activated",
        "transaction.created",
        "transaction.billed",
    ]
    billing.work()
    the_clock.set(END + timedelta(days=1))
    billing.work()
    assert billing.charged() == [30000]
    assert people.mails_of(sub) == ["renewed"]
    the_clock.set(NOW.replace(month=12) + timedelta(seconds=31))
    billing.work()
    assert billing.charged() == [30000, 30000]


def test_a_declined_card_leaves_it_past_due(app: Flask, seller: App) -> None:
    sub = visits.subscribed(card="sandbox_declines", **TRIAL)
    assert seller.post(f"/subscriptions/{sub}/activate").status_code == 200
    billing.work()
    assert people.row(sub).status == "past_due"


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        (CANCELED, (400, "subscription_is_canceled_action_invalid")),
        ({}, (400, "subscription_not_trialing")),
        ({"status": "past_due"}, (400, "subscription_not_trialing")),
        (TRIAL | {"card": None}, (400, "subscription_missing_payment_method_cannot_activate")),
        (TRIAL | {"collection_mode": "manual"}, (400, "subscription_not_automatic_collection")),
        (TRIAL | visits.ending(), (400, "subscription_locked_pending_changes")),
        (TRIAL | {"period_ends_at": NOW + timedelta(minutes=9)}, (409, "subscription_locked_renewal")),
    ],
)
def test_in_another_state_it_is_refused_and_nothing_changes(
    app: Flask, seller: App, fields: dict[str, Any], refused: tuple[int, str]
) -> None:
    sub = visits.subscribed(**fields)
    before = visits.records()
    assert refusal(seller.post(f"/subscriptions/{sub}/activate")) == refused
    assert visits.records() == before


def test_strangers_and_keys_without_the_permission(app: Flask, seller: App) -> None:
    sub = visits.subscribed(**TRIAL)
    assert refusal(seller.post(f"/subscriptions/sub_{UNKNOWN}/activate")) == (404, "not_found")
    assert refusal(App(app, "subscription.read").post(f"/subscriptions/{sub}/activate")) == (403, "forbidden")
    assert refusal(seller.post(f"/subscriptions/{sub}/activate", {"at": "once"})) == (400, "invalid_field")
