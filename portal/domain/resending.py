"""Sending a mail once more: the same message, to the address that it was written for."""

from portal import clock, config, db
from portal.domain import audit, changes, customers, portal_sessions, sign_in
from portal.domain.actors import Actor
from portal.domain.mails import FRESH_LINK_LIFETIME, Mail
from portal.errors import MailRefused

PER_HOUR = 20
"""Mails sent once more to one address."""


def get(mail_id: str) -> Mail:
    """One mail; inside a transaction its row is locked. Raises NotFound."""
    return changes.find(Mail, "mail", mail_id)


def send_again(mail: Mail, *, by: Actor) -> bool:
    """Queues a mail anew, with its id and its Message-ID. False: it waits to be sent already. Raises MailRefused."""
    if mail.status == "queued":
        return False
    refused = why_not(mail)
    if refused is not None:
        raise MailRefused(refused)
    mail.status, mail.attempts, mail.run_at, mail.lease_until, mail.last_error = "queued", 0, clock.now(), None, None
    audit.record(
        "mail.sent_again", by=by, subject=mail.id, customer_id=mail.customer_id, kind=mail.kind, to=mail.to_address
    )
    db.wake_workers()
    return True


def why_not(mail: Mail) -> str | None:
    """Why a mail is not sent again, or None.

    `waiting`, `gone` (what it said is removed), `expired`, `of_staff` (they ask for a new link), `replay`.
    """
    if mail.status == "queued":
        return "waiting"
    if not mail.has_facts:
        return "gone"
    if mail.kind == "staff_sign_in":
        return "of_staff"
    if mail.kind == "event_notification":
        return "replay"
    return "expired" if _is_spent(mail) else None


def has_dead_links(mail: Mail) -> bool:
    """Whether the links in a mail open nothing any more, because of their age or because they were called back."""
    return clock.now() >= mail.created_at + config.current().email_link_lifetime or _is_called_back(mail)


def _is_spent(mail: Mail) -> bool:
    """Whether the access that a mail is there for has ended."""
    if mail.kind == "sign_in":
        return not sign_in.is_open(mail.facts["request"])
    if mail.kind == "fresh_link":
        return clock.now() >= mail.created_at + FRESH_LINK_LIFETIME or _is_called_back(mail)
    if mail.kind == "link_from_staff":
        return not portal_sessions.is_open(mail.facts["portal_session"]) or _is_called_back(mail)
    return False


def _is_called_back(mail: Mail) -> bool:
    since = customers.get(mail.customer_id).links_valid_from if mail.customer_id else None
    return since is not None and mail.created_at <= since
