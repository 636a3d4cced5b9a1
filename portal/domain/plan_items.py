"""Which items a subscription may have: active prices of its currency and cycle, in their quantities."""

from typing import Any

from portal.errors import EntityArchived, InvalidField, NoRecurringItem


def quantities(
    subscription: Any, listed: list[tuple[str, int | None]] | None, known: dict[str, Any]
) -> dict[str, int] | None:
    """The quantities by price that a whole list of items asks for; None if they are what they were.

    Raises InvalidField, EntityArchived, NoRecurringItem.
    """
    if listed is None:
        return None
    old = {item.price_id: item for item in subscription.items}
    items: dict[str, int] = {}
    for n, (price_id, quantity) in enumerate(listed):
        where, item = f"items.{n}", old.get(price_id)
        if price_id in items:
            raise InvalidField(f"{where}.price_id", "stands in the list twice")
        price = item.price if item else sellable(f"{where}.price_id", price_id, known, subscription)
        if quantity is None:
            if item is None:
                raise InvalidField(f"{where}.quantity", "is needed for an item that is new")
            quantity = item.quantity
        items[price_id] = quantity
        if item is None or item.quantity != quantity:
            refuse_quantity(f"{where}.quantity", quantity, price)
        if item is None:
            _refuse_other_payments(f"{where}.price_id", price, subscription)
            _refuse_other_cycle(f"{where}.price_id", price, subscription)
    if not any(old[each].recurring if each in old else True for each in items):
        raise NoRecurringItem("No recurring item would be left. Nothing was changed; send the whole list, or cancel.")
    return None if items == {item.price_id: item.quantity for item in subscription.items} else items


def sellable(where: str, price_id: str, known: dict[str, Any], subscription: Any) -> Any:
    """A known price that is sold now, in the subscription's currency. Raises InvalidField, EntityArchived."""
    price = known.get(price_id)
    if price is None:
        raise InvalidField(where, "there is no such price")
    if price.status != "active" or price.product.status != "active":
        raise EntityArchived(f"The price {price_id} or its product is archived. Nothing was changed.")
    if price.currency_code != subscription.currency_code:
        raise InvalidField(where, f"is not in the subscription's currency, {subscription.currency_code}")
    return price


def _refuse_other_cycle(where: str, price: Any, subscription: Any) -> None:
    if (price.billing_interval, price.billing_frequency) != (
        subscription.billing_interval,
        subscription.billing_frequency,
    ):
        raise InvalidField(where, "is not billed as often as the subscription")


def _refuse_other_payments(where: str, price: Any, subscription: Any) -> None:
    """What is new to a plan would not get all its payments, and what is endless would end with the plan."""
    if subscription.remaining_payments is not None:
        raise InvalidField(where, "can't be added to a payment plan: only quantities change, and items are removed")
    if price.payments is not None:
        raise InvalidField(where, f"is a plan of {price.payments} payments, which begins with an order of its own")


def refuse_quantity(where: str, quantity: int, price: Any) -> None:
    """Raises InvalidField."""
    if not price.quantity_minimum <= quantity <= price.quantity_maximum:
        raise InvalidField(where, f"must be from {price.quantity_minimum} to {price.quantity_maximum}")
