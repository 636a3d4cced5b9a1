"""An app changes the items of a subscription, its quantities and its billing date."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import worker
from portal.db import session, transaction
from portal.domain import renewal
from portal.domain.catalog import Price
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.outbox import emails
from tests import people
from tests.api import billing
from tests.api.calls import App, fields_of, refusal
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import CANCELED, END, UNKNOWN

BEGAN = END - timedelta(days=30)
"""20 of the period's 30 days are left."""


@pytest.fixture
def sub(base: str) -> str:
    return visits.subscribed(price_id=base, began=BEGAN)


def change(seller: App, sub: str, mode: str | None, *items: tuple[str, int | None], **more: Any) -> Any:
    """Sends a list of items: (price, quantity), or (price, None) to leave the quantity as it is."""
    listed = [{"price_id": price} | ({"quantity": quantity} if quantity else {}) for price, quantity in items]
    body = {"items": listed} | ({"proration_billing_mode": mode} if mode else {}) | more
    return seller.patch(f"/subscriptions/{sub}", body)


def have(answer: Any) -> list[tuple[str, int]]:
    assert answer.status_code == 200, answer.json
    return [(item["price"]["id"], item["quantity"]) for item in answer.json["data"]["items"]]


def after_renewal(the_clock: Any) -> list[int]:
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    return billing.charged()


def test_do_not_bill_changes_the_next_bill_only(seller: App, sub: str, base: str, the_clock: Any) -> None:
    assert have(change(seller, sub, "do_not_bill", (base, 12))) == [(base, 12)]
    assert (billing.waiting(sub), billing.charged()) == ([], [])
    assert visits.said(sub) == (["subscription.updated"], [])
    assert after_renewal(the_clock) == [36000]


def test_more_seats_cost_the_rest_of_the_period_at_once(seller: App, sub: str, base: str, the_clock: Any) -> None:
    assert have(change(seller, sub, "prorated_immediately", (base, 12))) == [(base, 12)]
    [bill] = billing.bills_of(sub)
    assert (billing.charged(), bill.amount, bill.status, bill.origin) == (
        [4000],
        4000,
        "completed",
        "subscription_update",
    )
    assert bill.lines[0]["proration"]["rate"] == "0.66667"
    assert people.events_of(sub)[0] == "transaction.created"
    assert people.events_of(sub)[-1] == "subscription.updated"
    assert people.mails_of(sub) == ["renewed"]
    assert visits.mails("renewed")[0].facts["amount"] == 4000
    assert after_renewal(the_clock) == [4000, 36000]


def test_or_with_the_next_bill(seller: App, sub: str, base: str, the_clock: Any) -> None:
    change(seller, sub, "prorated_next_billing_period", (base, 12))
    assert (billing.waiting(sub), billing.charged()) == ([4000], [])
    assert after_renewal(the_clock) == [40000]
    assert billing.waiting(sub) == []


@pytest.mark.parametrize(("mode", "now"), [("full_immediately", [6000]), ("full_next_billing_period", [])])
def test_in_full_what_is_added_costs_a_whole_period(
    seller: App, sub: str, base: str, mode: str, now: list[int], the_clock: Any
) -> None:
    change(seller, sub, mode, (base, 12))
    assert billing.charged() == now
    assert sum(after_renewal(the_clock)) == 36000 + 6000


@pytest.mark.parametrize("when", ["immediately", "next_billing_period"])
def test_fewer_seats_give_credit_for_the_next_bill(seller: App, sub: str, base: str, when: str, the_clock: Any) -> None:
    change(seller, sub, f"prorated_{when}", (base, 7))
    assert (billing.waiting(sub), billing.charged()) == ([-6000], [])
    assert after_renewal(the_clock) == [21000 - 6000]
    [bill] = billing.bills_of(sub)
    assert (bill.amount, bill.credit, bill.status) == (21000, 6000, "completed")


