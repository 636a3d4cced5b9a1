"""What is charged: one transaction a period, its attempts, and its invoice.

    billed → completed                      the charge went through
    billed → past_due → completed           a later attempt did
    billed | past_due → canceled            the subscription was ended at once
    billed (manual)                         the customer pays an invoice by other means

An attempt has two steps, because no gateway is called inside a transaction: `claim` writes down the attempt with
its key, `settle` its outcome. A worker killed between them leaves the key behind, and whoever claims next repeats
that attempt with that key: a gateway answers a repeated key with the first answer, so money moves once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, bindparam, select, text
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, connection, session
from portal.domain import events, shapes
from portal.domain.actors import Actor
from portal.domain.payment_methods import PaymentMethod
from portal.errors import NotFound, PaymentUnderWay

LEASE = timedelta(minutes=2)
OPEN = ("billed", "past_due")
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
    revision: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
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


class Counter(Base):
    """A number that grows by one in the transaction that uses it, without gaps."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


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

    @property
    def offered(self) -> bool:
        """Whether the card is one that a customer offered and that is not stored yet."""
        return self.reference is not None and self.method_id is None


def get(transaction_id: str, *, customer_id: str) -> Transaction:
    """Raises NotFound, alike for an unknown id and for another customer's."""
    found = session().scalar(
        select(Transaction).where(Transaction.id == transaction_id, Transaction.customer_id == customer_id)
    )
    if found is None:
        raise NotFound("transaction", transaction_id)
    return found


_OF_CUSTOMER = (
    select(Transaction.__table__)
    .where(Transaction.__table__.c.customer_id == bindparam("customer_id"))
    .order_by(Transaction.__table__.c.id.desc())
    .limit(bindparam("limit"))
)


def of_customer(customer_id: str, limit: int = 100) -> Sequence[Any]:
    """A customer's transactions as plain rows, newest first."""
    return connection().execute(_OF_CUSTOMER, {"customer_id": customer_id, "limit": limit}).all()


def of_subscription(subscription_id: str, limit: int = 24) -> Sequence[Transaction]:
    """A subscription's transactions, newest first."""
    return (
        session()
        .scalars(
            select(Transaction)
            .where(Transaction.subscription_id == subscription_id)
            .order_by(Transaction.id.desc())
            .limit(limit)
        )
        .all()
    )


def open_of(subscription_id: str) -> Sequence[Transaction]:
    """What a subscription still owes, oldest first; locked inside a transaction."""
    owed = (
        select(Transaction)
        .where(Transaction.subscription_id == subscription_id, Transaction.status.in_(OPEN))
        .order_by(Transaction.id)
    )
    return session().scalars(owed.with_for_update() if db.in_transaction() else owed).all()


def bill(subscription: Any, *, starts_at: datetime, ends_at: datetime, by: Actor) -> Transaction:
    """Bills one period of a subscription: a transaction ready to be collected, with its invoice number."""
    now = clock.now()
    transaction = Transaction(
        id=ids.new("txn"),
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        address_id=subscription.address_id,
        status="billed",
        origin="subscription_recurring",
        collection_mode=subscription.collection_mode,
        currency_code=subscription.currency_code,
        amount=subscription.amount,
        lines=[_line(item) for item in subscription.items if item.recurring],
        payments=[],
        period_starts_at=starts_at,
        period_ends_at=ends_at,
        invoice_number=_next_invoice_number(),
        billed_at=now,
        failed_attempts=0,
        next_attempt_at=now if subscription.is_automatic else None,
        created_at=now,
        updated_at=now,
    )
    session().add(transaction)
    session().flush()
    events.record("transaction.created", transaction, by=by)
    events.record("transaction.billed", transaction, by=by)
    return transaction


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


def claim(transaction_id: str, method: PaymentMethod | None, reference: str | None = None) -> Attempt | None:
    """Begins an attempt and keeps others away until it is settled; None if nothing is owed any more.

    `reference` names a card that is not stored yet. Raises PaymentUnderWay if somebody else is at it.
    """
    now = clock.now()
    transaction = _locked(transaction_id)
    if transaction.status not in OPEN:
        return None
    if transaction.lease_until is not None and transaction.lease_until > now:
        raise PaymentUnderWay("This payment is being collected this very moment. Try again in a minute.")
    repeats = transaction.attempt_key is not None
    if not repeats:
        transaction.attempt_key = ids.new("att")
        transaction.attempt_method_id = method.id if method and reference is None else None
        transaction.attempt_reference = reference or (method.reference if method else None)
    transaction.lease_until = now + LEASE
    return Attempt(
        transaction_id=transaction.id,
        key=transaction.attempt_key or "",
        method_id=transaction.attempt_method_id,
        reference=transaction.attempt_reference,
        amount=transaction.amount,
        currency=transaction.currency_code,
        repeats=repeats,
    )


def settle_paid(attempt: Attempt, card: Any, *, by: Actor) -> Transaction | None:
    """Writes down that an attempt went through; None if somebody has already settled it."""
    transaction = _settled(attempt, card, error=None)
    if transaction is None:
        return None
    transaction.status, transaction.paid_at, transaction.next_attempt_at = "completed", clock.now(), None
    events.record("transaction.paid", transaction, by=by)
    events.record("transaction.completed", transaction, by=by)
    return transaction


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


def settle_declined(attempt: Attempt, error: str) -> None:
    """Writes down that a card the customer offered was refused; the schedule of attempts stays as it was."""
    _settled(attempt, None, error=error)


def _settled(attempt: Attempt, card: Any, *, error: str | None) -> Transaction | None:
    transaction = _locked(attempt.transaction_id)
    if transaction.attempt_key != attempt.key:
        return None
    transaction.attempt_key = transaction.attempt_method_id = transaction.attempt_reference = None
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


def _locked(transaction_id: str) -> Transaction:
    wanted = select(Transaction).where(Transaction.id == transaction_id).with_for_update()
    return session().scalars(wanted.execution_options(populate_existing=True)).one()


def _line(item: Any) -> dict[str, Any]:
    return {
        "id": ids.new("txnitm"),
        "quantity": item.quantity,
        "amount": item.price.amount * item.quantity,
        "price": shapes.price(item.price),
        "product": shapes.product(item.price.product),
    }


def _next_invoice_number() -> str:
    insert = db.upsert(Counter).values(name="invoice", value=1)
    counted = insert.on_conflict_do_update(index_elements=["name"], set_={"value": Counter.value + 1})
    number = session().execute(counted.returning(Counter.value)).scalar_one()
    return f"{clock.now():%Y}-{number:06d}"
