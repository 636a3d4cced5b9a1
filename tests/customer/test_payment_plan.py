"""A payment plan as its customer sees it: how far it is, and whom to ask to end it; no way to end it by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, ids, worker
from portal.db import session, transaction
from portal.domain.catalog import Price, Product
from portal.domain.subscriptions import Subscription
from portal.outbox import emails
from tests import people, plans
from tests.api.test_transactions import change
from tests.customer import visits
from tests.customer.test_checkout import CARD, link, order
from tests.customer.visits import END, email_link
from tests.outbox.letters import letter
from tests.person import Page, Person

SELLER = "mailto:help@aeroedit.example"


def buttons(page: Page) -> list[str]:
    return [button["text"] for form in page.forms for button in form.buttons if button["text"] != "Sign out"]


def page_of(person: Person, sub: str) -> Page:
    return person.open(email_link("subscription", sub))


def test_the_page_says_how_many_payments_are_made_and_when_the_last_one_is(person: Person) -> None:
    sub = plans.plan(3, payments=6, period_ends_at=END, anchor_at=END)
    page = page_of(person, sub)
    assert "3 of 6 payments made, 3 to go" in page
    assert "The last payment is on 11 February 2027. It ends by itself on 11 March 2027." in page
    assert "The next payment of $30.00 is on 11 December 2026" in page
    assert "renews" not in page
    assert "This is a payment plan" in page
    assert "Cancel subscription" not in " ".join(page.links)
    assert page.links["Contact AeroEdit"] == SELLER


def test_it_speaks_german(person: Person) -> None:
    customer_id = people.customer(locale="de")
    page = page_of(person, plans.plan(3, payments=6, period_ends_at=END, customer_id=customer_id))
    assert "3 von 6 Zahlungen geleistet, noch 3" in page
    assert "Dies ist eine Ratenzahlung" in page


def test_before_the_last_payment_it_says_so(person: Person) -> None:
    page = page_of(person, plans.plan(1, period_ends_at=END))
    assert "The last payment of $30.00 is on 11 December 2026" in page
    assert "5 of 6 payments made, 1 to go" in page


def test_a_failed_payment_is_not_made_yet(person: Person, the_clock: Any) -> None:
    sub = plans.plan(3, payments=6, period_ends_at=END, card="sandbox_declines")
    the_clock.set(END + timedelta(minutes=1))
    while worker.renewals() or worker.collections():
        pass
    page = page_of(person, sub)
    assert "3 of 6 payments made, 3 to go" in page
    assert "Cancel subscription" not in " ".join(page.links)


def test_a_completed_plan_ends_by_itself(person: Person) -> None:
    sub = plans.plan(**plans.completed(period_ends_at=END))
    page = page_of(person, sub)
    assert "All payments are billed. It ends by itself on 11 December 2026" in page
    assert "All payments are made" in page
    assert "Only AeroEdit can take this back" not in page
    for way, words in (("cancel", "ends by itself"), ("keep", "All payments are billed, so there is nothing to keep.")):
        shown = person.open(email_link(way, sub))
        assert (shown.status, words in shown, buttons(shown)) == (200, True, [])
    assert visits.said(sub) == ([], [])


def test_a_plan_that_the_seller_ends_says_what_is_paid(person: Person) -> None:
    page = page_of(person, plans.plan(3, period_ends_at=END, **visits.ending("staff")))
    assert "AeroEdit has canceled it" in page
    assert "3 of 6 payments made" in page
    assert "to go" not in page


def test_the_link_to_cancel_opens_and_says_whom_to_ask(person: Person) -> None:
    sub = plans.plan(3)
    page = person.open(email_link("cancel", sub))
    assert page.status == 200
    assert "A payment plan can’t be canceled on this page" in page
    assert page.links["Contact AeroEdit"] == SELLER
    assert buttons(page) == []
    assert visits.said(sub) == ([], [])


def test_a_crafted_form_is_refused_with_a_clear_page(person: Person) -> None:
    sub = plans.plan(3)
    person.open(email_link("cancel", sub))
    before = visits.records()
    for _ in range(2):
        refused = visits.post(person, f"/portal/subscriptions/{sub}/cancel")
        assert refused.status == 403
        assert "A payment plan can’t be canceled here" in refused
        assert refused.links["Contact AeroEdit"] == SELLER
    assert visits.records() == before


def test_a_crafted_form_does_not_keep_a_completed_plan(person: Person) -> None:
    sub = plans.plan(**plans.completed(period_ends_at=END))
    person.open(email_link("keep", sub))
    before = visits.records()
    refused = visits.post(person, f"/portal/subscriptions/{sub}/keep")
    assert (refused.status, "The payment plan ends by itself" in refused) == (409, True)
    assert visits.records() == before


def test_what_they_canceled_elsewhere_they_may_keep(person: Person) -> None:
    sub = plans.plan(3, period_ends_at=END, **visits.ending())
    person.open(email_link("keep", sub))
    assert "Your subscription goes on" in person.press("Keep my subscription")
    assert (people.row(sub).next_billed_at, people.row(sub).remaining_payments) == (END, 3)


def test_while_the_trial_runs_they_may_cancel(person: Person) -> None:
    sub = plans.plan(6, status="trialing", first_billed_at=None, period_ends_at=END)
    assert "Cancel subscription" in visits.come_in(person, visits.owner(sub)).open(f"/portal/subscriptions/{sub}").links
    person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the trial")
    assert visits.is_scheduled(sub)


def test_the_overview_knows_plans(person: Person) -> None:
    sub = plans.plan(3, period_ends_at=END)
    plans.plan(customer_id=visits.owner(sub), **plans.completed(period_ends_at=END))
    page = visits.come_in(person, visits.owner(sub)).open("/portal")
    assert "The next payment of $30.00 is on" in page
    assert "All payments are billed" in page
    assert "Only AeroEdit can take this back" not in page


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email="amelia@example.com")


def test_the_checkout_says_what_is_agreed_to_and_the_plan_begins(person: Person, amelia: str) -> None:
    page = person.open(link(order(amelia, plans.price(6))))
    for words in ("6 payments, $180.00 in all", "the first one today", "can’t be canceled online", "$30.00 per month"):
        assert words in page, words
    assert "renews by itself" not in page
    assert "You can cancel online at any time" not in page
    done = person.press("Pay $30.00", **CARD)
    assert "Payments to go" in done
    assert "to cancel it" not in done
    with transaction():
        assert session().scalars(select(Subscription)).one().remaining_payments == 5


def test_the_checkout_of_a_trial_says_both(person: Person, amelia: str) -> None:
    price_id = plans.price(6, trial_interval="day", trial_frequency=14)
    page = person.open(link(order(amelia, price_id)))
    assert "then $30.00 per month: 6 payments, $180.00 in all" in page
    assert "If you cancel before then, nothing is charged" in page


def test_a_number_of_payments_that_changes_closes_the_checkout(person: Person, amelia: str) -> None:
    price_id = plans.price(6)
    txn = order(amelia, price_id)
    change(price_id, Price, payments=12)
    assert person.open(link(txn)).status == 410


def text(kind: str, **facts: Any) -> str:
    body = emails.compose(letter(kind, **facts)).get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


PLAN = {"payments_left": 3, "bound": True}


@pytest.mark.parametrize(
    "kind",
    ["renewed", "subscribed", "renewal_reminder", "payment_failed", "paused", "resumed", "payment_method_changed"],
)
def test_mails_of_a_plan_have_no_link_that_cancels(configure: Any, kind: str) -> None:
    told = text(kind, **PLAN)
    assert "Cancel this subscription" not in told
    assert "/cancel" not in told
    assert "This is a payment plan" in told
    assert "renews" not in told
    assert "Cancel this subscription" in text(kind)


def test_a_receipt_says_how_many_payments_are_left(configure: Any) -> None:
    assert "3 payments to go" in text("renewed", **PLAN)
    assert "1 payment to go" in text("renewed", **PLAN | {"payments_left": 1})
    last = {"payments_left": 0, "bound": True, "ending": True, "ends_at": "2027-01-21T10:38:57.979670Z"}
    told = text("renewed", **last)
    assert "All payments are billed. It ends by itself on 21 January 2027" in told
    assert "/cancel" not in told
    assert "to go" not in told


def test_the_mail_at_the_end_says_that_all_is_paid(configure: Any) -> None:
    ended = {"because": "plan_completed", "payments_left": 0, "bound": True}
    assert "All payments of AeroEdit Pro are made" in text("subscription_ended", **ended)
    owing = text("subscription_ended", **ended, owed=3000, owed_by="invoice")
    assert "are made" not in owing
    assert "still due" in owing


def test_hostile_names_are_shown_as_text(person: Person) -> None:
    price_id = plans.price(6)
    with transaction():
        session().get_one(Price, price_id).product_id = _hostile()
    page = person.open(email_link("cancel", plans.plan(3, price_id=price_id)))
    assert "<script>alert(1)</script>" in page
    assert "<script>alert(1)" not in page.html


def _hostile() -> str:

    now = clock.now()
    made = Product(
        id=ids.new("pro"), name="<script>alert(1)</script>", tax_category="standard", created_at=now, updated_at=now
    )
    session().add(made)
    session().flush()
    return made.id
