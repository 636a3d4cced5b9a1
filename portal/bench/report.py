"""The figures as a page of Markdown, which is also what the terminal shows."""

import os
import platform
from collections.abc import Sequence

from portal import clock
from portal.bench import notifying
from portal.bench.listing import REQUESTS, Listing
from portal.bench.load import CONNECTIONS
from portal.bench.measuring import (
    AIM_CARRIED,
    AIM_GROWTH,
    AIM_HANGING,
    AIM_LIST,
    AIM_MEMORY,
    AIM_READS,
    AIM_WRITES,
    Measured,
    Plan,
    Result,
)

_TIMES = ("p50 ms", "p99 ms", "bare p99 ms")
_LABELS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def page(plan: Plan, figures: list[Measured], reasons: str) -> str:
    parts = [_head(plan), _ratios(figures), _growth(figures), _queries(figures), lists([m.listing for m in figures])]
    parts += [_carried(figures), _webhooks(plan, figures), _memory(figures), _profiles(figures), reasons.strip()]
    return "\n\n".join(parts).strip() + "\n"


def _head(plan: Plan) -> str:
    sizes = " and ".join(f"{size:,}" for size in plan.sizes)
    how = "`portal bench --quick`" if plan.rounds == 1 else "`make bench`"
    return f"""# Performance

Measured by {how} on {clock.now():%-d %B %Y}: Python {platform.python_version()}, {os.cpu_count()} cores,
which load generator, server and database share; databases with {sizes} made-up subscriptions (`portal fill`);
runs of the portal and of the bare view in turn, {plan.rounds} of {plan.seconds} s for each figure;
{CONNECTIONS} connections, 2 processes of 2 threads as `portal serve` starts them.
`portal bench --quick` measures the same in a few minutes, more roughly.

Absolute figures belong to that machine and its other work at that hour. What can be compared is the **ratio**:
requests per second of the portal to those of a bare Flask view in the same server process on the same database, which
answers as many bytes and does the least: one row read by its primary key, or one row inserted and committed. The bare
view has no API key, session, form token, log line or header of its own. Every answer's status is checked.
Requests of apps are counted as always, against a limit that no run meets, and their log is written meanwhile.
It builds its statement in the view, as such views are written; with a prepared one it would take about 110 µs less of
its 350 µs, so that every ratio of a read would be about a third lower.

SQLite writes to the disk at each commit (`synchronous=FULL`). PostgreSQL runs with `shared_buffers=1GB`, and with
`fsync=off`, which takes the disk out of both sides of a ratio, so that the portal's own work weighs more than it would
in production."""


def _ratios(figures: list[Measured]) -> str:
    head = ("database", "subscriptions", "operation", "portal /s", "bare /s", "ratio", "aim", "", *_TIMES, "CPU ratio")
    rows = [
        (_LABELS[m.kind], f"{m.size:,}", r.name, f"{r.own.per_second:.0f}", f"{r.bare.per_second:.0f}",
         f"{r.ratio:.2f}", f"{r.aim:.1f}", _met(r.ratio >= r.aim), *_times(r), f"{r.cpu_ratio:.2f}")
        for m in figures
        for r in m.results
    ]  # fmt: skip
    aims = f"Aim: {AIM_READS} for reads, {AIM_WRITES} for writes; by CPU is what the web processes alone compute."
    return f"## Against a bare view\n\n{aims}\n\n{_table(head, rows)}"


def _times(result: Result) -> tuple[str, str, str]:
    return f"{result.own.p50:.1f}", f"{result.own.p99:.1f}", f"{result.bare.p99:.1f}"


