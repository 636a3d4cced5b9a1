"""Webhooks: an event's way to a receiver, deliveries per second, and what endpoints that hang cost the others."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import urllib3

from portal import worker
from portal.bench import queued, receiving, serving
from portal.bench.receiving import Receiver

EVENTS_A_SECOND = 20
SEVERAL, ENDPOINTS, HANGING = 16, 1000, 10
_LONGEST = 180


@dataclass(frozen=True)
class Drained:
    """A queue for some endpoints, sent by one worker and by the bare client; medians."""

    endpoints: int
    per_second: float
    bare_per_second: float

    @property
    def ratio(self) -> float:
        return self.per_second / self.bare_per_second


@dataclass(frozen=True)
class Notified:
    """`p50` and `p99` in milliseconds; `with_hanging` and `without` in seconds, medians."""

    events: int
    p50: float
    p99: float
    queued: int
    drained: list[Drained]
    with_hanging: float
    without: float

    @property
    def slower_by(self) -> float:
        return self.with_hanging / self.without


def measure(events: int, size: int, rounds: int, url: str, folder: Path) -> Notified:
    """All of it, on the database this process is connected to; what was told and recorded is forgotten again."""
    working = partial(_working, url, folder)
    with receiving.receiving() as receiver:
        try:
            times = _way(receiver, working, events)
            drained = [_drained(receiver, working, each, size, rounds) for each in (1, SEVERAL)]
            with_hanging, without = _beside_hanging(receiver, working, rounds)
        finally:
            queued.forget()
    points = quantiles(times, n=100)
    return Notified(events, points[49], points[98], size, drained, with_hanging, without)


def _way(receiver: Receiver, working: "Working", count: int) -> list[float]:
    """Milliseconds from commit to the receiver's answer, of events that come one at a time."""
    _settle_down(receiver, [receiver.url("/hooks")])
    committed = {}
    with working():
        queued.happen(1)
        receiver.wait_for(1, seconds=_LONGEST)
        receiver.ask("/forget")
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / EVENTS_A_SECOND - time.monotonic()))
            queued.happen(1)
            at = time.monotonic()
            committed[queued.newest()] = at
        receiver.wait_for(count, seconds=_LONGEST)
    answered = receiver.ask("/times")
    return [1000 * (answered[each] - at) for each, at in committed.items()]


def _drained(receiver: Receiver, working: "Working", endpoints: int, size: int, rounds: int) -> Drained:
    """The same queue in turn by the worker, and by a client that does nothing but send."""
    _settle_down(receiver, [receiver.url(f"/hooks/{n}") for n in range(endpoints)])
    queued.happen(size // endpoints)
    while worker.events():
        pass
    bodies, own, bare = queued.bodies(), [], []
    for _ in range(rounds):
        receiver.ask("/forget")
        with working():
            receiver.wait_for(len(bodies), seconds=_LONGEST)
            queued.wait_until_written()
        first, last = receiver.ask("/span")
        own.append((len(bodies) - 1) / (last - first))
        bare.append(_sent_bare(receiver.port, bodies))
        queued.queue_again()
    return Drained(endpoints, median(own), median(bare))


def _beside_hanging(receiver: Receiver, working: "Working", rounds: int) -> tuple[float, float]:
    """Seconds from the first to the last endpoint that gets an event, while some hang and while none does."""
    others = [receiver.url(f"/hooks/{n}") for n in range(ENDPOINTS - HANGING)]
    found = []
    for some in (receiver.hanging_url, receiver.url):
        between = [some(f"/some/{n}") for n in range(HANGING)]
        spread = [url for n, each in enumerate(between) for url in (each, *others[n::HANGING])]
        _settle_down(receiver, spread)
        with working():
            found.append(median(_round(receiver, len(others)) for _ in range(rounds)))
    with_hanging, without = found
    return with_hanging, without


def _round(receiver: Receiver, others: int) -> float:
    receiver.ask("/forget")
    queued.happen(1)
    receiver.wait_for(others, seconds=_LONGEST)
    first, last = receiver.ask("/span")
    queued.let_rest()
    return float(last - first)


def _settle_down(receiver: Receiver, urls: Sequence[str]) -> None:
    queued.destinations(urls)
    receiver.ask("/forget")


def _sent_bare(port: int, bodies: Sequence[bytes]) -> float:
    """Requests per second of a loop over one kept-alive connection."""
    headers = {"Content-Type": "application/json"}
    with urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1) as pool:
        began = time.perf_counter()
        for body in bodies:
            if pool.urlopen("POST", "/bare", body=body, headers=headers).status != 200:
                raise RuntimeError("the receiver did not answer 200")
        return len(bodies) / (time.perf_counter() - began)


Working = Callable[[], AbstractContextManager[None]]
"""A worker of the bench's own for the length of a block."""


@contextmanager
def _working(url: str, folder: Path) -> Iterator[None]:
    started = serving.process(["-c", "from portal.cli import main; main()", "worker"], url, folder / "worker.log")
    try:
        yield
    finally:
        serving.stop(started)
