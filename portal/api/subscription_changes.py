"""Apps change what a subscription is and costs, charge it once, and look at what that would do."""

from typing import Annotated, Any, Literal

from pydantic import Field

from portal import gateways, limits
from portal.access import app_actor
from portal.api import bodies
from portal.api.operations import operation
from portal.api.subscriptions import REFUSES_CHANGES, managed
from portal.api.transaction_bodies import BillingDetails, Terms
from portal.db import transaction
from portal.domain import (
    billed_to,
    billing_entities,
    cancellation,
    changing,
    entities,
    pausing,
    plans,
    previews,
    renewal,
    snapshots,
    subscriptions,
)
from portal.domain.plans import Plan, Wanted
from portal.domain.transactions import Attempt
from portal.errors import InvalidField, PaymentDeclined, SubscriptionRefusal, TooMany, TooManyCharges

_COLUMNS = ("address_id", "business_id", "collection_mode", "billing_details", "custom_data", "discount")
_NULLABLE = ("business_id", "billing_details", "custom_data", "discount")
_REFUSES_PAYING = (
    "subscription_outstanding_transaction",
    "subscription_missing_payment_method_cannot_update",
    "subscription_payment_declined",
    "subscription_immediate_charge_hour_limit_exceeded",
    "subscription_locked_pending_changes",
)
_REFUSES = (
    *REFUSES_CHANGES,
    "subscription_scheduled_change_invalid_update",
    "subscription_end_reached",
    "payment_plan_completed",
    "subscription_update_when_trialing",
    "subscription_only_update_items_on_paused_subscription",
    "subscription_items_update_missing_proration_billing_mode",
    "subscription_invalid_billing_mode_for_scheduled_change",
    "subscription_next_billed_at_too_soon",
    "subscription_no_recurring_items_remain",
    "entity_archived",
)
OnPaymentFailure = Literal["prevent_change", "apply_change"]
Quantity = Annotated[int, Field(ge=1, le=999_999_999)]


class UpdateItem(bodies.Body):
    """`quantity` may be left out of an item that is there already."""

    price_id: bodies.Id | None = None
    quantity: Quantity | None = None
    price: Any = None


class ChargeItem(bodies.Body):
    price_id: bodies.Id | None = None
    quantity: Quantity
    price: Any = None


class BillingDetailsChange(BillingDetails):
    payment_terms: Terms | None = None  # type: ignore[assignment]


class Update(bodies.Body):
    """What is left out stays. `items` is the whole list: an item that is missing is removed."""

    customer_id: bodies.Id | None = None
    address_id: bodies.Id | None = None
    business_id: bodies.Id | None = None
    currency_code: str | None = None
    next_billed_at: bodies.Instant | None = None
    discount: Any = None
    collection_mode: entities.CollectionMode | None = None
    billing_details: BillingDetailsChange | None = None
    scheduled_change: Any = None
    items: Annotated[list[UpdateItem], Field(min_length=1, max_length=100)] | None = None
    custom_data: bodies.CustomData | None = None
    proration_billing_mode: Literal[plans.MODES] | None = None  # type: ignore[valid-type]
    on_payment_failure: OnPaymentFailure | None = None


class Charge(bodies.Body):
    effective_from: Literal["next_billing_period", "immediately"]
    items: Annotated[list[ChargeItem], Field(min_length=1, max_length=100)]
    on_payment_failure: OnPaymentFailure | None = None


@operation(
    "PATCH",
    "/subscriptions/<id>",
    permission="subscription.write",
    takes=Update,
    gives=entities.ManagedSubscription,
    refuses=(*_REFUSES, *_REFUSES_PAYING),
    example={"scheduled_change": None},
    asks_gateway=True,
)
def update_subscription(id: str, body: Update) -> entities.ManagedSubscription:
    """Update a subscription.

    Changes of `items` or `next_billed_at` need a `proration_billing_mode`. With `…_immediately` the card is charged
    before the answer; if that fails, `prevent_change` changes nothing, and `apply_change` changes it all the same and
    collects later. `scheduled_change` can only be null, which removes it.
    """
    _refuse_unless_null(body.scheduled_change)
    with transaction():
        subscription = subscriptions.get(id)
        removed = "scheduled_change" in body.model_fields_set and _remove_scheduled_change(subscription)
        plan = _plan_update(subscription, body)
        _refuse_both(removed, plan)
        attempt = _make(subscription, plan)
    return _paid(id, attempt)


@operation(
    "PATCH",
    "/subscriptions/<id>/preview",
    permission="subscription.read",
    takes=Update,
    gives=billing_entities.SubscriptionPreview,
    refuses=_REFUSES,
    example={"scheduled_change": None},
)
def preview_subscription_update(id: str, body: Update) -> dict[str, Any]:
    """Preview an update of a subscription.

    Takes what the update takes and changes nothing. `immediate_transaction` is what would be charged at once,
    `next_transaction` the next bill with all that waits for it.
    """
    _refuse_unless_null(body.scheduled_change)
    subscription = snapshots.find(id)
    removed = "scheduled_change" in body.model_fields_set and subscription.scheduled_action is not None
    if removed:
        subscription.refuse_if_canceled()
        cancellation.refuse_withdrawal(subscription, by=app_actor())
        subscription.unschedule()
    plan = _plan_update(subscription, body)
    _refuse_both(removed, plan)
    return _previewed(subscription, plan)


