"""A customer cancels: always and only for the end of the paid period."""

from datetime import timedelta
from typing import Any

import pytest

from portal.db import transaction
from portal.domain import cancellation, renewal
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN, alike, email_link, get
from tests.person import Person

BUTTON = "Cancel at the end of the period"


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"))


def path(sub: str) -> str:
    return f"/portal/subscriptions/{sub}/cancel"


def test_from_the_link_it_is_one_page_and_one_button(person: Person, sub: str) -> None:
    shown = person.open(email_link("cancel", sub))
    assert "Cancel AeroEdit Pro" in shown
    assert "11 December 2026 at 12:00 UTC" in shown
    assert "$300.00 per month" in shown
    done = person.press(BUTTON)
    assert (done.status, done.path) == (200, f"/portal/subscriptions/{sub}")
    assert "Your cancellation is recorded" in done
    assert "It ends on 11 December 2026 at 12:00 UTC" in done
    assert done.links["Keep my subscription"] == f"/portal/subscriptions/{sub}/keep"


def test_the_end_is_scheduled_and_recorded_and_told(person: Person, sub: str) -> None:
    person.open(email_link("cancel", sub))
    person.press(BUTTON)
    row = people.row(sub)
    assert (row.status, row.canceled_at, row.next_billed_at) == ("active", None, None)
    assert (row.scheduled_action, row.scheduled_effective_at, row.scheduled_by) == ("cancel", END, "customer")
    assert (row.period_ends_at, row.billing_resumes_at) == (END, END)
    [event] = visits.events(sub)
    assert (event.type, event.transition) == ("subscription.updated", "cancellation_scheduled")
    assert (event.actor_kind, event.actor_id, event.way) == ("customer", visits.owner(sub), "email link")
    assert event.received_at == NOW
    assert event.data["scheduled_change"]["action"] == "cancel"
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address, mail.status) == ("cancellation_scheduled", "amelia@example.com", "queued")
    assert mail.facts["ends_at"] == "2026-12-11T12:00:00.000000Z"


def test_the_way_is_recorded_when_an_app_opened_the_door(app: Any, person: Person, sub: str) -> None:
    urls = visits.open_session(app, visits.owner(sub), [sub])["urls"]
    person.open(urls["subscriptions"][0]["cancel_subscription"])
    person.press(BUTTON)
    assert visits.events(sub)[0].way == "portal session"


def test_asked_twice_it_is_recorded_once(person: Person, sub: str) -> None:
    person.open(email_link("cancel", sub))
    first = visits.post(person, path(sub))
    before = visits.records()
    second = visits.post(person, path(sub))
    assert (first.status, second.status) == (303, 303)
    assert visits.records() == before
    assert "is already canceled" in person.open(path(sub))


def test_nothing_more_is_charged_and_it_ends_at_its_instant(person: Person, sub: str, the_clock: Any) -> None:
    person.open(email_link("cancel", sub))
    person.press(BUTTON)
    the_clock.set(END + timedelta(minutes=5))
    with transaction():
        assert renewal.open_due(10) == 0
        assert cancellation.carry_out(10) == 1
    row = people.row(sub)
    assert (row.status, row.canceled_at) == ("canceled", END)
    assert visits.said(sub)[1] == ["cancellation_scheduled", "subscription_ended"]


def test_somebody_elses_subscription_and_an_unknown_one_are_alike(person: Person, sub: str) -> None:
    theirs = visits.subscribed(people.customer("Daniel Okoro"))
    for link in (email_link("cancel", sub), email_link("portal", customer_id=visits.owner(sub))):
        person.open(link)
        before = visits.records()
        shown = [get(person, path(each)) for each in (theirs, f"sub_{UNKNOWN}")]
        sent = [visits.post(person, path(each)) for each in (theirs, f"sub_{UNKNOWN}")]
        assert [page.status for page in shown + sent] == [404] * 4
        assert alike(shown[0]) == alike(shown[1])
        assert alike(sent[0]) == alike(sent[1])
        assert visits.records() == before


def test_signed_out_it_leads_to_sign_in_and_nothing_is_changed(person: Person, sub: str) -> None:
    for page in (get(person, path(sub)), visits.post(person, path(sub))):
        assert page.status == 303
        assert page.headers["Location"].startswith("/portal/sign-in?next=")
    assert not visits.is_scheduled(sub)


def test_a_payment_link_does_not_cancel(person: Person, sub: str) -> None:
    person.open(email_link("payment", sub))
    assert visits.post(person, path(sub)).status == 403
    assert get(person, path(sub)).headers["Location"].startswith("/portal/link-expired")
    assert visits.said(sub) == ([], [])


def test_a_cancel_link_does_not_cancel_another_subscription_of_the_same_customer(person: Person, sub: str) -> None:
    other = visits.subscribed(visits.owner(sub))
    person.open(email_link("cancel", sub))
    assert visits.post(person, path(other)).status == 403
    assert not visits.is_scheduled(other)


