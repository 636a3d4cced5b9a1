"""The console's list of subscriptions: how long a page takes, filter by filter, and how fast the table comes."""

import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from portal import access, clock
from portal.bench.serving import Server
from portal.bench.synthetic import PRODUCTS, email_of, made_id, name_of
from portal.db import transaction
from portal.domain import staff, staff_sessions
from portal.domain.actors import shell

REQUESTS = 300


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
    pages: list[Listed]
    rows_per_second: float
    first_byte: float
    """Milliseconds until the table begins to come."""

    @property
    def per_row(self) -> float:
        """Milliseconds that a row adds to a page."""
        full, empty = self.pages[0], min(self.pages, key=lambda each: each.rows)
        return max(full.p50 - empty.p50, 0) / max(full.rows - empty.rows, 1)


def measure(server: Server, size: int, requests: int = REQUESTS) -> Listing:
    """Every kind of page over and over, then the whole table once."""
    cookie = _cookie()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)) as connection:
        asked = list(_addresses(size))
        deep = _deep(connection, cookie, 40)
        pages = [_timed(connection, cookie, name, paths, requests) for name, paths in [*asked, ("deep page", [deep])]]
        first_byte, rate = _table(connection, cookie)
    return Listing(pages, rate, first_byte)


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


def _cookie() -> dict[str, str]:
    with transaction():
        member = staff.add("bench@example.com", role=staff.ADMIN, name="Bench", by=shell())
        cookie = staff_sessions.begin(member, way="bench", client="127.0.0.1", agent="bench")
    return {"Cookie": f"{access.staff_cookie_name()}={cookie}"}


def _timed(
    connection: http.client.HTTPConnection, cookie: dict[str, str], name: str, queries: list[str], requests: int
) -> Listed:
    times, rows = [], 0
    for number in range(-5, requests):
        began = time.perf_counter()
        page = _page(connection, cookie, queries[number % len(queries)])
        if number >= 0:
            times.append(1000 * (time.perf_counter() - began))
            rows += page.count('role="rowheader"')
    times.sort()
    return Listed(name, times[len(times) // 2], times[int(0.99 * (len(times) - 1))], rows / requests)


def _page(connection: http.client.HTTPConnection, cookie: dict[str, str], query: str) -> str:
    connection.request("GET", f"/console/subscriptions?{query}", headers=cookie)
    answer = connection.getresponse()
    page = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"the list answers {answer.status} for {query}")
    return page


def _deep(connection: http.client.HTTPConnection, cookie: dict[str, str], pages: int) -> str:
    """The address of a page that is reached by pressing Next so often, or as often as there is one."""
    query = ""
    for _ in range(pages):
        _, found, rest = _page(connection, cookie, query).partition('rel="next" href="/console/subscriptions?')
        if not found:
            break
        query = rest.partition('"')[0].replace("&amp;", "&")
    return query


def _table(connection: http.client.HTTPConnection, cookie: dict[str, str]) -> tuple[float, float]:
    """Milliseconds to the first byte, and rows a second."""
    began = time.perf_counter()
    connection.request("GET", "/console/subscriptions.csv", headers=cookie)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"the table answers {answer.status}")
    rows = answer.read(1).count(b"\n") - 1
    first_byte = 1000 * (time.perf_counter() - began)
    while part := answer.read(1 << 16):
        rows += part.count(b"\n")
    return first_byte, rows / (time.perf_counter() - began)
