"""Every refusal: its code, its status, its words. The only place where an error becomes an HTTP answer.

    Refusal                            what was asked is not done, and nothing has changed
    ├── NotFound                 404   not_found; alike for unknown ids and for other people's
    ├── InvalidRequest           400   bad_request, invalid_json, invalid_field … (names the fields)
    ├── KeyRefused               403   authentication_missing, authentication_malformed, invalid_token, forbidden
    ├── CustomerAlreadyExists    409
    ├── EntityArchived           400
    ├── SubscriptionRefusal      400   update_when_canceled, update_when_past_due, locked_pending_changes
    │   └── LockedForRenewal     409   subscription_locked_renewal
    ├── TransactionRefusal       400   transaction_immutable, transaction_price_not_found …
    ├── NotificationRefusal      400   url_notification_setting_incorrect, notification_cannot_replay …
    ├── CardRefused              422   the gateway said no
    ├── PaymentUnderWay          409   the same debt is being collected this moment
    ├── TooMany                  429   says when to come back
    ├── KeyInUse                 409   the same Idempotency-Key is being acted with
    ├── KeyUsedOtherwise         422   the same Idempotency-Key came with another request
    ├── ScopeRefused             403   the link opens another page than this one
    ├── OnlyLooking              403   staff on a page of a customer
    ├── MailRefused              409   what a mail carries is over
    ├── RoleRefused              403   only an admin may
    ├── LastAdmin                409   the only admin can't go
    ├── Changed                  409   somebody else changed it first
    └── Unavailable              503   the database can't record anything now

Codes and statuses are the contract's (`docs/api.md`). `detail` is for the app's engineer, in English; what a
customer reads is chosen by `code` in templates/customer/error.html, in their language.
"""

from typing import Any


