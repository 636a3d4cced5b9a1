"""A card whose bank asks for a confirmation: a second page, yes or no, once."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain.payment_methods import PaymentMethod
from portal.gateways.sandbox import SandboxSetup
from tests import people
from tests.customer import visits
from tests.customer.visits import UNKNOWN, email_link, get
from tests.person import Person

CARD = {"number": "4000 0025 0000 3155", "expiry": "07/31", "cvc": "123"}
YES, NO = "Confirm this card", "Don’t use this card"


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def path(sub: str) -> str:
    return f"/portal/subscriptions/{sub}/update-payment-method/confirm"


def setups() -> list[SandboxSetup]:
    with transaction():
        return list(session().scalars(select(SandboxSetup).order_by(SandboxSetup.id)))


def last_fours() -> list[str]:
    with transaction():
        return list(session().scalars(select(PaymentMethod.last4).order_by(PaymentMethod.id)))


def asked(person: Person, sub: str) -> str:
    """Enters the card; gives the reference that waits for a confirmation."""
    person.open(email_link("payment", sub))
    shown = person.press("Save card", **CARD)
    assert (shown.status, "Nothing is saved or charged before you confirm" in shown) == (200, True)
    return setups()[-1].id


def test_before_the_confirmation_nothing_is_stored_or_told(person: Person, sub: str) -> None:
    asked(person, sub)
    assert last_fours() == ["4242"]
    assert visits.said(sub) == ([], [])
    assert "Visa ending in 3155, expires 07/2031" in person.page
    assert "4000002500003155" not in repr(visits.records())


def test_yes_stores_the_card(person: Person, sub: str) -> None:
    asked(person, sub)
    assert "Your card is saved" in person.press(YES)
    assert last_fours() == ["4242", "3155"]
    assert visits.said(sub) == (["subscription.updated"], ["payment_method_changed"])
    assert setups()[0].status == "confirmed"


def test_no_stores_nothing_and_the_form_is_shown_again(person: Person, sub: str) -> None:
    reference = asked(person, sub)
    shown = person.press(NO)
    assert (shown.status, "The card was not confirmed, so it was not saved" in shown) == (422, True)
    assert last_fours() == ["4242"]
    assert visits.said(sub) == ([], [])
    late = visits.post(person, path(sub), reference=reference, agreed="yes")
    assert (late.status, last_fours()) == (422, ["4242"])


def test_yes_twice_stores_one_card(person: Person, sub: str) -> None:
    reference = asked(person, sub)
    first = visits.post(person, path(sub), reference=reference, agreed="yes")
    second = visits.post(person, path(sub), reference=reference, agreed="yes")
    assert (first.status, second.status) == (303, 422)
    assert last_fours() == ["4242", "3155"]
    assert people.mails_of(sub) == ["payment_method_changed"]


@pytest.mark.parametrize("agreed", ["", "no", "true", "YES", "on", None])
def test_anything_but_yes_is_no(person: Person, sub: str, agreed: str | None) -> None:
    reference = asked(person, sub)
    said = {} if agreed is None else {"agreed": agreed}
    assert visits.post(person, path(sub), reference=reference, **said).status == 422
    assert last_fours() == ["4242"]


def test_a_get_confirms_nothing(person: Person, sub: str) -> None:
    reference = asked(person, sub)
    assert get(person, f"{path(sub)}?reference={reference}&agreed=yes").status == 200
    assert (setups()[0].status, last_fours()) == ("waiting", ["4242"])


def test_another_customers_confirmation_is_like_one_that_never_was(
    person: Person, someone_else: Person, sub: str
) -> None:
    reference = asked(person, sub)
    daniels = visits.subscribed(people.customer("Daniel Okoro"))
    someone_else.open(email_link("payment", daniels))
    for tried in (reference, f"set_{UNKNOWN}", "", "' OR 1=1 --", "set_" + "x" * 5000):
        shown = get(someone_else, f"{path(daniels)}?reference={tried}")
        sent = visits.post(someone_else, path(daniels), reference=tried, agreed="yes")
        assert (shown.status, sent.status) == (422, 422), tried
        assert "This confirmation is no longer open" in shown
        assert "This confirmation is no longer open" in sent
    assert [card for card in last_fours() if card == "3155"] == []
    assert setups()[0].status == "waiting"
    assert "Your card is saved" in person.press(YES)


def test_somebody_elses_subscription_is_not_found(person: Person, sub: str) -> None:
    reference = asked(person, sub)
    daniels = visits.subscribed(people.customer("Daniel Okoro"))
    for target in (daniels, f"sub_{UNKNOWN}"):
        assert get(person, f"{path(target)}?reference={reference}").status == 404
        assert visits.post(person, path(target), reference=reference, agreed="yes").status == 404
    assert setups()[0].status == "waiting"


def test_signed_out_or_by_a_cancel_link_nothing_is_confirmed(person: Person, someone_else: Person, sub: str) -> None:
    reference = asked(person, sub)
    assert visits.post(someone_else, path(sub), reference=reference, agreed="yes").status == 303
    someone_else.open(email_link("cancel", sub))
    assert visits.post(someone_else, path(sub), reference=reference, agreed="yes").status == 403
    assert (setups()[0].status, last_fours()) == ("waiting", ["4242"])