def _growth(figures: list[Measured]) -> str:
    """The smallest database beside the largest, by ratio, which leaves the machine's other work out."""
    rows = []
    for kind in dict.fromkeys(m.kind for m in figures):
        of_kind = sorted((m for m in figures if m.kind == kind), key=lambda m: m.size)
        small, large = of_kind[0], of_kind[-1]
        for few, many in zip(small.results, large.results, strict=True):
            grown, ratios = few.ratio / many.ratio, (f"{few.ratio:.2f}", f"{many.ratio:.2f}")
            rows.append((_LABELS[kind], few.name, *ratios, f"{grown:.2f}×", _met(grown <= AIM_GROWTH)))
    sizes = sorted({m.size for m in figures})
    head = ("database", "operation", f"ratio at {sizes[0]:,}", f"ratio at {sizes[-1]:,}", "slower by", "")
    return f"## With the number of subscriptions\n\nAim: within {AIM_GROWTH}×.\n\n{_table(head, rows)}"


def _queries(figures: list[Measured]) -> str:
    rows = []
    for kind in dict.fromkeys(m.kind for m in figures):
        same_kind = [m.counts for m in figures if m.kind == kind]
        for i, count in enumerate(same_kind[0]):
            constant = all(counts[i] == count and count.constant for counts in same_kind)
            rows.append((_LABELS[kind], count.operation, str(count.with_one), str(count.with_many), _met(constant)))
    told = (
        "Statements sent to the database by one request, for a customer with one subscription and for one with\n"
        "fifty (a list of one and of fifty; a portal session for one and for 25), at every size of the database.\n"
        "PostgreSQL is sent one more where there is something to send: the NOTIFY that wakes the workers."
    )
    head = ("database", "operation", "one subscription", "many", "constant")
    return f"## Queries per request\n\n{told}\n\n{_table(head, rows)}"


def lists(figures: Sequence[Listing]) -> str:
    """Pages of the console's list at the smallest and the largest size."""
    rows, tables = [], []
    for kind in dict.fromkeys(each.kind for each in figures):
        of_kind = sorted((each for each in figures if each.kind == kind), key=lambda each: each.size)
        for few, many in zip(of_kind[0].pages, of_kind[-1].pages, strict=True):
            alike = few.p99 + max(many.rows - few.rows, 0) * of_kind[0].per_row
            spoken = (f"{each:.1f}" for each in (few.p50, many.p50, few.p99, many.p99))
            shown, grown = f"{few.rows:.0f} → {many.rows:.0f}", (many.p99 / few.p99, many.p99 / alike)
            met = _met(grown[1] <= AIM_LIST)
            rows.append((_LABELS[kind], few.name, shown, *spoken, *(f"{each:.2f}×" for each in grown), met))
        tables += [
            (_LABELS[kind], f"{each.size:,}", f"{each.rows_per_second:,.0f}", f"{each.first_byte:.0f}")
            for each in of_kind
        ]
    small, large = min(each.size for each in figures), max(each.size for each in figures)
    times = (f"{p} ms at {n:,}" for p in ("p50", "p99") for n in (small, large))
    head = ("database", "list", "rows", *times, "p99 by", "as many rows", "")
    told = (
        "Pages of up to 50 subscriptions for one colleague at a time, the databases of both sizes asked in turn,\n"
        f"{REQUESTS} pages a round; medians of the rounds (`portal bench --only-list`).\n"
        f"Aim: p99 within {AIM_LIST}× of that at {small:,}. Where a page shows fewer rows there, the last ratio adds\n"
        "what the missing rows cost, by the p99 of full pages and of those with next to none, and the aim is for this."
    )
    taken = _table(("database", "subscriptions", "rows/s of the CSV", "first byte ms"), tables)
    return f"## The console's list\n\n{told}\n\n{_table(head, rows)}\n\n{taken}"


