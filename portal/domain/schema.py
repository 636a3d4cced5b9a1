"""Every table, imported in one place so that the metadata is complete."""

from portal import idempotency, limits, request_log
from portal.db import Base
from portal.domain import (
    api_keys,
    audit,
    charges,
    listing_entries,
    notification_settings,
    notifications,
    overview,
    passkeys,
    portal_sessions,
    renewal,
    seller_settings,
    sign_in,
    staff_sessions,
    staff_sign_in,
)
from portal.gateways import sandbox

__all__ = [
    "api_keys",
    "audit",
    "charges",
    "idempotency",
    "limits",
    "listing_entries",
    "notification_settings",
    "notifications",
    "overview",
    "passkeys",
    "portal_sessions",
    "renewal",
    "request_log",
    "sandbox",
    "seller_settings",
    "sign_in",
    "staff_sessions",
    "staff_sign_in",
]
metadata = Base.metadata
