"""One HTTP POST after the other to one endpoint, each within five seconds as a whole.

The endpoint's name is resolved once and every address looked at (`destinations.py`); the connection goes to such an
address, TLS is proven for the name. The standard library's client does just this much: it asks no proxy and follows
no redirect. What it lacks is a deadline that holds against a server which sends a byte now and then: `_Timed`.
"""

import io
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any

from portal import __version__, destinations

SECONDS = 5.0
MOST_BYTES = 2048
"""How much of an answer is read and kept."""
_MOST_RECEIVED = 100_000
"""Of one answer with its headers; the standard library alone would take several megabytes of those."""
USER_AGENT = f"portal/{__version__} (compatible; Paddle)"


class NoAnswer(Exception):
    """Nothing came that counts as an answer; the text says why, without any part of the URL."""


class _TooLong(HTTPException):
    pass


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str | None
    headers: str
    body: str


class Endpoint:
    """An endpoint for the length of a batch; its connection is kept alive."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: _Connection | None = None

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Sends, and reads the beginning of the answer. Raises NoAnswer."""
        until = time.monotonic() + SECONDS
        try:
            return self._post(body, headers, until)
        except Exception as trouble:
            self.close()
            raise NoAnswer(_words(trouble)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _post(self, body: bytes, headers: dict[str, str], until: float) -> Answer:
        connection = self._connected(until)
        kept_alive = connection.sock is not None
        try:
            return connection.exchange(body, headers, until)
        except (RemoteDisconnected, ConnectionError):
            if not kept_alive:
                raise
            connection.close()  # it had ended while nobody used it: that says nothing about the endpoint
            return connection.exchange(body, headers, until)

    def _connected(self, until: float) -> "_Connection":
        if self._connection is None:
            place = destinations.place(self._url)
            found = destinations.resolve(place.host, place.port, within=until - time.monotonic())
            self._connection = _Connection(place, found)
        return self._connection


class _Connection(HTTPConnection):
    def __init__(self, place: destinations.Place, found: list[str]) -> None:
        super().__init__(place.host, place.port)
        self.default_port = 443 if place.secure else 80
        self.place, self.found, self.until = place, found, 0.0

    def connect(self) -> None:
        """To the first of the addresses that were looked at that takes a connection."""
        for number, address in enumerate(self.found):
            try:
                self._connect_to(address, (self.until - time.monotonic()) / (len(self.found) - number))
                return
            except OSError as trouble:
                if number + 1 == len(self.found) or isinstance(trouble, ssl.SSLError):
                    raise

    def exchange(self, body: bytes, headers: dict[str, str], until: float) -> Answer:
        self.until = until
        if self.sock is not None:
            self.sock.allow_until(until)
        self.request("POST", self.place.path, body, headers)
        response = self.getresponse()
        content = response.read(MOST_BYTES)
        if not response.isclosed():
            self.close()  # there is more of it than anybody wants
        return _answer(response, content)

    def _connect_to(self, address: str, seconds: float) -> None:
        if seconds <= 0:
            raise TimeoutError
        made = socket.create_connection((address, self.place.port), seconds)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.place.secure:
                made = tls().wrap_socket(made, server_hostname=self.place.host)
        except BaseException:
            made.close()
            raise
        self.sock: Any = _Timed(made, self.until)


class _Timed:
    """A socket whose every step counts against one deadline (`until`, of the monotonic clock), and every byte too.

    It is closed with the last of its users: the answer may be read when the connection has been let go already.
    """

    def __init__(self, sock: socket.socket, until: float) -> None:
        self.sock, self._users = sock, 1
        self.allow_until(until)

    def allow_until(self, until: float) -> None:
        self.until, self.left = until, _MOST_RECEIVED

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._hurry()
            left = left[self.sock.send(left) :]

    def recv_into(self, buffer: Any) -> int:
        self._hurry()
        received = self.sock.recv_into(buffer)
        self.left -= received
        if self.left < 0:
            raise _TooLong
        return received

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._users += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._users -= 1
        if self._users == 0:
            self.sock.close()

    def _hurry(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Reader(io.RawIOBase):
    def __init__(self, timed: _Timed) -> None:
        self.timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.timed.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self.timed.close()


@cache
def tls() -> ssl.SSLContext:
    """Certificates are verified against the system's authorities, and must be for the name."""
    return ssl.create_default_context()


def _answer(response: HTTPResponse, content: bytes) -> Answer:
    headers = "\n".join(f"{name}: {value}" for name, value in response.getheaders())
    kind = response.getheader("Content-Type")
    return Answer(response.status, _storable(kind, 200) if kind else None, _storable(headers, 4000), _text(content))


def _text(content: bytes) -> str:
    return _storable(content.decode(errors="replace"), MOST_BYTES)


def _storable(text: str, most: int) -> str:
    return text[:most].replace("\x00", "�").encode(errors="replace").decode()


def _words(trouble: Exception) -> str:
    if isinstance(trouble, destinations.Unacceptable):
        return f"nothing was sent: {trouble}"
    if isinstance(trouble, destinations.Unknown):
        return str(trouble)
    if isinstance(trouble, TimeoutError):
        return f"no complete answer within {SECONDS:g} seconds"
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {trouble.verify_message}"
    if isinstance(trouble, ssl.SSLError):
        return "no secure connection could be made"
    if isinstance(trouble, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(trouble, RemoteDisconnected | ConnectionError):
        return "the connection broke before an answer came"
    if isinstance(trouble, _TooLong):
        return "its answer is too long"
    if isinstance(trouble, HTTPException | ValueError):
        return "what it answered is not HTTP"
    return f"it can't be reached ({type(trouble).__name__})"
