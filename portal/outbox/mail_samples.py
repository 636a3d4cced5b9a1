"""A mail of every kind in every state it can be in, made up: what the console previews and the tests render.

`STATES` has, for each kind, the facts by which a state differs from the usual mail.
"""

from datetime import UTC, datetime
from typing import Any

from portal.domain.mails import Mail

CUSTOMER = "ctm_01jcgfqad406rsfjcgq44g9djq"
SUBSCRIPTION = "sub_01jcgfqad406rsfjcgq44g9djr"
WRITTEN = datetime(2026, 12, 21, 10, 38, 57, 979670, tzinfo=UTC)
_THEN, _LATER = "2026-12-21T10:38:57.979670Z", "2027-01-21T10:38:57.979670Z"
_AFTER = "2027-03-05T00:00:00.000000Z"
_MIDNIGHT = "2027-01-31T23:00:00.000000Z"
"""In the zone of the customer to whom these mails go."""
_CHARGED: dict[str, Any] = {
    "charges": [
        {"charged_at": _LATER, "amount": 3000, "part": False},
        {"charged_at": "2027-02-21T10:38:57.979670Z", "amount": 1239, "part": True, "rest": False},
    ],
    "charges_count": 2,
    "charges_total": 4239,
    "can_keep": False,
}
_PART: dict[str, Any] = {"next_due": 1239, "next_has_more": False, "part_ends_at": _AFTER}
_MORE: dict[str, Any] = {"next_due": 3500, "next_has_more": True}
_ABOUT: dict[str, Any] = {
    "subscription": SUBSCRIPTION,
    "name": "AeroEdit Pro",
    "customer": "Amelia Harper",
    "status": "active",
    "items": [{"name": "AeroEdit Pro", "quantity": 1, "amount": 3000}],
    "amount": 3000,
    "currency": "EUR",
    "interval": "month",
    "frequency": 1,
    "automatic": True,
    "ending": False,
    "ends_at": None,
    "canceled_at": None,
    "next_billed_at": _LATER,
    "period_ends_at": _LATER,
    "card": {"brand": "visa", "last4": "4242"},
}
_FACTS: dict[str, dict[str, Any]] = {
    "cancellation_scheduled": {
        "ends_at": _LATER,
        "next_billed_at": None,
        "received_at": _THEN,
        "asked_by": "customer",
    },
    "cancellation_withdrawn": {"received_at": _THEN},
    "subscription_ended": {
        "status": "canceled",
        "canceled_at": _LATER,
        "next_billed_at": None,
        "because": "",
    },
    "payment_method_changed": {},
    "subscribed": {
        "transaction": "txn_01jcgfqad406rsfjcgq44g9djs",
        "paid": 3000,
        "paid_at": _THEN,
        "trial_ends_at": None,
    },
    "renewed": {"transaction": "txn_01jcgfqad406rsfjcgq44g9djs", "paid_at": _THEN},
    "payment_failed": {"status": "past_due", "owed": 3000, "refusal": "insufficient_funds", "retry_at": _LATER},
    "renewal_reminder": {},
    "paused": {"status": "paused", "next_billed_at": None, "resumes_at": None},
    "resumed": {},
    "end_date_missing": {"received_at": _THEN},
}
_PURCHASED: dict[str, Any] = {
    "customer": "Amelia Harper",
    "name": "Logbook",
    "currency": "EUR",
    "items": [{"name": "Logbook", "quantity": 1}],
    "card": {"brand": "visa", "last4": "4242"},
    "transaction": "txn_01jcgfqad406rsfjcgq44g9djs",
    "paid": 4900,
    "paid_at": _THEN,
}
_ACCESS: dict[str, dict[str, Any]] = {
    "sign_in": {
        "request": "sil_01jcgfqad406rsfjcgq44g9djt",
        "asked_at": _THEN,
        "expires_at": "2026-12-21T10:48:57.979670Z",
        "client": "203.0.113.7",
    },
    "fresh_link": {"page": "cancel", "subscription": SUBSCRIPTION},
    "link_from_staff": {
        "customer": "Amelia Harper",
        "portal_session": "cpls_01jcgfqad406rsfjcgq44g9djw",
        "page": "cancel",
        "subscription": SUBSCRIPTION,
        "name": "AeroEdit Pro",
        "expires_at": "2026-12-28T10:38:57.979670Z",
    },
    "email_changed": {"customer": "Amelia Harper", "told": "old", "changed_at": _THEN},
}
_SELLER: dict[str, dict[str, Any]] = {
    "staff_sign_in": {
        "request": "ssi_01jcgfqad406rsfjcgq44g9djt",
        "asked_at": _THEN,
        "expires_at": "2026-12-21T10:48:57.979670Z",
        "client": "203.0.113.7",
    },
    "staff_added": {"role": "support", "added_by": "Ada Boyle"},
    "staff_access_changed": {
        "told": "passkey_added",
        "name": "Work laptop",
        "browser": "Firefox",
        "client": "203.0.113.7",
        "changed_by": None,
        "changed_at": _THEN,
    },
    "endpoint_off": {
        "setting": "ntfset_01jcgfqad406rsfjcgq44g9djv",
        "description": "Our shop",
        "because": "The endpoint answered 410 Gone.",
        "since_at": _THEN,
    },
    "event_notification": {
        "type": "subscription.canceled",
        "entity": SUBSCRIPTION,
        "happened_at": _THEN,
        "json": {"event_type": "subscription.canceled", "data": {"id": SUBSCRIPTION, "canceled_at": _THEN, "x": "Ä"}},
    },
}

