"""What waits for the next bill of a subscription: one-time charges, and the cost or credit of changes in mid-period.

waiting → in a bill     the next one takes every charge in, and as much credit as it has to pay
waiting → forgiven      the subscription ended first (`docs/rules.md`)
in a bill → waiting     the bill is canceled, not the subscription: its credit waits again, its costs are given up
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, session
from portal.domain import shapes
from portal.domain.proration import Share

MOST = 2**53
"""What all lines of a bill may come to, in minor units: what every reader of JSON can read exactly."""
_WAITING = text("settled_at IS NULL")


class PendingCharge(Base):
    """`line` is a line of a transaction; a negative `amount` (minor units) is credit, of which it may be all.

    Settled either by `transaction_id`, the bill it went into, or without one: forgiven at the cancellation.
    """

    __tablename__ = "pending_charges"
    __table_args__ = (
        Index("ix_pending_charges_waiting", "subscription_id", postgresql_where=_WAITING, sqlite_where=_WAITING),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    transaction_id: Mapped[str | None]


@dataclass(frozen=True)
class Bill:
    """A bill before it is one: its lines, and how much of them earlier credit pays.

    `has_more`: whether cost or credit that waited for it is in it, beside what recurs.
    """

    lines: list[dict[str, Any]]
    credit: int = 0
    has_more: bool = False

    @property
    def amount(self) -> int:
        """All lines together, in minor units."""
        return sum(line["amount"] for line in self.lines)

    @property
    def due(self) -> int:
        return self.amount - self.credit


def line(price: Any, quantity: int, *, share: Share | None = None, amount: int | None = None) -> dict[str, Any]:
    """A line of a bill: the whole of a price, or a share of it.

    `amount` is what the quantity cost when it was billed, if that was before; credit is negative. Of a share `whole`
    keeps what all of it costs, which the invoice shows beside it.
    """
    amount = price.amount * quantity if amount is None else amount
    made = {
        "id": ids.new("txnitm"),
        "quantity": quantity,
        "amount": share.of(amount) if share else amount,
        "price": shapes.price(price),
        "product": shapes.product(price.product),
        "proration": share.told() if share else None,
    }
    return made | {"whole": amount} if share else made


def recurring(subscription: Any, share: Share | None = None) -> list[dict[str, Any]]:
    """The lines of every period, or of a part of one."""
    return [line(item.price, item.quantity, share=share) for item in subscription.items if item.recurring]


def netted(lines: Iterable[dict[str, Any]]) -> Bill:
    """A bill of what costs, on which what gives credit is counted: all of it, even if it is more than the cost."""
    lines = list(lines)
    credit = -sum(each["amount"] for each in lines if each["amount"] < 0)
    return Bill([each for each in lines if each["amount"] > 0], credit)


def next_bill(subscription: Any, waiting: Iterable[dict[str, Any]], share: Share | None = None) -> Bill:
    """The bill of the next period, or of a `share` of it, with the lines that wait for it.

    Credit never makes it negative: the rest waits on.
    """
    extra = netted(waiting)
    lines = [*recurring(subscription, share), *extra.lines]
    credit = min(extra.credit, Bill(lines).amount)
    return Bill(lines, credit, has_more=bool(extra.lines or credit))


def waiting_of(subscription_id: str) -> Sequence[PendingCharge]:
    """What waits for the next bill, oldest first, locked: to be settled."""
    wanted = (
        select(PendingCharge)
        .where(PendingCharge.subscription_id == subscription_id, PendingCharge.settled_at.is_(None))
        .order_by(PendingCharge.id)
    )
    return session().scalars(wanted.with_for_update()).all()


def lines_waiting(subscription_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The lines that wait for the next bill of each, oldest first, of all in one statement; nothing is locked."""
    wanted = (
        select(PendingCharge.subscription_id, PendingCharge.line)
        .where(PendingCharge.subscription_id.in_(list(subscription_ids)), PendingCharge.settled_at.is_(None))
        .order_by(PendingCharge.id)
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for subscription_id, each in session().execute(wanted):
        found[subscription_id].append(each)
    return found


def lines_waiting_of(subscription_id: str) -> list[dict[str, Any]]:
    """The same of one."""
    return lines_waiting((subscription_id,))[subscription_id]


def recurring_waiting(subscription_id: str) -> int:
    """What the changes of items that wait for the next bill come to, in minor units, credit subtracted."""
    return sum(
        each["amount"] for each in lines_waiting_of(subscription_id) if each.get("price", {}).get("billing_cycle")
    )


def add(subscription_id: str, lines: Iterable[dict[str, Any]]) -> None:
    """Puts lines, costs and credit, on the next bill."""
    now = clock.now()
    session().add_all(
        PendingCharge(
            id=ids.new("chg"), subscription_id=subscription_id, amount=each["amount"], line=each, created_at=now
        )
        for each in lines
        if each["amount"]
    )


def settle(waiting: Iterable[PendingCharge], transaction_id: str, credit: int) -> None:
    """Writes down what a bill has taken in: every charge, and `credit` minor units of the oldest credit."""
    now = clock.now()
    for each in waiting:
        if each.amount < 0 and credit == 0:
            continue
        if each.amount < 0:
            used = min(-each.amount, credit)
            credit -= used
            rest = each.amount + used
            add(each.subscription_id, [each.line | {"amount": rest}])
            each.amount = -used
        each.settled_at, each.transaction_id = now, transaction_id


def forgive_following(subscription_id: str, lines: Iterable[dict[str, Any]]) -> None:
    """Lets go of what was to be billed after lines of a bill that is given up."""
    ids_of_lines = {each["id"] for each in lines}
    for each in waiting_of(subscription_id):
        if each.line.get("follows") in ids_of_lines:
            each.settled_at = clock.now()


def give_back(subscription: Any, canceled: Any) -> None:
    """Lets the credit of a bill that was canceled wait for the next one; what has ended has no next one."""
    if subscription.status != "canceled":
        add(subscription.id, [{"amount": -canceled.credit}])


def forgive(subscription_ids: Iterable[str]) -> None:
    """Lets go of what would have been on the next bill of subscriptions that have ended; one statement."""
    session().execute(
        update(PendingCharge)
        .where(PendingCharge.subscription_id.in_(list(subscription_ids)), PendingCharge.settled_at.is_(None))
        .values(settled_at=clock.now())
        .execution_options(synchronize_session=False)
    )
