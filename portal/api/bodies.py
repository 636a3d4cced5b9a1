"""Reading what an app sends: JSON bodies and query strings, both as models.

An empty body is `{}`; null is the same as left out, unless a field says otherwise (`docs/api.md`).
"""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from flask import request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from portal.errors import InvalidRequest

MOST_LEVELS = 110
_LARGEST = 2**63 - 1
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")


class Body(BaseModel):
    """A body whose unknown keys are refused, and whose values must have the type that is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, str_max_length=10_000)
    refused_alone: ClassVar[dict[str, tuple[str, str]]] = {}
    """Fields whose refusal, if nothing else is wrong, has an error code and group of its own."""


class Nothing(Body):
    """The body of an operation that takes none: empty, or `{}`."""


class Query(BaseModel):
    """A query string whose unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000)


def _instant(text: Any) -> Any:
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        raise ValueError("must be an instant of RFC 3339, such as 2026-11-21T12:00:00Z")
    return datetime.fromisoformat(text.upper())


def _storable(instant: datetime) -> datetime:
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError("must be between the years 1970 and 9000")
    return instant.astimezone(UTC)


def _nearest(instant: datetime) -> datetime:
    return min(max(instant, _EARLIEST), _LATEST).astimezone(UTC)


def _split(text: Any) -> Any:
    """A filter that is there but empty is a mistake of the app, and is refused: it must not mean everything."""
    return text.split(",") if isinstance(text, str) else text


Id = Annotated[str, Field(min_length=1, max_length=200)]
"""An id as an app sends it: one that is unknown finds nothing."""
Part = Annotated[str, Field(min_length=1, max_length=200, pattern="^[^,]+$")]
"""An id, or a word, of several between commas."""
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_storable)]
"""An instant of RFC 3339, with its zone."""
Bound = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_nearest)]
"""An instant to compare with: one beyond all that can be stored is as good as the last that can."""
Several = Annotated[list[Item], BeforeValidator(_split), Field(min_length=1, max_length=200)]
"""A comma-separated query parameter."""
CustomData = dict[str, Any]


def read(model: type[Model]) -> Model:
    """The body as a model. Raises InvalidRequest: unsupported_media_type, invalid_json, bad_request, invalid_field."""
    raw = request.get_data()
    if raw and request.mimetype not in ("application/json", ""):
        raise InvalidRequest("unsupported_media_type", "Send JSON: Content-Type: application/json.", status=415)
    raw = raw if raw.strip() else b"{}"
    _refuse_unreadable(raw)
    try:
        return _validated(model, raw)
    except ValidationError as wrong:
        raise _with_own_code(invalid_fields(wrong, orjson.loads(raw)), model) from None


def _validated(model: type[Model], raw: bytes) -> Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as wrong:
        return model.model_validate_json(_with_whole_numbers(raw, wrong))


def _with_whole_numbers(raw: bytes, wrong: ValidationError) -> bytes:
    """The body with 600 where it says 600.0 for a whole number: JSON makes no difference between them."""
    body = orjson.loads(raw)
    for each in wrong.errors(include_url=False, include_context=False):
        number = each["input"]
        if isinstance(number, float) and number.is_integer() and abs(number) <= _LARGEST:
            with suppress(KeyError, IndexError, TypeError):
                *way, name = each["loc"]
                holder = reduce(getitem, way, body)
                holder[name] = int(number)
    return orjson.dumps(body)


def read_query(model: type[Model]) -> Model:
    """The query string as a model. Raises InvalidRequest (invalid_field)."""
    sent = request.args.to_dict()
    for name, values in request.args.lists():
        if "\x00" in name + values[0]:
            raise invalid_field(name[:100], "must not contain the NUL character")
        if len(values) > 1:
            raise invalid_field(name[:100], "stands there twice; separate several values by commas")
    try:
        return model.model_validate(sent)
    except ValidationError as wrong:
        raise _without_positions(invalid_fields(wrong, sent)) from None


def sent() -> dict[str, Any]:
    """The body as it came, once it is known to be a JSON object."""
    return orjson.loads(request.get_data().strip() or b"{}")


def _refuse_unreadable(raw: bytes) -> None:
    """Raises InvalidRequest for what is no JSON, means two things, or can't be stored."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        raise InvalidRequest("invalid_json", f"The body is not JSON: {wrong}. Nothing was changed.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("bad_request", "The body must be a JSON object. Nothing was changed.")
    _refuse_unstorable(body)
    json.loads(raw, object_pairs_hook=_refuse_twice, parse_int=_refuse_huge, parse_float=_refuse_endless)


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


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("bad_request", f"The body names {twice[:100]!r} twice. Nothing was changed.")


def _refuse_huge(digits: str) -> None:
    if len(digits) > 20 or abs(int(digits)) > _LARGEST:
        raise InvalidRequest("bad_request", "The body has a whole number beyond 64 bits. Nothing was changed.")


def _refuse_endless(digits: str) -> None:
    if float(digits) in (float("inf"), float("-inf")):
        raise InvalidRequest("bad_request", "The body has a number that is too large. Nothing was changed.")


def _without_positions(wrong: InvalidRequest) -> InvalidRequest:
    """A parameter is named as a whole, whichever of its values is wrong."""
    named = {each["field"].partition(".")[0]: each["message"] for each in wrong.fields or ()}
    wrong.fields = [{"field": field, "message": message} for field, message in named.items()]
    return wrong


def _with_own_code(wrong: InvalidRequest, model: Any) -> InvalidRequest:
    fields = [each["field"] for each in wrong.fields or ()]
    if len(fields) == 1 and fields[0] in model.refused_alone and fields[0] in sent():
        wrong.code, wrong.group = model.refused_alone[fields[0]]
    return wrong


def invalid_fields(wrong: ValidationError, value: Any) -> InvalidRequest:
    """Every field that is wrong, with why; a field that may be of several kinds is named once."""
    reasons: dict[str, list[str]] = {}
    for each in wrong.errors(include_url=False, include_input=False, include_context=False):
        reasons.setdefault(_place(each["loc"], value), []).append(each["msg"])
    fields = [{"field": field, "message": "; or: ".join(dict.fromkeys(why))} for field, why in reasons.items()]
    return InvalidRequest("invalid_field", "Request does not pass validation. Nothing was changed.", fields=fields)


def _place(loc: tuple[int | str, ...], value: Any) -> str:
    """`items.0.price_id`, without the names that pydantic gives to the kinds of a union; `value` is what was sent."""
    parts: list[int | str] = []
    for part in loc:
        if isinstance(value, list) and isinstance(part, int):
            parts.append(part)
            value = value[part] if part < len(value) else None
        elif isinstance(value, dict) and part in value:
            parts.append(part)
            value = value[part]
        elif isinstance(value, dict) and part is loc[-1] and re.fullmatch(r"[a-z]\w*(\[\w+])?", str(part)):
            parts.append(part)  # it is missing
    return ".".join(map(str, parts))[:200] or "body"


def invalid_field(field: str, message: str) -> InvalidRequest:
    detail = "Request does not pass validation. Nothing was changed."
    return InvalidRequest("invalid_field", detail, fields=[{"field": field, "message": message}])


def as_dict(body: BaseModel) -> dict[str, Any]:
    """The fields that were sent."""
    return body.model_dump(exclude_unset=True)
