"""Products and prices for apps."""

from flask import Response

from portal import web
from portal.access import key_required
from portal.api import bp
from portal.db import session
from portal.domain import shapes
from portal.domain.catalog import Price, Product
from portal.errors import NotFound


@bp.get("/products/<id>")
@key_required("product.read")
def get_product(id: str) -> Response:
    product = session().get(Product, id)
    if product is None:
        raise NotFound("product", id)
    return web.data(shapes.product(product))


@bp.get("/prices/<id>")
@key_required("price.read")
def get_price(id: str) -> Response:
    price = session().get(Price, id)
    if price is None:
        raise NotFound("price", id)
    return web.data(shapes.price(price))
