"""A customer keeps a subscription whose end is scheduled: the change of mind."""

from datetime import timedelta
from typing import Any

import pytest

from portal.db import transaction
from portal.domain import cancellation, changing, charges, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.api import billing
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN, alike, email_link, get
from tests.person import Person

BUTTON = "Keep my subscription"


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"), **visits.ending())


def path(sub: str) -> str:
    return f"/portal/subscriptions/{sub}/keep"


def test_the_keep_link_shows_what_goes_on_and_one_button(person: Person, sub: str) -> None:
    shown = person.open(email_link("keep", sub))
    assert "Keep AeroEdit Pro" in shown
    assert "$300.00 per month" in shown
    assert "11 December 2026 at 12:00 UTC" in shown
    assert "Visa ending in 4242" in shown
    done = person.press(BUTTON)
    assert "Your subscription goes on" in done
    assert "The next payment of $300.00 is on 11 December 2026 at 12:00 UTC" in done


def test_the_rest_of_a_cut_period_costs_less_and_the_page_says_so(person: Person, app: Any, the_clock: Any) -> None:
    """The next period was cut to a third of it, billed, and the customer changes their mind within it."""
    sub = visits.subscribed()
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("customer", visits.owner(sub), "email link", ""))
        cancellation.on(subscriptions.get(sub), END + timedelta(days=31) / 3, by=Actor("staff", "stf_1", "console", ""))
    the_clock.set(END + timedelta(days=1))
    billing.work()
    [part] = [each for each in billing.bills_of(sub) if each.period_starts_at == END]
    assert part.due == 10000
    person.open(email_link("keep", sub))
    shown = person.open(path(sub))
    assert "21 December 2026 at 20:00 UTC: $200.00" in shown
    assert "It pays for the rest of the period, until 11 January 2027 at 12:00 UTC." in shown
    assert "$300.00 per month" in shown
    assert "The next payment of $200.00 is on 21 December 2026 at 20:00 UTC" in person.press(BUTTON)
    the_clock.set(END + timedelta(days=12))
    billing.work()
    assert [each.due for each in billing.bills_of(sub)][-1] == 20000


def test_the_page_says_what_is_charged_with_all_that_waits_for_it(person: Person, sub: str) -> None:
    price = billing.one_time(4550)
    with transaction():
        charges.add(sub, [charges.line(changing.prices([price])[price], 1)])
    person.open(email_link("keep", sub))
    shown = person.open(path(sub))
    assert "11 December 2026 at 12:00 UTC: $345.50" in shown
    assert "That includes one-time charges, changes or credit since the last bill." in shown
    assert "The next payment of $345.50 is on 11 December 2026" in person.press(BUTTON)


def test_while_past_due_the_page_says_what_comes_first(person: Person, app: Any) -> None:
    sub = visits.subscribed(**visits.ending(), status="past_due")
    person.open(email_link("keep", sub))
    shown = person.open(path(sub))
    assert "11 December 2026 at 12:00 UTC: $300.00" in shown
    assert "The open payment comes first" in shown


def test_payments_resume_on_the_instant_they_were_planned_for(person: Person, sub: str) -> None:
    person.open(email_link("keep", sub))
    person.press(BUTTON)
    row = people.row(sub)
    assert (row.status, row.scheduled_action, row.scheduled_effective_at) == ("active", None, None)
    assert (row.next_billed_at, row.period_ends_at, row.billing_resumes_at) == (END, END, None)
    [event] = visits.events(sub)
    assert (event.type, event.transition) == ("subscription.updated", "cancellation_withdrawn")
    assert (event.actor_kind, event.way) == ("customer", "email link")
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address) == ("cancellation_withdrawn", "amelia@example.com")
    assert mail.facts["next_billed_at"] == "2026-12-11T12:00:00.000000Z"


def test_asked_twice_it_is_recorded_once(person: Person, sub: str) -> None:
    person.open(email_link("keep", sub))
    visits.post(person, path(sub))
    before = visits.records()
    again = visits.post(person, path(sub))
    assert again.status == 303
    assert "kept" not in again.headers["Location"]
    assert visits.records() == before
    assert "AeroEdit Pro is not canceled" in person.open(path(sub))


