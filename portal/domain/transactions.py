"""What is charged: a purchase or one period of a subscription, its attempts, and its invoice.

    draft → ready → completed               somebody bought it (orders.py, purchases.py)
    billed → completed                      the charge of a period went through
    billed → past_due → completed           a later attempt did
    billed | past_due → canceled            the subscription was ended at once
    billed (manual)                         the customer pays an invoice by other means

An attempt has two steps, because no gateway is called inside a transaction: `claim` writes down the attempt with
its key, `settle` its outcome. A worker killed between them leaves the key behind, and whoever claims next repeats
that attempt with that key: a gateway answers a repeated key with the first answer, so money moves once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, bindparam, func, null, select, text
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, connection, session
from portal.domain import events, shapes
from portal.domain.actors import Actor
from portal.domain.counters import next_invoice_number
from portal.domain.payment_methods import Card, PaymentMethod
from portal.errors import NotFound, PaymentUnderWay

LEASE = timedelta(minutes=2)
OPEN = ("billed", "past_due")
"""Owed by a subscription."""
UNBILLED = ("draft", "ready")
"""Not a record yet: it can still be changed."""
METHOD_CHANGE = "subscription_payment_method_change"
_TO_TRY, _UNSETTLED = text("next_attempt_at IS NOT NULL"), text("lease_until IS NOT NULL")
_RENEWAL = text("origin = 'subscription_recurring'")


class Transaction(Base):
    __tablename__ = "transactions"
    __table_args__ = (
        Index(
            "uq_transactions_renewal",
            "subscription_id",
            "period_starts_at",
            unique=True,
            postgresql_where=_RENEWAL,
            sqlite_where=_RENEWAL,
        ),
        Index(None, "customer_id", "id"),
        Index(None, "subscription_id", "id"),
        Index(None, "status", "id"),
        Index(None, "updated_at", "id"),
        Index(None, "billed_at", "id"),
        Index("ix_transactions_due", "next_attempt_at", postgresql_where=_TO_TRY, sqlite_where=_TO_TRY),
        Index("ix_transactions_unsettled", "lease_until", postgresql_where=_UNSETTLED, sqlite_where=_UNSETTLED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"))
    subscription_id: Mapped[str | None] = mapped_column(ForeignKey("subscriptions.id"))
    address_id: Mapped[str | None]
    business_id: Mapped[str | None]
    status: Mapped[str]
    origin: Mapped[str] = mapped_column(default="subscription_recurring")
    collection_mode: Mapped[str]
    currency_code: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    lines: Mapped[Any] = mapped_column(JSON)
    payments: Mapped[Any] = mapped_column(JSON)
    credit: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What earlier credit paid of `amount`, in minor units."""
    period_starts_at: Mapped[datetime | None]
    period_ends_at: Mapped[datetime | None]
    billing_details: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    checkout_url: Mapped[str | None]
    """The seller's own page to pay on, if one was given; else the portal's."""
    again_of: Mapped[str | None]
    """The canceled subscription whose customer buys the same again."""
    change: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """What is done to the subscription once this is paid, and only then."""
    identified_at: Mapped[datetime | None]
    """When the buyer said on the checkout who they are; until they pay they may correct it."""
    revision: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """What the invoice says instead of what customer, address and business say."""
    revised_at: Mapped[datetime | None]
    invoice_number: Mapped[str | None] = mapped_column(unique=True)
    billed_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    failed_attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    attempt_key: Mapped[str | None]
    attempt_method_id: Mapped[str | None]
    attempt_reference: Mapped[str | None]
    attempt_card: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    @property
    def is_automatic(self) -> bool:
        return self.collection_mode == "automatic"

    @property
    def is_tried(self) -> bool:
        """Whether a card is charged for it without anybody's doing, or at this very moment."""
        return self.is_automatic and (self.next_attempt_at or self.lease_until) is not None

    @property
    def is_given_up(self) -> bool:
        """Whether its last attempt has failed: it stays due, and a new card can pay it, but nothing waits for it."""
        return self.is_automatic and self.status == "past_due" and not self.is_tried

    @property
    def has_invoice(self) -> bool:
        """Whether there is an invoice an app can get: a demand for payment if it is collected manually."""
        done = ("paid", "completed") if self.is_automatic else ("billed", "paid", "completed")
        return self.invoice_number is not None and self.status in done

    @property
    def due(self) -> int:
        """What is left to pay after earlier credit, in minor units."""
        return self.amount - (self.credit or 0)


@dataclass(frozen=True)
class Attempt:
    """One attempt to collect, as the gateway is asked for it."""

    transaction_id: str
    key: str
    method_id: str | None
    reference: str | None
    amount: int
    currency: str
    repeats: bool
    """Whether this finishes an attempt that somebody began and did not settle."""
    card: Card | None = None
    """An offered card that is to be stored once it has paid."""

    @property
    def offered(self) -> bool:
        """Whether the card is one that a customer offered and that is not stored yet."""
        return self.reference is not None and self.method_id is None


