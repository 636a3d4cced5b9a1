"""Sends the mails that are due: claim a batch, one connection for all, an outcome written after each.

    taken over                          sent
    refused for good (5xx)              failed
    not taken for now, connection broke queued again after the next of `mail_retries`; after the last: failed
    server unreachable as a whole       queued again, costs no attempt; after seven days: failed
    nobody at the address, link too old dropped (mails that carry access)
    the destination is off or deleted   dropped (mails that tell of events), and the notification failed

A claim is a lease: who dies while sending loses it, and the mail is sent again with the same Message-ID. That is
as far as SMTP allows: whether a server took a mail whose answer never came can't be known.
"""

import logging
import random
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import or_, select, update

from portal import clock, config
from portal.db import session, transaction
from portal.domain import customers, mails, notifications, portal_sessions, sign_in, staff, staff_sign_in
from portal.domain.mails import Mail
from portal.outbox import emails, smtp

log = logging.getLogger("portal.mail")
LEASE = timedelta(minutes=2)
LONGEST_OUTAGE = timedelta(days=7)
_ENOUGH_LEFT = timedelta(seconds=90)
"""A mail is begun only with this much of the lease left: longer than a slow server takes for one."""
_OUTAGE_WAITS = timedelta(seconds=30), timedelta(minutes=15)
_warned = False


