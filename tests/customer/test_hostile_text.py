"""Hostile text in names, reasons, comments and addresses is shown as text and executes nowhere (T19)."""

import html
import logging
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain.events import CancellationReason
from portal.logs import JsonLine
from tests import people
from tests.customer import visits
from tests.customer.visits import email_link
from tests.person import Person

HOSTILE = {
    "SQL": "Robert'); DROP TABLE subscriptions; --",
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x="',
    "entity": "&lt;b&gt; &amp; &#x27;",
    "template": "{{7*7}} {% raw %} ${7*7} #{7*7} <%= 7*7 %>",
    "format": "%(name)s %s %d {0} {name}",
    "formula": '=HYPERLINK("http://evil.example")',
    "header": "Amelia\r\nSet-Cookie: a=b\r\nBcc: all@example.com",
    "log": '","level":"critical","message":"forged\n{"at":"0"}',
    "right to left": "\u202egnp.exe\u2066",
    "combining": "e\u0301" * 50 + "\u0336" * 50,
    "other scripts": "株式会社 Ａｍｅｌｉａ Ḩ̴̈ 🐱‍👤 \ufeff\u200b",
    "typst": '#read("/etc/passwd") $x$ \\ [*]',
    "separators": "a\u2028b\u2029c\x85d\x0be\x7f",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_names_are_shown_as_text_on_every_page(app: Flask, person: Person, kind: str) -> None:
    text = HOSTILE[kind]
    amelia = people.customer("Amelia", custom_data={"time_zone": text})
    with transaction():
        from portal.domain import customers

        customers.get(amelia).name = text
    sub = visits.subscribed(amelia, price_id=people.price(product=text))
    visits.come_in(person, amelia)
    person.press("Sign out")
    visits.come_in(person, amelia)
    assert text in html.unescape(person.page.html)
    paths = [f"/portal/subscriptions/{sub}{page}" for page in ("", "/cancel", "/keep", "/update-payment-method")]
    for path in ["/portal", "/portal/payments", *paths]:
        shown = person.open(path)
        assert shown.status == 200, path
        assert "<script" not in shown.html
        assert ' onmouseover="' not in shown.html
        assert "49" not in shown.words.replace(text, "")
        assert "Bcc" not in str(shown.headers)
    visits.post(person, f"/portal/subscriptions/{sub}/cancel")
    assert visits.is_scheduled(sub)
    assert visits.mails()[0].facts["name"] == text


@pytest.mark.parametrize("kind", [*HOSTILE, "NUL", "surrogate", "very long"])
def test_a_comment_is_kept_as_it_was_written(person: Person, app: Flask, kind: str) -> None:
    text = {"NUL": "before\x00after", "surrogate": "a\udcffb", "very long": "=1+1" * 100_000}.get(kind) or HOSTILE[kind]
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the period")
    sent = {"csrf_token": person.csrf_token(), "reason": text[:5000], "comment": text}
    body = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogateescape'))}" for name, value in sent.items())
    form = "application/x-www-form-urlencoded"
    answer = person.client.post(f"/portal/subscriptions/{sub}/reason", data=body, content_type=form)
    assert answer.status_code in (303, 400, 413)
    with transaction():
        kept = session().scalars(select(CancellationReason)).all()
    if kind in HOSTILE:
        assert [(each.reason, each.comment) for each in kept] == [(None, text.strip())]
    assert person.open(f"/portal/subscriptions/{sub}").status == 200
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])


def test_hostile_fields_in_every_form_are_no_defect_of_ours(person: Person, app: Flask) -> None:
    amelia = people.customer("Amelia Harper")
    sub = visits.subscribed(amelia)
    visits.come_in(person, amelia)
    names = ("email", "next", "number", "expiry", "cvc", "reference", "reason", "comment", "agreed", "token", "done")
    texts = [*HOSTILE.values(), "before\x00after", "A" * 100_000, "/portal/subscriptions/\x00", "sub_\x00"]
    texts += [
        "/portal/subscriptions/x\r\nSet-Cookie: a=b",
        "/portal/subscriptions/\ud7ff/cancel",
        "%00",
        "\\",
        "/" * 9999,
    ]
    wrong = {}
    rules = [r for r in app.url_map.iter_rules() if r.rule.startswith("/portal") and "sign-out" not in r.rule]
    csrf = person.csrf_token()
    for text in texts:
        fields = dict.fromkeys(names, text)
        for rule in rules:
            path = rule.rule.replace("<id>", sub)
            for method in sorted((rule.methods or set()) & {"GET", "POST"}):
                sent = {"query_string": fields} if method == "GET" else {"data": fields | {"csrf_token": csrf}}
                answer = person.client.open(path, method=method, **sent)
                if answer.status_code >= 500 or "<script>alert" in answer.text:
                    wrong[f"{method} {path} {text[:30]!r}"] = answer.status_code
    assert wrong == {}


def test_a_reader_with_a_strange_language_still_reads(person: Person, app: Flask) -> None:
    sub = visits.subscribed(people.customer("Amelia Harper", locale="{{7*7}}"))
    assert person.open(email_link("cancel", sub)).status == 200
    for language in ("", "*", "x" * 5000, "en-\u00e9", "de;q=nan", "../../etc/passwd", "zh-Hant-TW-u-co-pinyin"):
        answer = person.client.get("/portal/sign-in", headers={"Accept-Language": language})
        assert answer.status_code == 200, language


def test_a_log_line_stays_one_line_of_json(person: Person, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    import orjson

    caplog.set_level(logging.INFO)
    forged = "%0a%7B%22level%22:%22critical%22%7D%0d%1b[31m"
    token = email_link("cancel", visits.subscribed()).partition("token=")[2]
    person.client.get(f"/portal/{forged}?token={token}")
    person.client.get(f"/{forged}", headers={"Authorization": "Bearer pdl_live_secret\n"[:-1]})
    lines = [JsonLine().format(record) for record in caplog.records if record.name == "portal.web"]
    assert len(lines) >= 2
    for line in lines:
        assert "\n" not in line
        assert "\r" not in line
        assert orjson.loads(line)["level"] == "info"
        assert "pga_" not in line
        assert "pdl_live_secret" not in line


def test_what_an_app_sends_comes_back_as_it_was_and_is_text_on_pages(app: Flask, person: Person) -> None:
    client, headers = app.test_client(), people.key(everything=True)
    for kind, text in HOSTILE.items():
        body: dict[str, Any] = {"email": f"{abs(hash(kind))}@example.com", "name": text, "custom_data": {text: [text]}}
        made = client.post("/customers", json=body, headers=headers)
        assert made.status_code == 201, kind
        again = client.get(f"/customers/{made.json['data']['id']}", headers=headers).json["data"]
        assert (again["name"], again["custom_data"]) == (text, {text: [text]})
        visits.come_in(Person(app), made.json["data"]["id"])