class Refusal(Exception):
    code = "bad_request"
    status = 400
    type = "request_error"
    group = "shared"

    def __init__(self, detail: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts
        self.retry_after: int | None = None


class NotFound(Refusal):
    code, status = "not_found", 404

    def __init__(self, entity: str = "page", id: str = "") -> None:
        super().__init__(f"There is no {entity} {id}.".replace(" .", "."))


class InvalidRequest(Refusal):
    def __init__(self, code: str, detail: str, status: int = 400, fields: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.code, self.status, self.fields = code, status, fields


class InvalidField(InvalidRequest):
    """One field of a body has a value that does not fit what is there."""

    def __init__(self, field: str, message: str) -> None:
        fields = [{"field": field, "message": message}]
        super().__init__("invalid_field", "Request does not pass validation. Nothing was changed.", fields=fields)


class KeyRefused(Refusal):
    status = 403

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class CustomerAlreadyExists(Refusal):
    code, status, group = "customer_already_exists", 409, "customers"

    def __init__(self, existing_id: str) -> None:
        super().__init__(f"customer email conflicts with customer of id {existing_id}")
        self.existing_id = existing_id


class EntityArchived(Refusal):
    code = "entity_archived"


class SubscriptionRefusal(Refusal):
    group = "subscriptions"


class AlreadyCanceled(SubscriptionRefusal):
    code = "subscription_update_when_canceled"


class PastDue(SubscriptionRefusal):
    code = "subscription_update_when_past_due"


class ChangePending(SubscriptionRefusal):
    code = "subscription_locked_pending_changes"


class LockedForRenewal(SubscriptionRefusal):
    code, status = "subscription_locked_renewal", 409


class ScheduledByOthers(SubscriptionRefusal):
    """A customer may not take back what the seller has scheduled."""

    code, status = "subscription_scheduled_by_seller", 403


class TooLateToKeep(SubscriptionRefusal):
    """The scheduled end has come, even if the worker has not yet been by."""

    code, status = "subscription_end_reached", 409


class SelfCancellationOff(SubscriptionRefusal):
    """The seller ends subscriptions on request only; the page shows how to ask."""

    code, status = "self_cancellation_off", 403


class PlanEndedBySeller(SubscriptionRefusal):
    """A payment plan is ended by the seller; its customer asks them."""

    code, status = "payment_plan_not_cancelable", 403


class PlanCompleted(SubscriptionRefusal):
    """Every payment of the plan is billed, so its end can't be taken back or put off."""

    code, status = "payment_plan_completed", 409


class LastAdmin(Refusal):
    """Nobody would be left who may change settings, keys and people."""

    code, status = "last_admin", 409


class OnlyLooking(Refusal):
    """A browser that is the console's asks on a customer's page for what only the customer does."""

    code, status = "only_looking", 403


class MailRefused(Refusal):
    """A mail that can't be sent again; `why` is waiting, expired, of_staff or replay."""

    code, status = "mail_not_sent_again", 409

    def __init__(self, why: str) -> None:
        super().__init__("This mail can’t be sent again. Nothing was changed.")
        self.why = why


class RoleRefused(Refusal):
    """Somebody of the staff asks for what only an admin may do."""

    code, status = "role_refused", 403


class NotAutomatic(SubscriptionRefusal):
    code = "subscription_not_automatic_collection"


class TransactionRefusal(Refusal):
    """`code` is one of the contract's `transaction_…`."""

    group = "transactions"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ActionOnCanceled(SubscriptionRefusal):
    code = "subscription_is_canceled_action_invalid"


class NotActive(SubscriptionRefusal):
    code = "subscription_not_active"


class NotTrialing(SubscriptionRefusal):
    code = "subscription_not_trialing"


class MustBePaused(SubscriptionRefusal):
    code = "subscription_must_be_paused"


class CannotBePaused(SubscriptionRefusal):
    code = "subscription_cannot_be_paused"


class PeriodCannotContinue(SubscriptionRefusal):
    """The period that a pause cut short has passed, or was never kept."""

    code = "subscription_continuing_existing_billing_period_not_allowed"


class UnpaidPeriodCannotContinue(SubscriptionRefusal):
    code = "subscription_continuing_existing_billing_period_not_allowed_subscription_past_due"


class Trialing(SubscriptionRefusal):
    code = "subscription_update_when_trialing"


class Paused(SubscriptionRefusal):
    code = "subscription_only_update_items_on_paused_subscription"


class BillingModeMissing(SubscriptionRefusal):
    code = "subscription_items_update_missing_proration_billing_mode"


class BillingModeRefused(SubscriptionRefusal):
    """What is scheduled leaves no next bill that a change could go into."""

    code = "subscription_invalid_billing_mode_for_scheduled_change"


class BillingTooSoon(SubscriptionRefusal):
    code = "subscription_next_billed_at_too_soon"


class NoRecurringItem(SubscriptionRefusal):
    code = "subscription_no_recurring_items_remain"


class NoPaymentMethod(SubscriptionRefusal):
    """`act` is update, resume or activate."""

    def __init__(self, act: str) -> None:
        super().__init__("The subscription is collected automatically and has no payment method. Nothing was changed.")
        self.code = f"subscription_missing_payment_method_cannot_{act}"


class Outstanding(SubscriptionRefusal):
    code, status = "subscription_outstanding_transaction", 409


class PaymentDeclined(SubscriptionRefusal):
    """The gateway refused the charge of a change, so the change was not made."""

    code = "subscription_payment_declined"


class NotificationRefusal(Refusal):
    group = "notifications"


class CardRefused(Refusal):
    """`reason` is declined, insufficient_funds, expired, not_a_test_card, invalid_expiry, invalid_cvc or refused."""

    code, status, group = "card_refused", 422, "transactions"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The card was refused: {reason}.")
        self.reason = reason


class PaymentUnderWay(Refusal):
    code, status, group = "payment_under_way", 409, "transactions"


class TooMany(Refusal):
    code, status, type = "too_many_requests", 429, "api_error"

    def __init__(self, retry_after: int) -> None:
        wait = "1 second" if retry_after == 1 else f"{retry_after} seconds"
        super().__init__(f"Too many requests. Nothing was done. Try again in {wait}.")
        self.retry_after = retry_after
        self.headers: dict[str, str] = {}
        """What tells an app of its limit."""


class TooManyCharges(TooMany):
    """Of one subscription, in an hour."""

    code, group = "subscription_immediate_charge_hour_limit_exceeded", "subscriptions"


class KeyInUse(Refusal):
    """A request with this Idempotency-Key is being carried out, or was cut short after it had begun."""

    code, status = "idempotency_key_in_use", 409

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "A request with this Idempotency-Key is under way, or was cut short. This one did nothing. "
            "Try again in a moment; if it stays so, look at what it was to change before you use another key."
        )
        self.retry_after = retry_after


class KeyUsedOtherwise(Refusal):
    code, status = "idempotency_key_reused", 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was sent with another request. Nothing was changed. Use a new key.")


class ScopeRefused(Refusal):
    """The customer is known, but the link they followed does not open this page."""

    code, status = "outside_link", 403


class Changed(Refusal):
    code, status = "conflict", 409


class OfferChanged(Changed):
    """What a customer agreed to is not what they would buy any more."""


class Unavailable(Refusal):
    code, status, type = "service_unavailable", 503, "api_error"


def refusal_for(error: Exception) -> Refusal | None:
    """The refusal that an exception stands for; None if it is a defect of ours."""
    from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, InternalError, OperationalError
    from sqlalchemy.exc import TimeoutError as PoolTimeout
    from sqlalchemy.orm.exc import StaleDataError
    from werkzeug.exceptions import HTTPException

    if isinstance(error, Refusal):
        return error
    if isinstance(error, StaleDataError | IntegrityError):
        return Changed("It was changed by somebody else at the same moment. Nothing was recorded. Look at it again.")
    if isinstance(error, DataError):
        return InvalidRequest("bad_request", "The request has a character that can't be stored. Nothing was changed.")
    if isinstance(error, OperationalError | InterfaceError | InternalError | PoolTimeout):
        return Unavailable("The database can't be reached or is full. Nothing was recorded. Try again in a minute.")
    if isinstance(error, HTTPException):
        return _from_http(error.code or 500, error.description or "")
    return None


def _from_http(status: int, description: str) -> Refusal:
    code, detail = {
        404: ("invalid_url", "There is nothing at this URL."),
        405: ("method_not_allowed", "This URL does not take this method."),
        413: ("request_body_too_large", "The body is larger than 1 MB."),
        415: ("unsupported_media_type", "Send JSON: Content-Type: application/json."),
    }.get(status, ("bad_request", description))
    return InvalidRequest(code, detail, status=status)
