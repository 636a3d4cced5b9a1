"""Coming back: the same items as a canceled subscription, bought anew."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import ids
from portal.db import session, transaction
from portal.domain.catalog import Price
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.domain.transactions import Transaction
from tests import people
from tests.api import billing
from tests.api.calls import App
from tests.api.test_transactions import address, archive_product_of, change
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.test_checkout import CARD, every, trial
from tests.person import Person

BUTTON = "Subscribe again"
DATED = {"created_at": NOW, "updated_at": NOW}


def ended(customer_id: str | None = None, with_address: bool = True, **fields: Any) -> str:
    """A canceled subscription of ten seats."""
    customer_id = customer_id or people.customer("Amelia Harper")
    place = {"address_id": address(customer_id)} if with_address else {}
    return people.subscription(customer_id, **visits.CANCELED | {"period_ends_at": None} | place | fields)


def price_of(sub: str) -> str:
    with transaction():
        return session().scalars(select(Price.id)).one()


def come(person: Person, sub: str) -> Any:
    visits.come_in(person, visits.owner(sub))
    return person.open(f"/portal/subscriptions/{sub}")


@pytest.fixture
def sub(app: Flask) -> str:
    return ended()


def test_the_same_is_bought_again_with_one_button_and_the_card_on_file(person: Person, sub: str) -> None:
    come(person, sub)
    page = person.press(BUTTON)
    assert page.path.startswith("/portal/checkout/txn_")
    assert "10 × AeroEdit Pro" in page
    assert "amelia" in page.words
    page = person.press("Pay $300.00")
    assert "AeroEdit Pro is yours" in page
    old, new = every(Subscription)
    assert (old.id, old.status) == (sub, "canceled")
    assert (new.status, new.customer_id, new.address_id) == ("active", old.customer_id, old.address_id)
    (bought,) = every(Transaction)
    assert (bought.origin, bought.again_of, bought.subscription_id) == ("web", sub, new.id)
    assert people.mails_of(new.id) == ["subscribed"]
    assert people.events_of(sub) == [], "what has ended stays as it was"


def test_with_a_link_to_this_page_alone_another_card_pays(person: Person, sub: str) -> None:
    person.open(visits.email_link("subscription", sub))
    page = person.press(BUTTON)
    assert "Your card" not in page
    assert "AeroEdit Pro is yours" in person.press("Pay $300.00", **CARD)


def test_pressed_twice_it_leads_to_the_same_checkout(person: Person, sub: str) -> None:
    paths = []
    for _ in range(2):
        come(person, sub)
        paths.append(person.press(BUTTON).path)
    assert paths[0] == paths[1]
    assert len(every(Transaction)) == 1


def test_after_it_was_paid_it_can_be_bought_once_more(person: Person, sub: str) -> None:
    for _ in range(2):
        come(person, sub)
        person.press(BUTTON)
        person.press("Pay $300.00")
    assert len(every(Transaction)) == 2


def test_a_price_that_changed_meanwhile_is_shown_as_it_is_now(person: Person, sub: str) -> None:
    come(person, sub)
    person.press(BUTTON)
    change(price_of(sub), Price, amount=4000)
    come(person, sub)
    assert "Due today $400.00" in person.press(BUTTON)


def test_without_an_address_the_checkout_asks_for_the_country_only(person: Person, app: Flask) -> None:
    sub = ended(with_address=False)
    come(person, sub)
    page = person.press(BUTTON)
    assert "email" not in page.forms[-1].fields
    person.press("Continue to payment", country="DE", postal_code="10115")
    assert "AeroEdit Pro is yours" in person.press("Pay $300.00")


@pytest.mark.parametrize("what", ["price", "product", "quantity"])
def test_what_is_no_longer_sold_is_said_in_words_with_a_way_on(person: Person, sub: str, what: str) -> None:
    if what == "product":
        archive_product_of(price_of(sub))
    else:
        change(price_of(sub), Price, **{"status": "archived"} if what == "price" else {"quantity_maximum": 5})
    come(person, sub)
    page = person.press(BUTTON)
    assert page.status == 409
    assert "AeroEdit Pro is no longer sold like this" in page
    assert page.links["Contact AeroEdit"] == "mailto:help@aeroedit.example"
    assert every(Transaction) == []


def test_what_lives_is_not_bought_again(person: Person) -> None:
    sub = visits.subscribed()
    visits.come_in(person, visits.owner(sub))
    assert BUTTON not in person.open(f"/portal/subscriptions/{sub}")
    page = person.submit(f"/portal/subscriptions/{sub}/subscribe-again")
    assert page.path == f"/portal/subscriptions/{sub}"
    assert every(Transaction) == []


def test_nobody_buys_for_somebody_else(person: Person, someone_else: Person, sub: str) -> None:
    visits.come_in(person, people.customer())
    theirs = person.submit(f"/portal/subscriptions/{sub}/subscribe-again")
    unknown = person.submit(f"/portal/subscriptions/{ids.new('sub')}/subscribe-again")
    assert visits.alike(theirs) == visits.alike(unknown)
    assert theirs.status == 404
    assert someone_else.submit(f"/portal/subscriptions/{sub}/subscribe-again").path == "/portal/sign-in"
    assert every(Transaction) == []


def test_it_takes_the_button(person: Person, sub: str) -> None:
    come(person, sub)
    assert person.open(f"/portal/subscriptions/{sub}/subscribe-again").path == f"/portal/subscriptions/{sub}"
    assert person.submit(f"/portal/subscriptions/{sub}/subscribe-again", token="").status == 403
    assert every(Transaction) == []


def test_over_the_api_the_old_items_do_the_same(app: Flask, person: Person, sub: str) -> None:
    seller = App(app)
    old = seller.get(f"/subscriptions/{sub}").json["data"]
    body = {
        "items": [{"price_id": each["price"]["id"], "quantity": each["quantity"]} for each in old["items"]],
        **{name: old[name] for name in ("customer_id", "address_id", "currency_code")},
    }
    made = seller.post("/transactions", body).json["data"]
    person.open(made["checkout"]["url"])
    assert "Thank you" in person.press("Pay $300.00", **CARD)
    paid = seller.get(f"/transactions/{made['id']}").json["data"]
    assert paid["status"] == "completed"
    begun = seller.get(f"/subscriptions/{paid['subscription_id']}").json["data"]
    assert (begun["status"], begun["items"][0]["quantity"]) == ("active", 10)


# No second trial


@pytest.fixture
def after_trial(app: Flask) -> str:
    """A subscription that was canceled in its trial of 14 days."""
    sub = ended(first_billed_at=None)
    trial(price_of(sub))
    return sub


def test_what_is_bought_again_has_no_trial_and_is_paid_today(person: Person, after_trial: str) -> None:
    come(person, after_trial)
    page = person.press(BUTTON)
    assert "Due today $300.00" in page
    assert "trial" not in page.words.lower()
    assert "Next payment $300.00 on 21 December 2026" in page
    assert "AeroEdit Pro is yours" in person.press("Pay $300.00")
    _, new = every(Subscription)
    assert (new.status, new.first_billed_at, new.next_billed_at) == ("active", NOW, NOW.replace(month=12))
    assert [each.trial_ends_at for each in every(SubscriptionItem) if each.subscription_id == new.id] == [None]
    assert billing.charged() == [30000]


def test_canceled_and_bought_again_and_again_each_one_is_paid(person: Person, after_trial: str) -> None:
    sub = after_trial
    for _ in range(3):
        come(person, sub)
        person.press(BUTTON)
        person.press("Pay $300.00")
        sub = every(Subscription)[-1].id
        change(sub, Subscription, **visits.CANCELED)
    assert billing.charged() == [30000] * 3


def test_pressed_twice_it_is_the_same_order_without_a_trial(person: Person, after_trial: str) -> None:
    for _ in range(2):
        come(person, after_trial)
        person.press(BUTTON)
    (bought,) = every(Transaction)
    assert (bought.amount, bought.lines[0]["price"]["trial_period"]) == (30000, None)


def test_a_trial_that_the_price_gets_while_the_order_is_open_closes_nothing(person: Person, sub: str) -> None:
    come(person, sub)
    person.press(BUTTON)
    trial(price_of(sub))
    assert "AeroEdit Pro is yours" in person.press("Pay $300.00")
    assert every(Subscription)[-1].status == "active"


def test_an_app_that_changes_such_an_order_brings_no_trial_back(person: Person, after_trial: str, app: Flask) -> None:
    come(person, after_trial)
    person.press(BUTTON)
    (bought,) = every(Transaction)
    items = [{"price_id": price_of(after_trial), "quantity": 2}]
    changed = App(app).patch(f"/transactions/{bought.id}", {"items": items}).json["data"]
    assert changed["details"]["totals"]["total"] == "6000"
    assert changed["items"][0]["price"]["trial_period"] is None


def test_prices_with_different_trials_are_bought_again_together(person: Person, after_trial: str) -> None:
    other = trial(people.price(500, product="Analytics"), days=30)
    with transaction():
        session().add(SubscriptionItem(subscription_id=after_trial, position=1, price_id=other, **DATED))
    come(person, after_trial)
    assert "Due today $305.00" in person.press(BUTTON)


def test_an_order_of_an_app_keeps_its_trial_whoever_buys(person: Person, after_trial: str, app: Flask) -> None:
    body = {
        "items": [{"price_id": price_of(after_trial), "quantity": 10}],
        "customer_id": visits.owner(after_trial),
        "address_id": people.row(after_trial).address_id,
    }
    made = App(app).post("/transactions", body).json["data"]
    assert made["details"]["totals"]["total"] == "0"
    person.open(made["checkout"]["url"])
    assert "Your trial of AeroEdit Pro has begun" in person.press("Start the trial", **CARD)


def test_a_payment_plan_that_is_bought_again_has_its_first_payment_today(person: Person, after_trial: str) -> None:
    change(price_of(after_trial), Price, payments=3)
    come(person, after_trial)
    assert "3 payments, $900.00 in all" in person.press(BUTTON)
    person.press("Pay $300.00")
    assert every(Subscription)[-1].remaining_payments == 2
