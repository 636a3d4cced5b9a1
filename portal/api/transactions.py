"""Transactions for apps: make, read, change, bill, correct, and the links to pay them and to their invoices."""

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BeforeValidator
from sqlalchemy import func, select

from portal import clock, links
from portal.access import app_actor
from portal.api import bodies, catalog, lists, transaction_bodies, transaction_links
from portal.api.operations import operation
from portal.api.transaction_bodies import Include, NewTransaction, Revision, TransactionUpdate
from portal.api.transaction_links import answer
from portal.db import session, transaction
from portal.domain import (
    entities,
    method_changes,
    orders,
    purchases,
    revisions,
    shapes,
    subscriptions,
    transaction_entities,
    transactions,
)
from portal.domain.transactions import Transaction
from portal.errors import TransactionRefusal

_MOST = 30
_INSTANTS = {name: getattr(Transaction, name) for name in ("billed_at", "created_at", "updated_at")}
_BY = _INSTANTS | {"billed_at": func.coalesce(Transaction.billed_at, Transaction.created_at)}
"""What is not billed yet stands among the others by when it was made: a cursor can't pass NULL."""
_REFUSES_ORDERS = (
    "not_found",
    "entity_archived",
    "transaction_price_not_found",
    "transaction_duplicate_price_ids",
    "transaction_item_quantity_out_of_range",
    "transaction_currency_code_invalid",
    "transaction_price_different_billing_cycle",
    "transaction_price_different_trial_period",
    "transaction_price_different_payments",
    "transaction_customer_is_required_with_address",
    "transaction_customer_is_required_for_business_validation",
    "transaction_billing_details_object_required",
    "transaction_billing_details_must_be_null",
    "transaction_checkout_url_domain_is_not_approved",
    "transaction_invalid_status_change",
    "transaction_status_must_be_ready",
)


class Transactions(lists.compared("billed_at", "created_at", "updated_at")):  # type: ignore[misc]
    after: entities.TransactionId | None = None
    order_by: catalog.ordered_by("billed_at", "created_at", "id", "updated_at") = "id[DESC]"  # type: ignore[valid-type]
    per_page: lists.PerPage = _MOST
    collection_mode: bodies.Several[entities.CollectionMode] = []
    customer_id: bodies.Several[bodies.Part] = []
    id: bodies.Several[bodies.Part] = []
    include: bodies.Several[Include] = []
    invoice_number: bodies.Several[bodies.Part] = []
    origin: bodies.Several[entities.Origin] = []
    status: bodies.Several[entities.TransactionStatus] = []
    subscription_id: bodies.Several[bodies.Part] = []


class One(bodies.Query):
    include: bodies.Several[Include] = []


class Invoice(bodies.Query):
    disposition: Annotated[Literal["attachment", "inline"], BeforeValidator(lambda text: text or "attachment")] = (
        "attachment"
    )


@operation(
    "POST",
    "/transactions",
    permission="transaction.write",
    takes=NewTransaction,
    query=One,
    gives=transaction_entities.TransactionWithMore,
    status=201,
    refuses=_REFUSES_ORDERS,
    example={"items": [{"price_id": "pri_01gsz8x8sawmvhz1pv30nge1ke", "quantity": 10}]},
)
def create_transaction(body: NewTransaction, query: One) -> Any:
    """Create a transaction.

    It is `ready` once customer and address are known, else a `draft`, whose checkout asks the buyer for both. Its
    `checkout.url` leads to the page on which it is paid; a subscription begins with the payment if items recur.
    `status: billed` issues an invoice at once, for manual collection.
    """
    columns = transaction_bodies.columns(body)
    items, currency_code = columns.pop("items"), columns.pop("currency_code", None)
    with transaction():
        made = orders.create(items, currency_code=currency_code, by=app_actor(), **columns)
        if body.status == "billed":
            purchases.invoice(made, by=app_actor())
    return answer(made, query.include)


@operation(
    "GET",
    "/transactions",
    permission="transaction.read",
    query=Transactions,
    gives=list[transaction_entities.TransactionWithMore],
    example={"status": "completed", "per_page": "10"},
)
def list_transactions(query: Any) -> Response:
    """List transactions.

    At most 30 a page. `subscription_id=null` finds those that belong to no subscription.
    """
    page = lists.Page(query, _filtered(query), Transaction.id, by=_BY, most=_MOST)
    return page.answer(transaction_links.answers(session().scalars(page.statement()).all(), query.include))


