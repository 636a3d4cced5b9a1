"""The tables of the reference: fields of entities and bodies, from their JSON schemas."""

import json
from typing import Any

Schema = dict[str, Any]
_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}
_FORMATS = {
    "date-time": "instant",
    "email": "email address",
    "uri": "URL",
    "uri-reference": "URL",
    "uuid": "UUID",
}
_DEEPEST = 5
_MOST_VALUES = 40


def given(operation: Schema) -> str | None:
    """The name of the entity that an operation answers with, alone or in a list."""
    data = _data(operation)
    reference = data.get("$ref") or data.get("items", {}).get("$ref")
    return reference.rpartition("/")[2] if reference else None


def gives_list(operation: Schema) -> bool:
    return _data(operation).get("type") == "array"


def _data(operation: Schema) -> Schema:
    answer = next(iter(operation["responses"].values()))
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    found: Schema = schema.get("properties", {}).get("data", {})
    return found


class Fields:
    """`homes` are the pages on which entities are described: the others' fields stand where they are used."""

    def __init__(self, document: Schema, homes: dict[str, str]) -> None:
        self.components, self.homes = document["components"], homes

    def entity(self, name: str) -> Schema:
        schema = self.components["schemas"][name]
        words = schema.get("description", "")
        return {"name": name, "title": _spaced(name), "words": words, "rows": self._rows(schema, always=True)}

    def link_to(self, name: str | None) -> Schema | None:
        if name is None or name not in self.homes:
            return None
        return {"title": _spaced(name), "href": f"/docs/{self.homes[name]}#{name}"}

    def parameters(self, operation: Schema) -> list[Schema]:
        return [self._parameter(each) for each in operation.get("parameters", [])]

    def body(self, operation: Schema) -> Schema | None:
        """The rows of the body, and what is said of it as a whole."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return None
        schema = self._resolved(content["schema"])
        return {"words": schema.get("description", ""), "rows": self._rows(schema)}

    def _parameter(self, parameter: Schema) -> Schema:
        if "$ref" in parameter:
            parameter = self.components["parameters"][parameter["$ref"].rpartition("/")[2]]
        row = self._row(parameter["name"], parameter["schema"], required=parameter["required"])
        where = {"header": "a header", "path": "in the path"}.get(parameter["in"], "")
        if row["type"].startswith("list of "):
            where = "several, with commas between"
            row["type"] = row["type"].removeprefix("list of ")
        if f"_{row['name']}".endswith("_id"):
            row["type"] = "id"
        meaning = parameter.get("description", "")
        return row | {"meaning": meaning, "limits": [each for each in (where, *row["limits"]) if each]}

    def _rows(self, schema: Schema, before: str = "", always: bool = False) -> list[Schema]:
        rows: list[Schema] = []
        required = schema.get("required", [])
        for name, each in schema.get("properties", {}).items():
            row = self._row(before + name, each, required=name in required and not always)
            rows.append(row)
            inner, suffix = self._inner(each)
            if inner is not None and before.count(".") < _DEEPEST:
                rows += self._rows(inner, f"{before}{name}{suffix}.", always)
        return rows

    def _inner(self, schema: Schema) -> tuple[Schema | None, str]:
        """The object whose fields follow in the same table, if it has no page of its own."""
        schema = _without_null(schema)
        suffix = ""
        if schema.get("maxItems") == 0:
            return None, ""
        if schema.get("type") == "array":
            schema, suffix = _without_null(schema.get("items", {})), "[]"
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in self.homes:
            return None, ""
        schema = self._resolved(schema)
        return (schema if schema.get("properties") else None), suffix

    def _row(self, name: str, schema: Schema, *, required: bool) -> Schema:
        bare = _without_null(schema)
        nullable = bare is not schema
        target = bare.get("items", {}) if bare.get("type") == "array" else bare
        entity = _without_null(target).get("$ref", "").rpartition("/")[2]
        shown = self._resolved(bare)
        values = _values(shown) or _values(self._resolved(_without_null(shown.get("items", {}))))
        limits = _limits(shown)
        if len(values) > _MOST_VALUES:
            values, limits = [], [f"one of {len(values)} values, see the OpenAPI document", *limits]
        return {
            "name": name,
            "type": self._type(bare),
            "link": self.link_to(entity or None),
            "required": required,
            "nullable": nullable,
            "meaning": schema.get("description") or "",
            "values": [each if isinstance(each, str) else json.dumps(each) for each in values],
            "limits": limits,
        }

    def _type(self, schema: Schema) -> str:
        if schema.get("type") == "array":
            inner = self._type(_without_null(schema["items"])) if schema.get("items") else "anything"
            return f"list of {inner}"
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in self.homes:
            return _spaced(name).lower()
        schema = self._resolved(schema)
        if alternatives := schema.get("anyOf"):
            return " or ".join(dict.fromkeys(self._type(each) for each in alternatives))
        pattern = schema.get("pattern", "")
        if "_[a-z0-9]{26}" in pattern:
            return "id"
        if "enum" in schema or "const" in schema:
            return "text" if isinstance(_values(schema)[0], str) else "value"
        return _FORMATS.get(schema.get("format", "")) or _KINDS.get(schema.get("type", ""), "anything")

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        found: Schema = self.components["schemas"][schema["$ref"].rpartition("/")[2]]
        return found


def _without_null(schema: Schema) -> Schema:
    """The same object if it can't be null."""
    alternatives = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if "anyOf" not in schema or len(alternatives) == len(schema["anyOf"]):
        return schema
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


def _limits(schema: Schema) -> list[str]:
    found = []
    longest = schema.get("maxLength")
    if longest is not None and longest < 10_000 and "_[a-z0-9]{26}" not in schema.get("pattern", ""):
        found.append(f"up to {longest:,} characters")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        found.append(
            f"{low:,} to {high:,}"
            if None not in (low, high)
            else f"from {low:,}"
            if high is None
            else f"up to {high:,}"
        )
    if schema.get("maxItems") is not None:
        found.append(f"up to {schema['maxItems']}" if schema["maxItems"] else "empty")
    if schema.get("minItems"):
        found.append(f"at least {schema['minItems']}")
    if schema.get("default") not in (None, "", []):
        default = schema["default"]
        found.append(f"default `{default if isinstance(default, str) else json.dumps(default)}`")
    return found


def _spaced(name: str) -> str:
    """`ManagedSubscription` → `Managed subscription`."""
    spaced = "".join(f" {each.lower()}" if each.isupper() else each for each in name).strip()
    return spaced[:1].upper() + spaced[1:]
