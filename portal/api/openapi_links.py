"""Links from what an operation answers to the operations that take its ids, as OpenAPI has them.

A tool that follows them walks through stories: create a product, then a price of it, read it, change it.
"""

from typing import Any

_BODY = "$response.body#/data/"


def add(paths: dict[str, Any], components: dict[str, Any]) -> None:
    """Adds to each answer with one entity a link to every operation that its ids lead to."""
    targets = [
        (path, operation, [each["name"] for each in operation.get("parameters", []) if each.get("in") == "path"])
        for path, methods in paths.items()
        for operation in methods.values()
    ]
    for methods in paths.values():
        for operation in methods.values():
            status, answer = next(iter(operation["responses"].items()))
            known = _ids(answer, components) if status.startswith("2") else {}
            links = {
                target["operationId"]: _link(target, {name: known[name] for name in needed})
                for _path, target, needed in targets
                if needed and target is not operation and known.keys() >= set(needed)
            }
            links |= _in_bodies(known, targets, components)
            if links:
                answer["links"] = dict(sorted(links.items()))


def _link(target: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    return {"operationId": target["operationId"], "parameters": parameters}


def _in_bodies(known: dict[str, str], targets: list[Any], components: dict[str, Any]) -> dict[str, Any]:
    """Links to operations without an id in their path whose body must name one: `POST /prices` a product."""
    found = {}
    for _path, target, needed in targets:
        fields = _required_of_body(target, components)
        named = {field: known[field] for field in fields if field in known}
        if not needed and named:
            body = {field: f"{{{expression}}}" for field, expression in named.items()}
            found[target["operationId"]] = {"operationId": target["operationId"], "requestBody": body}
    return found


def _required_of_body(operation: dict[str, Any], components: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return _resolved(content.get("schema", {}), components).get("required", [])


def _ids(answer: dict[str, Any], components: dict[str, Any]) -> dict[str, str]:
    """The ids that an entity in an answer has: name of the parameter → where it stands."""
    content = answer.get("content", {}).get("application/json", {})
    entity = _resolved(content.get("schema", {}).get("properties", {}).get("data", {}), components)
    fields = entity.get("properties", {})
    known = {name: _BODY + name for name, each in fields.items() if name.endswith("_id") and "pattern" in each}
    prefix = fields.get("id", {}).get("pattern", "")
    if own := _OWN.get(prefix.lstrip("^").partition("_[")[0]):
        known[own] = _BODY + "id"
    return known


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


_OWN = {
    "ctm": "customer_id",
    "add": "address_id",
    "biz": "business_id",
    "pro": "product_id",
    "pri": "price_id",
    "sub": "subscription_id",
    "txn": "transaction_id",
    "paymtd": "payment_method_id",
    "cpls": "portal_session_id",
    "ntfset": "notification_setting_id",
    "ntf": "notification_id",
}
