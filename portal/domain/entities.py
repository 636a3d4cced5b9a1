"""The contract's entities as types (`docs/api.md`): what `shapes` makes of rows, and what /openapi.json describes."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict


def _id(prefix: str) -> Any:
    return Field(pattern=f"^{prefix}_[a-z0-9]{{26}}$")


CustomerId = Annotated[str, _id("ctm")]
AddressId = Annotated[str, _id("add")]
BusinessId = Annotated[str, _id("biz")]
ProductId = Annotated[str, _id("pro")]
PriceId = Annotated[str, _id("pri")]
SubscriptionId = Annotated[str, _id("sub")]
TransactionId = Annotated[str, _id("txn")]
TransactionItemId = Annotated[str, _id("txnitm")]
PaymentMethodId = Annotated[str, _id("paymtd")]
PortalSessionId = Annotated[str, _id("cpls")]
EventId = Annotated[str, _id("evt")]
NotificationSettingId = Annotated[str, _id("ntfset")]
NotificationId = Annotated[str, _id("ntf")]
NotificationLogId = Annotated[str, _id("ntflog")]
Instant = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Amount = Annotated[str, Field(pattern=r"^-?[0-9]+$")]
"""Minor units of a currency, as text."""
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
CustomData = dict[str, Any]
Interval = Literal["day", "week", "month", "year"]
CatalogStatus = Literal["active", "archived"]
CatalogType = Literal["standard", "custom"]
TaxCategory = Literal[
    "digital-goods",
    "ebooks",
    "implementation-services",
    "professional-services",
    "saas",
    "software-programming-services",
    "standard",
    "training-services",
    "website-hosting",
]
TaxMode = Literal["account_setting", "external", "internal", "location"]
CollectionMode = Literal["automatic", "manual"]
SubscriptionStatus = Literal["active", "canceled", "past_due", "paused", "trialing"]
TransactionStatus = Literal["draft", "ready", "billed", "paid", "completed", "canceled", "past_due"]
Origin = Literal[
    "api",
    "web",
    "subscription_charge",
    "subscription_payment_method_change",
    "subscription_recurring",
    "subscription_update",
]


class ImportMeta(TypedDict):
    external_id: str | None
    imported_from: str


class Money(TypedDict):
    amount: Amount
    currency_code: Currency


class Period(TypedDict):
    starts_at: Instant
    ends_at: Instant


class Cycle(TypedDict):
    interval: Interval
    frequency: int


class Customer(TypedDict):
    id: CustomerId
    status: CatalogStatus
    custom_data: CustomData | None
    name: str | None
    email: str
    marketing_consent: bool
    locale: str
    import_meta: Any
    created_at: Instant
    updated_at: Instant


class Address(TypedDict):
    id: AddressId
    customer_id: CustomerId
    description: str | None
    first_line: str | None
    second_line: str | None
    city: str | None
    postal_code: str | None
    region: str | None
    country_code: str
    custom_data: CustomData | None
    status: CatalogStatus
    import_meta: Any
    created_at: Instant
    updated_at: Instant


class Contact(TypedDict):
    name: str | None
    email: str


class Business(TypedDict):
    id: BusinessId
    customer_id: CustomerId
    name: str
    company_number: str | None
    tax_identifier: str | None
    status: CatalogStatus
    contacts: list[Contact]
    custom_data: CustomData | None
    import_meta: Any
    created_at: Instant
    updated_at: Instant


class Product(TypedDict):
    id: ProductId
    name: str
    type: CatalogType
    tax_category: str
    description: str | None
    image_url: str | None
    custom_data: CustomData | None
    status: CatalogStatus
    import_meta: Any
    created_at: Instant
    updated_at: Instant


class ProductWithPrices(Product, total=False):
    """With `include=prices`: those that are active."""

    prices: list["Price"]


class QuantityLimits(TypedDict):
    minimum: int
    maximum: int


class PriceOverride(TypedDict):
    country_codes: list[str]
    unit_price: Money


class Price(TypedDict):
    id: PriceId
    product_id: ProductId
    type: CatalogType
    description: str
    name: str | None
    tax_mode: TaxMode
    billing_cycle: Cycle | None
    trial_period: Cycle | None
    unit_price: Money
    unit_price_overrides: list[PriceOverride]
    payments: int | None
    custom_data: CustomData | None
    status: CatalogStatus
    quantity: QuantityLimits
    import_meta: Any
    created_at: Instant
    updated_at: Instant


class PriceWithProduct(Price, total=False):
    """With `include=product`."""

    product: Product


class CardDetails(TypedDict):
    type: str
    last4: str
    expiry_month: int
    expiry_year: int
    cardholder_name: str | None


class PaymentMethod(TypedDict):
    id: PaymentMethodId
    customer_id: CustomerId
    address_id: str | None
    type: str
    card: CardDetails | None
    paypal: None
    underlying_details: None
    south_korea_local_card: None
    origin: Literal["saved_during_purchase", "subscription"]
    saved_at: Instant
    updated_at: Instant


class DeletedPaymentMethod(PaymentMethod):
    """In the event `payment_method.deleted`."""

    deletion_reason: Literal["api", "replaced_by_newer_version"]


class ScheduledChange(TypedDict):
    action: Literal["cancel", "pause", "resume"]
    effective_at: Instant
    resume_at: Instant | None


class SubscriptionItem(TypedDict):
    status: Literal["active", "inactive", "trialing"]
    quantity: int
    recurring: bool
    created_at: Instant
    updated_at: Instant
    previously_billed_at: Instant | None
    next_billed_at: Instant | None
    trial_dates: Period | None
    price: Price
    product: Product


class Cancellation(TypedDict):
    reason: str | None
    comment: str | None


class SubscriptionFields(TypedDict):
    """All but the id, which a preview has not."""

    status: SubscriptionStatus
    customer_id: CustomerId
    address_id: str | None
    business_id: str | None
    currency_code: Currency
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    first_billed_at: Instant | None
    next_billed_at: Instant | None
    paused_at: Instant | None
    canceled_at: Instant | None
    collection_mode: CollectionMode
    billing_details: Any
    current_billing_period: Period | None
    billing_cycle: Cycle
    scheduled_change: ScheduledChange | None
    remaining_payments: int | None
    items: list[SubscriptionItem]
    custom_data: CustomData | None
    discount: Any
    import_meta: Any
    consent_requirements: list[Any]
    cancellation: Cancellation | None


class Subscription(SubscriptionFields):
    """In events; answers add `management_urls`."""

    id: SubscriptionId


class CreatedSubscription(Subscription):
    """In the event `subscription.created`; `transaction_id` is the purchase that it began with."""

    transaction_id: TransactionId


class ManagementUrls(TypedDict):
    update_payment_method: str | None
    cancel: str
    view_subscription: str
    expires_at: Instant | None


class ManagedSubscription(Subscription):
    management_urls: ManagementUrls


class SubscriptionLinks(TypedDict):
    id: SubscriptionId
    cancel_subscription: str
    update_subscription_payment_method: str
    view_subscription: str


class GeneralLinks(TypedDict):
    overview: str


class PortalLinks(TypedDict):
    general: GeneralLinks
    subscriptions: list[SubscriptionLinks]


class PortalSession(TypedDict):
    id: PortalSessionId
    customer_id: CustomerId
    created_at: Instant
    expires_at: Instant
    return_url: str | None


class OpenedPortalSession(PortalSession):
    urls: PortalLinks
