"""Prices for apps: list, create, read, change."""

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import catalog as domain
from portal.domain import entities, payment_plans, pricing, shapes
from portal.domain.catalog import Price

_PRICE = Price.__table__.c
_ORDERS = {
    "billing_cycle.frequency": _PRICE.billing_frequency,
    "billing_cycle.interval": _PRICE.billing_interval,
    "product_id": _PRICE.product_id,
    "quantity.maximum": _PRICE.quantity_maximum,
    "quantity.minimum": _PRICE.quantity_minimum,
    "status": _PRICE.status,
    "tax_mode": _PRICE.tax_mode,
    "unit_price.amount": _PRICE.amount,
    "unit_price.currency_code": _PRICE.currency_code,
}
_MOST_MINOR_UNITS = 2**53
_MOST_AT_ONCE = 999_999_999


def _amount(text: str) -> str:
    if int(text) > _MOST_MINOR_UNITS:
        raise ValueError(f"must be at most {_MOST_MINOR_UNITS} minor units")
    return text


def _unlike(overrides: list["Override"]) -> list["Override"]:
    named = [country for each in overrides for country in each.country_codes]
    if len(set(named)) < len(named):
        raise ValueError("must name each country once")
    return overrides


Description = Annotated[str, Field(min_length=2, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=150)]
Quantity = Annotated[int, Field(ge=1, le=_MOST_AT_ONCE)]


Payments = Annotated[int, Field(ge=payment_plans.FEWEST, le=payment_plans.MOST)]


class UnitPrice(bodies.Body):
    amount: Annotated[str, Field(pattern="^[0-9]{1,16}$"), AfterValidator(_amount)]
    currency_code: catalog.Currency


class Override(bodies.Body):
    country_codes: Annotated[list[catalog.Country], Field(min_length=1, max_length=250)]
    unit_price: UnitPrice


class Duration(bodies.Body):
    interval: entities.Interval
    frequency: Annotated[int, Field(ge=1, le=999)]


class Trial(Duration):
    """A trial is free and begins with a card; what newer SDKs say of other trials is taken if it says just that."""

    requires_payment_method: Literal[True] = True
    unit_price: None = None
    unit_price_overrides: Annotated[list[Override], Field(max_length=0)] = []


class Limits(bodies.Body):
    minimum: Quantity
    maximum: Quantity

    @model_validator(mode="after")
    def _refuse_backwards(self) -> "Limits":
        if self.minimum > self.maximum:
            raise ValueError("minimum must not be above maximum")
        return self


Overrides = Annotated[list[Override], Field(max_length=250), AfterValidator(_unlike)]


class NewPrice(bodies.Body):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {
                "anyOf": [
                    {"properties": {"trial_period": {"type": "object"}}, "required": ["trial_period"]},
                    {"properties": {"payments": {"type": "integer"}}, "required": ["payments"]},
                ]
            },
            "then": {"properties": {"billing_cycle": {"type": "object"}}, "required": ["billing_cycle"]},
        }
    )
    description: Description
    product_id: entities.ProductId
    unit_price: UnitPrice
    name: Name | None = None
    type: entities.CatalogType | None = None
    billing_cycle: Duration | None = None
    trial_period: Trial | None = None
    payments: Payments | None = None
    tax_mode: entities.TaxMode = "account_setting"
    unit_price_overrides: Overrides = []
    quantity: Limits = Limits(minimum=1, maximum=100)
    custom_data: bodies.CustomData | None = None


class PriceUpdate(bodies.Body):
    description: Description = ""
    unit_price: UnitPrice = UnitPrice(amount="0", currency_code="USD")
    name: Name | None = None
    type: entities.CatalogType = "standard"
    billing_cycle: Duration | None = None
    trial_period: Trial | None = None
    payments: Payments | None = None
    tax_mode: entities.TaxMode = "account_setting"
    unit_price_overrides: Overrides = []
    quantity: Limits = Limits(minimum=1, maximum=100)
    custom_data: bodies.CustomData | None = None
    status: entities.CatalogStatus = "active"


class Included(bodies.Query):
    include: bodies.Several[Literal["product"]] = []


