"""One browser and one running portal, with the demo's seller, for all tests of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portal.demo import seller
from tests.browser import launch_browser
from tests.browser_story.running import RunningPortal
from tests.browser_story.watching import Browsing, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def chromium() -> Iterator["Browser"]:
    with launch_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def aeroedit(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """The demo's seller on SQLite: each test uses a customer of its own, or only looks."""
    folder = tmp_path_factory.mktemp("aeroedit")
    shutil.copy(sqlite_template, folder / "portal.db")
    (folder / "mailbox").mkdir()
    portal = RunningPortal(
        folder,
        f"sqlite:///{folder / 'portal.db'}",
        web_workers="1",
        sign_in_per_client="1000",
        demo_mailbox=str(folder / "mailbox"),
    )
    with portal.inside():
        seller.load()
    with portal:
        yield portal


@pytest.fixture
def browse(chromium: "Browser", aeroedit: RunningPortal) -> Iterator[Browsing]:
    """`page = browse()` is somebody's own browser on the shared portal, in which nothing may go wrong."""
    yield from watched(chromium, aeroedit.origin)


@pytest.fixture
def browsing(chromium: "Browser", portal: RunningPortal) -> Iterator[Browsing]:
    """The same on the portal that a story has for itself."""
    yield from watched(chromium, portal.origin)
