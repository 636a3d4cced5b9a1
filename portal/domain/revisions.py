"""Correcting the names on an invoice, once: the record of what was bought stays as it is.

What was corrected stands on the transaction alone; customer, address and business are not touched.
"""

from types import SimpleNamespace
from typing import Any

from portal import clock
from portal.domain import events
from portal.domain.actors import Actor
from portal.domain.transactions import Transaction
from portal.errors import TransactionRefusal

CUSTOMER, ADDRESS, BUSINESS = "customer", "address", "business"


def revise(transaction: Transaction, revision: dict[str, dict[str, Any]], *, by: Actor) -> None:
    """Changes what the invoice says of customer, address and business. Raises TransactionRefusal."""
    _refuse(transaction, revision)
    transaction.revision = {part: changes for part, changes in revision.items() if changes}
    transaction.revised_at = transaction.updated_at = clock.now()
    events.record("transaction.revised", transaction, by=by)


def revised(row: Any, transaction: Any, part: str) -> Any:
    """A customer, address or business as the invoice names it; None if there is none."""
    changes = (transaction.revision or {}).get(part) or {}
    if row is None or not changes:
        return row
    columns = (column.name for column in row.__table__.columns)
    return SimpleNamespace(**{name: getattr(row, name) for name in columns} | changes)


def _refuse(transaction: Transaction, revision: dict[str, dict[str, Any]]) -> None:
    if transaction.status not in ("billed", "completed"):
        raise TransactionRefusal(
            "transaction_invalid_status_to_revise",
            f"Only what is billed or completed is revised, and this is {transaction.status}. Nothing was changed.",
        )
    if transaction.revised_at is not None:
        raise TransactionRefusal(
            "transaction_revised_limit_reached", "It was revised once already. Nothing was changed."
        )
    if not any(revision.values()):
        raise TransactionRefusal("transaction_nothing_to_revise", "The body says nothing new. Nothing was changed.")
    business = revision.get(BUSINESS) or {}
    if business and "name" not in business and transaction.business_id is None:
        raise TransactionRefusal(
            "transaction_revise_missing_business_name", "The transaction has no business yet: send its name too."
        )