CRAFTED: list[dict[str, str]] = [
    {"effective_from": "immediately"},
    {"effective_from": "now", "immediately": "true", "at_once": "1"},
    {"effective_at": "2026-11-21T12:00:00Z", "date": "2026-11-22", "at": "now"},
    {"status": "canceled", "canceled_at": "2026-11-21T12:00:00Z"},
    {"by": "staff", "actor_kind": "staff", "actor": "key", "received_at": "2030-01-01T00:00:00Z"},
    {"_method": "DELETE", "X-HTTP-Method-Override": "DELETE", "subscription_id": "sub_x", "id": "sub_x"},
]


@pytest.mark.parametrize("where", ["form", "query"])
def test_no_field_makes_it_end_before_the_period_does(person: Person, app: Any, where: str) -> None:
    for crafted in CRAFTED:
        sub = visits.subscribed()
        person.open(email_link("cancel", sub))
        sent = {"csrf_token": person.csrf_token()} | (crafted if where == "form" else {})
        query = crafted if where == "query" else {}
        assert person.client.post(path(sub), data=sent, query_string=query).status_code == 303
        row = people.row(sub)
        assert (row.status, row.scheduled_effective_at, row.canceled_at) == ("active", END, None), crafted
        assert (row.scheduled_by, visits.events(sub)[0].received_at) == ("customer", NOW)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CANCEL", "HEAD", "GET"])
def test_no_other_method_cancels(person: Person, sub: str, method: str) -> None:
    person.open(email_link("cancel", sub))
    data = {"csrf_token": person.csrf_token(), "effective_from": "immediately"}
    override = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"}
    answer = person.client.open(path(sub), method=method, data=data, headers=override)
    assert answer.status_code in ((200,) if method in ("OPTIONS", "HEAD", "GET") else (403, 405))
    assert visits.said(sub) == ([], [])
    assert people.row(sub).scheduled_action is None


def test_the_api_path_is_closed_to_a_signed_in_customer(person: Person, sub: str) -> None:
    person.open(email_link("portal", customer_id=visits.owner(sub)))
    answer = person.client.post(f"/subscriptions/{sub}/cancel", json={"effective_from": "immediately"})
    assert (answer.status_code, answer.json["error"]["code"]) == (403, "authentication_missing")
    assert people.row(sub).status == "active"


STATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "trial": ({"status": "trialing"}, "Cancel at the end of the trial", "Your trial goes on"),
    "past due": ({"status": "past_due"}, BUTTON, "You can use everything"),
    "by invoice": ({"collection_mode": "manual", "card": None}, BUTTON, "You can use everything"),
    "paused": ({"status": "paused", "next_billed_at": None}, BUTTON, "It stays paused"),
    "pause planned": (visits.ending() | {"scheduled_action": "pause"}, BUTTON, "You can use everything"),
}


@pytest.mark.parametrize("state", STATES)
def test_in_every_state_it_can_be_scheduled_for_the_end(person: Person, app: Any, state: str) -> None:
    fields, button, words = STATES[state]
    sub = visits.subscribed(**fields)
    assert words in person.open(email_link("cancel", sub))
    assert "Your cancellation is recorded" in person.press(button)
    row = people.row(sub)
    assert (row.status, row.scheduled_action) == (fields.get("status", "active"), "cancel")
    assert row.scheduled_effective_at == END
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])


def test_a_paused_one_with_no_paid_time_left_ends_at_once_and_says_so(person: Person, app: Any) -> None:
    sub = visits.subscribed(status="paused", next_billed_at=None, began=NOW - timedelta(days=90), period_ends_at=NOW)
    assert "no paid time is left" in person.open(email_link("cancel", sub))
    assert "Your subscription has ended" in person.press("Cancel now")
    assert (people.row(sub).status, people.row(sub).canceled_at) == ("canceled", NOW)


def test_one_that_has_ended_is_said_to_have_ended(person: Person, app: Any) -> None:
    sub = visits.subscribed(**visits.CANCELED)
    shown = person.open(email_link("cancel", sub))
    assert "AeroEdit Pro has already ended" in shown
    assert "It ended on 20 November 2026 at 12:00 UTC" in shown
    before = visits.records()
    assert visits.post(person, path(sub)).status == 400
    assert visits.records() == before


@pytest.mark.parametrize("by", ["staff", "key"])
def test_an_end_the_seller_scheduled_is_shown_as_theirs_and_not_touched(person: Person, app: Any, by: str) -> None:
    sub = visits.subscribed(**visits.ending(by))
    assert "Only AeroEdit can take this back" in person.open(email_link("cancel", sub))
    before = visits.records()
    assert visits.post(person, path(sub)).status == 303
    assert visits.records() == before


def test_up_to_the_very_instant_the_lock_for_apps_does_not_hold_customers(
    person: Person, sub: str, the_clock: Any
) -> None:
    the_clock.set(END - timedelta(microseconds=1))
    person.open(email_link("cancel", sub))
    person.press(BUTTON)
    assert people.row(sub).scheduled_effective_at == END
