"""The reference at /docs: complete, made of the document, without anything from elsewhere."""

import re
from typing import Any

import pytest
from flask import Flask
from markupsafe import escape

from portal.api import error_codes, openapi

DOCUMENT = openapi.document()
PAGES = ["/docs", "/docs/errors", *(f"/docs/{tag['name']}" for tag in DOCUMENT["tags"])]
FOREIGN = ("<script", "<style", " style=", " onclick", "javascript:", "<iframe", 'src="http', 'href="http', 'src="//')


@pytest.fixture
def pages(app: Flask) -> dict[str, str]:
    answers = {path: app.test_client().get(path) for path in PAGES}
    assert {(answer.status_code, answer.mimetype) for answer in answers.values()} == {(200, "text/html")}
    return {path: answer.text for path, answer in answers.items()}


def test_every_operation_stands_on_its_resources_page(pages: dict[str, str]) -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            html = pages[f"/docs/{operation['tags'][0]}"]
            assert f'id="{operation["operationId"]}"' in html
            assert str(escape(operation["summary"])) in html
            assert path.rpartition("/")[2] in html
            assert method.upper() in html


def test_every_error_code_is_explained_where_errors_lead(pages: dict[str, str]) -> None:
    for code in error_codes.CODES:
        assert f'id="{code}"' in pages["/docs/errors"]


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        assert [each for each in FOREIGN if each in html] == [], path
        assert len(html) < 250_000


def test_every_link_within_the_reference_leads_somewhere(pages: dict[str, str]) -> None:
    broken = []
    for path, html in pages.items():
        for target, anchor in re.findall(r'href="(/docs[^"#]*)?(?:#([^"]+))?"', html):
            page = pages.get(target or path)
            if page is None or (anchor and f'id="{anchor}"' not in page):
                broken.append(f"{path}: {target}#{anchor}")
    assert broken == []


def test_what_is_not_there_says_so_with_a_way_on(app: Flask) -> None:
    answer = app.test_client().get("/docs/nothing")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert 'href="/docs/subscriptions"' in answer.text


@pytest.mark.parametrize("method", ["post", "patch", "delete"])
def test_it_is_there_to_be_read(app: Flask, method: str) -> None:
    answer: Any = getattr(app.test_client(), method)("/docs")
    assert answer.status_code == 405
