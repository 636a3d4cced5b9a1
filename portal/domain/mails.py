"""Mails to be sent, written in the transaction of the change they tell of (`docs/rules.md`).

A row holds the facts of that moment, in plain values and without any link or token; the worker turns it into text
and HTML when it sends it (`outbox/emails.py`). `key` is unique: one transition, one mail.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Index, delete, literal_column, not_, or_, select, text, true, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, connection, session, table
from portal.domain import audit, events
from portal.domain.actors import Actor
from portal.domain.shapes import instant

KINDS = (
    "cancellation_scheduled",
    "cancellation_withdrawn",
    "subscription_ended",
    "payment_method_changed",
    "renewed",
    "payment_failed",
    "renewal_reminder",
    "paused",
    "resumed",
    "subscribed",
    "purchased",
    "sign_in",
    "fresh_link",
    "link_from_staff",
    "email_changed",
    "staff_sign_in",
    "staff_added",
    "staff_access_changed",
    "end_date_missing",
    "endpoint_off",
    "event_notification",
)
"""`sign_in`, `fresh_link`, `link_from_staff` and `staff_sign_in` carry access; `staff_added`, `staff_access_changed`,
`end_date_missing` and `endpoint_off` go to the seller's staff, `event_notification` to where the seller wants to be
told of events; the rest to customers."""

FRESH_LINK_LIFETIME = timedelta(hours=1)
WHOLE_FOR = timedelta(days=90)
"""How long a mail can be read and sent again. After that its row tells where it went and what became of it."""
LINK_KEY = "link."
"""Before the id of a portal session: the key of the mail that carries its link."""
_SETTLED = ("sent", "failed", "dropped")
_HAS_FACTS, IS_WHOLE = text("has_facts"), text("mails.has_facts")


class Mail(Base):
    """`status`: queued, sent, failed (given up, visible to staff) or dropped (nobody to send it to)."""

    __tablename__ = "mails"
    __table_args__ = (
        Index(
            "ix_mails_due",
            "run_at",
            postgresql_where=text("status = 'queued'"),
            sqlite_where=text("status = 'queued'"),
        ),
        Index("ix_mails_with_facts", "status", "created_at", postgresql_where=_HAS_FACTS, sqlite_where=_HAS_FACTS),
        Index(None, "customer_id", "id"),
        Index(None, "subscription_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    kind: Mapped[str]
    customer_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    to_address: Mapped[str]
    locale: Mapped[str]
    time_zone: Mapped[str | None]
    facts: Mapped[Any] = mapped_column(JSON)
    has_facts: Mapped[bool] = mapped_column(default=True, server_default=true())
    """False: the facts are removed, so it can't be composed any more."""
    status: Mapped[str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    event_id: Mapped[str | None]
    """The latest event of the change it tells of, recorded in the same transaction; of a reminder there is none."""


def tell(kind: str, subscription: Any, *, key: str | None = None, **facts: Any) -> None:
    """Queues a mail about a subscription to its customer, with what is true of it now and the facts given."""
    tell_all(((kind, subscription, key, facts),))


def tell_all(notices: Iterable[tuple[str, Any, str | None, dict[str, Any]]]) -> None:
    """Queues many mails with one statement: (kind, subscription, key, facts) each."""
    _queue(
        [
            _row(
                kind,
                to=subscription.customer.email,
                locale=subscription.customer.locale,
                time_zone=subscription.customer.time_zone,
                customer_id=subscription.customer_id,
                subscription_id=subscription.id,
                key=key,
                event_id=events.latest_of(subscription.id),
                facts=about(subscription) | _plain(facts),
            )
            for kind, subscription, key, facts in notices
        ]
    )


def send_access(
    kind: str, *, to: str, locale: str, time_zone: str | None = None, customer_id: str | None = None, **facts: Any
) -> None:
    """Queues a mail that carries a link to sign in (`sign_in`, `staff_sign_in`) or to one page (`fresh_link`)."""
    _queue([_row(kind, to=to, locale=locale, time_zone=time_zone, customer_id=customer_id, facts=_plain(facts))])


def send_link(customer: Any, portal_session: Any, subscription: Any | None) -> None:
    """Queues a mail with a link that staff have opened for a customer; the link itself is made when it is sent."""
    facts = {
        "customer": customer.name,
        "portal_session": portal_session.id,
        "page": portal_session.page,
        "subscription": subscription.id if subscription else None,
        "name": subscription.name if subscription else None,
        "expires_at": instant(portal_session.expires_at),
    }
    _queue(
        [
            _row(
                "link_from_staff",
                key=LINK_KEY + portal_session.id,
                to=customer.email,
                locale=customer.locale,
                time_zone=customer.time_zone,
                customer_id=customer.id,
                subscription_id=facts["subscription"],
                facts=facts,
            )
        ]
    )


def tell_buyer(kind: str, customer: Any, *, key: str | None, to: str | None = None, **facts: Any) -> None:
    """Queues a mail to a customer about what belongs to no subscription; `to` is another address than theirs now."""
    who = {
        "to": to or customer.email,
        "locale": customer.locale,
        "time_zone": customer.time_zone,
        "customer_id": customer.id,
    }
    _queue([_row(kind, key=key, facts={"customer": customer.name} | _plain(facts), **who)])


def tell_staff(kind: str, subscription: Any, addresses: Iterable[str], **facts: Any) -> None:
    """Queues a mail about a subscription to each of the seller's people."""
    told = about(subscription) | _plain(facts)
    what = {"subscription_id": subscription.id, "event_id": events.latest_of(subscription.id)}
    _queue([_row(kind, to=each, locale="en", facts=told, **what) for each in addresses])


def warn_staff(kind: str, addresses: Iterable[str], *, key: str, **facts: Any) -> None:
    """Queues a mail about the portal itself to each of the seller's people."""
    _queue([_row(kind, to=each, locale="en", key=f"{key}.{each}", facts=_plain(facts)) for each in addresses])


def send_events(notices: Iterable[tuple[str, str, Any]]) -> None:
    """Queues mails that tell of events: (address, notification's id, event) each."""
    _queue(
        [
            _row("event_notification", to=to, locale="en", key=notification_id, facts=_event(notification_id, event))
            for to, notification_id, event in notices
        ]
    )


def send_preview(sample: Mail, *, to: str, by: Actor) -> None:
    """Queues a made-up mail to somebody of the staff. It is marked as one, and its links have no power."""
    facts = sample.facts | {"preview": True}
    who = {"customer_id": sample.customer_id, "subscription_id": sample.subscription_id, "time_zone": sample.time_zone}
    _queue([_row(sample.kind, to=to, locale=sample.locale, facts=facts, **who)])
    audit.record("mail.preview_sent", by=by, kind=sample.kind, language=sample.locale, to=to)


def is_queued() -> Any:
    """The status is spelled out, so that the index of queued mails serves."""
    return Mail.status == literal_column("'queued'")


def slim_older_than(instant: datetime, most: int) -> None:
    """Removes what old mails said, once they are settled; of the row stays what the history tells.

    Mails that stand in nobody's history, such as those to staff, go as a whole.
    """
    old = IS_WHOLE, Mail.status.in_(_SETTLED), Mail.created_at < instant
    told_of = or_(Mail.customer_id.is_not(None), Mail.subscription_id.is_not(None))
    _change(delete(Mail), *old, not_(told_of), most=most)
    _change(update(Mail).values(facts={}, has_facts=False), *old, told_of, most=most)


def forget_older_than(instant: datetime, most: int) -> None:
    """Deletes the rows of old mails that say nothing any more."""
    _change(delete(Mail), Mail.id < ids.earliest("mail", instant), Mail.has_facts.is_(False), most=most)


def _change(statement: Any, *conditions: Any, most: int) -> None:
    some = select(Mail.id).where(*conditions).limit(most)
    session().execute(statement.where(Mail.id.in_(some)).execution_options(synchronize_session=False))


def _event(notification_id: str, event: Any) -> dict[str, Any]:
    """What a webhook would carry is `json`, which the mail shows as it is."""
    envelope = {
        "event_id": event.id,
        "event_type": event.type,
        "occurred_at": instant(event.occurred_at),
        "notification_id": notification_id,
        "data": event.data,
    }
    told = {"type": event.type, "entity": event.subject_id, "happened_at": instant(event.occurred_at)}
    return told | {"json": envelope}


def about(subscription: Any) -> dict[str, Any]:
    """What a mail may say of a subscription, as plain values; instants as the contract's text."""
    card = subscription.payment_method
    return {
        "subscription": subscription.id,
        "name": subscription.name,
        "customer": subscription.customer.name,
        "status": subscription.status,
        "items": [
            {"name": i.price.product.name, "quantity": i.quantity, "amount": i.price.amount * i.quantity}
            for i in subscription.items
        ],
        "amount": subscription.amount,
        "currency": subscription.currency_code,
        "interval": subscription.billing_interval,
        "frequency": subscription.billing_frequency,
        "automatic": subscription.is_automatic,
        "ending": subscription.is_ending,
        "ends_at": instant(subscription.ends_at),
        "canceled_at": instant(subscription.canceled_at),
        "payments_left": subscription.remaining_payments,
        "bound": subscription.binds_customer,
        "next_billed_at": instant(subscription.next_billed_at),
        "period_ends_at": instant(subscription.period_ends_at),
        "card": {"brand": card.brand, "last4": card.last4} if card else None,
    }


def _row(kind: str, *, to: str, locale: str, facts: dict[str, Any], **more: Any) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": ids.new("mail"),
        "kind": kind,
        "to_address": to,
        "locale": locale,
        "facts": facts,
        "status": "queued",
        "attempts": 0,
        "run_at": now,
        "created_at": now,
        **dict.fromkeys(("key", "customer_id", "subscription_id", "event_id", "time_zone")),
        **more,
    }


def _queue(rows: list[dict[str, Any]]) -> None:
    if rows:
        connection().execute(db.insert_unless_there(table(Mail)), rows)
        db.wake_workers()


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in facts.items()}
