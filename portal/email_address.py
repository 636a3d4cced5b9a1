"""What an email address is, in one place for every door."""

import idna
from email_validator import EmailNotValidError, validate_email

LONGEST = 254
"""RFC 5321."""


class NoAddress(ValueError):
    """A text that mail can't be sent to; its own text says why."""


def normalized(text: str) -> str:
    """An address in the one spelling that all of its spellings have in common. Raises NoAddress.

    The length is asked first: a long text takes minutes to be normalized.
    """
    if len(text) > LONGEST:
        raise NoAddress(f"An email address has {LONGEST} characters at most.")
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as wrong:
        raise NoAddress(str(wrong)) from None


def key(text: str) -> str:
    """An address in the form in which two spellings are the same mailbox.

    In lower case and no more: `casefold` makes `groß` to `gross`, which is somebody else's domain.
    """
    try:
        return normalized(text.strip()).lower()
    except NoAddress:
        return text.strip().lower()


def ascii_domain(domain: str) -> str:
    """A domain in the form that every mail server takes. Raises ValueError.

    By IDNA 2008, as registries do it; Python's own `idna` codec makes `groß` to `gross`.
    """
    return (domain.encode("idna") if domain.isascii() else idna.encode(domain, uts46=True)).decode()
