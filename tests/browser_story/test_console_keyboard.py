"""What support does in the console, with the keyboard alone; the focus in sight all the time, and on what has come."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import pytest

from portal import ids
from tests import people
from tests.browser_story import console_scene
from tests.browser_story.keys import Keyboard
from tests.browser_story.running import RunningPortal
from tests.browser_story.test_keyboard import assert_banner_is_focused, assert_error_is_focused
from tests.browser_story.watching import Browsing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
SAM = "sam@aeroedit.example"
WALKED = ("/subscriptions?q=benn", "/subscriptions/{id}", "/subscriptions/{id}/cancel", "/settings/business")


def bennet(portal: RunningPortal, name: str = "Bennet Ashgrove") -> tuple[str, str]:
    """Somebody with a subscription; gives its id and their address."""
    address = f"{ids.new('x')[2:]}@example.com"
    with portal.inside():
        return people.subscription(people.customer(name, email=address)), address


def end_of_next_month() -> date:
    first = datetime.now(UTC).date().replace(day=1)
    return (first + timedelta(days=70)).replace(day=1) - timedelta(days=1)


def once(names: Iterable[str]) -> list[str]:
    """Without repetitions one after the other: a date has four stops."""
    return [name for name, _ in groupby(names)]


def signed_in(browse: Browsing, portal: RunningPortal, role: str = "support") -> "Page":
    page = browse()
    console_scene.sign_in(page.context, portal, role)
    return page


def test_support_does_its_work(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub, address = bennet(aeroedit)
    page = browse()
    page.goto(f"{aeroedit.origin}/console")
    keyboard = Keyboard(page)
    before = len(aeroedit.mails.to(SAM))
    keyboard.tab_to("Email address").type(SAM).tab_to("Email me a sign-in link").enter()
    page.goto(aeroedit.mailed_link(SAM, "/console/sign-in/confirm", after=before))
    keyboard.tab_to("Sign in").enter()

    keyboard.tab_to("Name, email address, or an id").type("benn").enter()
    keyboard.tab_to("Bennet Ashgrove").enter()
    assert page.url.endswith(f"/console/subscriptions/{sub}")
    keyboard.tab_to("Cancel payments").enter()
    keyboard.tab_to("At the end of the current billing period").press("ArrowDown")
    assert page.get_by_role("radio", name="On a date").is_checked()
    day = end_of_next_month()
    keyboard.tab_to("Last day of access").type(f"{day:%m%d%Y}").tab_to("Continue").enter()
    assert f"{day.day} {day:%B %Y} at the end of the day (UTC)" in page.locator("main").inner_text()
    keyboard.tab_to("Cancel payments").enter()
    assert_banner_is_focused(page, "The cancellation is recorded")
    assert page.locator("#done").get_attribute("role") == "status"
    assert aeroedit.row(sub).ends_at == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)

    page.goto(f"{aeroedit.origin}/console")
    keyboard.tab_to("Name, email address, or an id").type("benn").tab_to("Filter and sort").press()
    keyboard.tab_to("Pending cancellation").press("Space").tab_to("Show results").enter()
    assert "state=pending" in page.url
    keyboard.tab_to("Don’t cancel Bennet Ashgrove").enter()
    keyboard.tab_to("Don’t cancel payments").enter()
    assert_banner_is_focused(page, "The cancellation is withdrawn")
    assert not aeroedit.row(sub).is_ending

    keyboard.tab_to("Send or copy a link").enter()
    keyboard.tab_to("The page to cancel").tab_to(f"Send it to {address}").press("Space")
    assert_banner_is_focused(page, f"The link is on its way to {address}")
    keyboard.tab_to("AeroEdit Pro").enter()
    history = page.get_by_role("region", name="History").inner_text()
    assert history.index("Sent a link to the page to cancel") < history.index("Cancellation withdrawn")
    assert history.index("Cancellation withdrawn") < history.index("Cancellation scheduled")
    assert history.count("Sam Ortega, in the console") == 3


def test_what_is_wrong_with_a_form_has_the_focus_and_leads_there(browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(422)
    sub, _ = bennet(aeroedit)
    page = signed_in(browse, aeroedit)
    page.goto(f"{aeroedit.origin}/console/subscriptions/{sub}/cancel")
    keyboard = Keyboard(page)
    keyboard.tab_to("At the end of the current billing period").press("ArrowDown").tab_to("Continue").enter()
    assert_error_is_focused(page, "Choose a day")
    keyboard.tab_to("Choose a day").press()
    page.locator("#day:focus[aria-invalid=true]").wait_for()


def test_the_first_tab_skips_the_menu(browse: Browsing, aeroedit: RunningPortal) -> None:
    page = signed_in(browse, aeroedit, "admin")
    page.goto(f"{aeroedit.origin}/console/settings")
    assert Keyboard(page).skip_to_content() == "Change Business"


@pytest.mark.parametrize("path", WALKED)
def test_the_focus_goes_down_the_page_as_it_is_read(path: str, browse: Browsing, aeroedit: RunningPortal) -> None:
    page = signed_in(browse, aeroedit, "admin")
    page.goto(f"{aeroedit.origin}/console{path.format(id=bennet(aeroedit, 'Bennet Walker')[0])}")
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    keyboard = Keyboard(page)
    stops = keyboard.walk()
    assert once(stop.name for stop in stops) == once(keyboard.every_stop())
    for above, below in pairwise(stops[1:]):  # the first one, out of sight until then, stands over the page
        assert below.bottom > above.top, f"from {above.name!r} the focus jumps up to {below.name!r}"
