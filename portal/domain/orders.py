"""Making a transaction, and changing it until it is a record: what is bought, by whom, how it is to be paid.

draft → ready                who buys, and from where, is known
draft | ready → canceled     given up
ready (manual) → billed      purchases.invoice()
ready → completed            purchases.pay()
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal import clock, ids
from portal.db import session
from portal.domain import billed, charges, customers, events, shapes, subscriptions, transactions
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.customers import Address, Business
from portal.domain.transactions import METHOD_CHANGE, UNBILLED, Transaction
from portal.errors import Changed, EntityArchived, NotFound, TransactionRefusal

Items = Sequence[tuple[str, int]]
"""Price and quantity of each."""


def create(
    items: Items, *, by: Actor, origin: str = "api", currency_code: str | None = None, **columns: Any
) -> Transaction:
    """A transaction that is ready as soon as customer and address are known, else a draft.

    What is bought again (`again_of`) has no trial. Raises NotFound, EntityArchived, TransactionRefusal.
    """
    now = clock.now()
    lines = lines_of(items, currency_code, has_trial=columns.get("again_of") is None)
    made = Transaction(
        **{"collection_mode": "automatic"} | columns,
        id=ids.new("txn"),
        origin=origin,
        currency_code=lines[0]["price"]["unit_price"]["currency_code"],
        lines=lines,
        amount=sum(each["amount"] for each in lines),
        credit=0,
        payments=[],
        failed_attempts=0,
        created_at=now,
        updated_at=now,
    )
    _refuse_unfit(made)
    made.status = standing(made)
    session().add(made)
    session().flush()
    events.record("transaction.created", made, by=by)
    if made.status == "ready":
        events.record("transaction.ready", made, by=by)
    return made


def update(transaction: Transaction, wanted: dict[str, Any], *, by: Actor) -> None:
    """Changes columns of what is not a record yet; `items` and `currency_code` become its lines.

    What it has already is no change, and recorded as none. Raises as `create`, and TransactionRefusal for what can't
    be changed any more.
    """
    refuse_record(transaction)
    if "items" in wanted or "currency_code" in wanted:
        items = wanted.pop("items", None) or items_of(transaction)
        lines = lines_of(items, wanted.pop("currency_code", None), has_trial=transaction.again_of is None)
        wanted |= {"lines": lines, "amount": sum(each["amount"] for each in lines)}
        wanted["currency_code"] = lines[0]["price"]["unit_price"]["currency_code"]
        if _without_ids(lines) == _without_ids(transaction.lines):
            del wanted["lines"]
    if "customer_id" in wanted:
        wanted["identified_at"] = None
    wanted = {name: value for name, value in wanted.items() if getattr(transaction, name) != value}
    if not wanted:
        return
    for name, value in wanted.items():
        setattr(transaction, name, value)
    _refuse_unfit(transaction)
    changed(transaction, by=by)


def changed(transaction: Transaction, *, by: Actor) -> None:
    """Records that it was changed, and whether it is ready now."""
    before, transaction.status = transaction.status, standing(transaction)
    transaction.updated_at = clock.now()
    events.record("transaction.updated", transaction, by=by)
    if (before, transaction.status) == ("draft", "ready"):
        events.record("transaction.ready", transaction, by=by)


def call_off(transaction_id: str, *, by: Actor) -> Transaction:
    """Gives up what nobody has paid; what it was for gives no credit any more, and the credit in it waits again.

    The subscription is locked first. Raises NotFound, TransactionRefusal, PaymentUnderWay.
    """
    about = transactions.subscription_of(transaction_id)
    subscription = subscriptions.get(about) if about else None
    transaction = transactions.get(transaction_id)
    _refuse_method_change(transaction)
    if transaction.status not in UNBILLED and (transaction.status, transaction.is_automatic) != ("billed", False):
        raise TransactionRefusal(
            "transaction_immutable", f"The transaction is {transaction.status}. Nothing was changed."
        )
    transactions.cancel(transaction, by=by)
    if subscription is not None:
        billed.call_off(subscription, transaction)
        charges.give_back(subscription, transaction)
    return transaction


def again(subscription: Any, *, by: Actor) -> Transaction:
    """The transaction with which the customer of a canceled subscription buys the same again; asked twice, the same.

    It is paid from the start: who had it already gets no trial. Raises Changed if it is not canceled; EntityArchived or
    TransactionRefusal if it is no longer sold like this.
    """
    if subscription.status != "canceled":
        raise Changed("The subscription is not canceled. Nothing was changed; it can be kept as it is.")
    items = [(item.price_id, item.quantity) for item in subscription.items]
    lines = lines_of(items, has_trial=False)
    mine = (Transaction.again_of == subscription.id, Transaction.customer_id == subscription.customer_id)
    opened = session().scalar(
        select(Transaction).where(*mine, Transaction.status.in_(UNBILLED)).order_by(Transaction.id.desc()).limit(1)
    )
    if opened is not None and [_sold(each) for each in opened.lines] == [_sold(each) for each in lines]:
        return opened
    return create(
        items,
        by=by,
        origin="web",
        again_of=subscription.id,
        customer_id=subscription.customer_id,
        address_id=_if_active(Address, subscription.address_id),
        business_id=_if_active(Business, subscription.business_id),
        custom_data=subscription.custom_data,
    )


def lines_of(items: Items, currency_code: str | None = None, *, has_trial: bool = True) -> list[dict[str, Any]]:
    """The lines of what is bought; during a trial, if it is given, a recurring one costs nothing.

    Raises EntityArchived, TransactionRefusal.
    """
    wanted = [price_id for price_id, _ in items]
    if len(set(wanted)) < len(wanted):
        raise TransactionRefusal("transaction_duplicate_price_ids", "A price is named twice. Nothing was changed.")
    found = select(Price).where(Price.id.in_(wanted)).options(joinedload(Price.product))
    prices = {each.id: each for each in session().scalars(found)}
    for price_id, quantity in items:
        _refuse_unsold(prices.get(price_id), price_id, quantity)
    _refuse_mixed([prices[each] for each in wanted], currency_code, has_trial=has_trial)
    if sum(prices[price_id].amount * quantity for price_id, quantity in items) > charges.MOST:
        raise TransactionRefusal(
            "transaction_item_quantity_out_of_range", f"All items may cost {charges.MOST} at most. Nothing was changed."
        )
    return [line(prices[price_id], quantity, has_trial=has_trial) for price_id, quantity in items]


def is_stale(transaction: Transaction) -> bool:
    """Whether a price was changed so much since that what would begin is not what was ordered."""
    found = select(Price).where(Price.id.in_([price_id for price_id, _ in items_of(transaction)]))
    terms = ("billing_cycle", "payments", *(("trial_period",) if transaction.again_of is None else ()))
    now = {each.id: shapes.price(each) for each in session().scalars(found)}
    for each in transaction.lines:
        then, price = each["price"], now[each["price"]["id"]]
        if any(then.get(term) != price[term] for term in terms):  # type: ignore[literal-required]
            return True
        if then["unit_price"]["currency_code"] != price["unit_price"]["currency_code"]:
            return True
    return False


def line(price: Price, quantity: int, *, free: bool = False, has_trial: bool = True) -> dict[str, Any]:
    """One line of a transaction; `amount` is in minor units. Without its trial a price is taken down as having none."""
    unit = 0 if free or (has_trial and price.trial_interval) else price.amount
    return {
        "id": ids.new("txnitm"),
        "quantity": quantity,
        "amount": unit * quantity,
        "price": {**shapes.price(price), **({} if has_trial else {"trial_period": None})},
        "product": shapes.product(price.product),
    }


def items_of(transaction: Transaction) -> Items:
    return [(each["price"]["id"], each["quantity"]) for each in transaction.lines]


def refuse_record(transaction: Transaction) -> None:
    """Raises TransactionRefusal for what is a record, is being paid, or can't be changed by its nature."""
    _refuse_method_change(transaction)
    if transaction.status not in UNBILLED:
        raise TransactionRefusal(
            "transaction_immutable", f"The transaction is {transaction.status}. Nothing was changed."
        )
    if transaction.attempt_key is not None:
        refusal = TransactionRefusal(
            "transaction_immutable_while_processing_payment", "It is being paid. Nothing was changed. Read it again."
        )
        refusal.status = 409
        raise refusal


