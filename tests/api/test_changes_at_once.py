"""A change that is being paid, and whoever comes at the same moment: another app, the customer, a worker."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import db, worker
from portal.db import transaction
from portal.domain import cancellation, renewal, subscriptions
from portal.domain.actors import Actor
from portal.errors import Refusal
from portal.gateways import sandbox
from tests import people
from tests.api import billing
from tests.api.calls import App
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END

BEGAN = END - timedelta(days=30)
CUSTOMER = Actor("customer", "ctm", "portal session", received_at=NOW)


class Till(sandbox.Sandbox):
    """A gateway that waits in the middle of a charge until somebody has done something else."""

    meanwhile: Callable[[], Any] = staticmethod(lambda: None)
    yes = True

    def charge(self, reference: str, amount: int, currency: str, *, key: str) -> str | None:
        self.meanwhile()
        return super().charge(reference, amount, currency, key=key) if self.yes else "declined"


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch) -> type[Till]:
    monkeypatch.setattr(sandbox, "Sandbox", Till)
    monkeypatch.setattr(Till, "yes", True)
    return Till


@pytest.fixture
def sub(base: str) -> str:
    return visits.subscribed(price_id=base, began=BEGAN)


def seats(base: str, quantity: int, mode: str = "prorated_immediately", **more: Any) -> dict[str, Any]:
    return {"items": [{"price_id": base, "quantity": quantity}], "proration_billing_mode": mode} | more


def beside(act: Callable[[], Any], said: list[Any]) -> Callable[[], None]:
    """Does it in a thread of its own, with a session of its own, and notes what came of it."""

    def run() -> None:
        try:
            said.append(act())
        except Refusal as refused:
            said.append(refused.code)
        finally:
            db.close()

    def meanwhile() -> None:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(20)

    return meanwhile


def cancel(sub: str) -> str:
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=CUSTOMER)
    return "canceled"


@pytest.mark.parametrize("yes", [True, False])
def test_the_customer_cancels(
    seller: App, sub: str, base: str, till: Any, monkeypatch: pytest.MonkeyPatch, the_clock: Any, yes: bool
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(till, "meanwhile", staticmethod(beside(lambda: cancel(sub), said)))
    monkeypatch.setattr(till, "yes", yes)
    answer = seller.patch(f"/subscriptions/{sub}", seats(base, 12))
    assert (answer.status_code, said) == (200 if yes else 400, ["canceled"])
    row = people.row(sub)
    assert (row.scheduled_action, row.next_billed_at, row.billing_resumes_at) == ("cancel", None, END)
    assert billing.charged() == ([4000] if yes else [])
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    assert (people.row(sub).status, billing.charged()) == ("canceled", [4000] if yes else [])
    types = people.events_of(sub)
    assert types.count("subscription.updated") == (3 if yes else 2)


def test_a_worker_comes_by_and_the_card_is_deleted_and_the_same_is_asked_for_again(
    seller: App, sub: str, base: str, till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    row = people.row(sub)
    card = f"/customers/{row.customer_id}/payment-methods/{row.payment_method_id}"
    another = App(seller.client.application)

    def all_of_it() -> list[Any]:
        monkeypatch.setattr(till, "meanwhile", staticmethod(lambda: None))
        worker.run_until_idle()
        patched = another.patch(f"/subscriptions/{sub}", seats(base, 12)).json["error"]["code"]
        deleted = another.call("DELETE", card).json["error"]["code"]
        return [patched, deleted]

    monkeypatch.setattr(till, "meanwhile", staticmethod(beside(all_of_it, said)))
    assert seller.patch(f"/subscriptions/{sub}", seats(base, 12)).status_code == 200
    assert said == [["subscription_outstanding_transaction", "conflict"]]
    assert billing.charged() == [4000]


def test_an_app_ends_it_at_once(
    app: Flask, seller: App, sub: str, base: str, till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    mighty = App(app, "subscription.write", "subscription.cancel_immediately")

    def end() -> Any:
        return mighty.post(f"/subscriptions/{sub}/cancel", {"effective_from": "immediately"}).json["error"]["code"]

    monkeypatch.setattr(till, "meanwhile", staticmethod(beside(end, said)))
    assert seller.patch(f"/subscriptions/{sub}", seats(base, 12)).status_code == 200
    assert (said, people.row(sub).status, billing.charged()) == (["payment_under_way"], "active", [4000])


def test_another_field_is_changed(
    app: Flask, seller: App, sub: str, base: str, till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    another = App(app)

    def note() -> Any:
        return another.patch(f"/subscriptions/{sub}", {"custom_data": {"n": 2}}).status_code

    monkeypatch.setattr(till, "meanwhile", staticmethod(beside(note, said)))
    assert seller.patch(f"/subscriptions/{sub}", seats(base, 12)).status_code == 200
    assert (said, people.row(sub).custom_data) == ([200], {"n": 2})


def test_twelve_apps_at_once_change_it_once(app: Flask, sub: str, base: str) -> None:
    barrier, answers = threading.Barrier(12), []
    key = people.key(everything=True)

    def ask() -> None:
        client = app.test_client()
        barrier.wait()
        answers.append(client.patch(f"/subscriptions/{sub}", json=seats(base, 12), headers=key).status_code)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409}
    assert billing.charged() == [4000]
    assert [each.status for each in billing.bills_of(sub)] == ["completed"]
    assert people.events_of(sub).count("subscription.updated") == 1


def test_a_dozen_workers_at_once_collect_once(app: Flask, seller: App, sub: str, base: str) -> None:
    seller.patch(f"/subscriptions/{sub}", seats(base, 12, on_payment_failure="apply_change"))
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        renewal.collect_next(sandbox.Sandbox())
        db.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (billing.charged(), people.mails_of(sub)) == ([4000], ["renewed"])
