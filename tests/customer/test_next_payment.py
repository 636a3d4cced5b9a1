"""What a customer is told that comes next is what is billed: with one-time charges, changes and credit that wait."""

from datetime import timedelta
from typing import Any

import pytest

from portal import worker
from portal.db import transaction
from portal.domain import changing, charges
from portal.outbox import emails
from tests import people
from tests.api import billing
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.person import Person

WHEN = "11 December 2026 at 12:00 UTC"
MORE = "That includes one-time charges, changes or credit since the last bill."
LATER = END + timedelta(days=30)
PAUSED = {
    "status": "paused",
    "paused_at": NOW - timedelta(days=1),
    "next_billed_at": None,
    "scheduled_action": "resume",
    "scheduled_effective_at": LATER,
}
TO_PAUSE = {
    "next_billed_at": None,
    "billing_resumes_at": END,
    "scheduled_action": "pause",
    "scheduled_effective_at": END,
    "scheduled_resume_at": LATER,
}


def wait_for_the_bill(sub: str, amount: int) -> None:
    """A one-time charge, or credit of a change, that the next bill takes in."""
    price = billing.one_time(abs(amount))
    with transaction():
        charges.add(sub, [charges.line(changing.prices([price])[price], 1, amount=amount)])


@pytest.mark.parametrize(
    ("fields", "waits", "told"),
    [
        ({}, 4550, f"It renews on {WHEN}, and $345.50 are charged."),
        ({}, -4550, f"It renews on {WHEN}, and $254.50 are charged."),
        ({}, -99900, f"It renews on {WHEN}, and $0.00 are charged."),
        ({"status": "trialing"}, 4550, "Then the first $345.50 are due, unless you cancel before."),
        ({"remaining_payments": 1}, 4550, f"The last payment of $345.50 is on {WHEN}."),
        ({"remaining_payments": 3}, 4550, f"The next payment of $345.50 is on {WHEN}."),
        ({"collection_mode": "manual", "card": None}, 4550, "You get an invoice for $345.50."),
        (PAUSED, 4550, "It resumes on 10 January 2027 at 12:00 UTC with a payment of $345.50."),
        (TO_PAUSE, -4550, "It resumes on 10 January 2027 at 12:00 UTC with a payment of $254.50."),
    ],
    ids=["charge", "credit", "more credit", "trial", "last payment", "plan", "invoice", "pause", "planned pause"],
)
def test_the_pages_say_what_is_charged_with_all_that_waits_for_it(
    person: Person, app: Any, fields: dict[str, Any], waits: int, told: str
) -> None:
    sub = visits.subscribed(**fields)
    wait_for_the_bill(sub, waits)
    visits.come_in(person, visits.owner(sub))
    for path in ("/portal", f"/portal/subscriptions/{sub}"):
        shown = person.open(path)
        assert told in shown
        assert MORE in shown
    if fields.get("remaining_payments"):
        assert told in person.open(f"/portal/subscriptions/{sub}/cancel"), "where a plan's customer may not cancel"
    assert told in person.open(f"/portal/subscriptions/{sub}/keep"), "where nothing is canceled"


