"""`portal import`: files in the API's own shapes become rows, all of them or none."""

import json
import time
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from portal import clock, config, importing
from portal.db import session
from portal.domain import ending, subscriptions
from portal.domain.catalog import Price, Product
from portal.domain.customers import Customer
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.importing import ImportRefused, source
from tests.customer import visits

AEROEDIT = config.ROOT / "portal" / "demo" / "data" / "aeroedit.json"
DEMO: dict[str, Any] = json.loads(AEROEDIT.read_text())
AMELIA, NOAH = "ctm_01htymkpj07kjy7p5q1vzqpk70", "ctm_01hv8wt8nffez4p2t6typn4a5j"
TEN_SEATS, TWENTY_SEATS = "sub_01htymmb3hj0q9fmckjbtrmd73", "sub_01hv8y5ehszzq0yv20ttx3166y"
IN_APRIL = datetime(2024, 4, 12, 12, 0, tzinfo=UTC)


@pytest.fixture
def april(database: str) -> Any:
    """The day on which the demo's file is current."""
    with clock.frozen(IN_APRIL):
        yield


def entity(kind: str, id: str) -> dict[str, Any]:
    return deepcopy(next(each for each in DEMO[kind] if each["id"] == id))


def amelia_with(**changes: Any) -> dict[str, Any]:
    """Amelia, her products and her subscription, changed."""
    return {
        "customers": [entity("customers", AMELIA)],
        "products": deepcopy(DEMO["products"]),
        "subscriptions": [entity("subscriptions", TEN_SEATS) | changes],
    }


def load(data: Any, *, shift: bool = False) -> importing.Summary:
    return importing.load(data if isinstance(data, str | Path) else json.dumps(data), shift=shift)


def refusal(data: Any, *, shift: bool = False) -> str:
    """What a refused file is told; and that nothing of it was stored."""
    before = [session().scalar(select(func.count()).select_from(t)) for t in (Customer, Subscription, Product)]
    with pytest.raises(ImportRefused) as refused:
        load(data, shift=shift)
    assert [session().scalar(select(func.count()).select_from(t)) for t in (Customer, Subscription, Product)] == before
    assert "othing was imported" in refused.value.lines[-1]
    return str(refused.value)


def stored(id: str = TEN_SEATS) -> Subscription:
    session().expire_all()
    return subscriptions.get(id)


def test_the_demo_sellers_file_becomes_current(database: str) -> None:
    told: list[tuple[int, int]] = []
    summary = importing.load(AEROEDIT, shift=True, progress=lambda done, total: told.append((done, total)))
    assert (summary.customers, summary.subscriptions, summary.products, summary.prices) == (10, 12, 4, 5)
    assert told[-1][0] == told[-1][1] == 41
    everyone = session().scalars(subscriptions.whole()).all()
    assert {s.status for s in everyone} == set(subscriptions.STATUSES)
    for each in everyone:
        assert each.status not in subscriptions.LIVE or each.period_starts_at <= clock.now() < each.period_ends_at  # type: ignore[operator]
    assert clock.now() - max(s.period_starts_at for s in everyone if s.period_starts_at) < timedelta(days=1)
    assert {(s.scheduled_action, s.scheduled_by) for s in everyone if s.is_ending} == {
        ("cancel", "customer"),
        ("cancel", "staff"),
    }


@pytest.mark.parametrize("hours", [5, 12, 22, 23])
def test_the_demo_sellers_file_becomes_current_at_any_hour(database: str, hours: int) -> None:
    with clock.frozen(clock.now() + timedelta(hours=hours)):
        assert load(AEROEDIT, shift=True).subscriptions == 12


def test_ids_dates_and_amounts_are_kept(april: None) -> None:
    load(DEMO)
    subscription = stored()
    assert subscription.customer_id == AMELIA
    assert subscription.address_id == "add_01htymkpjq97zpchxzdyyas99v"
    assert subscription.period_starts_at == datetime(2024, 4, 8, 10, 38, 57, 979670, tzinfo=UTC)
    assert subscription.next_billed_at == subscription.period_ends_at
    assert subscription.anchor_at == subscription.first_billed_at
    assert subscription.remind_at == subscription.period_ends_at - config.current().reminder_before  # type: ignore[operator]
    assert (subscription.amount, subscription.name, subscription.version) == (40000, "AeroEdit Pro", 1)
    assert subscription.payment_method is not None
    assert subscription.payment_method.reference == "sandbox_ok"
    assert stored(TWENTY_SEATS).amount == 95000


