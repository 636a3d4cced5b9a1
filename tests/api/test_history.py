"""An app reads what happened to a subscription, by whom and why."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Subscriptions.History import SubscriptionHistory, SubscriptionHistoryDetail
from sqlalchemy import update

from portal.db import session, transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from portal.domain.events import Event
from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN


@pytest.fixture
def sub(base: str) -> str:
    return visits.subscribed(price_id=base)


def history(seller: App, sub: str, query: str = "") -> list[dict[str, Any]]:
    """Every page of it; each entry is one that the official SDK can read."""
    found: list[dict[str, Any]] = []
    url = f"/subscriptions/{sub}/history?{query}"
    while True:
        answer = seller.get(url.removeprefix("http://localhost"))
        assert answer.status_code == 200, answer.json
        found += answer.json["data"]
        pagination = answer.json["meta"]["pagination"]
        if not pagination["has_more"]:
            for entry in found:
                assert SubscriptionHistory.from_dict(entry).id == entry["id"]
                assert type(SubscriptionHistoryDetail.from_dict(entry["detail"])).__name__ != "UndefinedEntity"
            assert len({entry["id"] for entry in found}) == len(found)
            return found
        url = pagination["next"]


def actions(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["detail"]["action"].removeprefix("subscription_") for entry in entries]


@pytest.fixture
def lived(seller: App, sub: str, base: str, the_clock: Any) -> str:
    """A subscription to which most things have happened."""
    add_on = people.price(600, product="Analytics")
    items = [{"price_id": base, "quantity": 12}, {"price_id": add_on, "quantity": 1}]
    seller.patch(f"/subscriptions/{sub}", {"items": items, "proration_billing_mode": "prorated_immediately"})
    seller.patch(f"/subscriptions/{sub}", {"items": items[:1], "proration_billing_mode": "do_not_bill"})
    later = (END + timedelta(days=2)).isoformat()
    seller.patch(f"/subscriptions/{sub}", {"next_billed_at": later, "proration_billing_mode": "do_not_bill"})
    seller.patch(f"/subscriptions/{sub}", {"custom_data": {"a": 1}})
    once = [{"price_id": billing.one_time(), "quantity": 1}]
    seller.post(f"/subscriptions/{sub}/charge", {"effective_from": "immediately", "items": once})
    seller.post(f"/subscriptions/{sub}/pause")
    seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None})
    the_clock.set(END + timedelta(days=2, seconds=31))
    billing.work()
    seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"})
    seller.post(f"/subscriptions/{sub}/resume")
    billing.work()
    seller.post(f"/subscriptions/{sub}/cancel", {"reason": "unused", "comment": "No time."})
    the_clock.advance(days=40)
    billing.work()
    return sub


ALL = [
    "item_quantity_updated",
    "item_added",
    "item_removed",
    "billing_date_updated",
    "custom_data_updated",
    "one_off_charge_applied",
    "scheduled_change_added",
    "scheduled_change_removed",
    "renewed",
    "paused",
    "resumed",
    "scheduled_change_added",
    "canceled",
]
SCHEDULING = ("scheduled_change_added", "scheduled_change_removed")


def test_everything_is_told_newest_first(seller: App, lived: str) -> None:
    assert actions(history(seller, lived)) == ALL[::-1]
    assert actions(history(seller, lived, "order_by=id[asc]")) == ALL
    for size in (1, 2, 5):
        assert actions(history(seller, lived, f"per_page={size}")) == ALL[::-1]


def test_an_entry_tells_who_when_and_by_which_way(seller: App, lived: str) -> None:
    first, second = history(seller, lived, "order_by=id[asc]")[:2]
    assert first["group_id"] == second["group_id"]
    assert (first["source"], first["way"], first["reason"]) == ("api", "API", None)
    assert first["actor"]["type"] == "api_key"
    assert (first["actor"]["name"], first["occurred_at"]) == ("test", "2026-11-21T12:00:00.000000Z")
    detail = first["detail"]
    assert (detail["quantity"], detail["update_summary"]) == (12, {"quantity_delta": 2})
    assert (detail["proration_billing_mode"], detail["on_payment_failure"]) == (
        "prorated_immediately",
        "prevent_change",
    )
    assert detail["transaction_id"] == billing.bills_of(lived)[0].id
    renewed = history(seller, lived, "action=subscription_renewed")[0]
    assert renewed["detail"]["transaction_id"] == billing.bills_of(lived)[2].id
    assert renewed["actor"] == {"type": "system", "id": None, "name": "portal"}


def test_a_cancellation_keeps_its_reason_and_comment(seller: App, lived: str) -> None:
    ended, scheduled = history(seller, lived)[:2]
    assert scheduled["cancellation"] == {"reason": "unused", "comment": "No time."}
    assert (scheduled["reason"], scheduled["detail"]["scheduled_change"]["action"]) == ("seller_request", "cancel")
    assert (ended["detail"]["effective_from"], ended["source"]) == ("next_billing_period", "system")


def test_a_customers_own_reason_given_afterwards_is_there_too(seller: App, sub: str) -> None:
    by = Actor("customer", visits.owner(sub), "email link", "Amelia", received_at=NOW)
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    with transaction():
        cancellation.give_reason(subscriptions.get(sub), reason="too_expensive", comment="Sorry", by=by)
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=by)
    withdrawn, scheduled = history(seller, sub)
    assert scheduled["cancellation"] == {"reason": "too_expensive", "comment": "Sorry"}
    assert (scheduled["reason"], scheduled["source"], scheduled["actor"]["type"]) == (
        "customer_request",
        "customer_portal",
        "customer",
    )
    assert withdrawn["detail"]["scheduled_change"]["effective_at"] == "2026-12-11T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("action=subscription_item_added,subscription_paused", ["paused", "item_added"]),
        ("source=system", ["canceled", "renewed"]),
        ("actor_type=system", ["canceled", "renewed"]),
        ("reason=customer_request", []),
        ("reason=seller_request", ["scheduled_change_added", "paused", "scheduled_change_added"]),
        ("actor_id=nobody", []),
        ("action=subscription_created", []),
        ("occurred_at[LT]=2026-11-22T00:00:00Z&per_page=3", ALL[7::-1]),
        ("occurred_at[GT]=2026-11-22T00:00:00Z&source=api", ["scheduled_change_added", "resumed", "paused"]),
    ],
)
def test_it_can_be_narrowed(seller: App, lived: str, query: str, wanted: list[str]) -> None:
    assert actions(history(seller, lived, query)) == wanted


def test_events_of_an_earlier_release_are_told_from_the_entity(seller: App, lived: str) -> None:
    with transaction():
        session().execute(update(Event).values(facts=None))
    told = actions(history(seller, lived))
    assert set(told) == {*SCHEDULING, "canceled", "resumed", "paused", "renewed"}


def test_strangers_keys_without_the_permission_and_wrong_parameters(app: Flask, seller: App, sub: str) -> None:
    assert refusal(seller.get(f"/subscriptions/sub_{UNKNOWN}/history")) == (404, "not_found")
    assert refusal(App(app, "price.read").get(f"/subscriptions/{sub}/history"))[0] == 403
    assert fields_of(seller.get(f"/subscriptions/{sub}/history?occurred_at=today")) == ["occurred_at"]
    assert fields_of(seller.get(f"/subscriptions/{sub}/history?colour=red")) == ["colour"]
    assert history(seller, sub) == []
