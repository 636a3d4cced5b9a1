"""Subscriptions as they stand: rows, what can be asked of them, and how they are found.

    status     trialing → active ⇄ past_due, active ⇄ paused, any → canceled (final)
    scheduled  a change that will come: scheduled_action (cancel, pause, resume) at scheduled_effective_at
    payments   next_billed_at, or while a change is scheduled billing_resumes_at; never both. An end beyond the paid
               period leaves next_billed_at where it is, and each renewal asks anew whether the end comes first

The scheduled change stands on the row itself, under its version check. Only cancellation.py, renewal.py and
pausing.py change a status.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Select, bindparam, select, text
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship, selectinload

from portal import clock, config, db
from portal.db import Base, connection, session
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.customers import Customer
from portal.domain.payment_methods import PaymentMethod
from portal.errors import AlreadyCanceled, Changed, LockedForRenewal, NotFound, PastDue

CANCEL, PAUSE, RESUME = "cancel", "pause", "resume"
NEW_PERIOD, SAME_PERIOD = "start_new_billing_period", "continue_existing_billing_period"
STATUSES = ("active", "trialing", "past_due", "paused", "canceled")
LIVE = ("active", "trialing", "past_due")
RENEWING = ("active", "trialing")
_IS_SCHEDULED = text("scheduled_action IS NOT NULL")


class Standing:
    """What can be asked of a subscription, be it a mapped row or a plain one."""

    if TYPE_CHECKING:
        id: Any
        items: Any
        status: Any
        scheduled_action: Any
        scheduled_effective_at: Any
        next_billed_at: Any
        billing_resumes_at: Any
        period_ends_at: Any
        kept_period_ends_at: Any
        collection_mode: Any
        scheduled_resume_at: Any
        scheduled_at: Any
        scheduled_by: Any
        canceled_by: Any
        remind_at: Any
        updated_at: Any
        on_resume: Any
        remaining_payments: Any

    @property
    def amount(self) -> int:
        """What one period costs, in minor units."""
        return sum(item.price.amount * item.quantity for item in self.items if item.recurring)

    @property
    def name(self) -> str:
        """What a customer calls it: the name of its first product."""
        return self.items[0].price.product.name if self.items else self.id

    @property
    def is_ending(self) -> bool:
        """Whether a cancellation is scheduled."""
        return self.scheduled_action == CANCEL

    @property
    def ends_at(self) -> datetime | None:
        """When the scheduled cancellation takes effect, if one is scheduled and has a date."""
        return self.scheduled_effective_at if self.is_ending else None

    @property
    def paid_until(self) -> datetime | None:
        """The end of the paid period: the next billing, or what it would have been, or of the period of a pause."""
        return self.next_billed_at or self.billing_resumes_at or self.period_ends_at or self.kept_period_ends_at

    @property
    def is_plan_completed(self) -> bool:
        """Whether it is a payment plan of which everything is billed."""
        return bool(self.remaining_payments == 0)

    @property
    def binds_customer(self) -> bool:
        """Whether it is a payment plan, which the seller ends; while a trial runs the customer may."""
        return self.remaining_payments is not None and self.status != "trialing"

    @property
    def bills_until_end(self) -> bool:
        """Whether a cancellation is scheduled for later than the paid period, so that payments go on until it."""
        return self.is_ending and self.next_billed_at is not None

    @property
    def resumes_at(self) -> datetime | None:
        """When a pause ends by itself, one that is planned too; None: it does not, or there is none."""
        if self.scheduled_action == PAUSE:
            return self.scheduled_resume_at
        return self.scheduled_effective_at if self.scheduled_action == RESUME else None

    def goes_on_with_period(self, at: datetime, on_resume: str | None) -> bool:
        """Whether a resumption goes on with what a pause has left of the period; else a new one is billed."""
        kept_until = self.kept_period_ends_at
        return on_resume == SAME_PERIOD and kept_until is not None and bool(kept_until > at)

    @property
    def is_automatic(self) -> bool:
        return self.collection_mode == "automatic"

    def has_run_out(self, instant: datetime) -> bool:
        """Whether nothing is left to run out, so that an end is at once: paused, or past due for longer than paid."""
        if self.status == "past_due":
            return self.paid_until is not None and self.paid_until <= instant
        return self.status == "paused" and (self.paid_until is None or self.paid_until <= instant)

    def locks_apps_at(self, instant: datetime) -> bool:
        """Whether it is too close to its billing (or its end) for an app to change it."""
        boundary = self.next_billed_at or self.scheduled_effective_at
        return boundary is not None and instant > boundary - config.current().renewal_lock

    def refuse_if_canceled(self) -> None:
        """Raises AlreadyCanceled."""
        if self.status == "canceled":
            raise AlreadyCanceled("The subscription is canceled, which is final. Nothing was changed.")

    def refuse_apps(self, by: Actor) -> None:
        """The contract's refusals; they protect the biller from apps, not from customers.

        Raises PastDue, LockedForRenewal.
        """
        if by.kind == "key" and self.status == "past_due":
            raise PastDue("A payment is overdue. Nothing was changed. Wait until it is collected, or cancel at once.")
        self.refuse_apps_near_billing(by)

    def refuse_apps_near_billing(self, by: Actor) -> None:
        """Raises LockedForRenewal."""
        if by.kind == "key" and self.status in LIVE and self.locks_apps_at(by.received_at):
            raise LockedForRenewal("The next billing is too close to change the subscription. Nothing was changed.")

    def schedule(self, action: str, *, at: datetime | None, by: Actor, resume_at: datetime | None = None) -> None:
        """Plans a change; no payment is planned while it stands, but those before an end beyond the paid period."""
        planned = self.next_billed_at or self.billing_resumes_at
        self.scheduled_action, self.scheduled_effective_at, self.scheduled_resume_at = action, at, resume_at
        self.scheduled_at, self.scheduled_by = by.received_at, by.kind
        self.canceled_by = by.kind if action == CANCEL else None
        if planned is None or not self.bills_before_end(planned):
            self.billing_resumes_at, self.next_billed_at, self.remind_at = planned, None, None
        elif self.next_billed_at is None:
            self.bill_until_end(planned)
        self.touch()

    def unschedule(self) -> None:
        """Takes the planned change back; payments go on at the instant they were planned for."""
        if self.next_billed_at is None:
            self.bill_next_at(self.billing_resumes_at)
        self.clear_schedule()

    def clear_schedule(self) -> None:
        self.scheduled_action = self.scheduled_effective_at = self.scheduled_resume_at = None
        self.scheduled_at = self.scheduled_by = self.billing_resumes_at = self.canceled_by = None
        self.touch()

    def bills_before_end(self, instant: datetime) -> bool:
        """Whether the scheduled change is an end that leaves a payment of this instant to be made."""
        return self.ends_at is not None and instant < self.ends_at and self.status in LIVE

    def bill_until_end(self, instant: datetime) -> None:
        """Plans the next payment, or remembers it if the scheduled end comes first."""
        if self.is_ending and not self.bills_before_end(instant):
            self.billing_resumes_at, self.next_billed_at, self.remind_at = instant, None, None
            return
        self.billing_resumes_at = None
        self.bill_next_at(instant)

    def bill_next_at(self, instant: datetime | None) -> None:
        """Plans the next payment and, if there is time for it, its reminder."""
        self.next_billed_at = instant
        self.remind_at = reminder_for(instant)

    def touch(self) -> None:
        self.updated_at = clock.now()


class Subscription(Standing, Base):
    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "customer_id", "id"),
        Index(None, "status", "id"),
        Index(None, "scheduled_action", "id"),
        Index("ix_subscriptions_due", "scheduled_action", "scheduled_effective_at", postgresql_where=_IS_SCHEDULED),
        Index(None, "collection_mode", "id"),
        Index(None, "address_id", "id"),
        Index(None, "next_billed_at"),
        Index(None, "remind_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    address_id: Mapped[str | None]
    business_id: Mapped[str | None]
    status: Mapped[str]
    currency_code: Mapped[str]
    collection_mode: Mapped[str] = mapped_column(default="automatic")
    billing_details: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    billing_interval: Mapped[str]
    billing_frequency: Mapped[int]
    anchor_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    first_billed_at: Mapped[datetime | None]
    next_billed_at: Mapped[datetime | None]
    period_starts_at: Mapped[datetime | None]
    period_ends_at: Mapped[datetime | None]
    price_lasts: Mapped[int | None] = mapped_column(BigInteger)
    """How long one price pays for in this period (or in the one a pause keeps), in microseconds.

    None, until the period's end is moved: as long as the period.
    """
    paused_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    scheduled_action: Mapped[str | None]
    scheduled_effective_at: Mapped[datetime | None]
    scheduled_resume_at: Mapped[datetime | None]
    scheduled_at: Mapped[datetime | None]
    scheduled_by: Mapped[str | None]
    billing_resumes_at: Mapped[datetime | None]
    """While a change is scheduled and nothing is billed before it: what next_billed_at was, and will be again if the
    change is withdrawn."""
    on_resume: Mapped[str | None]
    """How a pause said that it ends: with a new period, or with what was left of the old one."""
    kept_period_starts_at: Mapped[datetime | None]
    kept_period_ends_at: Mapped[datetime | None]
    """While paused: the paid period that was cut short by the pause."""
    remind_at: Mapped[datetime | None]
    payment_method_id: Mapped[str | None] = mapped_column(ForeignKey("payment_methods.id"))
    discount: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    canceled_by: Mapped[str | None]
    """The kind of whoever asked for the cancellation that stands or was carried out; gone when it is withdrawn."""
    remaining_payments: Mapped[int | None]
    """Of a payment plan: how many payments are still to be billed. None: it renews until it is canceled."""
    cancellation: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """Reason and comment of the cancellation that stands; gone when it is withdrawn (the history keeps it)."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="raise")
    payment_method: Mapped[PaymentMethod | None] = relationship(lazy="raise")
    items: Mapped[list["SubscriptionItem"]] = relationship(
        lazy="raise", order_by="SubscriptionItem.position", cascade="all, delete-orphan"
    )

    __mapper_args__ = {"version_id_col": version}


