"""Payment plans, put straight into the database."""

from typing import Any

from portal.db import session, transaction
from portal.domain.catalog import Price
from tests import people


def price(payments: int | None = 6, **fields: Any) -> str:
    """A monthly price of so many payments; gives its id."""
    made = people.price()
    with transaction():
        row = session().get_one(Price, made)
        for name, value in {"payments": payments, **fields}.items():
            setattr(row, name, value)
    return made


def plan(left: int = 3, *, payments: int = 6, **fields: Any) -> str:
    """An active plan of 30 dollars a month, of which so many payments are still to be billed; gives its id."""
    fields = {"price_id": price(payments), "quantity": 1} | fields
    return people.subscription(fields.pop("customer_id", None) or people.customer(), remaining_payments=left, **fields)


def completed(**fields: Any) -> dict[str, Any]:
    """The fields of a plan whose last payment is billed."""
    ends_at = fields["period_ends_at"]
    scheduled = {"scheduled_action": "cancel", "scheduled_effective_at": ends_at, "scheduled_by": "system"}
    return {"left": 0, "next_billed_at": None, "canceled_by": "system", **scheduled, **fields}
