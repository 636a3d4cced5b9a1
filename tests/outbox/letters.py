"""A queued mail of every kind, as the domain writes it."""

from datetime import UTC, datetime
from typing import Any

from portal.domain.mails import Mail

CUSTOMER = "ctm_01jcgfqad406rsfjcgq44g9djq"
SUBSCRIPTION = "sub_01jcgfqad406rsfjcgq44g9djr"
WRITTEN = datetime(2026, 12, 21, 10, 38, 57, 979670, tzinfo=UTC)
_THEN, _LATER = "2026-12-21T10:38:57.979670Z", "2027-01-21T10:38:57.979670Z"
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
        "debt_remains": False,
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
}
_SELLER: dict[str, dict[str, Any]] = {
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