class SubscriptionItem(Base):
    __tablename__ = "subscription_items"
    __table_args__ = (Index(None, "price_id", "subscription_id"),)

    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    price_id: Mapped[str] = mapped_column(ForeignKey("prices.id"))
    status: Mapped[str] = mapped_column(default="active")
    quantity: Mapped[int] = mapped_column(default=1)
    recurring: Mapped[bool] = mapped_column(default=True)
    previously_billed_at: Mapped[datetime | None]
    billed_quantity: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many of it are billed for the current period (or for the one a pause keeps), and gave no credit yet."""
    billed_amount: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What a whole period of these cost when they were billed, in minor units."""
    trial_starts_at: Mapped[datetime | None]
    trial_ends_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    price: Mapped[Price] = relationship(lazy="raise")


def reminder_for(billing: datetime | None) -> datetime | None:
    """When a billing is announced: never if that moment has passed (short cycles, withdrawals at the end)."""
    before = config.current().reminder_before
    if billing is None or before == timedelta() or billing - before <= clock.now():
        return None
    return billing - before


def whole() -> Select[Subscription]:
    """Subscriptions with all that a page, a mail or an event says of them: three statements, however many."""
    items = selectinload(Subscription.items).joinedload(SubscriptionItem.price).joinedload(Price.product)
    return select(Subscription).options(
        items, joinedload(Subscription.customer, innerjoin=True), joinedload(Subscription.payment_method)
    )


