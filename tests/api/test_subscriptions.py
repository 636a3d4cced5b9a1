"""An app reads subscriptions: one, and lists of them."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from tests import people
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import UNKNOWN


def test_one_subscription_has_the_contracts_shape(seller: App) -> None:
    sub = visits.subscribed(people.customer("Amelia Harper"))
    entity = seller.get(f"/subscriptions/{sub}").json["data"]
    assert set(entity) >= {
        *("id", "status", "customer_id", "address_id", "business_id", "currency_code", "created_at", "updated_at"),
        *("started_at", "first_billed_at", "next_billed_at", "paused_at", "canceled_at", "collection_mode"),
        *("billing_details", "current_billing_period", "billing_cycle", "scheduled_change", "items", "custom_data"),
        *("management_urls", "discount", "import_meta"),
    }
    assert entity["billing_cycle"] == {"interval": "month", "frequency": 1}
    assert entity["current_billing_period"]["ends_at"] == "2026-12-11T12:00:00.000000Z"
    [item] = entity["items"]
    assert (item["quantity"], item["price"]["unit_price"]["amount"], item["status"]) == (10, "3000", "active")
    assert item["price"]["unit_price_overrides"] == []
    assert item["product"]["name"] == "AeroEdit Pro"


def test_an_unknown_subscription_is_named(seller: App) -> None:
    answer = seller.get(f"/subscriptions/sub_{UNKNOWN}")
    assert refusal(answer) == (404, "not_found")
    assert f"sub_{UNKNOWN}" in answer.json["error"]["detail"]


def walk(seller: App, path: str, host: str = "http://localhost") -> list[str]:
    """The ids of a list, page by page as the SDKs read it, to the last page."""
    found: list[str] = []
    url = f"{host}{path}"
    for _ in range(50):
        answer = seller.get(url.removeprefix(host), base_url=host)
        assert answer.status_code == 200, answer.json
        pagination = answer.json["meta"]["pagination"]
        found += [entity["id"] for entity in answer.json["data"]]
        assert pagination["next"].startswith(f"{host}/subscriptions")
        url = pagination["next"]
        if not pagination["has_more"]:
            return found
    raise AssertionError("the list does not end")


@pytest.fixture
def seven(app: Flask) -> list[str]:
    amelia, price = people.customer("Amelia Harper"), people.price()
    return [people.subscription(amelia, price_id=price) for _ in range(7)]


@pytest.mark.parametrize("size", [1, 3, 7, 8])
@pytest.mark.parametrize("order", ["id[ASC]", "id[asc]", "id%5Basc%5D", "id[DESC]", "id[desc]", ""])
def test_every_page_to_the_last_in_both_orders(seller: App, seven: list[str], order: str, size: int) -> None:
    query = f"?per_page={size}" + (f"&order_by={order}" if order else "")
    expected = seven if "asc" in order.lower() else seven[::-1]
    assert walk(seller, f"/subscriptions{query}") == expected


def test_next_is_there_on_every_page_on_the_host_that_was_asked_with_the_whole_query(
    seller: App, seven: list[str]
) -> None:
    host = "http://127.0.0.1:8123"
    assert walk(seller, "/subscriptions?per_page=4&status=active,paused&order_by=id[asc]", host) == seven
    answer = seller.get("/subscriptions?per_page=200&status=active,paused", base_url=host)
    pagination = answer.json["meta"]["pagination"]
    query = parse_qs(urlsplit(pagination["next"]).query)
    assert query == {"per_page": ["200"], "status": ["active,paused"], "after": [seven[0]]}
    assert (pagination["has_more"], pagination["estimated_total"]) == (False, 7)
    after_the_last = seller.get(pagination["next"].removeprefix(host), base_url=host).json
    assert after_the_last["data"] == []
    assert after_the_last["meta"]["pagination"]["next"].startswith(host)


def test_an_empty_list_has_its_pagination_too(seller: App) -> None:
    answer = seller.get("/subscriptions").json
    assert answer["data"] == []
    assert answer["meta"]["pagination"] == {
        "per_page": 50,
        "next": "http://localhost/subscriptions",
        "has_more": False,
        "estimated_total": 0,
    }


@pytest.mark.parametrize(("asked", "given"), [("201", 200), ("99999", 200), ("200", 200), ("1", 1), (None, 50)])
def test_per_page_is_clamped(seller: App, seven: list[str], asked: str | None, given: int) -> None:
    answer = seller.get("/subscriptions", query_string={"per_page": asked} if asked else {})
    assert answer.json["meta"]["pagination"]["per_page"] == given


def test_who_skips_the_count_gets_the_list_all_the_same(seller: App, seven: list[str]) -> None:
    answer = seller.get("/subscriptions?per_page=2", headers={"Skip-Count": "true"})
    assert [entity["id"] for entity in answer.json["data"]] == seven[:-3:-1]
    assert answer.json["meta"]["pagination"]["has_more"] is True


def test_every_filter_and_several_values(seller: App) -> None:
    amelia, daniel = people.customer("Amelia Harper"), people.customer("Daniel Okoro")
    price = people.price()
    subs = {
        "active": visits.subscribed(amelia, price_id=price, address_id=f"add_{UNKNOWN}"),
        "ending": visits.subscribed(amelia, **visits.ending()),
        "pausing": visits.subscribed(daniel, **visits.ending() | {"scheduled_action": "pause"}),
        "paused": visits.subscribed(daniel, status="paused", next_billed_at=None),
        "manual": visits.subscribed(daniel, collection_mode="manual", card=None),
        "canceled": visits.subscribed(daniel, **visits.CANCELED),
    }
    expected = {
        "status=paused": {"paused"},
        "status=paused,canceled": {"paused", "canceled"},
        "status=active": {"active", "ending", "pausing", "manual"},
        "scheduled_change_action=cancel": {"ending"},
        "scheduled_change_action=cancel,pause": {"ending", "pausing"},
        "scheduled_change_action=resume": set(),
        "collection_mode=manual": {"manual"},
        "collection_mode=manual,automatic": set(subs),
        f"customer_id={amelia}": {"active", "ending"},
        f"customer_id={amelia},{daniel}": set(subs),
        f"customer_id=ctm_{UNKNOWN}": set(),
        f"id={subs['paused']},{subs['manual']}": {"paused", "manual"},
        f"price_id={price}": {"active"},
        f"address_id=add_{UNKNOWN}": {"active"},
        f"customer_id={daniel}&status=active&collection_mode=automatic": {"pausing"},
        "": set(subs),
    }
    names = {id: name for name, id in subs.items()}
    for query, wanted in expected.items():
        answer = seller.get(f"/subscriptions?{query}")
        assert {names[each["id"]] for each in answer.json["data"]} == wanted, query
        assert answer.json["meta"]["pagination"]["estimated_total"] == len(wanted), query


WRONG = {
    "per_page=0": "per_page",
    "per_page=-1": "per_page",
    "per_page=abc": "per_page",
    "per_page=1.5": "per_page",
    "per_page=": "per_page",
    "per_page=%D9%A3": "per_page",
    "after=sub_x": "after",
    f"after=ctm_{UNKNOWN}": "after",
    "after=%00": "after",
    "order_by=status[ASC]": "order_by",
    "order_by=id[SIDEWAYS]": "order_by",
    "order_by=id;DROP TABLE": "order_by",
    "status=gone": "status",
    "status=active,gone": "status",
    "status=ACTIVE": "status",
    "collection_mode=cash": "collection_mode",
    "scheduled_change_action=explode": "scheduled_change_action",
    "customer_id=%00": "customer_id",
    "id=a%00b": "id",
    "price_id=" + "x" * 300: "price_id",
    "colour=red": "colour",
    "status=active&status=paused": "status",
    "status=active&status=active": "status",
    "per_page=2&id=a&per_page=3": "per_page",
    "STATUS=active": "STATUS",
    "%00=1": "\x00",
}


def test_wrong_parameters_are_named(seller: App, seven: list[str]) -> None:
    for query, field in WRONG.items():
        assert fields_of(seller.get(f"/subscriptions?{query}")) == [field], query


def test_many_ids_are_taken_at_once(seller: App, seven: list[str]) -> None:
    asked = ",".join([*seven, *(f"sub_{n:026d}" for n in range(190))])
    assert len(seller.get("/subscriptions", query_string={"id": asked}).json["data"]) == 7


def test_a_list_shows_the_same_entity_as_the_single_one(seller: App) -> None:
    sub = visits.subscribed(began=NOW - timedelta(days=10))
    single: Any = seller.get(f"/subscriptions/{sub}").json["data"]
    [listed] = seller.get("/subscriptions").json["data"]
    assert {k: v for k, v in listed.items() if k != "management_urls"} == {
        k: v for k, v in single.items() if k != "management_urls"
    }
