"""Ways of coming to the portal, and of seeing that nothing has changed."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import select

from portal import clock, db, links
from portal.db import Base, session, transaction
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.subscriptions import Subscription
from portal.outbox import emails
from tests import people
from tests.conftest import NOW
from tests.person import Page, Person

END = NOW + timedelta(days=20)
"""When the paid period of `subscribed()` ends."""
UNKNOWN = "01jcgfqad406rsfjcgq44g9djq"
ENDLESS_ADDRESS = "a" + "\u0316\u0300" * 35_000 + "@b.co"
"""Takes seconds to be brought into its normal form; of the most that a form may hold it would be a minute."""
CANCELED = {
    "status": "canceled",
    "canceled_at": NOW - timedelta(days=1),
    "next_billed_at": None,
    "period_starts_at": None,
}
_PASSING = {"browser_sessions", "grants", "api_keys", "rate_limits"}


def subscribed(customer_id: str | None = None, **fields: Any) -> str:
    """A subscription whose paid period ends at END."""
    return people.subscription(customer_id or people.customer(), **{"period_ends_at": END} | fields)


def ending(by: str = "customer", at: datetime = END) -> dict[str, Any]:
    """The fields of a subscription whose end is scheduled."""
    return {
        "next_billed_at": None,
        "scheduled_action": "cancel",
        "scheduled_effective_at": at,
        "scheduled_at": NOW - timedelta(days=2),
        "scheduled_by": by,
        "billing_resumes_at": at,
    }


def owner(subscription_id: str) -> str:
    return people.row(subscription_id).customer_id


def email_link(page: str, subscription_id: str | None = None, customer_id: str | None = None, **more: Any) -> str:
    """A link as mails have it, to one page of a subscription or to its owner's portal."""
    customer_id = customer_id or owner(subscription_id or "")
    return links.page_url(page, customer_id=customer_id, subscription_id=subscription_id, **more)


def open_session(app: Flask, customer_id: str, subscription_ids: Iterable[str] = (), **fields: Any) -> dict[str, Any]:
    """A portal session as an app gets it."""
    answer = app.test_client().post(
        f"/customers/{customer_id}/portal-sessions",
        json={"subscription_ids": list(subscription_ids), **fields},
        headers=people.key("customer_portal_session.write"),
    )
    assert answer.status_code == 201, answer.json
    return dict(answer.json["data"])


def come_in(person: Person, customer_id: str) -> Person:
    """Follows a link to the whole portal."""
    assert person.open(email_link("portal", customer_id=customer_id)).status == 200
    return person


def get(person: Person, url: str, **headers: str) -> Page:
    """Opens an address without following where it leads."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return Page(person.client.get(path, headers=person.headers | headers))


def post(person: Person, path: str, **fields: str) -> Page:
    """Sends a form with a valid CSRF token, without following where the answer leads."""
    fields = {"csrf_token": person.csrf_token(), **fields}
    return Page(person.client.post(path, data=fields, headers=person.headers))


def cookie_of(person: Person) -> str | None:
    found = person.client.get_cookie("portal")
    return found.value if found else None


def records() -> dict[str, list[str]]:
    """Everything the database holds, but who is signed in where."""
    with db.engine().connect() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(_prepared_left_out(table)))
            for table in Base.metadata.sorted_tables
            if table.name not in _PASSING
        }


def _prepared_left_out(table: Any) -> Any:
    """The audit record without what the tests' own preparations, such as making a key, wrote into it."""
    wanted = select(table)
    return wanted.where(table.c.way != "shell") if table.name == "audit_entries" else wanted


def alike(page: Any) -> tuple[int, str]:
    """An answer without what differs from request to request: its number, form tokens, and the id that was asked."""
    html = page.html if isinstance(page, Page) else page.get_data(as_text=True)
    status = page.status if isinstance(page, Page) else page.status_code
    html = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "REQUEST", html)
    html = re.sub(r'name="csrf_token" value="[^"]*"', "CSRF", html)
    return status, re.sub(r"\b(sub|txn|ctm|pro|pri|add|cpls)_[0-9a-z]{26}", "ID", html)


def mail(kind: str) -> str:
    """The words of the one mail of a kind."""
    [found] = mails(kind)
    plain, _ = (" ".join(part.get_content().split()) for part in emails.compose(found).iter_parts())
    return plain


def mails(kind: str | None = None) -> list[Mail]:
    """The queued mails, oldest first."""
    with transaction():
        wanted = select(Mail).order_by(Mail.id)
        return list(session().scalars(wanted.where(Mail.kind == kind) if kind else wanted))


def events(subscription_id: str) -> list[Event]:
    with transaction():
        wanted = select(Event).where(Event.subscription_id == subscription_id).order_by(Event.id)
        return list(session().scalars(wanted))


def said(subscription_id: str) -> tuple[list[str], list[str]]:
    """What was recorded and mailed about a subscription."""
    return people.events_of(subscription_id), people.mails_of(subscription_id)


def is_scheduled(subscription_id: str) -> bool:
    row: Subscription = people.row(subscription_id)
    return row.scheduled_action == "cancel"


def minutes(number: float) -> datetime:
    return clock.now() + timedelta(minutes=number)
