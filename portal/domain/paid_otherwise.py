"""Invoices that their customers have paid by other means, such as a transfer: staff write down that the money came."""

from portal import ids
from portal.domain import debts, purchases, renewal, subscriptions, transactions
from portal.domain.actors import Actor
from portal.domain.transactions import OPEN, Attempt, Transaction
from portal.errors import PaymentUnderWay, TransactionRefusal

RECORDED = "payment_recorded"
"""The transition of such a payment in the history."""
LONGEST_NOTE = 500


def record(transaction_id: str, *, by: Actor, note: str | None = None) -> bool:
    """Marks an invoice as paid; asked twice, it is recorded once: False.

    The subscription is active again if nothing else is owed. `note` stays in the history and the audit record. Raises
    NotFound; TransactionRefusal for what a card is charged for, and for what is no open invoice; PaymentUnderWay.
    """
    about = transactions.subscription_of(transaction_id)
    subscription = subscriptions.get(about) if about else None
    paid = transactions.get(transaction_id)
    refuse_unfit(paid)
    if paid.status not in OPEN:
        return False
    attempt = _received(paid)
    note = (note or "").replace("\x00", "").strip()[:LONGEST_NOTE] or None
    transactions.receive(attempt, None, by=by, transition=RECORDED, **({"comment": note} if note else {}))
    transactions.complete(paid, by=by)
    if subscription is None:
        purchases.tell(paid, None, None)
    else:
        owed = [each for each in debts.of(subscription.id) if not each.is_given_up]
        renewal.settled(subscription, paid, owed=owed, by=by)
    return True


def refuse_unfit(transaction: Transaction) -> None:
    """Raises TransactionRefusal for what is no invoice that was issued and not given up."""
    code = "transaction_invalid_status_change"
    if transaction.is_automatic:
        raise TransactionRefusal(code, "A card is charged for it, so its payment is recorded by itself.")
    if transaction.status not in (*OPEN, "paid", "completed"):
        raise TransactionRefusal(code, f"The transaction is {transaction.status}, so there is no invoice to pay.")


def _received(transaction: Transaction) -> Attempt:
    """The payment as an attempt that went through, of no card."""
    if transaction.attempt_key is not None:
        raise PaymentUnderWay("A payment is being collected this very moment. Nothing was changed. Try in a minute.")
    transaction.attempt_key = ids.new("att")
    return Attempt(
        transaction_id=transaction.id,
        key=transaction.attempt_key,
        method_id=None,
        reference=None,
        amount=transaction.due,
        currency=transaction.currency_code,
        repeats=False,
    )
