"""The checkout: seeing what is bought, saying who buys it, paying, and what begins with that."""

import re
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, links, tokens
from portal.db import session, transaction
from portal.domain import orders, periods, transactions
from portal.domain.actors import Actor, system
from portal.domain.catalog import Price
from portal.domain.customers import Address, Customer, email_key
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import SandboxCharge
from tests import people
from tests.api.test_transactions import address, change
from tests.conftest import NOW
from tests.customer import visits
from tests.person import Person

CARD = {"number": "4242 4242 4242 4242", "expiry": "07/29", "cvc": "123"}
DECLINED = CARD | {"number": "4000 0000 0000 0341"}
ASKS = CARD | {"number": "4000 0025 0000 3155"}
SOMEBODY = {"email": "jo@example.com", "country": "US", "postal_code": "10021"}


def order(customer_id: str | None = None, *prices: str, quantity: int = 1, **more: Any) -> str:
    """A transaction to pay; its id."""
    if customer_id is not None:
        more = {"customer_id": customer_id, "address_id": address(customer_id)} | more
    items = [(each, quantity) for each in prices or [people.price()]]
    with transaction():
        return orders.create(items, by=system(), **more).id


def link(txn: str, **lifetime: float) -> str:
    return links.checkout_url(txn, expires_at=clock.now() + timedelta(**(lifetime or {"days": 30})))


def row(txn: str) -> Transaction:
    with transaction():
        return session().get_one(Transaction, txn)


def every(mapped: Any) -> list[Any]:
    with transaction():
        return list(session().scalars(select(mapped)))


def told() -> list[str]:
    """The types of all events since the order was made, in their order."""
    with transaction():
        found = session().scalars(select(Event.type).order_by(Event.id))
        return [each for each in found if each not in ("transaction.created", "transaction.ready")]


def trial(price_id: str, days: int = 14) -> str:
    change(price_id, Price, trial_interval="day", trial_frequency=days)
    return price_id


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email="amelia@example.com")


def test_it_shows_what_is_bought_before_anything_is_paid(person: Person, amelia: str) -> None:
    txn = order(amelia, quantity=10)
    page = person.open(link(txn))
    for words in (
        "10 × AeroEdit Pro",
        "$300.00 per month",
        "Due today $300.00",
        "$300.00 on 21 December 2026",
        "Sold by AeroEdit",
        "amelia@example.com",
        "It renews by itself",
        "You can cancel online at any time",
    ):
        assert words in page, words
    assert [each["text"] for each in page.forms[-1].buttons] == ["Pay $300.00"]
    assert row(txn).status == "ready"


def test_the_token_leaves_the_address_and_the_cookie_opens_this_checkout_only(person: Person, amelia: str) -> None:
    txn, other = order(amelia), order(amelia)
    answer = visits.get(person, link(txn))
    assert (answer.status, answer.headers["Location"]) == (303, f"/portal/checkout/{txn}")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert f"Path=/portal/checkout/{txn}" in cookie
    assert person.open(f"/portal/checkout/{txn}").status == 200
    value = re.match(r"checkout=([^;]+)", cookie)
    assert value
    for path in (f"/portal/checkout/{other}", "/portal", f"/portal/payments/{txn}/invoice.pdf"):
        person.client.set_cookie("checkout", value[1], path="/")
        person.client.set_cookie("portal", value[1], path="/")
        assert "Due today" not in person.open(path), path


def test_over_https_the_cookie_is_secure(app: Flask, amelia: str, configure: Any) -> None:
    configure(base_url="https://account.aeroedit.example")
    answer = app.test_client().get(urlsplit(link(order(amelia)))._replace(scheme="", netloc="").geturl())
    assert answer.headers["Set-Cookie"].startswith("__Secure-checkout=")
    assert "; Secure;" in answer.headers["Set-Cookie"]


