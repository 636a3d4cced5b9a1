"""How a customer pays. Of a card only brand, last four digits and expiry are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, session
from portal.domain import events, mails
from portal.domain.actors import Actor


class PaymentMethod(Base):
    """`reference` is what the gateway knows the card by; it can charge it, so it never leaves the server."""

    __tablename__ = "payment_methods"
    __table_args__ = (Index(None, "customer_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    type: Mapped[str] = mapped_column(default="card")
    brand: Mapped[str]
    last4: Mapped[str]
    expiry_month: Mapped[int]
    expiry_year: Mapped[int]
    gateway: Mapped[str]
    reference: Mapped[str]
    origin: Mapped[str] = mapped_column(default="subscription", server_default="subscription")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """Since then it is shown nowhere and charged for nothing; its `reference` is gone."""

    def has_expired_by(self, instant: datetime) -> bool:
        """Whether it can't be charged at an instant: a card is good to the end of its month."""
        return (instant.year, instant.month) > (self.expiry_year, self.expiry_month)


@dataclass(frozen=True)
class Card:
    """What a gateway tells of a card it has accepted."""

    brand: str
    last4: str
    expiry_month: int
    expiry_year: int
    gateway: str
    reference: str


def replace(subscription: Any, card: Card, *, by: Actor, next_payment: dict[str, Any]) -> Any:
    """Stores a card the gateway accepted and pays this subscription with it from now on.

    The card that pays it already is stored once: a form sent twice changes nothing the second time. The mail tells
    of the `next_payment` too (`ending.told_next`).
    """
    stored = subscription.payment_method
    if stored is not None and all(getattr(stored, name) == value for name, value in asdict(card).items()):
        return stored
    method = _stored(subscription.customer_id, card, origin="subscription", by=by)
    subscription.payment_method = method
    subscription.touch()
    told = {"old": _told(stored), "new": _told(method)}
    events.record("subscription.updated", subscription, by=by, transition="payment_method_changed", **told)
    mails.tell("payment_method_changed", subscription, **next_payment)
    return method


def save(customer_id: str, card: Card, *, by: Actor) -> PaymentMethod:
    """Stores the card that paid a purchase; one the customer has stored already is kept once."""
    own = select(PaymentMethod).where(PaymentMethod.customer_id == customer_id, PaymentMethod.deleted_at.is_(None))
    same = (getattr(PaymentMethod, name) == value for name, value in asdict(card).items())
    known = session().scalar(own.where(*same).limit(1).with_for_update())  # or it is deleted at this moment
    return known or _stored(customer_id, card, origin="saved_during_purchase", by=by)


def of_customer(customer_id: str) -> Sequence[PaymentMethod]:
    """What a customer has stored and not deleted, the latest first; at most 50."""
    own = select(PaymentMethod).where(PaymentMethod.customer_id == customer_id, PaymentMethod.deleted_at.is_(None))
    return session().scalars(own.order_by(PaymentMethod.id.desc()).limit(50)).all()


def _told(card: Any) -> dict[str, Any] | None:
    """What the history says of a card."""
    return {"brand": card.brand, "last4": card.last4} if card else None


def _stored(customer_id: str, card: Card, *, origin: str, by: Actor) -> PaymentMethod:
    now = clock.now()
    method = PaymentMethod(
        id=ids.new("paymtd"),
        customer_id=customer_id,
        type="card",
        origin=origin,
        created_at=now,
        updated_at=now,
        **asdict(card),
    )
    session().add(method)
    session().flush()
    events.record("payment_method.saved", method, by=by)
    return method