@operation(
    "POST",
    "/subscriptions/<id>/charge",
    permission="subscription.write",
    takes=Charge,
    gives=entities.ManagedSubscription,
    refuses=(*REFUSES_CHANGES, *_REFUSES_PAYING, "subscription_not_active", "entity_archived"),
    example={
        "effective_from": "next_billing_period",
        "items": [{"price_id": "pri_01htymmb3hj0q9fmckjbtrmd73", "quantity": 1}],
    },
    asks_gateway=True,
)
def create_subscription_charge(id: str, body: Charge) -> entities.ManagedSubscription:
    """Charge a subscription once.

    Takes prices that are not recurring. `next_billing_period` puts them on the next bill; `immediately` charges the
    card before the answer. The charge is a transaction, not part of the subscription.
    """
    with transaction():
        subscription = subscriptions.get(id)
        attempt = _make(subscription, _plan_charge(subscription, body))
    return _paid(id, attempt)


@operation(
    "POST",
    "/subscriptions/<id>/charge/preview",
    permission="subscription.read",
    takes=Charge,
    gives=billing_entities.SubscriptionPreview,
    refuses=(*REFUSES_CHANGES, "subscription_locked_pending_changes", "subscription_not_active", "entity_archived"),
    example={
        "effective_from": "next_billing_period",
        "items": [{"price_id": "pri_01htymmb3hj0q9fmckjbtrmd73", "quantity": 1}],
    },
)
def preview_subscription_charge(id: str, body: Charge) -> dict[str, Any]:
    """Preview a one-time charge."""
    subscription = snapshots.find(id)
    return _previewed(subscription, _plan_charge(subscription, body))


def _plan_update(subscription: Any, body: Update) -> Plan:
    _refuse_other_owner(subscription, body)
    sent = {
        name: value
        for name, value in bodies.as_dict(body).items()
        if name in _COLUMNS and (value is not None or name in _NULLABLE)
    }
    fields, told = billed_to.changes(subscription, sent)
    items = (
        None if body.items is None else [(_catalog_price(n, each), each.quantity) for n, each in enumerate(body.items)]
    )
    wanted = Wanted(
        items=items,
        next_billed_at=body.next_billed_at,
        mode=body.proration_billing_mode,
        on_payment_failure=body.on_payment_failure or plans.PREVENT,
        fields=fields,
        told=told,
    )
    known = changing.prices(price_id for price_id, _ in items or ())
    return plans.of_update(subscription, wanted, known, by=app_actor())


def _plan_charge(subscription: Any, body: Charge) -> Plan:
    items = [(_catalog_price(n, each), each.quantity) for n, each in enumerate(body.items)]
    return plans.of_charge(
        subscription,
        items,
        changing.prices(price_id for price_id, _ in items),
        when=body.effective_from,
        on_payment_failure=body.on_payment_failure or plans.PREVENT,
        by=app_actor(),
    )


def _catalog_price(n: int, item: UpdateItem | ChargeItem) -> str:
    if item.price is not None:
        raise InvalidField(
            f"items.{n}.price", "only prices of the catalog can be billed: create one, send its price_id"
        )
    if item.price_id is None:
        raise InvalidField(f"items.{n}.price_id", "is needed")
    return item.price_id


def _refuse_other_owner(subscription: Any, body: Update) -> None:
    """Fields of the contract that stay what they are here."""
    if body.customer_id is not None and body.customer_id != subscription.customer_id:
        raise InvalidField("customer_id", "a subscription stays its customer's")
    if body.currency_code is not None and body.currency_code != subscription.currency_code:
        raise InvalidField("currency_code", "a subscription stays in its currency")
    if body.discount is not None:
        raise InvalidField("discount", "discounts are not offered here; only null is taken")


def _refuse_unless_null(scheduled_change: Any) -> None:
    if scheduled_change is not None:
        raise _ScheduledChangeInvalid(
            "scheduled_change can only be set to null, which removes it. Nothing was changed."
        )


def _refuse_both(removed: bool, plan: Plan) -> None:
    if removed and plan.bills_now:
        raise InvalidField("scheduled_change", "can't be removed in one request with an immediate charge")


def _remove_scheduled_change(subscription: subscriptions.Subscription) -> bool:
    by = app_actor()
    return cancellation.withdraw(subscription, by=by) or pausing.withdraw(subscription, by=by)


def _make(subscription: subscriptions.Subscription, plan: Plan) -> Attempt | None:
    """Makes the change, or begins to collect what it costs; only what charges at once is counted."""
    if plan.bills_now:
        try:
            limits.take(f"charge:{subscription.id}", per_hour=changing.MOST_CHARGES_AN_HOUR)
        except TooMany as refused:
            raise TooManyCharges(refused.retry_after or 1) from None
    return changing.make(subscription, plan, by=app_actor())


def _paid(id: str, attempt: Attempt | None) -> entities.ManagedSubscription:
    """The subscription after its change; asks the gateway first if that must be paid. Raises PaymentDeclined."""
    if attempt is not None:
        refusal = renewal.collect_now(attempt, gateways.current(), by=app_actor())
        if refusal is not None:
            raise PaymentDeclined(f"The payment was declined: {refusal}. Nothing was changed.")
    return managed(snapshots.get(id))


def _previewed(subscription: Any, plan: Plan) -> dict[str, Any]:
    bills = previews.of(subscription, plan)
    entity = {name: value for name, value in managed(subscription).items() if name != "id"}
    return entity | bills


class _ScheduledChangeInvalid(SubscriptionRefusal):
    code = "subscription_scheduled_change_invalid_update"
