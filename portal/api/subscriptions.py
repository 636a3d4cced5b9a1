"""Subscriptions for apps: read, cancel, take a scheduled change back."""

from typing import Any, Literal

from flask import Response, g
from sqlalchemy import exists, select

from portal import config, links, web
from portal.access import app_actor, key_required, require
from portal.api import bodies, bp, lists
from portal.db import transaction
from portal.domain import api_keys, cancellation, pausing, shapes, snapshots, subscriptions
from portal.domain.subscriptions import STATUSES, Subscription, SubscriptionItem
from portal.errors import SubscriptionRefusal

_FILTERS = ("address_id", "collection_mode", "customer_id", "id", "price_id", "scheduled_change_action", "status")


class Cancel(bodies.Body):
    effective_from: Literal["next_billing_period", "immediately"] | None = None


class Update(bodies.Body):
    scheduled_change: Any = None


@bp.get("/subscriptions")
@key_required("subscription.read")
def list_subscriptions() -> Response:
    bodies.refuse_unknown_parameters(*lists.PARAMETERS, *_FILTERS)
    page = lists.Page(_filtered(), Subscription.id, "sub")
    return page.answer([_entity(each) for each in snapshots.read(page.statement())])


@bp.get("/subscriptions/<id>")
@key_required("subscription.read")
def get_subscription(id: str) -> Response:
    return web.data(_entity(snapshots.get(id)))


@bp.post("/subscriptions/<id>/cancel")
@key_required("subscription.write")
def cancel_subscription(id: str) -> Response:
    at_once = bodies.read(Cancel).effective_from == "immediately"
    if at_once:
        require(api_keys.CANCEL_IMMEDIATELY)
    with transaction():
        subscription = subscriptions.get(id)
        if at_once:
            cancellation.now(subscription, by=app_actor())
        else:
            cancellation.at_period_end(subscription, by=app_actor())
        entity = _entity(subscription)
    return web.data(entity)


@bp.patch("/subscriptions/<id>")
@key_required("subscription.write")
def update_subscription(id: str) -> Response:
    body = bodies.read(Update)
    if "scheduled_change" in body.model_fields_set and body.scheduled_change is not None:
        raise _ScheduledChangeInvalid(
            "scheduled_change can only be set to null, which removes it. Nothing was changed."
        )
    with transaction():
        subscription = subscriptions.get(id)
        if "scheduled_change" in body.model_fields_set:
            _remove_scheduled_change(subscription)
        entity = _entity(subscription)
    return web.data(entity)


def _remove_scheduled_change(subscription: Subscription) -> None:
    if not cancellation.withdraw(subscription, by=app_actor()):
        pausing.withdraw(subscription, by=app_actor())


class _ScheduledChangeInvalid(SubscriptionRefusal):
    code = "subscription_scheduled_change_invalid_update"


def _filtered() -> Any:
    wanted = select(Subscription)
    for name in ("address_id", "customer_id", "id"):
        if values := bodies.several(name):
            wanted = wanted.where(getattr(Subscription, name).in_(values))
    for name, column, allowed in (
        ("status", Subscription.status, STATUSES),
        ("collection_mode", Subscription.collection_mode, ("automatic", "manual")),
        ("scheduled_change_action", Subscription.scheduled_action, ("cancel", "pause", "resume")),
    ):
        if values := bodies.choices(name, allowed):
            wanted = wanted.where(column.in_(values))
    if prices := bodies.several("price_id"):
        item = SubscriptionItem
        wanted = wanted.where(exists().where(item.subscription_id == Subscription.id, item.price_id.in_(prices)))
    return wanted


def _entity(subscription: Any) -> dict[str, Any]:
    """The contract's entity with its management links; they carry power only if the key may open sessions."""
    signed = "customer_portal_session.write" in g.key.permissions
    payable = subscription.collection_mode == "automatic"
    return shapes.subscription(subscription) | {
        "management_urls": {
            "update_payment_method": _management_url("payment", subscription, signed) if payable else None,
            "cancel": _management_url("cancel", subscription, signed),
        }
    }


def _management_url(page: str, subscription: Any, signed: bool) -> str:
    if not signed:
        return links.plain_url(page, subscription.id)
    return links.page_url(
        page,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        lifetime=config.current().api_link_lifetime,
    )
