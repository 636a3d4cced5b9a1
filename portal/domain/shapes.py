"""Rows as the contract's JSON (`docs/api.md`), for answers and for events alike.

Works on mapped objects and on plain rows with the same attribute names. Adds nothing that is not stored, except
what the contract derives: an item's next billing is its subscription's.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from portal.domain import entities, transaction_entities


def of(row: Any) -> Any:
    """The JSON form of any entity."""
    return _SHAPES[row.__tablename__](row)


def text(at: datetime) -> str:
    """`2024-05-08T10:38:57.979670Z`.

    By orjson, which is twice as fast (a list has thousands), unless it would leave out the zeros of a whole second.
    """
    told = orjson.dumps(at)[1:27].decode() if at.microsecond else at.isoformat(timespec="microseconds")[:26]
    return f"{told}Z"


def instant(at: datetime | None) -> str | None:
    """The same of an instant that may be missing."""
    return text(at) if at is not None else None


def customer(row: Any) -> entities.Customer:
    return {
        "id": row.id,
        "status": row.status,
        "custom_data": row.custom_data,
        "name": row.name,
        "email": row.email,
        "marketing_consent": row.marketing_consent,
        "locale": row.locale,
        "import_meta": row.import_meta,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


def address(row: Any) -> entities.Address:
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "description": row.description,
        "first_line": row.first_line,
        "second_line": row.second_line,
        "city": row.city,
        "postal_code": row.postal_code,
        "region": row.region,
        "country_code": row.country_code,
        "custom_data": row.custom_data,
        "status": row.status,
        "import_meta": row.import_meta,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


def product(row: Any) -> entities.Product:
    return {
        "id": row.id,
        "name": row.name,
        "type": row.type,
        "tax_category": row.tax_category,
        "description": row.description,
        "image_url": row.image_url,
        "custom_data": row.custom_data,
        "status": row.status,
        "import_meta": row.import_meta,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


def price(row: Any) -> entities.Price:
    return {
        "id": row.id,
        "product_id": row.product_id,
        "type": row.type,
        "description": row.description,
        "name": row.name,
        "tax_mode": row.tax_mode,
        "billing_cycle": cycle(row.billing_interval, row.billing_frequency),
        "trial_period": cycle(row.trial_interval, row.trial_frequency),
        "unit_price": {"amount": str(row.amount), "currency_code": row.currency_code},
        "unit_price_overrides": row.unit_price_overrides,
        "payments": row.payments,
        "custom_data": row.custom_data,
        "status": row.status,
        "quantity": {"minimum": row.quantity_minimum, "maximum": row.quantity_maximum},
        "import_meta": row.import_meta,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


Sold = tuple[entities.Price, entities.Product]


def sold(row: Any) -> Sold:
    """A price with its product. A list, whose items share few prices, gives `subscription` a cache of this."""
    return price(row), product(row.product)


def subscription(row: Any, sold: Callable[[Any], Sold] = sold) -> entities.Subscription:
    next_billed_at = instant(row.next_billed_at)
    return {
        "id": row.id,
        "status": row.status,
        "customer_id": row.customer_id,
        "address_id": row.address_id,
        "business_id": row.business_id,
        "currency_code": row.currency_code,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
        "started_at": instant(row.started_at),
        "first_billed_at": instant(row.first_billed_at),
        "next_billed_at": next_billed_at,
        "paused_at": instant(row.paused_at),
        "canceled_at": instant(row.canceled_at),
        "collection_mode": row.collection_mode,
        "billing_details": row.billing_details,
        "current_billing_period": period(row.period_starts_at, row.period_ends_at),
        "billing_cycle": {"frequency": row.billing_frequency, "interval": row.billing_interval},
        "scheduled_change": scheduled_change(row),
        "remaining_payments": row.remaining_payments,
        "items": [_item(each, next_billed_at, sold) for each in row.items],
        "custom_data": row.custom_data,
        "discount": row.discount,
        "import_meta": row.import_meta,
        "consent_requirements": [],
        "cancellation": row.cancellation,
    }


def transaction(row: Any) -> transaction_entities.Transaction:
    return {
        "id": row.id,
        "status": row.status,
        "customer_id": row.customer_id,
        "address_id": row.address_id,
        "business_id": row.business_id,
        "custom_data": row.custom_data,
        "origin": row.origin,
        "collection_mode": row.collection_mode,
        "subscription_id": row.subscription_id,
        "invoice_id": None,
        "invoice_number": row.invoice_number,
        "billing_details": row.billing_details,
        "billing_period": period(row.period_starts_at, row.period_ends_at),
        "currency_code": row.currency_code,
        "discount_id": None,
        "items": [
            {
                "price_id": line["price"]["id"],
                "price": {"payments": None} | line["price"],
                "quantity": line["quantity"],
                "proration": line.get("proration"),
            }
            for line in row.lines
        ],
        "details": {
            "tax_rates_used": [{"tax_rate": "0", "totals": totals(row.amount)}],
            "totals": bill_totals(
                row.amount, row.credit, row.currency_code, is_paid=row.status in ("paid", "completed")
            ),
            "adjusted_totals": None,
            "payout_totals": None,
            "adjusted_payout_totals": None,
            "line_items": [line_item(line) for line in row.lines],
        },
        "payments": row.payments[::-1],
        "checkout": {"url": None, "expires_at": None},
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
        "billed_at": instant(row.billed_at),
        "revised_at": instant(row.revised_at),
    }


def bill_totals(
    amount: int, credit: int, currency: str, *, is_paid: bool = False
) -> transaction_entities.TransactionTotals:
    """What a bill comes to; `grand_total` is what is to pay after earlier credit. Taxes are the seller's matter."""
    due = str(amount - credit)
    return {
        **totals(amount),
        "grand_total": due,
        "grand_total_tax": "0",
        "credit": str(credit),
        "credit_to_balance": "0",
        "balance": "0" if is_paid else due,
        "fee": None,
        "earnings": None,
        "currency_code": currency,
    }


def totals(amount: int) -> transaction_entities.Totals:
    return {"subtotal": str(amount), "discount": "0", "tax": "0", "total": str(amount)}


def payment_method(row: Any) -> entities.PaymentMethod:
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "address_id": None,
        "type": row.type,
        "card": {
            "type": row.brand,
            "last4": row.last4,
            "expiry_month": row.expiry_month,
            "expiry_year": row.expiry_year,
            "cardholder_name": None,
        },
        "paypal": None,
        "underlying_details": None,
        "south_korea_local_card": None,
        "origin": row.origin,
        "saved_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


def saved_or_deleted(row: Any) -> entities.PaymentMethod | entities.DeletedPaymentMethod:
    """A payment method in events; only apps delete one."""
    return payment_method(row) if row.deleted_at is None else {**payment_method(row), "deletion_reason": "api"}


def business(row: Any) -> entities.Business:
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "name": row.name,
        "company_number": row.company_number,
        "tax_identifier": row.tax_identifier,
        "status": row.status,
        "contacts": row.contacts,
        "custom_data": row.custom_data,
        "import_meta": row.import_meta,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }


def portal_session(row: Any) -> entities.PortalSession:
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "created_at": text(row.created_at),
        "expires_at": text(row.expires_at),
        "return_url": row.return_url,
    }


def period(starts_at: datetime | None, ends_at: datetime | None) -> entities.Period | None:
    return {"starts_at": text(starts_at), "ends_at": text(ends_at)} if starts_at and ends_at else None


def cycle(interval: Any, frequency: int | None) -> entities.Cycle | None:
    return {"frequency": frequency, "interval": interval} if interval and frequency else None


def scheduled_change(row: Any) -> entities.ScheduledChange | None:
    if row.scheduled_action is None or row.scheduled_effective_at is None:
        return None
    return {
        "action": row.scheduled_action,
        "effective_at": text(row.scheduled_effective_at),
        "resume_at": instant(row.scheduled_resume_at),
    }


def _item(row: Any, next_billed_at: str | None, sold: Callable[[Any], Sold]) -> entities.SubscriptionItem:
    price, product = sold(row.price)
    return {
        "status": row.status,
        "quantity": row.quantity,
        "recurring": row.recurring,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
        "previously_billed_at": instant(row.previously_billed_at),
        "next_billed_at": next_billed_at if row.recurring else None,
        "trial_dates": period(row.trial_starts_at, row.trial_ends_at),
        "price": price,
        "product": product,
    }


def line_item(line: dict[str, Any]) -> transaction_entities.LineItem:
    unit, total = str(line["amount"] // line["quantity"]), str(line["amount"])
    return {
        "id": line["id"],
        "price_id": line["price"]["id"],
        "quantity": line["quantity"],
        "proration": line.get("proration"),
        "tax_rate": "0",
        "unit_totals": {"subtotal": unit, "discount": "0", "tax": "0", "total": unit},
        "totals": {"subtotal": total, "discount": "0", "tax": "0", "total": total},
        "product": line["product"],
    }


_SHAPES: dict[str, Callable[[Any], Any]] = {
    "customers": customer,
    "addresses": address,
    "businesses": business,
    "products": product,
    "prices": price,
    "subscriptions": subscription,
    "transactions": transaction,
    "payment_methods": saved_or_deleted,
    "portal_sessions": portal_session,
}
