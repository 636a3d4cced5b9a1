"""An app lists, reads and deletes the stored payment methods of a customer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.PaymentMethod import PaymentMethod as SdkPaymentMethod
from paddle_billing.Notifications.Entities.PaymentMethodDeleted import PaymentMethodDeleted

from portal import clock, ids
from portal.db import session, transaction
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from tests import people
from tests.api import recorded
from tests.api.calls import App, fields_of, refusal
from tests.customer import visits
from tests.customer.visits import CANCELED, UNKNOWN
from tests.person import Person

KEYS = {
    *("id", "customer_id", "address_id", "type", "card", "paypal", "underlying_details", "south_korea_local_card"),
    *("origin", "saved_at", "updated_at"),
}


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper")


def saved(customer: str, **fields: Any) -> str:
    """A card that pays nothing yet."""
    now = clock.now()
    card = PaymentMethod(
        **{
            "id": ids.new("paymtd"),
            "customer_id": customer,
            "brand": "visa",
            "last4": "4242",
            "expiry_month": 7,
            "expiry_year": 2029,
            "gateway": "sandbox",
            "reference": "sandbox_ok",
            "created_at": now,
            "updated_at": now,
        }
        | fields
    )
    with transaction():
        session().add(card)
    return card.id


def paying(subscription: str) -> str:
    return str(people.row(subscription).payment_method_id)


def path(customer: str, id: str = "") -> str:
    return f"/customers/{customer}/payment-methods{'/' if id else ''}{id}"


def test_a_payment_method_has_the_contracts_shape_and_no_reference(seller: App, amelia: str) -> None:
    id = paying(people.subscription(amelia))
    entity = seller.get(path(amelia, id)).json["data"]
    assert set(entity) == KEYS
    assert (entity["type"], entity["origin"], entity["address_id"]) == ("card", "subscription", None)
    assert entity["card"] == {
        "type": "visa",
        "last4": "4242",
        "expiry_month": 7,
        "expiry_year": 2029,
        "cardholder_name": None,
    }
    assert SdkPaymentMethod.from_dict(entity).id == id
    listed = seller.get(path(amelia))
    assert listed.json["data"] == [entity]
    assert "sandbox_ok" not in listed.text


def test_every_filter_and_page(seller: App, amelia: str) -> None:
    ids = [saved(amelia) for _ in range(3)] + [saved(amelia, origin="saved_during_purchase")]
    saved(people.customer("Daniel Osei"))
    expected = {
        "order_by=id[asc]": ids,
        "": ids[::-1],
        "supports_checkout=true": ids[3:],
        "supports_checkout=false": ids[2::-1],
        f"address_id=add_{UNKNOWN}": [],
    }
    for query, wanted in expected.items():
        answer = seller.get(f"{path(amelia)}?{query}").json
        assert [each["id"] for each in answer["data"]] == wanted, query
        assert answer["meta"]["pagination"]["estimated_total"] == len(wanted)
    first = seller.get(f"{path(amelia)}?per_page=3").json
    rest = seller.get(first["meta"]["pagination"]["next"].removeprefix("http://localhost")).json
    assert [each["id"] for each in first["data"] + rest["data"]] == ids[::-1]
    for query, field in (
        ("supports_checkout=1", "supports_checkout"),
        ("after=x", "after"),
        ("status=active", "status"),
    ):
        assert fields_of(seller.get(f"{path(amelia)}?{query}")) == [field]


def test_a_deleted_one_is_gone_and_can_charge_nothing(seller: App, amelia: str, the_clock: Any) -> None:
    id, other = saved(amelia), saved(amelia)
    the_clock.advance(hours=1)
    answer = seller.call("DELETE", path(amelia, id))
    assert (answer.status_code, answer.data) == (204, b"")
    assert refusal(seller.get(path(amelia, id))) == (404, "not_found")
    listed = seller.get(path(amelia)).json
    assert [each["id"] for each in listed["data"]] == [other]
    assert listed["meta"]["pagination"]["estimated_total"] == 1
    row = recorded.stored(PaymentMethod, id)
    assert (row.reference, row.deleted_at, row.last4) == ("", clock.now(), "4242")
    [event] = recorded.events(id)
    assert (event.type, event.customer_id, event.data["deletion_reason"]) == ("payment_method.deleted", amelia, "api")
    assert set(event.data) == {*KEYS, "deletion_reason"}
    assert PaymentMethodDeleted.from_dict(event.data).deletion_reason == "api"


def test_asked_twice_the_second_finds_nothing(seller: App, amelia: str) -> None:
    id = saved(amelia)
    assert seller.call("DELETE", path(amelia, id)).status_code == 204
    before = visits.records()
    assert refusal(seller.call("DELETE", path(amelia, id))) == (404, "not_found")
    assert visits.records() == before


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "paused"])
def test_one_that_pays_a_living_subscription_stays(seller: App, amelia: str, status: str) -> None:
    id = paying(people.subscription(amelia, status=status))
    before = visits.records()
    assert refusal(seller.call("DELETE", path(amelia, id))) == (409, "conflict")
    assert visits.records() == before
    assert seller.get(path(amelia, id)).status_code == 200


def test_one_whose_subscription_has_ended_goes_and_no_page_shows_it(seller: App, person: Person, amelia: str) -> None:
    sub = people.subscription(amelia, **CANCELED, period_ends_at=None)
    id = paying(sub)
    assert seller.call("DELETE", path(amelia, id)).status_code == 204
    assert recorded.stored(Subscription, sub).payment_method_id is None
    visits.come_in(person, amelia)
    for page in ("/portal", f"/portal/subscriptions/{sub}"):
        assert "4242" not in person.open(page).html


def test_one_that_is_being_charged_stays(seller: App, amelia: str) -> None:
    id, now = saved(amelia), clock.now()
    begun = Transaction(
        id=ids.new("txn"),
        customer_id=amelia,
        status="billed",
        collection_mode="automatic",
        currency_code="USD",
        amount=1,
        lines=[],
        payments=[],
        attempt_key="att",
        attempt_method_id=id,
        lease_until=now,
        created_at=now,
        updated_at=now,
    )
    with transaction():
        session().add(begun)
    before = visits.records()
    assert refusal(seller.call("DELETE", path(amelia, id))) == (409, "payment_under_way")
    assert visits.records() == before


def test_other_peoples_payment_methods_are_not_found(seller: App, amelia: str) -> None:
    daniel = people.customer("Daniel Osei")
    id = saved(daniel)
    before = visits.records()
    for customer, method_id in (
        (amelia, id),
        (amelia, f"paymtd_{UNKNOWN}"),
        (f"ctm_{UNKNOWN}", id),
        (daniel, "paymtd_x"),
    ):
        for method in ("GET", "DELETE"):
            assert refusal(seller.call(method, path(customer, method_id))) == (404, "not_found")
    assert refusal(seller.get(path(f"ctm_{UNKNOWN}"))) == (404, "not_found")
    assert visits.records() == before


def test_a_key_does_only_what_it_may(app: Flask, amelia: str) -> None:
    id = saved(amelia)
    before = visits.records()
    reader = App(app, "payment_method.read", "customer.write")
    assert reader.get(path(amelia)).status_code == reader.get(path(amelia, id)).status_code == 200
    assert refusal(reader.call("DELETE", path(amelia, id))) == (403, "forbidden")
    assert refusal(App(app, "payment_method.write").get(path(amelia))) == (403, "forbidden")
    assert refusal(App(app, key={}).call("DELETE", path(amelia, id))) == (403, "authentication_missing")
    assert visits.records() == before


def test_many_at_once_delete_it_once(app: Flask, amelia: str) -> None:
    id, key = saved(amelia), people.key("payment_method.write")
    apps = [App(app, key=key) for _ in range(6)]

    def delete(caller: App) -> int:
        return int(caller.call("DELETE", path(amelia, id)).status_code)

    with ThreadPoolExecutor(len(apps)) as pool:
        assert sorted(pool.map(delete, apps)) == [204, 404, 404, 404, 404, 404]
    assert recorded.types(id) == ["payment_method.deleted"]