def test_an_import_is_no_change_that_anybody_is_told_of(april: None) -> None:
    load(DEMO)
    assert session().scalar(select(func.count()).select_from(Event)) == 0
    assert session().scalar(select(func.count()).select_from(Mail)) == 0


def test_the_contracts_own_answer_with_a_scheduled_cancellation_is_understood(april: None) -> None:
    """As Paddle answers POST /subscriptions/{id}/cancel: no product in the items, next_billed_at null everywhere."""
    end = "2024-05-08T10:38:57.97967Z"
    change = {"action": "cancel", "effective_at": end, "resume_at": None}
    answer = entity("subscriptions", TEN_SEATS) | {"next_billed_at": None, "scheduled_change": change}
    for item in answer["items"]:
        item["next_billed_at"] = None
        item.pop("product", None)
    del answer["payment_method"]
    answer["management_urls"] = {"cancel": "https://buyer-portal.example.com/cancel", "update_payment_method": None}
    load({"customers": [entity("customers", AMELIA)], "products": DEMO["products"]})
    load({"data": answer, "meta": {"request_id": "e52466c8-dfd7-4323-aa32-3f10912f505a"}})
    subscription = stored()
    assert subscription.is_ending
    assert subscription.ends_at == subscription.period_ends_at == subscription.billing_resumes_at
    assert subscription.next_billed_at is None
    assert subscription.remind_at is None
    assert (subscription.scheduled_by, subscription.scheduled_at) == ("key", subscription.updated_at)


def test_payments_go_on_until_an_end_that_comes_later_than_the_paid_period(april: None) -> None:
    """As our own API answers while staff have chosen such a date."""
    change = {"action": "cancel", "effective_at": "2024-06-20T00:00:00Z", "resume_at": None}
    load(amelia_with(scheduled_change=change, scheduled_by="staff"))
    subscription = stored()
    assert subscription.bills_until_end
    assert subscription.next_billed_at == subscription.period_ends_at
    assert (subscription.billing_resumes_at, subscription.canceled_by) == (None, "staff")
    assert next(each.due for each in ending.charges_until(subscription, subscription.ends_at)) == 40000


def test_the_contracts_own_canceled_subscription_is_understood(april: None) -> None:
    """As Paddle answers an immediate cancellation: products embedded, items still active."""
    products = {each["id"]: each for each in DEMO["products"]}
    answer = entity("subscriptions", TWENTY_SEATS) | {
        "status": "canceled",
        "canceled_at": "2024-04-12T11:24:54.868Z",
        "current_billing_period": None,
        "next_billed_at": None,
    }
    for item in answer["items"]:
        item["product"] = products[item["price"]["product_id"]]
    load([answer, entity("customers", NOAH)])
    assert stored(TWENTY_SEATS).status == "canceled"
    assert stored(TWENTY_SEATS).canceled_at == datetime(2024, 4, 12, 11, 24, 54, 868000, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrap", [lambda e: e, lambda e: {"data": e}, lambda e: {"data": [e], "meta": {}}, lambda e: [e]]
)
def test_every_shape_of_an_answer_is_understood(april: None, wrap: Any) -> None:
    assert load(wrap(entity("customers", AMELIA))).customers == 1
    assert session().get_one(Customer, AMELIA).email == "amelia.harper@example.com"


def test_a_large_file_is_read_in_pieces(april: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 7)
    file = tmp_path / "large.json"
    file.write_text("\ufeff" + json.dumps(DEMO, indent=2, ensure_ascii=False), encoding="utf-8")
    assert load(file).subscriptions == 12


def test_of_two_versions_of_a_price_the_newer_wins(april: None) -> None:
    price = deepcopy(DEMO["prices"][0])
    older = price | {"name": "Older", "updated_at": "2024-04-01T00:00:00Z"}
    newer = price | {"name": "Newer", "updated_at": "2024-04-20T00:00:00Z"}
    load({"products": DEMO["products"], "prices": [price]})
    load({"prices": [newer, older]})
    assert session().get_one(Price, price["id"]).name == "Newer"
    session().expire_all()
    assert load({"prices": [older]}).prices == 0
    assert session().get_one(Price, price["id"]).name == "Newer"


