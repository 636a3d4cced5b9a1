"""An app looks at what a change would do and cost, and at the next bill: nothing changes, and it comes true."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from paddle_billing.Entities.SubscriptionPreview import SubscriptionPreview

from portal.domain import shapes
from tests import people, plans
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN

BEGAN = END - timedelta(days=30)
NOW_MODES = ("prorated_immediately", "full_immediately")
NEXT_MODES = ("prorated_next_billing_period", "full_next_billing_period", "do_not_bill")


@pytest.fixture
def sub(base: str) -> str:
    return visits.subscribed(price_id=base, began=BEGAN)


def seats(price: str, quantity: int, mode: str) -> dict[str, Any]:
    return {"items": [{"price_id": price, "quantity": quantity}], "proration_billing_mode": mode}


def told(details: dict[str, Any]) -> dict[str, Any]:
    """What a preview and a transaction both tell: totals and lines, but what only a stored one has."""
    totals = {name: each for name, each in details["totals"].items() if name not in ("balance", "fee", "earnings")}
    lines = [{name: each for name, each in line.items() if name != "id"} for line in details["line_items"]]
    return {"totals": totals, "tax_rates_used": details["tax_rates_used"], "line_items": lines}


def entities(sub: str) -> list[Any]:
    return [shapes.transaction(each) for each in billing.bills_of(sub)]


@pytest.mark.parametrize("quantity", [12, 10, 7, 1])
@pytest.mark.parametrize("mode", [*NOW_MODES, *NEXT_MODES])
def test_a_preview_changes_nothing_and_comes_true(
    seller: App, sub: str, base: str, mode: str, quantity: int, the_clock: Any
) -> None:
    before = visits.records()
    seen = seller.patch(f"/subscriptions/{sub}/preview", seats(base, quantity, mode)).json["data"]
    assert visits.records() == before
    assert SubscriptionPreview.from_dict(seen).status == "active"
    done = seller.patch(f"/subscriptions/{sub}", seats(base, quantity, mode)).json["data"]
    unlike = ("management_urls", "updated_at", "id")
    assert {name: each for name, each in done.items() if name not in unlike} == {
        name: seen[name] for name in done if name not in unlike
    }
    if seen["immediate_transaction"]:
        assert told(entities(sub)[0]["details"]) == told(seen["immediate_transaction"]["details"])
    else:
        assert billing.bills_of(sub) == []
    read = seller.get(f"/subscriptions/{sub}?include=next_transaction,recurring_transaction_details").json["data"]
    assert read["next_transaction"] == seen["next_transaction"]
    assert read["recurring_transaction_details"] == seen["recurring_transaction_details"]
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    renewal = entities(sub)[-1]
    assert told(renewal["details"]) == told(seen["next_transaction"]["details"])
    assert renewal["billing_period"] == seen["next_transaction"]["billing_period"]


def test_the_summary_tells_credit_charge_and_which_is_more(seller: App, sub: str, base: str) -> None:
    better = people.price(4500)
    path = f"/subscriptions/{sub}/preview"
    up = seller.patch(path, seats(better, 10, "prorated_immediately")).json["data"]
    assert up["update_summary"] == {
        "credit": {"amount": "-20000", "currency_code": "USD"},
        "charge": {"amount": "30000", "currency_code": "USD"},
        "result": {"action": "charge", "amount": "10000", "currency_code": "USD"},
    }
    totals = up["immediate_transaction"]["details"]["totals"]
    assert (totals["subtotal"], totals["credit"], totals["grand_total"]) == ("30000", "20000", "10000")
    down = seller.patch(path, seats(base, 4, "prorated_immediately")).json["data"]
    assert down["update_summary"]["result"] == {"action": "credit", "amount": "12000", "currency_code": "USD"}
    assert down["immediate_transaction"] is None
    assert down["next_transaction"]["details"]["totals"]["credit"] == "12000"
    assert seller.patch(path, seats(base, 4, "do_not_bill")).json["data"]["update_summary"] is None


def test_a_preview_is_no_subscription(seller: App, sub: str, base: str) -> None:
    seen = seller.patch(f"/subscriptions/{sub}/preview", {}).json["data"]
    assert "id" not in seen
    assert (seen["immediate_transaction"], seen["update_summary"]) == (None, None)
    assert seen["next_transaction"]["details"]["totals"]["total"] == "30000"
    assert set(seen["management_urls"]) >= {"cancel", "update_payment_method"}


def test_a_charge_is_previewed_like_a_change(seller: App, sub: str, the_clock: Any) -> None:
    body: dict[str, Any] = {"items": [{"price_id": billing.one_time(5000), "quantity": 1}]}
    before = visits.records()
    path = f"/subscriptions/{sub}/charge/preview"
    now = seller.post(path, body | {"effective_from": "immediately"}).json["data"]
    assert now["immediate_transaction"]["details"]["totals"]["total"] == "5000"
    assert now["next_transaction"]["details"]["totals"]["total"] == "30000"
    later = seller.post(path, body | {"effective_from": "next_billing_period"}).json["data"]
    assert later["immediate_transaction"] is None
    assert later["next_transaction"]["details"]["totals"]["total"] == "35000"
    assert visits.records() == before
    seller.post(f"/subscriptions/{sub}/charge", body | {"effective_from": "next_billing_period"})
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert told(entities(sub)[0]["details"]) == told(later["next_transaction"]["details"])


def test_no_next_bill_is_told_while_an_end_or_a_pause_is_scheduled(app: Flask, seller: App, sub: str) -> None:
    query = "?include=next_transaction"
    assert "next_transaction" not in seller.get(f"/subscriptions/{sub}").json["data"]
    seller.post(f"/subscriptions/{sub}/cancel")
    assert seller.get(f"/subscriptions/{sub}{query}").json["data"]["next_transaction"] is None
    freed = seller.patch(f"/subscriptions/{sub}/preview", {"scheduled_change": None}).json["data"]
    assert (freed["scheduled_change"], freed["next_billed_at"]) == (None, "2026-12-11T12:00:00.000000Z")
    assert freed["next_transaction"] is not None
    assert people.row(sub).is_ending
    assert fields_of(seller.get(f"/subscriptions/{sub}?include=everything")) == ["include"]


def test_what_a_change_refuses_its_preview_refuses_alike(app: Flask, seller: App, sub: str, base: str) -> None:
    wrong = seats(f"pri_{UNKNOWN}", 1, "do_not_bill")
    assert fields_of(seller.patch(f"/subscriptions/{sub}/preview", wrong)) == ["items.0.price_id"]
    assert refusal(seller.patch(f"/subscriptions/sub_{UNKNOWN}/preview", {})) == (404, "not_found")
    lacking = App(app, "subscription.write").patch(f"/subscriptions/{sub}/preview", {})
    assert refusal(lacking) == (403, "forbidden")
    late = visits.subscribed(status="past_due")
    refused = seller.patch(f"/subscriptions/{late}/preview", seats(base, 2, "do_not_bill"))
    assert refusal(refused) == (400, "subscription_update_when_past_due")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (plans.completed(period_ends_at=END), (409, "payment_plan_completed")),
        (visits.ending(at=NOW + timedelta(minutes=5)), (409, "subscription_locked_renewal")),
        (visits.ending(at=NOW), (409, "subscription_end_reached")),
    ],
)
def test_a_change_that_stays_scheduled_is_not_previewed_as_removed(
    seller: App, fields: dict[str, Any], told: tuple[int, str]
) -> None:
    sub = plans.plan(**fields) if "left" in fields else visits.subscribed(**fields)
    for path in (f"/subscriptions/{sub}", f"/subscriptions/{sub}/preview"):
        assert refusal(seller.patch(path, {"scheduled_change": None})) == told


def test_removed_and_charged_at_once_is_refused_in_the_preview_too(seller: App, base: str) -> None:
    sub = visits.subscribed(price_id=base, **visits.ending())
    asked = {"scheduled_change": None} | seats(base, 40, "full_immediately")
    for path in (f"/subscriptions/{sub}", f"/subscriptions/{sub}/preview"):
        assert fields_of(seller.patch(path, asked)) == ["scheduled_change"]