def test_paying_begins_the_subscription(person: Person, amelia: str) -> None:
    txn = order(amelia, quantity=10, custom_data={"crm": 7})
    person.open(link(txn))
    page = person.press("Pay $300.00", **CARD)
    assert page.path == f"/portal/checkout/{txn}"
    assert "Thank you" in page
    assert "AeroEdit Pro is yours" in page
    assert "21 December 2026" in page
    paid = row(txn)
    assert (paid.status, paid.invoice_number, paid.billed_at, paid.paid_at) == ("completed", "2026-000001", NOW, NOW)
    (begun,) = every(Subscription)
    ends = periods.nth(NOW, "month", 1, 1)
    assert paid.subscription_id == begun.id
    assert (paid.period_starts_at, paid.period_ends_at) == (NOW, ends)
    assert (begun.status, begun.customer_id, begun.anchor_at, begun.next_billed_at) == ("active", amelia, NOW, ends)
    assert (begun.period_starts_at, begun.period_ends_at, begun.first_billed_at) == (NOW, ends, NOW)
    assert (begun.remind_at, begun.custom_data) == (ends - timedelta(days=3), {"crm": 7})
    (card,) = every(PaymentMethod)
    assert (begun.payment_method_id, card.origin, card.last4) == (card.id, "saved_during_purchase", "4242")
    assert [(each.amount, each.currency) for each in every(SandboxCharge)] == [(30000, "USD")]
    assert told() == [
        "payment_method.saved",
        "transaction.updated",
        "transaction.paid",
        "subscription.created",
        "subscription.activated",
        "transaction.updated",
        "transaction.completed",
    ]
    (mail,) = every(Mail)
    assert (mail.kind, mail.to_address, mail.facts["paid"]) == ("subscribed", "amelia@example.com", 30000)


def test_the_payment_names_the_card(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    person.press("Pay $30.00", **CARD)
    (payment,) = row(txn).payments
    (card,) = every(PaymentMethod)
    assert (payment["status"], payment["stored_payment_method_id"]) == ("captured", card.id)
    assert payment["method_details"]["card"]["last4"] == "4242"
    assert row(txn).attempt_card is None


def test_paid_already_it_says_thank_you_and_charges_nothing(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    person.press("Pay $30.00", **CARD)
    for path in (f"/portal/checkout/{txn}", f"/portal/checkout/{txn}/card-on-file", f"/portal/checkout/{txn}/who"):
        assert "Thank you" in person.submit(path, **CARD, **SOMEBODY)
    assert "Thank you" in person.open(link(txn))
    assert person.page
    assert person.page.links["Go to your account"] == "/portal"
    assert (len(every(SandboxCharge)), len(every(Subscription)), len(every(Mail))) == (1, 1, 1)


def test_a_trial_asks_for_a_card_and_charges_nothing(person: Person, amelia: str) -> None:
    txn = order(amelia, trial(people.price()))
    page = person.open(link(txn))
    assert "Free trial until 5 December 2026" in page
    assert "Due today $0.00" in page
    assert "First payment $30.00 on 5 December 2026" in page
    assert "If you cancel before then, nothing is charged." in page
    page = person.press("Start the trial", **CARD)
    assert "Your trial of AeroEdit Pro has begun" in page
    (begun,) = every(Subscription)
    ends = NOW + timedelta(days=14)
    assert (begun.status, begun.anchor_at, begun.next_billed_at, begun.first_billed_at) == (
        "trialing",
        ends,
        ends,
        None,
    )
    assert begun.payment_method_id
    assert every(SandboxCharge) == []
    assert told()[3:5] == ["subscription.created", "subscription.trialing"]
    assert every(Mail)[0].facts["trial_ends_at"]
    assert row(txn).status == "completed"


def test_what_is_bought_once_begins_nothing_and_its_invoice_can_be_had(person: Person, amelia: str) -> None:
    once = people.price()
    change(once, Price, billing_interval=None, billing_frequency=None)
    txn = order(amelia, once)
    page = person.open(link(txn))
    assert "$30.00 once" in page
    assert "You pay once. Nothing renews." in page
    assert "Thank you" in person.press("Pay $30.00", **CARD)
    assert (every(Subscription), every(PaymentMethod)) == ([], [])
    assert [each.kind for each in every(Mail)] == ["purchased"]
    visits.come_in(person, amelia)
    page = person.open("/portal/payments")
    assert "AeroEdit Pro" in page
    answer = person.client.get(page.links["Invoice 2026-000001"])
    assert answer.data.startswith(b"%PDF")
    assert person.open("/portal").status == 200


def test_an_addon_bought_once_is_charged_but_does_not_renew(person: Person, amelia: str) -> None:
    once = people.price(amount=19900, product="Set-up")
    change(once, Price, billing_interval=None, billing_frequency=None)
    txn = order(amelia, people.price(), once)
    assert "$30.00 on 21 December 2026" in person.open(link(txn))
    person.press("Pay $229.00", **CARD)
    (begun,) = every(Subscription)
    visits.come_in(person, amelia)
    page = person.open(f"/portal/subscriptions/{begun.id}")
    assert "$30.00 per month" in page
    assert "Set-up" in page.words.partition("Payments and invoices")[2]
    assert "Subscribed" in page


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("4000 0000 0000 0002", "Your bank declined this card"),
        ("4000 0000 0000 0341", "Your bank declined this card"),
        ("4000 0000 0000 9995", "There is not enough money on this card"),
        ("4111", "This is not one of the test cards"),
    ],
)
def test_a_refused_card_begins_nothing_and_says_what_to_do(
    person: Person, amelia: str, number: str, words: str
) -> None:
    txn = order(amelia)
    person.open(link(txn))
    page = person.press("Pay $30.00", **CARD | {"number": number})
    assert page.status == 422
    assert words in page
    assert (row(txn).status, every(Subscription), every(PaymentMethod), every(Mail)) == ("ready", [], [], [])
    assert "Thank you" in person.press("Pay $30.00", **CARD)


