"""An admin makes keys of apps, sees what each may and what it asked, and revokes them."""

import re
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from portal import ids, request_log
from portal.cli import main
from portal.db import session, transaction
from portal.domain import api_keys
from portal.domain.api_keys import ALL_BUT_NAMED, CANCEL_IMMEDIATELY, ApiKey
from portal.domain.audit import AuditEntry
from tests import people
from tests.person import Page, Person
from tests.staff import console

HOSTILE = """<script>alert(1)</script> {{ 7*7 }} '; DROP TABLE api_keys; --"""


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def keys() -> list[ApiKey]:
    with transaction():
        return list(session().query(ApiKey).order_by(ApiKey.id))


def made(page: Page) -> str:
    """The key that a page shows."""
    [key] = re.findall(r'value="(pdl_live_apikey_\w+)"', page.html)
    return str(key)


def form(ada: Person) -> str:
    """The id of a form that was just opened."""
    page = ada.open("/console/api-keys/new")
    [found] = re.findall(r'name="id" value="(apikey_\w+)"', page.html)
    return str(found)


def test_a_key_is_made_and_shown_once_and_works(ada: Person) -> None:
    ada.open("/console/api-keys")
    ada.open("/console/api-keys/new")
    page = ada.press("Make the key", name="Shop", permission="customer.read")
    key = made(page)
    assert page.headers["Cache-Control"] == "no-store"
    assert "It is shown this once" in page
    [kept] = keys()
    assert (kept.name, kept.permissions) == ("Shop", ["customer.read"])
    headers = {"Authorization": f"Bearer {key}"}
    assert ada.client.get("/customers", headers=headers).status_code == 200
    assert ada.client.get("/products", headers=headers).status_code == 403
    [entry] = console.audited("api_key.created")
    assert (entry.actor_name, entry.subject_id) == ("Ada Admin", kept.id)
    assert entry.facts == {"name": "Shop", "permissions": ["customer.read"]}
    assert key not in repr(entry.facts)
    for path in ("/console/api-keys", f"/console/api-keys/{kept.id}"):
        shown = ada.open(path)
        assert "Customer: read" in shown
        assert key not in shown.html


def test_the_shortcut_leaves_ending_at_once_out_unless_it_is_named(ada: Person) -> None:
    ada.open("/console/api-keys/new")
    ada.press("Make the key", name="Shop", everything="on")
    ada.open("/console/api-keys/new")
    ada.press("Make the key", name="Desk", everything="on", permission=CANCEL_IMMEDIATELY)
    shop, desk = keys()
    assert set(shop.permissions) == set(ALL_BUT_NAMED)
    assert set(desk.permissions) == {*ALL_BUT_NAMED, CANCEL_IMMEDIATELY}
    assert "Everything but ending at once" in ada.open(f"/console/api-keys/{shop.id}")
    assert "End subscriptions at once" in ada.open(f"/console/api-keys/{desk.id}")


def test_a_form_sent_twice_makes_one_key(ada: Person) -> None:
    id = form(ada)
    first = ada.submit("/console/api-keys", id=id, name="Shop", permission="customer.read")
    second = ada.submit("/console/api-keys", id=id, name="Shop", permission="customer.read")
    assert made(first)
    assert second.status == 409
    assert "No second one was made" in second
    assert len(keys()) == len(console.audited("api_key.created")) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "", "permission": "customer.read"}, "Say what the key is for"),
        ({"name": "x" * 101, "permission": "customer.read"}, "Say what the key is for"),
        ({"name": "two\r\nX-Header: lines", "permission": "customer.read"}, "Say what the key is for"),
        ({"name": "nul \x00", "permission": "customer.read"}, "Say what the key is for"),
        ({"name": "Shop"}, "Choose what the key may do"),
        ({"name": "Shop", "permission": "staff.write"}, "does not exist"),
        ({"name": "Shop", "permission": "customer.read", "id": "apikey_x"}, "not complete"),
    ],
)
def test_a_form_that_is_wrong_makes_no_key_and_keeps_what_was_typed(
    ada: Person, fields: dict[str, str], words: str
) -> None:
    page = ada.submit("/console/api-keys", **{"id": ids.new("apikey"), **fields})
    assert page.status == 422
    assert words in page
    assert "Nothing was changed" in page
    if fields["name"] == "Shop":
        assert 'value="Shop"' in page.html
    assert keys() == []
    assert console.audited() == []


