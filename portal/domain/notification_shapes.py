"""Events, destinations and notifications as the contract's JSON (`docs/api.md`)."""

import base64
from typing import Any

from portal import sealing
from portal.domain import event_types, notification_entities, notification_settings
from portal.domain.shapes import instant, text


def event(row: Any) -> notification_entities.Event:
    return {"event_id": row.id, "event_type": row.type, "occurred_at": text(row.occurred_at), "data": row.data}


def event_type(name: str) -> notification_entities.EventType:
    """A type that this release knows no more keeps its name."""
    return {
        "name": name,
        "description": event_types.DESCRIPTION.get(name, ""),
        "group": event_types.GROUP.get(name, ""),
        "available_versions": [1],
    }


def notification_setting(row: Any) -> notification_entities.NotificationSetting:
    secret = _secret(row)
    return {
        "id": row.id,
        "description": row.description,
        "type": row.type,
        "destination": row.destination,
        "active": row.active,
        "api_version": row.api_version,
        "include_sensitive_fields": row.include_sensitive_fields,
        "subscribed_events": [event_type(name) for name in row.subscribed_events],
        "endpoint_secret_key": secret,
        "traffic_source": row.traffic_source,
        "off_because": row.off_because,
        "previous_secret_expires_at": instant(row.previous_until),
        "standard_webhook_secret": f"whsec_{base64.b64encode(secret.encode()).decode()}" if secret else "",
    }


def notification(row: Any, of: Any) -> notification_entities.Notification:
    """`of` is its event."""
    return {
        "id": row.id,
        "type": of.type,
        "status": row.status,
        "payload": {
            "event_id": of.id,
            "event_type": of.type,
            "occurred_at": text(of.occurred_at),
            "notification_id": row.id,
            "data": of.data,
        },
        "occurred_at": text(of.occurred_at),
        "delivered_at": instant(row.delivered_at),
        "replayed_at": instant(row.replayed_at),
        "origin": row.origin,
        "last_attempt_at": instant(row.last_attempt_at),
        "retry_at": instant(row.run_at) if row.status == "needs_retry" else None,
        "times_attempted": row.times_attempted,
        "notification_setting_id": row.setting_id,
    }


def notification_log(row: Any) -> notification_entities.NotificationLog:
    return {
        "id": row.id,
        "response_code": row.response_code,
        "response_content_type": row.response_content_type,
        "response_headers": row.response_headers,
        "response_body": row.response_body,
        "error": row.error,
        "milliseconds": row.milliseconds,
        "attempted_at": text(row.attempted_at),
    }


def _secret(row: Any) -> str:
    """Empty if no key of PORTAL_SECRET_KEYS opens it: the rest can still be read, and the secret rotated."""
    try:
        return notification_settings.secret_of(row)
    except sealing.Unreadable:
        return ""