def test_what_the_gateway_declined_is_told_to_apps(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    person.press("Pay $30.00", **DECLINED)
    assert told() == ["transaction.updated", "transaction.payment_failed"]
    (payment,) = row(txn).payments
    assert (payment["status"], payment["error_code"]) == ("error", "declined")


def test_a_card_that_the_bank_asks_about(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    page = person.press("Pay $30.00", **ASKS)
    assert page.path == f"/portal/checkout/{txn}/confirm"
    assert every(Subscription) == []
    assert "The card was not confirmed" in person.press("Don’t use this card")
    person.press("Pay $30.00", **ASKS)
    assert "Thank you" in person.press("Confirm and pay $30.00")
    assert len(every(SandboxCharge)) == 1


def test_a_confirmation_works_for_its_own_checkout_only(person: Person, amelia: str) -> None:
    mine, other = order(amelia), order(people.customer())
    person.open(link(mine))
    person.press("Pay $30.00", **ASKS)
    assert person.page
    reference = person.page.response.request.query_string.decode().partition("=")[2]
    person.open(link(other))
    page = person.submit(f"/portal/checkout/{other}/confirm?reference={reference}", agreed="yes")
    assert "no longer open" in page
    assert row(other).status == "ready"


def test_a_draft_asks_who_buys_and_then_for_the_card(person: Person, app: Flask) -> None:
    txn = order()
    page = person.open(link(txn))
    assert "Card number" not in page
    page = person.press("Continue to payment", **SOMEBODY)
    assert "jo@example.com" in page
    assert "Thank you" in person.press("Pay $30.00", **CARD)
    (customer,) = every(Customer)
    (place,) = every(Address)
    assert (customer.email, customer.name, customer.locale) == ("jo@example.com", None, "en")
    assert (place.country_code, place.postal_code) == ("US", "10021")
    assert told()[:3] == ["customer.created", "address.created", "transaction.updated"]


def test_what_was_mistyped_can_be_corrected_until_it_is_paid(person: Person, app: Flask) -> None:
    txn = order()
    person.open(link(txn))
    person.press("Continue to payment", **SOMEBODY | {"email": "jo@exampel.com"})
    assert person.page
    page = person.open(person.page.links["Change the email address or country"])
    assert page.forms[-1].fields["email"] == "jo@exampel.com"
    assert "jo@example.com" in person.press("Continue to payment", **SOMEBODY)
    person.press("Pay $30.00", **CARD)
    assert [each.to_address for each in every(Mail)] == ["jo@example.com"]


def test_whom_the_seller_named_nobody_renames(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    person.submit(f"/portal/checkout/{txn}/who", **SOMEBODY)
    assert row(txn).customer_id == amelia
    with transaction():
        session().get_one(Transaction, txn).address_id = None
        session().get_one(Transaction, txn).status = "draft"
    page = person.open(link(txn))
    assert "email" not in page.forms[-1].fields
    assert "Pay $30.00" in person.press("Continue to payment", country="DE", postal_code="10115", email="x@y.example")
    assert row(txn).customer_id == amelia


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"email": "nobody"}, "Enter an email address"),
        ({"email": ""}, "Enter an email address"),
        ({"email": "jo@" + "ab." * 83 + "co.example"}, "Enter an email address"),
        ({"country": "XX"}, "Choose your country"),
        ({"country": ""}, "Choose your country"),
        ({"postal_code": " "}, "in this country it is needed"),
    ],
)
def test_what_can_not_be_right_is_asked_again(person: Person, app: Flask, said: Any, words: str) -> None:
    txn = order()
    person.open(link(txn))
    page = person.press("Continue to payment", **SOMEBODY | said)
    assert page.status == 400
    assert words in page
    assert (row(txn).customer_id, every(Customer)) == (None, [])


