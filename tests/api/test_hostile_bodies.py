"""No operation is moved by a body that means nothing, two things, or too much: a 4xx that says so, nothing changed."""

import io
import re
from typing import Any

import pytest
from flask import Flask

from portal import web
from portal.api import operations, resources  # noqa: F401  (the import declares the operations)
from portal.api.operations import Operation
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN

HOSTILE: dict[str, bytes] = {
    "no JSON": b"effective_from=immediately",
    "an unfinished object": b'{"a": ',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"immediately"',
    "a key named twice": b'{"description": "a", "description": "b"}',
    "a key named twice inside": b'{"custom_data": {"a": 1, "a": 2}}',
    "a key nobody knows": b'{"no_such_field": 1}',
    "endless nesting": b'{"custom_data": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "deep nesting": b'{"custom_data": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "a whole number beyond 64 bits": b'{"custom_data": {"n": 123456789012345678901234567890}}',
    "a number of five thousand digits": b'{"custom_data": {"n": ' + b"9" * 5000 + b"}}",
    "a number beyond all measure": b'{"custom_data": {"n": 1e999}}',
    "not a number": b'{"custom_data": {"n": NaN}}',
    "the NUL character": b'{"description": "a\\u0000b"}',
    "half a surrogate pair": b'{"description": "\\ud800"}',
    "UTF-16": '{"description": "a"}'.encode("utf-16"),
    "Latin-1": '{"description": "ä"}'.encode("latin-1"),
    "a megabyte and more": b'{"description": "' + b"x" * 1_100_000 + b'"}',
}


def takes_a_body() -> list[Operation]:
    return [each for each in operations.ALL if each.takes is not None]


def path_of(operation: Operation) -> str:
    """Its path with ids that are unknown: a body is refused before anything is looked for."""
    return re.sub(r"<\w+>", f"sub_{UNKNOWN}", operation.path)


def test_the_walk_sees_the_operations() -> None:
    assert len(takes_a_body()) > 20


@pytest.mark.parametrize("what", HOSTILE)
def test_every_operation_refuses(app: Flask, what: str) -> None:
    seller = App(app)
    seller.get("/subscriptions")
    before = visits.records()
    for operation in takes_a_body():
        answer = seller.call(operation.method, path_of(operation), data=HOSTILE[what], content_type="application/json")
        status, code = refusal(answer)
        assert status in (400, 413), (operation.name, code)
        assert code in ("invalid_json", "bad_request", "invalid_field", "request_body_too_large"), operation.name
    assert visits.records() == before


@pytest.mark.parametrize("value", [1, 1.5, True, "text", [], {}, [[]], [None], {"a": {}}, "", "x" * 20_000, -1, 10**18])
def test_no_field_of_any_operation_makes_it_fail(app: Flask, value: Any) -> None:
    """Each field in turn with a value of every type: whatever the answer is, it is no defect of ours."""
    seller = App(app)
    for operation in takes_a_body():
        assert operation.takes is not None
        for field in operation.takes.model_fields:
            answer = seller.call(operation.method, path_of(operation), {field: value})
            assert answer.status_code in (201, 400, 403, 404, 409), (operation.name, field, answer.text)


def without_length(app: Flask, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """As a server hands on a body that came in chunks, whose end it knows and whose length it does not."""
    chunks = {"input_stream": io.BytesIO(body), "environ_overrides": {"wsgi.input_terminated": True}}
    sent = {"Content-Type": "application/json"} | headers
    return app.test_client().post(path, headers=sent, **chunks)  # type: ignore[arg-type]


def padded(size: int, tail: bytes = b"") -> bytes:
    body = b'{"name": "Pro", "tax_category": "saas"}'
    return body.ljust(size - len(tail)) + tail


def test_a_body_without_a_length_is_as_long_as_any_other(app: Flask) -> None:
    answer = without_length(app, "/products", padded(web.MOST_BYTES), App(app).headers)
    assert (answer.status_code, answer.json["data"]["name"]) == (201, "Pro")


@pytest.mark.parametrize("tail", [b" ", b"NOT JSON", b"x" * 3_000_000])
def test_a_body_without_a_length_is_never_cut(app: Flask, tail: bytes) -> None:
    seller = App(app)
    seller.get("/subscriptions")
    before = visits.records()
    answer = without_length(app, "/products", padded(web.MOST_BYTES) + tail, seller.headers)
    assert refusal(answer) == (413, "request_body_too_large")
    assert visits.records() == before


def test_bodies_that_differ_behind_the_limit_are_not_the_same_request(app: Flask) -> None:
    seller = App(app)
    headers = seller.headers | {"Idempotency-Key": "order-4711"}
    assert without_length(app, "/products", padded(web.MOST_BYTES), headers).status_code == 201
    for tail in (b"a", b"b"):
        answer = without_length(app, "/products", padded(web.MOST_BYTES) + tail, headers)
        assert refusal(answer) == (413, "request_body_too_large")


def test_a_form_without_a_length_is_never_cut(app: Flask) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = without_length(app, "/portal/sign-in", b"email=" + b"x" * web.MOST_BYTES, form)
    assert answer.status_code == 413
