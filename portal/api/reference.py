"""`/docs`: the reference, rendered from the document that /openapi.json serves; one page a resource."""

import json
import re
from functools import lru_cache
from typing import Any

from flask import render_template
from markupsafe import Markup, escape

from portal.api import bp, openapi, openapi_errors, reference_fields
from portal.api.error_codes import CODES

_GENERAL = (
    "too_many_requests",
    "internal_error",
    "service_unavailable",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "invalid_url",
    *openapi_errors.WITH_BODY,
)
_METHODS = ("get", "post", "patch", "delete")


@bp.get("/docs")
def reference() -> str:
    return render_template("docs/index.html", words=words, about=_paragraphs(_info()["description"]), **_frame())


@bp.get("/docs/<resource>")
def reference_of(resource: str) -> tuple[str, int]:
    """One resource's operations and entities."""
    if resource not in _resources():
        missing = render_template("docs/index.html", words=words, about=[], missing=True, **_frame())
        return missing, 404
    return render_template("docs/reference.html", words=words, page=_page(resource), **_frame(resource)), 200


@bp.get("/docs/errors")
def error_codes() -> str:
    return render_template("docs/errors.html", words=words, codes=CODES, **_frame("errors"))


def words(text: str) -> Markup:
    """Text whose `backticks` become code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _frame(current: str = "") -> dict[str, Any]:
    """What every page of the reference has around it."""
    return {"current": current, "resources": _resources(), "version": _info()["version"]}


def _info() -> dict[str, Any]:
    info: dict[str, Any] = openapi.document()["info"]
    return info


@lru_cache
def _resources() -> dict[str, dict[str, Any]]:
    """Each tag with its title, its words and its operations, in short."""
    document = openapi.document()
    found: dict[str, dict[str, Any]] = {
        tag["name"]: {
            "title": tag["name"].replace("-", " ").capitalize(),
            "words": tag["description"],
            "operations": [],
        }
        for tag in document["tags"]
    }
    for path, method, each in _operations():
        short = {"id": each["operationId"], "method": method.upper(), "path": path, "summary": each["summary"]}
        found[each["tags"][0]]["operations"].append(short)
    return found


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    """In the order people look for them: by path, reading before changing."""
    paths = openapi.document()["paths"].items()
    found = [(path, method, each) for path, methods in paths for method, each in methods.items()]
    return sorted(found, key=lambda one: (one[0].count("/"), one[0], _METHODS.index(one[1])))


@lru_cache
def _page(resource: str) -> dict[str, Any]:
    fields = reference_fields.Fields(openapi.document(), _homes())
    told = [_told(path, method, each, fields) for path, method, each in _operations() if each["tags"][0] == resource]
    _show_each_answer_once(told)
    return {
        **_resources()[resource],
        "operations": told,
        "entities": [fields.entity(name) for name, home in _homes().items() if home == resource],
    }


def _show_each_answer_once(told: list[dict[str, Any]]) -> None:
    """Most changes of a subscription are answered alike; the page would be mostly that."""
    shown = set()
    for each in told:
        kind = (each["gives"]["title"] if each["gives"] else each["id"], each["is_list"])
        if kind in shown:
            each["json"] = None
        shown.add(kind)


@lru_cache
def _homes() -> dict[str, str]:
    """On which resource's page an entity is described: the first whose operations answer with it."""
    homes: dict[str, str] = {}
    for _path, _method, each in _operations():
        if (name := reference_fields.given(each)) is not None:
            homes.setdefault(name, each["tags"][0])
    return homes


def _told(path: str, method: str, operation: dict[str, Any], fields: reference_fields.Fields) -> dict[str, Any]:
    status, answer = next(iter(operation["responses"].items()))
    example = answer.get("content", {}).get("application/json", {}).get("example")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "paragraphs": _paragraphs(operation.get("description", "")),
        "permission": operation.get("x-permission"),
        "parameters": fields.parameters(operation),
        "body": fields.body(operation),
        "status": status,
        "answer": answer["description"],
        "gives": fields.link_to(reference_fields.given(operation)),
        "is_list": reference_fields.gives_list(operation),
        "errors": _errors(operation),
        "curl": _curl(path, method, operation),
        "json": json.dumps(example, indent=2, ensure_ascii=False) if example is not None else None,
    }


def _errors(operation: dict[str, Any]) -> list[tuple[str, int]]:
    """The codes that are this operation's own; those of every operation stand on the first page."""
    everywhere = set.intersection(*(set(_codes(each)) for _path, _method, each in _operations())) | set(_GENERAL)
    return [(code, CODES[code][0]) for code in _codes(operation) if code not in everywhere]


def _codes(operation: dict[str, Any]) -> list[str]:
    errors = [each for status, each in operation["responses"].items() if not status.startswith("2")]
    return [code for each in errors for code in openapi_errors.codes_in(openapi.resolved(each))]


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in text.split("\n\n") if paragraph]


def _curl(path: str, method: str, operation: dict[str, Any]) -> str:
    """The request of the example, for a shell in which BASE and KEY are set."""
    parameters = [each for each in operation.get("parameters", []) if "example" in each]
    for each in parameters:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", each["example"])
    query = "&".join(f"{each['name']}={_joined(each['example'])}" for each in parameters if each["in"] == "query")
    verb = "" if method == "get" else f"-X {method.upper()} "
    lines = [f'curl {verb}"$BASE{path}{"?" if query else ""}{query}"', '-H "Authorization: Bearer $KEY"']
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in body:
        lines.append('-H "Content-Type: application/json"')
        quoted = json.dumps(body["example"], indent=2, ensure_ascii=False).replace("'", "'\\''")
        lines.append(f"-d '{quoted}'")
    return " \\\n  ".join(lines)


def _joined(example: Any) -> str:
    return ",".join(example) if isinstance(example, list) else str(example)
