"""Everything a customer can do, with the keyboard alone: Tab, Enter, Space; and the focus in sight all the time."""

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from portal import ids
from tests.browser_story.keys import Keyboard
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import CONFIRMED, DECLINED, ENDING, GOOD, STATES
from tests.browser_story.watching import Browsing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
MANY_STOPS = (
    "overview: three subscriptions",
    "subscription: past due",
    "cancel: active",
    "update payment: active",
    "banner: canceled, asking why",
)


def opened(browse: Browsing, link: str) -> tuple["Page", Keyboard]:
    page = browse()
    page.goto(link)
    return page, Keyboard(page)


def assert_banner_is_focused(page: "Page", words: str) -> None:
    banner = page.locator("#done:focus")
    banner.wait_for()
    assert words in banner.inner_text()
    stop = Keyboard(page).focused()
    assert stop is not None
    assert stop.outlined
    assert stop.seen


def assert_error_is_focused(page: "Page", words: str) -> None:
    summary = page.locator("#error:focus")
    summary.wait_for()
    assert words in summary.inner_text()
    stop = Keyboard(page).focused()
    assert stop is not None
    assert stop.outlined
    assert page.title().startswith("Problem: ")


def test_a_subscription_is_canceled_and_the_reason_told(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub = aeroedit.new()
    page, keyboard = opened(browse, aeroedit.link("cancel", sub))
    keyboard.tab_to("Cancel at the end of the period").enter()
    assert_banner_is_focused(page, "Your cancellation is recorded")
    assert aeroedit.row(sub).is_ending

    first = keyboard.tab()
    assert first is not None
    assert first.name == "Tell us why, if you like"  # the banner is where the Tab key goes on from
    keyboard.press().tab_to("It costs too much").press("Space")
    assert page.get_by_label("It costs too much").is_checked()
    keyboard.press("ArrowDown")
    assert page.get_by_label("I don’t use it enough").is_checked()
    keyboard.tab_to("Anything you want to add").type("Too many buttons").tab_to("Send my answer").press("Space")
    assert_banner_is_focused(page, "Thank you for telling us")


def test_the_button_answers_to_the_space_bar_as_well(browse: Browsing, aeroedit: RunningPortal) -> None:
    page, keyboard = opened(browse, aeroedit.link("cancel", aeroedit.new()))
    keyboard.tab_to("Cancel at the end of the period").press("Space")
    assert_banner_is_focused(page, "Your cancellation is recorded")


def test_a_canceled_subscription_is_kept(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub = aeroedit.new(**ENDING)
    page, keyboard = opened(browse, aeroedit.link("subscription", sub))
    keyboard.tab_to("Keep my subscription").enter()
    assert page.get_by_role("heading", level=1).inner_text().startswith("This link does not open this page")

    page, keyboard = opened(browse, aeroedit.link("keep", sub))
    keyboard.tab_to("Keep my subscription").enter()
    assert_banner_is_focused(page, "Your subscription goes on")
    assert not aeroedit.row(sub).is_ending


def test_on_the_cancel_page_keep_leads_away_without_a_change(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub = aeroedit.new()
    page, keyboard = opened(browse, aeroedit.link("cancel", sub))
    keyboard.tab_to("Keep my subscription").enter()
    assert page.url.endswith(f"/portal/subscriptions/{sub}")
    assert not aeroedit.row(sub).is_ending


def test_a_card_is_replaced_after_one_that_was_declined(browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(422)
    page, keyboard = opened(browse, aeroedit.link("payment", aeroedit.new()))
    keyboard.tab_to("Card number").type(DECLINED).tab_to("Expiry date").type("07/31")
    keyboard.tab_to("Security code").type("123").enter()  # Enter in a field sends the form
    assert_error_is_focused(page, "Your bank declined this card")
    keyboard.tab_to("Your bank declined this card").press()
    page.locator("#number:focus").wait_for()

    keyboard.type(CONFIRMED).tab_to("Expiry date").type("07/31").tab_to("Security code").type("123")
    keyboard.tab_to("Save card").enter()
    assert page.get_by_role("heading", level=1).inner_text() == "Confirm this card"
    keyboard.tab_to("Confirm this card").enter()
    assert_banner_is_focused(page, "Your card is saved")


def test_an_error_at_the_expiry_date_leads_there(browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(422)
    page, keyboard = opened(browse, aeroedit.link("payment", aeroedit.new()))
    keyboard.tab_to("Card number").type(GOOD).tab_to("Expiry date").type("soon").tab_to("Security code").type("123")
    keyboard.tab_to("Save card").enter()
    assert_error_is_focused(page, "Enter the expiry date")
    keyboard.tab_to("Enter the expiry date").press()
    page.locator("#expiry:focus[aria-invalid=true]").wait_for()


def test_somebody_signs_in_and_out(browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(400)
    address = f"{ids.new('x')[2:]}@example.com"
    sub = aeroedit.new(address)
    page, keyboard = opened(browse, f"{aeroedit.origin}/portal/subscriptions/{sub}")
    keyboard.tab_to("Email address").type("amelia").enter()
    assert_error_is_focused(page, "Enter an email address")
    keyboard.tab_to("Enter an email address").press()
    keyboard.press("Control+A").type(address).tab_to("Email me a sign-in link").enter()
    assert page.get_by_role("heading", level=1).inner_text() == "Check your email"

    page.goto(aeroedit.mailed_link(address, "/portal/sign-in/confirm"))
    keyboard.tab_to("Sign in").enter()
    assert page.url == f"{aeroedit.origin}/portal/subscriptions/{sub}"
    keyboard.tab_to("Sign out").enter()
    assert page.get_by_role("heading", level=1).inner_text() == "You are signed out"


def test_the_first_tab_offers_to_skip_to_the_content(browse: Browsing, aeroedit: RunningPortal) -> None:
    _, keyboard = opened(browse, aeroedit.link("cancel", aeroedit.new()))
    assert keyboard.skip_to_content() == "AeroEdit Pro", "the way back"


@pytest.mark.parametrize("state", MANY_STOPS)
def test_the_focus_goes_down_the_page_as_it_is_read(state: str, browse: Browsing, aeroedit: RunningPortal) -> None:
    page = browse()
    STATES[state](page, aeroedit, browse.watch)
    page.goto(page.url.partition("#")[0])
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    keyboard = Keyboard(page)
    stops = keyboard.walk()
    assert [stop.name for stop in stops] == keyboard.every_stop()
    assert len(stops) >= 6
    for above, below in pairwise(stops[1:]):  # the first one, out of sight until then, stands over the page
        assert below.bottom > above.top, f"from {above.name!r} the focus jumps up to {below.name!r}"