@lru_cache
def _one(of_customer: bool) -> Select[Subscription]:
    """The statement of `get`, built once: one row of its subscription for each item."""
    items = joinedload(Subscription.items).joinedload(SubscriptionItem.price).joinedload(Price.product)
    wanted = select(Subscription).options(
        items,  # outer joins in a row: SQLite would read every item for an inner join within an outer one
        joinedload(Subscription.customer, innerjoin=True),
        joinedload(Subscription.payment_method),
    )
    wanted = wanted.where(Subscription.id == bindparam("id"))
    if of_customer:
        wanted = wanted.where(Subscription.customer_id == bindparam("customer_id"))
    return wanted.execution_options(populate_existing=True)


def get(subscription_id: str, *, customer_id: str | None = None) -> Subscription:
    """One subscription, whole; inside a transaction its row is locked until the end of it.

    Locked first, then read: a statement that had to wait for a row sees the row as it is, but all that it joins as it
    was before. Raises NotFound, alike for an unknown id and for another customer's.
    """
    if db.in_transaction() and db.is_postgresql():
        session().execute(_LOCK, {"id": subscription_id})
    wanted = _one(customer_id is not None)
    subscription = session().scalars(wanted, {"id": subscription_id, "customer_id": customer_id}).unique().first()
    if subscription is None:
        raise NotFound("subscription", subscription_id)
    return subscription


