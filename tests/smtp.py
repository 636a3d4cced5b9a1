"""A real SMTP server for the tests: keeps what it gets, and fails on demand in the ways mail servers do."""

import asyncio
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import Enum
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.ports import free_port


class Behaviour(Enum):
    """How the server answers a message."""

    NORMAL = "normal"
    REFUSE_FOR_NOW = "451 4.7.1 Greylisted, try again later"
    REFUSE = "550 5.1.1 No such user here"
    SLOW = "the message is kept, but the answer takes `delay` seconds"
    ACCEPT_THEN_DROP = "the message is kept, but the connection breaks before the answer"


@dataclass(frozen=True)
class Received:
    """A message, with the envelope it came in."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The plain text part."""
        part = self.message.get_body(("plain",))
        return str(part.get_content()) if part else ""

    @property
    def html(self) -> str:
        """The HTML part."""
        part = self.message.get_body(("html",))
        return str(part.get_content()) if part else ""


class MailServer:
    """`with MailServer() as mail:` listens on mail.port; set mail.behaviour to make it fail.

    `attempts` counts the messages offered, refused ones too; `refused_recipients` are turned down with
    550 at RCPT while the others go through. stop() and start() keep the port: a server that is down.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = free_port()
        self.behaviour = Behaviour.NORMAL
        self.delay = 2.0
        self.attempts = 0
        self.refused_recipients: set[str] = set()
        self.received: list[Received] = []
        self._controller: Controller | None = None

    def __enter__(self) -> "MailServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        if self._controller is None:
            self._controller = Controller(self, hostname=self.host, port=self.port, enable_SMTPUTF8=True)
            self._controller.start()

    def stop(self) -> None:
        if self._controller:
            self._controller.stop()
            self._controller = None

    def reset(self) -> None:
        """Up, well-behaved and empty: for the fixture, between two tests."""
        self.behaviour = Behaviour.NORMAL
        self.attempts = 0
        self.refused_recipients.clear()
        self.received.clear()
        self.start()

    def to(self, address: str) -> list[Received]:
        """The messages one recipient got, oldest first."""
        return [mail for mail in self.received if address in mail.recipients]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused_recipients:
            return Behaviour.REFUSE.value
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.attempts += 1
        behaviour = self.behaviour
        if behaviour in (Behaviour.REFUSE, Behaviour.REFUSE_FOR_NOW):
            return behaviour.value
        self.received.append(_parse(envelope))
        if behaviour is Behaviour.SLOW:
            await asyncio.sleep(self.delay)
        if behaviour is Behaviour.ACCEPT_THEN_DROP:
            transport: Any = server.transport
            transport.abort()
        return "250 OK"


def _parse(envelope: Envelope) -> Received:
    content = envelope.content
    raw = content if isinstance(content, bytes) else (content or "").encode()
    message = message_from_bytes(raw, policy=policy.default)
    return Received(envelope.mail_from or "", tuple(envelope.rcpt_tos), message)
