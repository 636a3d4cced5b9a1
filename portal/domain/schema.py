"""Every table, imported in one place so that the metadata is complete."""

from portal import idempotency, limits, request_log
from portal.db import Base
from portal.domain import api_keys, charges, notification_settings, notifications, portal_sessions, renewal, sign_in
from portal.gateways import sandbox

__all__ = [
    "api_keys",
    "charges",
    "idempotency",
    "limits",
    "notification_settings",
    "notifications",
    "portal_sessions",
    "renewal",
    "request_log",
    "sandbox",
    "sign_in",
]
metadata = Base.metadata
