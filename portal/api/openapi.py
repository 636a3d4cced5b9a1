"""`/openapi.json`: the OpenAPI 3.1 document of this door, made from the operations that serve it.

Nothing is written twice: parameters and bodies are the models that read them, answers the entities that are sent,
errors the codes an operation declares. Tests hold every answer of the test suite against it.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any

import orjson
from flask import Response, request

from portal import __version__
from portal.api import bodies, bp, lists, meanings, openapi_errors, openapi_links, openapi_schemas, samples
from portal.api.operations import ALL, Operation
from portal.domain import entities

_ID_TYPES = {
    "products": entities.ProductId,
    "prices": entities.PriceId,
    "customers": entities.CustomerId,
    "addresses": entities.AddressId,
    "businesses": entities.BusinessId,
    "payment-methods": entities.PaymentMethodId,
    "portal-sessions": entities.PortalSessionId,
    "subscriptions": entities.SubscriptionId,
    "transactions": entities.TransactionId,
    "events": entities.EventId,
    "notification-settings": entities.NotificationSettingId,
    "notifications": entities.NotificationId,
}
_SINGULAR = {"addresses": "address", "businesses": "business"}
_HEADERS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "Request-Id": ("The request's id, as in `meta.request_id`.", {"type": "string", "format": "uuid"}, True),
    "RateLimit-Limit": ("How many requests a minute the key may make.", {"type": "integer"}, False),
    "RateLimit-Remaining": ("How many are left.", {"type": "integer"}, False),
    "RateLimit-Reset": ("In how many seconds all are there again.", {"type": "integer"}, False),
}
_ABOUT = (
    "Paths, fields, error codes and pagination are those of the Paddle Billing API, so that its SDKs work here.\n\n"
    "Bodies are JSON objects of at most 1 MB. An empty body is `{}`; null is the same as left out, unless a field "
    "says otherwise. Unknown fields and parameters are refused. Text can't contain the NUL character, and whole "
    "numbers fit 64 bits. Instants are UTC with microseconds. A refused request has changed nothing."
)


@bp.get("/openapi.json")
def openapi_document() -> Response:
    content, tag = _bytes()
    response = Response(content, mimetype="application/json")
    response.set_etag(tag)
    response.make_conditional(request)
    return response


def operations() -> list[Operation]:
    """Every operation of this door; importing the resources declares them."""
    from portal.api import resources

    assert resources.bp is bp
    return ALL


def text() -> str:
    """The document as a file."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2).decode()


@lru_cache
def _bytes() -> tuple[bytes, str]:
    content = orjson.dumps(document())
    return content, hashlib.sha256(content).hexdigest()[:32]


@lru_cache
def document() -> dict[str, Any]:
    """The document. It is made once: whoever changes it changes it for everybody."""
    served = operations()
    schemas = openapi_schemas.Schemas(served)
    components = {**schemas.components, **openapi_errors.schemas()}
    paths: dict[str, dict[str, Any]] = {}
    for each in served:
        paths.setdefault(path_of(each), {})[each.method.lower()] = _operation(each, schemas, components)
    openapi_links.add(paths, components)
    shared = openapi_errors.share([each["responses"] for methods in paths.values() for each in methods.values()])
    used = {tag_of(each) for each in served}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Seller API", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": words} for name, words in meanings.TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": shared,
            "headers": _component_headers(),
            "parameters": {"IdempotencyKey": _idempotency_key(), "SkipCount": _skip_count()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of `portal api-key create`."}
            },
        },
    }


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference into the components stands for."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = document()["components"][kind][name]
    return found


def path_of(it: Operation) -> str:
    """`/customers/{customer_id}/addresses/{address_id}`: each id is named by what stands before it."""
    return re.sub(r"([a-z-]+)/<\w+>", lambda found: f"{found[1]}/{{{id_name(found[1])}}}", it.path)


def id_name(segment: str) -> str:
    singular = _SINGULAR.get(segment) or segment.removesuffix("s")
    return f"{singular.replace('-', '_')}_id"


def tag_of(it: Operation) -> str:
    """The last part of the path that is a resource of its own."""
    parts = [meanings.PARENTS.get(part, part) for part in it.path.split("/")]
    return next((part for part in reversed(parts) if part in meanings.TAGS), parts[1])


