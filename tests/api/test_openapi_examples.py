"""Every example of the document is sent, and answered as the document says."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.api import bodies, openapi, openapi_errors
from portal.api.operations import Operation
from portal.domain import api_keys
from portal.domain.notifications import Notification
from tests import people
from tests.api import billing
from tests.api.calls import App
from tests.api.test_transactions import change
from tests.api.test_transactions_paid import paid
from tests.conftest import NOW
from tests.customer import visits
from tests.outbox import shop

ALL = openapi.operations()
ID = re.compile(r"\b([a-z]+)_[a-z0-9]{26}\b")
FIXED = {each.name: each for each in ALL}


Maker = Callable[["World"], str]


class World:
    """What the examples speak of; each kind of thing is made when the first example names it."""

    def __init__(self, seller: App, **otherwise: Maker) -> None:
        self.seller, self.makers = seller, MAKERS | otherwise
        self.known: dict[str, str] = {}

    def id(self, prefix: str) -> str:
        if prefix not in self.known:
            self.known[prefix] = self.makers[prefix](self)
        return self.known[prefix]

    def real(self, example: Any) -> Any:
        """An example with ids of things that exist."""
        if isinstance(example, dict):
            return {name: self.real(each) for name, each in example.items()}
        if isinstance(example, list):
            return [self.real(each) for each in example]
        if not isinstance(example, str):
            return example
        return ID.sub(lambda found: self.id(found[1]) if found[1] in MAKERS else found[0], example)

    def made_by(self, name: str) -> str:
        """The id of what another operation's own example makes."""
        made = self.send(FIXED[name])
        assert made.status_code == 201, made.text
        return str(made.json["data"]["id"])

    def send(self, it: Operation) -> Any:
        path = re.sub(r"([a-z-]+)/<\w+>", lambda found: f"{found[1]}/{self.id(PREFIXES[found[1]])}", it.path)
        example = self.real(it.example)
        if it.method == "GET":
            return self.seller.get(path, query_string=example or {})
        return self.seller.call(it.method, path, example)


PREFIXES = {
    "products": "pro",
    "prices": "pri",
    "customers": "ctm",
    "addresses": "add",
    "businesses": "biz",
    "payment-methods": "paymtd",
    "portal-sessions": "cpls",
    "subscriptions": "sub",
    "transactions": "txn",
    "notification-settings": "ntfset",
    "notifications": "ntf",
}
MAKERS: dict[str, Maker] = {
    "ctm": lambda world: people.customer("Amelia Harper"),
    "pri": lambda world: people.price(),
    "pro": lambda world: str(world.seller.get(f"/prices/{world.id('pri')}").json["data"]["product_id"]),
    "sub": lambda world: visits.subscribed(world.id("ctm")),
    "add": lambda world: world.made_by("create_address"),
    "biz": lambda world: world.made_by("create_business"),
    "paymtd": lambda world: str(people.row(world.id("sub")).payment_method_id),
    "cpls": lambda world: world.made_by("open_portal_session"),
    "txn": lambda world: world.made_by("create_transaction"),
    "ntfset": lambda world: world.made_by("create_notification_setting"),
    "ntf": lambda world: delivered(world),
}
PAUSED = {
    "status": "paused",
    "paused_at": NOW - timedelta(days=1),
    "next_billed_at": None,
    "period_starts_at": None,
    "period_ends_at": None,
}
TRIALING = {"status": "trialing", "first_billed_at": None, "anchor_at": visits.END}


def in_state(**fields: Any) -> dict[str, Maker]:
    return {"sub": lambda world: visits.subscribed(world.id("ctm"), **fields)}


def delivered(world: World) -> str:
    shop.destination("https://shop.example.com/webhooks")
    shop.happen()
    shop.worker.events()
    note = shop.note().id
    change(note, Notification, status="delivered", delivered_at=NOW)
    return note


BEFORE: dict[str, dict[str, Maker]] = {
    "resume_subscription": in_state(**PAUSED),
    "activate_subscription": in_state(**TRIALING),
    "delete_payment_method": in_state(**visits.CANCELED),
    "create_subscription_charge": {"pri": lambda world: billing.one_time()},
    "preview_subscription_charge": {"pri": lambda world: billing.one_time()},
    "revise_transaction": {"txn": lambda world: paid(world.seller, bought(world))},
    "get_transaction_invoice": {"txn": lambda world: paid(world.seller, bought(world))},
}
"""Operations that need something in another state."""


def bought(world: World) -> dict[str, str]:
    return {"customer_id": world.id("ctm"), "address_id": world.id("add")}


@pytest.fixture
def seller(app: Flask) -> App:
    return App(app, *api_keys.ALL_BUT_NAMED, api_keys.CANCEL_IMMEDIATELY)


@pytest.mark.parametrize("it", ALL, ids=lambda it: it.name)
def test_an_example_is_sent_and_answered_as_described(seller: App, it: Operation) -> None:
    world = World(seller, **BEFORE.get(it.name, {}))
    listed = it.path.rpartition("/")[2]
    if listed in PREFIXES:
        world.id(PREFIXES[listed])
    answer = world.send(it)  # which holds the answer against the document
    assert answer.status_code == it.status, answer.text


@pytest.mark.parametrize("it", ALL, ids=lambda it: it.name)
def test_every_operation_with_a_body_has_an_example(it: Operation) -> None:
    if not openapi_errors.takes_body(it):
        assert it.method == "GET" or it.example is None
        return
    assert isinstance(it.example, dict), f"{it.name} has no example"
    assert it.takes is not None
    assert it.takes.model_validate_json(bodies.orjson.dumps(it.example))


def test_the_document_shows_the_examples_that_are_sent() -> None:
    for it in ALL:
        shown = openapi.document()["paths"][openapi.path_of(it)][it.method.lower()]
        if openapi_errors.takes_body(it):
            assert shown["requestBody"]["content"]["application/json"]["example"] == it.example
