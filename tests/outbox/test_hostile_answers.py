"""What an endpoint answers can neither hold the worker up, nor fill its memory, nor write where it should not."""

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from portal import cli
from portal.outbox import exchange
from portal.outbox.listening import Listener
from tests.api.calls import App
from tests.outbox import shop

SECONDS = 0.5
Parts = Iterator[bytes]


def _then_forever(first: bytes, again: bytes) -> Parts:
    yield first
    while True:
        yield again


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(20_000_000))
ANSWERS: dict[str, Callable[[], Parts]] = {
    "continue without end": lambda: _then_forever(b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 100),
    "headers without end": lambda: _then_forever(OK, b"X: y\r\n" * 1000),
    "a status line without end": lambda: _then_forever(b"HTTP/1.1 200 ", b"a" * 65_536),
    "99 headers of 64 KB": lambda: iter([OK, *[b"X: " + b"a" * 65_000 + b"\r\n"] * 99, b"Content-Length: 0\r\n\r\n"]),
    "90 headers of 40 KB": lambda: iter([OK, *[b"X: " + b"a" * 40_000 + b"\r\n"] * 90, b"Content-Length: 0\r\n\r\n"]),
    "a body without end": lambda: _then_forever(OK + b"\r\n", b"a" * 65_536),
    "a gzip bomb": lambda: iter([OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB]),
    "a chunk of any size": lambda: _then_forever(CHUNKED + b"f" * 1000 + b"\r\n", b"a" * 65_536),
    "a chunk of less than nothing": lambda: iter([CHUNKED, b"-5\r\nabcde\r\n0\r\n\r\n"]),
    "chunks that are none": lambda: iter([CHUNKED, b"zz\r\nabc\r\n"]),
    "trailers without end": lambda: _then_forever(CHUNKED + b"0\r\n", b"T: x\r\n" * 1000),
    "a length of less than nothing": lambda: iter([OK + b"Content-Length: -1\r\n\r\nabc"]),
    "a length beyond all measure": lambda: iter([OK + b"Content-Length: " + b"9" * 300 + b"\r\n\r\nabc"]),
    "a length that is no number": lambda: iter([OK + b"Content-Length: \xff\r\n\r\nabc"]),
    "a status that is none": lambda: iter([b"HTTP/1.1 -20 x\r\n\r\n"]),
    "another protocol": lambda: iter([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"]),
    "several answers": lambda: iter([(OK + b"Content-Length: 0\r\n\r\n") * 3]),
    "control characters": lambda: iter(
        [
            OK + b"X-\x1b[2J: a\x00b\r\nContent-Type: \x1b]0;x\x07\r\nX: folded\r\n Set-Cookie: a=b\r\n",
            b"Content-Length: 20\r\n\r\n\x1b[2J\x00\x9b\xff\xed\xa0\x80 forged\nx",
        ]
    ),
}


class Raw:
    """An endpoint that sends these bytes to whoever asks."""

    def __init__(self, answer: Callable[[], Parts]) -> None:
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hooks"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            try:
                with connection:
                    connection.settimeout(5)
                    connection.recv(65_536)
                    for part in self.answer():
                        connection.sendall(part)
            except OSError:
                pass  # the portal has had enough

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> Iterator[Raw]:
    made = Raw(ANSWERS[request.param])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _with(app: Flask, configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(webhook_private=True)
    monkeypatch.setattr(exchange, "SECONDS", SECONDS)


@pytest.mark.parametrize("raw", ANSWERS, indirect=True)
def test_every_answer_is_over_in_time_and_little_of_it_is_kept(app: Flask, raw: Raw) -> None:
    shop.destination(raw.url)
    shop.happen()
    tracemalloc.start()
    began = time.monotonic()
    shop.work()
    took, (_, most) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < SECONDS + 2
    assert most < 10_000_000
    note, (log,) = shop.note(), shop.logs()
    assert note.status == ("delivered" if log.response_code == 200 else "needs_retry")
    assert (log.response_code == 0) == (log.error is not None)
    assert len(log.response_body) <= exchange.MOST_BYTES
    assert len(log.response_headers or "") <= 4000
    assert len(log.response_content_type or "") <= 200
    answer = App(app).get(f"/notifications/{note.id}/logs")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "\x00" not in answer.text


def test_an_answer_cannot_write_to_the_terminal() -> None:
    endpoint = Raw(ANSWERS["control characters"])
    words = ["webhook", "send", "customer.created", "--to", endpoint.url, "--secret", "x"]
    shown = CliRunner().invoke(cli.main, words, color=True).output
    endpoint.close()
    assert "forged" in shown
    assert all(line.isprintable() and not line.startswith("x") for line in shown.split("\n")), repr(shown)


def test_neither_can_what_is_sent_to_the_listener() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listener = Listener(port, "secret", fail_first=0, say=said.append)
    listener.server.server_close()
    forged = b'{"event_type": "\\u001b[2J\\u009b31m\\nforged", "event_id": "%s", "occurred_at": "x"}' % (b"a" * 100_000)
    assert listener.take({}, forged) == 401
    (line,) = said
    assert "forged" in line
    assert line.isprintable()
    assert len(line) < 300


def test_what_is_signed_is_shown_without_what_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listener = Listener(port, "secret", fail_first=0, say=said.append)
    listener.server.server_close()
    monkeypatch.setattr("portal.outbox.signatures.is_genuine", lambda *_: True)
    body = (
        '{"event_type": "customer.created", "event_id": "e", "occurred_at": "x", "data": {"name": "\x9b2J\u202eÄ\x7f"}}'
    )
    assert listener.take({}, body.encode()) == 200
    assert "Ä" in said[1]
    assert all(line.isprintable() for line in said[1].split("\n"))
