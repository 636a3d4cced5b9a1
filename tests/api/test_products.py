"""An app lists, creates, reads and changes products."""

from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.Product import Product as SdkProduct
from paddle_billing.Notifications.Entities.Product import Product as SdkEventProduct

from portal.domain.catalog import Price, Product
from tests import people
from tests.api import recorded
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN

WHOLE = {
    "name": "AeroEdit Pro",
    "tax_category": "saas",
    "description": "For flight schools.",
    "type": "custom",
    "image_url": "https://cdn.example.com/a.png?size=2",
    "custom_data": {"Seats": [1, None, True]},
}
KEYS = {
    *("id", "name", "type", "tax_category", "description", "image_url", "custom_data", "status", "import_meta"),
    *("created_at", "updated_at"),
}
ORDERS = ("created_at", "custom_data", "description", "id", "image_url", "name", "status", "tax_category", "updated_at")


def made(seller: App, **fields: Any) -> str:
    answer = seller.post("/products", {"name": "AeroEdit", "tax_category": "standard"} | fields)
    assert answer.status_code == 201, answer.json
    return str(answer.json["data"]["id"])


def listed(seller: App, query: str = "") -> list[str]:
    return [each["id"] for each in seller.get(f"/products?{query}").json["data"]]


def test_a_product_is_created_with_all_that_was_sent(seller: App) -> None:
    answer = seller.post("/products", WHOLE)
    entity = answer.json["data"]
    assert answer.status_code == 201
    assert set(entity) == KEYS
    assert {name: entity[name] for name in WHOLE} == WHOLE
    assert (entity["status"], entity["import_meta"], entity["created_at"]) == (
        "active",
        None,
        "2026-11-21T12:00:00.000000Z",
    )
    [event] = recorded.events(entity["id"])
    assert (event.type, event.data, event.actor_kind, event.way) == ("product.created", entity, "key", "API")
    assert seller.get(f"/products/{entity['id']}").json["data"] == entity


def test_name_and_tax_category_are_enough(seller: App) -> None:
    entity = seller.post("/products", {"name": "x", "tax_category": "ebooks"}).json["data"]
    assert (entity["type"], entity["description"], entity["image_url"], entity["custom_data"]) == (
        "standard",
        None,
        None,
        None,
    )


def test_the_sdk_reads_products_and_their_events(seller: App) -> None:
    id = made(seller, **WHOLE)
    people_price = seller.post(
        "/prices",
        {"description": "Once", "product_id": id, "unit_price": {"amount": "1", "currency_code": "EUR"}},
    ).json["data"]
    read = SdkProduct.from_dict(seller.get(f"/products/{id}?include=prices").json["data"])
    assert (read.id, read.tax_category, read.image_url) == (id, "saas", WHOLE["image_url"])
    assert [each.id for each in read.prices or ()] == [people_price["id"]]
    assert SdkProduct.from_dict(seller.get(f"/products/{id}").json["data"]).prices == []
    assert SdkEventProduct.from_dict(recorded.events(id)[0].data).name == "AeroEdit Pro"


WRONG: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", "x" * 201),
    ("name", None),
    ("name", 7),
    ("tax_category", "software"),
    ("tax_category", None),
    ("description", "x" * 2049),
    ("type", "special"),
    ("image_url", "http://cdn.example.com/a.png"),
    ("image_url", "javascript:alert(1)"),
    ("image_url", "https://"),
    ("image_url", "https:///a.png"),
    ("image_url", "https://example.com/a b.png"),
    ("image_url", "https://example.com/\n"),
    ("image_url", "https://example.com/" + "x" * 2048),
    ("custom_data", "text"),
    ("custom_data", [1]),
    ("id", f"pro_{UNKNOWN}"),
    ("created_at", "2026-11-21T12:00:00Z"),
    ("prices", []),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_and_unknown_fields_are_named(seller: App, field: str, value: Any) -> None:
    id = made(seller)
    before = visits.records()
    body = {"name": "AeroEdit", "tax_category": "standard"}
    assert fields_of(seller.post("/products", body | {field: value})) == [field]
    assert fields_of(seller.patch(f"/products/{id}", {field: value})) == [field]
    assert visits.records() == before


@pytest.mark.parametrize("field", ["type", "status"])
def test_what_always_has_a_value_can_not_be_cleared(seller: App, field: str) -> None:
    assert fields_of(seller.patch(f"/products/{made(seller)}", {field: None})) == [field]


def test_required_fields_are_named(seller: App) -> None:
    assert fields_of(seller.post("/products", {})) == ["name", "tax_category"]
    assert fields_of(seller.post("/products", {"name": "x", "tax_category": "saas", "status": "archived"})) == [
        "status"
    ]


def test_a_change_leaves_what_it_does_not_name(seller: App, the_clock: Any) -> None:
    id = made(seller, **WHOLE)
    the_clock.advance(hours=1)
    answer = seller.patch(f"/products/{id}", {"name": "AeroEdit Max", "description": None, "image_url": ""})
    entity = answer.json["data"]
    assert answer.status_code == 200
    assert (entity["name"], entity["description"], entity["image_url"]) == ("AeroEdit Max", None, None)
    assert {name: entity[name] for name in ("tax_category", "type", "custom_data")} == {
        name: WHOLE[name] for name in ("tax_category", "type", "custom_data")
    }
    assert entity["updated_at"] == "2026-11-21T13:00:00.000000Z"
    assert recorded.types(id) == ["product.created", "product.updated"]
    assert recorded.events(id)[-1].data == entity


