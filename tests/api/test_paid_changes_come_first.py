"""A process died over a change that is being paid, and the worker comes when an end, a pause or a renewal is due."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from portal import worker
from portal.db import session, transaction
from portal.domain import renewal
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import SubscriptionItem
from tests import people
from tests.api import billing
from tests.api.calls import App
from tests.customer import visits
from tests.customer.visits import END

BEGAN = END - timedelta(days=30)
DUE = ["cancel", "pause", None]
ENDS = {"cancel": "canceled", "pause": "paused", None: "active"}


class Killed(BaseException):
    """The process is gone."""


def planned(action: str | None) -> dict[str, Any]:
    return visits.ending() | {"scheduled_action": action} if action else {}


def die_over_12_seats(seller: App, sub: str, base: str, monkeypatch: pytest.MonkeyPatch, *, charged: bool) -> None:
    def die(attempt: Any, gateway: Any, **_: Any) -> None:
        if charged:
            gateway.charge(attempt.reference, attempt.amount, attempt.currency, key=attempt.key)
        raise Killed

    body = {"items": [{"price_id": base, "quantity": 12}], "proration_billing_mode": "prorated_immediately"}
    with monkeypatch.context() as patched:
        patched.setattr(renewal, "_make", die)
        with pytest.raises(Killed):
            seller.patch(f"/subscriptions/{sub}", body)


def quantity(sub: str) -> int:
    with transaction():
        wanted = select(SubscriptionItem.quantity).where(SubscriptionItem.subscription_id == sub)
        return session().scalars(wanted).one()


def come_late(the_clock: Any) -> None:
    """As the worker does: one thing after the other, until nothing is due."""
    the_clock.set(END + timedelta(days=1))
    while any(task() for task in (worker.period_end, worker.pauses, worker.renewals, worker.collections)):
        pass


@pytest.mark.parametrize("action", DUE)
@pytest.mark.parametrize("charged", [True, False], ids=["after the money moved", "before"])
def test_the_change_is_made_first_and_what_is_due_follows(
    seller: App, base: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch, action: str | None, charged: bool
) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, **planned(action))
    die_over_12_seats(seller, sub, base, monkeypatch, charged=charged)
    come_late(the_clock)
    assert billing.charged() == ([4000] if action else [4000, 36000])
    assert (quantity(sub), people.row(sub).status) == (12, ENDS[action])
    assert [each.status for each in billing.bills_of(sub)] == ["completed"] * (1 if action else 2)
    told = [each.transition for each in visits.events(sub) if each.transition]
    assert told.index("items_changed") < len(told) - 1


@pytest.mark.parametrize("action", DUE)
def test_a_refusal_cancels_the_bill_and_what_is_due_follows(
    seller: App, base: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch, action: str | None
) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, card="sandbox_declines", **planned(action))
    die_over_12_seats(seller, sub, base, monkeypatch, charged=False)
    with transaction():
        session().execute(update(PaymentMethod).values(reference="sandbox_ok"))
    come_late(the_clock)
    assert billing.charged() == ([] if action else [30000])
    assert (quantity(sub), people.row(sub).status) == (10, ENDS[action])
    assert billing.bills_of(sub)[0].status == "canceled"


def test_while_it_is_being_paid_the_others_are_not_kept_waiting(
    seller: App, base: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sub = visits.subscribed(price_id=base, began=BEGAN, **visits.ending())
    other = visits.subscribed(price_id=base, began=BEGAN, **visits.ending())
    die_over_12_seats(seller, sub, base, monkeypatch, charged=True)
    the_clock.set(END + timedelta(days=1))
    assert worker.period_end()
    assert not worker.period_end()
    assert (people.row(sub).status, people.row(other).status) == ("active", "canceled")
