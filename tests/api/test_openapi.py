"""The document at /openapi.json is OpenAPI, whole, and made of nothing but what serves."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from portal import __version__
from portal.api import error_codes, openapi
from portal.cli import main

ALL = openapi.operations()
DOCUMENT = openapi.document()
OPERATIONS = [each for path in DOCUMENT["paths"].values() for each in path.values()]
ids = [each["operationId"] for each in OPERATIONS]


def schema_of(content: dict[str, Any]) -> Any:
    schema = content["schema"] | {"components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def test_it_is_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == __version__
    assert [each.message for each in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_anyone_can_read_it_and_ask_whether_it_has_changed(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/openapi.json")
    assert (first.status_code, first.mimetype) == (200, "application/json")
    assert json.loads(first.data) == json.loads(json.dumps(DOCUMENT))
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]


def test_the_command_prints_it() -> None:
    printed = CliRunner().invoke(main, ["openapi"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == json.loads(json.dumps(DOCUMENT))


def test_every_route_of_the_api_is_in_it(app: Flask) -> None:
    routes = {
        (method, re.sub(r"<\w+>", "*", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and not rule.rule.startswith(("/docs", "/openapi.json"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (method.upper(), re.sub(r"{\w+}", "*", path)) for path, each in DOCUMENT["paths"].items() for method in each
    }
    assert described == routes
    assert len(ALL) == len(OPERATIONS)


@pytest.mark.parametrize("it", ALL, ids=ids)
def test_every_operation_says_what_it_does(it: Any) -> None:
    summary = it.words.partition("\n")[0]
    assert summary.endswith("."), f"{it.name}: the docstring's first line is a sentence"
    assert len(summary) < 80
    assert it.permission is None or re.fullmatch(r"[a-z_]+\.[a-z_]+", it.permission)


@pytest.mark.parametrize("it", ALL, ids=ids)
def test_every_code_it_refuses_with_is_explained(it: Any) -> None:
    assert set(it.refuses) <= set(error_codes.CODES)


def test_every_resource_is_described() -> None:
    assert {each["tags"][0] for each in OPERATIONS} == {each["name"] for each in DOCUMENT["tags"]}


def test_every_field_and_parameter_says_what_it_means() -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, each in schema.get("properties", {}).items()
        if not each.get("description") and name != "Refusal"
    ]
    silent += [
        f"{each['operationId']}: {parameter['name']}"
        for each in OPERATIONS
        for parameter in each.get("parameters", [])
        if "$ref" not in parameter and not parameter["description"]
    ]
    assert silent == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_every_example_fits_its_schema(operation: dict[str, Any]) -> None:
    bodies = [operation["requestBody"]["content"]["application/json"]] if "requestBody" in operation else []
    for answer in operation["responses"].values():
        bodies += openapi.resolved(answer).get("content", {}).values()
    wrong = [str(each) for body in bodies if "example" in body for each in schema_of(body).iter_errors(body["example"])]
    assert wrong == []


def test_the_links_lead_from_what_is_made_to_what_can_be_done_with_it() -> None:
    made = DOCUMENT["paths"]["/products"]["post"]["responses"]["201"]["links"]
    assert made["get_product"]["parameters"] == {"product_id": "$response.body#/data/id"}
    assert made["create_price"]["requestBody"] == {"product_id": "{$response.body#/data/id}"}
    known = {each["operationId"] for each in OPERATIONS}
    for operation in OPERATIONS:
        for answer in operation["responses"].values():
            assert {link["operationId"] for link in answer.get("links", {}).values()} <= known
