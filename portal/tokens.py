"""What a link carries: `pga_` + a signed line of a few short claims. The only file that imports itsdangerous.

    pga_<origin>.<subscription>.<page>.<expires>.<issued>.<signature>

The salt is the purpose, so a token of one purpose never passes for another. The newest secret signs, all verify.
A link reveals ids and times, nothing else, and stays well under 300 characters.
Errors: Forged (never ours, or altered in a single bit) and Expired (ours, authentic, too old).
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, int_to_bytes

from portal import clock, config

PORTAL_SESSION = "portal-session"
"""A link an app asked for; its origin is the portal session (`cpls_`)."""
DIRECT = "customer"
"""A link in a mail, from `portal link` or in management_urls; its origin is the customer (`ctm_`)."""
SIGN_IN = "sign-in"
"""A link that signs in, once; its origin is the sign-in request (`sil_`)."""
STAFF_SIGN_IN = "staff-sign-in"
"""A link that signs somebody of the staff in to the console, once; its origin is the request (`ssi_`)."""
CHECKOUT = "checkout"
"""A link to the checkout of one transaction (`txn_`), and to nothing else."""
CHECKOUT_VISIT = "checkout-visit"
"""The cookie of a browser that followed such a link; its origin is the transaction (`txn_`)."""
INVOICE = "invoice"
"""A link to one transaction's invoice (`txn_`), for an app that asked for it."""

_PREFIX = "pga_"
_ORIGIN_PREFIX = {
    PORTAL_SESSION: "cpls_",
    DIRECT: "ctm_",
    SIGN_IN: "sil_",
    STAFF_SIGN_IN: "ssi_",
} | dict.fromkeys((CHECKOUT, CHECKOUT_VISIT, INVOICE), "txn_")
_LONGEST = 300
_FORM = re.compile(r"pga_([0-9a-z]{26})\.([0-9a-z]{26})?\.([a-z-]{1,12})\.([0-9a-z]{1,9})\.[\w-]+\.[\w-]+", re.ASCII)


class Forged(Exception):
    """Not a token of ours for this purpose."""


class Expired(Exception):
    """A token of ours whose time is over; `claims` says what it was for."""

    def __init__(self, claims: "Claims") -> None:
        super().__init__("the link has expired")
        self.claims = claims


@dataclass(frozen=True)
class Claims:
    purpose: str
    origin: str
    subscription: str | None
    page: str
    expires_at: datetime
    issued_at: datetime


class _Signer(TimestampSigner):
    """Signs with SHA-256 and derives each key once."""

    def __init__(self, purpose: str, secrets: tuple[str, ...]) -> None:
        super().__init__(
            list(reversed(secrets)),
            salt=f"portal.{purpose}",
            sep=".",
            digest_method=hashlib.sha256,
            key_derivation="hmac",
        )
        self._derived: dict[object, bytes] = {}

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        if secret_key not in self._derived:
            self._derived[secret_key] = super().derive_key(secret_key)
        return self._derived[secret_key]


def _signed(dated: str, key: bytes) -> str:
    """What `sign` does, once the instant of issue stands in the line: a mail sent again carries the same link.

    In one call, without the objects the library makes for each: a list of subscriptions has 600 signatures.
    """
    return f"{dated}.{base64_encode(hmac.digest(key, dated.encode(), 'sha256')).decode()}"


@lru_cache(maxsize=16)
def _signer(purpose: str, secrets: tuple[str, ...]) -> _Signer:
    return _Signer(purpose, secrets)


def issue(
    purpose: str,
    origin: str,
    *,
    page: str,
    expires_at: datetime,
    subscription: str | None = None,
    issued_at: datetime | None = None,
) -> str:
    """A token for one page. The same arguments and the same `issued_at` give the same token."""
    return issuer(purpose, expires_at=expires_at, issued_at=issued_at or clock.now())(origin, page, subscription)


def issuer(purpose: str, *, expires_at: datetime, issued_at: datetime) -> Callable[[str, str, str | None], str]:
    """Issues tokens of the same instants, each for (origin, page, subscription)."""
    signer = _signer(purpose, config.current().secret_keys)
    key = signer.derive_key(signer.secret_key)
    expiry = _base36(int(expires_at.timestamp()))
    stamp = base64_encode(int_to_bytes(int(issued_at.timestamp()))).decode()

    def issue(origin: str, page: str, subscription: str | None) -> str:
        line = f"{_bare(origin)}.{_bare(subscription or '')}.{page}.{expiry}.{stamp}"
        return _PREFIX + _signed(line, key)

    return issue


def read(token: str, *purposes: str) -> Claims:
    """The claims of a token of one of these purposes.

    Raises Forged, or Expired for an authentic token past its time.
    """
    match = _FORM.fullmatch(token) if len(token) <= _LONGEST else None
    if match is None:
        raise Forged
    for purpose in purposes:
        try:
            _line, issued_at = _signer(purpose, config.current().secret_keys).unsign(
                token[len(_PREFIX) :], return_timestamp=True
            )
        except BadData:
            continue
        return _claims(purpose, match, token, issued_at)
    raise Forged


def _claims(purpose: str, match: re.Match[str], token: str, issued_at: datetime) -> Claims:
    signature = token.rpartition(".")[2]
    if base64_encode(base64_decode(signature)).decode() != signature:
        raise Forged
    origin, subscription, page, expiry = match.groups()
    claims = Claims(
        purpose=purpose,
        origin=_ORIGIN_PREFIX[purpose] + origin,
        subscription=f"sub_{subscription}" if subscription else None,
        page=page,
        expires_at=datetime.fromtimestamp(int(expiry, 36), UTC),
        issued_at=issued_at.astimezone(UTC),
    )
    if clock.now() >= claims.expires_at:
        raise Expired(claims)
    return claims


def _bare(prefixed_id: str) -> str:
    return prefixed_id.rpartition("_")[2]


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits
