"""Entities → rows, as plain dictionaries; instants still where the file has them."""

from datetime import datetime, timedelta
from typing import Any

from portal import ids
from portal.domain import customers, periods, shapes, subscriptions
from portal.importing import entities
from portal.importing.subscription import Item, PaymentMethod, Subscription

Row = dict[str, Any]


def customer(given: entities.Customer) -> Row:
    return given.model_dump() | {"email_key": customers.email_key(given.email)}


def address(given: entities.Address) -> Row:
    return given.model_dump()


def business(given: entities.Business) -> Row:
    return given.model_dump()


def product(given: entities.Product) -> Row:
    return given.model_dump()


def price(given: entities.Price) -> Row:
    """Without `payments`, where the file says nothing of them: `checking.kept_payments` knows."""
    unsaid = {"payments"} - given.model_fields_set
    row = given.model_dump(exclude={"billing_cycle", "trial_period", "unit_price", "quantity", *unsaid})
    return row | {
        "billing_interval": given.billing_cycle.interval if given.billing_cycle else None,
        "billing_frequency": given.billing_cycle.frequency if given.billing_cycle else None,
        "trial_interval": given.trial_period.interval if given.trial_period else None,
        "trial_frequency": given.trial_period.frequency if given.trial_period else None,
        "amount": given.unit_price.amount,
        "currency_code": given.unit_price.currency_code,
        "quantity_minimum": given.quantity.minimum,
        "quantity_maximum": given.quantity.maximum,
    }


_KEPT = {
    *("id", "status", "customer_id", "address_id", "business_id", "currency_code", "collection_mode"),
    *("billing_details", "started_at", "first_billed_at", "paused_at", "canceled_at"),
    *("custom_data", "import_meta", "created_at", "updated_at"),
}


def subscription(given: Subscription) -> Row:
    """The row without what depends on the present: `at_present` adds the anchor and the reminder."""
    period, change = given.current_billing_period, given.scheduled_change
    ends_at = period.ends_at if period else None
    billing = given.next_billed_at or ends_at if given.status in subscriptions.LIVE else None
    by = (given.scheduled_by if given.remaining_payments != 0 else "system") if change else None
    waits = change is not None and not given.bills_until_end
    return given.model_dump(include=_KEPT) | {
        "paused_at": given.paused_at or (given.updated_at if given.status == "paused" else None),
        "billing_interval": given.billing_cycle.interval,
        "billing_frequency": given.billing_cycle.frequency,
        "next_billed_at": None if waits else billing,
        "period_starts_at": period.starts_at if period else None,
        "period_ends_at": ends_at,
        "scheduled_action": change.action if change else None,
        "scheduled_effective_at": change.effective_at if change else None,
        "scheduled_resume_at": change.resume_at if change else None,
        "scheduled_at": given.updated_at if change else None,
        "scheduled_by": by,
        "canceled_by": by if change and change.action == subscriptions.CANCEL else None,
        "remaining_payments": given.remaining_payments,
        "billing_resumes_at": billing if waits and given.remaining_payments != 0 else None,
        "discount": given.discount.model_dump() if given.discount else None,
    }


def items(given: Subscription) -> list[Row]:
    return [_item(given, position, item) for position, item in enumerate(given.items)]


def _item(given: Subscription, position: int, item: Item) -> Row:
    return {
        "subscription_id": given.id,
        "position": position,
        "price_id": item.price.id if item.price else item.price_id,
        "status": item.status,
        "quantity": item.quantity,
        "recurring": item.recurring,
        "previously_billed_at": item.previously_billed_at,
        "billed_quantity": item.quantity if _is_billed(given, item) else 0,
        "trial_starts_at": item.trial_dates.starts_at if item.trial_dates else None,
        "trial_ends_at": item.trial_dates.ends_at if item.trial_dates else None,
        "created_at": item.created_at or given.created_at,
        "updated_at": item.updated_at or given.updated_at,
    }


def _is_billed(given: Subscription, item: Item) -> bool:
    """Whether the current period is billed for it: all of them, but in a trial, unless some say that they were."""
    if given.status == "trialing" or not item.recurring:
        return False
    return item.previously_billed_at is not None or all(each.previously_billed_at is None for each in given.items)


def payment_method(given: PaymentMethod, customer_id: str, known_from: datetime | None) -> Row:
    return {
        "id": ids.new("paymtd"),
        "customer_id": customer_id,
        "type": given.type,
        "brand": given.card.type,
        "last4": given.card.last4,
        "expiry_month": given.card.expiry_month,
        "expiry_year": given.card.expiry_year,
        "gateway": given.gateway,
        "reference": given.reference,
        "created_at": known_from,
        "updated_at": known_from,
    }


def moved(row: Row, by: timedelta, now: datetime) -> Row:
    """The row with all its instants moved; without a date of its own it was made now."""
    if by:
        row = {name: value + by if isinstance(value, datetime) else value for name, value in row.items()}
    row["created_at"] = row["created_at"] or now
    row["updated_at"] = row["updated_at"] or row["created_at"]
    return row


def at_present(row: Row, by: timedelta, now: datetime) -> Row:
    """A subscription's row, moved, with the columns that follow from where its instants now are."""
    row = moved(row, by, now)
    discount = row["discount"] and moved({"created_at": now, "updated_at": now} | row["discount"], by, now)
    if discount:
        instants = {n: shapes.instant(v) if isinstance(v, datetime) else v for n, v in discount.items()}
        row["discount"] = {name: instants[name] for name in row["discount"]}
    if row["scheduled_action"]:
        row["scheduled_at"] = row["scheduled_at"] or row["updated_at"]
    if row["status"] == "paused":
        row["paused_at"] = row["paused_at"] or row["updated_at"]
    row["remind_at"] = subscriptions.reminder_for(row["next_billed_at"])
    row["anchor_at"] = _anchor(row)
    return row


def _anchor(row: Row) -> datetime:
    """What the next billing fits, which may come later than the period's end: whole periods follow it."""
    began: datetime = row["first_billed_at"] or row["started_at"] or row["period_starts_at"] or row["created_at"]
    ends_at: datetime | None = row["period_ends_at"]
    if ends_at is None:
        return row["next_billed_at"] or row["billing_resumes_at"] or began
    billing = max(ends_at, row["next_billed_at"] or ends_at)
    if row["status"] == "trialing":
        return billing
    return periods.anchor_of(began, row["billing_interval"], row["billing_frequency"], billing)
