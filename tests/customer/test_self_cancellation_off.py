"""The seller ends subscriptions on request only: instructions instead of a button; what was canceled can be kept."""

from datetime import timedelta
from typing import Any

import pytest

from portal.outbox import emails
from tests import people
from tests.customer import visits
from tests.customer.test_checkout import CARD, link, order
from tests.customer.visits import END, email_link
from tests.person import Person


@pytest.fixture(autouse=True)
def _off(configure: Any, app: Any) -> None:
    configure(self_cancellation=False, self_cancellation_instructions="Write to us <30 days> before.")


def test_the_page_shows_the_sellers_instructions_instead_of_the_button(person: Person) -> None:
    shown = person.open(email_link("cancel", visits.subscribed()))
    assert shown.status == 200
    assert "Write to us <30 days> before." in shown
    assert shown.links["Contact AeroEdit"] == "mailto:help@aeroedit.example"
    assert not [button for form in shown.forms for button in form.buttons if "Cancel" in button["text"]]


def test_a_crafted_form_is_refused(person: Person) -> None:
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    refused = visits.post(person, f"/portal/subscriptions/{sub}/cancel")
    assert refused.status == 403
    assert "Please ask AeroEdit to cancel" in refused
    assert visits.said(sub) == ([], [])
    assert not visits.is_scheduled(sub)


def test_what_was_canceled_before_can_still_be_kept(person: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    person.open(email_link("keep", sub))
    assert "Your subscription goes on" in person.press("Keep my subscription")
    assert not visits.is_scheduled(sub)


def test_an_end_that_comes_later_shows_the_instructions_for_an_earlier_one(person: Person) -> None:
    sub = visits.subscribed(**visits.ending("staff", END + timedelta(days=45)) | {"next_billed_at": END})
    shown = person.open(email_link("cancel", sub))
    assert "End AeroEdit Pro earlier" in shown
    assert "Write to us <30 days> before." in shown
    assert "There is nothing more for you to do." not in shown


def test_a_checkout_promises_no_cancellation_online(person: Person) -> None:
    shown = person.open(link(order(people.customer())))
    assert "To cancel, get in touch with AeroEdit." in shown
    assert "You can cancel online" not in shown
    done = person.press("Pay $30.00", **CARD)
    assert "or to cancel it" not in done
    [told] = visits.mails("subscribed")
    assert "You can cancel at any time" not in emails.compose(told).as_string()
