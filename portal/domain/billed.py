"""What of a subscription's items is billed for the current period: no change gives back more than that.

    a period's bill    all of every recurring item
    added              billed with the change; with do_not_bill not, until the next period
    removed            first what was not billed; of what was, the change gives credit, or it is given up
    exchanged          with do_not_bill, what is given up counts for what is added instead, up to its price

What waits for the next bill counts as billed: its credit waits with it, and both are forgiven together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from portal.domain import charges
from portal.domain.proration import Share


@dataclass(frozen=True)
class Billed:
    """So many of a price; `amount` is what the whole period of them cost when they were billed, in minor units."""

    quantity: int = 0
    amount: int = 0

    def __add__(self, other: "Billed") -> "Billed":
        return Billed(self.quantity + other.quantity, self.amount + other.amount)

    def split(self, quantity: int) -> tuple["Billed", "Billed"]:
        """What of it there still is if there are only so many, and the rest."""
        if quantity >= self.quantity:
            return self, Billed()
        kept = Billed(quantity, self.amount * quantity // self.quantity)
        return kept, Billed(self.quantity - kept.quantity, self.amount - kept.amount)


def in_full(subscription: Any) -> None:
    """A bill covers the whole of every recurring item."""
    for item in subscription.items:
        if item.recurring:
            item.billed_quantity, item.billed_amount = item.quantity, item.price.amount * item.quantity


def changed(
    subscription: Any, wanted: Sequence[tuple[Any, int, int]], *, is_billed: bool, in_full: Share | None = None
) -> tuple[dict[str, Billed], dict[str, Billed]]:
    """What is billed after a change, and what that was billed is removed by it, each by price id.

    `wanted` are prices with the quantity they will have, and what that is more than now. `in_full`: what is added costs
    its whole price for the share that is left of the period; if that is more than one, it gives no more back.
    """
    known = {item.price_id: Billed(item.billed_quantity, item.billed_amount) for item in subscription.items}
    after, removed = {}, {}
    for price, quantity, _ in wanted:
        after[price.id], removed[price.id] = known.get(price.id, Billed()).split(quantity)
    given_up = reduce(Billed.__add__, removed.values(), Billed())
    for price, _, more in wanted:
        if more > 0 and is_billed:
            amount = price.amount * more
            after[price.id] += Billed(more, int(amount / max(1, in_full.fraction)) if in_full else amount)
        elif more > 0:
            given_up, taken = given_up.split(max(0, given_up.quantity - more))
            after[price.id] += Billed(taken.quantity, min(taken.amount, price.amount * taken.quantity))
    return after, removed


def call_off(subscription: Any, bill: Any) -> None:
    """A bill of the current period is given up, so what stands on it is not billed any more, nor what would follow."""
    began = subscription.period_starts_at or subscription.kept_period_starts_at
    if began is None or bill.period_starts_at is None or bill.period_starts_at < began:
        return
    charges.forgive_following(subscription.id, bill.lines)
    for item in subscription.items:
        on_it = sum(_quantities(bill.lines, item.price_id))
        kept, _ = Billed(item.billed_quantity, item.billed_amount).split(max(0, item.billed_quantity - on_it))
        item.billed_quantity, item.billed_amount = kept.quantity, kept.amount


def _quantities(lines: Iterable[dict[str, Any]], price_id: str) -> Iterable[int]:
    return (each["quantity"] for each in lines if each["price"]["id"] == price_id)