def test_a_trial_counts_its_months_from_its_end(april: None) -> None:
    load(DEMO)
    trial = session().scalars(subscriptions.whole().where(Subscription.status == "trialing")).one()
    assert trial.anchor_at == trial.period_ends_at == trial.next_billed_at
    assert trial.items[0].trial_ends_at == trial.period_ends_at


def billed(data: Any) -> list[tuple[int, int]]:
    load(data)
    return [(item.billed_quantity, item.billed_amount) for item in stored().items]


def test_what_the_current_period_was_billed_for_is_known(april: None) -> None:
    given = amelia_with()["subscriptions"][0]["items"][0]
    first, *others = billed(amelia_with())
    assert first == (given["quantity"], given["quantity"] * int(given["price"]["unit_price"]["amount"]))
    assert all(quantity > 0 for quantity, _ in others)


def test_in_a_trial_nothing_was(april: None) -> None:
    assert set(billed(amelia_with(status="trialing", first_billed_at=None))) == {(0, 0)}


def test_of_items_of_which_some_say_when_they_were_billed_the_others_were_not(april: None) -> None:
    data = amelia_with()
    data["subscriptions"][0]["items"][-1]["previously_billed_at"] = None
    assert len(data["subscriptions"][0]["items"]) > 1
    *some, last = billed(data)
    assert (last, all(quantity > 0 for quantity, _ in some)) == ((0, 0), True)


def test_if_none_says_it_all_were(april: None) -> None:
    data = amelia_with()
    for item in data["subscriptions"][0]["items"]:
        item["previously_billed_at"] = None
    assert all(quantity > 0 for quantity, _ in billed(data))


def test_months_are_counted_from_the_first_billing_if_that_fits(april: None) -> None:
    first = {"started_at": "2024-01-31T10:00:00Z", "first_billed_at": "2024-01-31T10:00:00Z"}
    period = {"starts_at": "2024-03-31T10:00:00Z", "ends_at": "2024-04-30T10:00:00Z"}
    load(amelia_with(**first, current_billing_period=period, next_billed_at=period["ends_at"]))
    assert stored().anchor_at == datetime(2024, 1, 31, 10, tzinfo=UTC)


def test_a_paused_subscription_resumes_on_its_date(april: None) -> None:
    load(DEMO)
    paused = session().scalars(subscriptions.whole().where(Subscription.status == "paused")).one()
    assert paused.period_ends_at is None
    assert paused.next_billed_at is None
    assert paused.scheduled_action == "resume"
    assert paused.scheduled_effective_at == datetime(2024, 6, 2, 11, 30, tzinfo=UTC)


def test_a_subscription_may_have_no_current_period(april: None) -> None:
    load(amelia_with(current_billing_period=None, next_billed_at=None))
    assert stored().paid_until is None


def test_a_period_that_is_over_is_refused_without_shift(database: str) -> None:
    told = refusal(amelia_with())
    assert f"subscriptions[0] ({TEN_SEATS}): current_billing_period: is over" in told
    assert "--shift" in told


def test_shift_moves_every_instant_by_the_same_whole_days(database: str) -> None:
    discount = {"id": "dsc_1", "starts_at": "2024-04-08T10:38:57.97967Z", "ends_at": None}
    summary = load(amelia_with(discount=discount), shift=True)
    by = timedelta(days=summary.days)
    subscription = stored()
    assert subscription.period_starts_at == datetime(2024, 4, 8, 10, 38, 57, 979670, tzinfo=UTC) + by
    assert subscription.created_at == datetime(2024, 4, 8, 10, 38, 58, 673000, tzinfo=UTC) + by
    assert subscription.discount["starts_at"][:10] == f"{subscription.period_starts_at:%Y-%m-%d}"  # type: ignore[index]
    assert session().get_one(Customer, AMELIA).created_at == datetime(2024, 4, 8, 10, 38, 30, 112000, tzinfo=UTC) + by