def standing(transaction: Transaction) -> str:
    """`ready` if customer and address are known, else `draft`."""
    return "ready" if transaction.customer_id and transaction.address_id else "draft"


def _refuse_method_change(transaction: Transaction) -> None:
    if transaction.origin == METHOD_CHANGE:
        raise TransactionRefusal(
            "transaction_payment_method_change_field_immutable",
            "It is there to change a payment method. Nothing was changed.",
        )


def _refuse_unsold(price: Price | None, price_id: str, quantity: int) -> None:
    if price is None:
        raise TransactionRefusal("transaction_price_not_found", f"There is no price {price_id}. Nothing was changed.")
    if "archived" in (price.status, price.product.status):
        raise EntityArchived(f"The price {price_id} or its product is archived. Nothing was changed.")
    if not price.quantity_minimum <= quantity <= price.quantity_maximum:
        raise TransactionRefusal(
            "transaction_item_quantity_out_of_range",
            f"The price {price_id} is sold in quantities from {price.quantity_minimum} to {price.quantity_maximum}, "
            f"not {quantity}. Nothing was changed.",
        )


def _refuse_mixed(prices: list[Price], currency_code: str | None, *, has_trial: bool) -> None:
    """One currency, and for what recurs one cycle, one trial (if it is given) and one number of payments."""
    currencies = sorted({each.currency_code for each in prices} | ({currency_code} if currency_code else set()))
    if len(currencies) > 1:
        raise TransactionRefusal(
            "transaction_currency_code_invalid",
            f"No currency is converted, and these differ: {', '.join(currencies)}. Nothing was changed.",
        )
    recurring = [each for each in prices if each.billing_interval]
    if len({(each.billing_interval, each.billing_frequency) for each in recurring}) > 1:
        raise TransactionRefusal(
            "transaction_price_different_billing_cycle",
            "Recurring items must be billed in one cycle. Nothing was changed.",
        )
    if has_trial and len({(each.trial_interval, each.trial_frequency) for each in recurring}) > 1:
        raise TransactionRefusal(
            "transaction_price_different_trial_period", "Recurring items must have one trial. Nothing was changed."
        )
    if len({each.payments for each in recurring}) > 1:
        raise TransactionRefusal(
            "transaction_price_different_payments",
            "Recurring items must have one number of payments, or all be endless. Nothing was changed.",
        )


