"""What the list of subscriptions should be kept as, worked out from the rows themselves."""

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from portal import db
from portal.db import table
from portal.domain.catalog import Price
from portal.domain.listing_entries import ListingEntry, ListingTerm
from portal.domain.search import SearchTerm
from portal.domain.subscriptions import Subscription, SubscriptionItem

_SUB, _ITEM, _PRICE = table(Subscription), table(SubscriptionItem), table(Price)


def strays() -> dict[str, set[Any]]:
    """What is kept and should not be, or should be and is not; nothing, if the database keeps its lists well."""
    with db.engine().connect() as connection:
        subscriptions = connection.execute(select(_SUB)).all()
        wanted = select(_ITEM.c.subscription_id, _PRICE.c.product_id).join(_PRICE, _PRICE.c.id == _ITEM.c.price_id)
        sold: dict[str, set[str]] = defaultdict(set)
        for id, product in connection.execute(wanted):
            sold[id].add(product)
        kept = {tuple(each) for each in connection.execute(select(table(ListingEntry)))}
        found = {tuple(each) for each in connection.execute(select(table(ListingTerm)))}
        known: dict[str, set[str]] = defaultdict(set)
        for text, customer in connection.execute(select(table(SearchTerm))):
            known[customer].add(text)
    entries, terms = set(), set()
    for each in subscriptions:
        stands = (each.id, _state(each), _ends(each), each.canceled_by, each.customer_id)
        entries |= {(part, *stands) for part in ("", *sold[each.id])}
        if _state(each) != "active":
            terms |= {(_state(each), text, each.customer_id, each.id) for text in known[each.customer_id]}
    differing = {"entries": kept ^ entries, "terms": found ^ terms}
    return {name: rows for name, rows in differing.items() if rows}


def _state(s: Any) -> str:
    if s.status == "canceled":
        return "canceled"
    return "pending" if s.scheduled_action == "cancel" else str(s.status)


def _ends(s: Any) -> Any:
    if s.scheduled_action == "cancel":
        return s.scheduled_effective_at
    return s.canceled_at or s.period_ends_at
