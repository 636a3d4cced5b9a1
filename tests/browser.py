"""Headless Chromium for the tests: the system's own, driven by Playwright (which downloads nothing here).

`python -m tests.browser` prints the browser's path, or says that there is none.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

# A test browser talks to the portal alone: no look-ups of its maker's hosts in the background.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find_browser() -> str | None:
    """The path of a Chromium: PORTAL_TEST_BROWSER if set, else one that is installed."""
    if chosen := os.environ.get("PORTAL_TEST_BROWSER"):
        return shutil.which(chosen)
    return next(filter(None, map(shutil.which, (*NAMES, MAC))), None)


@contextmanager
def launch_browser() -> Iterator["Browser"]:
    """A running Chromium, also as root; made to be the body of a session fixture."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        raise RuntimeError("no Chromium found: run `make browser`, or set PORTAL_TEST_BROWSER to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=Path(path), headless=True, chromium_sandbox=False, args=ARGUMENTS
        )
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    print(find_browser() or sys.exit("no Chromium found"))
