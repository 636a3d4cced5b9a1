"""JSON schemas of what operations take, ask and give, as pydantic has them, in the form of OpenAPI 3.1."""

from typing import Any, get_origin

import orjson
from pydantic import BaseModel, TypeAdapter

from portal.api import lists, meanings
from portal.api.operations import Operation

REF = "#/components/schemas/"
Schema = dict[str, Any]
_CONSTRAINTS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


class Schemas:
    """`components` are the named ones; `gives` and `takes` say which belongs to an operation."""

    def __init__(self, operations: list[Operation]) -> None:
        wanted: list[Any] = [
            ((each, "type"), "serialization", TypeAdapter(each)) for each in (lists.Meta, lists.ListMeta)
        ]
        for each in operations:
            if each.gives is not None:
                wanted.append(((each.name, "gives"), "serialization", TypeAdapter(each.gives)))
            if each.takes is not None:
                wanted.append(((each.name, "takes"), "validation", TypeAdapter(each.takes)))
        made, defined = _named(*TypeAdapter.json_schemas(wanted, ref_template=REF + "{model}"))
        self._made = {key: plain(schema) for (key, _mode), schema in made.items()}
        self.components: dict[str, Schema] = {
            name: _meant(plain(schema), name) for name, schema in defined.get("$defs", {}).items()
        }
        for each in operations:
            if each.method == "PATCH" and each.takes is not None:
                _without_defaults(self.resolved(self._made[each.name, "takes"]))

    def gives(self, it: Operation) -> Schema:
        return self._made[it.name, "gives"]

    def takes(self, it: Operation) -> Schema:
        return self._made[it.name, "takes"]

    def resolved(self, schema: Schema) -> Schema:
        """What a reference stands for."""
        return self.components[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema


def _named(made: Any, defined: Schema) -> tuple[Any, Schema]:
    """With short names where several models have the same: the entity keeps it, a body is named by its file."""
    text = orjson.dumps([list(made.values()), defined]).decode()
    for name in defined.get("$defs", {}):
        text = text.replace(f'"{REF}{name}"', f'"{REF}{_short(name)}"').replace(f'"{name}":', f'"{_short(name)}":')
    values, named = orjson.loads(text)
    return dict(zip(made, values, strict=True)), named


def _short(name: str) -> str:
    if name.endswith("-Input"):
        return "New" + name.removesuffix("-Input")
    module, _, model = name.removesuffix("-Output").rpartition("__")
    place = module.rpartition("__")[2]
    return model if place in ("", "entities") else "".join(each.capitalize() for each in place.split("_")) + model


def of_type(wanted: Any) -> Schema:
    """The schema of a plain type, such as an id."""
    made: Schema = plain(TypeAdapter(wanted).json_schema())
    return made


def of_query(model: type[BaseModel]) -> list[Schema]:
    """The parameters of a query string."""
    schema = _meant(plain(model.model_json_schema(by_alias=True)), "")
    required = schema.get("required", [])
    return [_parameter(name, each, name in required) for name, each in schema.get("properties", {}).items()]


def is_list(it: Operation) -> bool:
    return get_origin(it.gives) is list


def _parameter(name: str, schema: Schema, required: bool) -> Schema:
    """A parameter can't be null: it is left out instead."""
    described = schema.pop("description", "")
    alternatives = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    schema |= alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives} if alternatives else {}
    if schema.get("default") in (None, []):
        schema.pop("default", None)
    parameter = {"name": name, "in": "query", "description": described, "required": required, "schema": schema}
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def plain(schema: Any, *, names: bool = False) -> Any:
    """A schema without titles, which only repeat names, and with the words of JSON Schema only."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {name: plain(each) for name, each in schema.items()}
    found = {
        _CONSTRAINTS.get(word, word): plain(each, names=word in ("properties", "$defs"))
        for word, each in schema.items()
        if word not in ("title", "propertyNames") and not (word == "default" and each in (None, ""))
    }
    if found.get("additionalProperties") is True:
        del found["additionalProperties"]
    return found


def _meant(schema: Schema, model: str) -> Schema:
    """With the meaning of each field that does not say it itself."""
    for name, each in schema.get("properties", {}).items():
        if "description" not in each and (words := meanings.of(model, name)):
            each["description"] = words
    return schema


def _without_defaults(schema: Schema) -> None:
    """In a change, what is left out stays: there is no default."""
    for each in schema.get("properties", {}).values():
        each.pop("default", None)
