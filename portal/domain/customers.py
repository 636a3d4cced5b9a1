"""Customers, their addresses and their businesses; what is done with the latter stands in files of their own."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, session
from portal.domain import changes, events, search
from portal.domain.actors import Actor
from portal.errors import CustomerAlreadyExists, EntityArchived, NotFound


class Customer(Base):
    """`email_key` is the address in the form in which two spellings are the same person."""

    __tablename__ = "customers"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    locale: Mapped[str] = mapped_column(default="en")
    status: Mapped[str] = mapped_column(default="active")
    marketing_consent: Mapped[bool] = mapped_column(default=False)
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    links_valid_from: Mapped[datetime | None]
    """Direct links issued before this instant no longer open anything."""

    @property
    def time_zone(self) -> str | None:
        """The zone named in `custom_data.time_zone`, if the seller told us one."""
        zone = self.custom_data.get("time_zone") if isinstance(self.custom_data, dict) else None
        return zone if isinstance(zone, str) else None


class Address(Base):
    __tablename__ = "addresses"
    __table_args__ = (Index(None, "customer_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    description: Mapped[str | None]
    first_line: Mapped[str | None]
    second_line: Mapped[str | None]
    city: Mapped[str | None]
    postal_code: Mapped[str | None]
    region: Mapped[str | None]
    country_code: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Business(Base):
    """Whom a customer buys for; `contacts` is a list of name and email."""

    __tablename__ = "businesses"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    name: Mapped[str]
    company_number: Mapped[str | None]
    tax_identifier: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="active")
    contacts: Mapped[Any] = mapped_column(JSON, default=list)
    custom_data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    import_meta: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def email_key(email: str) -> str:
    """An address in the form in which two spellings are the same person; `ß` is not `ss`."""
    return email.strip().lower()


def get(customer_id: str) -> Customer:
    """Raises NotFound for an id that is unknown."""
    customer = session().get(Customer, customer_id)
    if customer is None:
        raise NotFound("customer", customer_id)
    return customer


_NAMES = select(Customer.__table__.c.id, Customer.__table__.c.name, Customer.__table__.c.email).where(
    Customer.__table__.c.id.in_(bindparam("ids", expanding=True))
)


def names(customer_ids: Iterable[str | None]) -> dict[str, Any]:
    """Name and address of several customers, by id."""
    wanted = list({each for each in customer_ids if each})
    return {row.id: row for row in connection().execute(_NAMES, {"ids": wanted})} if wanted else {}


def locked(customer_id: str) -> Customer:
    """The same with its row locked, to change it."""
    return changes.find(Customer, "customer", customer_id)


_STATUS = select(Customer.__table__.c.status).where(Customer.__table__.c.id == bindparam("id"))


def refuse_unless_active(customer_id: str) -> None:
    """Raises NotFound, like `get`, or EntityArchived."""
    status = connection().execute(_STATUS, {"id": customer_id}).scalar()
    if status is None:
        raise NotFound("customer", customer_id)
    if status != "active":
        raise EntityArchived(f"The customer {customer_id} is archived. Nothing was done.")


def by_email(email: str) -> Customer | None:
    """The active customer who is reached at an address."""
    return session().scalar(select(Customer).where(Customer.email_key == email_key(email), Customer.status == "active"))


def create(*, email: str, name: str | None, locale: str, custom_data: Any, by: Actor) -> Customer:
    """Raises CustomerAlreadyExists, which names the customer who has the address."""
    _refuse_taken(email)
    now = clock.now()
    customer = Customer(
        id=ids.new("ctm"),
        email=email,
        email_key=email_key(email),
        name=name,
        locale=locale,
        status="active",
        marketing_consent=False,
        custom_data=custom_data,
        created_at=now,
        updated_at=now,
    )
    session().add(customer)
    session().flush()
    search.add(((customer.id, customer.name, customer.email),))
    events.record("customer.created", customer, by=by)
    return customer


def update(customer: Customer, wanted: dict[str, Any], *, by: Actor) -> None:
    """Changes the named fields. Raises CustomerAlreadyExists for an address that is taken."""
    if "email" in wanted:
        _refuse_taken(wanted["email"], but=customer.id)
        wanted = {**wanted, "email_key": email_key(wanted["email"])}
    found_by = (customer.name, customer.email)
    changes.record("customer.updated", customer, wanted, by=by)
    if (customer.name, customer.email) != found_by:
        search.replace(customer)


def _refuse_taken(email: str, but: str | None = None) -> None:
    other = session().scalar(select(Customer).where(Customer.email_key == email_key(email)))
    if other is not None and other.id != but:
        raise CustomerAlreadyExists(other.id)
