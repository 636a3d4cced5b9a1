"""What the seller changes while a customer stands before the checkout: nobody pays what they have not seen."""

from typing import Any

import pytest
from flask import Flask

from portal.db import transaction
from portal.domain import orders, purchases, transactions
from portal.domain.actors import system
from portal.domain.catalog import Price
from portal.domain.customers import Customer
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.errors import NotFound
from portal.gateways.sandbox import Sandbox, SandboxCharge
from tests import people
from tests.api.test_transactions import change
from tests.customer import visits
from tests.customer.test_checkout import ASKS, CARD, SOMEBODY, every, link, order, row
from tests.person import Person


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email="amelia@example.com")


def sell(txn: str, *items: tuple[str, int]) -> None:
    with transaction():
        orders.update(transactions.get(txn), {"items": list(items)}, by=system())


@pytest.mark.parametrize("what", ["items", "renewal"])
def test_the_order_is_shown_again_and_the_second_button_pays_it(person: Person, amelia: str, what: str) -> None:
    price, dearer = people.price(), people.price(9000)
    txn = order(amelia, price)
    person.open(link(txn))
    if what == "items":
        sell(txn, (dearer, 1))
    else:
        change(price, Price, amount=9000)
    page = person.press("Pay $30.00", **CARD)
    assert (page.status, "Nothing was charged. Look at it again" in page, "$90.00" in page) == (409, True, True)
    assert (every(SandboxCharge), row(txn).status) == ([], "ready")
    due = "Pay $90.00" if what == "items" else "Pay $30.00"
    assert person.press(due, **CARD).status == 200
    assert [each.amount for each in every(SandboxCharge)] == [9000 if what == "items" else 3000]


def test_on_the_page_of_the_bank_too(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    person.press("Pay $30.00", **ASKS)
    sell(txn, (people.price(9000), 1))
    page = person.press("Confirm and pay $30.00")
    assert (page.status, "Nothing was charged. Look at it again" in page) == (409, True)
    assert every(SandboxCharge) == []


def test_and_with_the_card_on_file(person: Person, amelia: str) -> None:
    visits.subscribed(amelia)
    txn = order(amelia)
    visits.come_in(person, amelia)
    person.open(f"/portal/checkout/{txn}")
    sell(txn, (people.price(9000), 1))
    assert person.press("Pay $30.00").status == 409
    assert every(SandboxCharge) == []


def test_who_buys_is_part_of_it(person: Person, app: Flask) -> None:
    """Another tab says somebody else buys."""
    txn = order()
    person.open(link(txn))
    person.press("Continue to payment", **SOMEBODY)
    shown = person.page
    person.submit(f"/portal/checkout/{txn}/who", **SOMEBODY | {"email": "sam@example.com"})
    person.page = shown
    assert person.press("Pay $30.00", **CARD).status == 409
    assert (every(SandboxCharge), every(Subscription)) == ([], [])


def test_a_card_on_file_pays_for_its_owner_only(amelia: str, database: str) -> None:
    """The buyer is somebody else by the time the card is claimed."""
    visits.subscribed(amelia)
    [card] = every(PaymentMethod)
    txn = order(people.customer("Sam Stone"))
    with pytest.raises(NotFound):
        purchases.pay(txn, card, Sandbox(), by=system())
    assert (every(SandboxCharge), len(every(Customer))) == ([], 2)


def test_a_change_that_shows_nothing_new_stops_nobody(person: Person, amelia: str) -> None:
    txn = order(amelia)
    person.open(link(txn))
    with transaction():
        found: Any = transactions.get(txn)
        orders.update(found, {"custom_data": {"order": "A-1"}}, by=system())
    assert person.press("Pay $30.00", **CARD).status == 200
    assert len(every(SandboxCharge)) == 1
