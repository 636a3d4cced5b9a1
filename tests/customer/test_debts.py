"""What is owed is told wherever one could think that nothing is: on every page and in every mail, also at the end."""

from datetime import timedelta
from typing import Any

import pytest

from portal import clock
from portal.db import session, transaction
from portal.domain import debts, pausing, subscriptions
from portal.domain.actors import system
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from tests import people, plans
from tests.api import billing
from tests.api.calls import App
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.person import Person

NOTHING_MORE = "Nothing more is charged"
TRIED = "$300.00 is still due, and we keep trying to collect it from your card."
INVOICED = "$300.00 is still due by invoice."
GIVEN_UP = "$300.00 is still due."
GOOD = {"number": "4242 4242 4242 4242", "expiry": "07/31", "cvc": "123"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def overdue(app: Any, the_clock: Any, configure: Any) -> str:
    """A subscription whose renewal was declined a minute ago; its next period ends a month later."""
    configure(payment_retries=(timedelta(days=60),))
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + MINUTE)
    billing.work()
    assert people.row(sub).status == "past_due"
    return sub


@pytest.fixture
def invoiced(app: Any, the_clock: Any) -> str:
    """One that is paid by invoice, with its last one open."""
    sub = visits.subscribed(collection_mode="manual", card=None)
    the_clock.set(END + MINUTE)
    billing.work()
    assert [bill.status for bill in billing.bills_of(sub)] == ["billed"]
    return sub


def pages(person: Person, sub: str, *names: str) -> list[Any]:
    person.open(email_link("portal", customer_id=visits.owner(sub)))
    ways = {"": f"/portal/subscriptions/{sub}", "portal": "/portal"}
    return [person.open(ways.get(name, f"/portal/subscriptions/{sub}/{name}")) for name in names]


def end_of(sub: str) -> Any:
    return people.row(sub).ends_at


def cancel(person: Person, sub: str) -> Any:
    person.open(email_link("cancel", sub))
    return person.press("Cancel at the end of the period")


def test_what_is_collected_after_the_end_is_told_until_it_is_paid(person: Person, overdue: str, the_clock: Any) -> None:
    asked = person.open(email_link("cancel", overdue))
    assert f"Canceling does not settle what is already due. {TRIED}" in asked
    person.press("Cancel at the end of the period")
    assert "$300.00 is still due, and we keep trying to collect it. No further period is charged." in visits.mail(
        "cancellation_scheduled"
    )
    the_clock.set(end_of(overdue) + MINUTE)
    billing.work()
    assert people.row(overdue).status == "canceled"
    for page in pages(person, overdue, "", "cancel", "keep", "portal"):
        assert TRIED in page
        assert "Contact AeroEdit" in page
        assert NOTHING_MORE not in page
    assert "$300.00 is still due, and we keep trying to collect it." in visits.mail("subscription_ended")
    with transaction():
        debts.of(overdue)[0].next_attempt_at = clock.now()
        subscriptions.get(overdue).payment_method.reference = "sandbox_ok"
    billing.work()
    assert billing.charged() == [30000]
    for page in pages(person, overdue, "", "cancel", "keep", "portal"):
        assert NOTHING_MORE in page
        assert "still due" not in page
    receipt = visits.mail("renewed")
    assert "This subscription has ended." in receipt
    assert "/cancel" not in receipt


def test_an_open_invoice_is_told_at_the_cancellation_and_at_the_end(
    person: Person, invoiced: str, the_clock: Any
) -> None:
    cancel(person, invoiced)
    told = visits.mail("cancellation_scheduled")
    assert "$300.00 is still due. Please pay the open invoice. No further period is charged." in told
    assert NOTHING_MORE not in told
    for page in pages(person, invoiced, "", "cancel"):
        assert INVOICED in page
        assert "There is nothing more for you to do." not in page
    the_clock.set(end_of(invoiced) + MINUTE)
    billing.work()
    told = visits.mail("subscription_ended")
    assert "$300.00 is still due. Please pay the open invoice." in told
    assert NOTHING_MORE not in told
    for page in pages(person, invoiced, "", "cancel", "keep", "portal"):
        assert INVOICED in page
        assert NOTHING_MORE not in page


def test_a_plan_by_invoice_is_not_called_paid_while_its_last_invoice_is_open(
    person: Person, app: Any, the_clock: Any
) -> None:
    sub = plans.plan(1, payments=6, period_ends_at=END, collection_mode="manual", card=None)
    the_clock.set(END + MINUTE)
    billing.work()
    the_clock.set(end_of(sub) + MINUTE)
    billing.work()
    assert people.row(sub).status == "canceled"
    told = visits.mail("subscription_ended")
    assert "are made" not in told
    assert "is still due. Please pay the open invoice." in told


def test_an_exhausted_payment_pauses_and_says_so_with_a_way_to_pay(
    person: Person, app: Any, the_clock: Any, configure: Any
) -> None:
    configure(payment_retries=(), payment_exhausted="paused")
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + MINUTE)
    billing.work()
    assert people.row(sub).status == "paused"
    told = visits.mail("paused")
    assert "We could not collect the payment for AeroEdit Pro, so the subscription is paused." in told
    assert GIVEN_UP in told
    assert "update-payment-method" in told
    for page in pages(person, sub, "", "cancel"):
        assert GIVEN_UP in page
        assert "keep trying" not in page
    [page] = pages(person, sub, "")
    assert "Update payment method and pay $300.00" in page.links
    person.open(email_link("payment", sub))
    person.press("Save card and pay $300.00", **GOOD)
    assert billing.charged() == [30000]
    [page] = pages(person, sub, "")
    assert "still due" not in page


