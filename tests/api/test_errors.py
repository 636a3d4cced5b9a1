"""Every error of the API is the contract's JSON, whatever went wrong."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def test_unknown_urls(seller: App, sub: str) -> None:
    paths = ["/nothing", "/subscriptions/", f"/subscriptions/{sub}/", f"/subscriptions/{sub}/explode", "/.env", "/%00"]
    paths += ["/portal-sessions", "/portal-sessions/", "/portals", "/consoles", f"/portal-sessions/cpls_{UNKNOWN}/x"]
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            assert refusal(seller.call(method, path)) == (404, "invalid_url"), f"{method} {path}"


def test_wrong_methods_say_which_are_right(seller: App, sub: str) -> None:
    for method, path in (
        ("DELETE", f"/subscriptions/{sub}"),
        ("PUT", f"/subscriptions/{sub}"),
        ("GET", f"/subscriptions/{sub}/cancel"),
        ("POST", "/subscriptions"),
        ("GET", f"/portal-sessions/cpls_{UNKNOWN}"),
        ("PROPFIND", "/subscriptions"),
    ):
        answer = seller.call(method, path)
        assert refusal(answer) == (405, "method_not_allowed"), f"{method} {path}"
        assert answer.headers.get("Allow"), f"{method} {path} names no method that is allowed"


def test_the_only_resource_whose_name_begins_like_a_page_answers_in_json_too(app: Flask, seller: App) -> None:
    unknown = f"/portal-sessions/cpls_{UNKNOWN}"
    assert refusal(seller.call("DELETE", unknown)) == (404, "not_found")
    assert refusal(app.test_client().delete(unknown)) == (403, "authentication_missing")


def test_a_doubled_leading_slash_is_tolerated(seller: App, sub: str) -> None:
    for path in (f"//subscriptions/{sub}", f"///subscriptions/{sub}"):
        answer = seller.get("/", environ_overrides={"PATH_INFO": path})
        assert answer.json["data"]["id"] == sub
    cancel = {"PATH_INFO": f"//subscriptions/{sub}/cancel"}
    assert seller.post("/", environ_overrides=cancel).status_code == 200
    assert visits.is_scheduled(sub)


BODIES: list[tuple[bytes, str]] = [
    (b"{", "invalid_json"),
    (b"}", "invalid_json"),
    (b"{'effective_from': null}", "invalid_json"),
    (b'{"effective_from": }', "invalid_json"),
    (b'{"effective_from": null,}', "invalid_json"),
    (b"undefined", "invalid_json"),
    (b"NaN", "invalid_json"),
    (b"\xff\xfe", "invalid_json"),
    (b"\x00", "invalid_json"),
    (b'{"a": "\xed\xa0\x80"}', "invalid_json"),
    (b'{"a": "\\ud800"}', "invalid_json"),
    (b"\xef\xbb\xbf{}", "invalid_json"),
    (b"[" * 100_000, "invalid_json"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "invalid_json"),
    (b"[]", "bad_request"),
    (b"null", "bad_request"),
    (b'"text"', "bad_request"),
    (b"7", "bad_request"),
    (b"true", "bad_request"),
]


def test_bodies_that_are_not_json_objects(seller: App, sub: str) -> None:
    before = visits.records()
    for body, code in BODIES:
        for method, path in (("POST", f"/subscriptions/{sub}/cancel"), ("PATCH", f"/subscriptions/{sub}")):
            answer = seller.call(method, path, data=body, content_type="application/json")
            assert refusal(answer) == (400, code), body[:40]
    assert visits.records() == before


def test_the_nul_character_is_refused_everywhere(seller: App) -> None:
    bodies = [b'{"email": "amelia@example.com", "name": "a\\u0000b"}']
    bodies += [b'{"email": "amelia@example.com", "custom_data": {"a": ["\\u0000"]}}']
    bodies += [b'{"email": "amelia@example.com", "custom_data": {"\\u0000": 1}}', b'{"email": "a\\u0000@example.com"}']
    before = visits.records()
    for body in bodies:
        answer = seller.post("/customers", data=body, content_type="application/json")
        assert answer.status_code == 400
        refusal(answer)
    for path in (
        "/subscriptions/%00",
        "/customers/%00",
        "/products/a%00b",
        "/prices/%00",
        "/customers/%00/addresses/%00",
    ):
        assert refusal(seller.get(path))[0] in (400, 404), path
    assert refusal(seller.post("/subscriptions/%00/cancel"))[0] in (400, 404)
    assert refusal(seller.call("DELETE", "/portal-sessions/%00"))[0] in (400, 404)
    assert visits.records() == before


def test_text_that_only_names_the_nul_character_is_taken(seller: App) -> None:
    body = b'{"email": "amelia@example.com", "name": "C:\\\\u0000"}'
    answer = seller.post("/customers", data=body, content_type="application/json")
    assert (answer.status_code, answer.json.get("data", {}).get("name")) == (201, "C:\\u0000")


def test_data_of_the_seller_nested_too_deep_to_store_is_refused(seller: App) -> None:
    for depth in (10, 100, 250, 300, 1000):
        nested = '{"a":' * depth + "1" + "}" * depth
        body = f'{{"email": "amelia{depth}@example.com", "custom_data": {nested}}}'
        answer = seller.post("/customers", data=body, content_type="application/json")
        assert answer.status_code in (201, 400), depth
        if answer.status_code == 400:
            refusal(answer)
        assert (answer.status_code == 201) >= (depth <= 100)


def test_numbers_beyond_all_measure_are_no_defect(seller: App) -> None:
    for number in ("1e999", "-1e999", "123456789012345678901234567890", "-0", "1E-400", "9" * 5000):
        body = f'{{"email": "a{abs(hash(number))}@example.com", "custom_data": {{"n": {number}}}}}'
        answer = seller.post("/customers", data=body, content_type="application/json")
        assert answer.status_code in (201, 400), number


def test_other_media_types_are_refused(seller: App, sub: str) -> None:
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/html", "image/png"):
        answer = seller.post(f"/subscriptions/{sub}/cancel", data=b"{}", content_type=media)
        assert refusal(answer) == (415, "unsupported_media_type"), media
    assert visits.said(sub) == ([], [])
    charset = seller.post(f"/subscriptions/{sub}/cancel", data=b"{}", content_type="application/json; charset=utf-8")
    assert charset.status_code == 200


def test_a_body_over_a_megabyte_is_refused(seller: App) -> None:
    body = b'{"email": "amelia@example.com", "name": "' + b"x" * 1_100_000 + b'"}'
    answer = seller.post("/customers", data=body, content_type="application/json")
    assert refusal(answer) == (413, "request_body_too_large")


def test_a_defect_of_ours_is_said_without_its_details(seller: App, monkeypatch: Any) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret-in-its-text")

    monkeypatch.setattr("portal.domain.snapshots.get", crash)
    answer = seller.get(f"/subscriptions/sub_{UNKNOWN}")
    assert refusal(answer) == (500, "internal_error")
    assert "secret-in-its-text" not in answer.text
    assert "Traceback" not in answer.text


def test_a_database_that_fails_is_said_to_have_recorded_nothing(seller: App, sub: str, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("UPDATE …", {}, Exception("disk full"))

    monkeypatch.setattr("portal.domain.events.record", fail)
    answer = seller.post(f"/subscriptions/{sub}/cancel")
    assert refusal(answer) == (503, "service_unavailable")
    assert "Nothing was recorded" in answer.json["error"]["detail"]
    assert people.row(sub).scheduled_action is None


def test_a_lost_race_is_a_conflict(seller: App, sub: str, monkeypatch: Any) -> None:
    def lose(*_: Any, **__: Any) -> None:
        raise StaleDataError("the row was changed")

    monkeypatch.setattr("portal.domain.events.record", lose)
    assert refusal(seller.post(f"/subscriptions/{sub}/cancel")) == (409, "conflict")
    assert people.row(sub).scheduled_action is None


def test_the_documentation_of_an_error_is_on_our_own_site(seller: App) -> None:
    error = seller.get("/nothing").json["error"]
    assert error["documentation_url"].startswith("http://localhost/")
    assert error["documentation_url"].endswith("invalid_url")


def test_an_unknown_version_header_and_odd_headers_are_no_obstacle(seller: App, sub: str) -> None:
    odd = {"Paddle-Version": "7", "X-Transaction-ID": "x", "Accept": "text/html", "Sec-Fetch-Mode": "cors"}
    answer = seller.get(
        f"/subscriptions/{sub}", headers=odd | {"Accept-Language": "*", "Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
