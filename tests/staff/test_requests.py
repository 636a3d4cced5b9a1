"""An admin finds what an app asked by the id that its answer carried."""

import pytest
from flask import Flask

from portal import request_log
from tests import people
from tests.person import Person
from tests.staff import console

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}"


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def test_a_request_is_found_by_its_id(ada: Person) -> None:
    headers = people.key("customer.read")
    refused = ada.client.get("/products", headers=headers | {"User-Agent": HOSTILE})
    request_log.write()
    ada.open("/console/requests")
    page = ada.open(f"/console/requests?id={refused.headers['Request-Id']}")
    assert page.status == 200
    assert "GET /products" in page
    assert "403 after" in page
    assert "lacks the permission product.read" in page
    assert HOSTILE in page
    assert "<script>alert" not in page.html
    assert page.links["test"].endswith(people.key_id(headers))


@pytest.mark.parametrize("id", ["00000000-0000-0000-0000-000000000000", HOSTILE, "' OR 1=1 --", "x" * 5000])
def test_an_id_that_nobody_had_is_said_to_be_unknown(ada: Person, id: str) -> None:
    page = ada.open(f"/console/requests?id={id}")
    assert page.status == 404
    assert "is known. Requests are kept for 30 days" in page
    assert "<script>alert" not in page.html


def test_the_latest_are_shown_and_those_that_were_refused_by_themselves(ada: Person) -> None:
    headers = people.key("customer.read")
    ada.client.get("/customers", headers=headers)
    ada.client.get("/prices", headers=headers)
    request_log.write()
    page = ada.open("/console/requests")
    assert "GET /customers" in page
    assert "GET /prices" in page
    page = ada.open("/console/requests?refused=1")
    assert "GET /customers" not in page
    assert "GET /prices" in page


def test_only_an_admin_may(app: Flask, person: Person) -> None:
    assert console.colleague(app).open("/console/requests?id=x").status == 403
    assert person.open("/console/requests?id=x").path == "/console/sign-in"