def test_a_debt_that_was_given_up_holds_up_no_later_payment(app: Any, the_clock: Any, configure: Any) -> None:
    configure(payment_retries=(), payment_exhausted="paused")
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + MINUTE)
    billing.work()
    configure(payment_retries=(timedelta(days=1),), payment_exhausted="paused")
    with transaction():
        found = subscriptions.get(sub)
        found.payment_method.reference = "sandbox_ok"
        price = found.items[0].price_id
        pausing.resume(found, by=system())
    billing.work()
    changed = App(app).patch(
        f"/subscriptions/{sub}",
        {
            "items": [{"price_id": price, "quantity": 9}],
            "proration_billing_mode": "do_not_bill",
        },
    )
    assert changed.status_code == 200, changed.json
    with transaction():
        subscriptions.get(sub).payment_method.reference = "sandbox_declines"
    the_clock.set(people.row(sub).next_billed_at + MINUTE)
    billing.work()
    assert people.row(sub).status == "past_due"
    with transaction():
        subscriptions.get(sub).payment_method.reference = "sandbox_ok"
    the_clock.advance(days=1)
    billing.work()
    row = people.row(sub)
    assert (row.status, row.next_billed_at > clock.now()) == ("active", True)
    assert billing.charged() == [30000, 27000]
    with transaction():
        assert [bill.is_given_up for bill in debts.of(sub)] == [True], "a new card may still pay it"


def test_who_is_past_due_is_led_to_the_card_from_every_page(person: Person, overdue: str) -> None:
    [keep] = pages(person, overdue, "keep")
    assert "There is nothing for you to do." not in keep
    assert "Update payment method and pay $300.00" in keep.links
    cancel(person, overdue)
    [page] = pages(person, overdue, "cancel")
    assert "There is nothing more for you to do." not in page
    assert "Update payment method and pay $300.00" in page.links


def test_past_due_for_longer_than_its_period_it_ends_at_once(person: Person, overdue: str, the_clock: Any) -> None:
    the_clock.set(people.row(overdue).period_ends_at + timedelta(days=3))
    asked = person.open(email_link("cancel", overdue))
    assert "As soon as you confirm: no paid time is left." in asked
    assert "Until then" not in asked
    done = person.press("Cancel now")
    assert "Your subscription has ended" in done
    assert "No new period is charged. " + TRIED in done
    assert NOTHING_MORE not in done
    row = people.row(overdue)
    assert (row.status, row.canceled_at) == ("canceled", clock.now())
    assert people.mails_of(overdue)[-1] == "subscription_ended"


def test_the_card_page_names_the_periods_that_are_charged_right_after(
    person: Person, overdue: str, the_clock: Any
) -> None:
    the_clock.set(people.row(overdue).period_ends_at + timedelta(days=3))
    shown = person.open(email_link("payment", overdue))
    assert "A period has begun since, and is charged right after it: $300.00." in shown
    person.press("Save card and pay $300.00", **GOOD)
    billing.work()
    assert billing.charged() == [30000, 30000]
    [page] = pages(person, overdue, "")
    assert page.words.count("Next payment") == 1


def test_a_payment_whose_day_has_passed_is_not_called_the_next(person: Person, overdue: str, the_clock: Any) -> None:
    the_clock.set(people.row(overdue).period_ends_at + timedelta(days=3))
    [page] = pages(person, overdue, "")
    assert "Next payment" not in page


def test_card_and_invoice_are_told_apart(person: Person, invoiced: str, the_clock: Any) -> None:
    with transaction():
        found = subscriptions.get(invoiced)
        found.collection_mode = "automatic"
        found.payment_method_id = people._card(found.customer_id, "sandbox_declines")
    the_clock.set(people.row(invoiced).next_billed_at + MINUTE)
    billing.work()
    [page, asked] = pages(person, invoiced, "", "cancel")
    assert "Update payment method and pay $300.00" in page.links
    assert TRIED in asked
    assert INVOICED in asked
    assert "$600.00" in asked


def test_all_that_is_due_is_summed_however_many_bills_it_is(person: Person, app: Any) -> None:
    sub = visits.subscribed(collection_mode="manual", card=None)
    with transaction():
        session().add_all(_bill(subscriptions.get(sub), n) for n in range(30))
    page, asked = pages(person, sub, "", "cancel")
    assert "Due now $30.00" in page
    assert "Still due $30.00" in asked


def _bill(sub: Subscription, n: int) -> Transaction:
    now = sub.created_at + timedelta(minutes=n)
    return Transaction(
        id=f"txn_{n:026d}",
        customer_id=sub.customer_id,
        subscription_id=sub.id,
        status="billed",
        collection_mode="manual",
        currency_code="USD",
        amount=100,
        lines=[],
        payments=[],
        period_starts_at=now,
        period_ends_at=now + MINUTE,
        billed_at=now,
        created_at=now,
        updated_at=now,
    )
