"""A mail scanner opens the links of a mail with a real browser, scripts and all, before the person does (T12)."""

import pytest

from portal import ids
from tests import people
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import ENDING
from tests.browser_story.watching import Browsing, press

pytestmark = pytest.mark.browser
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 SafeLinks/1.0",
    "Mozilla/5.0 (compatible; BarracudaCentral/2.1)",
    "Mozilla/5.0 (compatible; Mimecast URL Protect)",
    "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)",
)
CANCEL = "Cancel at the end of the period"


def scan(browse: Browsing, link: str, times: int = 20) -> None:
    """Opens a link so many times, lets every script run, moves about and reads, but presses nothing."""
    for number in range(times):
        page = browse(user_agent=AGENTS[number % len(AGENTS)])
        page.goto(link, wait_until="load")
        page.mouse.move(200, 300)
        page.mouse.wheel(0, 2000)
        assert page.evaluate("document.documentElement.innerText.length") > 100
        page.context.close()


def said(portal: RunningPortal, sub: str) -> tuple[list[str], list[str]]:
    """What has been recorded and mailed about a subscription."""
    with portal.inside():
        return people.events_of(sub), people.mails_of(sub)


def heading(browse: Browsing, link: str) -> str:
    page = browse()
    page.goto(link)
    return str(page.get_by_role("heading", level=1).inner_text())


def test_a_scanner_changes_nothing_then_the_person_cancels_once(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub = aeroedit.new()
    before, link = aeroedit.row(sub), aeroedit.link("cancel", sub)
    person, elsewhere = browse(), browse()
    elsewhere.goto(link)
    scan(browse, link)
    assert browse.watch.asked().count("GET /portal/subscriptions/{id}/cancel") == 42
    after = aeroedit.row(sub)
    assert (after.version, after.scheduled_action) == (before.version, None)
    assert said(aeroedit, sub) == ([], [])

    person.goto(link)
    assert "Your cancellation is recorded" in press(person, CANCEL)
    scan(browse, link, times=4)
    ends_at = aeroedit.row(sub).scheduled_effective_at
    assert ends_at == before.next_billed_at

    assert heading(browse, link) == "AeroEdit Pro is already canceled"
    # this page was opened before
    assert "You canceled it. It ends on" in press(elsewhere, CANCEL)
    assert elsewhere.get_by_role("link", name="Keep my subscription").count() == 1
    assert aeroedit.row(sub).scheduled_effective_at == ends_at
    assert said(aeroedit, sub) == (["subscription.updated"], ["cancellation_scheduled"])


def test_a_scanner_neither_keeps_nor_ends_what_is_canceled(browse: Browsing, aeroedit: RunningPortal) -> None:
    sub = aeroedit.new(**ENDING)
    scan(browse, aeroedit.link("keep", sub), times=5)
    assert aeroedit.row(sub).is_ending
    assert said(aeroedit, sub) == ([], [])


def test_a_scanner_does_not_use_up_a_sign_in_link(browse: Browsing, aeroedit: RunningPortal) -> None:
    address = f"{ids.new('x')[2:]}@example.com"
    aeroedit.new(address)
    page = browse()
    page.goto(f"{aeroedit.origin}/portal/sign-in")
    page.get_by_label("Email address").fill(address)
    press(page, "Email me a sign-in link")
    link = aeroedit.mailed_link(address, "/portal/sign-in/confirm")
    scan(browse, link, times=5)
    page.goto(link)
    assert "Signed in as Amelia Harper" in press(page, "Sign in")
