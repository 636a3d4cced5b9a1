"""Buying: who buys says so, the gateway is asked, and what was bought begins.

    claim   the attempt and the card's plain facts are written down
    ask     the gateway, outside any transaction
    settle  paid, billed, subscription begun, card stored, mail queued: all of it or none

Whoever dies in between leaves the attempt behind; the worker repeats it with its key, and a gateway answers a
repeated key with its first answer. So there is one charge, one subscription and one mail.
"""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session, transaction
from portal.domain import (
    beginnings,
    bills,
    customers,
    events,
    mails,
    orders,
    payment_method_deletion,
    payment_methods,
    transactions,
)
from portal.domain.actors import Actor, system
from portal.domain.customers import Address, Customer
from portal.domain.payment_methods import Card, PaymentMethod
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import UNBILLED, Attempt, Transaction
from portal.errors import Changed, OfferChanged, TransactionRefusal
from portal.gateways import Gateway


def identify(
    bought: Transaction, *, email: str | None, country: str, postal_code: str | None, locale: str, by: Actor
) -> None:
    """Whose purchase it is, as they say it on the checkout; alike for an address that is known and one that is not.

    `email` is None where the seller named the customer. Raises Changed, TransactionRefusal.
    """
    orders.refuse_record(bought)
    if email is not None:
        if bought.customer_id is not None and bought.identified_at is None:
            raise Changed("The seller has named the customer. Nothing was changed.")
        bought.customer_id = _customer(email, locale, by=by).id
        bought.business_id, bought.identified_at = None, clock.now()
    if bought.customer_id is None:
        raise Changed("Nobody has said who buys. Nothing was changed.")
    bought.address_id = _address(bought.customer_id, country, postal_code, by=by).id
    orders.changed(bought, by=by)


def offer(bought: Transaction) -> str:
    """A short name of what somebody agrees to who pays now; another one as soon as any of it changes.

    It says no more of the buyer than the page does: the address, be it known or new.
    """
    agreed = beginnings.terms(bought, clock.now())
    each_period = agreed and (agreed.amount, agreed.interval, agreed.frequency, agreed.payments)
    trial = agreed and (agreed.trial_interval, agreed.trial_frequency)
    lines = [
        (each["product"]["name"], each["price"]["name"], each["quantity"], each["amount"]) for each in bought.lines
    ]
    said = (bought.currency_code, bought.due, lines, each_period, trial)
    buyer = customers.get(bought.customer_id).email_key if bought.customer_id else ""
    return f"{hashlib.sha256(repr(said).encode()).hexdigest()[:16]} {buyer}"


def pay(
    transaction_id: str, card: Card | PaymentMethod, gateway: Gateway, *, by: Actor, agreed_to: str | None = None
) -> str | None:
    """Pays with a card that a customer offers, or one on file; the gateway's refusal, or None if it is paid.

    An attempt somebody left unfinished is finished first, with its own card. Raises PaymentUnderWay; NotFound for a
    card that was deleted meanwhile; Changed if it would begin something else than was ordered; OfferChanged if it is
    not the `offer` that was agreed to any more.
    """
    while True:
        with transaction():
            attempt = _claim(transaction_id, card, agreed_to)
        if attempt is None:
            return None
        refusal = _make(attempt, gateway, by=by)
        if not attempt.repeats or refusal is None:
            return refusal


def recover(transaction_id: str, gateway: Gateway) -> None:
    """Finishes an attempt that nobody settled: the same card, the same key."""
    with transaction():
        attempt = transactions.claim_due(transaction_id, None)
    if attempt is not None:
        _make(attempt, gateway, by=system())


def invoice(bought: Transaction, *, by: Actor) -> None:
    """Issues the invoice of what is collected manually; what recurs begins now.

    Raises TransactionRefusal, EntityArchived for a customer who could not sign in to cancel, Changed.
    """
    orders.refuse_record(bought)
    if bought.is_automatic:
        raise TransactionRefusal(
            "transaction_invalid_status_change",
            "It is collected automatically, so it is billed when it is paid. Nothing was changed.",
        )
    if bought.status != "ready":
        raise TransactionRefusal(
            "transaction_status_must_be_ready", "Customer and address must be known first. Nothing was changed."
        )
    customers.refuse_unless_active(bought.customer_id or "")
    _refuse_stale(bought)
    begun = beginnings.start(bought, None, by=by)
    transactions.issue(bought, by=by)
    if begun is not None:
        bills.tell(begun, bought)


def card_on_file(customer_id: str) -> PaymentMethod | None:
    """The card that a customer stored last."""
    return session().scalar(
        select(PaymentMethod)
        .where(PaymentMethod.customer_id == customer_id, PaymentMethod.deleted_at.is_(None))
        .order_by(PaymentMethod.id.desc())
        .limit(1)
    )


