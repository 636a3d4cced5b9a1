"""Deleting a stored card, so that it is shown nowhere and charged for nothing."""

from sqlalchemy import select, update

from portal import clock
from portal.db import session
from portal.domain import changes, events
from portal.domain.actors import Actor
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.errors import Changed, NotFound, PaymentUnderWay


def get(id: str, *, customer_id: str) -> PaymentMethod:
    """Inside a transaction its row is locked. Raises NotFound for an unknown, a deleted and another customer's."""
    found = changes.find(PaymentMethod, "payment method", id, customer_id=customer_id)
    if found.deleted_at is not None:
        raise NotFound("payment method", id)
    return found


def delete(method: PaymentMethod, *, by: Actor) -> None:
    """Forgets what could charge the card. Raises Changed while a subscription is paid with it, PaymentUnderWay."""
    _refuse_while_paying(method)
    _refuse_while_charged(method)
    ended = update(Subscription).where(
        Subscription.customer_id == method.customer_id, Subscription.payment_method_id == method.id
    )
    session().execute(ended.values(payment_method_id=None), execution_options={"synchronize_session": False})
    method.deleted_at = method.updated_at = clock.now()
    method.reference = ""
    session().flush()
    events.record("payment_method.deleted", method, by=by)


def _refuse_while_paying(method: PaymentMethod) -> None:
    living = select(Subscription.id).where(
        Subscription.customer_id == method.customer_id,
        Subscription.payment_method_id == method.id,
        Subscription.status != "canceled",
    )
    if (one := session().scalar(living.limit(1))) is not None:
        raise Changed(
            f"The subscription {one} is paid with this payment method. Nothing was changed. "
            "Let its customer give another one first, or end the subscription."
        )


def _refuse_while_charged(method: PaymentMethod) -> None:
    begun = select(Transaction.id).where(
        Transaction.customer_id == method.customer_id, Transaction.attempt_method_id == method.id
    )
    if session().scalar(begun.limit(1)) is not None:
        raise PaymentUnderWay("This payment method is being charged. Nothing was changed. Try again in a minute.")
