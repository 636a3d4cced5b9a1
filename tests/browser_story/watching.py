"""Watches all that a browser does: its console stays silent, no request fails or leaves the portal's origin."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

_LOAD_ERROR = "Failed to load resource: the server responded with a status of"


@dataclass
class Watch:
    """`expected` are the statuses from 400 on that a test provokes; `documents` the pages asked for, in order.

    `downloads` are the paths of files, which a browser takes out of the page as if the request had failed.
    """

    origin: str
    expected: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    documents: list[tuple[str, str, int]] = field(default_factory=list)
    bodies: list["Response"] = field(default_factory=list)
    downloads: set[str] = field(default_factory=set)

    def follow(self, context: "BrowserContext") -> None:
        context.on("console", self._said)
        context.on("weberror", lambda wrong: self.problems.append(f"a script failed: {wrong.error}"))
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def expect(self, *statuses: int) -> None:
        self.expected.update(statuses)

    def asked(self) -> list[str]:
        """`GET /portal` for each page asked for since the last call; ids as `{id}`, queries left out."""
        seen = [f"{method} {re.sub(r'(sub|txn)_[0-9a-z]{26}', '{id}', path)}" for method, path, _ in self.documents]
        self.documents.clear()
        return seen

    def _said(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_LOAD_ERROR):
            self.problems.append(f"console {message.type}: {message.text}")

    def _asked(self, request: "Request") -> None:
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.problems.append(f"a request to another origin: {request.url}")

    def _failed(self, request: "Request") -> None:
        if urlsplit(request.url).path in self.downloads and request.failure == "net::ERR_ABORTED":
            return
        self.problems.append(f"a request failed: {request.method} {request.url} ({request.failure})")

    def _answered(self, response: "Response") -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and response.status not in self.expected:
            self.problems.append(f"{response.status} for {response.request.method} {path}")
        if response.request.resource_type == "document":
            self.documents.append((response.request.method, path, response.status))
            if not 300 <= response.status < 400:
                self.bodies.append(response)


def press(page: "Page", name: str, role: Literal["button", "link"] = "button") -> str:
    """Presses a button, or a link, with just this name; the words of the page that follows."""
    with page.expect_navigation():
        page.get_by_role(role, name=name, exact=True).click()
    return str(page.locator("main").inner_text())


class Browsing:
    """Opens browsers for people, each a stranger to the others, and watches them all."""

    def __init__(self, chromium: Any, origin: str) -> None:
        self.chromium, self.watch = chromium, Watch(origin)
        self.contexts: list[BrowserContext] = []

    def __call__(self, **options: Any) -> "Page":
        context = self.chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        self.watch.follow(context)
        return context.new_page()

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def watched(chromium: Any, origin: str) -> Iterator[Browsing]:
    """For a fixture: at its end nothing may have gone wrong in any of the browsers."""
    browsing = Browsing(chromium, origin)
    yield browsing
    browsing.close()
    assert browsing.watch.problems == []
