"""The console's list of subscriptions: how long a page takes, filter by filter, and how fast the table comes.

Databases of different sizes are asked in turn, one page each, so that whatever else the machine does meanwhile falls on
both alike.
"""

import http.client
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, median
from urllib.parse import quote

from portal import access, clock
from portal.bench.serving import Served
from portal.bench.synthetic import PRODUCTS, email_of, made_id, name_of
from portal.db import transaction
from portal.domain import staff, staff_sessions
from portal.domain.actors import shell

REQUESTS = 200
_TABLE_ROWS = 100_000

_Times = tuple[list[float], float]


@dataclass(frozen=True)
class Listed:
    """Milliseconds of one page, asked for by one colleague at a time."""

    name: str
    p50: float
    p99: float
    rows: float
    """That a page shows: most of its time is theirs."""


@dataclass(frozen=True)
class Listing:
    """All lists of one database."""

    kind: str
    size: int
    pages: list[Listed]
    rows_per_second: float
    first_byte: float
    """Milliseconds until the table begins to come."""

    @property
    def per_row(self) -> float:
        """Milliseconds that a row adds to a page, by the p99 of full pages and of those with next to none."""
        most = max(each.rows for each in self.pages)
        full = [each for each in self.pages if each.rows > 0.9 * most]
        bare = [each for each in self.pages if each.rows < 0.1 * most]
        rows = fmean(each.rows for each in full) - fmean(each.rows for each in bare)
        return max(median(each.p99 for each in full) - median(each.p99 for each in bare), 0) / rows


@dataclass(frozen=True)
class _Asked:
    """A colleague at one of the servers."""

    served: Served
    connection: http.client.HTTPConnection
    cookie: dict[str, str]


def measure(served: Sequence[Served], rounds: int, requests: int = REQUESTS) -> list[Listing]:
    """Every kind of page over and over, in rounds, then the table once; of each database."""
    with ExitStack() as stack:
        asked = []
        for each in served:
            connection = http.client.HTTPConnection("127.0.0.1", each.server.port, timeout=300)
            asked.append(_Asked(each, stack.enter_context(closing(connection)), _cookie(each)))
        lists = [dict(_addresses(each.served.size)) | {"deep page": [_deep(each, 40)]} for each in asked]
        found: list[dict[str, list[_Times]]] = [{name: [] for name in its} for its in lists]
        for _ in range(rounds):
            for name in lists[0]:
                for its, times in zip(found, _timed(asked, [each[name] for each in lists], requests), strict=True):
                    its[name].append(times)
        tables = [_table(each) for each in asked]
    pages = [[_middle(name, times) for name, times in its.items()] for its in found]
    of_each = zip(asked, pages, tables, strict=True)
    return [Listing(each.served.kind, each.served.size, its, rate, byte) for each, its, (byte, rate) in of_each]


def _addresses(size: int) -> Iterator[tuple[str, list[str]]]:
    """What is asked for: several addresses where one alone would be answered from a warm place."""
    today = clock.now()
    days = [f"{today + timedelta(days=each):%Y-%m-%d}" for each in range(30)]
    products = [f"product={made_id('pro', n)}" for n in range(PRODUCTS)]
    somebody = range(0, max(size // 2, 3), max(size // 60, 1))
    yield "no filter", [""]
    yield "oldest first", ["sort=oldest"]
    yield "by period's end", ["sort=ends"]
    yield "state: active", ["state=active"]
    yield "state: pending", ["state=pending"]
    yield "state: pending, by end", ["state=pending&sort=ends"]
    yield "product", products
    yield "product, by end", [f"{each}&sort=ends" for each in products]
    yield "ends on a day", [f"ends_from={day}&ends_to={day}" for day in days]
    yield "ends in a month, by end", [f"ends_from={days[0]}&ends_to={days[-1]}&sort=ends"]
    yield "canceled by staff", ["by=staff"]
    yield "search: common first name", [f"q={name_of(n).split()[0]}" for n in range(20)]
    yield "search: the same, newest first", [f"q={name_of(n).split()[0]}&sort=newest" for n in range(20)]
    yield "search: everybody's domain", ["q=example.com"]
    yield "search: one address", [f"q={quote(email_of(n))}" for n in somebody]
    yield "search: two words", [f"q={quote(' '.join(reversed(name_of(n).split())))}" for n in somebody]
    yield "search: nobody", ["q=zzzz"]
    yield "search and state", [f"q={name_of(n).split()[0]}&state=pending" for n in range(20)]
    yield "product, two states", [f"{each}&state=past_due&state=pending" for each in products]
    yield (
        "product, state, month, who",
        [f"{each}&state=pending&state=canceled&ends_to={days[-1]}&by=customer" for each in products],
    )


def _cookie(served: Served) -> dict[str, str]:
    with served.connected(), transaction():
        member = staff.add("bench@example.com", role=staff.ADMIN, name="Bench", by=shell())
        cookie = staff_sessions.begin(member, way="bench", client="127.0.0.1", agent="bench")
    return {"Cookie": f"{access.staff_cookie_name()}={cookie}"}


def _timed(asked: Sequence[_Asked], queries: Sequence[list[str]], requests: int) -> list[_Times]:
    """One list of all servers in turn: milliseconds, and rows a page."""
    times: list[list[float]] = [[] for _ in asked]
    rows = [0] * len(asked)
    for number in range(-5, requests):
        for at, (each, its) in enumerate(zip(asked, queries, strict=True)):
            began = time.perf_counter()
            page = _page(each, its[number % len(its)])
            if number >= 0:
                times[at].append(1000 * (time.perf_counter() - began))
                rows[at] += page.count('role="rowheader"')
    return [(sorted(took), shown / requests) for took, shown in zip(times, rows, strict=True)]


def _middle(name: str, rounds: Sequence[_Times]) -> Listed:
    """The medians of what each round found: a minute in which the machine did something else is not what is asked."""
    p50, p99 = (median(_nth(took, part) for took, _ in rounds) for part in (0.5, 0.99))
    return Listed(name, p50, p99, fmean(rows for _, rows in rounds))


def _nth(took: list[float], part: float) -> float:
    return took[int(part * (len(took) - 1))]


def _page(asked: _Asked, query: str) -> str:
    asked.connection.request("GET", f"/console/subscriptions?{query}", headers=asked.cookie)
    answer = asked.connection.getresponse()
    page = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"the list answers {answer.status} for {query}")
    return page


def _deep(asked: _Asked, pages: int) -> str:
    """The address of a page that is reached by pressing Next so often, or as often as there is one."""
    query = ""
    for _ in range(pages):
        _, found, rest = _page(asked, query).partition('rel="next" href="/console/subscriptions?')
        if not found:
            break
        query = rest.partition('"')[0].replace("&amp;", "&")
    return query


def _table(asked: _Asked) -> tuple[float, float]:
    """Milliseconds to the first byte, and rows a second of the first 100,000."""
    began = time.perf_counter()
    asked.connection.request("GET", "/console/subscriptions.csv", headers=asked.cookie)
    answer = asked.connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"the table answers {answer.status}")
    rows = answer.read(1).count(b"\n") - 1
    first_byte = 1000 * (time.perf_counter() - began)
    while rows < _TABLE_ROWS and (part := answer.read(1 << 16)):
        rows += part.count(b"\n")
    return first_byte, rows / (time.perf_counter() - began)
