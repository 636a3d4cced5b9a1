"""Products and prices for apps."""

from portal.api.operations import operation
from portal.db import session
from portal.domain import entities, shapes
from portal.domain.catalog import Price, Product
from portal.errors import NotFound


@operation("GET", "/products/<id>", permission="product.read", gives=entities.Product)
def get_product(id: str) -> entities.Product:
    """Read a product."""
    product = session().get(Product, id)
    if product is None:
        raise NotFound("product", id)
    return shapes.product(product)


@operation("GET", "/prices/<id>", permission="price.read", gives=entities.Price)
def get_price(id: str) -> entities.Price:
    """Read a price."""
    price = session().get(Price, id)
    if price is None:
        raise NotFound("price", id)
    return shapes.price(price)
