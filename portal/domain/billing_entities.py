"""Entities of a subscription that are computed, not stored: next bills, previews, the history (`docs/api.md`)."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from portal.domain.entities import (
    Cancellation,
    Instant,
    ManagedSubscription,
    ManagementUrls,
    Money,
    Period,
    PriceId,
    Product,
    SubscriptionFields,
    SubscriptionId,
)
from portal.domain.transaction_entities import Proration, TaxRateUsed, Totals, TransactionTotals


class PreviewLineItem(TypedDict):
    price_id: PriceId
    quantity: int
    proration: Proration | None
    tax_rate: str
    unit_totals: Totals
    totals: Totals
    product: Product


class BillDetails(TypedDict):
    tax_rates_used: list[TaxRateUsed]
    totals: TransactionTotals
    line_items: list[PreviewLineItem]


class NextBill(TypedDict):
    """A transaction that does not exist yet; credit is in its totals, so there are no adjustments."""

    billing_period: Period
    details: BillDetails
    adjustments: list[Any]


class UpdateResult(Money):
    action: Literal["credit", "charge"]


class UpdateSummary(TypedDict):
    """`credit` is negative, as what is given back."""

    credit: Money
    charge: Money
    result: UpdateResult


class SubscriptionWithBills(ManagedSubscription, total=False):
    """With `include`."""

    next_transaction: NextBill | None
    recurring_transaction_details: BillDetails


class SubscriptionPreview(SubscriptionFields):
    """A subscription as it would be: without an id, for it is none."""

    management_urls: ManagementUrls
    immediate_transaction: NextBill | None
    next_transaction: NextBill | None
    recurring_transaction_details: BillDetails
    update_summary: UpdateSummary | None


class HistoryActor(TypedDict):
    type: Literal["customer", "user", "api_key", "system"]
    id: str | None
    name: str | None


class HistoryEntry(TypedDict):
    """`detail` has the action and what belongs to it; entries of one request have the same group."""

    id: Annotated[str, Field(pattern="^subhis_[a-z0-9]{26}$")]
    group_id: Annotated[str, Field(pattern="^subhisgrp_[a-z0-9]{26}$")]
    subscription_id: SubscriptionId
    occurred_at: Instant
    source: Literal["system", "api", "dashboard", "customer_portal", "unknown"]
    actor: HistoryActor
    reason: Literal["customer_request", "seller_request", "plan_completed"] | None
    detail: dict[str, Any]
    way: str
    cancellation: Cancellation | None
