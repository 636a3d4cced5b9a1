"""An app reads what has happened, and which types of events there are."""

from typing import Any

import pytest
from flask import Flask

from portal.db import session, transaction
from portal.domain import event_types, events
from portal.domain import subscriptions as found
from portal.domain.actors import system
from tests import people
from tests.api.calls import App, fields_of, refusal


def happen(sub: str, *types: str) -> None:
    with transaction():
        for type in types:
            events.record(type, found.get(sub), by=system())


@pytest.fixture
def sub(app: Flask) -> str:
    return people.subscription(people.customer())


def test_an_event_is_the_envelope_that_webhooks_carry_without_a_notification(seller: App, sub: str) -> None:
    happen(sub, "subscription.updated")
    (event,) = seller.get("/events").json["data"]
    assert set(event) == {"event_id", "event_type", "occurred_at", "data"}
    assert event["event_type"] == "subscription.updated"
    assert event["occurred_at"] == "2026-11-21T12:00:00.000000Z"
    assert event["data"]["id"] == sub
    assert "management_urls" not in event["data"]


def test_events_come_newest_first_or_in_their_order_page_by_page(seller: App, sub: str) -> None:
    happen(sub, *["subscription.updated"] * 5)
    newest_first = [each["event_id"] for each in seller.get("/events").json["data"]]
    assert newest_first == sorted(newest_first, reverse=True)
    path, seen, more, pages = "/events?per_page=2&order_by=id%5Basc%5D", [], True, 0
    while more:
        pages += 1
        answer = seller.get(path).json
        seen += [each["event_id"] for each in answer["data"]]
        pagination = answer["meta"]["pagination"]
        assert (pagination["per_page"], pagination["estimated_total"]) == (2, 5)
        path = pagination["next"].removeprefix("http://localhost")
        more = pagination["has_more"]
    assert (pages, seen) == (3, newest_first[::-1])
    assert seller.get(path).json["data"] == [], "the last page's next leads on when more has happened"


def test_events_are_found_by_type_by_what_they_are_about_and_by_time(seller: App, the_clock: Any) -> None:
    customer = people.customer()
    one, other = people.subscription(customer), people.subscription(people.customer())
    happen(one, "subscription.updated")
    the_clock.advance(hours=1)
    happen(other, "subscription.paused")
    the_clock.advance(hours=1)
    happen(one, "subscription.updated", "subscription.canceled")

    def types(query: str) -> list[str]:
        answer = seller.get(f"/events?order_by=id[ASC]&{query}")
        return [each["event_type"].partition(".")[2] for each in answer.json["data"]]

    assert types("event_type=subscription.paused,subscription.canceled") == ["paused", "canceled"]
    assert types(f"filter={one}") == types(f"filter={customer}") == ["updated", "updated", "canceled"]
    assert types("filter=sub_unknown") == []
    assert types("from=1969-12-31T23:00:00Z") == types("from=2026-01-01T00:00:00Z") != []
    assert types("from=2026-11-21T13:00:00Z") == ["paused", "updated", "canceled"]
    assert types("from=2026-11-21T13:00:00.000001Z") == ["updated", "canceled"]
    assert types("to=2026-11-21T13:00:00Z") == ["updated", "paused"]
    assert types("from=2026-11-21T12:30:00Z&to=2026-11-21T15:30:00%2B02:00") == ["paused"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=sub_01htymmb3hj0q9fmckjbtrmd73", "after"),
        ("order_by=type[ASC]", "order_by"),
        ("per_page=0", "per_page"),
        ("from=yesterday", "from"),
        ("to=2026-11-21", "to"),
        ("from_=2026-11-21T13:00:00Z", "from_"),
        ("unknown=1", "unknown"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(seller: App, query: str, field: str) -> None:
    assert fields_of(seller.get(f"/events?{query}")) == [field]


def test_a_key_without_permission_reads_no_events(app: Flask) -> None:
    assert refusal(App(app, "subscription.read").get("/events")) == (403, "forbidden")


def test_any_key_reads_the_types_and_nobody_else(app: Flask) -> None:
    answer = App(app, "price.read").get("/event-types").json
    assert set(answer["meta"]) == {"request_id"}
    assert [each["name"] for each in answer["data"]] == list(event_types.NAMES)
    for each in answer["data"]:
        assert set(each) == {"name", "description", "group", "available_versions"}
        assert each["description"]
        assert each["group"].lower().replace(" ", "_") == each["name"].partition(".")[0]
        assert each["available_versions"] == [1]
    assert refusal(app.test_client().get("/event-types")) == (403, "authentication_missing")


def test_what_is_recorded_waits_for_the_worker(seller: App, sub: str) -> None:
    happen(sub, "subscription.updated")
    with transaction():
        (event,) = session().query(events.Event).all()
        assert event.dispatched is False
