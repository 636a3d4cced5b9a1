"""What a checkout link does not give: the seller's choices, other people's accounts, and who is a customer (T22)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock, tokens
from portal.db import transaction
from portal.domain import browser_sessions
from portal.domain.customers import Address, Customer
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from tests import people
from tests.conftest import Clock
from tests.customer import visits
from tests.customer.test_checkout import CARD, SOMEBODY, every, link, order, row
from tests.person import Page, Person

KNOWN, ARCHIVED, UNKNOWN = "amelia@example.com", "gone@example.com", "nobody@example.com"
BY_INVOICE = {
    "payment_terms": {"interval": "day", "frequency": 14},
    "enable_checkout": False,
    "purchase_order_number": None,
    "additional_information": None,
}


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email=KNOWN)


def who(person: Person, txn: str, **fields: str) -> Page:
    return visits.post(person, f"/portal/checkout/{txn}/who", **SOMEBODY | fields)


def test_where_the_seller_has_said_who_buys_the_link_does_not_change_it(person: Person, amelia: str) -> None:
    txn = order(amelia)
    before = (row(txn).customer_id, row(txn).address_id)
    person.open(link(txn))
    assert who(person, txn, country="FR", postal_code="75001").status == 303
    assert (row(txn).customer_id, row(txn).address_id) == before
    assert len(every(Address)) == 1


def test_nor_does_the_customer_change_what_is_to_be_paid_by_invoice(person: Person, amelia: str) -> None:
    txn = order(amelia, collection_mode="manual", billing_details=BY_INVOICE)
    without = order(amelia, address_id=None, collection_mode="manual", billing_details=BY_INVOICE)
    visits.come_in(person, amelia)
    before = visits.records()
    for each in (txn, without):
        assert who(person, each, country="FR", postal_code="75001").status == 303
    assert visits.records() == before


def test_the_checkout_tells_nobody_whose_address_is_known(app: Flask, amelia: str) -> None:
    """Each page, redirect and cookie on the way to the end is the same, and so is the mail that is queued."""
    people.customer("Gone Away", email=ARCHIVED, status="archived", locale="de")
    seen = {}
    for email in (KNOWN, ARCHIVED, UNKNOWN):
        person, txn = Person(app), order()
        person.open(link(txn))
        steps = [who(person, txn, email=email)]
        steps += [person.open(f"/portal/checkout/{txn}"), person.open(f"/portal/checkout/{txn}/who")]
        steps += [person.submit(f"/portal/checkout/{txn}", **CARD | {"number": "4000 0000 0000 0002"})]
        steps += [person.submit(f"/portal/checkout/{txn}", **CARD), person.open(f"/portal/checkout/{txn}")]
        seen[email] = [
            (status, re.sub(r"2026-0+\d", "INVOICE", html.replace(email, "EMAIL")))
            for status, html in map(visits.alike, steps)
        ]
        cookies = [each.partition("=")[0] for each in steps[0].headers.getlist("Set-Cookie")]
        assert cookies == ["form"], "that of every form; buying signs nobody in"
        assert person.open("/portal").path == "/portal/sign-in"
    for known, archived, unknown in zip(*seen.values(), strict=True):
        assert known == unknown
        assert archived == unknown
    assert [(each.kind, each.to_address) for each in every(Mail)] == [
        ("subscribed", email) for email in (KNOWN, ARCHIVED, UNKNOWN)
    ]


def test_that_a_customer_took_their_links_back_does_not_show_either(
    person: Person, amelia: str, the_clock: Clock
) -> None:
    txn = order()
    person.open(link(txn))
    the_clock.advance(hours=1)
    with transaction():
        browser_sessions.end_all_of(amelia)
    the_clock.advance(hours=1)
    shown = []
    for email in (UNKNOWN, KNOWN):
        who(person, txn, email=email)
        shown.append(visits.alike(person.open(f"/portal/checkout/{txn}")))
    assert shown[0][0] == shown[1][0] == 200
    assert shown[0][1].replace(UNKNOWN, KNOWN) == shown[1][1]


def test_whoever_buys_for_anothers_address_gets_and_changes_nothing_of_theirs(
    app: Flask, person: Person, amelia: str
) -> None:
    sub = visits.subscribed(amelia)
    before, name = people.row(sub), "Amelia Harper"
    txn = order()
    person.open(link(txn))
    who(person, txn, email=KNOWN)
    page = person.submit(f"/portal/checkout/{txn}", **CARD | {"expiry": "11/30"})
    assert "Thank you" in page
    for secret in (name, sub, amelia, before.payment_method_id or "", "07/2029"):
        assert secret not in page.html
    after = people.row(sub)
    assert (after.payment_method_id, after.status, after.updated_at) == (
        before.payment_method_id,
        before.status,
        before.updated_at,
    )
    for path in (f"/portal/subscriptions/{sub}", f"/portal/payments/{txn}/invoice.pdf", "/portal/payments"):
        assert person.open(path).path == "/portal/sign-in"
    visits.come_in(owner := Person(app), amelia)
    bought = next(each for each in every(Subscription) if each.id != sub)
    assert owner.open(f"/portal/subscriptions/{bought.id}/cancel").status == 200, "she can end it"


def test_somebody_signed_in_who_follows_anothers_link_stays_who_they_are(
    person: Person, app: Flask, amelia: str
) -> None:
    daniel = people.customer("Daniel Okoro", email="daniel@example.com")
    theirs = visits.subscribed(daniel)
    visits.come_in(person, daniel)
    cookie, txn = visits.cookie_of(person), order(amelia)
    page = person.open(link(txn))
    assert "Your card" not in page.words, "his card on file is not offered for what she buys"
    visits.post(person, f"/portal/checkout/{txn}/card-on-file")
    assert row(txn).status == "ready"
    assert "Thank you" in person.submit(f"/portal/checkout/{txn}", **CARD)
    assert visits.cookie_of(person) == cookie
    assert person.open(f"/portal/payments/{txn}/invoice.pdf").status == 404
    assert {each.customer_id for each in every(PaymentMethod) if each.origin == "saved_during_purchase"} == {amelia}
    by = {each.actor_id for each in every(Event) if each.type == "transaction.completed"}
    assert by == {amelia}
    assert people.row(theirs).payment_method_id is not None


def test_one_link_names_only_so_many_buyers_an_hour(person: Person, app: Flask, the_clock: Clock) -> None:
    txn = order()
    person.open(link(txn))
    answers: list[Any] = [who(person, txn, email=f"made.up.{number}@example.com") for number in range(40)]
    assert [each.status for each in answers] == [303] * 30 + [429] * 10
    assert answers[-1].headers["Retry-After"] == "120"
    assert len(every(Customer)) == 30
    assert "Thank you" in person.submit(f"/portal/checkout/{txn}", **CARD), "who is named may still pay"
    person.open(link(other := order()))
    assert who(person, other).status == 303


def test_each_kind_of_token_opens_its_own_page_and_no_other(app: Flask, amelia: str) -> None:
    """T2, with what the checkout and invoices brought: as a link, and as the cookie of a visit."""
    sub, txn, other = visits.subscribed(amelia), order(amelia), order(amelia)
    Person(app).open(link(txn))
    expires_at = clock.now() + timedelta(days=1)
    origins = {"portal-session": txn, "customer": amelia, "sign-in": txn} | dict.fromkeys(
        (tokens.CHECKOUT, tokens.CHECKOUT_VISIT, tokens.INVOICE), txn
    )
    paths = [f"/portal/checkout/{each}{page}" for each in (txn, other) for page in ("", "/who", "/confirm")]
    paths += [f"/portal/invoices/{each}.pdf" for each in (txn, other)]
    paths += ["/portal", "/portal/payments", f"/portal/payments/{txn}/invoice.pdf", f"/portal/subscriptions/{sub}"]
    paths += [f"/portal/subscriptions/{sub}/{page}" for page in ("cancel", "update-payment-method")]
    right = {(tokens.CHECKOUT, f"/portal/checkout/{txn}"), (tokens.DIRECT, "/portal")}
    opened, visited = set(), set()
    for purpose, origin in origins.items():
        page = "portal" if purpose in (tokens.DIRECT, tokens.PORTAL_SESSION) else "checkout"
        token = tokens.issue(purpose, origin, page=page, expires_at=expires_at)
        for path in paths:
            if app.test_client().get(path, query_string={"token": token}).status_code not in (403, 404):
                opened.add((purpose, path))
            client = app.test_client()
            for name in ("checkout", "portal"):
                client.set_cookie(name, token, path="/")
            if client.get(path).status_code == 200:
                visited.add((purpose, path))
    assert opened == right
    assert visited == {(tokens.CHECKOUT_VISIT, f"/portal/checkout/{txn}")}


def test_what_one_typed_another_with_the_link_neither_sees_nor_pays_for(
    app: Flask, person: Person, someone_else: Person, the_clock: Clock
) -> None:
    """Else a link sent on would put the card of who pays into the account of who sent it."""
    txn = order()
    person.open(link(txn))
    person.press("Continue to payment", **SOMEBODY)
    page = someone_else.open(link(txn))
    assert "jo@example.com" not in page.html
    assert "Card number" not in page
    someone_else.submit(f"/portal/checkout/{txn}", **CARD)
    assert (every(Subscription), every(PaymentMethod), row(txn).status) == ([], [], "ready")
    the_clock.advance(seconds=1)
    someone_else.open(link(txn))
    assert "sam@example.com" in someone_else.press("Continue to payment", **SOMEBODY | {"email": "sam@example.com"})
    assert "Thank you" in someone_else.press("Pay $30.00", **CARD)
    (owner,) = [each for each in every(Customer) if each.id == row(txn).customer_id]
    assert owner.email == "sam@example.com"
    assert "sam@example.com" not in person.open(link(txn)).html
