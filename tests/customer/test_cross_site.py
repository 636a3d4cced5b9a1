"""Only the POST of a form we rendered acts: no other site's, none without its token, no disguised JSON (T15)."""

from typing import Any

import pytest
from flask import Flask

from tests import people
from tests.customer import visits
from tests.person import Page, Person

CARD = {"number": "4242424242424242", "expiry": "07/31", "cvc": "123"}


@pytest.fixture
def sub(app: Flask, person: Person) -> str:
    sub = visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"))
    visits.come_in(person, visits.owner(sub))
    return sub


def posts(app: Flask, sub: str) -> list[str]:
    """The path of every route under /portal that takes a POST."""
    rules = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    paths = [rule.rule.replace("<id>", sub) for rule in rules if rule.rule.startswith("/portal/")]
    assert len(paths) >= 8
    assert not [path for path in paths if "<" in path]
    return sorted(paths)


def refused(app: Flask, person: Person, sub: str, **asked: Any) -> None:
    """Every POST of the portal, sent this way, is refused and changes nothing."""
    before, cookie = visits.records(), visits.cookie_of(person)
    for path in posts(app, sub):
        answer = person.client.post(path, **asked)
        assert answer.status_code in (400, 403), path
        assert "This form has expired" in Page(answer), path
    assert visits.records() == before
    assert visits.cookie_of(person) == cookie
    assert person.client.get("/portal").status_code == 200


FIELDS = {**CARD, "email": "amelia@example.com", "reason": "other", "agreed": "yes", "next": "/portal"}
TOKENS = {"none": None, "empty": "", "made up": "IjEyMyI.aSFkZQ.abcdefghijklmnopqrstuvwxyz0", "endless": "x" * 20_000}


@pytest.mark.parametrize("token", TOKENS)
def test_without_our_token_no_form_acts(app: Flask, person: Person, sub: str, token: str) -> None:
    given = TOKENS[token]
    refused(app, person, sub, data=FIELDS if given is None else FIELDS | {"csrf_token": given})


def test_the_token_of_another_browser_does_not_pass(app: Flask, person: Person, sub: str) -> None:
    refused(app, person, sub, data=FIELDS | {"csrf_token": Person(app).csrf_token()})


def test_a_token_in_the_address_does_not_pass(app: Flask, person: Person, sub: str) -> None:
    refused(app, person, sub, data=FIELDS, query_string={"csrf_token": person.csrf_token()})


FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost@evil.example"},
    {"Origin": ""},
    {"Origin": "https://evil.example", "Host": "evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_sites_form_is_refused_even_with_a_valid_token(
    app: Flask, person: Person, sub: str, headers: dict[str, str]
) -> None:
    refused(app, person, sub, data=FIELDS | {"csrf_token": person.csrf_token()}, headers=headers)


def test_json_sent_as_plain_text_is_refused(app: Flask, person: Person, sub: str) -> None:
    token = person.csrf_token()
    for content_type in ("text/plain", "application/json", "text/xml", ""):
        refused(app, person, sub, data=f'{{"csrf_token": "{token}"}}', content_type=content_type)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_our_own_form_acts_as_browsers_send_it(person: Person, sub: str, headers: dict[str, str]) -> None:
    form = {"csrf_token": person.csrf_token()}
    answer = person.client.post(f"/portal/subscriptions/{sub}/cancel", data=form, headers=headers)
    assert answer.status_code == 303
    assert visits.is_scheduled(sub)


def test_the_seller_api_takes_no_cookie_and_needs_no_form_token(app: Flask, person: Person, sub: str) -> None:
    before = visits.records()
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("api.") or rule.rule.startswith(("/docs", "/openapi.json")):
            continue
        path = rule.rule.replace("<id>", sub).replace("<customer_id>", visits.owner(sub))
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            answer = person.client.open(path, method=method, json={"effective_from": "immediately"})
            assert answer.status_code == 403, f"{method} {path}"
    assert visits.records() == before
    headers = people.key("subscription.write") | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}
    assert app.test_client().post(f"/subscriptions/{sub}/cancel", headers=headers).status_code == 200


def test_no_page_offers_itself_to_scripts_of_other_sites(app: Flask, person: Person, sub: str) -> None:
    for path in ("/portal", f"/portal/subscriptions/{sub}/cancel", "/subscriptions", "/healthz"):
        for method in ("GET", "OPTIONS"):
            answer = person.client.open(path, method=method, headers={"Origin": "https://evil.example"})
            assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