def send_due(limit: int = 20, *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Sends up to `limit` due mails; answers how many it dealt with, 0 when there is no point in going on now."""
    settings = config.current()
    if not settings.smtp_url:
        _warn_once()
        return 0
    if not _any_due():
        return 0
    where, host = smtp.place(settings.smtp_url), urlsplit(settings.base_url).hostname or "localhost"
    claimed, dropped = _claim(limit)
    with smtp.Server(where, name=host) as server:
        for done, mail in enumerate(claimed):
            if stopping() or clock.now() > _lease(mail) - _ENOUGH_LEFT:
                _release(claimed[done:])
                return dropped + done
            try:
                _deliver(mail, server)
            except smtp.Unreachable as trouble:
                _wait_out(claimed[done:], str(trouble))
                return 0
    return dropped + len(claimed)


def _claim(limit: int) -> tuple[list[Mail], int]:
    """The mails that are ours for now, and how many there was nobody for."""
    wanted, lease_until = [], clock.now() + LEASE
    with transaction():
        due = _due(limit)
        for mail in due:
            if reason := _no_use(mail):
                mail.status, mail.last_error, mail.lease_until = "dropped", reason, None
            else:
                mail.attempts, mail.lease_until = mail.attempts + 1, lease_until
                wanted.append(mail)
    return wanted, len(due) - len(wanted)


def _any_due() -> bool:
    """A look that takes no lock, before a claim that does."""
    return session().scalar(select(Mail.id).where(*_is_due()).limit(1)) is not None


def _due(limit: int) -> Sequence[Mail]:
    """Due mails that nobody holds, locked."""
    due = select(Mail).where(*_is_due()).order_by(Mail.run_at).limit(limit)
    return session().scalars(due.with_for_update(skip_locked=True)).all()


def _is_due() -> tuple[Any, ...]:
    now = clock.now()
    free = or_(Mail.lease_until.is_(None), Mail.lease_until <= now)
    return mails.is_queued(), Mail.run_at <= now, free


def _no_use(mail: Mail) -> str | None:
    """Why a mail need not be sent. A sign-in mail goes to the address on file, never to a spelling somebody typed."""
    if mail.facts.get("preview"):
        return None
    if mail.kind == "staff_sign_in":
        return _no_use_to_staff(mail)
    if mail.kind == "event_notification":
        return _no_use_to_destination(mail)
    if mail.kind == "link_from_staff" and not portal_sessions.is_open(mail.facts["portal_session"]):
        return "the link was taken back or is too old"
    if mail.kind != "sign_in":
        return None
    customer = customers.by_email(mail.to_address)
    if customer is None:
        return "no customer has this address"
    if not sign_in.is_open(mail.facts["request"]):
        return "the link was used, replaced or too old"
    mail.to_address, mail.time_zone = customer.email, customer.time_zone
    return None


def _no_use_to_staff(mail: Mail) -> str | None:
    member = staff.by_email(mail.to_address)
    if member is None:
        return "nobody on the staff has this address"
    if not staff_sign_in.is_open(mail.facts["request"]):
        return "the link was used, replaced or too old"
    mail.to_address = member.email
    return None


def _no_use_to_destination(mail: Mail) -> str | None:
    """It goes to where the destination leads now."""
    address = notifications.address_of(mail.key or "")
    if address is None:
        notifications.give_up(mail.key or "")
        return "its destination was switched off or deleted"
    mail.to_address = address
    return None


def _deliver(mail: Mail, server: smtp.Server) -> None:
    """Sends one mail and writes down what became of it. Raises Unreachable."""
    try:
        server.send(emails.compose(mail))
    except smtp.Unreachable:
        raise
    except (smtp.Refused, emails.UnusableAddress) as refused:
        _settle(mail, status="failed", last_error=_without_secrets(str(refused)))
    except smtp.Deferred as trouble:
        _try_again(mail, str(trouble))
    except Exception as defect:
        # One mail that can't be written must not hold up the others; it waits for a corrected release.
        _try_again(mail, f"can't be composed: {type(defect).__name__}")
    else:
        _settle(mail, status="sent", sent_at=clock.now(), last_error=None)


def _try_again(mail: Mail, error: str) -> None:
    waits, error = config.current().mail_retries, _without_secrets(error)
    if mail.attempts > len(waits):
        _settle(mail, status="failed", last_error=error)
    else:
        wait = waits[mail.attempts - 1] * (1 + random.random() / 5)
        _settle(mail, run_at=clock.now() + wait, last_error=error)


def _wait_out(unsent: Sequence[Mail], error: str) -> None:
    """Puts mails back while nobody can be reached: soon at first, then every quarter of an hour."""
    log.warning("mail server unreachable", extra={"mails": len(unsent), "error": error})
    now, error = clock.now(), f"mail server unreachable: {error}"
    shortest, longest = _OUTAGE_WAITS
    with transaction():
        for mail in unsent:
            age = now - mail.created_at
            if age > LONGEST_OUTAGE:
                _settle(mail, status="failed", last_error=error)
            else:
                wait = min(max(age, shortest), longest) * (1 + random.random() / 5)
                _settle(mail, run_at=now + wait, attempts=mail.attempts - 1, last_error=error)


def _release(unsent: Sequence[Mail]) -> None:
    """Gives mails back that were not begun."""
    with transaction():
        for mail in unsent:
            _settle(mail, attempts=mail.attempts - 1)


def _settle(mail: Mail, **outcome: Any) -> None:
    """Writes an outcome and gives up the lease, unless somebody else has it by now."""
    ours = Mail.id == mail.id, Mail.status == "queued", Mail.lease_until == mail.lease_until
    with transaction():
        settled = session().execute(
            update(Mail).where(*ours).values(lease_until=None, **outcome).execution_options(synchronize_session=False)
        )
        if mail.kind == "event_notification" and settled.rowcount and "last_error" in outcome:  # type: ignore[attr-defined]
            attempts = outcome.get("attempts", mail.attempts)
            notifications.mail_settled(mail.key or "", outcome.get("status"), attempts=attempts)
    if outcome.get("status") == "failed":
        log.error("mail given up", extra={"mail": mail.id, "kind": mail.kind})
    elif outcome.get("status") == "sent":
        log.info("mail sent", extra={"mail": mail.id, "kind": mail.kind, "attempts": mail.attempts})


def _lease(mail: Mail) -> datetime:
    assert mail.lease_until is not None
    return mail.lease_until


def _without_secrets(words: str) -> str:
    """A server's answer may quote the mail it refused."""
    return re.sub(r"pga_[\w.-]+", "pga_…", words)[:300]


def _warn_once() -> None:
    global _warned
    if not _warned:
        log.warning("PORTAL_SMTP_URL is not set: mails wait in the queue")
    _warned = True