TRIGGERS = {
    "cancellation_scheduled": "A cancellation was received; the subscription goes on until its end.",
    "cancellation_withdrawn": "A cancellation was taken back before its end.",
    "subscription_ended": "A subscription has ended, at its date, at once, or because it was not paid.",
    "payment_method_changed": "The payment method of a subscription was replaced.",
    "renewed": "A new period was paid, or billed by invoice.",
    "payment_failed": "A payment could not be collected; each further attempt but the last tells of it too.",
    "renewal_reminder": "Some days before a renewal, or before the first payment after a trial.",
    "paused": "A subscription was paused.",
    "resumed": "A paused subscription goes on.",
    "subscribed": "Somebody has bought a subscription, or begun a trial.",
    "purchased": "Somebody has bought something that does not renew.",
    "sign_in": "Somebody asked for a link to sign in to their subscriptions.",
    "fresh_link": "Somebody opened a link that was too old and asked for a new one.",
    "link_from_staff": "One of you sends a customer a link from the console.",
    "email_changed": "A customer’s email address was changed; the old and the new one are told.",
    "staff_sign_in": "Somebody of the staff asked for a link to sign in to the console.",
    "staff_added": "Somebody was added to the staff.",
    "staff_access_changed": "To one of you: a passkey was added or removed, the role changed, or they were removed.",
    "end_date_missing": "To the staff: a customer canceled a subscription that has no date to end at.",
    "endpoint_off": "To the staff: the portal has switched a webhook endpoint off.",
    "event_notification": "To the address of a destination: an event has happened.",
}
"""What lets a kind of mail be sent, in one line."""