def test_a_key_is_revoked_after_a_question_and_only_once(ada: Person, the_clock: Any) -> None:
    headers = people.key("customer.read")
    id = people.key_id(headers)
    asked = ada.open(f"/console/api-keys/{id}/revoke")
    assert "From the next request on" in asked
    assert ada.client.get("/customers", headers=headers).status_code == 200
    page = ada.press("Revoke the key")
    assert (page.path, "The key is revoked" in page) == (f"/console/api-keys/{id}", True)
    assert ada.client.get("/customers", headers=headers).status_code == 403
    [key] = keys()
    before = key.revoked_at
    the_clock.advance(minutes=5)
    ada.submit(f"/console/api-keys/{id}/revoke")
    [key] = keys()
    assert key.revoked_at == before
    [entry] = console.audited("api_key.revoked")
    assert (entry.actor_name, entry.subject_id, entry.facts) == ("Ada Admin", id, {"name": "test"})
    assert "Nothing is left to do" in ada.open(f"/console/api-keys/{id}/revoke")


def test_the_list_says_when_a_key_was_last_used(ada: Person, the_clock: Any) -> None:
    headers = people.key("customer.read")
    assert "Not in the last 30 days" in ada.open("/console/api-keys")
    ada.client.get("/customers", headers=headers)
    ada.client.get("/products", headers=headers)
    request_log.write()
    assert "21 November 2026 at 12:00 UTC" in ada.open("/console/api-keys")
    page = ada.open(f"/console/api-keys/{people.key_id(headers)}")
    assert "GET /customers" in page
    assert "GET /products" in page
    refused = ada.open(f"/console/api-keys/{people.key_id(headers)}?refused=1")
    assert "GET /customers" not in refused
    assert "403 forbidden" in refused


def test_many_keys_come_in_pages(ada: Person) -> None:
    for number in range(51):
        with transaction():
            api_keys.create(f"key {number:02}", ["customer.read"], by=console.acting("admin", "Ada Admin"))
    first = ada.open("/console/api-keys")
    assert "key 50" in first
    assert "key 00" not in first
    assert "key 00" in ada.open(first.links["Next"])


def test_hostile_text_is_shown_as_text(ada: Person) -> None:
    ada.open("/console/api-keys/new")
    page = ada.press("Make the key", name=HOSTILE, permission="customer.read")
    [key] = keys()
    assert key.name == HOSTILE
    for shown in (page, *(ada.open(f"/console/api-keys{path}") for path in ("", f"/{key.id}", f"/{key.id}/revoke"))):
        assert HOSTILE in shown
        assert "<script>alert" not in shown.html


PATHS = ("/console/api-keys", "/console/api-keys/new", "/console/api-keys/{id}", "/console/api-keys/{id}/revoke")


@pytest.mark.parametrize("path", PATHS)
def test_only_an_admin_may(app: Flask, person: Person, path: str) -> None:
    id = people.key_id(people.key("customer.read"))
    sam = console.colleague(app)
    page = sam.open(path.format(id=id))
    assert (page.status, "Only an admin may do this" in page) == (403, True)
    assert person.open(path.format(id=id)).path == "/console/sign-in"


def test_neither_support_nor_a_stranger_makes_or_revokes_a_key(app: Flask, person: Person) -> None:
    id = people.key_id(people.key("customer.read"))
    for somebody in (console.colleague(app), person):
        somebody.submit("/console/api-keys", id=ids.new("apikey"), name="Shop", permission="customer.read")
        somebody.submit(f"/console/api-keys/{id}/revoke")
    [key] = keys()
    assert key.revoked_at is None
    assert console.audited() == []


@pytest.mark.parametrize("id", ["apikey_00000000000000000000000000", "x", "%00"])
def test_an_id_that_is_none_is_not_found(ada: Person, id: str) -> None:
    assert ada.open(f"/console/api-keys/{id}").status == 404
    assert ada.open(f"/console/api-keys/{id}/revoke").status == 404
    assert ada.submit(f"/console/api-keys/{id}/revoke").status == 404


def test_a_form_of_another_site_makes_no_key(ada: Person) -> None:
    page = ada.submit(
        "/console/api-keys", token="forged", id=ids.new("apikey"), name="Shop", permission="customer.read"
    )
    assert page.status == 403
    assert keys() == []


def test_what_the_command_line_does_to_keys_goes_on_record(app: Flask) -> None:
    key = CliRunner().invoke(main, ["api-key", "create", "--name", "Shop", "--permissions", "customer.read"]).output
    [kept] = keys()
    assert CliRunner().invoke(main, ["api-key", "revoke", kept.id]).exit_code == 0
    with transaction():
        entries = session().query(AuditEntry).order_by(AuditEntry.id).all()
    assert [(each.action, each.way, each.subject_id) for each in entries] == [
        ("api_key.created", "shell", kept.id),
        ("api_key.revoked", "shell", kept.id),
    ]
    assert key.strip() not in repr([each.facts for each in entries])