def test_each_one_of_many_has_its_own(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper")
    first, second = (visits.subscribed(amelia, price_id=people.price(product=name)) for name in ("First", "Second"))
    wait_for_the_bill(second, 4550)
    visits.come_in(person, amelia)
    words = person.page.words
    assert words.count(MORE) == 1
    assert f"It renews on {WHEN}, and $300.00 are charged." in words
    assert f"It renews on {WHEN}, and $345.50 are charged." in words
    assert MORE not in person.open(f"/portal/subscriptions/{first}")


def test_what_is_told_is_what_is_billed(person: Person, app: Any, the_clock: Any) -> None:
    sub = visits.subscribed()
    wait_for_the_bill(sub, 4550)
    wait_for_the_bill(sub, -1000)
    visits.come_in(person, visits.owner(sub))
    assert "$335.50 are charged" in person.open(f"/portal/subscriptions/{sub}")
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    assert billing.charged() == [33550]
    visits.come_in(person, visits.owner(sub))
    after = person.open(f"/portal/subscriptions/{sub}")
    assert "and $300.00 are charged." in after
    assert MORE not in after
    assert "$335.50" in after, "what was paid"
    assert "$345.50" not in after
    assert "$345.50" not in person.open("/portal/payments")


def test_what_is_owed_is_told_with_the_credit_that_is_counted_on_it(person: Person, app: Any, the_clock: Any) -> None:
    sub = visits.subscribed(card="sandbox_declines")
    wait_for_the_bill(sub, -10000)
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    visits.come_in(person, visits.owner(sub))
    for path, told in (
        ("", "Update payment method and pay $200.00"),
        ("/cancel", "Still due"),
        ("/update-payment-method", "Save card and pay $200.00"),
    ):
        shown = person.open(f"/portal/subscriptions/{sub}{path}")
        assert told in shown
        assert "$200.00" in shown
        assert "pay $300.00" not in shown
    assert [mail.facts["owed"] for mail in visits.mails() if mail.kind == "payment_failed"] == [20000]


@pytest.mark.parametrize("until", [END + timedelta(days=40), END], ids=["goes on", "is over by then"])
def test_a_pause_that_ends_within_its_period_charges_nothing_and_the_page_says_so(
    person: Person, app: Any, until: Any
) -> None:
    kept = {"kept_period_starts_at": NOW - timedelta(days=10), "kept_period_ends_at": until}
    sub = visits.subscribed(**PAUSED, **kept, on_resume="continue_existing_billing_period")
    visits.come_in(person, visits.owner(sub))
    for path in ("/portal", f"/portal/subscriptions/{sub}"):
        shown = person.open(path)
        if until > LATER:
            assert "It resumes on 10 January 2027 at 12:00 UTC with what is left of the paid period." in shown
        else:
            assert "It resumes on 10 January 2027 at 12:00 UTC with a payment of $300.00." in shown


def test_reminders_tell_it_too_each_its_own(app: Any, the_clock: Any) -> None:
    subs = [visits.subscribed(remind_at=NOW) for _ in range(3)]
    wait_for_the_bill(subs[1], 4550)
    wait_for_the_bill(subs[2], -1000)
    assert worker.reminders()
    told = {mail.subscription_id: mail for mail in visits.mails()}
    assert [told[sub].facts.get("next_due") for sub in subs] == [None, 34550, 29000]
    assert {mail.kind for mail in told.values()} == {"renewal_reminder"}


def test_so_does_the_mail_after_a_change_of_mind(person: Person, app: Any) -> None:
    sub = visits.subscribed(**visits.ending())
    wait_for_the_bill(sub, 4550)
    person.open(email_link("keep", sub))
    person.press("Keep my subscription")
    [mail] = visits.mails()
    assert (mail.kind, mail.facts["next_due"], mail.facts["next_has_more"]) == ("cancellation_withdrawn", 34550, True)


def test_so_does_the_mail_about_a_new_card(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    wait_for_the_bill(sub, -1000)
    person.open(email_link("payment", sub))
    person.press("Save card", number="4242 4242 4242 4242", expiry="07/31", cvc="123")
    [mail] = visits.mails()
    assert (mail.kind, mail.facts["next_due"], mail.facts["next_has_more"]) == ("payment_method_changed", 29000, True)
    for part in emails.compose(mail).walk():
        if part.get_content_maintype() == "text":
            assert MORE in " ".join(part.get_content().split())


@pytest.mark.parametrize(
    ("on_resume", "waits", "next_due"),
    [
        ("continue_existing_billing_period", 4550, 34550),
        ("start_new_billing_period", 4550, None),
        ("start_new_billing_period", -40000, 20000),
    ],
    ids=["the period goes on", "a new one has taken it in", "a new one had no use for all of it"],
)
def test_so_does_the_mail_after_a_pause(
    app: Any, the_clock: Any, on_resume: str, waits: int, next_due: int | None
) -> None:
    kept = {"kept_period_starts_at": NOW - timedelta(days=10), "kept_period_ends_at": LATER + timedelta(days=9)}
    sub = visits.subscribed(**PAUSED, **kept, on_resume=on_resume)
    wait_for_the_bill(sub, waits)
    the_clock.set(LATER + timedelta(minutes=1))
    billing.work()
    [mail] = visits.mails("resumed")
    assert mail.facts.get("next_due") == next_due


def test_a_pause_that_is_planned_ends_with_the_payment_that_was_told(person: Person, app: Any, the_clock: Any) -> None:
    sub = visits.subscribed(**TO_PAUSE)
    wait_for_the_bill(sub, 4550)
    visits.come_in(person, visits.owner(sub))
    told = "It resumes on 10 January 2027 at 12:00 UTC with a payment of $345.50."
    assert told in person.open(f"/portal/subscriptions/{sub}")
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    assert (people.row(sub).status, billing.charged()) == ("paused", [])
    visits.come_in(person, visits.owner(sub))
    assert f"It is paused, and nothing is charged. {told}" in person.open(f"/portal/subscriptions/{sub}")
    the_clock.set(LATER + timedelta(minutes=1))
    billing.work()
    assert (people.row(sub).status, billing.charged()) == ("active", [34550])


def test_of_a_pause_without_a_date_no_payment_is_told(person: Person, app: Any) -> None:
    sub = visits.subscribed(**TO_PAUSE | {"scheduled_resume_at": None})
    visits.come_in(person, visits.owner(sub))
    shown = person.open(f"/portal/subscriptions/{sub}")
    assert "It pauses on 11 December 2026 at 12:00 UTC. Nothing is charged while it is paused." in shown
    assert "with a payment of" not in shown
