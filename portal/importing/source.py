"""Text → entries. JSON is read a piece at a time, so that a large file never stands in memory whole."""

import json
import re
from collections.abc import Iterator
from typing import Any, Never, TextIO

PIECE = 1 << 20
KINDS = ("customers", "addresses", "businesses", "products", "prices", "subscriptions")
_PASSED_OVER = ("meta",)
_SPACE = re.compile(r"[ \t\r\n]*")


class Malformed(Exception):
    """The file is not what it should be, beyond one entry; its text says where and how."""


def entries(file: TextIO) -> Iterator[tuple[str, Any]]:
    """Every entry with the place where it stands: `subscriptions[3]`. Raises Malformed."""
    text = _Json(file)
    if text.peek() == "[":
        yield from _elements(text, "")
    elif text.peek() == "{":
        yield from _members(text)
    else:
        text.fail("takes a JSON object or list")
    if text.peek():
        text.fail("something follows the end of the JSON")


def _elements(text: "_Json", key: str) -> Iterator[tuple[str, Any]]:
    text.take("[")
    number = 0
    while not text.accept("]"):
        if number:
            text.take(",")
        yield f"{key}[{number}]", text.value()
        number += 1


def _members(text: "_Json") -> Iterator[tuple[str, Any]]:
    """The lists of an object; or the object itself, if it is an entity."""
    own: dict[str, Any] = {}
    lists = 0
    text.take("{")
    while not text.accept("}"):
        if own or lists:
            text.take(",")
        key = text.key()
        if key in (*KINDS, "data") and text.peek() == "[":
            yield from _elements(text, key)
            lists += 1
        else:
            own[key] = text.value()
    yield from _whole(own, lists > 0)


def _whole(own: dict[str, Any], has_lists: bool) -> Iterator[tuple[str, Any]]:
    if "id" in own:
        yield "", own
        return
    if "data" in own:
        yield "data", own.pop("data")
        has_lists = True
    for key in own.keys() - set(_PASSED_OVER):
        reason = "takes a list" if key in KINDS else f"can't be imported; the lists are {', '.join(KINDS)}"
        raise Malformed(f"{key}: {reason}")
    if not has_lists:
        raise Malformed(f"holds nothing to import: no entity and none of the lists {', '.join(KINDS)}")


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


class _Json:
    """A place in a JSON text, and what can be read from there."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at, self._line = file, "", 0, 1
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)

    def peek(self) -> str:
        """The next character that is not space; nothing at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def accept(self, character: str) -> bool:
        found = self.peek() == character
        self._at += found
        return found

    def take(self, character: str) -> None:
        if not self.accept(character):
            self.fail(f"{character} is missing")

    def key(self) -> str:
        if self.peek() != '"':
            self.fail("a key in quotes is missing")
        key = self.value()
        self.take(":")
        return str(key)

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as wrong:
                if not self._fill():
                    self._at = wrong.pos
                    self.fail(wrong.msg)
            except (ValueError, RecursionError) as wrong:
                self.fail("is nested too deeply" if isinstance(wrong, RecursionError) else str(wrong).split(":")[0])
            else:
                if end < len(self._text) or not self._fill():
                    self._at = end
                    return value

    def fail(self, message: str) -> Never:
        line = self._line + self._text.count("\n", 0, self._at)
        raise Malformed(f"line {line}: no JSON that could be read: {message}")

    def _fill(self) -> bool:
        """Reads on, twice as far each time it was not enough; False at the end."""
        more = self._file.read(max(PIECE, len(self._text) - self._at))
        if not more:
            return False
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        return True
