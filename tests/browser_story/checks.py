"""What every page must be: readable by machines that read to people, narrow or wide, light or dark, and small."""

import gzip
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from axe_playwright_python.base import AXE_SCRIPT

from tests.browser_story.watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = {"320 px": (320, 640), "1280 px": (1280, 900)}
MOST_BYTES = 14 * 1024
SMALLEST_TARGET = 44
LEAST_LINE = 24
_OPTIONS = {"iframes": False, "resultTypes": ["violations"]}
_RULES = {  # the scheme changes colours and nothing else
    "light": _OPTIONS | {"rules": {"target-size": {"enabled": True}}},
    "dark": _OPTIONS | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}},
}
PAGE_RULES = ("landmark-one-main", "region")
"""Rules for pages only: a mail is shown inside the page of a mail program."""
_PRESSED = "button, .button, summary, .option, select, textarea, input:not([type=hidden], .option *)"
_SMALL = f"""() => [...document.querySelectorAll('{_PRESSED}')]
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => e.checkVisibility() && (box.height < {SMALLEST_TARGET} || box.width < {SMALLEST_TARGET}))
    .map(([e, box]) => `${{e.outerHTML.slice(0, 80)}} is ${{box.width}} × ${{box.height}} px`)"""
_TIGHT = f"""() => [...document.querySelectorAll('a[href]')]
    .filter(e => e.checkVisibility() && !e.closest('.hidden, .skip'))
    .map(e => [e, Math.max(parseFloat(getComputedStyle(e).lineHeight) || 0, e.getBoundingClientRect().height)])
    .filter(([, height]) => height < {LEAST_LINE})
    .map(([e, height]) => `${{e.outerHTML.slice(0, 80)}} has a line of ${{height}} px: too near another link`)"""
_STOPS = "a[href], button, summary, select, textarea, input, [tabindex='0']"
_UNSEEN_FOCUS = f"""() => [...document.querySelectorAll("{_STOPS}")]
    .filter(e => e.type !== 'hidden' && !e.disabled && e.checkVisibility())
    .filter(e => {{
        e.focus()
        const {{outlineStyle, outlineWidth, outlineColor}} = getComputedStyle(e)
        return document.activeElement !== e || outlineStyle === 'none' || parseFloat(outlineWidth) < 2
            || outlineColor === getComputedStyle(document.body).backgroundColor
    }})
    .map(e => `the focus is not seen on ${{e.outerHTML.slice(0, 80)}}`)"""
_TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? []
    : [`the page is ${document.documentElement.scrollWidth} px wide`, ...[...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
        .map(e => `too far right: ${e.outerHTML.slice(0, 80)}`)]"""


def problems_of(page: "Page", watch: Watch) -> list[str]:
    """All that is wrong with the page that is open."""
    return script_free(_as_sent(watch)) + weight(page, watch) + problems_seen(page)


def problems_seen(page: "Page", but: Sequence[str] = ()) -> list[str]:
    """What is wrong with what a person perceives, whatever the screen; `but` are rules that do not apply."""
    found = []
    page.evaluate(AXE_SCRIPT)
    for scheme in _RULES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            objections = [each for each in violations(page, scheme) if not each.startswith(tuple(but))]
            here = objections + page.evaluate(_SMALL) + page.evaluate(_TIGHT) + page.evaluate(_TOO_WIDE)
            found += [f"{scheme}, {size}: {each}" for each in here]
    return found


def unseen_focus(page: "Page") -> list[str]:
    """On what the focus has no outline, in the scheme and size that the page has now."""
    page.keyboard.press("Tab")  # what a script focuses next counts as focused by the keyboard, too
    return list(page.evaluate(_UNSEEN_FOCUS))


def violations(page: "Page", scheme: str) -> list[str]:
    """What axe objects to, one line an element."""
    results = page.evaluate(f"() => axe.run({json.dumps(_RULES[scheme])})")
    return [
        f"{rule['id']} ({rule['help']}): {node['html'][:120]} {node['failureSummary']}"
        for rule in results["violations"]
        for node in rule["nodes"]
    ]


def weight(page: "Page", watch: Watch) -> list[str]:
    """Whether page and stylesheet, compressed, are more than one round trip brings."""
    address = page.locator("link[rel=stylesheet]").get_attribute("href") or ""
    style = page.request.get(re.sub(r"^(https?://[^/]+).*", rf"\1{address}", page.url)).body()
    compressed = len(gzip.compress(_as_sent(watch).encode(), 6)) + len(gzip.compress(style, 6))
    return [f"page and stylesheet are {compressed} bytes"] if compressed >= MOST_BYTES else []


def script_free(html: str) -> list[str]:
    """The tags and attributes of a page that could run or style something inline."""
    bad = r"<script\b[^>]*>|<style\b[^>]*>|<[a-z][^>]*\s(?:on[a-z]+|style)=[^>]*>|javascript:"
    return [f"on the page: {each}" for each in re.findall(bad, html, re.IGNORECASE)]


def _as_sent(watch: Watch) -> str:
    """The last page as the server sent it; not the mail that it has in a frame."""
    return next(each.text() for each in reversed(watch.bodies) if each.frame.parent_frame is None)