def test_a_known_address_shows_nothing_that_an_unknown_one_does_not(app: Flask) -> None:
    people.customer("Amelia Harper", email="Amelia@Example.com", locale="de")
    archived = people.customer("Old Friend", email="old@example.com", status="archived")
    pages = []
    for email in ("AMELIA@example.com", "unknown@example.com", "old@example.com"):
        person, txn = Person(app), order()
        person.open(link(txn))
        page = person.press("Continue to payment", **SOMEBODY | {"email": email})
        done = person.press("Pay $30.00", **CARD)
        shown = [visits.alike(each)[1].lower().replace(email_key(email), "EMAIL") for each in (page, done)]
        pages.append([re.sub(r"2026-00000\d", "NUMBER", each) for each in shown])
    assert pages[0] == pages[1] == pages[2]
    assert "amelia harper" not in pages[0][0]
    with transaction():
        assert session().get_one(Customer, archived).status == "active", "who pays can sign in and cancel"


def test_the_customer_who_is_signed_in_pays_with_the_card_on_file(person: Person, someone_else: Person) -> None:
    sub = visits.subscribed()
    txn = order(visits.owner(sub))
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/checkout/{txn}")
    assert "Your card: Visa ending in 4242" in page
    assert "Visa" not in someone_else.open(link(txn)), "the link alone shows no card"
    someone_else.submit(f"/portal/checkout/{txn}/card-on-file")
    assert row(txn).status == "ready"
    assert "Thank you" in person.press("Pay $30.00")
    assert row(txn).payments[0]["stored_payment_method_id"] == people.row(sub).payment_method_id
    assert len(every(PaymentMethod)) == 1


def test_somebody_else_who_is_signed_in_sees_nothing(person: Person, amelia: str) -> None:
    txn = order(amelia)
    visits.come_in(person, people.customer())
    assert person.open(f"/portal/checkout/{txn}").status == 404


def test_links_that_are_no_links(person: Person, amelia: str) -> None:
    txn, other = order(amelia), order(amelia)
    good = link(txn)
    for path in (f"/portal/checkout/{txn}", f"/portal/checkout/txn_{visits.UNKNOWN}"):
        assert person.open(path).status == 404
    for url in (
        good.replace(txn, other),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        f"/portal/checkout/{txn}?token=pga_x",
        f"/portal/checkout/{txn}?token=" + visits.email_link("portal", customer_id=amelia).partition("token=")[2],
    ):
        page = person.open(url)
        assert (page.status, "This link does not work" in page) == (403, True), url
        assert "AeroEdit Pro" not in page


def test_a_checkout_link_opens_no_other_page(person: Person) -> None:
    sub = visits.subscribed()
    token = link(order(visits.owner(sub))).partition("token=")[2]
    for path in ("/portal", f"/portal/subscriptions/{sub}", f"/portal/subscriptions/{sub}/cancel"):
        assert person.open(f"{path}?token={token}").status == 403


def test_an_expired_link_says_where_to_turn(person: Person, amelia: str, the_clock: Any) -> None:
    txn = order(amelia)
    old = link(txn, hours=1)
    the_clock.advance(hours=2)
    page = person.open(old)
    assert page.status == 410
    assert "This link has expired" in page
    assert page.links["Contact AeroEdit"] == "mailto:help@aeroedit.example"
    person.open(link(txn))
    the_clock.advance(hours=25)
    assert person.submit(f"/portal/checkout/{txn}", **CARD).status == 410
    assert row(txn).status == "ready"


