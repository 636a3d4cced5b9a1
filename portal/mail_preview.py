"""A mail as somebody reads it who may not have its links' power: no token is made for what is shown."""

from dataclasses import dataclass

from flask import Response

from portal.domain.mails import Mail
from portal.outbox import emails, mail_samples
from portal.web import content_security_policy

_FRAME = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)


@dataclass(frozen=True)
class Preview:
    subject: str
    text: str
    html: str


def of(mail: Mail) -> Preview | None:
    """Subject, text and HTML of a mail; its links are the plain addresses of their pages.

    None if it can't be written at all, as for an address that is none.
    """
    try:
        message = emails.compose(mail, powerless=True)
    except emails.UnusableAddress:
        return None
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    return Preview(
        subject=str(message["Subject"]),
        text=str(plain.get_content()) if plain else "",
        html=str(html.get_content()) if html else "",
    )


def states(kind: str) -> tuple[str, ...]:
    """The states of a kind of mail that there are samples of, the usual one first."""
    return tuple(mail_samples.states(kind))


def trigger(kind: str) -> str:
    """What lets a kind of mail be sent, in one line."""
    return mail_samples.TRIGGERS.get(kind, "")


def sample(kind: str, state: str, locale: str) -> Mail:
    """A made-up mail of a kind in one of its states."""
    return mail_samples.letter(kind, locale, **mail_samples.states(kind)[state])


def framed(html: str) -> Response:
    """The HTML for a frame of our own: nothing in it runs, loads, or leads anywhere."""
    response = Response(html)
    response.headers["Content-Security-Policy"] = _FRAME
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def holding_frame(page: str) -> Response:
    """A page that shows such a frame."""
    response = Response(page)
    response.headers["Content-Security-Policy"] = content_security_policy() + "; frame-src 'self'"
    return response
