"""What subscriptions owe: bills that are not paid, and whether anybody is at it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from portal import db
from portal.db import session
from portal.domain.transactions import OPEN, Transaction


def of(subscription_id: str) -> Sequence[Transaction]:
    """What a subscription still owes, oldest first; locked inside a transaction."""
    owed = (
        select(Transaction)
        .where(Transaction.subscription_id == subscription_id, Transaction.status.in_(OPEN))
        .order_by(Transaction.id)
    )
    return session().scalars(owed.with_for_update() if db.in_transaction() else owed).all()


def of_each(subscription_ids: Iterable[str]) -> dict[str, list[Transaction]]:
    """What each of some subscriptions still owes, oldest first, to be read: one statement, and nothing is locked."""
    wanted = Transaction.subscription_id.in_(list(subscription_ids)), Transaction.status.in_(OPEN)
    found: dict[str, list[Transaction]] = defaultdict(list)
    for each in session().scalars(select(Transaction).where(*wanted).order_by(Transaction.id)):
        if each.status in OPEN:  # and not only where it has not been written yet
            found[each.subscription_id or ""].append(each)
    return found


def to_collect(subscription_id: str) -> list[Transaction]:
    """What of it a card is charged for: an invoice that the customer pays by other means may be paid already."""
    return [each for each in of(subscription_id) if each.is_automatic]


def being_collected(subscription_id: str) -> list[Transaction]:
    """What of that its standing depends on: a debt that is given up holds up no change, and no later payment."""
    return [each for each in to_collect(subscription_id) if not each.is_given_up]


def told(owed: Sequence[Transaction]) -> dict[str, Any]:
    """What a mail says of what is owed: how much in minor units, and `card`, `invoice` or nobody's doing (`none`)."""
    if not owed:
        return {}
    by_invoice = not all(each.is_automatic for each in owed)
    how = "card" if any(each.is_tried for each in owed) else "invoice" if by_invoice else "none"
    return {"owed": sum(each.due for each in owed), "owed_by": how}


def told_of(subscription_id: str) -> dict[str, Any]:
    """The same of one subscription."""
    return told(of_each((subscription_id,))[subscription_id])
