"""More of states.STATES: signing in and out, links that no longer work, errors, and the demo's mailbox."""

from datetime import timedelta
from email import policy
from typing import TYPE_CHECKING

from portal import clock, ids
from portal.db import session, transaction
from portal.domain.customers import Customer
from portal.domain.subscriptions import Subscription
from tests import people
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import AMELIA, DEMO, ENDING, STATES, ask_to_sign_in, sign_in_link, state
from tests.browser_story.watching import Watch, press

if TYPE_CHECKING:
    from playwright.sync_api import Page


@state("sign in")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(f"{portal.origin}/portal/subscriptions/{DEMO['active']}")


@state("sign in: not an address")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(400)
    ask_to_sign_in(page, portal, "amelia")


@state("sign in: sent")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    ask_to_sign_in(page, portal, f"{ids.new('x')[2:]}@example.com")


@state("sign in: confirm")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(sign_in_link(page, portal))


@state("sign in: used before")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    link = sign_in_link(page, portal)
    page.goto(link)
    press(page, "Sign in")
    page.goto(link)


@state("signed out")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("portal", customer=AMELIA))
    press(page, "Sign out")


@state("link: expired")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(410)
    old = clock.now() - timedelta(days=30)
    page.goto(portal.link("cancel", DEMO["active"], issued_at=old))


@state("link: called back")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(410)
    sub = portal.new()
    link = portal.link("cancel", sub)
    owner = portal.row(sub).customer_id
    with portal.inside(), transaction():
        session().get_one(Customer, owner).links_valid_from = clock.now() + timedelta(seconds=1)
    page.goto(link)


@state("link: for another page")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    page.goto(portal.link("cancel", DEMO["active"]))
    page.goto(f"{portal.origin}/portal/payments")


@state("link: a fresh one sent")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(410)
    page.goto(portal.link("cancel", portal.new(), issued_at=clock.now() - timedelta(days=30)))
    press(page, "Email me a fresh link")


@state("error: unknown page")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(404)
    page.goto(f"{portal.origin}/portal/nowhere")


@state("error: somebody else's subscription")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(404)
    page.goto(portal.link("portal", customer=AMELIA))
    page.goto(f"{portal.origin}/portal/subscriptions/{DEMO['annual']}/cancel")


@state("error: a link that was never ours")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(403)
    page.goto(portal.link("cancel", DEMO["active"])[:-3])


@state("error: the form has expired")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(403)
    page.goto(portal.link("cancel", DEMO["active"]))
    page.locator("main [name=csrf_token]").evaluate("field => field.value = 'stale'")
    press(page, "Cancel at the end of the period")


@state("error: only staff can take it back")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    """The page was opened while the customer could; the seller has decided since."""
    watch.expect(403, 409)
    sub = portal.new(**ENDING)
    page.goto(portal.link("keep", sub))
    with portal.inside(), transaction():
        session().get_one(Subscription, sub).scheduled_by = "staff"
    press(page, "Keep my subscription")


@state("error: too many requests")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    watch.expect(429)
    address = f"{ids.new('x')[2:]}@example.com"
    for _ in range(6):
        ask_to_sign_in(page, portal, address)


@state("mailbox: list")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    sub = portal.new(f"{ids.new('x')[2:]}@example.com")
    page.goto(portal.link("cancel", sub))
    press(page, "Cancel at the end of the period")
    with portal.inside():
        address = session().get_one(Customer, people.row(sub).customer_id).email
    [mail] = portal.mailed(address, 1)
    (portal.folder / "mailbox" / f"{ids.new('eml')}.eml").write_bytes(mail.message.as_bytes(policy=policy.SMTP))
    page.goto(f"{portal.origin}/mailbox")


@state("mailbox: a mail")
def _(page: "Page", portal: RunningPortal, watch: Watch) -> None:
    STATES["mailbox: list"](page, portal, watch)
    with page.expect_navigation():
        page.locator("main tbody a").first.click()
    page.get_by_text("As plain text").click()
    page.get_by_text("All headers").click()
