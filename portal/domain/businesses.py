"""Businesses that customers buy for."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session
from portal.domain import changes, customers, events
from portal.domain.actors import Actor
from portal.domain.customers import Business

MOST = 20
"""Businesses that are shown of one customer."""


def get(id: str, *, customer_id: str) -> Business:
    """Inside a transaction its row is locked. Raises NotFound, alike for an unknown id and another customer's."""
    return changes.find(Business, "business", id, customer_id=customer_id)


def of_customer(customer_id: str) -> Sequence[Business]:
    """A customer's businesses that are not archived, the latest first."""
    own = select(Business).where(Business.customer_id == customer_id, Business.status == "active")
    return session().scalars(own.order_by(Business.id.desc()).limit(MOST)).all()


def create(customer_id: str, fields: dict[str, Any], *, by: Actor) -> Business:
    """`fields` are columns. Raises NotFound or EntityArchived for the customer."""
    customers.refuse_unless_active(customer_id)
    now = clock.now()
    created = Business(
        id=ids.new("biz"), customer_id=customer_id, status="active", created_at=now, updated_at=now, **fields
    )
    session().add(created)
    session().flush()
    events.record("business.created", created, by=by)
    return created


def update(business: Business, wanted: dict[str, Any], *, by: Actor) -> None:
    """Changes the named fields; `contacts` as a whole."""
    changes.record("business.updated", business, wanted, by=by)
