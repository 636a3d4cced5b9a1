"""Every page of the console in every state that matters: the way there for somebody of the staff.

`STATES` maps a name to a function of a Desk that leads its page there, or to the path that does. What stands before
the colon names the page. Signing in, the account and people are in test_passkeys.py.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from portal import ids
from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import shell
from tests.browser_story.console_scene import Desk
from tests.browser_story.states import DEMO
from tests.browser_story.watching import press

if TYPE_CHECKING:
    from playwright.sync_api import Page

Way = Callable[[Desk], None]
TODAY = datetime.now(UTC).date()
SECTIONS = {
    "business": ("Save business", "Accent colour", "blue-ish"),
    "addresses": ("Save support and addresses", "Support", "nobody at all"),
    "customers": ("Save customers’ pages", "Reasons to choose from", "a|b"),
    "links": ("Save links and sessions", "Links in mails", "7 lightyears"),
    "payments": ("Save payments", "Waits between attempts", "soon, later"),
}
PATHS: dict[str, str] = {
    "list": "/subscriptions",
    "list: searched": "/subscriptions?q=benn",
    "list: a product": "/subscriptions?q=aeroedit",
    "list: filtered": "/subscriptions?state=pending&state=active&by=staff&sort=ends&ends_from=2020-01-01",
    "list: nothing found": "/subscriptions?q=nobodycalledso&state=paused",
    **{f"subscription: {name}": f"/subscriptions/{sub}" for name, sub in DEMO.items()},
    "subscription: everything has happened": "/subscriptions/{sub}",
    "subscription: past due, with debts": "/subscriptions/{past_due}",
    "subscription: a payment plan": "/subscriptions/{plan}",
    "customer": "/customers/{owner}",
    "customer: payments": "/customers/{owner}/payments",
    "transaction: attempts that failed": "/transactions/{failed}",
    "transaction: an invoice": "/transactions/{invoice}",
    "paid": "/transactions/{invoice}/paid",
    "cancel": "/subscriptions/{active}/cancel",
    "cancel: the end is changed": "/subscriptions/{ending}/cancel",
    "cancel: canceled": "/subscriptions/{canceled}/cancel",
    "keep": "/subscriptions/{ending}/keep",
    "keep: not canceled": "/subscriptions/{active}/keep",
    "keep: canceled": "/subscriptions/{canceled}/keep",
    "link": "/subscriptions/{active}/link",
    "link: the whole portal, and links that work": "/customers/{owner}/link",
    "mail": "/mails/{mail}",
    "change email": "/customers/{owner}/email",
    "sign a customer out": "/customers/{owner}/sign-out",
    "settings": "/settings",
    **{f"settings: {section}": f"/settings/{section}" for section in SECTIONS},
    "settings: a colour tried": "/settings/business?accent=%23ffe9a8",
    "api keys": "/api-keys",
    "api keys: make": "/api-keys/new",
    "api keys: one": "/api-keys/{key}",
    "api keys: revoke": "/api-keys/{key}/revoke",
    "requests": "/requests",
    "requests: one": "/requests?id={request}",
    "destinations": "/destinations",
    "destinations: add": "/destinations/new",
    "destinations: one": "/destinations/{destination}",
    "destinations: change": "/destinations/{destination}/edit",
    "destinations: rotate": "/destinations/{destination}/rotate",
    "destinations: switch off": "/destinations/{destination}/off",
    "destinations: deliveries": "/destinations/{destination}/deliveries",
    "destinations: no delivery": "/destinations/{destination}/deliveries?status=waiting",
    "delivery": "/deliveries/{delivery}",
    "event": "/events/{event}",
    "mail previews": "/mail-previews",
    "mail previews: one": "/mail-previews/cancellation_scheduled?language=de",
    "overview": "/overview",
    "changes": "/overview/changes?what=cancellation_scheduled&since={since}&until={until}",
    "audit": "/audit",
    "audit: nothing found": "/audit?subject=nobody",
}
STATES: dict[str, Way] = {}


def state(name: str) -> Callable[[Way], Way]:
    def keep(way: Way) -> Way:
        STATES[name] = way
        return way

    return keep


def _to(path: str) -> Way:
    def way(desk: Desk) -> None:
        desk.open(path)

    return way


STATES |= {name: _to(path) for name, path in PATHS.items()}


def choose(page: "Page", when: str, day: str = "") -> None:
    """The first step of a cancellation."""
    page.get_by_role("radio", name=when).check()
    if day:
        page.get_by_label("Last day of access").fill(day)
    press(page, "Continue")


def _wrong(path: str, button: str, status: int, *fields: tuple[str, str]) -> Way:
    """A form sent with something that it can't take."""

    def way(desk: Desk) -> None:
        desk.watch.expect(status)
        page = desk.open(path)
        for label, text in fields:
            page.get_by_label(label, exact=True).fill(text)
        press(page, button)

    return way


for _section, (_button, _label, _text) in SECTIONS.items():
    STATES[f"settings: {_section}, a problem"] = _wrong(f"/settings/{_section}", _button, 400, (_label, _text))