def test_what_no_shift_makes_current_is_named(database: str) -> None:
    data = deepcopy(DEMO)
    short = next(each for each in data["subscriptions"] if each["id"] == TEN_SEATS)
    short["current_billing_period"]["ends_at"] = short["next_billed_at"] = "2024-04-10T00:00:00Z"
    told = refusal(data, shift=True)
    assert f"({TEN_SEATS}): current_billing_period: is over" in told
    assert told.count("\n") == 1


def test_a_scheduled_change_whose_date_has_passed_is_refused(april: None) -> None:
    change = {"action": "cancel", "effective_at": "2024-04-11T00:00:00Z"}
    assert "scheduled_change.effective_at: has passed" in refusal(
        amelia_with(scheduled_change=change, next_billed_at=None)
    )


def test_an_unknown_customer_is_named_with_the_way_out(april: None) -> None:
    told = refusal({"subscriptions": [entity("subscriptions", TEN_SEATS)], "products": DEMO["products"]})
    assert f"there is no customer {AMELIA}; add the customer to the file" in told


def test_an_unknown_product_is_named_with_the_way_out(april: None) -> None:
    told = refusal(amelia_with() | {"products": []})
    assert "there is no product pro_01gsz4t5hdjse780zja8vvr7jg; add the product to the file" in told


def test_what_is_stored_already_is_refused(april: None) -> None:
    load(amelia_with())
    told = refusal(amelia_with())
    assert f"customers[0] ({AMELIA}): id: {AMELIA} is stored already" in told
    assert f"subscriptions[0] ({TEN_SEATS}): id: {TEN_SEATS} is stored already" in told
    namesake = entity("customers", NOAH) | {"email": "Amelia.HARPER@example.com"}
    assert "is the address of a stored customer" in refusal([namesake])


def test_a_later_file_may_refer_to_what_is_stored(april: None) -> None:
    load({"customers": [entity("customers", AMELIA)], "products": DEMO["products"], "prices": DEMO["prices"]})
    subscription = entity("subscriptions", TEN_SEATS)
    for item in subscription["items"]:
        item["price_id"] = item.pop("price")["id"]
    load(subscription)
    assert stored().amount == 40000
    wrong = entity("subscriptions", TWENTY_SEATS) | {"customer_id": AMELIA, "currency_code": "EUR"}
    for item in wrong["items"]:
        item["price_id"] = item.pop("price")["id"]
    assert "is in USD, the subscription in EUR" in refusal(wrong)


