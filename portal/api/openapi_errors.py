"""Which error codes an operation can answer with, and how they stand in the document."""

from collections import Counter
from typing import Any

import orjson

from portal.api import bodies
from portal.api.error_codes import CODES
from portal.api.operations import Operation

RESPONSES = "#/components/responses/"
ALWAYS = (
    "authentication_missing",
    "authentication_malformed",
    "invalid_token",
    "forbidden",
    "bad_request",
    "invalid_field",
    "too_many_requests",
    "internal_error",
    "service_unavailable",
)
WITH_BODY = ("invalid_json", "unsupported_media_type", "request_body_too_large")
WITH_KEY = ("idempotency_key_in_use", "idempotency_key_reused")
ON_CHANGE = ("conflict",)
WITH_ID = ("not_found", "invalid_url")
PHRASES = {
    400: "The request can't be understood, or the rules do not allow it now",
    403: "The key is missing, unknown, or may not do this",
    404: "There is no such entity",
    409: "It clashes with the state of things, or with another change",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "It was understood and can't be done",
    429: "Too many requests",
    500: "A defect of ours",
    503: "Nothing can be recorded now",
}


def codes_of(it: Operation) -> list[str]:
    """Every code of an operation, its own first."""
    codes = [*it.refuses]
    codes += WITH_ID if "<" in it.path else ()
    codes += ON_CHANGE if it.method != "GET" else ()
    codes += (*WITH_KEY, *WITH_BODY) if it.method in ("POST", "PATCH") else ()
    return list(dict.fromkeys([*codes, *ALWAYS]))


def responses_of(it: Operation, headers: dict[str, Any]) -> dict[str, Any]:
    """The error answers of an operation: status → response, which names its codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes_of(it):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {str(status): _response(status, codes, headers) for status, codes in sorted(by_status.items())}


def share(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Names the error answers that several operations give alike, and refers to them."""
    uses = Counter(orjson.dumps(each) for one in answers for status, each in one.items() if status >= "4")
    names: dict[bytes, str] = {}
    shared: dict[str, Any] = {}
    for one in answers:
        for status, each in one.items():
            content = orjson.dumps(each)
            if uses[content] > 1:
                nth = sum(name.startswith(f"Refused{status}") for name in shared) + 1
                name = names.setdefault(content, f"Refused{status}" + (f"-{nth}" if nth > 1 else ""))
                shared[name] = each
                one[status] = {"$ref": RESPONSES + name}
    return shared


def codes_in(answer: dict[str, Any]) -> list[str]:
    """The codes that an error answer names."""
    schema = answer["content"]["application/json"]["schema"]["allOf"][1]
    codes: list[str] = schema["properties"]["error"]["properties"]["code"]["enum"]
    return codes


def _response(status: int, codes: list[str], headers: dict[str, Any]) -> dict[str, Any]:
    if status == 429:
        headers = headers | {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    code = {"properties": {"error": {"properties": {"code": {"enum": sorted(codes)}}}}}
    first = codes[0]
    return {
        "description": PHRASES.get(status, "Refused"),
        "headers": headers,
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Refusal"}, code]},
                "example": example(first),
            }
        },
    }


def example(code: str) -> dict[str, Any]:
    """What a refusal looks like."""
    status, meaning, remedy = CODES[code]
    error: dict[str, Any] = {
        "type": "api_error" if status in (429, 500, 503) else "request_error",
        "code": code,
        "detail": f"{meaning} {remedy}",
        "documentation_url": f"/docs/errors#{code}",
    }
    if code == "invalid_field":
        error["errors"] = [{"field": "name", "message": "Field required"}]
    return {"error": error, "meta": {"request_id": "0197a3c2-5d3e-4c55-9a51-0f1e7a4b9c11"}}


def schemas() -> dict[str, Any]:
    """The shapes that every refusal has."""
    text = {"type": "string"}
    return {
        "Refusal": _closed(error={"$ref": "#/components/schemas/Error"}, meta={"$ref": "#/components/schemas/Meta"}),
        "Error": {
            "type": "object",
            "required": ["type", "code", "detail", "documentation_url"],
            "properties": {
                "type": {
                    "enum": ["request_error", "api_error"],
                    "description": "Whether the request or the server is at fault.",
                },
                "code": {**text, "description": "What was refused, for programs. It never changes."},
                "detail": {**text, "description": "What happened and what was not done, for an engineer to read."},
                "documentation_url": {**text, "format": "uri-reference", "description": "What to do about it."},
                "errors": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/FieldError"},
                    "description": "With `invalid_field`: each field that is wrong.",
                },
            },
        },
        "FieldError": _closed(
            field={**text, "description": "Where it stands, with dots: `unit_price.amount`."},
            message={**text, "description": "Why it does not fit."},
        ),
    }


def _closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "properties": properties}


def takes_body(it: Operation) -> bool:
    """Whether the operation reads anything in its body."""
    return it.takes is not None and it.takes is not bodies.Nothing
