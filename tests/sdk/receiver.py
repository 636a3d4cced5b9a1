"""The seller's own endpoint: a real HTTP server that keeps each delivery as it came, and answers what it is told to."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from paddle_billing.Notifications import Secret, Verifier


@dataclass(frozen=True)
class Delivery:
    """One request, with the attributes that the SDK's verifier reads: `headers` and the exact bytes of the `body`."""

    headers: Any
    body: bytes
    answered: int
    verified: bool | None
    """What the SDK's verifier said when it came, with its five seconds of tolerance; None: no secret was known."""

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Receiver:
    """`with Receiver() as receiver:` listens on receiver.url until the end of the block."""

    def __init__(self) -> None:
        self.secret: str | None = None
        self.answer = 200
        self.deliveries: list[Delivery] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, *types: str, about: str | None = None, seconds: float = 30) -> list[Delivery]:
        """Waits until a delivery of each of these event types (about one entity) has come; gives them in this order."""
        deadline = time.monotonic() + seconds
        while True:
            got = {}
            for each in self.deliveries:
                if each.answered == 200 and about in (None, each.event["data"].get("id")):
                    got.setdefault(each.event["event_type"], each)
            if set(types) <= set(got):
                return [got[each] for each in types]
            assert time.monotonic() < deadline, f"not within {seconds} s: {set(types) - set(got)}; it got {list(got)}"
            time.sleep(0.02)

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver._keep(self.headers, body)
                self.send_response(receiver.answer)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", "6")
                self.end_headers()
                self.wfile.write(b"thanks")

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _keep(self, headers: Any, body: bytes) -> None:
        delivery = Delivery(headers, body, self.answer, None)
        verified = Verifier().verify(delivery, Secret(self.secret)) if self.secret else None
        self.deliveries.append(Delivery(headers, body, self.answer, verified))
