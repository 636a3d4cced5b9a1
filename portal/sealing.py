"""What must be readable again, but not by whoever reads the database: secrets that sign webhooks, kept answers.

The keys are derived from PORTAL_SECRET_KEYS. The newest seals, all open; housekeeping seals anew what has to outlive
an older one, so that it may be taken off the list.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal import config


class Unreadable(Exception):
    """No key of PORTAL_SECRET_KEYS has sealed it."""


def seal(content: bytes) -> bytes:
    """The content sealed with the newest key; ASCII, so that it may be stored as text too."""
    return _keys(config.current().secret_keys)[0].encrypt(content)


def unseal(sealed: bytes) -> bytes:
    """What was sealed, with whichever key. Raises Unreadable."""
    try:
        return MultiFernet(_keys(config.current().secret_keys)).decrypt(sealed)
    except InvalidToken:
        raise Unreadable("No key of PORTAL_SECRET_KEYS opens this secret.") from None


def is_by_newest(sealed: bytes) -> bool:
    """Whether the newest key has sealed it."""
    try:
        _keys(config.current().secret_keys)[0].decrypt(sealed)
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=4)
def _keys(secrets: tuple[str, ...]) -> tuple[Fernet, ...]:
    return tuple(Fernet(base64.urlsafe_b64encode(_derived(each))) for each in secrets)


def _derived(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portal.sealing").derive(secret.encode())
