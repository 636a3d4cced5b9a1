"""An event to try an endpoint with: the newest of its type, or a made-up one that has every field."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select

from portal import clock, ids
from portal.db import session
from portal.domain import entities, transaction_entities
from portal.domain.events import Event
from portal.domain.shapes import text
from portal.outbox.errands import Parcel

_TYPES: dict[str, Any] = {
    "address": entities.Address,
    "business": entities.Business,
    "customer": entities.Customer,
    "payment_method": entities.PaymentMethod,
    "price": entities.Price,
    "product": entities.Product,
    "subscription": entities.Subscription,
    "transaction": transaction_entities.Transaction,
}
_TAIL = "01htymmb3hj0q9fmckjbtrmd73"
_WORDS = {
    "email": "jo.pilot@example.com",
    "name": "Jo Pilot",
    "locale": "en",
    "country_code": "US",
    "tax_category": "standard",
    "last4": "4242",
    "tax_rate": "0",
    "rate": "1",
}


def parcel(event_type: str) -> Parcel:
    """As if it had just happened, with ids of its own."""
    newest = select(Event.data).where(Event.type == event_type).order_by(Event.id.desc()).limit(1)
    data = session().scalar(newest) or made_up(event_type)
    return Parcel(ids.new("ntf"), ids.new("evt"), event_type, clock.now(), data, 0)


def made_up(event_type: str) -> Any:
    """An entity of that type of event."""
    schema = TypeAdapter(_TYPES[event_type.partition(".")[0]]).json_schema()
    entity = _value("", schema, schema.get("$defs", {}))
    return entity | {"deletion_reason": "api"} if event_type == "payment_method.deleted" else entity


def _value(name: str, schema: dict[str, Any], known: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(name, known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        return None if {"type": "null"} in schema["anyOf"] else _value(name, schema["anyOf"][0], known)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            return {key: _value(key, each, known) for key, each in schema.get("properties", {}).items()}
        case "array":
            items = schema.get("items")
            return [_value(name, items, known)] if items else []
        case "string":
            return _text(name, schema)
        case "integer":
            return 1
        case "boolean":
            return True
    return None


def _text(name: str, schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    if "[a-z0-9]{26}" in pattern:
        return pattern.removeprefix("^").partition("_[")[0] + f"_{_TAIL}"
    if pattern == "^[A-Z]{3}$":
        return "USD"
    if pattern:
        return "3000"
    if schema.get("format") == "date-time":
        return text(clock.now())
    return _WORDS.get(name, f"{name.replace('_', ' ')}")
