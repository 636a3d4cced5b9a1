"""Reading what an app sends: JSON bodies as models, query strings as lists and cursors.

An empty body is `{}`; null is the same as left out, unless a field says otherwise (`docs/api.md`).
"""

from typing import Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError

from portal.errors import InvalidRequest

MOST_LEVELS = 110
Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A body whose unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000)


def read(model: type[Model]) -> Model:
    """The body as a model. Raises InvalidRequest: unsupported_media_type, invalid_json, bad_request, invalid_field."""
    raw = request.get_data()
    if raw and request.mimetype not in ("application/json", ""):
        raise InvalidRequest("unsupported_media_type", "Send JSON: Content-Type: application/json.", status=415)
    try:
        body = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as wrong:
        raise InvalidRequest("invalid_json", f"The body is not JSON: {wrong}. Nothing was changed.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("bad_request", "The body must be a JSON object. Nothing was changed.")
    _refuse_unstorable(body)
    try:
        return model.model_validate(body)
    except ValidationError as wrong:
        raise invalid_fields(wrong) from None


def _refuse_unstorable(value: Any, depth: int = 0) -> None:
    """Raises InvalidRequest for what no database takes: the NUL character, or nesting without end."""
    if depth > MOST_LEVELS:
        raise InvalidRequest(
            "bad_request", f"The body is nested deeper than {MOST_LEVELS} levels. Nothing was changed."
        )
    if isinstance(value, str) and "\x00" in value:
        raise InvalidRequest("bad_request", "The body contains the NUL character. Nothing was changed.")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for each in value:
            _refuse_unstorable(each, depth + 1)


def sent() -> dict[str, Any]:
    """The body as it came, once it is known to be a JSON object."""
    return orjson.loads(request.get_data().strip() or b"{}")


def invalid_fields(wrong: ValidationError) -> InvalidRequest:
    """Every field that is wrong, with why."""
    fields = [
        {"field": ".".join(str(part) for part in each["loc"]) or "body", "message": each["msg"]}
        for each in wrong.errors(include_url=False, include_input=False, include_context=False)
    ]
    return InvalidRequest("invalid_field", "Request does not pass validation. Nothing was changed.", fields=fields)


def invalid_field(field: str, message: str) -> InvalidRequest:
    detail = "Request does not pass validation. Nothing was changed."
    return InvalidRequest("invalid_field", detail, fields=[{"field": field, "message": message}])


def choices(name: str, allowed: tuple[str, ...]) -> list[str]:
    """A comma-separated query parameter whose values must be among those allowed."""
    values = several(name)
    for value in values:
        if value not in allowed:
            raise invalid_field(name, f"must be among: {', '.join(allowed)}")
    return values


def several(name: str) -> list[str]:
    """A comma-separated query parameter; empty if it is not there."""
    values = [value for value in request.args.get(name, "").split(",") if value]
    if any("\x00" in value or len(value) > 200 for value in values) or len(values) > 200:
        raise invalid_field(name, "has a value that can't be right")
    return values


def whole_number(name: str, *, default: int, most: int) -> int:
    """A number from 1; larger than `most` is clamped, as the contract has it."""
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise invalid_field(name, "must be a whole number from 1")
    return min(int(text), most)


def refuse_unknown_parameters(*known: str) -> None:
    for name in request.args:
        if name not in known:
            raise invalid_field(name[:100], f"is not a parameter here; there are: {', '.join(known)}")


def as_dict(body: BaseModel) -> dict[str, Any]:
    """The fields that were sent."""
    return body.model_dump(exclude_unset=True)
