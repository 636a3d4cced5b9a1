"""What an app sends to make, change and correct a transaction."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from portal import config
from portal.api import bodies, catalog
from portal.api.bodies import Body
from portal.domain import entities
from portal.errors import TransactionRefusal

Include = Literal[
    "address",
    "adjustment",
    "adjustments",
    "adjustments_totals",
    "available_payment_methods",
    "business",
    "customer",
    "discount",
]
Text = Annotated[str, Field(max_length=1024)]


def _of_the_catalog(price: Any) -> None:
    if price is not None:
        raise ValueError("only prices of the catalog can be sold: create one, and send its price_id")


class Item(Body):
    price_id: entities.PriceId
    price: Annotated[None, BeforeValidator(_of_the_catalog)] = None
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class Terms(Body):
    interval: entities.Interval
    frequency: Annotated[int, Field(ge=1, le=1000)]


class BillingDetails(Body):
    payment_terms: Terms
    enable_checkout: bool = False
    purchase_order_number: Text | None = None
    additional_information: Annotated[str, Field(max_length=1500)] | None = None


class Period(Body):
    starts_at: bodies.Instant
    ends_at: bodies.Instant


class Checkout(Body):
    url: Annotated[str, Field(max_length=2000)] | None = None


def _after(period: Period | None) -> Period | None:
    if period is not None and period.ends_at <= period.starts_at:
        raise ValueError("must end after it starts")
    return period


class _Order(Body):
    customer_id: entities.CustomerId | None = None
    address_id: entities.AddressId | None = None
    business_id: entities.BusinessId | None = None
    currency_code: catalog.Currency | None = None
    discount_id: None = None
    discount: None = None
    billing_details: BillingDetails | None = None
    billing_period: Annotated[Period | None, AfterValidator(_after)] = None
    checkout: Checkout | None = None
    custom_data: bodies.CustomData | None = None


class NewTransaction(_Order):
    items: Annotated[list[Item], Field(min_length=1, max_length=100)]
    collection_mode: entities.CollectionMode = "automatic"
    status: Literal["billed"] | None = None


class TransactionUpdate(_Order):
    items: Annotated[list[Item], Field(min_length=1, max_length=100)] = []
    collection_mode: entities.CollectionMode = "automatic"
    status: Literal["billed", "canceled"] | None = None


class RevisedCustomer(Body):
    name: Annotated[str, Field(min_length=1, max_length=1024)] = ""


class RevisedBusiness(Body):
    name: Annotated[str, Field(min_length=1, max_length=1024)] = ""
    tax_identifier: Annotated[str, Field(min_length=1, max_length=100)] = ""


class RevisedAddress(Body):
    first_line: Text = ""
    second_line: Text | None = None
    city: Text = ""
    region: Text = ""


class Revision(Body):
    customer: RevisedCustomer | None = None
    business: RevisedBusiness | None = None
    address: RevisedAddress | None = None


def columns(body: _Order) -> dict[str, Any]:
    """The columns of what was sent. Raises TransactionRefusal for a page to pay on that is not approved."""
    sent = bodies.as_dict(body)
    for ignored in ("status", "discount_id", "discount"):
        sent.pop(ignored, None)
    if "items" in sent:
        sent["items"] = [(each["price_id"], each["quantity"]) for each in sent["items"]]
    if sent.get("currency_code", ...) is None:
        del sent["currency_code"]
    if "billing_period" in sent:
        period = sent.pop("billing_period") or {}
        sent |= {"period_starts_at": period.get("starts_at"), "period_ends_at": period.get("ends_at")}
    if "checkout" in sent:
        sent["checkout_url"] = _approved((sent.pop("checkout") or {}).get("url"))
    if body.billing_details is not None:
        sent["billing_details"] = body.billing_details.model_dump()
    return sent


def sent_parts(body: Revision) -> dict[str, dict[str, Any]]:
    """What a revision says of customer, business and address."""
    return {part: changes for part, changes in bodies.as_dict(body).items() if changes}


def _approved(url: str | None) -> str | None:
    """A page of the seller's own to pay on must be where customers may be sent."""
    if url is None:
        return None
    settings = config.current()
    origins = {origin.rstrip("/") for origin in settings.return_origins} | {settings.base_url}
    clean = re.fullmatch(r"[!-~]+", url) is not None and not set(url) & set('\\"<>^`{|}')
    if not clean or _origin(url) not in origins:
        raise TransactionRefusal(
            "transaction_checkout_url_domain_is_not_approved",
            "checkout.url is not on an origin that PORTAL_RETURN_ORIGINS lists. Nothing was changed.",
        )
    return url


def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if url.startswith(origin) else None
