"""Fifty identical requests at once: one change, one event, one mail (T9)."""

import threading
from collections import Counter
from typing import Any

import pytest
from flask import Flask

from tests import people
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.person import Person

MANY = 50


def at_once(app: Flask, person: Person, path: str, **fields: str) -> Counter[int]:
    """The same form, sent by fifty threads with this person's cookies, behind one barrier."""
    form = {"csrf_token": person.csrf_token(), **fields}
    cookies = {name: person.client.get_cookie(name).value for name in ("portal", "form")}
    barrier, statuses = threading.Barrier(MANY), []

    def send() -> None:
        client = app.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        barrier.wait()
        statuses.append(client.post(path, data=form).status_code)

    threads = [threading.Thread(target=send) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


@pytest.mark.parametrize(("page", "transition"), [("cancel", "scheduled"), ("keep", "withdrawn")])
def test_a_form_sent_fifty_times_at_once_acts_once(app: Flask, person: Person, page: str, transition: str) -> None:
    sub = visits.subscribed(**(visits.ending() if page == "keep" else {}))
    person.open(email_link(page, sub))
    statuses = at_once(app, person, f"/portal/subscriptions/{sub}/{page}")
    assert statuses == {303: MANY}
    row = people.row(sub)
    assert (row.scheduled_effective_at, row.next_billed_at) == ((END, None) if page == "cancel" else (None, END))
    assert row.version == 2
    assert visits.said(sub) == (["subscription.updated"], [f"cancellation_{transition}"])


def test_a_card_that_pays_a_debt_is_charged_once(app: Flask, person: Person, the_clock: Any) -> None:
    from sqlalchemy import select

    from portal.db import session, transaction
    from portal.domain import renewal
    from portal.gateways.sandbox import Sandbox, SandboxCharge

    sub = visits.subscribed(card="sandbox_declines")
    the_clock.advance(days=21)
    with transaction():
        renewal.open_due(10)
    renewal.collect_next(Sandbox())
    assert people.row(sub).status == "past_due"
    person.open(email_link("payment", sub))
    card = {"number": "4242424242424242", "expiry": "07/31", "cvc": "123"}
    statuses = at_once(app, person, f"/portal/subscriptions/{sub}/update-payment-method", **card)
    assert set(statuses) <= {303, 409}
    assert statuses[303] >= 1
    with transaction():
        assert [row.amount for row in session().scalars(select(SandboxCharge))] == [30_000]
    assert people.row(sub).status == "active"
    assert people.mails_of(sub).count("renewed") == 1
