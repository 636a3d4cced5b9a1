"""An app opens the portal for its customer: links that sign in, short-lived and each for one errand."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import tokens
from portal.db import session, transaction
from portal.domain.portal_sessions import PortalSession
from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.api.hostile_urls import HOSTILE_URLS
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN
from tests.person import Person


@pytest.fixture
def seller(app: Flask) -> App:
    return App(app, "customer_portal_session.write")


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper")


def rows() -> list[PortalSession]:
    with transaction():
        return list(session().scalars(select(PortalSession)))


def path(customer: str) -> str:
    return f"/customers/{customer}/portal-sessions"


def test_the_answer_has_the_contracts_shape(seller: App, amelia: str) -> None:
    subs = [visits.subscribed(amelia), visits.subscribed(amelia)]
    answer = seller.post(path(amelia), {"subscription_ids": subs})
    assert answer.status_code == 201
    opened = answer.json["data"]
    assert set(opened) == {"id", "customer_id", "created_at", "expires_at", "return_url", "urls"}
    assert opened["id"].startswith("cpls_")
    assert (opened["customer_id"], opened["created_at"]) == (amelia, "2026-11-21T12:00:00.000000Z")
    assert set(opened["urls"]) == {"general", "subscriptions"}
    assert opened["urls"]["general"]["overview"].startswith("http://localhost/portal?token=pga_")
    assert [each["id"] for each in opened["urls"]["subscriptions"]] == subs
    for each in opened["urls"]["subscriptions"]:
        page = f"http://localhost/portal/subscriptions/{each['id']}"
        assert each["cancel_subscription"].startswith(f"{page}/cancel?token=pga_")
        assert each["update_subscription_payment_method"].startswith(f"{page}/update-payment-method?token=pga_")
    [row] = rows()
    assert (row.id, row.customer_id, row.subscription_ids) == (opened["id"], amelia, subs)
    assert row.opened_by.startswith("apikey_")


@pytest.mark.parametrize("body", [None, {}, {"subscription_ids": []}, {"subscription_ids": None}])
def test_without_subscriptions_there_is_the_overview_alone(seller: App, amelia: str, body: Any) -> None:
    opened = seller.post(path(amelia), body).json["data"]
    assert opened["urls"]["subscriptions"] == []
    assert opened["urls"]["general"]["overview"]


def test_every_link_has_its_own_power(seller: App, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    urls = seller.post(path(amelia), {"subscription_ids": [sub]}).json["data"]["urls"]
    links = [urls["general"]["overview"], *(v for k, v in urls["subscriptions"][0].items() if k != "id")]
    assert len({link.partition("token=")[2] for link in links}) == 4


def test_no_two_sessions_share_a_link(seller: App, amelia: str) -> None:
    made = [seller.post(path(amelia)).json["data"] for _ in range(3)]
    assert len({each["id"] for each in made}) == 3
    assert len({each["urls"]["general"]["overview"] for each in made}) == 3


def test_up_to_25_subscriptions_each_once(seller: App, amelia: str) -> None:
    price = people.price()
    subs = [visits.subscribed(amelia, price_id=price, card=None) for _ in range(26)]
    before = visits.records()
    assert fields_of(seller.post(path(amelia), {"subscription_ids": subs})) == ["subscription_ids"]
    assert fields_of(seller.post(path(amelia), {"subscription_ids": [subs[0], subs[1], subs[0]]})) == [
        "subscription_ids"
    ]
    assert visits.records() == before
    opened = seller.post(path(amelia), {"subscription_ids": subs[:25]}).json["data"]
    assert len(opened["urls"]["subscriptions"]) == 25


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subscription_ids", "sub_x"),
        ("subscription_ids", {"a": 1}),
        ("subscription_ids", [1]),
        ("subscription_ids", [None]),
        ("subscription_ids", [["sub_x"]]),
        ("lifetime", 59),
        ("lifetime", 86_401),
        ("lifetime", 0),
        ("lifetime", -60),
        ("lifetime", "3600"),
        ("lifetime", 3600.5),
        ("lifetime", True),
        ("return_url", 7),
        ("return_url", ""),
        ("expires_at", "2030-01-01T00:00:00Z"),
        ("customer_id", f"ctm_{UNKNOWN}"),
        ("scope", "everything"),
    ],
)
def test_wrong_and_unknown_fields_are_named_and_nothing_is_opened(
    seller: App, amelia: str, field: str, value: Any
) -> None:
    [named] = {name.partition(".")[0] for name in fields_of(seller.post(path(amelia), {field: value}))}
    assert named == field
    assert rows() == []


def test_unknown_customers_and_subscriptions_are_named(seller: App, amelia: str) -> None:
    for answer, named in (
        (seller.post(path(f"ctm_{UNKNOWN}")), f"ctm_{UNKNOWN}"),
        (seller.post(path(amelia), {"subscription_ids": [f"sub_{UNKNOWN}"]}), f"sub_{UNKNOWN}"),
        (seller.post(path(amelia), {"subscription_ids": ["'; --"]}), "'; --"),
    ):
        assert refusal(answer) == (404, "not_found")
        assert named in answer.json["error"]["detail"]
    assert rows() == []


@pytest.mark.parametrize(("asked", "seconds"), [(None, 3600), (60, 60), (86_400, 86_400)])
def test_a_link_lives_as_long_as_was_asked(
    app: Flask, seller: App, amelia: str, the_clock: Any, asked: int | None, seconds: int
) -> None:
    opened = seller.post(path(amelia), {"lifetime": asked}).json["data"]
    ends = NOW + timedelta(seconds=seconds)
    assert opened["expires_at"] == f"{ends:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert rows()[0].expires_at == ends
    link = opened["urls"]["general"]["overview"]
    assert tokens.read(link.partition("token=")[2], tokens.PORTAL_SESSION).expires_at == ends
    the_clock.set(ends - timedelta(seconds=1))
    assert Person(app).open(link).status == 200
    the_clock.set(ends)
    assert Person(app).open(link).status == 410


@pytest.mark.parametrize("fields", [{"collection_mode": "manual", "card": None}, visits.CANCELED], ids=str)
def test_where_no_card_is_charged_the_payment_link_opens_the_subscription(
    seller: App, person: Person, amelia: str, fields: dict[str, Any]
) -> None:
    sub = visits.subscribed(amelia, **fields)
    [urls] = seller.post(path(amelia), {"subscription_ids": [sub]}).json["data"]["urls"]["subscriptions"]
    shown = person.open(urls["update_subscription_payment_method"])
    assert (shown.status, shown.path) == (200, f"/portal/subscriptions/{sub}")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_only_urls_of_allowed_origins_are_taken_back_to(seller: App, amelia: str) -> None:
    taken = []
    for url in HOSTILE_URLS:
        answer = seller.post(path(amelia), {"return_url": url})
        named = [each["field"] for each in answer.json.get("error", {}).get("errors", [])]
        if answer.status_code != 400 or named != ["return_url"] * (b"\x00" not in url.encode()):
            taken.append(url)
    assert taken == []
    assert rows() == []


@pytest.mark.parametrize("rest", ["", "/", "/account", "/a?b=c&d=%20e#f", "?a", "#b", "/@evil.example", "//x"])
def test_an_allowed_origin_is_taken_with_any_path(app: Flask, amelia: str, person: Person, rest: str) -> None:
    url = f"https://app.aeroedit.example{rest}"
    opened = visits.open_session(app, amelia, return_url=url)
    assert opened["return_url"] == url
    assert person.open(opened["urls"]["general"]["overview"]).links["Back to AeroEdit"] == url


def test_revoking_answers_204_and_an_unknown_one_is_not_found(seller: App, amelia: str, the_clock: Any) -> None:
    opened = seller.post(path(amelia)).json["data"]
    answer = seller.call("DELETE", f"/portal-sessions/{opened['id']}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert rows()[0].revoked_at == NOW
    unknown = seller.call("DELETE", f"/portal-sessions/cpls_{UNKNOWN}")
    assert refusal(unknown) == (404, "not_found")
