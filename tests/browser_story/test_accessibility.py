"""Every customer page in every main state: axe, light and dark, on a phone and on a desk, in one round trip."""

import re
from urllib.parse import urlsplit

import pytest

from portal import ids
from tests.browser_story import states_at_the_checkout, states_at_the_door
from tests.browser_story.checks import PAGE_RULES, problems_of, problems_seen
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import STATES
from tests.browser_story.watching import Browsing, press

pytestmark = pytest.mark.browser
assert states_at_the_door
assert states_at_the_checkout

ONE = "/portal/subscriptions/[^/]+"
PATHS = {
    "overview": "/portal",
    "payments": "/portal/payments",
    "subscription": ONE,
    "banner": ONE,
    "cancel": f"{ONE}/cancel",
    "keep": f"{ONE}/keep",
    "update payment": f"{ONE}/update-payment-method(/confirm)?",
    "sign in": "/portal/sign-in(/confirm)?",
    "checkout": "/portal/checkout/[^/]+(/who)?",
    "subscribe again": "/portal/checkout/[^/]+",
    "signed out": "/portal/signed-out",
    "mailbox": "/mailbox(/[^/]+)?",
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_for_everybody(state: str, browse: Browsing, aeroedit: RunningPortal) -> None:
    page = browse()
    STATES[state](page, aeroedit, browse.watch)
    kind = state.partition(":")[0]
    assert re.fullmatch(PATHS.get(kind, ".*"), urlsplit(page.url).path), "this is another page"
    assert page.locator("#done").count() == (kind == "banner")
    assert kind != "error" or browse.watch.documents[-1][2] in browse.watch.expected
    assert problems_of(page, browse.watch) == []


def test_the_mails_are_for_everybody(browse: Browsing, aeroedit: RunningPortal) -> None:
    address = f"{ids.new('x')[2:]}@example.com"
    page = browse()
    page.goto(aeroedit.link("cancel", aeroedit.new(address)))
    press(page, "Cancel at the end of the period")
    aeroedit.mailed(address, 1)
    press(page, "Keep my subscription", "link")
    press(page, "Keep my subscription")
    for mail in aeroedit.mailed(address, 2):
        shown = browse()
        shown.set_content(mail.html)
        assert shown.get_by_role("heading", level=1).count() == 1
        assert problems_seen(shown, but=PAGE_RULES) == []
