"""Forgets what nobody needs any more.

Events, reasons and transactions stay, and so does what became of mails and webhooks.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from portal import clock, config, idempotency, limits, request_log
from portal.db import session, transaction
from portal.domain import mails, notification_settings, notifications, passkeys, staff_sessions, staff_sign_in
from portal.domain.browser_sessions import BrowserSession, Grant
from portal.domain.portal_sessions import PortalSession
from portal.domain.sign_in import SignInRequest

EVERY = timedelta(minutes=10)
KEEP_LINKS = timedelta(days=90)
"""Old links lead to a page that mails a fresh one for this long."""
_AT_ONCE = 10_000

_next: datetime | None = None


def tidy() -> bool:
    """Every ten minutes; there is never more of it."""
    global _next
    now = clock.now()
    if _next is not None and now < _next <= now + EVERY:
        return False
    _next = now + EVERY
    with transaction():
        over = select(BrowserSession.id).where(BrowserSession.ends_at < now)
        session().execute(delete(Grant).where(Grant.browser_session_id.in_(over)))
        session().execute(delete(BrowserSession).where(BrowserSession.ends_at < now))
        session().execute(delete(SignInRequest).where(SignInRequest.expires_at < now - timedelta(days=1)))
        session().execute(delete(PortalSession).where(PortalSession.expires_at < now - KEEP_LINKS))
        mails.slim_older_than(now - mails.WHOLE_FOR, _AT_ONCE)
        notifications.slim_older_than(now - notifications.WHOLE_FOR, _AT_ONCE)
        if records := config.current().delivery_records:
            mails.forget_older_than(now - records, _AT_ONCE)
            notifications.forget_older_than(now - records, _AT_ONCE)
        notification_settings.seal_anew()
        staff_sessions.forget_old()
        staff_sign_in.forget_old()
        passkeys.forget_old()
        limits.forget_old()
        idempotency.forget_old()
        request_log.forget_old()
    return False
