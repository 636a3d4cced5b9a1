"""Products for apps: list, create, read, change."""

from collections import defaultdict
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field
from sqlalchemy import select

from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import catalog as domain
from portal.domain import entities, shapes
from portal.domain.catalog import Price, Product

_ORDERS = ("created_at", "custom_data", "description", "image_url", "name", "status", "tax_category", "updated_at")
_HTTPS = r"^(https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?([/?#][!-~]*)?)?$"

Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2048)]
ImageUrl = Annotated[str, Field(pattern=_HTTPS, max_length=2048)]
"""An https address; the empty text is the same as null."""


class NewProduct(bodies.Body):
    name: Name
    tax_category: entities.TaxCategory
    description: Description | None = None
    type: entities.CatalogType | None = None
    image_url: ImageUrl | None = None
    custom_data: bodies.CustomData | None = None


class ProductUpdate(bodies.Body):
    name: Name = ""
    tax_category: entities.TaxCategory = "standard"
    description: Description | None = None
    type: entities.CatalogType = "standard"
    image_url: ImageUrl | None = None
    custom_data: bodies.CustomData | None = None
    status: entities.CatalogStatus = "active"


class Included(bodies.Query):
    include: bodies.Several[Literal["prices"]] = []


class Products(lists.Query, Included):
    after: entities.ProductId | None = None
    order_by: catalog.ordered_by("id", *_ORDERS) = "id[DESC]"  # type: ignore[valid-type]
    id: bodies.Several[bodies.Part] = []
    status: catalog.Statuses = []
    tax_category: bodies.Several[entities.TaxCategory] = []
    type: bodies.Several[entities.CatalogType] = []


@operation(
    "GET",
    "/products",
    permission="product.read",
    query=Products,
    gives=list[entities.ProductWithPrices],
    example={"tax_category": "saas", "include": "prices", "order_by": "name[ASC]"},
)
def list_products(query: Products) -> Response:
    """List products.

    Those that are active, unless `status` asks otherwise. `include=prices` adds the active prices of each.
    """
    wanted = catalog.among(
        select(Product),
        (Product.id, query.id),
        (Product.status, query.status or ["active"]),
        (Product.tax_category, query.tax_category),
        (Product.type, query.type),
    )
    by = {name: catalog.sortable(Product.__table__.c[name]) for name in _ORDERS}
    page = lists.Page(query, wanted, Product.id, by=by)
    return page.answer(_shown(list(session().scalars(page.statement())), query))


@operation(
    "POST",
    "/products",
    permission="product.write",
    takes=NewProduct,
    gives=entities.Product,
    status=201,
    example={
        "name": "AeroEdit Pro",
        "tax_category": "saas",
        "description": "For flight schools with up to a hundred students.",
        "image_url": "https://www.example.com/aeroedit.png",
        "custom_data": {"seats": 100},
    },
)
def create_product(body: NewProduct) -> entities.Product:
    """Create a product."""
    with transaction():
        return shapes.product(domain.create_product(_columns(body), by=app_actor()))


@operation(
    "GET",
    "/products/<id>",
    permission="product.read",
    query=Included,
    gives=entities.ProductWithPrices,
    example={"include": "prices"},
)
def get_product(id: str, query: Included) -> entities.ProductWithPrices:
    """Read a product."""
    return _shown([domain.product(id)], query)[0]


@operation(
    "PATCH",
    "/products/<id>",
    permission="product.write",
    takes=ProductUpdate,
    gives=entities.Product,
    example={"description": "For flight schools of every size.", "image_url": None},
)
def update_product(id: str, body: ProductUpdate) -> entities.Product:
    """Change a product; what is left out stays.

    `status: archived` takes it out of lists and new sales. Subscriptions to it go on.
    """
    with transaction():
        product = domain.product(id)
        domain.update_product(product, _columns(body), by=app_actor())
        return shapes.product(product)


def _columns(body: bodies.Body) -> dict[str, Any]:
    sent = bodies.as_dict(body)
    if "image_url" in sent:
        sent["image_url"] = sent["image_url"] or None
    return {name: value for name, value in sent.items() if (name, value) != ("type", None)}


def _shown(products: list[Product], query: Included) -> list[entities.ProductWithPrices]:
    shown: list[entities.ProductWithPrices] = [{**shapes.product(each)} for each in products]
    if "prices" in query.include:
        prices = _prices_of([each.id for each in products])
        for each in shown:
            each["prices"] = prices[each["id"]]
    return shown


def _prices_of(product_ids: list[str]) -> dict[str, list[entities.Price]]:
    wanted = select(Price).where(Price.product_id.in_(product_ids), Price.status == "active").order_by(Price.id)
    found: dict[str, list[entities.Price]] = defaultdict(list)
    for each in session().scalars(wanted):
        found[each.product_id].append(shapes.price(each))
    return found
