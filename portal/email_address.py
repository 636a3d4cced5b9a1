"""What an email address is, in one place for every door."""

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
