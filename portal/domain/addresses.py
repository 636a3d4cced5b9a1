"""Addresses of customers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session
from portal.domain import changes, codes, customers, events
from portal.domain.actors import Actor
from portal.domain.customers import Address

MOST = 20
"""Addresses that are shown of one customer."""


def get(id: str, *, customer_id: str) -> Address:
    """Inside a transaction its row is locked. Raises NotFound, alike for an unknown id and another customer's."""
    return changes.find(Address, "address", id, customer_id=customer_id)


def of_customer(customer_id: str) -> Sequence[Address]:
    """A customer's addresses that are not archived, the latest first."""
    own = select(Address).where(Address.customer_id == customer_id, Address.status == "active")
    return session().scalars(own.order_by(Address.id.desc()).limit(MOST)).all()


def create(customer_id: str, fields: dict[str, Any], *, by: Actor) -> Address:
    """`fields` are columns. Raises NotFound or EntityArchived for the customer, InvalidRequest for the postal code."""
    customers.refuse_unless_active(customer_id)
    codes.refuse_without_postal_code(fields["country_code"], fields.get("postal_code"))
    now = clock.now()
    created = Address(
        id=ids.new("add"), customer_id=customer_id, status="active", created_at=now, updated_at=now, **fields
    )
    session().add(created)
    session().flush()
    events.record("address.created", created, by=by)
    return created


def update(address: Address, wanted: dict[str, Any], *, by: Actor) -> None:
    """Changes the named fields. Raises InvalidRequest where the country needs a postal code."""
    if {"country_code", "postal_code"} & wanted.keys():
        country = wanted.get("country_code", address.country_code)
        codes.refuse_without_postal_code(country, wanted.get("postal_code", address.postal_code))
    changes.record("address.updated", address, wanted, by=by)
