"""An app of the seller, with its key."""

from typing import Any

from flask import Flask

from tests import people
from tests.api import contract


class App:
    """Calls the API as an app does; `permissions` are its key's, by default all that `--all` grants.

    Every answer must be one that the document at /openapi.json describes.
    """

    def __init__(self, flask: Flask, *permissions: str, key: dict[str, str] | None = None) -> None:
        self.client, self.routes = flask.test_client(), flask.url_map
        self.headers = key if key is not None else people.key(*permissions, everything=not permissions)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        sent = {"json": body} if body is not None else {}
        answer = self.client.open(path, method=method, headers=self.headers | more.pop("headers", {}), **sent, **more)
        contract.check(self.routes, answer)
        return answer

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("PATCH", path, body, **more)


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of an answer that must be an error in the contract's shape."""
    body = answer.get_json()
    assert set(body) == {"error", "meta"}, body
    assert {"type", "code", "detail", "documentation_url"} <= set(body["error"])
    assert body["error"]["type"] == ("api_error" if answer.status_code in (429, 500, 503) else "request_error")
    assert body["error"]["detail"]
    for each in body["error"].get("errors", []):
        assert set(each) == {"field", "message"}
    assert body["meta"]["request_id"] == answer.headers["Request-Id"]
    return answer.status_code, body["error"]["code"]


def fields_of(answer: Any) -> list[str]:
    """The fields that a validation error names."""
    assert refusal(answer) in ((400, "invalid_field"), (400, "customer_email_invalid"))
    return [each["field"] for each in answer.json["error"]["errors"]]
