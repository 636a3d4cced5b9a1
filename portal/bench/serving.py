"""A server of the bench's own: the product's server, settings and number of processes, on a free port."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from portal import config, db

_START_SECONDS, _STOP_SECONDS = 30, 10
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Server:
    port: int
    pid: int

    def memory(self) -> float:
        """MB of the largest web process: its own pages, and its share of what it has in common with the others."""
        return max(memory_of(child.pid) for child in psutil.Process(self.pid).children())

    def cpu(self) -> float:
        """Seconds the web processes have computed so far."""
        times = (child.cpu_times() for child in psutil.Process(self.pid).children())
        return sum(each.user + each.system for each in times)


@dataclass(frozen=True)
class Served:
    """A database of some size, and a server on it."""

    kind: str
    size: int
    url: str
    server: Server
    folder: Path

    @contextmanager
    def connected(self) -> Iterator[None]:
        """This process is connected to the database as well, with the settings of the server."""
        with connected(self.url):
            yield


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Points this process at a database of the bench."""
    config.use(config.load(environment(url)))
    db.connect(url)
    try:
        yield
    finally:
        db.disconnect()


def memory_of(pid: int) -> float:
    """MB a process holds: its proportional set size where the system tells it, else its resident set."""
    info = psutil.Process(pid).memory_full_info()
    return float(getattr(info, "pss", info.rss)) / MEGABYTE


def environment(url: str, port: int = 8000) -> dict[str, str]:
    """The settings of bench, server and worker: production's defaults but for plain http, and no limit ever met."""
    return {
        "PORTAL_ENV": "development",
        "PORTAL_DATABASE_URL": url,
        "PORTAL_SECRET_KEYS": "the-secret-of-a-bench-that-guards-made-up-customers",
        "PORTAL_BASE_URL": f"http://127.0.0.1:{port}",
        "PORTAL_API_REQUESTS_PER_MINUTE": "10000000",
        "PORTAL_WEBHOOK_PRIVATE": "on",
    }


def process(arguments: list[str], url: str, log: Path, port: int = 8000) -> subprocess.Popen[bytes]:
    """Starts a part of the portal on a database, with its log lines in a file."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    with log.open("ab") as lines:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            cwd=config.ROOT,
            env=inherited | environment(url, port),
        )


def stop(started: subprocess.Popen[bytes]) -> None:
    """Ends a process, and makes sure of it."""
    started.terminate()
    try:
        started.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(started.pid).children(recursive=True):
            child.kill()
        started.kill()
        started.wait()


@contextmanager
def serving(url: str, folder: Path) -> Iterator[Server]:
    """The bench's server on a database, ready for requests."""
    port, settings = _free_port(), config.current()
    processes = ["--workers", str(settings.web_workers), "--blocking-threads", str(settings.web_threads)]
    address = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    bounded = ["--workers-kill-timeout", "8"]
    started = process(
        ["-m", "granian", *address, *processes, *bounded, "portal.bench.app:app"], url, folder / "server.log", port
    )
    try:
        _wait_until_ready(started, port, folder / "server.log")
        yield Server(port, started.pid)
    finally:
        stop(started)


def _wait_until_ready(started: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
