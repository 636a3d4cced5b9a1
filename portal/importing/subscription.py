"""What the entry of a subscription may hold, and what must hold between its fields."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from portal.domain import payment_plans
from portal.domain.subscriptions import CANCEL, LIVE, PAUSE, RESUME
from portal.importing import storable
from portal.importing.entities import (
    AddressId,
    Currency,
    CustomerId,
    Cycle,
    Entity,
    Instant,
    Json,
    Name,
    Part,
    Period,
    Price,
    PriceId,
    Product,
    Quantity,
    Word,
    id_of,
)

_MAY_BE_SCHEDULED = {"canceled": (), "paused": (CANCEL, RESUME)}


Embedded = dict[str, tuple[Any, Any]]
"""Embedded prices and products as they were last read, by id, and what they became."""


def _read_once(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """What stands in thousands of subscriptions word for word is read once."""
    known: Embedded = info.context if info.context is not None else {}
    before = known.get(str(value.get("id"))) if isinstance(value, dict) else None
    if before and before[0] == value:
        return before[1]
    made = read(value)
    if made is not None:
        known[made.id] = (value, made)
    return made


class ScheduledChange(Part):
    action: Literal["cancel", "pause", "resume"]
    effective_at: Instant
    resume_at: Instant | None = None


class Item(Part):
    """`price` in full, as the contract has it; or `price_id` of one that stands elsewhere in the file or is stored."""

    status: Literal["active", "inactive", "trialing"] = "active"
    quantity: Quantity = 1
    recurring: bool = True
    created_at: Instant | None = None
    updated_at: Instant | None = None
    previously_billed_at: Instant | None = None
    next_billed_at: Instant | None = None
    trial_dates: Period | None = None
    price: Annotated[Price | None, WrapValidator(_read_once)] = None
    price_id: PriceId | None = None
    product: Annotated[Product | None, WrapValidator(_read_once)] = None

    @model_validator(mode="after")
    def _refuse_unpriced(self) -> "Item":
        if self.price is None and self.price_id is None:
            raise ValueError("has no price")
        return self


class Discount(BaseModel, extra="allow", strict=True):
    """Kept as it is, but for its instants, which may be moved."""

    starts_at: Instant | None = None
    ends_at: Instant | None = None


class Card(Part):
    type: Word
    last4: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]
    expiry_month: int = Field(ge=1, le=12)
    expiry_year: int = Field(ge=2000, le=2199)


class PaymentMethod(Part):
    type: Literal["card"]
    card: Card
    gateway: Literal["sandbox"]
    reference: Name


class Subscription(Entity):
    """`remaining_payments`, `scheduled_by` and `payment_method` are our own, beside the contract's fields."""

    id: Annotated[str, id_of("sub")]
    status: Literal["active", "trialing", "past_due", "paused", "canceled"]
    customer_id: CustomerId
    address_id: AddressId | None = None
    business_id: Annotated[str, id_of("biz")] | None = None
    currency_code: Currency
    started_at: Instant | None = None
    first_billed_at: Instant | None = None
    next_billed_at: Instant | None = None
    paused_at: Instant | None = None
    canceled_at: Instant | None = None
    collection_mode: Literal["automatic", "manual"] = "automatic"
    billing_details: Json | None = None
    current_billing_period: Period | None = None
    billing_cycle: Cycle
    scheduled_change: ScheduledChange | None = None
    remaining_payments: int | None = Field(default=None, ge=0, le=payment_plans.MOST)
    items: list[Item] = Field(min_length=1, max_length=100)
    discount: Annotated[Discount, BeforeValidator(storable.require)] | None = None
    scheduled_by: Literal["customer", "staff", "key"] = "key"
    payment_method: PaymentMethod | None = None

    @property
    def bills_until_end(self) -> bool:
        """Whether payments go on until a cancellation that is scheduled for later than the paid period."""
        change, billing = self.scheduled_change, self.next_billed_at
        return change is not None and change.action == CANCEL and billing is not None and billing < change.effective_at


def contradictions(given: Subscription) -> Iterator[tuple[str, str]]:
    """Fields that contradict one another, and what to do."""
    canceled, change = given.status == "canceled", given.scheduled_change
    if canceled != (given.canceled_at is not None):
        yield "canceled_at", "is missing" if canceled else f"must be null while the status is {given.status}"
    if canceled and given.current_billing_period:
        yield "current_billing_period", "must be null: a canceled subscription has none"
    if given.status == "trialing" and not given.current_billing_period:
        yield "current_billing_period", "is missing: its end is the trial's end"
    if given.next_billed_at and given.status not in LIVE:
        yield "next_billed_at", f"must be null while the status is {given.status}"
    elif given.next_billed_at and change and not given.bills_until_end:
        yield "next_billed_at", f"must be null while a change is scheduled ({change.action}), or come before a cancel"
    period = given.current_billing_period
    if given.next_billed_at and period and given.next_billed_at < period.ends_at:
        yield "next_billed_at", "comes before the end of the current period, which is paid"
    if change and change.resume_at and change.resume_at <= change.effective_at:
        yield "scheduled_change.resume_at", "must be later than effective_at"
    if change and change.action not in _MAY_BE_SCHEDULED.get(given.status, (CANCEL, PAUSE)):
        yield "scheduled_change.action", f"can't be {change.action} while the status is {given.status}"
    if given.remaining_payments == 0 and not canceled and not (change and change.action == CANCEL):
        yield "remaining_payments", "is 0, so a cancel must be scheduled for the end of the last period"
    for number, item in enumerate(given.items):
        if item.price and item.product and item.price.product_id != item.product.id:
            yield f"items[{number}].product.id", f"is not the product of its price ({item.price.product_id})"