def test_two_customers_with_one_address_are_both_named(april: None) -> None:
    twin = entity("customers", NOAH) | {"email": "AMELIA.harper@example.com"}
    told = refusal([entity("customers", AMELIA), twin])
    assert f"[1] ({NOAH}): email: AMELIA.harper@example.com is the address of {AMELIA} too" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "expired"}, "status: Input should be"),
        ({"customer_id": 7}, "customer_id: Input should be a valid string"),
        ({"customer_id": "ctm_1"}, "customer_id: takes ctm_ and 26 characters"),
        ({"currency_code": "XYZ"}, "currency_code: takes a currency"),
        ({"created_at": "yesterday"}, "created_at: takes an instant"),
        ({"created_at": "2024-04-08T10:38:57"}, "created_at: takes an instant"),
        ({"created_at": "9999-04-08T10:38:57Z"}, "created_at: takes an instant between"),
        ({"items": []}, "items: List should have at least 1 item"),
        ({"canceled_at": "2024-04-08T10:38:57Z"}, "canceled_at: must be null while the status is active"),
        ({"status": "canceled"}, "canceled_at: is missing"),
        ({"status": "paused"}, "next_billed_at: must be null while the status is paused"),
        ({"status": "trialing", "current_billing_period": None}, "current_billing_period: is missing"),
        (
            {"scheduled_change": {"action": "cancel", "effective_at": "2024-05-08T10:38:57Z"}},
            "next_billed_at: must be null while a change is scheduled",
        ),
        (
            {"scheduled_change": {"action": "resume", "effective_at": "2024-05-08T10:38:57Z"}, "next_billed_at": None},
            "scheduled_change.action: can't be resume while the status is active",
        ),
        ({"sheduled_change": None}, "has a field sheduled_change; is scheduled_change meant?"),
        ({"currency_code": "EUR"}, "is in USD, the subscription in EUR"),
        ({"billing_cycle": {"interval": "year", "frequency": 1}}, "is not billed as often as the subscription"),
        ({"billing_cycle": {"interval": "month", "frequency": 0}}, "billing_cycle.frequency"),
        ({"custom_data": {"a": [1, "x\0"]}}, "custom_data: a[1]: holds a NUL character"),
        ({"custom_data": {"a": "\ud800"}}, "custom_data: a: holds half a character"),
        ({"custom_data": {"\0": 1}}, "custom_data: a name holds a NUL character"),
        ({"custom_data": {"a": 2**60}}, "custom_data: a: is a number too large"),
        (
            {"current_billing_period": {"starts_at": "2024-05-08T10:38:57Z", "ends_at": "2024-04-08T10:38:57Z"}},
            "current_billing_period: ends before it starts",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_entry_and_field(april: None, changes: dict[str, Any], told: str) -> None:
    lines = refusal(amelia_with(**changes))
    assert f"the text: subscriptions[0] ({TEN_SEATS}): " in lines
    assert told in lines


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("quantity", 0, "items[0].quantity: Input should be greater than or equal to 1"),
        ("quantity", "10", "items[0].quantity: Input should be a valid integer"),
        ("quantity", 1_000_000_000, "items[0].quantity: Input should be less than or equal to 999999999"),
        ("amount", 3000, 'items[0].price.unit_price.amount: takes minor units as text, such as "3000"'),
        ("amount", "9007199254740993", "items[0].price.unit_price.amount: takes minor units"),
        ("amount", "9007199254740992", "items: cost more than"),
    ],
)
def test_quantities_and_amounts_are_bounded(april: None, path: str, value: Any, told: str) -> None:
    data = amelia_with()
    item = data["subscriptions"][0]["items"][0]
    (item if path == "quantity" else item["price"]["unit_price"])[path] = value
    assert told in refusal(data)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "takes a JSON object or list"),
        ("{}", "holds nothing to import"),
        ('{"customers": {}}', "customers: takes a list"),
        ('{"transactions": []}', "transactions: can't be imported"),
        ('{\n"customers": [\n{"id": }]}', "line 3: no JSON"),
        ("[1]", "[0]: takes an entity"),
        ('[{"id": "dsc_01htymkpj07kjy7p5q1vzqpk70"}]', "[0]: id: takes one of ctm_"),
        ("[] []", "something follows"),
        ("[{}", "is missing"),
        ('[{"id": NaN}]', "NaN is no JSON"),
        ("[" + "[" * 100_000, "nested too deeply"),
        ('[{"id": ' + "9" * 5000 + "}]", "no JSON that could be read"),
    ],
)
def test_what_is_no_import_file_is_said(database: str, text: str, told: str) -> None:
    assert told in refusal(text)


def test_a_file_that_is_missing_or_no_text_is_said(database: str, tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.json")
    (tmp_path / "picture.json").write_bytes(b'[{"id": "\xff\xfe"}]')
    assert "picture.json: is no UTF-8 text" in refusal(tmp_path / "picture.json")


def test_twenty_problems_are_listed_and_the_rest_counted(database: str) -> None:
    lines = refusal([{"id": AMELIA, "email": "nobody"}] * 30).splitlines()
    assert len(lines) == 22
    assert lines[-2] == "… and 10 more"


def test_an_address_made_to_be_judged_for_minutes_is_refused_at_once(april: None) -> None:
    began = time.process_time()
    told = refusal([entity("customers", AMELIA) | {"email": visits.ENDLESS_ADDRESS}])
    assert time.process_time() - began < 5
    assert "An email address has 254 characters at most." in told


def test_the_same_entry_twice_is_refused(april: None) -> None:
    assert f"[1] ({AMELIA}): id: stands in the file twice" in refusal([entity("customers", AMELIA)] * 2)


def test_cards_belong_to_their_customers(april: None) -> None:
    load(DEMO)
    for card, customer in session().execute(
        select(PaymentMethod, Subscription.customer_id).join(
            Subscription, Subscription.payment_method_id == PaymentMethod.id
        )
    ):
        assert card.customer_id == customer