@pytest.mark.parametrize("body", [{}, {"name": "AeroEdit"}, {"description": None, "type": "standard"}])
def test_a_change_that_changes_nothing_is_recorded_nowhere(seller: App, body: Any) -> None:
    id = made(seller)
    before = visits.records()
    assert seller.patch(f"/products/{id}", body).status_code == 200
    assert visits.records() == before


def test_true_in_custom_data_is_not_one(seller: App) -> None:
    id = made(seller, custom_data={"vip": 1})
    assert seller.patch(f"/products/{id}", {"custom_data": {"vip": True}}).json["data"]["custom_data"]["vip"] is True
    assert recorded.types(id) == ["product.created", "product.updated"]


def test_an_archived_product_leaves_the_list_and_can_come_back(seller: App) -> None:
    id, other = made(seller), made(seller)
    assert seller.patch(f"/products/{id}", {"status": "archived"}).json["data"]["status"] == "archived"
    assert listed(seller) == [other]
    assert listed(seller, "status=archived") == [id]
    assert listed(seller, f"id={id}") == []
    assert listed(seller, f"id={id}&status=active,archived") == [id]
    assert seller.get(f"/products/{id}").status_code == 200
    seller.patch(f"/products/{id}", {"status": "active"})
    assert listed(seller, "order_by=id[ASC]") == [id, other]


def test_every_filter(seller: App) -> None:
    first = made(seller, tax_category="saas")
    second = made(seller, type="custom")
    third = made(seller, tax_category="ebooks")
    everything = {first, second, third}
    expected = {
        "": everything,
        "tax_category=saas,ebooks": {first, third},
        "type=custom": {second},
        "type=custom,standard": everything,
        f"id={first},{second}&type=standard": {first},
        f"id=pro_{UNKNOWN}": set(),
    }
    for query, wanted in expected.items():
        answer = seller.get(f"/products?{query}")
        assert {each["id"] for each in answer.json["data"]} == wanted, query
        assert answer.json["meta"]["pagination"]["estimated_total"] == len(wanted), query


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "DESC"])
def test_every_order_loses_no_row(seller: App, the_clock: Any, order: str, direction: str) -> None:
    """Half the rows have no description, picture or data: NULL is never behind a cursor."""
    for number, name in enumerate(("B", "a", "C", "a", "B")):
        more = {"description": name, "image_url": f"https://example.com/{name}", "custom_data": {"n": name}}
        made(seller, name=name, tax_category=("saas", "ebooks")[number % 2], **(more if number % 2 else {}))
        the_clock.advance(minutes=number % 2)
    every = seller.get("/products", query_string={"order_by": f"{order}[{direction}]"}).json["data"]
    assert len(every) == 5
    path, found = f"/products?per_page=2&order_by={order}[{direction}]&include=prices", []
    for _ in range(3):
        page = seller.get(path).json
        found += page["data"]
        path = page["meta"]["pagination"]["next"].removeprefix("http://localhost")
    assert not page["meta"]["pagination"]["has_more"]
    assert [each["id"] for each in found] == [each["id"] for each in every]
    values = [each[order] for each in every if isinstance(each[order], str) and order != "name"]
    assert values in (sorted(values), sorted(values, reverse=True))


def test_included_prices_are_the_active_ones_of_each(seller: App) -> None:
    price = people.price()
    product = recorded.stored(Price, price).product_id
    bare = made(seller)
    shown = {each["id"]: each["prices"] for each in seller.get("/products?include=prices").json["data"]}
    assert [each["id"] for each in shown[product]] == [price]
    assert shown[bare] == []
    assert shown[product] == [seller.get(f"/prices/{price}").json["data"]]
    seller.patch(f"/prices/{price}", {"status": "archived"})
    assert seller.get(f"/products/{product}?include=prices").json["data"]["prices"] == []
    assert "prices" not in seller.get(f"/products/{product}").json["data"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("include=customers", "include"),
        ("status=gone", "status"),
        ("type=special", "type"),
        ("tax_category=none", "tax_category"),
        ("order_by=amount[ASC]", "order_by"),
        ("after=pri_x", "after"),
        ("product_id=x", "product_id"),
    ],
)
def test_wrong_parameters_are_named(seller: App, query: str, field: str) -> None:
    assert fields_of(seller.get(f"/products?{query}")) == [field]


def test_unknown_products_are_not_found(seller: App) -> None:
    for method in ("GET", "PATCH"):
        for id in (f"pro_{UNKNOWN}", "pro_x", f"ctm_{UNKNOWN}"):
            assert refusal(seller.call(method, f"/products/{id}")) == (404, "not_found")


def test_a_key_does_only_what_it_may(app: Flask, seller: App) -> None:
    id = made(seller)
    before = visits.records()
    reader = App(app, "product.read", "price.write")
    assert reader.get(f"/products/{id}").status_code == 200
    for answer in (reader.post("/products", WHOLE), reader.patch(f"/products/{id}", {"name": "x"})):
        assert refusal(answer) == (403, "forbidden")
    assert refusal(App(app, "product.write").get("/products")) == (403, "forbidden")
    assert refusal(App(app, key={}).get("/products")) == (403, "authentication_missing")
    assert visits.records() == before


def test_hostile_texts_are_kept_as_text(seller: App) -> None:
    hostile = "'; DROP TABLE products; -- <script>alert(1)</script> {{7*7}} \u202e\U0001f600"
    id = made(seller, name=hostile, description=hostile)
    assert recorded.stored(Product, id).name == hostile
    assert seller.get(f"/products/{id}").json["data"]["description"] == hostile
