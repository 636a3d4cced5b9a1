"""Whom a subscription bills and how: address, business, collection, billing details."""

from typing import Any

from portal.db import session
from portal.domain import shapes
from portal.domain.customers import Address, Business
from portal.errors import EntityArchived, InvalidField, NoPaymentMethod

_NO_DETAILS = {
    "enable_checkout": False,
    "purchase_order_number": None,
    "additional_information": None,
}


def changes(subscription: Any, sent: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What of `sent` (columns) can be taken over, and what the history tells of each of them.

    Raises InvalidField for an address or business that is not the customer's, and for collection and billing
    details that do not go together; EntityArchived; NoPaymentMethod.
    """
    fields, told = dict(sent), {}
    if sent.get("address_id") is not None:
        address = _own(Address, "address_id", sent["address_id"], subscription)
        told["address_id"] = {"action": "subscription_address_updated", "address": shapes.address(address)}
    if "business_id" in sent:
        told["business_id"] = _told_business(subscription, sent["business_id"])
    if "collection_mode" in sent or "billing_details" in sent:
        fields |= _collection(subscription, sent)
    for name in ("collection_mode", "billing_details", "custom_data"):
        if name in fields:
            told[name] = {"action": f"subscription_{name}_updated", name: fields[name]}
    if fields.get("collection_mode") == "automatic":
        del told["billing_details"]
    return fields, told


def _own(kind: Any, name: str, id: str, subscription: Any) -> Any:
    found = session().get(kind, id)
    if found is None or found.customer_id != subscription.customer_id:
        raise InvalidField(name, "is not one of the subscription's customer")
    if found.status != "active" and id != getattr(subscription, name):
        raise EntityArchived(f"{id} is archived. Nothing was changed.")
    return found


def _told_business(subscription: Any, id: str | None) -> dict[str, Any]:
    verb = "removed" if id is None else "updated" if subscription.business_id else "added"
    id = id or subscription.business_id
    business = shapes.business(_own(Business, "business_id", id, subscription)) if id else None
    return {"action": f"subscription_business_{verb}", "business": business}


def _collection(subscription: Any, sent: dict[str, Any]) -> dict[str, Any]:
    """Invoices need payment terms; automatic collection needs a card, and has no billing details."""
    mode = sent.get("collection_mode") or subscription.collection_mode
    if mode == "automatic":
        if sent.get("billing_details") is not None:
            raise InvalidField("billing_details", "must be null while payments are collected automatically")
        if not subscription.is_automatic and subscription.payment_method is None:
            raise NoPaymentMethod("update")
        return {"collection_mode": mode, "billing_details": None}
    given = sent.get("billing_details", subscription.billing_details)
    details = {**_NO_DETAILS, **(subscription.billing_details or {}), **(given or {})} if given is not None else {}
    if not details.get("payment_terms"):
        raise InvalidField("billing_details", "payment_terms are needed for invoices")
    return {"collection_mode": mode, "billing_details": details}