def test_credit_never_makes_a_bill_negative_and_the_rest_waits_on(
    seller: App, sub: str, base: str, the_clock: Any
) -> None:
    change(seller, sub, "prorated_immediately", (base, 1))
    assert billing.waiting(sub) == [-18000]
    assert after_renewal(the_clock) == []
    assert (people.row(sub).status, billing.waiting(sub)) == ("active", [-15000])
    assert [each.status for each in billing.bills_of(sub)] == ["completed"]


def test_an_add_on_joins_and_another_leaves_again(seller: App, sub: str, base: str, the_clock: Any) -> None:
    add_on = people.price(600, product="Analytics")
    assert have(change(seller, sub, "prorated_immediately", (base, None), (add_on, 3))) == [(base, 10), (add_on, 3)]
    assert billing.charged() == [1200]
    the_clock.advance(days=5)
    assert have(change(seller, sub, "do_not_bill", (base, None))) == [(base, 10)]
    again = change(seller, sub, "prorated_immediately", (add_on, 2))
    assert have(again) == [(add_on, 2)]
    assert sorted(billing.waiting(sub)) == [-15000, 600]


def test_an_upgrade_costs_the_difference(seller: App, sub: str, base: str) -> None:
    better = people.price(4500, product="AeroEdit Enterprise")
    assert have(change(seller, sub, "prorated_immediately", (better, 10))) == [(better, 10)]
    [bill] = billing.bills_of(sub)
    assert (bill.amount, bill.credit, billing.charged()) == (30000, 20000, [10000])


def test_what_is_sent_as_it_is_changes_nothing(seller: App, sub: str, base: str) -> None:
    before = visits.records()
    assert have(change(seller, sub, None, (base, 10))) == [(base, 10)]
    assert visits.records() == before
    assert seller.patch(f"/subscriptions/{sub}", {}).status_code == 200
    assert visits.records() == before


def test_a_declined_charge_prevents_the_change(app: Flask, seller: App, base: str, the_clock: Any) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, card="sandbox_declines")
    answer = change(seller, sub, "prorated_immediately", (base, 12))
    assert refusal(answer) == (400, "subscription_payment_declined")
    assert [item.quantity for item in items_of(sub)] == [10]
    [bill] = billing.bills_of(sub)
    assert (bill.status, bill.next_attempt_at, bill.payments[0]["error_code"]) == ("canceled", None, "declined")
    told = ["created", "billed", "payment_failed", "updated", "canceled"]
    assert people.events_of(sub) == [f"transaction.{each}" for each in told]
    assert people.row(sub).status == "active"
    assert "subscription.updated" not in people.events_of(sub)
    the_clock.advance(days=1)
    billing.work()
    assert [each.status for each in billing.bills_of(sub)] == ["canceled"]


def test_or_the_change_is_made_and_the_charge_is_past_due(app: Flask, seller: App, base: str) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, card="sandbox_declines")
    answer = change(seller, sub, "prorated_immediately", (base, 12), on_payment_failure="apply_change")
    assert have(answer) == [(base, 12)]
    billing.work()
    [bill] = billing.bills_of(sub)
    assert (bill.status, bill.failed_attempts, people.row(sub).status) == ("past_due", 1, "past_due")
    assert people.mails_of(sub) == ["payment_failed"]


def items_of(sub: str) -> list[SubscriptionItem]:
    with transaction():
        return list(session().scalars(select(SubscriptionItem).where(SubscriptionItem.subscription_id == sub)))


@pytest.mark.parametrize("before_the_charge", [True, False], ids=["before the charge", "after the charge"])
def test_a_process_that_dies_over_the_charge_is_made_up_for_by_the_worker_exactly_once(
    seller: App, sub: str, base: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch, before_the_charge: bool
) -> None:
    class Killed(BaseException):
        pass

    def die(attempt: Any, gateway: Any, **more: Any) -> None:
        if not before_the_charge:
            gateway.charge(attempt.reference, attempt.amount, attempt.currency, key=attempt.key)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(renewal, "_make", die)
        with pytest.raises(Killed):
            change(seller, sub, "prorated_immediately", (base, 12))
    assert [item.quantity for item in items_of(sub)] == [10]
    again = change(seller, sub, "prorated_immediately", (base, 12))
    assert refusal(again) == (409, "subscription_outstanding_transaction")
    paused = seller.post(f"/subscriptions/{sub}/pause", {"effective_from": "immediately"})
    assert refusal(paused) == (409, "subscription_outstanding_transaction")
    the_clock.advance(minutes=3)
    while worker.collections():
        pass
    assert ([item.quantity for item in items_of(sub)], billing.charged()) == ([12], [4000])
    assert people.events_of(sub).count("subscription.updated") == 1
    [event] = [each for each in visits.events(sub) if each.transition == "items_changed"]
    assert (event.actor_kind, event.way) == ("key", "API")
    the_clock.advance(minutes=3)
    assert not worker.collections()