@operation(
    "GET",
    "/transactions/<id>",
    permission="transaction.read",
    query=One,
    gives=transaction_entities.TransactionWithMore,
)
def get_transaction(id: str, query: One) -> Any:
    """Read a transaction."""
    return answer(transactions.get(id), query.include)


@operation(
    "PATCH",
    "/transactions/<id>",
    permission="transaction.write",
    takes=TransactionUpdate,
    query=One,
    gives=transaction_entities.TransactionWithMore,
    refuses=(
        *_REFUSES_ORDERS,
        "transaction_immutable",
        "transaction_immutable_while_processing_payment",
        "transaction_payment_method_change_field_immutable",
        "transaction_cannot_be_modified_and_canceled",
        "conflict",
        "payment_under_way",
    ),
    example={"custom_data": {"order": "A-1042"}},
)
def update_transaction(id: str, body: TransactionUpdate, query: One) -> Any:
    """Change a transaction that is a draft or ready.

    `items` replaces all of them. `status: billed` issues the invoice of a manual one, `status: canceled` gives up
    what is not paid.
    """
    wanted = transaction_bodies.columns(body)
    if body.status == "canceled" and wanted:
        raise TransactionRefusal(
            "transaction_cannot_be_modified_and_canceled", "Send status alone to cancel it. Nothing was changed."
        )
    with transaction():
        found = orders.call_off(id, by=app_actor()) if body.status == "canceled" else transactions.get(id)
        if wanted:
            orders.update(found, wanted, by=app_actor())
        if body.status == "billed":
            purchases.invoice(found, by=app_actor())
    return answer(found, query.include)


@operation(
    "POST",
    "/transactions/<id>/revise",
    permission="transaction.write",
    takes=Revision,
    gives=transaction_entities.Transaction,
    refuses=(
        "transaction_invalid_status_to_revise",
        "transaction_revised_limit_reached",
        "transaction_nothing_to_revise",
        "transaction_revise_missing_business_name",
    ),
    example={"customer": {"name": "Jo Pilot"}, "address": {"city": "Astoria"}},
)
def revise_transaction(id: str, body: Revision) -> Any:
    """Correct the names on an invoice, once.

    Of what is billed or completed. Only the invoice and this transaction's included entities say it; customer,
    address and business stay as they are.
    """
    with transaction():
        found = transactions.get(id)
        revisions.revise(found, transaction_bodies.sent_parts(body), by=app_actor())
    return answer(found, [])


@operation(
    "GET",
    "/transactions/<id>/invoice",
    permission="transaction.read",
    query=Invoice,
    gives=transaction_entities.InvoiceLink,
    refuses=("transaction_invoice_not_available",),
)
def get_transaction_invoice(id: str, query: Invoice) -> transaction_entities.InvoiceLink:
    """Get a link to the invoice as a PDF.

    It works for an hour, for whoever has it.
    """
    found = transactions.get(id)
    if not found.has_invoice:
        raise TransactionRefusal(
            "transaction_invoice_not_available", f"The transaction is {found.status}; it has no invoice yet."
        )
    expires_at = clock.now() + transaction_links.INVOICE_LINK_LIFETIME
    url = links.invoice_url(id, disposition=query.disposition, expires_at=expires_at)
    return {"url": url, "expires_at": shapes.text(expires_at.replace(microsecond=0))}


@operation(
    "GET",
    "/subscriptions/<id>/update-payment-method-transaction",
    permission="transaction.write",
    gives=transaction_entities.Transaction,
    refuses=("subscription_not_automatic_collection", "subscription_update_when_canceled"),
)
def get_payment_method_change_transaction(id: str) -> Any:
    """Get the transaction with which a customer changes the card of a subscription.

    It costs nothing; past due, it is the latest debt, which is paid on the way. Its `checkout.url` opens the page,
    signed if the key may open portal sessions. Asked again, the answer is the same transaction.
    """
    with transaction():
        found = method_changes.find_or_make(subscriptions.get(id), by=app_actor())
    return answer(found, [])


def _filtered(query: Any) -> Any:
    wanted = catalog.among(
        select(Transaction),
        (Transaction.collection_mode, query.collection_mode),
        (Transaction.customer_id, query.customer_id),
        (Transaction.id, query.id),
        (Transaction.invoice_number, query.invoice_number),
        (Transaction.origin, query.origin),
        (Transaction.status, query.status),
    )
    if query.subscription_id:
        named = Transaction.subscription_id.in_([each for each in query.subscription_id if each != "null"])
        none = Transaction.subscription_id.is_(None)
        wanted = wanted.where(named | none if "null" in query.subscription_id else named)
    return lists.within(wanted, query, **_INSTANTS)
