"""Transactions as types, like `entities`: what was bought, what it came to, how it was paid."""

from typing import Any, Literal

from typing_extensions import TypedDict

from portal.domain.entities import (
    Address,
    Amount,
    Business,
    CardDetails,
    CollectionMode,
    Currency,
    CustomData,
    Customer,
    Cycle,
    Instant,
    Origin,
    Period,
    Price,
    PriceId,
    Product,
    TransactionId,
    TransactionItemId,
    TransactionStatus,
)


class Totals(TypedDict):
    subtotal: Amount
    discount: Amount
    tax: Amount
    total: Amount


class TransactionTotals(Totals):
    grand_total: Amount
    grand_total_tax: Amount
    credit: Amount
    credit_to_balance: Amount
    balance: Amount
    fee: None
    earnings: None
    currency_code: Currency


class TaxRateUsed(TypedDict):
    tax_rate: str
    totals: Totals


class Proration(TypedDict):
    rate: str
    billing_period: Period


class LineItem(TypedDict):
    id: TransactionItemId
    price_id: PriceId
    quantity: int
    proration: Proration | None
    tax_rate: str
    unit_totals: Totals
    totals: Totals
    product: Product


class TransactionDetails(TypedDict):
    tax_rates_used: list[TaxRateUsed]
    totals: TransactionTotals
    adjusted_totals: None
    payout_totals: None
    adjusted_payout_totals: None
    line_items: list[LineItem]


class TransactionItem(TypedDict):
    price_id: PriceId
    price: Price
    quantity: int
    proration: Proration | None


class MethodDetails(TypedDict):
    type: str
    card: CardDetails | None


class Payment(TypedDict):
    payment_attempt_id: str
    payment_method_id: str | None
    stored_payment_method_id: str | None
    amount: Amount
    status: Literal["authorized", "captured", "error", "canceled", "action_required"]
    error_code: str | None
    method_details: MethodDetails
    created_at: Instant
    captured_at: Instant | None


class Checkout(TypedDict):
    """Made anew for each answer; in events both are null."""

    url: str | None
    expires_at: Instant | None


class BillingDetails(TypedDict):
    enable_checkout: bool
    purchase_order_number: str | None
    additional_information: str | None
    payment_terms: Cycle


class Transaction(TypedDict):
    id: TransactionId
    status: TransactionStatus
    customer_id: str | None
    address_id: str | None
    business_id: str | None
    custom_data: CustomData | None
    origin: Origin
    collection_mode: CollectionMode
    subscription_id: str | None
    invoice_id: None
    invoice_number: str | None
    billing_details: Any
    billing_period: Period | None
    currency_code: Currency
    discount_id: None
    items: list[TransactionItem]
    details: TransactionDetails
    payments: list[Payment]
    checkout: Checkout
    created_at: Instant
    updated_at: Instant
    billed_at: Instant | None
    revised_at: Instant | None


class TransactionWithMore(Transaction, total=False):
    """With `include`."""

    address: Address | None
    adjustments: list[Any]
    adjustments_totals: None
    available_payment_methods: list[Literal["card"]]
    business: Business | None
    customer: Customer | None
    discount: None


class InvoiceLink(TypedDict):
    url: str
    expires_at: Instant
