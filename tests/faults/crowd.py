"""Many subscriptions at once, and what their histories must look like whatever happened to the workers."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from portal import db, ids
from portal.db import session, transaction
from portal.domain import periods
from portal.domain.customers import Customer
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.domain.transactions import Transaction
from portal.gateways.sandbox import SandboxCharge
from tests import people

ENDED = ["subscription.updated", "subscription.canceled"]


def subscriptions(count: int, ends: datetime | list[datetime], *, ending: bool = False) -> list[str]:
    """Active monthly subscriptions, each of its own customer, whose period ends then; `ending`: canceled for it."""
    instants = ends if isinstance(ends, list) else [ends] * count
    price, rows = people.price(), [_rows(at, ending) for at in instants]
    for row in rows:
        row["item"]["price_id"] = price
    with transaction():
        for table, part in ((Customer, "customer"), (PaymentMethod, "card"), (Subscription, "subscription")):
            session().execute(insert(table), [row[part] for row in rows])
        session().execute(insert(SubscriptionItem), [row["item"] for row in rows])
    return [row["subscription"]["id"] for row in rows]


def _rows(ends: datetime, ending: bool) -> dict[str, Any]:
    customer, began = ids.new("ctm"), periods.nth(ends, "month", 1, -1)
    email = f"{customer}@example.com"
    made = {"created_at": began, "updated_at": began}
    method = ids.new("paymtd")
    planned = {
        "next_billed_at": None,
        "scheduled_action": "cancel",
        "scheduled_effective_at": ends,
        "scheduled_at": ends - timedelta(days=5),
        "scheduled_by": "customer",
        "billing_resumes_at": ends,
    }
    sub = {
        "id": ids.new("sub"),
        "customer_id": customer,
        "status": "active",
        "version": 1,
        "currency_code": "USD",
        "collection_mode": "automatic",
        "billing_interval": "month",
        "billing_frequency": 1,
        "anchor_at": ends,
        "started_at": began,
        "first_billed_at": began,
        "period_starts_at": began,
        "period_ends_at": ends,
        "payment_method_id": method,
        **(planned if ending else {**dict.fromkeys(planned), "next_billed_at": ends}),
        **made,
    }
    return {
        "customer": {
            "id": customer,
            "email": email,
            "email_key": email,
            "name": "Amelia Harper",
            "locale": "en",
            "status": "active",
            "marketing_consent": False,
            **made,
        },
        "card": {
            "id": method,
            "customer_id": customer,
            "type": "card",
            "brand": "visa",
            "last4": "4242",
            "expiry_month": 7,
            "expiry_year": 2029,
            "gateway": "sandbox",
            "reference": "sandbox_ok",
            **made,
        },
        "subscription": sub,
        "item": {
            "subscription_id": sub["id"],
            "position": 0,
            "quantity": 1,
            "status": "active",
            "recurring": True,
            "previously_billed_at": began,
            **made,
        },
    }


@contextmanager
def reading() -> Iterator[Session]:
    """Looks at the database as it is now, without a lock of its own."""
    db.close()
    yield session()
    db.close()


def statuses() -> Counter[str]:
    with reading() as found:
        counted = found.execute(select(Subscription.status, func.count()).group_by(Subscription.status))
        return Counter({status: count for status, count in counted})  # noqa: C416 (a Row is no tuple to a type checker)


def rows() -> dict[str, Subscription]:
    with reading() as found:
        return {row.id: row for row in found.scalars(select(Subscription))}


def events() -> dict[str, list[str]]:
    """Each subscription's event types, in order."""
    with reading() as found:
        listed: dict[str, list[str]] = {}
        for sub, type in found.execute(select(Event.subscription_id, Event.type).order_by(Event.id)):
            listed.setdefault(sub, []).append(type)
        return listed


def mails() -> dict[str, list[str]]:
    """Each subscription's mail kinds, in order."""
    with reading() as found:
        listed: dict[str, list[str]] = {}
        for sub, kind in found.execute(select(Mail.subscription_id, Mail.kind).order_by(Mail.id)):
            listed.setdefault(sub, []).append(kind)
        return listed


def check_endings() -> int:
    """Canceled ⇔ exactly one event and one mail that say so, and nothing else; answers how many are canceled."""
    happened, told, done = events(), mails(), 0
    for sub, row in rows().items():
        if row.status == "canceled":
            done += 1
            assert happened.get(sub) == ENDED, f"{sub} is canceled with {happened.get(sub)}"
            assert told.get(sub) == ["subscription_ended"], f"{sub} is canceled with {told.get(sub)}"
            assert row.canceled_at is not None
            assert row.scheduled_action is None
        else:
            assert (row.status, row.scheduled_action) == ("active", "cancel")
            assert sub not in happened, f"{sub} is {row.status} with {happened.get(sub)}"
            assert sub not in told, f"{sub} is {row.status} with {told.get(sub)}"
    return done


def check_payments() -> Counter[str]:
    """Renewed ⇔ billed once; charged at most once, under the key that its transaction knows; numbers without gaps."""
    with reading() as found:
        billed = found.scalars(select(Transaction).order_by(Transaction.invoice_number)).all()
        charges = set(found.scalars(select(SandboxCharge.key)))
    renewed = [row.id for row in rows().values() if row.period_starts_at == row.anchor_at]
    assert sorted(each.subscription_id for each in billed) == sorted(renewed)
    numbers = [str(each.invoice_number).partition("-")[2] for each in billed]
    assert numbers == [f"{n:06d}" for n in range(1, len(billed) + 1)]
    seen: Counter[str] = Counter()
    for each in billed:
        attempts = {payment["payment_attempt_id"] for payment in each.payments} | {each.attempt_key}
        moved = attempts & charges
        charges -= moved
        assert len(moved) <= 1, f"{each.id} was charged {len(moved)} times"
        assert (each.status, len(moved)) in {("billed", 0), ("billed", 1), ("completed", 1)}
        seen[each.status] += 1
        seen["charged, not settled"] += each.status == "billed" and bool(moved)
    assert charges == set(), "money moved that no transaction knows of"
    return seen
