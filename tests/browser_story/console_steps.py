"""What somebody of the staff does in the console, step by step with a mouse; each step gives the words it leads to."""

from datetime import date
from typing import TYPE_CHECKING

from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import press

if TYPE_CHECKING:
    from playwright.sync_api import Page

ADA, SAM = "ada@aeroedit.example", "sam@aeroedit.example"


def come_in(page: "Page", portal: RunningPortal, address: str) -> str:
    """Asks for a sign-in link where the console begins, and follows the one that is mailed."""
    before = len(portal.mails.to(address))
    page.goto(f"{portal.origin}/console")
    page.get_by_label("Email address").fill(address)
    press(page, "Email me a sign-in link")
    page.goto(portal.mailed_link(address, "/console/sign-in/confirm", after=before))
    return press(page, "Sign in")


def menu(page: "Page", name: str) -> str:
    """Follows a link of the menu."""
    with page.expect_navigation():
        page.get_by_role("navigation", name="Console").get_by_role("link", name=name, exact=True).click()
    return str(page.locator("main").inner_text())


def back(page: "Page") -> str:
    """Follows the link above the heading."""
    with page.expect_navigation():
        page.locator("a.back").click()
    return str(page.locator("main").inner_text())


def search(page: "Page", words: str) -> str:
    menu(page, "Subscriptions")
    page.get_by_label("Name, email address, or an id").fill(words)
    return press(page, "Search")


def find(page: "Page", words: str, name: str) -> str:
    """Opens the subscription of somebody who is found by these words."""
    search(page, words)
    return press(page, name, "link")


def pending(page: "Page") -> str:
    """The list of pending cancellations."""
    menu(page, "Subscriptions")
    page.get_by_text("Filter and sort").click()
    page.get_by_label("Pending cancellation").check()
    return press(page, "Show results")


def look_at_the_end_on(page: "Page", day: date, reason: str, comment: str = "") -> str:
    """From a subscription to what a cancellation on this day would mean."""
    press(page, "Cancel payments", "link")
    assert page.get_by_role("radio", name="At the end of the current billing period").is_checked()
    assert page.get_by_label("Tell the customer").is_checked()
    page.get_by_role("radio", name="On a date").check()
    page.get_by_label("Last day of access").fill(day.isoformat())
    page.get_by_label("Reason").select_option(label=reason)
    page.get_by_label("Comment").fill(comment)
    return press(page, "Continue")


def keep(page: "Page") -> str:
    press(page, "Don’t cancel", "link")
    return press(page, "Don’t cancel payments")


def send_cancel_link(page: "Page", address: str) -> str:
    press(page, "Send or copy a link", "link")
    page.get_by_role("radio", name="The page to cancel").check()
    return press(page, f"Send it to {address}")


def set_up(page: "Page", section: str, **fields: str) -> str:
    """Changes settings, named by their labels with `_` for a space."""
    menu(page, "Settings")
    press(page, f"Change {section}", "link")
    for label, text in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(text)
    return press(page, f"Save {section.lower()}")


def make_key(page: "Page", name: str) -> str:
    """The new key, as it is shown once."""
    menu(page, "API keys")
    press(page, "Make a key", "link")
    page.get_by_label("What the key is for").fill(name)
    page.get_by_label("Everything but ending at once").check()
    press(page, "Make the key")
    return page.get_by_label("API key").input_value()


def revoke_key(page: "Page", name: str) -> str:
    menu(page, "API keys")
    press(page, name, "link")
    press(page, "Revoke …", "link")
    return press(page, "Revoke the key")


def add_destination(page: "Page", name: str, to: str, kind: str = "Endpoint") -> str:
    menu(page, "Webhooks")
    press(page, "Add a destination", "link")
    page.get_by_label("What it is").fill(name)
    page.get_by_role("radio", name=kind).check()
    page.get_by_label("Where to").fill(to)
    page.get_by_role("checkbox", name="subscription.updated").check()
    return press(page, "Add the destination")