_EMAIL, _NAME, _NOT_AN_ADDRESS = "New email address", "What the key is for", "nobody"
STATES |= {
    "change email: a problem": _wrong("/customers/{owner}/email", "Change the address", 422, (_EMAIL, _NOT_AN_ADDRESS)),
    "api keys: a problem": _wrong("/api-keys/new", "Make the key", 422, (_NAME, "The shop")),
    "destinations: a problem": _wrong(
        "/destinations/new", "Add the destination", 422, ("What it is", "Shop"), ("Where to", "http://here")
    ),
}


@state("error: no such page")
def _(desk: Desk) -> None:
    desk.watch.expect(404)
    desk.open("/subscriptions/sub_unknown")


@state("error: the form has expired")
def _(desk: Desk) -> None:
    desk.watch.expect(403)
    page = desk.open("/subscriptions/{ending}/keep")
    page.locator("main [name=csrf_token]").evaluate("field => field.value = 'stale'")
    press(page, "Don’t cancel payments")


@state("error: ended meanwhile")
def _(desk: Desk) -> None:
    desk.watch.expect(400)
    sub = desk.portal.new()
    desk.page.goto(f"{desk.portal.origin}/console/subscriptions/{sub}/cancel")
    with desk.portal.inside(), transaction():
        cancellation.now(subscriptions.get(sub), by=shell())
    press(desk.page, "Continue")


@state("error: the only admin")
def _(desk: Desk) -> None:
    desk.watch.expect(409)
    with desk.open("/staff").expect_navigation():
        desk.page.locator("main").get_by_role("link", name="Ada Lindqvist").click()
    press(desk.page, "Remove Ada Lindqvist from the staff", "link")
    press(desk.page, "Remove from the staff")


@state("list: a problem")
def _(desk: Desk) -> None:
    desk.watch.expect(400)
    desk.open("/subscriptions?by=nobody&state=active")


@state("cancel: review, end of the period")
def _(desk: Desk) -> None:
    choose(desk.open("/subscriptions/{active}/cancel"), "At the end of the current billing period")


@state("cancel: review, a year ahead")
def _(desk: Desk) -> None:
    page = desk.open("/subscriptions/{active}/cancel")
    choose(page, "On a date", (TODAY + timedelta(days=450)).isoformat())
    page.get_by_text("All 1").click()


@state("cancel: review, now, with debts")
def _(desk: Desk) -> None:
    page = desk.open("/subscriptions/{past_due}/cancel")
    page.get_by_label("Comment").fill("A word that goes on: " + "w" * 120)
    choose(page, "Now")


@state("cancel: a problem, no day")
def _(desk: Desk) -> None:
    desk.watch.expect(422)
    choose(desk.open("/subscriptions/{active}/cancel"), "On a date")


@state("cancel: a problem, changed meanwhile")
def _(desk: Desk) -> None:
    desk.watch.expect(409)
    choose(desk.open("/subscriptions/{active}/cancel"), "At the end of the current billing period")
    desk.page.locator("[name=seen]").evaluate("field => field.value = 'something else'")
    press(desk.page, "Cancel payments")


def canceled(desk: Desk) -> None:
    """A subscription of its own is canceled; its page tells that."""
    desk.page.goto(f"{desk.portal.origin}/console/subscriptions/{desk.portal.new()}/cancel")
    choose(desk.page, "At the end of the current billing period")
    press(desk.page, "Cancel payments")


@state("banner: canceled")
def _(desk: Desk) -> None:
    canceled(desk)


@state("banner: kept")
def _(desk: Desk) -> None:
    canceled(desk)
    press(desk.page, "Don’t cancel", "link")
    press(desk.page, "Don’t cancel payments")


@state("banner: a link sent")
def _(desk: Desk) -> None:
    address = f"{ids.new('x')[2:]}@example.com"
    sub = desk.portal.new(address)
    desk.page.goto(f"{desk.portal.origin}/console/subscriptions/{sub}/link")
    press(desk.page, f"Send it to {address}")


@state("banner: settings saved")
def _(desk: Desk) -> None:
    desk.open("/settings/links")
    press(desk.page, "Save links and sessions")


@state("link: shown")
def _(desk: Desk) -> None:
    page = desk.open("/subscriptions/{plan}/link")
    press(page, "Show me the link to copy")


@state("a customer's page, as staff")
def _(desk: Desk) -> None:
    STATES["link: shown"](desk)
    press(desk.page, "look at it", "link")


@state("banner: an API key made")
def _(desk: Desk) -> None:
    page = desk.open("/api-keys/new")
    page.get_by_label(_NAME).fill("Another shop")
    page.get_by_label("Everything but ending at once").check()
    press(page, "Make the key")


@state("destinations: secret")
def _(desk: Desk) -> None:
    desk.open("/destinations/{destination}")
    press(desk.page, "Show the secret")


@state("destinations: tried in vain")
def _(desk: Desk) -> None:
    desk.open("/destinations/{destination}")
    press(desk.page, "Send the sample")
