"""Every answer, whatever it is, carries the full set of protecting headers (T15)."""

from typing import Any

import pytest
from flask import Flask

from tests import people
from tests.customer import visits
from tests.person import Person

FIXED = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def missing(answer: Any) -> list[str]:
    policy = answer.headers.get("Content-Security-Policy", "")
    wrong = [name for name, value in FIXED.items() if answer.headers.get(name) != value]
    wrong += [
        part for part in ("frame-ancestors 'none'", "default-src 'none'", "base-uri 'none'") if part not in policy
    ]
    wrong += [part for part in ("unsafe-inline", "unsafe-eval", "http:", "*", "data:") if part in policy]
    if not answer.headers.get("Request-Id"):
        wrong.append("Request-Id")
    if "Server" in answer.headers or "X-Powered-By" in answer.headers:
        wrong.append("names its software")
    return wrong


def test_every_route_with_every_method_signed_in_and_out(app: Flask, person: Person, sub: str) -> None:
    key = people.key(everything=True)
    wrong, seen = {}, set()
    for signed_in in (False, True):
        if signed_in:
            visits.come_in(person, visits.owner(sub))
        for rule in app.url_map.iter_rules():
            if rule.endpoint == "asset":
                continue
            path = rule.rule.replace("<id>", sub).replace("<customer_id>", visits.owner(sub))
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
                headers = key if signed_in and rule.endpoint.startswith("api.") else {}
                answer = person.client.open(path, method=method, headers=headers)
                seen.add(answer.status_code)
                if found := missing(answer):
                    wrong[f"{method} {path} ({answer.status_code})"] = found
    assert wrong == {}
    assert {200, 303, 403, 404, 405} <= seen


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/portal/nothing",
        "/portal/",
        "/portal/subscriptions",
        "//portal//subscriptions",
        "/portal/%00",
        "/portal/%ff%fe",
        "/subscriptions/",
        "/assets/nothing.css",
        "/console/nothing",
        "/.env",
        "/portal/../subscriptions",
    ],
)
def test_paths_that_lead_nowhere(person: Person, path: str) -> None:
    answer = person.client.get(path)
    assert answer.status_code in (308, 403, 404)
    assert missing(answer) == []


def test_answers_that_were_not_planned(app: Flask, person: Person, sub: str, monkeypatch: Any) -> None:
    visits.come_in(person, visits.owner(sub))

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect, with a secret-in-its-text")

    monkeypatch.setattr("portal.domain.snapshots.of_customer", crash)
    broken = person.client.get("/portal")
    large = person.client.post("/portal/sign-in", data={"email": "a" * 2_000_000})
    many = person.client.post("/portal/sign-in", data={f"field{n}": "x" for n in range(5000)})
    for answer, statuses in ((broken, {500}), (large, {413}), (many, {400, 403, 413})):
        assert answer.status_code in statuses
        assert missing(answer) == []
        assert "secret-in-its-text" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.mimetype == "text/html"


def test_a_page_loads_nothing_from_elsewhere_and_has_no_inline_script_or_style(person: Person, sub: str) -> None:
    visits.come_in(person, visits.owner(sub))
    pages = [
        "",
        "/payments",
        "/sign-in",
        "/signed-out",
        "/link-expired",
        *(f"/subscriptions/{sub}{page}" for page in ("", "/cancel", "/keep", "/update-payment-method")),
    ]
    for path in pages:
        html = person.open(f"/portal{path}").html
        assert person.page.status == 200
        for forbidden in ("<script", "<style", " style=", " onclick", " onload", " onsubmit", "javascript:", "<iframe"):
            assert forbidden not in html, f"{forbidden} on {path}"
        for attribute in ('src="http', 'src="//', 'action="http', '<link rel="stylesheet" href="http'):
            assert attribute not in html, f"{attribute} on {path}"


def test_assets_are_kept_by_browsers_and_still_not_sniffed(person: Person) -> None:
    html = person.open("/portal/sign-in").html
    stylesheet = html.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = person.client.get(stylesheet)
    assert (answer.status_code, answer.mimetype) == (200, "text/css")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
