"""One database's figures: each operation in turn with the bare view, queries, memory, and what falls short profiled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from portal import create_app
from portal.bench import carrying, listing, load, notifying, profiles, queries
from portal.bench.carrying import Carried
from portal.bench.databases import filled
from portal.bench.listing import Listing
from portal.bench.load import Figure
from portal.bench.notifying import Notified
from portal.bench.operations import Operation, Workshop, answer_size, bare_requests
from portal.bench.queries import Count
from portal.bench.serving import Served, Server, serving

AIM_READS, AIM_WRITES, AIM_GROWTH, AIM_CARRIED, AIM_MEMORY, AIM_HANGING = 0.6, 0.5, 1.2, 0.25, 120, 1.2
AIM_LIST = 1.5
Say = Callable[[str], None]
WARMING = 8


@dataclass(frozen=True)
class Plan:
    """How long a bench takes: sizes of the databases, runs of each kind, seconds of a run, rounds of lists, due
    cancellations, events that come one at a time, notifications in a queue."""

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    rounds: int
    seconds: int
    rounds_of_lists: int
    due: int
    events: int
    queued: int


@dataclass(frozen=True)
class Result:
    """An operation and the bare view beside it: medians of the interleaved runs, latencies of the median run."""

    name: str
    writes: bool
    size: int
    own: Figure
    bare: Figure
    shares: list[tuple[str, int]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return self.own.per_second / self.bare.per_second

    @property
    def cpu_ratio(self) -> float:
        """The same by the computing of the web processes, which other work on the machine disturbs less."""
        return self.bare.cpu / self.own.cpu if self.own.cpu else 0.0

    @property
    def aim(self) -> float:
        return AIM_WRITES if self.writes else AIM_READS


@dataclass(frozen=True)
class Measured:
    """All figures of one kind of database at one size."""

    kind: str
    size: int
    results: list[Result]
    counts: list[Count]
    web_memory: float
    worker_memory: float
    listing: Listing
    carried: Carried
    idle_look: float
    notified: Notified | None
    """At the smallest size: how many subscriptions there are does not touch a webhook."""


def measure(plan: Plan, kind: str, folder: Path, say: Say) -> list[Measured]:
    """The databases of one kind: the lists of all sizes in turn, the rest one size after the other."""
    with _all_sizes(plan, kind, folder) as served:
        say("the console's list")
        listed = listing.measure(served, plan.rounds_of_lists)
        return [_measure(plan, each, its, say) for each, its in zip(served, listed, strict=True)]


def lists(plan: Plan, kind: str, folder: Path) -> list[Listing]:
    """Only the console's list."""
    with _all_sizes(plan, kind, folder) as served:
        return listing.measure(served, plan.rounds_of_lists)


@contextmanager
def _all_sizes(plan: Plan, kind: str, folder: Path) -> Iterator[list[Served]]:
    """A database of each size, and a server on each."""
    with ExitStack() as stack:
        served = []
        for size in plan.sizes:
            own = folder / str(size)
            own.mkdir()
            url = stack.enter_context(filled(kind, size, own))
            served.append(Served(kind, size, url, stack.enter_context(serving(url, own)), own))
        yield served


def _measure(plan: Plan, served: Served, listed: Listing, say: Say) -> Measured:
    kind, size, server = served.kind, served.size, served.server
    say(f"{kind}, {size:,} subscriptions")
    with served.connected():
        app = create_app()
        workshop = Workshop(app, size)
        idle_look = carrying.idle_look()
        counted = queries.counts(app, workshop)
        operations = [(each, answer_size(app, each)) for each in workshop.operations()]
        measured = [_compare(plan, server, each, length, say) for each, length in operations]
        web_memory = server.memory()
        by_name = {each.name: each for each, _ in operations}
        results = [_explained(app, by_name[each.name], each) for each in measured]
        due = min(plan.due, size)
        say(f"carry out {due:,} due cancellations")
        carried = carrying.measure(due, plan.rounds)
        worker_memory = carrying.worker_memory(due, served.url, served.folder)
        notified = None
        if size == min(plan.sizes):
            say("webhooks")
            notified = notifying.measure(plan.events, plan.queued, plan.rounds, served.url, served.folder)
    return Measured(kind, size, results, counted, web_memory, worker_memory, listed, carried, idle_look, notified)


def _compare(plan: Plan, server: Server, operation: Operation, size: int, say: Say) -> Result:
    """The operation and the bare view in turn, once both are warm."""
    bare = bare_requests(operation, size)
    load.warm(server.port, operation.requests[-WARMING:] + bare[:WARMING])
    runs = []
    for _ in range(plan.rounds):
        operation.reset()
        own = _run(server, operation.requests, plan.seconds, operation.expected, operation.once)
        runs.append((own, _run(server, bare, plan.seconds)))
    own, plain = (_middle(each) for each in zip(*runs, strict=True))
    result = Result(operation.name, operation.writes, size, own, plain)
    say(f"{result.name:24} {own.per_second:7.0f}/s  bare {plain.per_second:7.0f}/s  {result.ratio:.2f}")
    return result


def _run(server: Server, requests: list[bytes], seconds: int, expected: int = 200, once: bool = False) -> Figure:
    before = server.cpu()
    figure = load.run(server.port, requests, expected=expected, seconds=seconds, once=once)
    return replace(figure, cpu=1000 * (server.cpu() - before) / figure.requests)


def _middle(runs: Sequence[Figure]) -> Figure:
    middle = median(each.per_second for each in runs)
    return min(runs, key=lambda each: abs(each.per_second - middle))


def _explained(app: object, operation: Operation, result: Result) -> Result:
    """A result below its aim, with where its time goes."""
    if result.ratio >= result.aim:
        return result
    found = profiles.shares(app, operation)  # type: ignore[arg-type]
    return replace(result, shares=found)
