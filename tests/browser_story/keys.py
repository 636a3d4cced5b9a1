"""A person who uses the keyboard alone, and needs to see where they are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

_MOST_STOPS = 60
_FOCUSED = """() => {
    const e = document.activeElement
    if (!e || e === document.body || e === document.documentElement) return null
    const style = getComputedStyle(e), box = e.getBoundingClientRect()
    const words = e.labels && e.labels.length ? e.labels[0].innerText : e.innerText
    return {
        name: words.trim().replace(/\\s+/g, ' '),
        id: e.id,
        outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
            && style.outlineColor !== getComputedStyle(document.body).backgroundColor,
        seen: box.top >= 0 && box.left >= 0 && box.right <= innerWidth
            && (e.tagName === 'TEXTAREA' ? box.top < innerHeight : Math.floor(box.bottom) <= innerHeight),
        top: box.top + scrollY,
        bottom: box.bottom + scrollY,
    }
}"""
_EVERY_STOP = """() => {
    const groups = new Set()
    return [...document.querySelectorAll('a[href], button, summary, select, textarea, input, [tabindex="0"]')]
        .filter(e => e.type !== 'hidden' && !e.disabled && e.checkVisibility())
        .filter(e => e.type !== 'radio' || (!groups.has(e.name) && groups.add(e.name)))
        .map(e => (e.labels && e.labels.length ? e.labels[0].innerText : e.innerText).trim().replace(/\\s+/g, ' '))
}"""


@dataclass(frozen=True)
class Stop:
    """Where the focus is: what it says there, and whether it can be seen; of a text area, where the text begins."""

    name: str
    id: str
    outlined: bool
    seen: bool
    top: float
    bottom: float


class Keyboard:
    def __init__(self, page: "Page") -> None:
        self.page = page

    def focused(self) -> Stop | None:
        found: dict[str, Any] | None = self.page.evaluate(_FOCUSED)
        return Stop(**found) if found else None

    def tab(self) -> Stop | None:
        """One Tab further; wherever the focus comes to, it can be seen."""
        self.page.keyboard.press("Tab")
        stop = self.focused()
        if stop is not None:
            assert stop.outlined, f"the focus on {stop.name!r} has no outline"
            assert stop.seen, f"{stop.name!r} has the focus and is out of sight"
        return stop

    def tab_to(self, name: str) -> "Keyboard":
        """Tabs on until the focus is on what has this name."""
        passed = []
        for _ in range(_MOST_STOPS):
            stop = self.tab()
            if stop is not None and stop.name.startswith(name):
                return self
            passed.append(stop.name if stop else None)
        raise AssertionError(f"no Tab leads to {name!r}; it led to {passed}")

    def skip_to_content(self) -> str:
        """By the first stop of a page; answers the name of the first stop in the content."""
        skip = self.tab()
        assert skip is not None
        assert skip.name == "Skip to the content"
        self.press()
        self.page.locator("main:focus").wait_for()
        first = self.tab()
        assert first is not None
        return first.name

    def press(self, key: str = "Enter") -> "Keyboard":
        self.page.keyboard.press(key)
        return self

    def enter(self) -> "Keyboard":
        """Presses Enter on a link or a button, and waits for the page that it leads to."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        return self

    def type(self, text: str) -> "Keyboard":
        self.page.keyboard.type(text)
        return self

    def walk(self) -> list[Stop]:
        """Every stop from the top of the page to its end."""
        stops: list[Stop] = []
        for _ in range(_MOST_STOPS):
            stop = self.tab()
            if stop is None or (stops and (stop.name, stop.top) == (stops[0].name, stops[0].top)):
                return stops
            stops.append(stop)
        raise AssertionError(f"the Tab key never leaves the page: {[stop.name for stop in stops]}")

    def every_stop(self) -> list[str]:
        """What can be pressed or filled in, in the order in which it is read out."""
        return list(self.page.evaluate(_EVERY_STOP))
