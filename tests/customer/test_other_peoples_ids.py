"""Every route with every id of another customer: 404, alike in bytes to an id that nobody has (T18)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import ids
from portal.api import operations
from portal.db import session, transaction
from portal.domain import bills, customers, subscriptions
from portal.domain.actors import system
from tests import people
from tests.api.calls import App
from tests.api.test_transactions import address, business
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN, alike
from tests.person import Person

FORM = {"number": "4242424242424242", "expiry": "07/31", "cvc": "123", "reason": "other", "agreed": "yes"}


@pytest.fixture
def theirs(app: Flask) -> dict[str, str]:
    """The ids of all that Daniel has."""
    daniel = people.customer("Daniel Okoro")
    sub = visits.subscribed(daniel, **visits.ending())
    now = NOW
    with transaction():
        paid = bills.bill(subscriptions.get(sub), starts_at=now - timedelta(days=30), ends_at=now, by=system()).id
        address = customers.Address(
            id=ids.new("add"), customer_id=daniel, country_code="US", created_at=now, updated_at=now
        )
        session().add(address)
    found = {"sub": sub, "txn": paid, "ctm": daniel, "add": address.id}
    return found | {"paymtd": people.row(sub).payment_method_id or "", "pri": people.price()}


@pytest.fixture
def amelia(app: Flask, person: Person) -> str:
    amelia = people.customer("Amelia Harper")
    visits.subscribed(amelia)
    visits.come_in(person, amelia)
    return amelia


def pages(app: Flask) -> Iterator[tuple[str, str]]:
    """Every method and path of the portal that takes an id."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/portal/") and "<id>" in rule.rule:
            for method in sorted((rule.methods or set()) - {"OPTIONS"}):
                yield method, rule.rule


def test_no_page_opens_with_an_id_of_somebody_else(
    app: Flask, person: Person, amelia: str, theirs: dict[str, str]
) -> None:
    before, csrf = visits.records(), person.csrf_token()
    asked = 0
    for method, rule in pages(app):
        unknown = {kind: f"{kind}_{UNKNOWN}" for kind in theirs}
        answers = {
            id: alike(person.client.open(rule.replace("<id>", id), method=method, data=FORM | {"csrf_token": csrf}))
            for id in [*theirs.values(), *unknown.values()]
        }
        asked += len(answers)
        assert {status for status, _ in answers.values()} == {404}, f"{method} {rule}"
        for kind, id in theirs.items():
            assert answers[id] == answers[unknown[kind]], f"{method} {rule} with a {kind}"
    assert asked > 100
    assert visits.records() == before


def test_ids_that_are_no_ids_are_not_found_either(app: Flask, person: Person, amelia: str) -> None:
    before, csrf = visits.records(), person.csrf_token()
    strange = ["x", "sub_", "null", "..", "%00", "%ff", "%27%20OR%201=1--", "*", "sub_" + "z" * 3000, "%F0%9F%90%B1"]
    strange += ["sub_%00", "sub_01jcgfqad406rsfjcgq44g9dj%00", "%0d%0aSet-Cookie:a=b", "{{7*7}}", "%E2%80%AE", "-1"]
    wrong = {}
    for method, rule in pages(app):
        for id in strange:
            path = rule.replace("<id>", id)
            answer = person.client.open(path, method=method, data=FORM | {"csrf_token": csrf})
            right = (400, 404) if "%00" in id else (404,)
            if answer.status_code not in right or "Set-Cookie: a" in str(answer.headers):
                wrong[f"{method} {path[:80]}"] = answer.status_code
    assert wrong == {}
    assert visits.records() == before


def test_a_portal_session_with_one_foreign_id_among_25_is_refused_whole(
    app: Flask, amelia: str, theirs: dict[str, str]
) -> None:
    own = [visits.subscribed(amelia) for _ in range(24)]
    headers = people.key("customer_portal_session.write")
    before = visits.records()
    answers = []
    for position in (0, 12, 24):
        for foreign in (theirs["sub"], f"sub_{UNKNOWN}"):
            asked = [*own[:position], foreign, *own[position:]]
            answer = app.test_client().post(
                f"/customers/{amelia}/portal-sessions", json={"subscription_ids": asked}, headers=headers
            )
            assert answer.status_code == 404
            assert answer.json["error"]["code"] == "not_found"
            assert foreign in answer.json["error"]["detail"]
            answers.append(alike(answer))
    assert len(set(answers)) == 1
    assert visits.records() == before
    full = [*own, visits.subscribed(amelia)]
    opened = visits.open_session(app, amelia, full)
    assert [each["id"] for each in opened["urls"]["subscriptions"]] == full


