"""What is sold: products and their prices. How prices are made and changed stands in pricing.py."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import clock, ids
from portal.db import Base, connection, session, table
from portal.domain import changes, events
from portal.domain.actors import Actor


class Product(Base):
    __tablename__ = "products"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str] = mapped_column(default="standard")
    tax_category: Mapped[str]
    description: Mapped[str | None]
    image_url: Mapped[str | None]
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[str] = mapped_column(default="active")
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Price(Base):
    """`amount` is in minor units of `currency_code`; a price without a billing interval is charged once."""

    __tablename__ = "prices"
    __table_args__ = (Index(None, "product_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    type: Mapped[str] = mapped_column(default="standard")
    description: Mapped[str]
    name: Mapped[str | None]
    tax_mode: Mapped[str] = mapped_column(default="account_setting")
    billing_interval: Mapped[str | None]
    billing_frequency: Mapped[int | None]
    trial_interval: Mapped[str | None]
    trial_frequency: Mapped[int | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency_code: Mapped[str]
    unit_price_overrides: Mapped[Any] = mapped_column(JSON, default=list)
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    payments: Mapped[int | None]
    """Of a payment plan: how many payments there are in all. None: it renews until it is canceled."""
    status: Mapped[str] = mapped_column(default="active")
    quantity_minimum: Mapped[int] = mapped_column(default=1)
    quantity_maximum: Mapped[int] = mapped_column(default=100)
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    product: Mapped[Product] = relationship(lazy="raise")


def product(id: str) -> Product:
    """Inside a transaction its row is locked. Raises NotFound."""
    return changes.find(Product, "product", id)


def price(id: str) -> Price:
    """Inside a transaction its row is locked. Raises NotFound."""
    return changes.find(Price, "price", id)


def create_product(fields: dict[str, Any], *, by: Actor) -> Product:
    """`fields` are columns, name and tax_category among them."""
    now = clock.now()
    created = Product(id=ids.new("pro"), status="active", created_at=now, updated_at=now, **fields)
    session().add(created)
    session().flush()
    events.record("product.created", created, by=by)
    return created


def update_product(product: Product, wanted: dict[str, Any], *, by: Actor) -> None:
    """Subscriptions show the product as it now is; transactions keep what they were billed with."""
    changes.record("product.updated", product, wanted, by=by)


_PRODUCT_NAMES = select(table(Product).c.id, table(Product).c.name).order_by(table(Product).c.id)


def product_names(limit: int) -> list[tuple[str, str]]:
    """Id and name of so many products, by name; the oldest ones, if there are more."""
    found = connection().execute(_PRODUCT_NAMES.limit(limit))
    return sorted(((row.id, row.name) for row in found), key=lambda each: each[1].casefold())