def get(transaction_id: str, *, customer_id: str | None = None) -> Transaction:
    """One transaction; inside a database transaction its row is locked until the end of it.

    Raises NotFound, alike for an unknown id and for another customer's.
    """
    wanted = select(Transaction).where(Transaction.id == transaction_id)
    if customer_id is not None:
        wanted = wanted.where(Transaction.customer_id == customer_id)
    if db.in_transaction():
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    found = session().scalar(wanted)
    if found is None:
        raise NotFound("transaction", transaction_id)
    return found


_NEWEST = "txn_" + "z" * 26
_DUE = Transaction.__table__.c.amount - func.coalesce(Transaction.__table__.c.credit, 0)
_OF_CUSTOMER = (
    select(Transaction.__table__, _DUE.label("due"))
    .where(
        Transaction.__table__.c.customer_id == bindparam("customer_id"),
        Transaction.__table__.c.billed_at.is_not(None),
        Transaction.__table__.c.origin != METHOD_CHANGE,
        Transaction.__table__.c.id < bindparam("below"),
    )
    .order_by(Transaction.__table__.c.id.desc())
    .limit(bindparam("limit"))
)


def of_customer(customer_id: str, limit: int = 100, *, below: str | None = None) -> Sequence[Any]:
    """What a customer was billed as plain rows with its `due`, newest first; `below` is the last one seen."""
    wanted = {"customer_id": customer_id, "limit": limit, "below": below or _NEWEST}
    return connection().execute(_OF_CUSTOMER, wanted).all()


def of_subscription(subscription_id: str, limit: int = 24) -> Sequence[Transaction]:
    """What was billed for a subscription, newest first."""
    return (
        session()
        .scalars(
            select(Transaction)
            .where(
                Transaction.subscription_id == subscription_id,
                Transaction.billed_at.is_not(None),
                Transaction.origin != METHOD_CHANGE,
            )
            .order_by(Transaction.id.desc())
            .limit(limit)
        )
        .all()
    )


def has_no_change_under_way(subscription_id: Any) -> Any:
    """The condition that no change of a subscription is being paid.

    It was asked for in time, so it comes before an end, a pause or a renewal, however late the worker finishes it.
    """
    begun = select(Transaction.id).where(
        Transaction.subscription_id == subscription_id,
        Transaction.lease_until.is_not(None),
        Transaction.change.is_not(null()),
    )
    return ~begun.exists()


def cancel(transaction: Transaction, *, by: Actor) -> None:
    """Gives a debt up. Raises PaymentUnderWay while it is being collected."""
    if transaction.attempt_key is not None:  # begun and not settled: the money may have moved
        raise PaymentUnderWay("A payment is being collected this very moment. Nothing was changed. Try in a minute.")
    transaction.status, transaction.next_attempt_at = "canceled", None
    transaction.updated_at = clock.now()
    events.record("transaction.updated", transaction, by=by)
    events.record("transaction.canceled", transaction, by=by)


def next_due() -> str | None:
    """The id of a transaction to collect: one whose attempt nobody settled, else one whose next attempt is due."""
    now = clock.now()
    unsettled = select(Transaction.id).where(Transaction.lease_until <= now).order_by(Transaction.lease_until)
    due = select(Transaction.id).where(Transaction.next_attempt_at <= now, Transaction.lease_until.is_(None))
    return session().scalar(unsettled.limit(1)) or session().scalar(due.order_by(Transaction.next_attempt_at).limit(1))


def subscription_of(transaction_id: str) -> str | None:
    """The id of the subscription that a transaction bills, looked up without a lock."""
    return session().scalar(select(Transaction.subscription_id).where(Transaction.id == transaction_id))


def is_purchase(transaction_id: str) -> bool:
    """Whether it is bought by itself, and not a bill of a subscription."""
    return subscription_of(transaction_id) is None


def claim(
    transaction_id: str, method: PaymentMethod | None, reference: str | None = None, *, card: Card | None = None
) -> Attempt | None:
    """Begins an attempt and keeps others away until it is settled; None if nothing is owed any more.

    `reference` names a card that is not stored yet; `card` is one that is stored once it has paid, with all a worker
    needs to know of it. Raises PaymentUnderWay if somebody else is at it.
    """
    now = clock.now()
    transaction = locked(transaction_id)
    if transaction.status not in OPEN and not (transaction.status == "ready" and transaction.is_automatic):
        return None
    reference = card.reference if card else reference
    if transaction.lease_until is not None and transaction.lease_until > now:
        raise PaymentUnderWay("This payment is being collected this very moment. Try again in a minute.")
    repeats = transaction.attempt_key is not None
    if not repeats:
        transaction.attempt_key = ids.new("att")
        transaction.attempt_method_id = method.id if method and reference is None else None
        transaction.attempt_reference = reference or (method.reference if method else None)
        transaction.attempt_card = asdict(card) if card else None
    transaction.lease_until = now + LEASE
    return Attempt(
        transaction_id=transaction.id,
        key=transaction.attempt_key or "",
        method_id=transaction.attempt_method_id,
        reference=transaction.attempt_reference,
        amount=transaction.due,
        currency=transaction.currency_code,
        repeats=repeats,
        card=Card(**transaction.attempt_card) if transaction.attempt_card else None,
    )