def test_back_and_forth_every_step_is_recorded_and_nothing_is_lost(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    for _ in range(3):
        visits.post(person, f"/portal/subscriptions/{sub}/cancel")
        visits.post(person, path(sub))
    row = people.row(sub)
    assert (row.scheduled_action, row.next_billed_at) == (None, END)
    steps = [event.transition for event in visits.events(sub)]
    assert steps == ["cancellation_scheduled", "cancellation_withdrawn"] * 3
    assert people.mails_of(sub) == steps


def test_somebody_elses_subscription_and_an_unknown_one_are_alike(person: Person, sub: str) -> None:
    theirs = visits.subscribed(people.customer("Daniel Okoro"), **visits.ending())
    for link in (email_link("keep", sub), email_link("portal", customer_id=visits.owner(sub))):
        person.open(link)
        answers = [visits.post(person, path(each)) for each in (theirs, f"sub_{UNKNOWN}")]
        shown = [get(person, path(each)) for each in (theirs, f"sub_{UNKNOWN}")]
        assert [page.status for page in answers + shown] == [404] * 4
        assert alike(answers[0]) == alike(answers[1])
        assert alike(shown[0]) == alike(shown[1])
    assert visits.is_scheduled(theirs)


def test_signed_out_it_leads_to_sign_in_and_nothing_is_changed(person: Person, sub: str) -> None:
    for page in (get(person, path(sub)), visits.post(person, path(sub))):
        assert (page.status, page.headers["Location"].partition("?")[0]) == (303, "/portal/sign-in")
    assert visits.is_scheduled(sub)


def test_a_keep_link_does_not_cancel_and_does_not_change_the_card(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    person.open(email_link("keep", sub))
    for page in ("cancel", "update-payment-method"):
        assert visits.post(person, f"/portal/subscriptions/{sub}/{page}", number="4242424242424242").status == 403
    assert visits.said(sub) == ([], [])


def test_a_payment_link_does_not_keep(person: Person, sub: str) -> None:
    person.open(email_link("payment", sub))
    assert visits.post(person, path(sub)).status == 403
    assert visits.is_scheduled(sub)


@pytest.mark.parametrize("by", ["staff", "key"])
def test_what_the_seller_scheduled_only_the_seller_takes_back(person: Person, app: Any, by: str) -> None:
    sub = visits.subscribed(**visits.ending(by))
    shown = person.open(email_link("keep", sub))
    assert "was canceled by AeroEdit" in shown
    assert shown.links["Contact AeroEdit"] == "mailto:help@aeroedit.example"
    before = visits.records()
    refused = visits.post(person, path(sub))
    assert refused.status == 403
    assert "Only AeroEdit can take this back" in refused
    assert visits.records() == before


def test_one_that_has_ended_cannot_be_kept(person: Person, app: Any) -> None:
    sub = visits.subscribed(**visits.CANCELED)
    assert "has ended and can’t be kept" in person.open(email_link("keep", sub))
    before = visits.records()
    assert visits.post(person, path(sub)).status == 400
    assert visits.records() == before


def test_up_to_its_instant_it_can_be_kept_and_not_from_it_on(person: Person, sub: str, the_clock: Any) -> None:
    other = visits.subscribed(visits.owner(sub), **visits.ending())
    the_clock.set(END - timedelta(microseconds=1))
    person.open(email_link("keep", sub))
    assert "Your subscription goes on" in person.press(BUTTON)
    the_clock.set(END)
    person.open(email_link("keep", other))
    refused = visits.post(person, path(other))
    assert refused.status == 409
    assert "it can’t be kept any more" in refused
    assert visits.is_scheduled(other)


def test_after_its_end_the_page_offers_no_button_even_if_the_worker_is_late(
    person: Person, sub: str, the_clock: Any
) -> None:
    the_clock.set(END + timedelta(minutes=1))
    shown = person.open(email_link("keep", sub))
    assert "has ended and can’t be kept" in shown
    assert BUTTON not in [button["text"] for form in shown.forms for button in form.buttons]


def test_one_that_is_past_due_can_be_kept_and_stays_past_due(person: Person, app: Any) -> None:
    sub = visits.subscribed(status="past_due", **visits.ending())
    person.open(email_link("keep", sub))
    person.press(BUTTON)
    assert (people.row(sub).status, people.row(sub).next_billed_at) == ("past_due", END)


def test_a_planned_pause_is_not_taken_back_by_keeping(person: Person, app: Any) -> None:
    sub = visits.subscribed(**visits.ending() | {"scheduled_action": "pause"})
    before = visits.records()
    person.open(email_link("keep", sub))
    visits.post(person, path(sub))
    assert visits.records() == before
