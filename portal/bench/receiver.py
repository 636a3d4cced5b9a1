"""A receiver of webhooks that is as quick as Python's own: it answers 200 and remembers what came when.

python -m portal.bench.receiver     says its two ports as JSON; ends with its standard input, or after an hour

The first port takes POSTs on any path, keeps connections alive, and counts what comes for paths under /hooks, each
event once for each path. It answers questions as JSON; instants are of the monotonic clock, which all processes of a
machine share. The second port takes connections and never says a word.

GET /count     how many came        GET /span      when the first and the last of them came
GET /times     when each event came GET /forget    begins anew
"""

import asyncio
import json
import sys
import time
from functools import partial

import click

_LONGEST_SECONDS = 3600
_BACKLOG = 1024
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Memory:
    """When each event came for each path, first of all."""

    def __init__(self) -> None:
        self.came: dict[tuple[str, str], float] = {}

    def keep(self, path: str, event_id: str) -> None:
        if path.startswith("/hooks"):
            self.came.setdefault((path, event_id), time.monotonic())

    def told(self, question: str) -> object:
        match question:
            case "/count":
                return len(self.came)
            case "/span":
                return [min(self.came.values()), max(self.came.values())]
            case "/times":
                return {event_id: at for (_, event_id), at in self.came.items()}
            case "/forget":
                self.came.clear()
        return None


class Taking(asyncio.Protocol):
    """One connection: request after request, each answered once its body is there."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.buffer = memory, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            method, path, _version = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < whole:
                return
            del self.buffer[:whole]
            self.transport.write(self._answer(method, path, headers.get("webhook-id", "")))

    def _answer(self, method: str, path: str, event_id: str) -> bytes:
        if method == "POST":
            self.memory.keep(path, event_id)
            return _OK
        body = json.dumps(self.memory.told(path)).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Hanging(asyncio.Protocol):
    """Takes what is sent and says nothing, until the other side lets go."""


async def serve() -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    taking = await loop.create_server(partial(Taking, Memory()), "127.0.0.1", 0, backlog=_BACKLOG)
    hanging = await loop.create_server(Hanging, "127.0.0.1", 0, backlog=_BACKLOG)
    click.echo(json.dumps([each.sockets[0].getsockname()[1] for each in (taking, hanging)]))
    loop.add_reader(sys.stdin.fileno(), over.set)
    loop.call_later(_LONGEST_SECONDS, over.set)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(serve())
