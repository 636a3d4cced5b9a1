"""The demo's mailbox: a real SMTP server that keeps each mail as a file, and pages that show them.

The mails are shown as a mail program would: without scripts, in a frame that is a stranger to the portal, whose
links open in the whole window.
"""

import logging
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Blueprint, Response, abort, render_template

from portal import config, ids
from portal.web import content_security_policy

blueprint = Blueprint("mailbox", __name__, url_prefix="/mailbox")
_MOST_SHOWN = 200
_FRAME = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-top-navigation-by-user-activation"
)


class _Keeper:
    """Stores each message under a name that sorts by arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        name = ids.new("eml")
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(unfinished, self.folder / f"{name}.eml")
        return "250 OK"


@dataclass(frozen=True)
class Received:
    name: str
    message: EmailMessage

    @property
    def to(self) -> str:
        return str(self.message["To"])

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def sent_at(self) -> datetime:
        return parsedate_to_datetime(str(self.message["Date"])).astimezone(UTC)

    def part(self, kind: str) -> str:
        """The text (`plain`) or `html` part; empty if there is none."""
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part else ""


def start_server(folder: str | Path, port: int = 0) -> Controller:
    """A running SMTP server on 127.0.0.1; `.port` says where, `.stop()` ends it."""
    kept = Path(folder)
    kept.mkdir(parents=True, exist_ok=True)
    controller = Controller(_Keeper(kept), hostname="127.0.0.1", port=port or _free_port(), enable_SMTPUTF8=True)
    controller.start()
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's; else it writes down whole mails
    return controller


@blueprint.get("")
def inbox() -> str:
    names = sorted((path.stem for path in _folder().glob("eml_*.eml")), reverse=True)[:_MOST_SHOWN]
    return render_template("demo/mailbox.html", mails=[_read(name) for name in names])


@blueprint.get("/<name>")
def mail(name: str) -> Response:
    response = Response(render_template("demo/mail.html", mail=_read(name)))
    response.headers["Content-Security-Policy"] = content_security_policy() + "; frame-src 'self'"
    return response


@blueprint.get("/<name>/html")
def html(name: str) -> Response:
    """The mail itself. Its links open in the whole window, not in the frame."""
    shown = _read(name).part("html").replace("<head>", '<head><base target="_top">', 1)
    response = Response(shown)
    response.headers["Content-Security-Policy"] = _FRAME
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _folder() -> Path:
    return Path(config.current().demo_mailbox)


def _read(name: str) -> Received:
    path = _folder() / f"{name}.eml"
    if not ids.is_id(name, "eml") or not path.is_file():
        abort(404)
    return Received(name, message_from_bytes(path.read_bytes(), policy=policy.default))


def _free_port() -> int:
    """aiosmtpd does not find one by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
