"""What the operator asks: does it live, can it work, what waits."""

import hmac
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, not_, or_, select, text

from portal import clock, config, db
from portal.db import session
from portal.domain import mails, notifications
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification
from portal.domain.subscriptions import Subscription
from portal.errors import NotFound


def register(app: Flask) -> None:
    app.add_url_rule("/healthz", view_func=healthz)
    app.add_url_rule("/readyz", view_func=readyz)
    app.add_url_rule("/metrics", view_func=metrics)


def healthz() -> Response:
    """This process answers."""
    return Response("ok\n", mimetype="text/plain")


def readyz() -> Response:
    """The database answers and has its tables."""
    session().execute(text("SELECT 1 FROM subscriptions WHERE id = ''"))
    return Response("ready\n", mimetype="text/plain")


def metrics() -> Response:
    """What waits and for how long, for Prometheus; from the database, so alike on every machine but for its clock."""
    token = config.current().metrics_token
    sent = request.headers.get("Authorization", "")
    if not token or not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise NotFound
    return Response(generate_latest(_registry()), mimetype="text/plain")


def _is_awake(now: datetime) -> Any:
    """Not an endpoint that rests after a failure: what waits for it waits for the endpoint, not for a worker."""
    rests_until = NotificationSetting.rests_until
    return or_(rests_until.is_(None), rests_until <= now)


def _registry() -> CollectorRegistry:
    registry, now = CollectorRegistry(), clock.now()
    due = select(func.min(Subscription.scheduled_effective_at)).where(Subscription.scheduled_effective_at <= now)
    renewal = select(func.min(Subscription.next_billed_at)).where(Subscription.next_billed_at <= now)
    waiting = select(func.min(Mail.created_at)).where(mails.is_queued())
    untold = select(func.min(Event.received_at)).where(not_(Event.dispatched))
    hook = (
        select(func.min(Notification.run_at))
        .join(NotificationSetting, NotificationSetting.id == Notification.setting_id)
        .where(Notification.run_at <= now, NotificationSetting.active.is_(True), _is_awake(now))
    )
    for name, oldest, meaning in (
        ("portal_change_overdue_seconds", due, "age of the oldest scheduled change that is due"),
        ("portal_renewal_overdue_seconds", renewal, "age of the oldest renewal that is due"),
        ("portal_mail_overdue_seconds", waiting, "age of the oldest mail that is not sent yet"),
        ("portal_event_overdue_seconds", untold, "age of the oldest event that no notification was made of"),
        ("portal_webhook_overdue_seconds", hook, "age of the oldest webhook due, endpoints at rest left out"),
    ):
        since = session().scalar(oldest)
        Gauge(name, meaning, registry=registry).set((now - since).total_seconds() if since else 0)
    recent = Notification.id >= notifications.first_recent()
    for name, counted, among, meaning in (
        ("portal_mails", Mail.status, mails.IS_WHOLE, "mails of the last 90 days by status"),
        ("portal_notifications", Notification.status, recent, "notifications of the last 90 days by status"),
    ):
        gauge = Gauge(name, meaning, ["status"], registry=registry)
        for status, count in session().execute(select(counted, func.count()).where(among).group_by(counted)):
            gauge.labels(status).set(count)
    Gauge("portal_clock_ahead_seconds", "of this machine's clock before the database server's", registry=registry).set(
        db.clock_ahead().total_seconds()
    )
    off = select(func.count()).where(
        NotificationSetting.off_because.is_not(None), NotificationSetting.deleted_at.is_(None)
    )
    Gauge("portal_endpoints_off", "endpoints that the portal has switched off", registry=registry).set(
        session().scalar(off) or 0
    )
    return registry