def _carried(figures: list[Measured]) -> str:
    rows = [
        (_LABELS[m.kind], f"{m.size:,}", f"{m.carried.rows:,}", f"{m.carried.per_second:.0f}",
         f"{m.carried.plain_per_second:.0f}", f"{m.carried.ratio:.2f}", _met(m.carried.ratio >= AIM_CARRIED),
         f"{m.idle_look:.1f}")
        for m in figures
    ]  # fmt: skip
    head = ("database", "subscriptions", "due", "worker /s", "plain SQL /s", "ratio", "", "idle ms")
    told = (
        "Due cancellations carried out by one worker, against plain SQL in one transaction that changes the same rows\n"
        f"and writes the same two events and one mail a row, their JSON built in SQL. Aim: {AIM_CARRIED}.\n"
        "Idle: how long a worker needs to find that nothing at all is due."
    )
    return f"## Carrying out what is due\n\n{told}\n\n{_table(head, rows)}"


def _webhooks(plan: Plan, figures: list[Measured]) -> str:
    """Three tables: the way of an event, a queue, and endpoints that hang; at the smallest size."""
    found = [(_LABELS[m.kind], m.notified) for m in figures if m.notified]
    way = [(kind, f"{it.p50:.0f}", f"{it.p99:.0f}") for kind, it in found]
    drained = [
        (kind, str(each.endpoints), f"{each.per_second:.0f}", f"{each.bare_per_second:.0f}", f"{each.ratio:.2f}")
        for kind, it in found
        for each in it.drained
    ]
    hanging = [
        (kind, f"{it.without:.1f}", f"{it.with_hanging:.1f}", f"{it.slower_by:.2f}×", _met(it.slower_by <= AIM_HANGING))
        for kind, it in found
    ]
    return f"""## Webhooks

By one `portal worker` with its defaults, to a receiver on the same machine that answers 200 at once.

**An event's way** from its commit to the receiver's 200: {plan.events} events, {notifying.EVENTS_A_SECOND} a second,
one at a time. On PostgreSQL a commit wakes the worker; on SQLite an idle one looks five times a second.

{_table(("database", "p50 ms", "p99 ms"), way)}

**A queue** of {plan.queued:,} notifications, beside a loop that sends the same bodies over one kept-alive connection
(urllib3) and does nothing else: no signature, no record of the answer, no order to keep.

{_table(("database", "endpoints", "worker /s", "bare client /s", "ratio"), drained)}

**Endpoints that hang**: an event for {notifying.ENDPOINTS:,} endpoints, {notifying.HANGING} of which take the
connection and never answer; seconds between the first and the last of the others that gets it, and the same while
none hangs. Before each round it is forgotten that they hang. Aim: within {AIM_HANGING}×.

{_table(("database", "none hangs, s", f"{notifying.HANGING} hang, s", "slower by", ""), hanging)}"""


def _memory(figures: list[Measured]) -> str:
    rows = [
        (_LABELS[m.kind], f"{m.size:,}", f"{m.web_memory:.0f}", f"{m.worker_memory:.0f}",
         _met(max(m.web_memory, m.worker_memory) < AIM_MEMORY))
        for m in figures
    ]  # fmt: skip
    told = (
        "MB (proportional set size) of a web process after all the load, and of a worker after the cancellations.\n"
        f"Aim: under {AIM_MEMORY}."
    )
    head = ("database", "subscriptions", "web process", "worker", "")
    return f"## Memory\n\n{told}\n\n{_table(head, rows)}"


def _profiles(figures: list[Measured]) -> str:
    """Where the time goes in what falls short, at the smallest size."""
    lines = []
    for kind in dict.fromkeys(m.kind for m in figures):
        small = min((m for m in figures if m.kind == kind), key=lambda m: m.size)
        lines += [f"| {_LABELS[kind]} | {r.name} | {r.ratio:.2f} | {_spoken(r)} |" for r in small.results if r.shares]
    if not lines:
        return "## What falls short\n\nNothing."
    head = "| database | operation | ratio | where the time goes |\n|---|---|---|---|\n"
    return "## What falls short\n\n" + head + "\n".join(lines)


def _spoken(result: Result) -> str:
    return ", ".join(f"{part} {percent} %" for part, percent in result.shares)


def _met(met: bool) -> str:
    return "met" if met else "**short**"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table whose columns are aligned, so that it reads as plain text too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
