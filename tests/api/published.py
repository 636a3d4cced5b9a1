"""Every answer held against Paddle's published OpenAPI text, for whoever has its file: PORTAL_TEST_PUBLISHED names it.

The text is not part of the project, so no test depends on it.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

_FILE = os.environ.get("PORTAL_TEST_PUBLISHED")
_MEANT = re.compile(
    r"(address_id|adjustments_totals|discount|customer|address|business): null "
    r"|details\.adjusted_totals: null |contacts\.\*\.name: null |card: {\"cardholder_name\":null,"
    r"|data: Additional properties are not allowed \('expires_at', 'return_url' were"
    r"|urls\.subscriptions\.\*: Additional properties are not allowed \('view_subscription' was"
    r"|endpoint_secret_key: \"\" does"
)
"""The differences that docs/differences.md gives reasons for, as the validator says them."""


def check(routes: Map, answer: Any) -> None:
    """Fails if an answer is none that the published text allows; says nothing of what that does not know."""
    if not _FILE or not answer.json:
        return
    method, path, status = answer.request.method, _shape(routes, answer), str(answer.status_code)
    validator = _validator(method.lower(), path, status)
    if validator is None:
        return
    wrong = [said for each in validator.iter_errors(answer.json) if not _MEANT.search(said := _said(each))]
    assert not wrong, f"{method} {path} answered {status}, and it is not as the published text says: {wrong[:5]}"


def _shape(routes: Map, answer: Any) -> str:
    """The rule that the path of the request fits, whatever the ids in it are called."""
    try:
        rule, _ids = routes.bind("localhost").match(answer.request.path, answer.request.method, return_rule=True)
    except HTTPException:
        return ""
    return _nameless(rule.rule)


def _nameless(path: str) -> str:
    return re.sub(r"[<{][^>}]*[>}]", "{}", path)


def _said(error: Any) -> str:
    place = ".".join("*" if isinstance(each, int) else each for each in error.instance_path)
    return f"{place}: {error.message[:200]}"


@cache
def _published() -> dict[str, Any]:
    whole: dict[str, Any] = yaml.load(Path(_FILE or "").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return whole


@cache
def _validator(method: str, path: str, status: str) -> Any:
    paths = {_nameless(each): methods for each, methods in _published()["paths"].items()}
    answers = paths.get(path, {}).get(method, {}).get("responses", {})
    known = answers.get(status) or (answers.get("default", {}) if status >= "400" else {})
    if "$ref" in known:
        known = _published()["components"]["responses"][known["$ref"].rpartition("/")[2]]
    schema = known.get("content", {}).get("application/json", {}).get("schema")
    if not schema:
        return None
    return jsonschema_rs.Draft202012Validator(schema | {"components": _published()["components"]})
