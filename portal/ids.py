"""Prefixed ids whose order is the order of their making: `sub_` + 26 characters of `[0-9a-z]`.

The 26 characters are a ULID in lower case: 48 bits of milliseconds, then 80 random bits that
count upwards within one millisecond, so that event ids ascend (contract: `docs/api.md`).
"""

import re
import secrets
import threading
from datetime import datetime

from portal import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0


def new(prefix: str) -> str:
    """A fresh id of this kind, e.g. `new("sub")` → `sub_01jcgfqad406rsfjcgq44g9djq`."""
    return f"{prefix}_{_encode(_next_number())}"


def later(id: str, prefix: str, steps: int) -> str:
    """The id of another kind that belongs to this one: its number and some steps more, so that order is kept."""
    number = 0
    for character in id.rpartition("_")[2]:
        number = number << 5 | _ALPHABET.index(character)
    return f"{prefix}_{_encode(number + steps)}"


def earliest(prefix: str, at: datetime) -> str:
    """The id before all that were made from this instant on."""
    return f"{prefix}_{_encode(max(0, int(at.timestamp() * 1000)) << 80)}"


def is_id(text: object, prefix: str) -> bool:
    """Whether a text has the form of an id of this kind; says nothing about its existence."""
    return isinstance(text, str) and re.fullmatch(rf"{prefix}_[0-9a-z]{{26}}", text) is not None


def _next_number() -> int:
    global _last
    with _lock:
        milliseconds = int(clock.now().timestamp() * 1000)
        if milliseconds == _last >> 80:
            _last += 1 + secrets.randbits(32)
        else:
            _last = (milliseconds << 80) | secrets.randbits(79)
        return _last


def _encode(number: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
