"""More of states.STATES: the checkout, from what is bought to the thanks, and coming back."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from portal import clock, links
from portal.db import transaction
from portal.domain import orders
from portal.domain.actors import system
from portal.domain.catalog import Price
from tests import people
from tests.api.test_transactions import address, change
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import DECLINED, DEMO, GOOD, state
from tests.browser_story.watching import Watch, press

if TYPE_CHECKING:
    from playwright.sync_api import Page


def checkout(portal: RunningPortal, *, known: bool = True, trial: bool = False, days: float = 30, **more: Any) -> str:
    """The link to the checkout of a new transaction."""
    with portal.inside():
        price = people.price()
        if trial:
            change(price, Price, trial_interval="day", trial_frequency=14)
        if known:
            customer_id = people.customer()
            more |= {"customer_id": customer_id, "address_id": address(customer_id)}
        with transaction():
            bought = orders.create([(price, 3)], by=system(), **more)
        return links.checkout_url(bought.id, expires_at=clock.now() + timedelta(days=days))


def pay(page: "Page", number: str) -> None:
    for label, text in (("Card number", number), ("Expiry date", "07/31"), ("Security code", "123")):
        page.get_by_label(label).fill(text)
    press(page, "Pay $90.00")


@state("checkout")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(checkout(portal))


@state("checkout: trial")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(checkout(portal, trial=True))


@state("checkout: who")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(checkout(portal, known=False))


@state("checkout: who, not an address")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(400)
    page.goto(checkout(portal, known=False))
    press(page, "Continue to payment")


@state("checkout: declined")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(422)
    page.goto(checkout(portal))
    pay(page, DECLINED)


@state("checkout: done")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(checkout(portal))
    pay(page, GOOD)


@state("checkout: expired")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(410)
    page.goto(checkout(portal, days=-1))


@state("checkout: by invoice")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    terms = {"payment_terms": {"interval": "day", "frequency": 14}}
    page.goto(checkout(portal, collection_mode="manual", billing_details=terms))


@state("subscribe again")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("subscription", DEMO["canceled"]))
    press(page, "Subscribe again")
