"""The bench's side of its receiver (`receiver.py`): started, asked, ended."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from portal import config

_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Receiver:
    port: int
    hanging_port: int
    asked: HTTPConnection

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def hanging_url(self, path: str) -> str:
        """A URL that takes a connection and never answers."""
        return f"http://127.0.0.1:{self.hanging_port}{path}"

    def ask(self, question: str) -> Any:
        self.asked.request("GET", question)
        return json.loads(self.asked.getresponse().read())

    def wait_for(self, count: int, *, seconds: float) -> None:
        """Returns once so many have come. Raises RuntimeError if they don't."""
        deadline = time.monotonic() + seconds
        while (came := self.ask("/count")) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"of {count} webhooks {came} came within {seconds:.0f} seconds")
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver in a process of its own, which ends with the block or with this process."""
    with subprocess.Popen(
        [sys.executable, "-m", "portal.bench.receiver"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=config.ROOT,
    ) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        try:
            port, hanging_port = json.loads(started.stdout.readline())
            yield Receiver(port, hanging_port, HTTPConnection("127.0.0.1", port, timeout=10))
        finally:
            started.stdin.close()
