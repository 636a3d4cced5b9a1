"""Every page of the console in every main state: axe, light and dark, on a phone and on a desk; and the focus seen."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser_story import console_scene
from tests.browser_story.checks import problems_seen, script_free, unseen_focus
from tests.browser_story.console_scene import Desk
from tests.browser_story.console_states import STATES
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Browsing, press

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
SAM = "sam@aeroedit.example"
EMPTY = ("/subscriptions", "/overview", "/api-keys", "/destinations", "/requests")


@pytest.fixture(scope="module")
def desks(chromium: "Browser", aeroedit: RunningPortal) -> Iterator[dict[str, Desk]]:
    """An admin and somebody of support, each signed in once for all tests here, and their story."""
    browsing = Browsing(chromium, aeroedit.origin)
    scene = console_scene.set_up(aeroedit)
    seated = {}
    for role in ("admin", "support"):
        page = browsing()
        console_scene.sign_in(page.context, aeroedit, role)
        seated[role] = Desk(page, aeroedit, browsing.watch, scene)
    yield seated
    browsing.close()


@pytest.fixture
def desk(desks: dict[str, Desk]) -> Iterator[Desk]:
    """The admin's, where nothing may go wrong that the test does not name."""
    yield from _watched(desks["admin"])


@pytest.fixture
def sams_desk(desks: dict[str, Desk]) -> Iterator[Desk]:
    yield from _watched(desks["support"])


def _watched(desk: Desk) -> Iterator[Desk]:
    desk.watch.problems.clear()
    desk.watch.expected.clear()
    desk.page.emulate_media(color_scheme="light")
    desk.page.set_viewport_size({"width": 1280, "height": 900})
    yield desk
    assert desk.watch.problems == []


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_for_everybody(state: str, desk: Desk) -> None:
    STATES[state](desk)
    kind, page = state.partition(":")[0], desk.page
    assert page.locator("#done").count() == (kind == "banner")
    assert page.locator("#error:focus").count() == ("a problem" in state)
    assert kind != "error" or desk.watch.documents[-1][2] in desk.watch.expected
    assert problems_in(page) == []


@pytest.mark.parametrize("path", ["/subscriptions", "/subscriptions/{active}/cancel", "/customers/{owner}"])
def test_what_support_sees_is_for_everybody(path: str, sams_desk: Desk) -> None:
    assert problems_in(sams_desk.open(path)) == []


def test_what_is_for_admins_only_is_refused_in_words(sams_desk: Desk) -> None:
    sams_desk.watch.expect(403)
    page = sams_desk.open("/settings")
    assert page.get_by_role("heading", level=1).inner_text() == "Only an admin may do this"
    assert problems_in(page) == []


def test_the_console_of_a_portal_that_is_new(chromium: "Browser", sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "portal.db")
    with RunningPortal(tmp_path, f"sqlite:///{tmp_path / 'portal.db'}", web_workers="1") as portal:
        browsing = Browsing(chromium, portal.origin)
        page = browsing()
        portal.command("staff", "add", SAM)
        page.goto(portal.command("staff", "link", SAM))
        assert "There are no subscriptions yet" in press(page, "Sign in")
        for path in EMPTY:
            page.goto(f"{portal.origin}/console{path}")
            assert problems_in(page) == [], path
        browsing.close()
    assert browsing.watch.problems == []


def problems_in(page: "Page") -> list[str]:
    """What is wrong with a page of the console."""
    assert page.get_by_role("heading", level=1).count() == 1
    return script_free(page.content()) + problems_seen(page) + unseen_focus(page)
