"""Every answer of the API held against the document that describes it (`/openapi.json`)."""

from functools import cache
from typing import Any

import jsonschema_rs
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from portal.api import openapi
from tests.api import published


def check(routes: Map, answer: Any) -> None:
    """Fails if an answer is none that its operation may give; says nothing of URLs that are no operation."""
    operation = _operation(routes, answer.request.method, answer.request.path)
    published.check(routes, answer)
    if operation is None:
        return
    described = _responses()[operation]
    status = str(answer.status_code)
    assert status in described, f"{operation} answered {status}, which the document does not know: {answer.text[:500]}"
    assert answer.headers.get("Request-Id")
    if "content" not in described[status]:
        assert answer.data == b"", f"{operation} answered {status} with a body"
        return
    assert answer.mimetype == "application/json"
    wrong = [f"{each.instance_path}: {each.message}" for each in _validator(operation, status).iter_errors(answer.json)]
    assert not wrong, f"{operation} answered {status}, and it is not as the document says: {wrong[:5]}"


def _operation(routes: Map, method: str, path: str) -> str | None:
    try:
        endpoint, _ids = routes.bind("localhost").match(f"/{path.lstrip('/')}", method)
    except HTTPException:
        return None
    name = str(endpoint).removeprefix("api.")
    return name if name in _responses() else None


@cache
def _responses() -> dict[str, dict[str, Any]]:
    methods = [each for path in openapi.document()["paths"].values() for each in path.values()]
    return {
        each["operationId"]: {status: openapi.resolved(one) for status, one in each["responses"].items()}
        for each in methods
    }


@cache
def _validator(operation: str, status: str) -> Any:
    schema = _responses()[operation][status]["content"]["application/json"]["schema"]
    whole = _strict(schema) | {"components": {"schemas": _components()}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def _components() -> Any:
    return _strict(openapi.document()["components"]["schemas"])


def _strict(schema: Any) -> Any:
    """What an app must be ready for, a field it does not know, is a mistake here: every field is documented."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _strict(each) for name, each in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
