"""How many statements a request sends to the database, for a customer with one subscription and one with fifty."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event

from portal import access, db
from portal.bench.operations import Workshop
from portal.bench.synthetic import MANY, made_id
from portal.db import transaction
from portal.domain import browser_sessions


@dataclass(frozen=True)
class Count:
    operation: str
    with_one: int
    with_many: int

    @property
    def constant(self) -> bool:
        return self.with_one == self.with_many


def counts(app: Flask, workshop: Workshop) -> list[Count]:
    """Each operation asked for the customer with one subscription, then for the one with fifty."""
    one, many = (_Asker(app, workshop, person) for person in (1, 0))
    pairs = zip(one.ask(MANY, 1), many.ask(0, 25), strict=True)
    return [Count(name, few, more) for (name, few), (_, more) in pairs]


class _Asker:
    """One customer's requests, sent in process."""

    def __init__(self, app: Flask, workshop: Workshop, person: int) -> None:
        self.client, self.workshop, self.person = app.test_client(use_cookies=False), workshop, person
        with transaction():
            cookie = browser_sessions.begin(made_id("ctm", person), page="portal", way="bench")
        self.cookie = {"Cookie": f"{access.cookie_name()}={cookie}; form={workshop.form}"}

    def ask(self, first: int, several: int) -> Iterator[tuple[str, int]]:
        """Every operation on this customer's subscription number `first`, or on `several` where it takes more."""
        key, subscription = self.workshop.key, f"/subscriptions/{made_id('sub', first)}"
        wanted = {"subscription_ids": [made_id("sub", first + each) for each in range(several)]}
        self._count("GET", subscription, key)  # so that what is read now and then, the settings, is read already
        opened = self._count("POST", f"/customers/{made_id('ctm', self.person)}/portal-sessions", key, json=wanted)
        yield "open a portal session", opened[0]
        link = opened[1].json["data"]["urls"]["subscriptions"][0]["cancel_subscription"]
        yield "exchange a link", self._count("GET", link.partition("127.0.0.1")[2].partition("/")[2], {})[0]
        yield "read a subscription", self._count("GET", subscription, key)[0]
        yield "list 50 subscriptions", self._count("GET", f"/subscriptions?per_page={min(2 * several, 50)}", key)[0]
        yield "overview page", self._count("GET", "/portal", self.cookie)[0]
        for act in ("cancel", "keep"):
            form = {"csrf_token": self.workshop.token}
            yield act, self._count("POST", f"/portal{subscription}/{act}", self.cookie, data=form)[0]

    def _count(self, method: str, path: str, headers: dict[str, str], **body: Any) -> tuple[int, Any]:
        with _counting() as statements:
            answer = self.client.open("/" + path.lstrip("/"), method=method, headers=headers, **body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path} answers {answer.status_code}")
        return len(statements), answer


@contextmanager
def _counting() -> Iterator[list[str]]:
    """The statements sent within the block; BEGIN and COMMIT, which every transaction has, are left out."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        db.close()
