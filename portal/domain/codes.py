"""Countries and currencies that exist, as the Unicode locale data knows them."""

import re
from functools import cache

from babel import Locale
from babel.numbers import get_territory_currencies

from portal.errors import InvalidRequest

_NO_COUNTRIES = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])
NEED_POSTAL_CODE = ("AU", "CA", "DE", "ES", "FR", "GB", "IN", "IT", "NL", "US")
"""Where an address without a postal code is refused, as in the contract (`docs/api.md`)."""


@cache
def countries() -> frozenset[str]:
    """Two capital letters each: ISO 3166-1, and XK."""
    known = map(str, Locale("en").territories)
    return frozenset(each for each in known if re.fullmatch("[A-Z]{2}", each) and each not in _NO_COUNTRIES)


@cache
def currencies() -> frozenset[str]:
    """Three capital letters each: what is legal tender somewhere today."""
    return frozenset(currency for country in countries() for currency in get_territory_currencies(country))


def refuse_without_postal_code(country: str, postal_code: str | None) -> None:
    """Raises InvalidRequest where the country needs one."""
    if country in NEED_POSTAL_CODE and not (postal_code or "").strip():
        fields = [{"field": "postal_code", "message": f"is needed for addresses in {country}"}]
        raise InvalidRequest("invalid_field", "Request does not pass validation. Nothing was changed.", fields=fields)
