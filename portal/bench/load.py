"""Load by wrk: requests prepared in a file, every answer's status checked."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

THREADS, CONNECTIONS = 2, 16
_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Figure:
    """What one run measured; times in milliseconds, `cpu` those of the web processes for one request."""

    per_second: float
    p50: float
    p99: float
    requests: int
    cpu: float = 0.0


class LoadFailed(Exception):
    """A run whose answers were not what they should be says nothing about speed."""


def http(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole request, as it goes over the wire."""
    told = {"Host": "127.0.0.1", **(headers or {})} | ({"Content-Length": str(len(body))} if body else {})
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def warm(port: int, requests: Sequence[bytes]) -> None:
    """Sends a few requests at once and waits for their answers: every process has its templates and statements."""
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in requests]
    for each, wanted in zip(sockets, requests, strict=True):
        each.sendall(wanted)
    for each in sockets:
        with closing(each):
            each.recv(1)


def run(port: int, requests: Sequence[bytes], *, expected: int, seconds: int, once: bool = False) -> Figure:
    """Sends these requests over and over (or each once) for some seconds. Raises LoadFailed."""
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        file.write(b"".join(each + b"\0" for each in requests))
        file.flush()
        wrk = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT)]
        told = [file.name, str(expected), str(THREADS), "once" if once else "again"]
        done = subprocess.run(
            [*wrk, f"http://127.0.0.1:{port}", "--", *told], capture_output=True, text=True, timeout=seconds + 60
        )
    return _figure(done.stdout, done.stderr, expected)


def _figure(output: str, trouble: str, expected: int) -> Figure:
    line = next((each for each in output.splitlines() if each.startswith("FIGURE ")), None)
    if line is None:
        raise LoadFailed(f"wrk measured nothing: {trouble or output}")
    total, bad, status, rate, p50, p99 = (float(word) for word in line.split()[1:])
    if bad or not total:
        raise LoadFailed(f"{bad:.0f} of {total:.0f} answers were wrong (such as {status:.0f} instead of {expected})")
    return Figure(rate, p50 / 1000, p99 / 1000, int(total))


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is missing, which makes the load: apt-get install wrk")