def _operation(it: Operation, schemas: openapi_schemas.Schemas, components: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = it.words.partition("\n")
    made: dict[str, Any] = {
        "operationId": it.name,
        "tags": [tag_of(it)],
        "summary": summary.rstrip("."),
        "description": _unwrapped(more),
        "parameters": _parameters(it),
    }
    if it.permission is not None:
        made["x-permission"] = it.permission
    if openapi_errors.takes_body(it):
        model = schemas.takes(it)
        content: dict[str, Any] = {"schema": model}
        if it.example is not None:
            content["example"] = it.example
        made["requestBody"] = {
            "required": bool(schemas.resolved(model).get("required")),
            "content": {"application/json": content},
        }
    headers = {name: {"$ref": f"#/components/headers/{name.replace('-', '')}"} for name in _HEADERS}
    made["responses"] = {
        str(it.status): _answer(it, schemas, components, headers),
        **openapi_errors.responses_of(it, headers),
    }
    return {name: each for name, each in made.items() if each not in ("", [])}


def _unwrapped(words: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in words.split("\n\n") if paragraph.strip())


def _parameters(it: Operation) -> list[dict[str, Any]]:
    made = [_path_id(segment) for segment in re.findall(r"([a-z-]+)/<\w+>", it.path)]
    if it.query is not None and it.query is not bodies.Query:
        examples = it.example if it.method == "GET" and isinstance(it.example, dict) else {}
        for each in openapi_schemas.of_query(it.query):
            made.append(each | _query_example(each, examples.get(each["name"])))
    if is_paged(it):
        made.append({"$ref": "#/components/parameters/SkipCount"})
    if it.method in ("POST", "PATCH"):
        made.append({"$ref": "#/components/parameters/IdempotencyKey"})
    return made


def _query_example(parameter: dict[str, Any], text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    kind = parameter["schema"].get("type")
    return {"example": text.split(",") if kind == "array" else int(text) if kind == "integer" else text}


def _path_id(segment: str) -> dict[str, Any]:
    schema = openapi_schemas.of_type(_ID_TYPES[segment])
    name = id_name(segment)
    meaning = f"The id of the {name.removesuffix('_id').replace('_', ' ')}."
    example = samples.of(schema, {}, "id")
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema, "example": example}


def is_paged(it: Operation) -> bool:
    return it.query is not None and issubclass(it.query, lists.Query)


def _answer(
    it: Operation, schemas: openapi_schemas.Schemas, components: dict[str, Any], headers: dict[str, Any]
) -> dict[str, Any]:
    if it.status == 204:
        return {"description": "Done. There is no body.", "headers": headers}
    given = schemas.gives(it) if it.gives is not None else {}
    meta = {"$ref": "#/components/schemas/" + ("ListMeta" if is_paged(it) else "Meta")}
    schema = {"type": "object", "required": ["data", "meta"], "properties": {"data": given, "meta": meta}}
    example = samples.of(schema, components)
    if it.method != "GET" and isinstance(it.example, dict) and isinstance(example["data"], dict):
        example["data"] |= samples.alike(it.example, example["data"])
    words = {201: "Created.", 202: "Accepted."}.get(it.status, "Done." if it.method != "GET" else "Found.")
    return {
        "description": words,
        "headers": headers,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _component_headers() -> dict[str, Any]:
    made = {
        name.replace("-", ""): {"description": meaning, "schema": schema, "required": always}
        for name, (meaning, schema, always) in _HEADERS.items()
    }
    wait = {"description": "In how many seconds to try again.", "schema": {"type": "integer"}, "required": True}
    return made | {"RetryAfter": wait}


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key gets the same answer for 24 hours and acts once, however often it is sent.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "7b0e8a52-6d7a-4c0e-a0b1-2f0a4c9f5d11",
    }


def _skip_count() -> dict[str, Any]:
    return {
        "name": "Skip-Count",
        "in": "header",
        "required": False,
        "description": "`true` leaves the total uncounted, which is faster.",
        "schema": {"type": "string"},
    }