def test_while_a_bill_is_unpaid_nothing_that_is_billed_changes(seller: App, sub: str, base: str) -> None:
    change(seller, sub, "prorated_immediately", (base, 12), on_payment_failure="apply_change")
    before = visits.records()
    answer = change(seller, sub, "do_not_bill", (base, 13))
    assert refusal(answer) == (409, "subscription_outstanding_transaction")
    assert visits.records() == before
    billing.work()
    assert have(change(seller, sub, "do_not_bill", (base, 13))) == [(base, 13)]


def test_an_invoice_is_made_at_once_and_the_change_with_it(app: Flask, seller: App, base: str) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, card=None, collection_mode="manual")
    assert have(change(seller, sub, "prorated_immediately", (base, 12))) == [(base, 12)]
    [bill] = billing.bills_of(sub)
    assert (bill.status, bill.collection_mode, bill.next_attempt_at) == ("billed", "manual", None)
    mail = " ".join(emails.compose(visits.mails("renewed")[0]).as_string().split())
    assert "The invoice says how to pay it." in mail
    assert "A new period" not in mail


def test_a_refused_change_is_not_counted_as_a_charge(seller: App, sub: str, base: str) -> None:
    for _ in range(21):
        assert fields_of(change(seller, sub, "prorated_immediately", (base, 101))) == ["items.0.quantity"]
    assert have(change(seller, sub, "prorated_immediately", (base, 11))) == [(base, 11)]


def test_an_item_that_joins_a_trial_has_its_dates(app: Flask, seller: App, base: str) -> None:
    sub = visits.subscribed(price_id=base, status="trialing")
    add_on = people.price(600)
    change(seller, sub, "do_not_bill", (base, None), (add_on, 1))
    joined = seller.get(f"/subscriptions/{sub}").json["data"]["items"][1]
    assert joined["status"] == "trialing"
    assert joined["trial_dates"]["ends_at"] == "2026-12-11T12:00:00.000000Z"


def test_without_a_card_nothing_can_be_charged_at_once(app: Flask, seller: App, base: str) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, card=None)
    before = visits.records()
    refused = change(seller, sub, "prorated_immediately", (base, 12))
    assert refusal(refused) == (400, "subscription_missing_payment_method_cannot_update")
    assert visits.records() == before
    assert have(change(seller, sub, "prorated_next_billing_period", (base, 12))) == [(base, 12)]


@pytest.mark.parametrize(
    ("fields", "mode", "refused"),
    [
        ({}, None, (400, "subscription_items_update_missing_proration_billing_mode")),
        (CANCELED, "do_not_bill", (400, "subscription_update_when_canceled")),
        ({"status": "past_due"}, "do_not_bill", (400, "subscription_update_when_past_due")),
        ({"status": "trialing"}, "prorated_immediately", (400, "subscription_update_when_trialing")),
        (
            {"status": "paused", "next_billed_at": None},
            "full_immediately",
            (400, "subscription_only_update_items_on_paused_subscription"),
        ),
        ({"period_ends_at": NOW + timedelta(minutes=20)}, "do_not_bill", (409, "subscription_locked_renewal")),
        (
            visits.ending(),
            "prorated_next_billing_period",
            (400, "subscription_invalid_billing_mode_for_scheduled_change"),
        ),
        (visits.ending(), "full_next_billing_period", (400, "subscription_invalid_billing_mode_for_scheduled_change")),
    ],
)
def test_in_another_state_it_is_refused_and_nothing_changes(
    app: Flask, seller: App, base: str, fields: dict[str, Any], mode: str | None, refused: tuple[int, str]
) -> None:
    sub = visits.subscribed(price_id=base, **fields)
    before = visits.records()
    assert refusal(change(seller, sub, mode, (base, 12))) == refused
    assert visits.records() == before


