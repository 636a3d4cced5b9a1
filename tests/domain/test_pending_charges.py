"""What waits for the next bill: taken in once, credit as far as it goes, forgiven in the end."""

from typing import Any

import pytest
from sqlalchemy import event, select

from portal import db
from portal.db import session, transaction
from portal.domain import bills, cancellation, charges, subscriptions
from portal.domain.actors import system
from portal.domain.charges import Bill
from tests import people
from tests.api import billing
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END

PRICE = {"id": "pri_x", "unit_price": {"amount": "1"}}


def line(amount: int) -> dict[str, Any]:
    return {"id": f"txnitm_{amount}", "quantity": 1, "amount": amount, "price": PRICE, "product": {}, "proration": None}


@pytest.fixture
def sub(database: str) -> str:
    return visits.subscribed()


def add(sub: str, *amounts: int) -> None:
    with transaction():
        charges.add(sub, [line(amount) for amount in amounts])


def bill(sub: str, n: int = 0) -> Any:
    starts_at = END.replace(month=1 + n, year=2027)
    with transaction():
        return bills.bill(subscriptions.get(sub), starts_at=starts_at, ends_at=starts_at.replace(day=28), by=system())


def test_charges_and_credit_go_into_the_next_bill_once(sub: str) -> None:
    add(sub, 500, -700, 0)
    made = bill(sub)
    assert (made.amount, made.credit, made.due) == (30500, 700, 29800)
    assert billing.waiting(sub) == []
    assert bill(sub, 1).amount == 30000


def test_credit_that_is_left_waits_on_oldest_first(sub: str) -> None:
    add(sub, -20000, -20000)
    made = bill(sub)
    assert (made.amount, made.credit, billing.waiting(sub)) == (30000, 30000, [-10000])
    made = bill(sub, 1)
    assert (made.credit, billing.waiting(sub)) == (10000, [])


def test_a_settled_row_names_its_bill_and_how_much_of_it_was_used(sub: str) -> None:
    add(sub, -40000)
    made = bill(sub)
    with transaction():
        rows = session().scalars(select(charges.PendingCharge).order_by(charges.PendingCharge.id)).all()
    assert [(each.amount, each.transaction_id) for each in rows] == [(-30000, made.id), (-10000, None)]


def test_a_change_that_costs_less_than_it_gives_is_no_bill() -> None:
    assert charges.netted([]) == Bill([])
    assert charges.netted([{"amount": 300}, {"amount": -500}]).due == -200


def test_many_ends_forgive_with_one_statement(database: str, the_clock: Any) -> None:
    subs = [visits.subscribed(**visits.ending()) for _ in range(5)]
    for each in subs:
        add(each, 500, -100)
    goes_on = visits.subscribed()
    add(goes_on, 700)
    seen: list[str] = []
    event.listen(db.engine(), "before_cursor_execute", lambda *said: seen.append(said[2]))
    the_clock.set(END.replace(minute=1))
    with transaction():
        assert cancellation.carry_out(10) == 5
    assert len([each for each in seen if each.startswith("UPDATE pending_charges")]) == 1
    assert [billing.waiting(each) for each in subs] == [[]] * 5
    assert billing.waiting(goes_on) == [700]
    assert people.row(subs[0]).canceled_at == END > NOW
