"""An operation that charges, sent again with its Idempotency-Key: money moves once, whatever became of the first."""

from datetime import timedelta
from typing import Any

import pytest

from portal import worker
from portal.domain import renewal
from tests import people
from tests.api import billing
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.customer.visits import END

KEY = {"headers": {"Idempotency-Key": "order-1"}}


class Killed(BaseException):
    """The process is gone."""


def charge(seller: App, sub: str, price: str, quantity: int = 1) -> Any:
    body = {"effective_from": "immediately", "items": [{"price_id": price, "quantity": quantity}]}
    return seller.post(f"/subscriptions/{sub}/charge", body, **KEY)


def test_it_charges_once_and_answers_alike(seller: App) -> None:
    sub, price = visits.subscribed(), billing.one_time(5000)
    first, second = charge(seller, sub, price), charge(seller, sub, price)
    assert (first.data, second.headers["Idempotency-Replayed"], billing.charged()) == (second.data, "true", [5000])
    assert refusal(charge(seller, sub, price, 2)) == (422, "idempotency_key_reused")
    assert billing.charged() == [5000]


def test_a_decline_is_the_answer_of_the_key(seller: App) -> None:
    sub, price = visits.subscribed(card="sandbox_declines"), billing.one_time(5000)
    first, second = charge(seller, sub, price), charge(seller, sub, price)
    assert refusal(first) == (400, "subscription_payment_declined")
    assert (second.status_code, second.data) == (400, first.data)
    assert [each.status for each in billing.bills_of(sub)] == ["canceled"]


@pytest.mark.parametrize("moved", [True, False], ids=["after the money moved", "before"])
def test_a_process_that_dies_keeps_its_key_and_the_worker_finishes(
    seller: App, the_clock: Any, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    sub, price = visits.subscribed(), billing.one_time(5000)

    def die(attempt: Any, gateway: Any, **_: Any) -> None:
        if moved:
            gateway.charge(attempt.reference, attempt.amount, attempt.currency, key=attempt.key)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(renewal, "_make", die)
        with pytest.raises(Killed):
            charge(seller, sub, price)
    for _ in range(3):
        assert charge(seller, sub, price).status_code == 409
        the_clock.advance(minutes=3)
        while worker.collections():
            pass
    assert billing.charged() == [5000]
    the_clock.set(END + timedelta(seconds=31))
    billing.work()
    assert billing.charged() == [5000, 30000]
    assert people.mails_of(sub) == ["renewed", "renewed"]
