"""Another site puts the portal into a frame, to have its visitors press what they do not see (T16)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error

from tests.browser_story.running import RunningPortal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
CANCEL = "Cancel at the end of the period"
WAYS = {
    "iframe": '<iframe src="{url}" width="900" height="900"></iframe>',
    "sandboxed iframe": '<iframe src="{url}" sandbox="allow-forms allow-scripts" width="900" height="900"></iframe>',
    "object": '<object data="{url}" type="text/html" width="900" height="900"></object>',
    "embed": '<embed src="{url}" type="text/html" width="900" height="900">',
}
LURE = "<form><button>{button}</button></form>"


class Elsewhere:
    """A site of somebody else's, on another origin; `pages` maps a path to HTML."""

    def __init__(self, host: str) -> None:
        self.pages = pages = {"/lure": LURE.format(button=CANCEL)}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                html = pages.get(self.path, "")
                self.send_response(200 if html else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(f"<!doctype html><title>elsewhere</title>{html}".encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://{host}:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(params=["127.0.0.1", "localhost"])  # another port of the same site, and another site
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    site = Elsewhere(request.param)
    yield site
    site.close()


@pytest.fixture
def victim(chromium: "Browser") -> Iterator["Page"]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


def press_in_frames(page: "Page", button: str) -> int:
    """Presses the button in every frame that shows it; how many did."""
    pressed = 0
    for frame in page.frames[1:]:
        with suppress(Error):  # a frame that goes away while it is looked at shows no button
            found = frame.get_by_role("button", name=button)
            if found.count():
                found.click()
                pressed += 1
    return pressed


def refusals_heard(page: "Page") -> list[str]:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    return said


@pytest.mark.parametrize("way", WAYS)
def test_the_cancel_page_is_shown_in_nobodys_frame(
    way: str, victim: "Page", elsewhere: Elsewhere, aeroedit: RunningPortal
) -> None:
    sub = aeroedit.new()
    link = aeroedit.link("cancel", sub)
    victim.goto(link)  # signed in by the link, as the customer is
    assert victim.get_by_role("button", name=CANCEL).count() == 1
    framed: list[Callable[[], str]] = [lambda: link, lambda: f"{aeroedit.origin}/portal/subscriptions/{sub}/cancel"]
    said = refusals_heard(victim)
    for url in framed:
        elsewhere.pages["/trap"] = WAYS[way].format(url=escape(url()))
        victim.goto(f"{elsewhere.origin}/trap", wait_until="load")
        assert press_in_frames(victim, CANCEL) == 0
        shown = [frame.url for frame in victim.frames[1:] if frame.url.startswith(aeroedit.origin)]
        assert shown == []
        victim.mouse.click(300, 500)
    assert any("frame-ancestors" in each for each in said), said
    assert not aeroedit.row(sub).is_ending


@pytest.mark.parametrize("way", WAYS)
def test_a_page_that_allows_frames_would_be_pressed(way: str, victim: "Page", elsewhere: Elsewhere) -> None:
    """The trap itself works, so that the test above means something."""
    elsewhere.pages["/trap"] = WAYS[way].format(url=f"{elsewhere.origin}/lure")
    victim.goto(f"{elsewhere.origin}/trap", wait_until="load")
    assert press_in_frames(victim, CANCEL) == 1
