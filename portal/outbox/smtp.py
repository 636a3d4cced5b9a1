"""The seller's mail server: one connection for a batch of mails, and what its answers mean for a mail."""

import contextlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from portal.config import ConfigError

TIMEOUT_SECONDS = 15


class Unreachable(Exception):
    """The server as a whole can't be used now; every mail waits."""


class Deferred(Exception):
    """This mail was not taken for now."""


class Refused(Exception):
    """This mail will never be taken."""


@dataclass(frozen=True)
class Place:
    """What PORTAL_SMTP_URL says."""

    host: str
    port: int
    tls: bool
    starttls: bool
    user: str
    password: str


def place(url: str) -> Place:
    """`smtp://user:password@host:port?starttls=1`, `smtps://…`. Raises ConfigError."""
    parts = urlsplit(url)
    tls, starttls = parts.scheme == "smtps", parse_qs(parts.query).get("starttls") == ["1"]
    try:
        port = parts.port or (465 if tls else 587 if starttls else 25)
    except ValueError:
        port = 0
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or not port:
        raise ConfigError("PORTAL_SMTP_URL must look like smtp://user:password@host:port, or smtps://…")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Place(parts.hostname, port, tls, starttls, user, password)


class Server:
    """Connects when the first mail needs it, and again after the connection broke.

    `name` is how we introduce ourselves; given, so that no DNS is asked for it.
    """

    def __init__(self, where: Place, *, name: str) -> None:
        self._where, self._name = where, name
        self._connection: smtplib.SMTP | None = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._connection is not None and kind is None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._connection.quit()
        self._drop()

    def send(self, message: EmailMessage) -> None:
        """Returns once the server has taken the mail over. Raises Unreachable, Deferred, Refused."""
        if self._connection is None or self._connection.sock is None:
            self._connection = self._connect()
        sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        try:
            self._connection.send_message(message, sender, [recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            raise _meaning(*next(iter(refused.recipients.values()))) from None
        except smtplib.SMTPSenderRefused as refused:
            # Our own sender or credentials are at fault: no reason to give up a customer's mail.
            raise Deferred(_said(refused.smtp_code, refused.smtp_error)) from None
        except smtplib.SMTPResponseException as refused:
            raise _meaning(refused.smtp_code, refused.smtp_error) from None
        except smtplib.SMTPNotSupportedError:
            raise Refused("the mail server does not take addresses of other scripts") from None
        except (OSError, smtplib.SMTPException) as trouble:
            self._drop()
            raise Deferred(f"the connection broke: {type(trouble).__name__}") from None

    def _connect(self) -> smtplib.SMTP:
        connection = None
        try:
            connection = self._greet()
            if self._where.starttls:
                connection.starttls(context=ssl.create_default_context())
            if self._where.user:
                connection.login(self._where.user, self._where.password)
        except smtplib.SMTPResponseException as refused:
            _close(connection)
            raise Unreachable(f"it answered {refused.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as trouble:
            _close(connection)
            raise Unreachable(type(trouble).__name__) from None
        return connection

    def _greet(self) -> smtplib.SMTP:
        host, port = self._where.host, self._where.port
        if self._where.tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, self._name, timeout=TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(host, port, self._name, timeout=TIMEOUT_SECONDS)

    def _drop(self) -> None:
        _close(self._connection)
        self._connection = None


def _close(connection: smtplib.SMTP | None) -> None:
    if connection is not None:
        connection.close()


def _meaning(code: int, words: bytes | str) -> Exception:
    return Refused(_said(code, words)) if 500 <= code < 600 else Deferred(_said(code, words))


def _said(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join(f"{code} {text}".split())