@pytest.mark.parametrize("mode", ["do_not_bill", "full_immediately", "prorated_immediately"])
def test_while_an_end_is_scheduled_items_still_change(app: Flask, seller: App, base: str, mode: str) -> None:
    sub = visits.subscribed(price_id=base, **visits.ending())
    assert have(change(seller, sub, mode, (base, 12))) == [(base, 12)]
    assert people.row(sub).scheduled_effective_at == END


@pytest.mark.parametrize("fields", [{"status": "trialing"}, {"status": "paused", "next_billed_at": None}])
def test_in_a_trial_or_pause_items_change_without_a_bill(
    app: Flask, seller: App, base: str, fields: dict[str, Any]
) -> None:
    sub = visits.subscribed(price_id=base, **fields)
    assert have(change(seller, sub, "do_not_bill", (base, 12))) == [(base, 12)]


def archived(**fields: Any) -> Callable[[], str]:
    """A price that has been changed since it was made."""

    def make() -> str:
        price = people.price()
        with transaction():
            session().execute(update(Price).where(Price.id == price).values(**fields))
        return price

    return make


@pytest.mark.parametrize(
    ("price", "quantity", "field"),
    [
        (lambda: f"pri_{UNKNOWN}", 1, "items.1.price_id"),
        (lambda: people.price(currency="EUR"), 1, "items.1.price_id"),
        (lambda: people.price(interval="year"), 1, "items.1.price_id"),
        (billing.one_time, 1, "items.1.price_id"),
        (people.price, None, "items.1.quantity"),
        (people.price, 101, "items.1.quantity"),
        (archived(quantity_minimum=5), 4, "items.1.quantity"),
    ],
)
def test_a_new_item_must_fit_the_subscription(
    seller: App, sub: str, base: str, price: Callable[[], str], quantity: int | None, field: str
) -> None:
    wanted = price()
    before = visits.records()
    assert fields_of(change(seller, sub, "do_not_bill", (base, None), (wanted, quantity))) == [field]
    assert visits.records() == before


def test_what_is_archived_is_not_added(seller: App, sub: str, base: str) -> None:
    """The same refusal as of a transaction."""
    gone = archived(status="archived")()
    before = visits.records()
    assert refusal(change(seller, sub, "do_not_bill", (base, None), (gone, 1))) == (400, "entity_archived")
    assert visits.records() == before


def test_an_item_whose_price_is_archived_may_stay(seller: App, sub: str, base: str) -> None:
    with transaction():
        session().execute(update(Price).where(Price.id == base).values(status="archived"))
    assert have(change(seller, sub, "do_not_bill", (base, 11))) == [(base, 11)]


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "items"),
        ([{"price_id": "BASE"}] * 101, "items"),
        ([{"price_id": "BASE"}, {"price_id": "BASE"}], "items.1.price_id"),
        ([{"price_id": "BASE", "quantity": 0}], "items.0.quantity"),
        ([{"price_id": "BASE", "quantity": "2"}], "items.0.quantity"),
        ([{"quantity": 2}], "items.0.price_id"),
        ([{"price": {"description": "x"}, "quantity": 2}], "items.0.price"),
        ([{"price_id": "BASE", "colour": "red"}], "items.0.colour"),
    ],
)
def test_hostile_lists_name_their_field(seller: App, sub: str, base: str, items: list[Any], field: str) -> None:
    listed = [{**each, **({"price_id": base} if "price_id" in each else {})} for each in items]
    before = visits.records()
    answer = seller.patch(f"/subscriptions/{sub}", {"items": listed, "proration_billing_mode": "do_not_bill"})
    assert fields_of(answer) == [field]
    assert visits.records() == before