def any_where(*conditions: Any) -> bool:
    """Whether there is such a subscription at all; takes no lock."""
    return session().scalar(select(Subscription.id).where(*conditions).limit(1)) is not None


def ids_where(*conditions: Any, first: Any, limit: int) -> Sequence[str]:
    """The ids of up to `limit` such subscriptions, in the order of a column: a look without a lock, before a batch."""
    return session().scalars(select(Subscription.id).where(*conditions).order_by(first).limit(limit)).all()


def lock(*conditions: Any, first: Any, limit: int) -> tuple[Any, ...]:
    """Locks up to `limit` such subscriptions that nobody else holds; answers the condition that it is one of them.

    They are to be read with it by a statement of their own, for the reason that `get` names. It asks the conditions
    again, because what they ask of other tables may have changed too.
    """
    wanted = select(Subscription.id).where(*conditions).order_by(first).limit(limit)
    locked = session().scalars(wanted.with_for_update(skip_locked=True)).all()
    return (Subscription.id.in_(locked), *conditions)


def locked(*conditions: Any, first: Any, limit: int) -> Sequence[Subscription]:
    """Those that `lock` locks, whole."""
    mine = lock(*conditions, first=first, limit=limit)
    return session().scalars(whole().where(*mine).order_by(first)).all()


def just(id: str | None) -> tuple[Any, ...]:
    """The condition that it is this one, if one is named."""
    return () if id is None else (Subscription.id == id,)


def refuse_archiving(customer_id: str) -> None:
    """Raises Changed while a customer has a subscription that is not canceled: they must be able to end it."""
    if any_where(Subscription.customer_id == customer_id, Subscription.status != "canceled"):
        raise Changed("The customer has a subscription that is not canceled. Nothing was changed; cancel it first.")


_TABLE = Subscription.__table__
_LOCK = select(_TABLE.c.id).where(_TABLE.c.id == bindparam("id")).with_for_update()
_OWN = select(_TABLE.c.id).where(
    _TABLE.c.customer_id == bindparam("customer_id"), _TABLE.c.id.in_(bindparam("ids", expanding=True))
)


def unknown_among(subscription_ids: Iterable[str], customer_id: str) -> list[str]:
    """The ids that are not this customer's subscriptions, in the order given."""
    wanted = list(subscription_ids)
    own = set(connection().execute(_OWN, {"customer_id": customer_id, "ids": wanted}).scalars()) if wanted else set()
    return [each for each in wanted if each not in own]
