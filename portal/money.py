"""Amounts are whole numbers of a currency's minor unit; their text depends on the reader's language."""

from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_currency, get_currency_precision


@lru_cache(maxsize=4096)
def text(amount: int, currency: str, locale: str) -> str:
    """`text(3000, "USD", "en")` → `$30.00`; `text(3000, "JPY", "de")` → `3.000 ¥`."""
    major = Decimal(amount).scaleb(-get_currency_precision(currency))
    return format_currency(major, currency, locale=locale)


def plain(amount: int, currency: str) -> str:
    """For tables that are computed with: `plain(3000, "USD")` → `30.00`."""
    return str(Decimal(amount).scaleb(-get_currency_precision(currency)))
