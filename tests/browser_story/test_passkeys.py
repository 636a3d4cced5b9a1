"""Passkeys in a real browser, with an authenticator that is none: made, used, removed; and the pages around them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser_story import checks
from tests.browser_story.keys import Keyboard
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Browsing, press, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

pytestmark = pytest.mark.browser
ADA, SAM = "ada@aeroedit.example", "sam@aeroedit.example"


@pytest.fixture(scope="module")
def seller(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal that is reached by a name, as passkeys need it."""
    folder = tmp_path_factory.mktemp("seller")
    shutil.copy(sqlite_template, folder / "portal.db")
    portal = RunningPortal(folder, f"sqlite:///{folder / 'portal.db'}", web_workers="1", sign_in_per_client="1000")
    portal.origin = portal.environment["PORTAL_BASE_URL"] = f"http://localhost:{portal.port}"
    with portal:
        portal.command("staff", "add", ADA, "--name", "Ada Admin")
        portal.command("staff", "add", SAM, "--name", "Sam Support")
        yield portal


@pytest.fixture
def open_browser(chromium: "Browser", seller: RunningPortal) -> Iterator[Browsing]:
    yield from watched(chromium, seller.origin)


def authenticator(page: "Page") -> tuple["CDPSession", str]:
    """Gives the browser an authenticator that knows its owner and asks for nothing."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options: dict[str, Any] = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return tools, tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def sign_in(page: "Page", seller: RunningPortal, email: str) -> None:
    page.goto(seller.command("staff", "link", email))
    press(page, "Sign in")
    page.goto(f"{seller.origin}/console/account")


def add_passkey(page: "Page", name: str = "Work laptop") -> None:
    page.get_by_label("Name of the new passkey").fill(name)
    press(page, "Add a passkey")


def test_a_passkey_is_made_used_and_removed(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    tools, device = authenticator(page)
    sign_in(page, seller, SAM)
    add_passkey(page)
    assert "The passkey is added" in page.locator("#done").inner_text()
    assert page.get_by_role("row", name="Work laptop").is_visible()
    [credential] = tools.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert credential["isResidentCredential"]
    press(page, "Sign out")

    page.goto(f"{seller.origin}/console/account")
    press(page, "Sign in with a passkey")
    assert page.url == f"{seller.origin}/console/account"
    assert "Sam Support" in page.locator("main").inner_text()

    open_browser.watch.expect(403)
    press(page, "Remove Work laptop")
    press(page, "Sign out")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("alert").get_by_text("This passkey does not open the console").wait_for()
    assert page.url.endswith("/console/sign-in")


def test_with_the_keyboard_alone(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    authenticator(page)
    sign_in(page, seller, SAM)
    keyboard = Keyboard(page)
    keyboard.tab_to("Name of the new passkey").type("Keyboard").enter()
    page.locator("#done").wait_for()
    press(page, "Sign out")
    page.goto(f"{seller.origin}/console/sign-in?next=/console/account")
    keyboard.tab_to("Sign in with a passkey").enter()
    assert page.url.endswith("/console/account")
    press(page, "Remove Keyboard")


def test_who_does_not_prove_who_they_are_stays_out(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    tools, device = authenticator(page)
    sign_in(page, seller, SAM)
    add_passkey(page, "Mine")
    press(page, "Sign out")
    tools.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("alert").get_by_text("No passkey was used").wait_for()
    tools.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    press(page, "Sign in with a passkey")
    page.goto(f"{seller.origin}/console/account")
    press(page, "Remove Mine")


def test_a_device_takes_one_passkey_for_one_person(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    authenticator(page)
    sign_in(page, seller, SAM)
    add_passkey(page, "First")
    page.get_by_label("Name of the new passkey").fill("Second")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("alert").get_by_text("This device already has a passkey for your account.").wait_for()
    press(page, "Remove First")


def test_a_browser_without_the_helpers_for_json_manages_too(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    page.add_init_script(
        "delete PublicKeyCredential.parseCreationOptionsFromJSON;"
        "delete PublicKeyCredential.parseRequestOptionsFromJSON;"
        "delete PublicKeyCredential.prototype.toJSON;"
    )
    authenticator(page)
    sign_in(page, seller, SAM)
    assert page.evaluate("'toJSON' in PublicKeyCredential.prototype") is False
    add_passkey(page, "Old browser")
    press(page, "Sign out")
    page.goto(f"{seller.origin}/console/sign-in?next=/console/account")
    press(page, "Sign in with a passkey")
    press(page, "Remove Old browser")


def test_without_javascript_the_link_by_mail_is_there_and_the_passkeys_are_not(
    open_browser: Browsing, seller: RunningPortal
) -> None:
    page = open_browser(java_script_enabled=False)
    page.goto(f"{seller.origin}/console/account")
    assert not page.get_by_role("button", name="Sign in with a passkey").is_visible()
    page.get_by_label("Email address").fill(SAM)
    before = len(seller.mails.to(SAM))
    press(page, "Email me a sign-in link")
    page.goto(seller.mailed_link(SAM, "/console/sign-in/confirm", after=before))
    press(page, "Sign in")
    assert page.url == f"{seller.origin}/console/account"
    assert not page.get_by_role("button", name="Add a passkey").is_visible()
    assert "To add one, allow JavaScript for this page." in page.locator("main").inner_text()


def test_the_pages_can_be_perceived(open_browser: Browsing, seller: RunningPortal) -> None:
    page = open_browser()
    authenticator(page)
    open_browser.watch.expect(400, 403, 422)
    found = {}

    def look(state: str) -> None:
        found[state] = checks.problems_seen(page)

    page.goto(f"{seller.origin}/console/sign-in")
    look("sign in")
    page.get_by_label("Email address").fill("nobody")
    press(page, "Email me a sign-in link")
    look("sign in: not an address")
    page.get_by_label("Email address").fill("nobody@example.com")
    press(page, "Email me a sign-in link")
    look("sign in: sent")
    page.goto(f"{seller.origin}/console/sign-in/confirm?token=none")
    look("sign in: no longer works")
    page.goto(seller.command("staff", "link", ADA))
    look("sign in: confirm")
    press(page, "Sign in")
    page.goto(f"{seller.origin}/console/account")
    look("account: no passkey")
    add_passkey(page)
    look("account: a passkey")
    press(page, "Remove Work laptop")
    page.goto(f"{seller.origin}/console/staff")
    look("people")
    press(page, "Add somebody", "link")
    press(page, "Add to the staff")
    look("add somebody: nothing typed")
    page.goto(f"{seller.origin}/console/staff")
    page.locator("main").get_by_role("link", name="Ada Admin").click()
    page.wait_for_url("**/console/staff/stf_*")
    look("person")
    page.get_by_role("link", name="Remove Ada Admin from the staff").click()
    page.wait_for_url("**/remove")
    look("remove somebody")
    assert [f"{state}: {each}" for state, problems in found.items() for each in problems] == []