def claim_due(transaction_id: str, method: PaymentMethod | None) -> Attempt | None:
    """`claim` for the worker, which found it due without a lock; None if somebody has settled it since."""
    found, now = locked(transaction_id), clock.now()
    due_at = found.lease_until or found.next_attempt_at
    return claim(transaction_id, method) if due_at is not None and due_at <= now else None


def settle_paid(attempt: Attempt, card: Any, *, by: Actor) -> Transaction | None:
    """Writes down that an attempt went through; None if somebody has already settled it."""
    transaction = receive(attempt, card, by=by)
    if transaction is not None:
        complete(transaction, by=by)
    return transaction


def receive(attempt: Attempt, card: Any, *, by: Actor, **told: Any) -> Transaction | None:
    """The money of an attempt has come: billed, if it was not yet, and paid. None if that is written down already.

    `told` is what the history tells of it (`events.record`).
    """
    transaction = _settled(attempt, card, error=None)
    if transaction is None:
        return None
    now = clock.now()
    transaction.invoice_number = transaction.invoice_number or next_invoice_number()
    transaction.billed_at = transaction.billed_at or now
    transaction.status, transaction.paid_at, transaction.next_attempt_at = "paid", now, None
    events.record("transaction.updated", transaction, by=by)
    events.record("transaction.paid", transaction, by=by, **told)
    return transaction


def complete(transaction: Transaction, *, by: Actor) -> None:
    """All that follows from its payment is done."""
    transaction.status, transaction.updated_at = "completed", clock.now()
    events.record("transaction.updated", transaction, by=by)
    events.record("transaction.completed", transaction, by=by)


def issue(transaction: Transaction, *, by: Actor) -> None:
    """Makes a record of a transaction that an invoice asks for: from here on it can't be changed."""
    now = clock.now()
    transaction.invoice_number, transaction.billed_at = next_invoice_number(), now
    transaction.status, transaction.updated_at = "billed", now
    events.record("transaction.updated", transaction, by=by)
    events.record("transaction.billed", transaction, by=by)


def settle_failed(
    attempt: Attempt, card: Any, error: str, *, retry_at: datetime | None, by: Actor
) -> Transaction | None:
    """Writes down that an attempt failed and when the next one is; None if somebody has already settled it."""
    transaction = _settled(attempt, card, error=error)
    if transaction is None:
        return None
    first = transaction.failed_attempts == 0
    transaction.failed_attempts += 1
    transaction.status, transaction.next_attempt_at = "past_due", retry_at
    events.record("transaction.payment_failed", transaction, by=by)
    if first:
        events.record("transaction.past_due", transaction, by=by)
    return transaction


def settle_declined(attempt: Attempt, error: str, card: Any = None) -> Transaction | None:
    """Writes down that a card the customer offered was refused; the schedule of attempts stays as it was."""
    return _settled(attempt, card, error=error)


def _settled(attempt: Attempt, card: Any, *, error: str | None) -> Transaction | None:
    transaction = locked(attempt.transaction_id)
    if transaction.attempt_key != attempt.key:
        return None
    transaction.attempt_key = transaction.attempt_method_id = transaction.attempt_reference = None
    transaction.attempt_card = None
    transaction.lease_until, transaction.updated_at = None, clock.now()
    transaction.payments = [*transaction.payments, _payment(attempt, card, error)]
    return transaction


def _payment(attempt: Attempt, card: Any, error: str | None) -> dict[str, Any]:
    return {
        "payment_attempt_id": attempt.key,
        "payment_method_id": attempt.method_id,
        "stored_payment_method_id": attempt.method_id,
        "amount": str(attempt.amount),
        "status": "error" if error else "captured",
        "error_code": error,
        "method_details": {
            "type": "card" if card else "unknown",
            "card": {
                "type": card.brand,
                "last4": card.last4,
                "expiry_month": card.expiry_month,
                "expiry_year": card.expiry_year,
                "cardholder_name": None,
            }
            if card
            else None,
        },
        "created_at": shapes.instant(clock.now()),
        "captured_at": None if error else shapes.instant(clock.now()),
    }


def locked(transaction_id: str) -> Transaction:
    """A row that is known to be there, locked and read anew."""
    wanted = select(Transaction).where(Transaction.id == transaction_id).with_for_update()
    return session().scalars(wanted.execution_options(populate_existing=True)).one()
