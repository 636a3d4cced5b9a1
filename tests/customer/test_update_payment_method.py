"""A customer replaces the card that pays a subscription; what is owed is collected from it first."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain import debts, renewal
from portal.domain.payment_methods import PaymentMethod
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN, alike, email_link, get
from tests.person import Person

GOOD, DECLINES_LATER, DECLINED = "4242 4242 4242 4242", "4000 0000 0000 0341", "4000 0000 0000 0002"
REST = {"expiry": "07/31", "cvc": "123"}


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"), card="sandbox_declines")


@pytest.fixture
def overdue(sub: str, the_clock: Any) -> str:
    """The same subscription after a renewal whose charge was declined."""
    the_clock.set(END + timedelta(minutes=1))
    with transaction():
        assert renewal.open_due(10) == 1
    assert renewal.collect_next(Sandbox())
    assert people.row(sub).status == "past_due"
    return sub


def path(sub: str) -> str:
    return f"/portal/subscriptions/{sub}/update-payment-method"


def cards() -> list[PaymentMethod]:
    with transaction():
        return list(session().scalars(select(PaymentMethod).order_by(PaymentMethod.id)))


def charges() -> list[tuple[str, int]]:
    with transaction():
        return [(row.reference, row.amount) for row in session().scalars(select(SandboxCharge))]


def card_of(sub: str) -> PaymentMethod:
    return next(card for card in cards() if card.id == people.row(sub).payment_method_id)


def test_a_working_card_is_stored_and_told(person: Person, sub: str) -> None:
    assert "Visa ending in 4242, expires 07/2029" in person.open(email_link("payment", sub))
    done = person.press("Save card", number=GOOD, **REST)
    assert "Your card is saved" in done
    assert "Visa ending in 4242, expires 07/2031" in done
    new = card_of(sub)
    assert (new.last4, new.expiry_month, new.expiry_year, new.reference) == ("4242", 7, 2031, "sandbox_ok")
    assert new.customer_id == visits.owner(sub)
    assert people.events_of(sub) == ["subscription.updated"]
    assert (visits.events(sub)[0].transition, visits.events(sub)[0].actor_kind) == (
        "payment_method_changed",
        "customer",
    )
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address) == ("payment_method_changed", "amelia@example.com")
    assert mail.facts["card"] == {"brand": "visa", "last4": "4242"}
    assert charges() == []
    assert people.row(sub).next_billed_at == END


REFUSED = {
    DECLINED: "Your bank declined this card",
    "4000 0000 0000 9995": "There is not enough money on this card",
    "4000 0000 0000 0069": "This card has expired",
    "5555 5555 5555 4444": "This is not one of the test cards",
    "": "This is not one of the test cards",
    "4242": "This is not one of the test cards",
    "4242424242424242'; --": "This is not one of the test cards",
    "４２４２４２４２４２４２４２４２": "This is not one of the test cards",
    "\x00" * 20: "This is not one of the test cards",
}


def test_a_card_that_is_refused_leaves_everything_as_it_was(person: Person, sub: str) -> None:
    person.open(email_link("payment", sub))
    before = visits.records()
    for number, words in REFUSED.items():
        shown = person.submit(path(sub), number=number, **REST)
        assert (shown.status, words in shown) == (422, True), number
        assert visits.records() == before, number


@pytest.mark.parametrize(
    ("expiry", "cvc", "words"),
    [
        ("13/31", "123", "Enter the expiry date"),
        ("", "123", "Enter the expiry date"),
        ("00/31", "123", "Enter the expiry date"),
        ("07/31/01", "123", "Enter the expiry date"),
        ("07/31", "12", "Enter the security code"),
        ("07/31", "abc", "Enter the security code"),
        ("07/31", "", "Enter the security code"),
        ("10/26", "123", "This card has expired"),
        ("07/2020", "123", "This card has expired"),
    ],
)
def test_a_wrong_date_or_code_is_said_at_its_field(person: Person, sub: str, expiry: str, cvc: str, words: str) -> None:
    person.open(email_link("payment", sub))
    shown = person.press("Save card", number=GOOD, expiry=expiry, cvc=cvc)
    assert (shown.status, words in shown) == (422, True)
    assert len(cards()) == 1


def test_a_card_may_be_used_in_the_month_it_expires(person: Person, sub: str) -> None:
    person.open(email_link("payment", sub))
    assert "Your card is saved" in person.press("Save card", number=GOOD, expiry="11/26", cvc="1234")


def test_a_real_card_number_leaves_no_trace(person: Person, sub: str, caplog: pytest.LogCaptureFixture) -> None:
    real = "4111111111111111"
    caplog.set_level(logging.DEBUG)
    person.open(email_link("payment", sub))
    for number in (real, "4111 1111 1111 1111", "4111-1111-1111-1111"):
        shown = person.submit(path(sub), number=number, expiry="07/31", cvc="987")
        assert shown.status == 422
        assert number not in shown.html
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert len(caplog.records) > 3
    for trace in (real, "4111 1111", "4111-1111", "987"):
        assert trace not in repr(visits.records())
    assert real not in logged.replace(" ", "").replace("-", "")


def test_no_whole_card_number_is_ever_stored(person: Person, sub: str) -> None:
    person.open(email_link("payment", sub))
    for number in (GOOD, DECLINES_LATER, DECLINED):
        person.submit(path(sub), number=number, **REST)
    stored = repr(visits.records())
    assert "42424242" not in stored.replace(" ", "")
    assert "40000000" not in stored.replace(" ", "")


def test_what_is_overdue_is_collected_first_and_it_is_active_again(person: Person, overdue: str) -> None:
    assert "Collected first" in person.open(email_link("payment", overdue))
    done = person.press("Save card and pay $300.00", number=GOOD, **REST)
    assert "the payment went through" in done
    row = people.row(overdue)
    assert (row.status, card_of(overdue).reference) == ("active", "sandbox_ok")
    assert charges() == [("sandbox_ok", 30_000)]
    with transaction():
        debt = session().scalars(select(Transaction)).one()
    assert (debt.status, debt.next_attempt_at) == ("completed", None)
    assert [payment["status"] for payment in debt.payments] == ["error", "captured"]
    assert people.mails_of(overdue)[-2:] == ["renewed", "payment_method_changed"]


@pytest.mark.parametrize("number", [DECLINED, DECLINES_LATER])
def test_a_card_that_cannot_pay_what_is_overdue_is_not_stored(person: Person, overdue: str, number: str) -> None:
    person.open(email_link("payment", overdue))
    shown = person.press("Save card and pay $300.00", number=number, **REST)
    assert (shown.status, "Your bank declined this card" in shown) == (422, True)
    assert people.row(overdue).status == "past_due"
    assert len(cards()) == 1
    assert charges() == []
    with transaction():
        [debt] = debts.of(overdue)
    assert (debt.status, debt.failed_attempts) == ("past_due", 1)
    assert debt.lease_until is None
    assert debt.next_attempt_at is not None


def test_a_scheduled_end_stays_when_the_debt_is_paid(person: Person, overdue: str) -> None:
    person.open(email_link("portal", customer_id=visits.owner(overdue)))
    visits.post(person, f"/portal/subscriptions/{overdue}/cancel")
    end = people.row(overdue).scheduled_effective_at
    visits.post(person, path(overdue), number=GOOD, **REST)
    row = people.row(overdue)
    assert (row.status, row.scheduled_action, row.scheduled_effective_at) == ("active", "cancel", end)


def test_pressed_twice_the_debt_is_paid_once_and_one_card_is_stored(person: Person, overdue: str) -> None:
    person.open(email_link("payment", overdue))
    for _ in range(2):
        assert visits.post(person, path(overdue), number=GOOD, **REST).status == 303
    assert charges() == [("sandbox_ok", 30_000)]
    assert [card.reference for card in cards()] == ["sandbox_declines", "sandbox_ok"]
    assert people.mails_of(overdue).count("payment_method_changed") == 1


def test_somebody_elses_subscription_and_an_unknown_one_are_alike(person: Person, sub: str) -> None:
    theirs = visits.subscribed(people.customer("Daniel Okoro"))
    for link in (email_link("payment", sub), email_link("portal", customer_id=visits.owner(sub))):
        person.open(link)
        for ask in (get, lambda who, where: visits.post(who, where, number=GOOD, **REST)):
            answers = [ask(person, path(each)) for each in (theirs, f"sub_{UNKNOWN}")]
            assert [page.status for page in answers] == [404, 404]
            assert alike(answers[0]) == alike(answers[1])
    assert len(cards()) == 2


def test_signed_out_or_by_a_cancel_link_no_card_is_stored(person: Person, sub: str) -> None:
    assert visits.post(person, path(sub), number=GOOD, **REST).headers["Location"].startswith("/portal/sign-in")
    person.open(email_link("cancel", sub))
    assert visits.post(person, path(sub), number=GOOD, **REST).status == 403
    assert len(cards()) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"collection_mode": "manual", "card": None}, "You get an invoice"),
        (visits.CANCELED, "It ended on"),
    ],
)
def test_where_no_card_is_charged_the_subscriptions_own_page_opens_and_no_card_is_taken(
    person: Person, app: Any, fields: dict[str, Any], words: str
) -> None:
    sub = visits.subscribed(**fields)
    page = person.open(email_link("payment", sub))
    assert page.path == f"/portal/subscriptions/{sub}"
    assert words in page
    before = visits.records()
    assert visits.post(person, path(sub), number=GOOD, **REST).status == 400
    assert visits.records() == before
