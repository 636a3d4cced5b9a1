"""Apps pause, resume and activate subscriptions."""

from typing import Any, Literal

from portal.access import app_actor
from portal.api import bodies
from portal.api.operations import operation
from portal.api.subscriptions import managed
from portal.db import transaction
from portal.domain import entities, pausing, renewal, subscriptions

OnResume = Literal["start_new_billing_period", "continue_existing_billing_period"]
_REFUSES = (
    "subscription_is_canceled_action_invalid",
    "subscription_locked_pending_changes",
    "subscription_continuing_existing_billing_period_not_allowed",
)


class Pause(bodies.Body):
    effective_from: Literal["next_billing_period", "immediately"] | None = None
    resume_at: bodies.Instant | None = None
    on_resume: OnResume | None = None


class Resume(bodies.Body):
    effective_from: Literal["immediately"] | bodies.Instant | None = None
    on_resume: OnResume | None = None


@operation(
    "POST",
    "/subscriptions/<id>/pause",
    permission="subscription.write",
    takes=Pause,
    gives=entities.ManagedSubscription,
    refuses=(
        *_REFUSES,
        "subscription_update_when_past_due",
        "subscription_locked_renewal",
        "subscription_cannot_be_paused",
        "subscription_continuing_existing_billing_period_not_allowed_subscription_past_due",
        "subscription_outstanding_transaction",
        "payment_under_way",
    ),
    example={"effective_from": "next_billing_period"},
)
def pause_subscription(id: str, body: Pause) -> entities.ManagedSubscription:
    """Pause a subscription.

    By default at the end of the paid period: it stays active, with a scheduled change. `immediately` refunds nothing,
    and gives up what is past due. Without `resume_at` it stays paused until it is resumed.
    """
    with transaction():
        subscription = subscriptions.get(id)
        pause = pausing.now if body.effective_from == "immediately" else pausing.at_period_end
        pause(subscription, by=app_actor(), resume_at=body.resume_at, on_resume=body.on_resume)
        return managed(subscription)


@operation(
    "POST",
    "/subscriptions/<id>/resume",
    permission="subscription.write",
    takes=Resume,
    gives=entities.ManagedSubscription,
    refuses=(
        *_REFUSES,
        "subscription_must_be_paused",
        "subscription_missing_payment_method_cannot_resume",
        "subscription_update_when_past_due",
        "subscription_locked_renewal",
    ),
    example={"effective_from": "immediately"},
)
def resume_subscription(id: str, body: Resume) -> entities.ManagedSubscription:
    """Resume a subscription.

    Now, or on a date. A new period begins and is billed in full, unless `continue_existing_billing_period` goes on
    with what was left of the old one. While a pause is only planned, a date sets when it will end.
    """
    at: Any = None if body.effective_from == "immediately" else body.effective_from
    with transaction():
        subscription = subscriptions.get(id)
        pausing.resume(subscription, by=app_actor(), at=at, on_resume=body.on_resume)
        return managed(subscription)


@operation(
    "POST",
    "/subscriptions/<id>/activate",
    permission="subscription.write",
    gives=entities.ManagedSubscription,
    refuses=(
        "subscription_is_canceled_action_invalid",
        "subscription_not_trialing",
        "subscription_locked_renewal",
        "subscription_update_when_past_due",
        "subscription_locked_pending_changes",
        "subscription_not_automatic_collection",
        "subscription_missing_payment_method_cannot_activate",
    ),
)
def activate_subscription(id: str) -> entities.ManagedSubscription:
    """Activate a subscription.

    Ends its trial now: the first paid period begins and is billed. The card is charged right after the answer; if
    that fails, the subscription is past due.
    """
    with transaction():
        subscription = subscriptions.get(id)
        renewal.activate(subscription, by=app_actor())
        return managed(subscription)