def test_something_recurring_must_be_left(seller: App, app: Flask) -> None:
    once = billing.one_time()
    sub = visits.subscribed()
    with transaction():
        item = SubscriptionItem(
            subscription_id=sub, position=1, price_id=once, quantity=1, recurring=False, created_at=NOW, updated_at=NOW
        )
        session().add(item)
    answer = change(seller, sub, "do_not_bill", (once, 1))
    assert refusal(answer) == (400, "subscription_no_recurring_items_remain")


def move(seller: App, sub: str, days: float, mode: str | None = "do_not_bill") -> Any:
    body = {"next_billed_at": (END + timedelta(days=days)).isoformat()}
    return seller.patch(f"/subscriptions/{sub}", body | ({"proration_billing_mode": mode} if mode else {}))


def test_a_new_billing_date_ends_the_period_then_and_later_ones_count_from_it(
    seller: App, sub: str, the_clock: Any
) -> None:
    entity = move(seller, sub, 5).json["data"]
    assert entity["next_billed_at"] == entity["current_billing_period"]["ends_at"] == "2026-12-16T12:00:00.000000Z"
    assert after_renewal(the_clock) == []
    the_clock.set(END + timedelta(days=5, seconds=31))
    billing.work()
    row: Subscription = people.row(sub)
    assert (billing.charged(), row.period_ends_at) == ([30000], (END + timedelta(days=5)).replace(year=2027, month=1))


def test_a_longer_period_costs_and_a_shorter_one_gives_credit(seller: App, sub: str) -> None:
    move(seller, sub, 3, "prorated_immediately")
    assert billing.charged() == [3000]
    move(seller, sub, 0, "prorated_immediately")
    assert billing.waiting(sub) == [-3000]


@pytest.mark.parametrize(
    ("days", "mode", "refused"),
    [
        (5, None, (400, "subscription_items_update_missing_proration_billing_mode")),
        (-20, "do_not_bill", (400, "subscription_next_billed_at_too_soon")),
        (-20 + 29 / 1440, "do_not_bill", (400, "subscription_next_billed_at_too_soon")),
        (2000, "do_not_bill", (400, "invalid_field")),
        (5, "full_immediately", (400, "invalid_field")),
    ],
)
def test_a_date_that_does_not_fit_is_refused(
    seller: App, sub: str, days: float, mode: str | None, refused: tuple[int, str]
) -> None:
    before = visits.records()
    assert refusal(move(seller, sub, days, mode)) == refused
    assert visits.records() == before


def test_a_trial_is_made_longer_without_a_bill(app: Flask, seller: App) -> None:
    sub = visits.subscribed(status="trialing", anchor_at=END)
    assert move(seller, sub, 7).json["data"]["next_billed_at"] == "2026-12-18T12:00:00.000000Z"
    assert refusal(move(seller, sub, 9, "prorated_immediately")) == (400, "subscription_update_when_trialing")


def test_no_date_is_set_while_an_end_is_scheduled(app: Flask, seller: App) -> None:
    sub = visits.subscribed(**visits.ending())
    assert refusal(move(seller, sub, 7)) == (400, "subscription_locked_pending_changes")


def test_twenty_immediate_changes_an_hour(seller: App, sub: str, base: str) -> None:
    for quantity in range(11, 31):
        assert have(change(seller, sub, "prorated_immediately", (base, quantity))) == [(base, quantity)]
    refused = change(seller, sub, "prorated_immediately", (base, 31))
    assert refusal(refused) == (429, "subscription_immediate_charge_hour_limit_exceeded")
    assert int(refused.headers["Retry-After"]) > 0
    assert have(change(seller, sub, "do_not_bill", (base, 31))) == [(base, 31)]


def test_strangers_and_keys_without_the_permission(app: Flask, seller: App, sub: str, base: str) -> None:
    assert refusal(change(seller, f"sub_{UNKNOWN}", "do_not_bill", (base, 2))) == (404, "not_found")
    assert refusal(change(App(app, "subscription.read"), sub, "do_not_bill", (base, 2))) == (403, "forbidden")
