"""How languages are spelled: by people in any way, in here as babel does, `de_AT`."""

import re
from contextlib import suppress

from babel import Locale, UnknownLocaleError

_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_LONGEST, _MOST = 35, 50


def spelled(text: str) -> str:
    """`de-at` as `de_AT`. Raises ValueError for a text that names no language."""
    if len(text) <= _LONGEST and _LOCALE.fullmatch(text):
        with suppress(UnknownLocaleError, ValueError):
            return str(Locale.parse(text.replace("-", "_")))
    raise ValueError("languages such as en or de")


def several(value: str) -> tuple[str, ...]:
    """Languages with commas between them, in this order and none twice. Raises ValueError."""
    named = dict.fromkeys(part.strip() for part in value.split(",") if part.strip())
    if len(named) > _MOST:
        raise ValueError(f"{_MOST} languages at most")
    return tuple(dict.fromkeys(map(spelled, named)))