def _claim(transaction_id: str, card: Card | PaymentMethod, agreed_to: str | None) -> Attempt | None:
    """The transaction is locked first, then the card on file, which may have been deleted meanwhile."""
    bought = transactions.locked(transaction_id)
    if bought.status in UNBILLED and bought.attempt_key is None:
        _refuse_stale(bought)
        if agreed_to not in (None, offer(bought)):
            raise OfferChanged("The order was changed meanwhile. Nothing was charged; look at it again.")
    if isinstance(card, Card):
        return transactions.claim(transaction_id, None, card=card)
    stored = payment_method_deletion.get(card.id, customer_id=bought.customer_id or "")
    return transactions.claim(transaction_id, stored)


def _refuse_stale(bought: Transaction) -> None:
    """Raises Changed."""
    if orders.is_stale(bought):
        raise Changed("A price of it is billed in another way now. Nothing was charged; make a new transaction.")


def _make(attempt: Attempt, gateway: Gateway, *, by: Actor) -> str | None:
    """Asks the gateway, then writes down what it said."""
    refusal = None
    if attempt.amount > 0:
        refusal = gateway.charge(attempt.reference or "", attempt.amount, attempt.currency, key=attempt.key)
    with transaction():
        if refusal is None:
            _paid(attempt, by=by)
        else:
            _declined(attempt, refusal, by=by)
    return refusal


def _paid(attempt: Attempt, *, by: Actor) -> None:
    bought = transactions.locked(attempt.transaction_id)
    if bought.attempt_key != attempt.key:
        return
    method = session().get(PaymentMethod, attempt.method_id) if attempt.method_id else None
    if method is None and attempt.card and beginnings.recurring(bought):
        method = payment_methods.save(bought.customer_id or "", attempt.card, by=by)
    attempt = replace(attempt, method_id=method.id if method else None)
    transactions.receive(attempt, method or attempt.card, by=by)
    _reactivate(bought.customer_id or "", by=by)
    begun = beginnings.start(bought, method, by=by)
    transactions.complete(bought, by=by)
    tell(bought, begun, method or attempt.card)


def _declined(attempt: Attempt, refusal: str, *, by: Actor) -> None:
    method = session().get(PaymentMethod, attempt.method_id) if attempt.method_id else None
    declined = transactions.settle_declined(attempt, refusal, method or attempt.card)
    if declined is not None:
        events.record("transaction.updated", declined, by=by)
        events.record("transaction.payment_failed", declined, by=by)


def tell(bought: Transaction, begun: Subscription | None, card: Any) -> None:
    """Mails that a purchase is paid: what began with it, or a receipt."""
    told: dict[str, Any] = {"transaction": bought.id, "paid": bought.due, "paid_at": bought.paid_at}
    if begun is not None:
        trial_ends_at: datetime | None = begun.next_billed_at if begun.status == "trialing" else None
        mails.tell("subscribed", begun, key=f"paid:{bought.id}", trial_ends_at=trial_ends_at, **told)
        return
    told |= {
        "name": bought.lines[0]["product"]["name"],
        "currency": bought.currency_code,
        "items": [{"name": each["product"]["name"], "quantity": each["quantity"]} for each in bought.lines],
        "card": {"brand": card.brand, "last4": card.last4} if card else None,
    }
    mails.tell_buyer("purchased", customers.get(bought.customer_id or ""), key=f"paid:{bought.id}", **told)


def _customer(email: str, locale: str, *, by: Actor) -> Customer:
    """Who is reached at an address, or somebody new; an archived customer becomes active again when they pay."""
    key = customers.email_key(email)
    known = session().scalar(select(Customer).where(Customer.email_key == key))
    return known or customers.create(email=email, name=None, locale=locale, custom_data=None, by=by)


def _reactivate(customer_id: str, *, by: Actor) -> None:
    """Who pays must be able to sign in, and to cancel."""
    customer = customers.get(customer_id)
    if customer.status != "active":
        customers.update(customer, {"status": "active"}, by=by)


def _address(customer_id: str, country: str, postal_code: str | None, *, by: Actor) -> Address:
    same = (Address.customer_id == customer_id, Address.country_code == country, Address.status == "active")
    known = session().scalar(select(Address).where(*same, Address.postal_code == postal_code).limit(1))
    if known is not None:
        return known
    now = clock.now()
    made = Address(
        id=ids.new("add"),
        customer_id=customer_id,
        country_code=country,
        postal_code=postal_code,
        status="active",
        created_at=now,
        updated_at=now,
    )
    session().add(made)
    session().flush()
    events.record("address.created", made, by=by)
    return made
