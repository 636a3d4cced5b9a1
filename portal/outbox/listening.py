"""An endpoint for whoever builds one: takes webhooks on this machine, says what came and whether it was genuine."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson

from portal.outbox import signatures
from portal.terminal import plain

_MOST_BYTES = 2_000_000
Say = Callable[[str], None]


class Listener:
    """Answers 200 to what is signed with the secret, 401 to anything else, and 500 to the first `fail_first`."""

    def __init__(self, port: int, secret: str, *, fail_first: int, say: Say) -> None:
        self.secret, self.failures_left, self.say, self.seen = secret, fail_first, say, 0
        self.server = HTTPServer(("127.0.0.1", port), _handler(self))

    def listen(self, most: int | None) -> None:
        """Until so many deliveries have come."""
        with self.server:
            while most is None or self.seen < most:
                self.server.handle_request()

    def take(self, sent: dict[str, str], body: bytes) -> int:
        """The status that a delivery is answered with."""
        self.seen += 1
        genuine = signatures.is_genuine(sent, body, self.secret)
        status = 200 if genuine else 401
        if self.failures_left > 0:
            self.failures_left, status = self.failures_left - 1, 500
        self.say(f"{_summary(body)}  signatures: {'good' if genuine else 'WRONG'}  answered {status}")
        if genuine:
            told = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
            self.say("\n".join(map(plain, told.split("\n"))))
        return status


def _summary(body: bytes) -> str:
    try:
        told = orjson.loads(body)
        return plain(f"{told['event_type']}  {told['event_id']}  {told['occurred_at']}"[:200])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"{len(body)} bytes that are no event"


def _handler(listener: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def log_message(self, *_: Any) -> None:
            """The listener says what there is to say."""

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _MOST_BYTES:
                self.send_error(413)
                return
            sent = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(listener.take(sent, self.rfile.read(int(length))))
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler
