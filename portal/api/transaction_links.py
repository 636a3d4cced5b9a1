"""A transaction as an answer: its entity, the link to pay it, and the related entities an app asked for."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import g
from sqlalchemy import select

from portal import clock, config, links
from portal.db import session
from portal.domain import revisions, shapes, transaction_entities
from portal.domain.customers import Address, Business, Customer
from portal.domain.transactions import METHOD_CHANGE, UNBILLED, Transaction

INVOICE_LINK_LIFETIME = timedelta(hours=1)
_RELATED: dict[str, tuple[Any, Any]] = {
    "customer": (Customer, shapes.customer),
    "address": (Address, shapes.address),
    "business": (Business, shapes.business),
}
_NEUTRAL: dict[str, Any] = {
    "adjustment": ("adjustments", []),
    "adjustments": ("adjustments", []),
    "adjustments_totals": ("adjustments_totals", None),
    "available_payment_methods": ("available_payment_methods", ["card"]),
    "discount": ("discount", None),
}
"""What the portal has none of, or always the same."""


def answer(row: Transaction, include: Iterable[str]) -> transaction_entities.TransactionWithMore:
    """One transaction."""
    return answers([row], include)[0]


def answers(rows: Sequence[Transaction], include: Iterable[str]) -> list[transaction_entities.TransactionWithMore]:
    """Several, with their related entities in one statement a kind."""
    found: list[Any] = [{**shapes.transaction(row), "checkout": checkout(row)} for row in rows]
    for part in dict.fromkeys(include):
        if part in _NEUTRAL:
            name, value = _NEUTRAL[part]
            for entity in found:
                entity[name] = value
            continue
        mapped, shape = _RELATED[part]
        wanted = {getattr(row, f"{part}_id") for row in rows} - {None}
        known = {each.id: each for each in session().scalars(select(mapped).where(mapped.id.in_(wanted)))}
        for row, entity in zip(rows, found, strict=True):
            related = revisions.revised(known.get(getattr(row, f"{part}_id")), row, part)
            entity[part] = shape(related) if related is not None else None
    return found


def checkout(row: Transaction) -> transaction_entities.Checkout:
    """Where it can be paid: the seller's own page, the portal's checkout, or the page that changes the card."""
    if not row.is_automatic or row.status not in (*UNBILLED, "past_due"):
        return _nowhere()
    if row.checkout_url is not None:
        return {"url": _with_transaction(row.checkout_url, row.id), "expires_at": None}
    if row.subscription_id is not None:
        return _card_page(row) if row.status == "past_due" or row.origin == METHOD_CHANGE else _nowhere()
    expires_at = (clock.now() + config.current().checkout_link_lifetime).replace(microsecond=0)
    return {"url": links.checkout_url(row.id, expires_at=expires_at), "expires_at": shapes.text(expires_at)}


def _nowhere() -> transaction_entities.Checkout:
    return {"url": None, "expires_at": None}


def _card_page(row: Transaction) -> transaction_entities.Checkout:
    """Signed only if the key may open portal sessions; else the customer signs in there."""
    if "customer_portal_session.write" not in g.key.permissions:
        return {"url": links.plain_url("payment", row.subscription_id), "expires_at": None}
    now, lifetime = clock.now(), config.current().api_link_lifetime
    url = links.page_url(
        "payment",
        customer_id=row.customer_id or "",
        subscription_id=row.subscription_id,
        lifetime=lifetime,
        issued_at=now,
    )
    return {"url": url, "expires_at": shapes.text((now + lifetime).replace(microsecond=0))}


def _with_transaction(url: str, transaction_id: str) -> str:
    """The seller's page learns which transaction it is about as in the contract: `?_ptxn=txn_…`."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "_ptxn"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("_ptxn", transaction_id)])))
