"""What a database and an answer can hold: no NUL, no half characters, no huge numbers, nothing nested without end."""

import math
import re
from typing import Any

DEEPEST = 60
LARGEST = 2**53
_SURROGATE = re.compile("[\ud800-\udfff]")


def require(value: Any) -> Any:
    """The value itself, a text or any JSON. Raises ValueError, which says where the first defect is and what."""
    found = _find(value, "", 0)
    if found:
        raise ValueError(": ".join(filter(None, found)))
    return value


def _find(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    if not isinstance(value, dict | list):
        return (path, defect) if (defect := _defect(value)) else None
    if depth == DEEPEST:
        return path, "is nested too deeply"
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        place = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        found = (path, f"a name {_defect(key)}") if _defect(key) else _find(inner, place, depth + 1)
        if found:
            return found
    return None


def _defect(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL character, which can't be stored; remove it"
        if not value.isascii() and _SURROGATE.search(value):
            return "holds half a character (a lone surrogate), which can't be stored; remove it"
    elif value is not None and not (math.isfinite(value) and abs(value) <= LARGEST):
        return "is a number too large to be stored"
    return ""
