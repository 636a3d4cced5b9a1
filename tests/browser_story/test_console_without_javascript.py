"""The console in a browser that runs no script: all that support does, and what admins set up."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from portal import ids
from tests import people
from tests.browser_story import console_steps as steps
from tests.browser_story.checks import script_free
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Browsing, press

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browse: Browsing) -> "Page":
    """A browser without scripts, and the proof of it."""
    opened = browse(java_script_enabled=False)
    opened.set_content("<p>before</p><script>document.querySelector('p').textContent = 'after'</script>")
    assert opened.locator("p").inner_text() == "before"
    return opened


def test_support_cancels_on_a_date_stops_it_and_sends_a_link(page: "Page", aeroedit: RunningPortal) -> None:
    address = f"{ids.new('x')[2:]}@example.com"
    with aeroedit.inside():
        sub = people.subscription(people.customer("Bennet Scriptless", email=address))
    steps.come_in(page, aeroedit, steps.SAM)
    steps.find(page, "scriptl", "Bennet Scriptless")
    day = datetime.now(UTC).date() + timedelta(days=40)
    review = steps.look_at_the_end_on(page, day, "Not used enough", "Asked on the phone")
    assert f"{day.day} {day:%B %Y} at the end of the day (UTC)" in review
    assert script_free(page.content()) == []
    assert "The cancellation is recorded" in press(page, "Cancel payments")
    page.locator("#done:focus").wait_for()
    assert aeroedit.row(sub).is_ending
    assert "Bennet Scriptless" in steps.pending(page)
    press(page, "Don’t cancel Bennet Scriptless", "link")
    assert "The cancellation is withdrawn" in press(page, "Don’t cancel payments")
    assert not aeroedit.row(sub).is_ending
    assert f"The link is on its way to {address}" in steps.send_cancel_link(page, address)
    assert aeroedit.mailed(address, 3)
    history = steps.back(page)
    assert "Sent a link to the page to cancel" in history
    assert "Asked on the phone" in history


def test_a_form_that_is_not_complete_is_shown_again_with_the_words_kept(
    page: "Page", browse: Browsing, aeroedit: RunningPortal
) -> None:
    browse.watch.expect(400, 422)
    steps.come_in(page, aeroedit, steps.ADA)
    assert "Choose a day" not in steps.find(page, "noah", "Noah Whitfield")
    press(page, "Cancel payments", "link")
    page.get_by_role("radio", name="On a date").check()
    page.get_by_label("Comment").fill("Kept words")
    assert "Choose a day" in press(page, "Continue")
    page.locator("#error:focus").wait_for()
    assert page.get_by_label("Comment").input_value() == "Kept words"
    assert "Links in mails:" in steps.set_up(page, "Links and sessions", Links_in_mails="7 lightyears")
    page.locator("#error:focus").wait_for()


def test_an_admin_sets_up_keys_and_destinations(page: "Page", browse: Browsing, aeroedit: RunningPortal) -> None:
    steps.come_in(page, aeroedit, steps.ADA)
    saved = steps.set_up(page, "Support and addresses", Your_own_site="https://www.aeroedit.example/shop")
    assert "Saved. It is in force now" in saved
    page.get_by_label("Use the environment’s again: https://www.aeroedit.example").check()
    assert "Your own site: https://www.aeroedit.example" in press(page, "Save support and addresses")

    assert steps.make_key(page, "An app without scripts").startswith("pdl_live_apikey_")
    assert "The key is revoked" in steps.revoke_key(page, "An app without scripts")

    assert "The destination is added" in steps.add_destination(page, "Nobody", "events@aeroedit.example", "Email")
    press(page, "Switch off …", "link")
    assert "The destination is off" in press(page, "Switch it off")
    press(page, "Delete …", "link")
    assert "The destination is deleted" in press(page, "Delete the destination")
    press(page, "Sign out")
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in to the console"
