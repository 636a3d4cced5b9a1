"""Don't cancel in the console: one confirmation, and payments go on at the date they were planned for."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.api import billing
from tests.conftest import Clock
from tests.customer import visits
from tests.person import Page, Person
from tests.staff.console import audited, colleague

END = visits.END


def path(sub: str) -> str:
    return f"/console/subscriptions/{sub}/keep"


@pytest.fixture
def support(app: Flask) -> Person:
    return colleague(app)


@pytest.mark.parametrize("by", ["customer", "staff", "key"])
def test_a_pending_cancellation_is_stopped_whoever_asked_for_it(support: Person, by: str) -> None:
    sub = visits.subscribed(**visits.ending(by))
    page = support.open(path(sub))
    assert "$300.00 on 11 December 2026 at 12:00 UTC" in page
    assert visits.said(sub) == ([], [])
    done = support.press("Don’t cancel payments")
    assert (done.status, done.path) == (200, f"/console/subscriptions/{sub}")
    assert "The cancellation is withdrawn" in done
    row = people.row(sub)
    assert (row.is_ending, row.next_billed_at, row.scheduled_by, row.canceled_by) == (False, END, None, None)
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_withdrawn"])
    assert visits.events(sub)[0].actor_name == "Sam Support"
    assert [each.actor_name for each in audited("cancellation_withdrawn")] == ["Sam Support"]


def test_without_telling_no_mail_is_sent(support: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    fields = support.open(path(sub)).forms[-1].fields
    del fields["tell"]
    assert support.client.post(path(sub), data=fields).status_code == 303
    assert visits.said(sub) == (["subscription.updated"], [])
    assert visits.events(sub)[0].facts["customer_told"] is False


def test_asked_twice_it_is_recorded_once(support: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    fields = support.open(path(sub)).forms[-1].fields
    for _ in range(2):
        assert support.client.post(path(sub), data=fields).status_code == 303
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_withdrawn"])


def test_a_colleagues_newer_cancellation_is_not_taken_back_by_an_old_page(support: Person) -> None:
    """The customer kept it meanwhile, and Ada has canceled it anew for the same end."""
    sub = visits.subscribed(**visits.ending())
    support.open(path(sub))
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=Actor("customer", visits.owner(sub), "email link"))
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("staff", "stf_1", "console", "Ada Admin"))
    before = visits.records()
    page = support.press("Don’t cancel payments")
    assert page.status == 409
    assert "It changed. Look again Nothing was recorded" in page
    assert "as staff asked" in page
    assert visits.records() == before
    assert support.press("Don’t cancel payments").status == 200
    assert not people.row(sub).is_ending


def test_another_next_payment_than_the_one_shown_is_shown_first(support: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    assert "$300.00 on" in support.open(path(sub))
    with transaction():
        item = subscriptions.get(sub).items[0]
        item.price.amount *= 2
    fields = {name: value for name, value in support.page.forms[-1].fields.items() if name != "tell"}  # type: ignore[union-attr]
    page = Page(support.client.post(path(sub), data=fields))
    assert (page.status, "It changed. Look again" in page, "$600.00 on" in page) == (409, True, True)
    assert "tell" not in page.forms[-1].fields, "what was chosen is kept"
    assert visits.said(sub) == ([], [])


def test_what_was_kept_meanwhile_is_not_kept_again(support: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    support.open(path(sub))
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=Actor("customer", visits.owner(sub), "email link"))
    before = visits.records()
    assert support.press("Don’t cancel payments").path == f"/console/subscriptions/{sub}"
    assert visits.records() == before


def test_in_the_last_part_the_rest_of_the_period_is_shown_and_charged(app: Flask, the_clock: Clock) -> None:
    sub = visits.subscribed()
    with transaction():
        cut = END + timedelta(days=15.5)
        cancellation.on(subscriptions.get(sub), cut, by=Actor("staff", "stf_1", "console"))
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    support = colleague(app)
    assert "$150.00 on 27 December 2026 at 00:00 UTC" in support.open(path(sub))
    support.press("Don’t cancel payments")
    the_clock.set(cut + timedelta(minutes=1))
    billing.work()
    assert [each.amount for each in billing.bills_of(sub)] == [15000, 15000]


def test_before_the_last_part_the_next_payment_is_a_whole_one(support: Person) -> None:
    sub = visits.subscribed()
    with transaction():
        cancellation.on(subscriptions.get(sub), END + timedelta(days=5), by=Actor("staff", "stf_1", "console"))
    assert "$300.00 on 11 December 2026" in support.open(path(sub))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "It is not canceled. The next payment is on 11 December 2026"),
        (visits.CANCELED, "An end is final"),
        (visits.ending() | {"remaining_payments": 0}, "All payments of this plan are billed"),
    ],
)
def test_in_another_state_it_says_what_is(support: Person, fields: dict[str, Any], words: str) -> None:
    sub = visits.subscribed(**fields)
    page = support.open(path(sub))
    assert words in page
    assert not any(button["text"] == "Don’t cancel payments" for form in page.forms for button in form.buttons)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 303), (visits.CANCELED, 400), (visits.ending() | {"remaining_payments": 0}, 409)],
)
def test_sent_in_another_state_nothing_is_recorded(support: Person, fields: dict[str, Any], status: int) -> None:
    token = support.open(path(visits.subscribed(**visits.ending()))).forms[-1].fields["csrf_token"]
    sub = visits.subscribed(**fields)
    assert support.client.post(path(sub), data={"csrf_token": token}).status_code == status
    assert visits.said(sub) == ([], [])


def test_at_its_end_it_is_too_late(support: Person, the_clock: Clock) -> None:
    soon = clock.now() + timedelta(minutes=10)
    sub = visits.subscribed(**visits.ending(at=soon), period_ends_at=soon)
    support.open(path(sub))
    the_clock.set(soon)
    assert support.press("Don’t cancel payments").status == 409
    assert visits.said(sub) == ([], [])
    assert "can’t be taken back" in support.open(path(sub))


def test_signed_out_it_leads_to_the_sign_in(app: Flask) -> None:
    sub = visits.subscribed(**visits.ending())
    shown = Page(Person(app).client.get(path(sub)))
    assert (shown.status, "/console/sign-in" in shown.headers["Location"]) == (303, True)
    assert Person(app).client.post(path(sub)).status_code in (303, 403)
    assert people.row(sub).is_ending


def test_unknown_ids_are_not_found(support: Person) -> None:
    for id in ("sub_" + visits.UNKNOWN, "x", "'"):
        assert support.open(path(id)).status == 404


def test_hostile_names_are_text(support: Person) -> None:
    sub = people.subscription(people.customer("<script>alert(1)</script>"), **visits.ending())
    page = support.open(path(sub))
    assert "<script>" not in page.html
    assert "<script>alert(1)</script>" in page