def test_an_apps_address_under_the_wrong_customer_is_like_an_unknown_one(
    app: Flask, amelia: str, theirs: dict[str, str]
) -> None:
    client, headers = app.test_client(), people.key(everything=True)
    right = client.get(f"/customers/{theirs['ctm']}/addresses/{theirs['add']}", headers=headers)
    wrong = client.get(f"/customers/{amelia}/addresses/{theirs['add']}", headers=headers)
    unknown = client.get(f"/customers/{amelia}/addresses/add_{UNKNOWN}", headers=headers)
    assert (right.status_code, wrong.status_code) == (200, 404)
    assert alike(wrong) == alike(unknown)


def test_somebody_elses_id_in_an_apps_body_is_like_an_unknown_one(
    app: Flask, amelia: str, theirs: dict[str, str]
) -> None:
    seller = App(app)
    own, place = visits.subscribed(amelia), address(amelia)
    theirs |= {"biz": business(theirs["ctm"])}
    items = [{"price_id": theirs["pri"], "quantity": 1}]
    order = {"items": items, "customer_id": amelia, "address_id": place}
    made = seller.post("/transactions", order).json["data"]["id"]
    before = visits.records()
    for method, path, field, kind, more in (
        ("POST", "/transactions", "address_id", "add", order),
        ("POST", "/transactions", "business_id", "biz", order),
        ("PATCH", f"/transactions/{made}", "address_id", "add", {}),
        ("PATCH", f"/transactions/{made}", "business_id", "biz", {}),
        ("PATCH", f"/subscriptions/{own}", "address_id", "add", {}),
        ("PATCH", f"/subscriptions/{own}", "business_id", "biz", {}),
        ("PATCH", f"/subscriptions/{own}", "customer_id", "ctm", {}),
        ("PATCH", f"/subscriptions/{own}/preview", "address_id", "add", {}),
        ("PATCH", f"/subscriptions/{own}/preview", "business_id", "biz", {}),
    ):
        answers = []
        for id in (theirs[kind], f"{kind}_{UNKNOWN}"):
            status, text = alike(seller.call(method, path, {**more, field: id}))
            answers.append((status, text.replace(id, "ID")))
        assert answers[0] == answers[1], f"{method} {path} {field}"
        assert answers[0][0] in (400, 404)
    moved = seller.patch(f"/transactions/{made}", {"customer_id": theirs["ctm"]})
    assert moved.status_code == 404, "it would be his, with her address"
    assert visits.records() == before


def test_what_is_nested_under_the_wrong_customer_is_like_an_unknown_one(
    app: Flask, amelia: str, theirs: dict[str, str]
) -> None:
    seller = App(app)
    theirs |= {"biz": business(theirs["ctm"])}
    before = visits.records()
    for kind, part, calls in (
        ("add", "addresses", {"GET": None, "PATCH": {"city": "Here"}}),
        ("biz", "businesses", {"GET": None, "PATCH": {"name": "Mine"}}),
        ("paymtd", "payment-methods", {"GET": None, "DELETE": None}),
    ):
        for method, body in calls.items():
            answers = []
            for id in (theirs[kind], f"{kind}_{UNKNOWN}"):
                status, text = alike(seller.call(method, f"/customers/{amelia}/{part}/{id}", body))
                answers.append((status, text.replace(id, "ID")))
            assert answers[0] == answers[1], f"{method} {part}"
            assert answers[0][0] == 404
    assert visits.records() == before


def test_a_form_field_with_somebody_elses_id_changes_nothing_of_theirs(
    person: Person, amelia: str, theirs: dict[str, str]
) -> None:
    own = visits.subscribed(amelia)
    crafted = {"id": theirs["sub"], "subscription_id": theirs["sub"], "customer_id": theirs["ctm"], **FORM}
    daniels = visits.said(theirs["sub"])
    for page in ("cancel", "keep", "update-payment-method", "reason"):
        visits.post(person, f"/portal/subscriptions/{own}/{page}", **crafted)
        person.client.get(f"/portal/subscriptions/{own}", query_string=crafted)
    assert visits.said(theirs["sub"]) == daniels
    assert people.row(theirs["sub"]).payment_method_id == theirs["paymtd"]
    assert {event.customer_id for event in visits.events(own)} == {amelia}


def test_every_key_of_the_api_route_with_an_unknown_id_is_a_404_that_names_it(app: Flask, theirs: Any) -> None:
    headers = people.key(everything=True)
    examples = {(each.method, each.path): each.example for each in operations.ALL}
    checked = 0
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("api.") or "<id>" not in rule.rule:
            continue
        path = rule.rule.replace("<id>", f"xyz_{UNKNOWN}").replace("<customer_id>", f"ctm_{UNKNOWN}")
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            body = examples.get((method, rule.rule)) if method in ("POST", "PATCH") else None
            answer = app.test_client().open(path, method=method, headers=headers, json=body or {})
            assert (answer.status_code, answer.is_json) == (404, True), f"{method} {path}"
            assert f"xyz_{UNKNOWN}" in answer.json["error"]["detail"]
            checked += 1
    assert checked >= 9
