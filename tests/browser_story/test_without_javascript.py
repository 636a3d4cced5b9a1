"""Everything a customer can do, in a browser that runs no script; and no page asks it to."""

from typing import TYPE_CHECKING, Literal

import pytest

from portal import clock, ids
from tests.browser_story.checks import script_free
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import CONFIRMED, DECLINED, ENDING, ask_to_sign_in, fill_card, overdue
from tests.browser_story.watching import Browsing, press

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browse: Browsing, aeroedit: RunningPortal) -> "Page":
    """A browser without scripts, and the proof of it."""
    opened = browse(java_script_enabled=False)
    opened.set_content("<p>before</p><script>document.querySelector('p').textContent = 'after'</script>")
    assert opened.locator("p").inner_text() == "before"
    return opened


def look(page: "Page") -> str:
    """The words of the page that is open, which has no script."""
    assert script_free(page.content()) == []
    return str(page.locator("main").inner_text())


def follow(page: "Page", link: str) -> str:
    page.goto(link)
    return look(page)


def act(page: "Page", name: str, role: Literal["button", "link"] = "button") -> str:
    press(page, name, role)
    return look(page)


def test_a_subscription_is_canceled_and_the_reason_told(page: "Page", aeroedit: RunningPortal) -> None:
    sub = aeroedit.new()
    follow(page, aeroedit.link("cancel", sub))
    assert "Your cancellation is recorded" in act(page, "Cancel at the end of the period")
    page.locator("#done:focus").wait_for()
    assert aeroedit.row(sub).is_ending
    page.get_by_text("Tell us why").click()
    page.get_by_label("It costs too much").check()
    page.get_by_label("Anything you want to add").fill("Too many buttons")
    assert "Thank you for telling us" in act(page, "Send my answer")


def test_a_canceled_subscription_is_kept_on_the_same_dates(page: "Page", aeroedit: RunningPortal) -> None:
    sub = aeroedit.new(**ENDING)
    follow(page, aeroedit.link("keep", sub))
    assert "Your subscription goes on" in act(page, "Keep my subscription")
    row = aeroedit.row(sub)
    assert (row.is_ending, row.next_billed_at) == (False, ENDING["billing_resumes_at"])


def test_a_card_is_replaced_after_a_refusal_and_a_confirmation(
    page: "Page", browse: Browsing, aeroedit: RunningPortal
) -> None:
    browse.watch.expect(422)
    follow(page, aeroedit.link("payment", aeroedit.new()))
    fill_card(page, DECLINED)
    assert "Your bank declined this card" in look(page)
    page.locator("#error:focus").wait_for()
    fill_card(page, CONFIRMED)
    assert "Your card is saved" in act(page, "Confirm this card")


def test_what_is_overdue_is_paid(page: "Page", aeroedit: RunningPortal) -> None:
    sub = overdue(aeroedit)
    follow(page, aeroedit.link("payment", sub))
    fill_card(page, CONFIRMED)
    assert "Your card is saved and the payment went through" in act(page, "Confirm this card")
    assert aeroedit.row(sub).status == "active"


def test_somebody_signs_in_looks_around_and_signs_out(page: "Page", browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(400)
    address = f"{ids.new('x')[2:]}@example.com"
    aeroedit.new(address)
    ask_to_sign_in(page, aeroedit, "nobody")
    assert "Enter an email address" in look(page)
    page.locator("#error:focus").wait_for()
    ask_to_sign_in(page, aeroedit, address)
    assert "a sign-in link is on its way" in look(page)
    follow(page, aeroedit.mailed_link(address, "/portal/sign-in/confirm"))
    assert "Signed in as Amelia Harper" in act(page, "Sign in")
    for link in ("AeroEdit Pro", "All subscriptions", "Payments"):
        act(page, link, "link")
    assert page.get_by_role("heading", level=1).inner_text() == "Payments and invoices"
    assert "You are signed out" in act(page, "Sign out")


def test_an_expired_link_is_replaced_by_a_fresh_one(page: "Page", browse: Browsing, aeroedit: RunningPortal) -> None:
    browse.watch.expect(410)
    address = f"{ids.new('x')[2:]}@example.com"
    sub = aeroedit.new(address)
    follow(page, aeroedit.link("cancel", sub, issued_at=clock.now().replace(year=2025)))
    assert "A fresh link is on its way" in act(page, "Email me a fresh link")
    follow(page, aeroedit.mailed_link(address, f"/portal/subscriptions/{sub}/cancel"))
    assert "Your cancellation is recorded" in act(page, "Cancel at the end of the period")