class Prices(lists.Query, Included):
    after: entities.PriceId | None = None
    order_by: catalog.ordered_by("id", *_ORDERS) = "id[DESC]"  # type: ignore[valid-type]
    id: bodies.Several[bodies.Part] = []
    product_id: bodies.Several[bodies.Part] = []
    recurring: catalog.Flag | None = None
    status: catalog.Statuses = []
    type: bodies.Several[entities.CatalogType] = []


@operation(
    "GET",
    "/prices",
    permission="price.read",
    query=Prices,
    gives=list[entities.PriceWithProduct],
    example={"recurring": "true", "include": "product", "order_by": "unit_price.amount[ASC]"},
)
def list_prices(query: Prices) -> Response:
    """List prices.

    Those that are active, unless `status` asks otherwise. `recurring` tells subscriptions from single sales.
    """
    wanted = catalog.among(
        select(Price).options(joinedload(Price.product, innerjoin=True)) if query.include else select(Price),
        (Price.id, query.id),
        (Price.product_id, query.product_id),
        (Price.status, query.status or ["active"]),
        (Price.type, query.type),
    )
    if query.recurring is not None:
        is_single = Price.billing_interval.is_(None)
        wanted = wanted.where(~is_single if query.recurring == "true" else is_single)
    by = {name: catalog.sortable(column) for name, column in _ORDERS.items()}
    page = lists.Page(query, wanted, Price.id, by=by)
    return page.answer([_shown(each, query) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/prices",
    permission="price.write",
    takes=NewPrice,
    gives=entities.Price,
    status=201,
    refuses=("not_found", "entity_archived"),
    example={
        "description": "Monthly, per seat",
        "product_id": "pro_01h1vjes1y163xfj1rh1tkfb65",
        "unit_price": {"amount": "3000", "currency_code": "USD"},
        "name": "Monthly (per seat)",
        "billing_cycle": {"interval": "month", "frequency": 1},
        "trial_period": {"interval": "day", "frequency": 14},
        "quantity": {"minimum": 1, "maximum": 999},
    },
)
def create_price(body: NewPrice) -> entities.Price:
    """Create a price.

    Without `billing_cycle` it is charged once. With `payments` it is a payment plan: what is bought with it ends by
    itself after so many. Amounts are minor units as text: 3000 is 30 dollars.
    """
    with transaction():
        return shapes.price(pricing.create(_columns(body), by=app_actor()))


@operation(
    "GET",
    "/prices/<id>",
    permission="price.read",
    query=Included,
    gives=entities.PriceWithProduct,
    example={"include": "product"},
)
def get_price(id: str, query: Included) -> entities.PriceWithProduct:
    """Read a price."""
    price = domain.price(id)
    if query.include:
        return {**shapes.price(price), "product": shapes.product(domain.product(price.product_id))}
    return {**shapes.price(price)}


@operation(
    "PATCH",
    "/prices/<id>",
    permission="price.write",
    takes=PriceUpdate,
    gives=entities.Price,
    refuses=("conflict",),
    example={"unit_price": {"amount": "3500", "currency_code": "USD"}},
)
def update_price(id: str, body: PriceUpdate) -> entities.Price:
    """Change a price; what is left out stays.

    A new amount counts for subscriptions from their next bill on; transactions keep theirs. The billing cycle, the
    number of payments and the currency can't change while a subscription that is not canceled is billed by it.
    """
    with transaction():
        price = domain.price(id)
        pricing.update(price, _columns(body), by=app_actor())
        return shapes.price(price)


def _shown(price: Price, query: Included) -> entities.PriceWithProduct:
    if query.include:
        return {**shapes.price(price), "product": shapes.product(price.product)}
    return {**shapes.price(price)}


def _columns(body: bodies.Body) -> dict[str, Any]:
    """What was sent, as columns."""
    sent = {name: value for name, value in bodies.as_dict(body).items() if (name, value) != ("type", None)}
    for name, column in (("billing_cycle", "billing"), ("trial_period", "trial")):
        if name in sent:
            cycle = sent.pop(name) or {}
            sent |= {f"{column}_interval": cycle.get("interval"), f"{column}_frequency": cycle.get("frequency")}
    if money := sent.pop("unit_price", None):
        sent |= {"amount": int(money["amount"]), "currency_code": money["currency_code"]}
    if limits := sent.pop("quantity", None):
        sent |= {"quantity_minimum": limits["minimum"], "quantity_maximum": limits["maximum"]}
    return sent
