"""Made-up values that fit a JSON schema, for the examples of the reference."""

from typing import Any

_TAIL = "01htymmb3hj0q9fmckjbtrmd73"
_AT = "2026-11-21T10:38:57.979670Z"
_NAMED: dict[str, Any] = {
    "email": "jo.pilot@example.com",
    "name": "Jo Pilot",
    "locale": "en",
    "country_code": "US",
    "currency_code": "USD",
    "amount": "3000",
    "tax_category": "standard",
    "last4": "4242",
    "expiry_month": 7,
    "expiry_year": 2029,
    "frequency": 1,
    "minimum": 1,
    "maximum": 100,
    "quantity": 10,
    "tax_rate": "0",
    "rate": "1",
    "invoice_number": "2026-0001",
    "cancel": "https://portal.example.com/portal/subscriptions/sub_01htymmb3hj0q9fmckjbtrmd73/cancel?token=…",
    "overview": "https://portal.example.com/portal?token=…",
    "next": "https://portal.example.com/…?after=…",
    "request_id": "0197a3c2-5d3e-4c55-9a51-0f1e7a4b9c11",
    "per_page": 50,
    "has_more": False,
    "estimated_total": 1,
    "discount": "0",
    "tax": "0",
    "grand_total_tax": "0",
    "credit": "0",
    "credit_to_balance": "0",
    "occurred_at": _AT,
    "group": "Subscription",
    "event_type": "subscription.updated",
    "api_version": 1,
}
_NULL = (
    "custom_data",
    "import_meta",
    "canceled_at",
    "paused_at",
    "trial_dates",
    "trial_period",
    "discount",
    "billing_details",
    "scheduled_change",
    "cancellation",
    "error_code",
    "business_id",
    "proration",
    "revised_at",
    "resume_at",
    "return_url",
    "description",
    "image_url",
    "cardholder_name",
)
"""Fields that are shown as null where they may be, as they are most of the time."""


def of(schema: dict[str, Any], components: dict[str, Any], name: str = "") -> Any:
    """A value that fits; `name` is the field's, by which it is made to look real."""
    if "$ref" in schema:
        return of(components[schema["$ref"].rpartition("/")[2]], components, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if alternatives := schema.get("anyOf"):
        nullable = {"type": "null"} in alternatives
        return None if nullable and name in _NULL else of(alternatives[0], components, name)
    kind = schema.get("type")
    if kind == "object":
        return {key: of(each, components, key) for key, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [of(schema["items"], components, name.removesuffix("s"))] if schema.get("items") else []
    return _plain(kind, schema, name)


def _plain(kind: str | None, schema: dict[str, Any], name: str) -> Any:
    known = _NAMED.get(name)
    if kind == "string":
        return _text(schema, name, known)
    if kind in ("integer", "number"):
        return known if isinstance(known, int) and not isinstance(known, bool) else max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return known if isinstance(known, bool) else True
    return None


def _text(schema: dict[str, Any], name: str, known: Any) -> str:
    pattern = schema.get("pattern", "")
    if "_[a-z0-9]{26}" in pattern:
        return pattern.lstrip("^").partition("_[")[0] + "_" + _TAIL
    if schema.get("format") == "date-time":
        return _AT
    if pattern == "^-?[0-9]+$":
        return known if isinstance(known, str) else "3000"
    if isinstance(known, str):
        return known
    if name == "url" or name.endswith(("_url", "_subscription", "_method")):
        return "https://portal.example.com/…"
    return name.replace("_", " ").capitalize() or "text"


def alike(sent: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    """What was sent, where the answer has it too: so that an example's answer belongs to its request."""
    found = {}
    for name, value in sent.items():
        if isinstance(value, dict) and isinstance(answered.get(name), dict):
            found[name] = answered[name] | alike(value, answered[name])
        elif name in answered and not isinstance(value, list):
            found[name] = value
    return found