def test_signing_a_customer_out_everywhere_takes_the_links_back(person: Person, amelia: str, the_clock: Any) -> None:
    url = link(order(amelia))
    the_clock.advance(minutes=1)
    change(amelia, Customer, links_valid_from=clock.now())
    assert person.open(url).status == 410


def test_what_was_called_off_is_closed(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    with transaction():
        orders.call_off(txn, by=system())
    page = person.press("Pay $30.00", **CARD)
    assert (page.status, "This checkout is closed" in page) == (410, True)
    assert every(SandboxCharge) == []


def test_what_is_paid_by_invoice_asks_for_no_card(person: Person, amelia: str) -> None:
    terms = {"payment_terms": {"interval": "day", "frequency": 14}}
    txn = order(amelia, collection_mode="manual", billing_details=terms)
    page = person.open(link(txn))
    assert "This is paid by invoice" in page
    assert "Card number" not in page
    person.submit(f"/portal/checkout/{txn}", **CARD)
    assert (row(txn).status, every(SandboxCharge)) == ("ready", [])


def test_a_form_from_elsewhere_pays_nothing(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    assert person.submit(f"/portal/checkout/{txn}", token="", **CARD).status == 403
    assert every(SandboxCharge) == []


def test_opening_it_changes_nothing(person: Person, amelia: str) -> None:
    txn = order(amelia)
    before = visits.records()
    for path in (
        link(txn),
        f"/portal/checkout/{txn}",
        f"/portal/checkout/{txn}/who",
        f"/portal/checkout/{txn}/confirm",
    ):
        person.open(path)
        person.client.head(urlsplit(path).path)
    assert visits.records() == before


def test_the_same_debt_in_two_tabs(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    with transaction():
        attempt = transactions.claim(txn, None)
    assert attempt
    page = person.press("Pay $30.00", **CARD)
    assert (page.status, "Nothing is charged twice" in page) == (409, True)
    assert every(SandboxCharge) == []


def test_trying_out_cards_is_slowed_down(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    statuses = [person.submit(f"/portal/checkout/{txn}", **DECLINED).status for _ in range(32)]
    assert statuses[:3] == [422] * 3
    assert statuses[-1] == 429


def test_names_are_text_whatever_they_contain(person: Person, amelia: str) -> None:
    txn = order(amelia, people.price(product="<script>alert(1)</script>"))
    assert "<script>" not in person.open(link(txn)).html


def test_it_speaks_german_with_a_button_the_law_accepts(person: Person, amelia: str) -> None:
    txn = order(amelia)
    page = person.open(link(txn), **{"Accept-Language": "de"})
    assert "Zahlungspflichtig bestellen" in page.forms[-1].buttons[-1]["text"]
    assert "Heute fällig" in page


def test_a_purchase_is_the_customers_own(amelia: str) -> None:
    with transaction():
        made = orders.create([(people.price(), 1)], by=Actor("key", "key", "API"))
    assert tokens.read(link(made.id).partition("token=")[2], tokens.CHECKOUT).origin == made.id


def test_what_is_billed_in_another_way_by_now_is_not_sold_as_it_was(person: Person, amelia: str) -> None:
    price = people.price()
    txn = order(amelia, price)
    person.open(link(txn))
    change(price, Price, billing_interval="year")
    page = person.press("Pay $30.00", **CARD)
    assert (page.status, "sold in another way now" in page) == (410, True)
    assert (row(txn).status, every(SandboxCharge)) == ("ready", [])


def test_fifty_forms_at_once_buy_once(app: Flask, person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    visit = person.client.get_cookie("checkout", path=f"/portal/checkout/{txn}")
    form = person.client.get_cookie("form")
    assert visit
    assert form
    sent = {"csrf_token": person.csrf_token(), **CARD}
    barrier, statuses = threading.Barrier(20), []

    def send() -> None:
        client = app.test_client()
        client.set_cookie("checkout", visit.value)
        client.set_cookie("form", form.value)
        barrier.wait()
        statuses.append(client.post(f"/portal/checkout/{txn}", data=sent).status_code)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(statuses) <= {303, 409}
    assert (len(every(SandboxCharge)), len(every(Subscription)), len(every(Mail))) == (1, 1, 1)
    assert row(txn).status == "completed"