def _refuse_unfit(transaction: Transaction) -> None:
    """Customer, address, business and billing details must belong together. Raises NotFound, EntityArchived too."""
    if transaction.customer_id is not None:
        customers.refuse_unless_active(transaction.customer_id)
    elif transaction.address_id is not None:
        raise TransactionRefusal(
            "transaction_customer_is_required_with_address", "An address needs customer_id. Nothing was changed."
        )
    elif transaction.business_id is not None:
        raise TransactionRefusal(
            "transaction_customer_is_required_for_business_validation",
            "A business needs customer_id. Nothing was changed.",
        )
    _refuse_foreign(Address, "address", transaction.address_id, transaction.customer_id)
    _refuse_foreign(Business, "business", transaction.business_id, transaction.customer_id)
    if not transaction.is_automatic and transaction.billing_details is None:
        raise TransactionRefusal(
            "transaction_billing_details_object_required",
            "Manual collection needs billing_details. Nothing was changed.",
        )
    if transaction.is_automatic and transaction.billing_details is not None:
        raise TransactionRefusal(
            "transaction_billing_details_must_be_null",
            "Only manual collection has billing_details. Nothing was changed.",
        )


def _refuse_foreign(mapped: Any, noun: str, id: str | None, customer_id: str | None) -> None:
    """Raises NotFound for an id that is unknown or another customer's, EntityArchived for what is archived."""
    if id is None:
        return
    row = session().get(mapped, id)
    if row is None or row.customer_id != customer_id:
        raise NotFound(noun, id)
    if row.status != "active":
        raise EntityArchived(f"The {noun} {id} is archived. Nothing was changed.")


def _if_active(mapped: Any, id: str | None) -> str | None:
    row = session().get(mapped, id) if id else None
    return row.id if row is not None and row.status == "active" else None


def _without_ids(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each line gets an id of its own when it is made."""
    return [{name: value for name, value in each.items() if name != "id"} for each in lines]


def _sold(each: dict[str, Any]) -> tuple[str, int, int]:
    return each["price"]["id"], each["quantity"], each["amount"]