_PLAN = {"payments_left": 3, "bound": True}
_LAST_PAID = {"payments_left": 0, "bound": True, "ending": True, "ends_at": _LATER, "next_billed_at": None}
STATES: dict[str, dict[str, dict[str, Any]]] = {
    "cancellation_scheduled": {
        "in a trial": {"status": "trialing"},
        "past due": {"status": "past_due", "owed": 3000, "owed_by": "card"},
        "with an open invoice": {"automatic": False, "card": None, "owed": 3000, "owed_by": "invoice"},
        "paused": {"status": "paused", "drops": "resume"},
        "instead of a pause": {"drops": "pause"},
        "moved by the seller": {"asked_by": "staff", "can_keep": True},
        "without a date": {"ends_at": None},
        "canceled by the seller": {"asked_by": "staff"},
        "at the end of a day": {"asked_by": "staff", "can_keep": False, "ends_at": _MIDNIGHT},
        "beyond the paid period": {"asked_by": "staff", "next_billed_at": _LATER, **_CHARGED, "ends_at": _AFTER},
        "canceled by the seller, without a date": {"asked_by": "staff", "ends_at": None},
    },
    "cancellation_withdrawn": {
        "in the last part of a period": _PART,
        "with what waits for the bill": _MORE,
        "paused": {"status": "paused", "next_billed_at": None},
    },
    "subscription_ended": {
        "because it was not paid": {"because": "payment_failed", "owed": 3000, "owed_by": "none"},
        "with a payment still to be collected": {"owed": 3000, "owed_by": "card"},
        "with an open invoice": {"automatic": False, "card": None, "owed": 3000, "owed_by": "invoice"},
        "of a completed plan": _LAST_PAID | {"because": "plan_completed"},
        "of a plan whose last invoice is open": _LAST_PAID
        | {"because": "plan_completed", "owed": 3000, "owed_by": "invoice"},
    },
    "subscribed": {
        "with a trial": {"status": "trialing", "paid": 0, "trial_ends_at": _LATER},
        "to a payment plan": _PLAN,
    },
    "renewed": {
        "by invoice": {"paid_at": None, "automatic": False},
        "changed, by invoice": {"paid_at": None, "automatic": False, "changed": True},
        "of a payment plan": _PLAN,
        "the last one of a plan": _LAST_PAID,
        "of a plan that ends earlier": _PLAN | {"ending": True, "ends_at": _LATER},
        "after the end": {"status": "canceled", "canceled_at": _THEN, "next_billed_at": None},
        "with nothing to pay": {"amount": 0},
    },
    "payment_failed": {
        "expired card, ending": {"refusal": "expired", "ends_at": _LATER},
        "without a card": {"refusal": "no_payment_method", "card": None},
        "declined, ending without a date": {"refusal": "declined", "ending": True},
    },
    "renewal_reminder": {
        "end of a trial": {"status": "trialing"},
        "by invoice": {"automatic": False},
        "before an end": {"ending": True, "ends_at": _AFTER, **_PART},
        "with what waits for the bill": _MORE,
        "of a payment plan": _PLAN,
        "of the last payment": _PLAN | {"payments_left": 1},
    },
    "paused": {
        "until a date": {"resumes_at": _LATER},
        "because it was not paid": {"because": "payment_failed", "owed": 3000, "owed_by": "none"},
    },
    "resumed": {
        "with the old period": {"continues": True},
        "by invoice": {"automatic": False, "card": None},
        "with what waits for the bill": _MORE | {"continues": True},
    },
    "fresh_link": {
        "to keep": {"page": "keep"},
        "to pay": {"page": "payment"},
        "to one subscription": {"page": "subscription"},
        "to the portal": {"page": "portal"},
    },
    "link_from_staff": {
        "to keep": {"page": "keep"},
        "to pay": {"page": "payment"},
        "to one subscription": {"page": "subscription"},
        "to the portal": {"page": "portal", "subscription": None, "name": None},
    },
    "email_changed": {"to the new address": {"told": "new"}},
    "staff_added": {"as an admin": {"role": "admin"}},
    "staff_access_changed": {
        "a passkey was removed": {"told": "passkey_removed"},
        "another role": {"told": "role_changed", "old": "support", "new": "admin", "changed_by": "Ada Boyle"},
        "removed from the staff": {"told": "removed", "changed_by": "Ada Boyle"},
    },
    "endpoint_off": {"never failed before": {"since_at": None}},
}


def states(kind: str) -> dict[str, dict[str, Any]]:
    """Every state of a kind of mail, the usual one first, with the facts by which it differs."""
    return {"usual": {}} | STATES.get(kind, {})


def letter(kind: str, locale: str = "en", to: str = "amelia@example.com", **facts: Any) -> Mail:
    """A mail of a kind, not in any database; `facts` replace the usual ones."""
    personal = kind not in ("sign_in", "end_date_missing", *_SELLER)
    impersonal = _ACCESS | _SELLER | {"purchased": _PURCHASED}
    return Mail(
        id="mail_01jcgfqad406rsfjcgq44g9dju",
        kind=kind,
        customer_id=CUSTOMER if personal else None,
        subscription_id=None if kind in impersonal else SUBSCRIPTION,
        to_address=to,
        locale=locale,
        time_zone="Europe/Berlin",
        facts=(impersonal[kind] if kind in impersonal else _ABOUT | _FACTS[kind]) | facts,
        status="queued",
        attempts=0,
        run_at=WRITTEN,
        created_at=WRITTEN,
    )
