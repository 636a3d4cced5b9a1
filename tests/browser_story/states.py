"""Every customer page in every state that matters: the way there for a person with a browser.

`STATES` maps a name to a function of (page, portal, watch) that leads the page there.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from portal import ids
from portal.db import transaction
from portal.domain import renewal
from portal.gateways.sandbox import Sandbox
from tests import people
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Watch, press

if TYPE_CHECKING:
    from playwright.sync_api import Page

Way = Callable[["Page", RunningPortal, Watch], None]
STATES: dict[str, Way] = {}

GOOD, DECLINED, CONFIRMED = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0025 0000 3155"
AMELIA, CHLOE = "ctm_01htymkpj07kjy7p5q1vzqpk70", "ctm_01htzxeypvf6p17j2th6ewsvhr"
DEMO = {
    "active": "sub_01htymmb3hj0q9fmckjbtrmd73",
    "trialing": "sub_01htzkd9v87qqbs805z8ncx61t",
    "past due": "sub_01htz7jads52dn244rf7rmd2zd",
    "paused": "sub_01htz1sjht77byez8yvbxe6fe1",
    "pending by customer, in German": "sub_01htz8541v5t6a66ywx1znkjd9",
    "pending by staff": "sub_01htzsbxf3nmpjeqm843h5k9e0",
    "annual": "sub_01htzemxv4jdq250eb2jvswzgy",
    "canceled": "sub_01htz3js987xyfk2517yzr9x61",
    "manual": "sub_01htz61ymxbnk2nre8x7xzbpen",
}
LATER = datetime.now(UTC) + timedelta(days=12)
ENDING = {
    "next_billed_at": None,
    "scheduled_action": "cancel",
    "scheduled_effective_at": LATER,
    "scheduled_at": LATER - timedelta(days=13),
    "scheduled_by": "customer",
    "billing_resumes_at": LATER,
}
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabonnement with every extra"


def state(name: str) -> Callable[[Way], Way]:
    def keep(way: Way) -> Way:
        STATES[name] = way
        return way

    return keep


def fill_card(page: "Page", number: str, expiry: str = "07/31", cvc: str = "123") -> None:
    for label, text in (("Card number", number), ("Expiry date", expiry), ("Security code", cvc)):
        page.get_by_label(label).fill(text)
    with page.expect_navigation():
        page.get_by_role("button", name="Save card").click()  # it may go on: "and pay $30.00"


def ask_to_sign_in(page: "Page", portal: RunningPortal, address: str) -> None:
    page.goto(f"{portal.origin}/portal/sign-in")
    page.get_by_label("Email address").fill(address)
    press(page, "Email me a sign-in link")


def sign_in_link(page: "Page", portal: RunningPortal) -> str:
    """Asks for a sign-in link with the address of a new customer; gives the link of the mail."""
    address = f"{ids.new('x')[2:]}@example.com"
    portal.new(address)
    ask_to_sign_in(page, portal, address)
    return portal.mailed_link(address, "/portal/sign-in/confirm")


def overdue(portal: RunningPortal) -> str:
    """A subscription whose last charge was declined a moment ago."""
    with portal.inside():
        ended = datetime.now(UTC) - timedelta(minutes=5)
        sub = people.subscription(
            people.customer(), card="sandbox_declines", began=ended - timedelta(days=30), period_ends_at=ended
        )
        with transaction():
            renewal.open_due(10)
        while renewal.collect_next(Sandbox()):
            pass
    return sub


def _demo_page(sub: str, page_name: str) -> Way:
    """By way of the portal link, so that the page has all its links."""

    def way(page: "Page", portal: RunningPortal, watch: Watch) -> None:
        page.goto(portal.link("portal", customer=portal.row(sub).customer_id))
        page.goto(f"{portal.origin}/portal/subscriptions/{sub}{page_name}")

    return way


def _own_page(page_name: str, **fields: Any) -> Way:
    """By a link that opens just this page, with a subscription made for it."""

    def way(page: "Page", portal: RunningPortal, watch: Watch) -> None:
        page.goto(portal.link(page_name, portal.new(**fields)))

    return way


for _name, _sub in DEMO.items():
    STATES[f"subscription: {_name}"] = _demo_page(_sub, "")
    STATES[f"cancel: {_name}"] = _demo_page(_sub, "/cancel")
for _name in ("active", "pending by customer, in German", "pending by staff", "canceled"):
    STATES[f"keep: {_name}"] = _demo_page(DEMO[_name], "/keep")
for _name in ("active", "past due", "pending by customer, in German"):
    STATES[f"update payment: {_name}"] = _demo_page(DEMO[_name], "/update-payment-method")

STATES["subscription: ending, by an email link"] = _own_page("subscription", **ENDING)
STATES["subscription: pause scheduled"] = _own_page("subscription", **ENDING | {"scheduled_action": "pause"})
STATES["subscription: ending without a date"] = _own_page("subscription", **ENDING | {"scheduled_effective_at": None})
STATES["cancel: paused, nothing left"] = _own_page(
    "cancel", status="paused", next_billed_at=None, period_starts_at=None, period_ends_at=None
)
STATES["cancel: without a date"] = _own_page("cancel", next_billed_at=None, period_ends_at=None)


@state("overview: three subscriptions")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("portal", customer=CHLOE))


@state("overview: none")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    with portal.inside():
        nobody = people.customer()
    page.goto(portal.link("portal", customer=nobody))


@state("overview: a very long name")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    with portal.inside():
        her = people.customer(f"{LONG_NAME.replace(' ', '')}")
        people.subscription(her, price_id=people.price(product=LONG_NAME, amount=99_999_999_999))
    page.goto(portal.link("portal", customer=her))


@state("payments")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("portal", customer=AMELIA))
    page.goto(f"{portal.origin}/portal/payments")


@state("payments: none")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    STATES["overview: none"](page, portal, watch)
    page.goto(f"{portal.origin}/portal/payments")


@state("banner: canceled, asking why")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("cancel", portal.new()))
    press(page, "Cancel at the end of the period")
    page.get_by_text("Tell us why").click()


@state("banner: reason saved")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    STATES["banner: canceled, asking why"](page, portal, watch)
    page.get_by_label("It costs too much").check()
    press(page, "Send my answer")


@state("banner: kept")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("keep", portal.new(**ENDING)))
    press(page, "Keep my subscription")


@state("banner: ended at once")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    STATES["cancel: paused, nothing left"](page, portal, watch)
    press(page, "Cancel now")


@state("update payment: declined")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(422)
    page.goto(portal.link("payment", portal.new()))
    page.get_by_text("Test cards", exact=True).click()
    fill_card(page, DECLINED)


@state("update payment: a date gone by")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(422)
    page.goto(portal.link("payment", portal.new()))
    fill_card(page, GOOD, expiry="07/20")


@state("update payment: to confirm")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("payment", portal.new()))
    fill_card(page, CONFIRMED)


@state("banner: card saved")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    STATES["update payment: to confirm"](page, portal, watch)
    press(page, "Confirm this card")


@state("banner: paid")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("payment", overdue(portal)))
    fill_card(page, GOOD)
