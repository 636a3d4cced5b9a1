"""An endpoint of the seller's for the tests: takes webhooks on 127.0.0.1, and fails in the ways endpoints do."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Behaviour(Enum):
    """How it answers a delivery; only NORMAL and LATE act on what they got before a 200."""

    NORMAL = "acts, 200"
    FAIL = "500, without acting"
    ACT_THEN_FAIL = "acts, and answers 500"
    ACT_THEN_DROP = "acts, and ends the connection without an answer"
    DROP = "ends the connection without an answer"
    HANG = "takes the request and says nothing"
    DRIP = "sends a byte of its answer now and then"
    DRIP_BODY = "says 200 and then sends a byte of its body now and then"
    REDIRECT = "302 to `elsewhere`"
    GONE = "410"
    CREATED = "201"
    LARGE = "200 with a body of 1 MB"
    GARBAGE = "bytes that are not HTTP"


@dataclass(frozen=True)
class Delivery:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`with Receiver() as shop:` listens at shop.url; `deliveries` are all that came, `acted` those acted on.

    `choose`, if set, says for each delivery how to behave; else `behaviour` does.
    """

    def __init__(self, port: int = 0) -> None:
        self.behaviour = Behaviour.NORMAL
        self.choose: Callable[[Delivery], Behaviour] | None = None
        self.elsewhere = ""
        self.deliveries: list[Delivery] = []
        self.acted: list[Delivery] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/hooks"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def event_ids(self) -> list[str]:
        return [each.payload["event_id"] for each in self.deliveries]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A connection that was cut is what the tests are about."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(length := int(self.headers["Content-Length"]))
            if len(body) < length:
                return  # whoever sent it died over it
            sent = {name.lower(): value for name, value in self.headers.items()}
            delivery = Delivery(self.path, sent, body, time.monotonic())
            receiver.deliveries.append(delivery)
            behaviour = receiver.choose(delivery) if receiver.choose else receiver.behaviour
            if behaviour in (Behaviour.NORMAL, Behaviour.ACT_THEN_FAIL, Behaviour.ACT_THEN_DROP):
                receiver.acted.append(delivery)
            _behave(self, behaviour, receiver)

        def do_GET(self) -> None:
            receiver.deliveries.append(Delivery(self.path, {}, b"{}", time.monotonic()))
            self.answer(200)

        def answer(self, status: int, body: bytes = b"ok", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _behave(handler: Any, behaviour: Behaviour, receiver: Receiver) -> None:
    statuses = {
        Behaviour.NORMAL: 200,
        Behaviour.FAIL: 500,
        Behaviour.ACT_THEN_FAIL: 500,
        Behaviour.GONE: 410,
        Behaviour.CREATED: 201,
    }
    if behaviour in statuses:
        handler.answer(statuses[behaviour])
    elif behaviour is Behaviour.REDIRECT:
        handler.answer(302, Location=receiver.elsewhere)
    elif behaviour is Behaviour.LARGE:
        handler.answer(200, b"x" * 1_000_000)
    elif behaviour is Behaviour.GARBAGE:
        _cut(handler, b"\x00\x01\x02 what?\r\n\r\n")
    elif behaviour in (Behaviour.DRIP, Behaviour.DRIP_BODY):
        _drip(handler, behaviour, receiver)
    elif behaviour is Behaviour.HANG:
        receiver.stopped.wait(30)
        handler.close_connection = True
    else:
        _cut(handler)


def _drip(handler: Any, behaviour: Behaviour, receiver: Receiver) -> None:
    """Each byte comes well within any timeout that counts from the last one."""
    handler.close_connection = True
    if behaviour is Behaviour.DRIP_BODY:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    else:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not receiver.stopped.wait(0.05):
        handler.wfile.write(b"x")


def _cut(handler: Any, words: bytes = b"") -> None:
    handler.close_connection = True
    if words:
        handler.wfile.write(words)
    handler.connection.shutdown(socket.SHUT_RDWR)
