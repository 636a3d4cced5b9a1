"""`portal import` of payment plans: what is left to pay must fit the prices."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from portal import clock
from portal.db import session
from portal.domain.catalog import Price
from tests.importing.test_import import DEMO, IN_APRIL, TEN_SEATS, amelia_with, load, refusal, stored

MAY = "2024-05-08T10:38:57.97967Z"
ENDING = {"scheduled_change": {"action": "cancel", "effective_at": MAY}, "next_billed_at": None}


@pytest.fixture
def april(database: str) -> Any:
    """The day on which the demo's file is current."""
    with clock.frozen(IN_APRIL):
        yield


def plan(payments: Any = 6, **changes: Any) -> dict[str, Any]:
    """Amelia's subscription with prices of so many payments."""
    data = amelia_with(**changes)
    for item in data["subscriptions"][0]["items"]:
        item["price"]["payments"] = payments
    return data


def test_a_plan_is_imported_with_what_is_left_of_it(april: None) -> None:
    load(plan(remaining_payments=3))
    row = stored()
    assert (row.remaining_payments, row.scheduled_action, row.next_billed_at is not None) == (3, None, True)
    assert {item.price.payments for item in row.items} == {6}


def test_what_is_no_plan_has_nothing_left(april: None) -> None:
    load(amelia_with())
    assert stored().remaining_payments is None


@pytest.mark.parametrize("by", ["customer", "staff", "key"])
def test_a_plan_may_be_ending_and_says_who_wanted_it(april: None, by: str) -> None:
    load(plan(remaining_payments=3, scheduled_by=by, **ENDING))
    row = stored()
    assert (row.scheduled_by, row.canceled_by, row.billing_resumes_at) == (by, by, row.period_ends_at)


def test_a_completed_plan_ends_by_itself(april: None) -> None:
    load(plan(remaining_payments=0, **ENDING))
    row = stored()
    assert (row.remaining_payments, row.scheduled_by, row.canceled_by) == (0, "system", "system")
    assert (row.scheduled_effective_at, row.billing_resumes_at) == (
        datetime(2024, 5, 8, 10, 38, 57, 979670, tzinfo=UTC),
        None,
    )


def test_one_that_has_ended_needs_no_number(april: None) -> None:
    ended = {"status": "canceled", "canceled_at": "2024-04-09T00:00:00Z", "current_billing_period": None}
    load(plan(next_billed_at=None, **ended))
    assert (stored().status, stored().remaining_payments) == ("canceled", None)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (plan(), "remaining_payments: is missing: its price has 6 payments"),
        (plan(remaining_payments=7), "remaining_payments: is more than the 6 payments of its price"),
        (plan(None, remaining_payments=3), "remaining_payments: must be null: its prices go on"),
        (plan(remaining_payments=0), "remaining_payments: is 0, so a cancel must be scheduled"),
        (plan(remaining_payments=-1), "remaining_payments: Input should be greater than or equal to 0"),
        (plan(remaining_payments="3"), "remaining_payments: Input should be a valid integer"),
        (plan(1, remaining_payments=0, **ENDING), "price.payments: Input should be greater than or equal to 2"),
        (plan(1000, remaining_payments=3), "price.payments: Input should be less than or equal to 999"),
        (plan(True, remaining_payments=3), "price.payments: Input should be a valid integer"),
        (plan(remaining_payment=3), "has a field remaining_payment; is remaining_payments meant?"),
    ],
)
def test_what_does_not_fit_is_named(april: None, data: dict[str, Any], told: str) -> None:
    assert told in refusal(data)


def test_plans_are_not_mixed(april: None) -> None:
    data = plan(remaining_payments=3)
    data["subscriptions"][0]["items"][0]["price"]["payments"] = 12
    assert "items: have prices with different numbers of payments" in refusal(data)


def test_payments_need_a_cycle(april: None) -> None:
    data = plan(remaining_payments=3)
    data["subscriptions"][0]["items"][0]["price"]["billing_cycle"] = None
    assert "has payments, but no billing_cycle" in refusal(data)


def test_the_same_holds_for_prices_that_are_stored(april: None) -> None:
    prices = deepcopy(DEMO["prices"])
    for each in prices:
        each["payments"] = 6 if each["billing_cycle"] else None
    load({"customers": amelia_with()["customers"], "products": DEMO["products"], "prices": prices})
    assert {each.payments for each in session().query(Price) if each.billing_interval} == {6}
    subscription = amelia_with()["subscriptions"][0]
    for item in subscription["items"]:
        item["price_id"] = item.pop("price")["id"]
    assert "remaining_payments: is missing: its price has 6 payments" in refusal(subscription)
    load(subscription | {"remaining_payments": 2})
    assert stored(TEN_SEATS).remaining_payments == 2


def prices(**changes: Any) -> dict[str, Any]:
    """The demo's products, and its monthly prices changed; MISSING leaves a key out."""
    changed = []
    for each in deepcopy(DEMO["prices"]):
        given = each | (changes if each["billing_cycle"] else {})
        changed.append({name: value for name, value in given.items() if value is not MISSING})
    return {"products": DEMO["products"], "prices": changed}


def payments_stored() -> set[int | None]:
    session().expire_all()
    return {each.payments for each in session().query(Price) if each.billing_interval}


MISSING: Any = object()
LATER = "2025-01-01T00:00:00Z"


@pytest.mark.parametrize(("payments", "kept"), [(MISSING, {6}), (None, {None}), (12, {12})])
def test_a_stored_plan_stays_one_unless_the_file_says_otherwise(april: None, payments: Any, kept: set[Any]) -> None:
    load(prices(payments=6))
    load(prices(payments=payments, updated_at=LATER, description="Newer"))
    assert payments_stored() == kept
    assert {each.description for each in session().query(Price) if each.billing_interval} == {"Newer"}
    load(prices(payments=payments, updated_at=LATER, description="Newer"))
    assert payments_stored() == kept, "asked twice"


def test_a_new_price_without_payments_goes_on_until_it_is_canceled(april: None) -> None:
    load(prices(payments=MISSING))
    assert payments_stored() == {None}


def test_subscriptions_are_judged_by_the_payments_that_stay(april: None) -> None:
    """The contract's own answers have no `payments` in their prices."""
    load(prices(payments=6))
    data = amelia_with()
    for item in data["subscriptions"][0]["items"]:
        item["price"].pop("payments", None)
        item["price"]["updated_at"] = LATER
    assert "remaining_payments: is missing: its price has 6 payments" in refusal(data)
    data["subscriptions"][0]["remaining_payments"] = 2
    load(data)
    assert (stored().remaining_payments, payments_stored()) == (2, {6})


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_a_price_that_stands_in_the_file_twice_the_payments_stay_that_one_of_them_has(
    april: None, newest_first: bool
) -> None:
    older, newer = prices(payments=6), prices(payments=MISSING, updated_at=LATER, description="Newer")
    both = [newer, older] if newest_first else [older, newer]
    load({"products": DEMO["products"], "prices": [each for file in both for each in file["prices"]]})
    assert payments_stored() == {6}
    assert "Newer" in {each.description for each in session().query(Price)}


def test_a_plan_does_not_lose_its_cycle_by_a_file_that_does_not_say_it_is_one(april: None) -> None:
    load(prices(payments=6))
    file = prices(payments=MISSING, updated_at=LATER, billing_cycle=None, trial_period=None)
    assert "billing_cycle: is missing: the price pri_" in refusal(file)
    assert payments_stored() == {6}
