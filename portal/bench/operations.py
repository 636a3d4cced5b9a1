"""The operations that are measured: their requests, prepared with sessions, links and form tokens of their own."""

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask
from sqlalchemy import Update, update

from portal import access, clock, db
from portal.bench.load import http
from portal.bench.synthetic import customer_of, made_id, state_of
from portal.db import session, transaction
from portal.domain import api_keys, browser_sessions
from portal.domain.actors import shell
from portal.domain.browser_sessions import BrowserSession
from portal.domain.subscriptions import Subscription

MOST_PEOPLE = 2000


@dataclass(frozen=True)
class Operation:
    """`once`: each request changes its own subscription, so none is sent twice in a run. `bare`: the bare view."""

    name: str
    writes: bool
    expected: int
    requests: list[bytes]
    once: bool = False
    bare: str = "read"
    before: list[Update] = field(default_factory=list)

    def reset(self) -> None:
        """Brings the database to where a run begins."""
        with transaction():
            for statement in self.before:
                session().execute(statement)


class Workshop:
    """Makes the requests of every operation, for a filled database of some size."""

    def __init__(self, app: Flask, size: int) -> None:
        self.app = app
        wanted = range(51, min(size, 51 + 2 * MOST_PEOPLE))
        self.numbers = [n for n in wanted if state_of(n) == "active"]
        with transaction():
            key = api_keys.create("bench", api_keys.ALL_BUT_NAMED, by=shell())
            people = sorted({customer_of(n) for n in self.numbers})
            self.cookies = {n: browser_sessions.begin(made_id("ctm", n), page="portal", way="bench") for n in people}
        self.key = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.form, self.token = self._form()
        self.fresh = update(BrowserSession).values(last_seen_at=clock.now() + timedelta(minutes=30))
        db.close()

    def operations(self) -> list[Operation]:
        """In the order of the table; a list stands beside one row as all reads do, and beside as many bare rows."""
        listing = [self._listing(n, 50) for n in self.numbers[:-60]]
        long = [self._listing(n, 200) for n in self.numbers[:-220]]
        return [
            Operation("open a portal session", True, 201, [self._opening(n) for n in self.numbers]),
            Operation("exchange a link", True, 303, self._links()),
            Operation("read a subscription", False, 200, [self._reading(n) for n in self.numbers]),
            Operation("list 50 subscriptions", False, 200, listing),
            Operation("list 50 (bare: 50 rows)", False, 200, listing, bare="list-50"),
            Operation("list 200 (bare: 200 rows)", False, 200, long, bare="list-200"),
            Operation("overview page", False, 200, self._overviews(), before=[self.fresh]),
            self._acting("cancel", self._unscheduled()),
            self._acting("keep", self._scheduled()),
        ]

    def _opening(self, n: int) -> bytes:
        body = json.dumps({"subscription_ids": [made_id("sub", n)]}).encode()
        return http("POST", f"/customers/{made_id('ctm', customer_of(n))}/portal-sessions", self.key, body)

    def _links(self) -> list[bytes]:
        """Links to cancel pages, as an app gets them."""
        client, found = self.app.test_client(), []
        for n in self.numbers[:200]:
            path = f"/customers/{made_id('ctm', customer_of(n))}/portal-sessions"
            opened: Any = client.post(path, headers=self.key, json={"subscription_ids": [made_id("sub", n)]})
            url = urlsplit(opened.json["data"]["urls"]["subscriptions"][0]["cancel_subscription"])
            found.append(http("GET", f"{url.path}?{url.query}"))
        return found

    def _reading(self, n: int) -> bytes:
        return http("GET", f"/subscriptions/{made_id('sub', n)}", self.key)

    def _listing(self, n: int, size: int) -> bytes:
        return http("GET", f"/subscriptions?per_page={size}&order_by=id[ASC]&after={made_id('sub', n)}", self.key)

    def _overviews(self) -> list[bytes]:
        return [http("GET", "/portal", self._cookie(person)) for person in self.cookies]

    def _acting(self, name: str, before: Update) -> Operation:
        body = urlencode({"csrf_token": self.token}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        requests = [
            http("POST", f"/portal/subscriptions/{made_id('sub', n)}/{name}", self._cookie(customer_of(n)) | kind, body)
            for n in self.numbers
        ]
        return Operation(name, True, 303, requests, once=True, before=[self.fresh, before])

    def _cookie(self, person: int) -> dict[str, str]:
        return {"Cookie": f"{access.cookie_name()}={self.cookies[person]}; form={self.form}"}

    def _form(self) -> tuple[str, str]:
        """The cookie and the hidden field of a form, as a browser gets them."""
        client = self.app.test_client()
        page = client.get("/portal/sign-in").get_data(as_text=True)
        shown = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        cookie = client.get_cookie("form")
        if shown is None or cookie is None:
            raise RuntimeError("the sign-in page has no form token")
        return str(cookie.value), shown[1]

    def _unscheduled(self) -> Update:
        nothing = {"scheduled_action": None, "scheduled_effective_at": None, "scheduled_at": None, "scheduled_by": None}
        nothing |= {"canceled_by": None}
        billed = {"next_billed_at": Subscription.period_ends_at, "billing_resumes_at": None}
        return self._own().values(**nothing, **billed)

    def _scheduled(self) -> Update:
        ends = Subscription.period_ends_at
        planned = {"scheduled_action": "cancel", "scheduled_effective_at": ends, "scheduled_at": clock.now()}
        return self._own().values(
            **planned, scheduled_by="customer", canceled_by="customer", next_billed_at=None, billing_resumes_at=ends
        )

    def _own(self) -> Update:
        first, last = made_id("sub", self.numbers[0]), made_id("sub", self.numbers[-1])
        active = Subscription.id.between(first, last) & (Subscription.status == "active")
        return update(Subscription).where(active).execution_options(synchronize_session=False)


def answer_size(app: Flask, operation: Operation) -> int:
    """How many bytes the operation's answer has, from its first request sent in process."""
    operation.reset()
    answer = app.test_client(use_cookies=False).open(**told(operation.requests[0]))
    if answer.status_code != operation.expected:
        raise RuntimeError(f"{operation.name} answers {answer.status_code} instead of {operation.expected}")
    return len(answer.data)


def told(request: bytes) -> dict[str, Any]:
    """A prepared request as Flask's test client takes it."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if not line.startswith("Content-Length"))
    return {"path": path, "method": method, "headers": headers, "data": body}


def bare_requests(operation: Operation, size: int) -> list[bytes]:
    """The same number of requests to the bare view."""
    if operation.writes:
        return [http("POST", f"/bare/write/{size}")]
    wanted = range(len(operation.requests))
    return [http("GET", f"/bare/{operation.bare}/{made_id('sub', n)}/{size}") for n in wanted]
