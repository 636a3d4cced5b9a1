"""Subscriptions for apps: read, and cancel."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

from flask import Response, g
from pydantic import Field
from sqlalchemy import exists, select

from portal import config, links
from portal.access import app_actor, require
from portal.api import bodies, lists
from portal.api.operations import operation
from portal.db import transaction
from portal.domain import api_keys, billing_entities, cancellation, entities, previews, shapes, snapshots, subscriptions
from portal.domain.subscriptions import Subscription, SubscriptionItem

REFUSES_CHANGES = (
    "subscription_update_when_canceled",
    "subscription_update_when_past_due",
    "subscription_locked_renewal",
)


class Cancel(bodies.Body):
    effective_from: Literal["next_billing_period", "immediately"] | None = None
    reason: Literal[cancellation.REASONS] | None = None  # type: ignore[valid-type]
    comment: Annotated[str, Field(max_length=cancellation.LONGEST_COMMENT)] | None = None


class One(bodies.Query):
    include: bodies.Several[Literal["next_transaction", "recurring_transaction_details"]] = []


class Subscriptions(lists.compared("next_billed_at")):  # type: ignore[misc]
    after: entities.SubscriptionId | None = None
    address_id: bodies.Several[bodies.Part] = []
    collection_mode: bodies.Several[entities.CollectionMode] = []
    customer_id: bodies.Several[bodies.Part] = []
    id: bodies.Several[bodies.Part] = []
    price_id: bodies.Several[bodies.Part] = []
    scheduled_change_action: bodies.Several[Literal["cancel", "pause", "resume"]] = []
    status: bodies.Several[entities.SubscriptionStatus] = []


@operation(
    "GET",
    "/subscriptions",
    permission="subscription.read",
    query=Subscriptions,
    gives=list[entities.ManagedSubscription],
    example={"status": "active,paused", "per_page": "10"},
)
def list_subscriptions(query: Any) -> Response:
    """List subscriptions."""
    page = lists.Page(query, _filtered(query), Subscription.id)
    manage = manager()
    return page.answer([manage(each) for each in snapshots.read(page.statement())])


@operation(
    "GET",
    "/subscriptions/<id>",
    permission="subscription.read",
    query=One,
    gives=billing_entities.SubscriptionWithBills,
    example={"include": "next_transaction"},
)
def get_subscription(id: str, query: One) -> billing_entities.SubscriptionWithBills:
    """Read a subscription.

    `next_transaction` is its next bill with all that waits for it, and null if none is planned.
    """
    subscription = snapshots.find(id) if query.include else snapshots.get(id)
    entity: billing_entities.SubscriptionWithBills = {**managed(subscription)}
    if "next_transaction" in query.include:
        entity["next_transaction"] = previews.next_transaction(subscription)
    if "recurring_transaction_details" in query.include:
        entity["recurring_transaction_details"] = previews.recurring_details(subscription)
    return entity


@operation(
    "POST",
    "/subscriptions/<id>/cancel",
    permission="subscription.write",
    takes=Cancel,
    gives=entities.ManagedSubscription,
    refuses=(*REFUSES_CHANGES, "subscription_locked_pending_changes", "payment_under_way"),
    example={"effective_from": "next_billing_period", "reason": "unused"},
)
def cancel_subscription(id: str, body: Cancel) -> entities.ManagedSubscription:
    """Cancel a subscription.

    By default at the end of the paid period: it stays active, with a scheduled change. `immediately` takes a key with
    `subscription.cancel_immediately`; nothing is refunded.
    """
    at_once = body.effective_from == "immediately"
    if at_once:
        require(api_keys.CANCEL_IMMEDIATELY)
    with transaction():
        subscription = subscriptions.get(id)
        if at_once:
            cancellation.now(subscription, by=app_actor(), reason=body.reason, comment=body.comment)
        else:
            cancellation.at_period_end(subscription, by=app_actor(), reason=body.reason, comment=body.comment)
        return managed(subscription)


def _filtered(query: Any) -> Any:
    wanted = select(Subscription)
    for name, column in (
        ("address_id", Subscription.address_id),
        ("customer_id", Subscription.customer_id),
        ("id", Subscription.id),
        ("status", Subscription.status),
        ("collection_mode", Subscription.collection_mode),
        ("scheduled_change_action", Subscription.scheduled_action),
    ):
        if values := getattr(query, name):
            wanted = wanted.where(column.in_(values))
    if query.price_id:
        of_it = SubscriptionItem.subscription_id == Subscription.id
        wanted = wanted.where(exists().where(of_it, SubscriptionItem.price_id.in_(query.price_id)))
    return lists.within(wanted, query, next_billed_at=Subscription.next_billed_at)


def managed(subscription: Any) -> entities.ManagedSubscription:
    """The contract's entity with its management links; they carry power only if the key may open sessions."""
    return manager()(subscription)


def manager() -> Callable[[Any], entities.ManagedSubscription]:
    """Does what `managed` does, for many: what they have in common, such as prices and instants, is made once."""
    sold, (link, expires_at) = cache(shapes.sold), _management_links()

    def manage(subscription: Any) -> entities.ManagedSubscription:
        of_it = subscription.customer_id, subscription.id
        urls: entities.ManagementUrls = {
            "update_payment_method": link("payment", *of_it) if subscription.collection_mode == "automatic" else None,
            "cancel": link("cancel", *of_it),
            "view_subscription": link("subscription", *of_it),
            "expires_at": expires_at,
        }
        return {**shapes.subscription(subscription, sold), "management_urls": urls}

    return manage


def _management_links() -> tuple[Callable[[str, str, str], str], str | None]:
    """What makes the links of this answer, for (page, customer, subscription), and until when they work."""
    if "customer_portal_session.write" not in g.key.permissions:
        return lambda page, _customer_id, id: links.plain_url(page, id), None
    expires_at = g.received_at + config.current().api_link_lifetime
    return links.direct(expires_at=expires_at, issued_at=g.received_at), shapes.text(expires_at)
