"""What a subscription is billed: its bills as the database has them, and the worker that makes and collects them."""

from typing import Any

from sqlalchemy import select, update

from portal import worker
from portal.db import session, transaction
from portal.domain.catalog import Price
from portal.domain.charges import PendingCharge
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import SandboxCharge
from tests import people


def one_time(amount: int = 5000, **fields: Any) -> str:
    """A price that is charged once."""
    price = people.price(amount, product=fields.pop("product", "Set-up"), **fields)
    with transaction():
        session().execute(update(Price).where(Price.id == price).values(billing_interval=None, billing_frequency=None))
    return price


def bills_of(sub: str) -> list[Transaction]:
    with transaction():
        wanted = select(Transaction).where(Transaction.subscription_id == sub).order_by(Transaction.id)
        return list(session().scalars(wanted))


def charged() -> list[int]:
    """What the gateway has moved, in order."""
    with transaction():
        return [each.amount for each in session().scalars(select(SandboxCharge).order_by(SandboxCharge.key))]


def waiting(sub: str) -> list[int]:
    """The amounts that wait for the next bill."""
    with transaction():
        wanted = select(PendingCharge).where(PendingCharge.subscription_id == sub, PendingCharge.settled_at.is_(None))
        return [each.amount for each in session().scalars(wanted.order_by(PendingCharge.id))]


def work() -> None:
    """Everything that is due, but mails."""
    for task in (worker.period_end, worker.pauses, worker.renewals, worker.collections):
        while task():
            pass
