"""The history as staff read it, of a subscription or of a customer: one entry an act, newest first, a page at a time.

An act is what one request, or the worker in one go, recorded: its events, the mails it queued, and what became of
them and of the webhooks. Beside acts stand mails that belong to none, such as reminders, and what the audit record
holds that is no event, such as a link that was sent.

However long a page is, it takes the same number of statements. Ids of all kinds ascend with time, so a page begins
below one number for all of them: the cursor.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, not_, or_, select

from portal import ids
from portal.db import connection, table
from portal.domain import notification_settings
from portal.domain.audit import AuditEntry
from portal.domain.events import CancellationReason, Event
from portal.domain.mails import LINK_KEY, Mail
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification, NotificationLog
from portal.domain.portal_sessions import PortalSession

PAGE = 20
_MOST_EVENTS = 200
_NEWEST = "z" * 26
_OUTCOMES = ("completed", "payment_failed", "canceled", "revised")
"""What becomes of a transaction, told even where the subscription itself tells something."""

_EVENT, _MAIL, _AUDIT = table(Event), table(Mail), table(AuditEntry)
_REASON, _LINK = table(CancellationReason), table(PortalSession)
_SENT, _LOG, _SETTING = table(Notification), table(NotificationLog), table(NotificationSetting)
_MANY: Any = bindparam("ids", expanding=True)
_EVENTS = (
    select(*(column for column in _EVENT.c if column.name not in ("data", "dispatched")))
    .where(_EVENT.c.id < bindparam("below"))
    .order_by(_EVENT.c.id.desc())
    .limit(_MOST_EVENTS + 1)
)
_MAILS = select(*(column for column in _MAIL.c if column.name not in ("facts", "lease_until")))
_LONE_MAILS = (
    _MAILS.where(_MAIL.c.event_id.is_(None), _MAIL.c.id < bindparam("below"))
    .order_by(_MAIL.c.id.desc())
    .limit(PAGE + 1)
)
_MAILS_OF_EVENTS = _MAILS.where(_MAIL.c.event_id.in_(_MANY), _MAIL.c.id > bindparam("above")).order_by(_MAIL.c.id)
_IS_NO_EVENT = _AUDIT.c.action.contains(".")  # events are audited under the name of their transition
_ACTS = (
    select(_AUDIT).where(_IS_NO_EVENT, _AUDIT.c.id < bindparam("below")).order_by(_AUDIT.c.id.desc()).limit(PAGE + 1)
)
_ACTS_ON = _ACTS.where(_AUDIT.c.subject_id == bindparam("subject"))
_ACTS_ON_CUSTOMER = _ACTS.where(
    _AUDIT.c.customer_id == bindparam("customer"),
    or_(_AUDIT.c.subject_id.is_(None), _AUDIT.c.subject_id != bindparam("subject")),
)
_ACTS_ON_CUSTOMER_ALONE = _ACTS_ON_CUSTOMER.where(
    or_(_AUDIT.c.subject_id.is_(None), not_(_AUDIT.c.subject_id.startswith("sub_", autoescape=True)))
)
_DATA = select(_EVENT.c.id, _EVENT.c.data).where(_EVENT.c.id.in_(_MANY))
_BEFORE = (
    select(_EVENT.c.data)
    .where(_EVENT.c.subject_id == bindparam("subject"), _EVENT.c.id < bindparam("below"))
    .order_by(_EVENT.c.id.desc())
    .limit(1)
)
_REASONS = select(_REASON).where(_REASON.c.event_id.in_(_MANY))
_LINKS = select(_LINK).where(_LINK.c.id.in_(_MANY))
_DELIVERIES = (
    select(_SENT, _EVENT.c.type.label("event_type"), _SETTING.c.type, _SETTING.c.destination)
    .join(_SETTING, _SETTING.c.id == _SENT.c.setting_id)
    .join(_EVENT, _EVENT.c.id == _SENT.c.event_id)
    .where(_SENT.c.event_id.in_(_MANY))
    .order_by(_SENT.c.id)
)
_LAST_ANSWERS = select(_LOG.c.notification_id, _LOG.c.response_code, _LOG.c.error, _LOG.c.attempted_at).where(
    _LOG.c.id.in_(select(func.max(_LOG.c.id)).where(_LOG.c.notification_id.in_(_MANY)).group_by(_LOG.c.notification_id))
)


@dataclass(frozen=True)
class Told:
    """One event of an act in plain values; `data` is its entity, where the words need it, `before` as it was."""

    type: str
    transition: str | None
    subject_id: str
    facts: dict[str, Any]
    data: Any = None
    before: Any = None


@dataclass(frozen=True)
class Delivery:
    """What became of one event at one destination; `answer` is that of the last attempt, if there was one.

    Once the attempts are removed, the notification itself has it. `where` is all that support may know of the place.
    """

    sent: Any
    where: str | None
    answer: Any


@dataclass
class Entry:
    """One thing that happened: an act (`events`), a mail by itself (`mail`), or what was audited (`audit`).

    `newest` and `oldest` are the numbers of the ids it is made of.
    """

    newest: str
    oldest: str
    at: datetime
    subscription_id: str | None = None
    actor_kind: str = "system"
    actor_id: str = ""
    actor_name: str = ""
    way: str = ""
    received_at: datetime | None = None
    events: list[Any] = field(default_factory=list)
    mail: Any = None
    audit: Any = None
    link: Any = None
    told: list[Told] = field(default_factory=list)
    reason: str | None = None
    comment: str | None = None
    mails: list[Any] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def waited(self) -> bool:
        """Whether the request had arrived noticeably before it was carried out."""
        return self.received_at is not None and (self.at - self.received_at).total_seconds() >= 1


@dataclass(frozen=True)
class Page:
    """`older` is the cursor of the page after this one, if there is one."""

    entries: list[Entry]
    older: str | None


def of_subscription(subscription: Any, *, before: str | None = None) -> Page:
    """What happened to a subscription, and to its customer beside their other subscriptions."""
    return _page("subscription_id", subscription.id, subscription.customer_id, _ACTS_ON_CUSTOMER_ALONE, before)


def of_customer(customer_id: str, *, before: str | None = None) -> Page:
    """What happened to a customer and to all of their subscriptions."""
    return _page("customer_id", customer_id, customer_id, _ACTS_ON_CUSTOMER, before)


def is_cursor(text: str) -> bool:
    return ids.is_id(f"evt_{text}", "evt")


def who_asked(subscription: Any) -> Any:
    """The event with which the change that is scheduled was asked for, or the end that has come; None if none is known.

    With the name of who did it, the reason and the comment.
    """
    wanted = {
        "cancel": ("cancellation_scheduled",),
        "pause": ("pause_scheduled",),
        "resume": ("resumption_scheduled", "paused"),
    }.get(subscription.scheduled_action or "", ())
    by = subscription.scheduled_by
    if subscription.status == "canceled":
        wanted, by = ("cancellation_scheduled", "subscription_ended"), subscription.canceled_by
    if not wanted or by is None:
        return None
    own = _EVENT.c.subscription_id == subscription.id
    asked = select(_EVENT.c.actor_kind, _EVENT.c.actor_name, _EVENT.c.way, _EVENT.c.occurred_at, _EVENT.c.received_at)
    asked = asked.where(own, _EVENT.c.transition.in_(wanted), _EVENT.c.actor_kind == by)
    return connection().execute(asked.order_by(_EVENT.c.id.desc()).limit(1)).first()


def _page(column: str, id: str, customer_id: str, on_customer: Select[Any], before: str | None) -> Page:
    below = before or _NEWEST
    entries, cut = _acts(_read(_EVENTS.where(_EVENT.c[column] == id), "evt", below))
    floor = entries[-1].oldest if cut else ""
    entries += [_lone_mail(row) for row in _read(_LONE_MAILS.where(_MAIL.c[column] == id), "mail", below)]
    for statement in (_ACTS_ON, on_customer):
        entries += [_audited(row) for row in _read(statement, "aud", below, subject=id, customer=customer_id)]
    entries = _with_letters(entries)
    entries = sorted((each for each in entries if each.newest >= floor), key=lambda each: each.newest, reverse=True)
    shown = _shown(entries)
    _complete(shown, _MAIL.c[column] == id)
    more = cut or len(shown) < len(entries)
    return Page(shown, min(each.oldest for each in shown) if more else None)


def _read(statement: Select[Any], prefix: str, below: str, **more: str) -> Sequence[Any]:
    return connection().execute(statement, {"below": f"{prefix}_{below}", **more}).all()


def _acts(rows: Sequence[Any]) -> tuple[list[Entry], bool]:
    """Events, newest first, by the act that recorded them; and whether there are older ones.

    The oldest act may have been cut: it is left to the next page.
    """
    acts: list[Entry] = []
    for row in rows:
        last = acts[-1] if acts else None
        if last is not None and _is_of(row, last):
            last.events.insert(0, row)
            last.oldest, last.subscription_id = _number(row.id), last.subscription_id or row.subscription_id
        else:
            acts.append(_act(row))
    cut = len(rows) > _MOST_EVENTS
    return (acts[:-1] if cut and len(acts) > 1 else acts), cut


def _act(row: Any) -> Entry:
    return Entry(
        newest=_number(row.id),
        oldest=_number(row.id),
        at=row.occurred_at,
        subscription_id=row.subscription_id,
        received_at=row.received_at,
        events=[row],
        **_who(row),
    )


def _is_of(row: Any, act: Entry) -> bool:
    """Whether an event comes from the same request: only there two have arrived at one instant from one actor."""
    same = ("received_at", "actor_kind", "actor_id", "way")
    about = {row.subscription_id, act.subscription_id} - {None}
    return len(about) < 2 and all(getattr(row, name) == getattr(act, name) for name in same)


def _lone_mail(row: Any) -> Entry:
    number = _number(row.id)
    return Entry(number, number, row.created_at, subscription_id=row.subscription_id, mail=row)


def _audited(row: Any) -> Entry:
    number = _number(row.id)
    return Entry(number, number, row.at, audit=row, **_who(row))


def _with_letters(entries: list[Entry]) -> list[Entry]:
    """A link that was sent, and the mail that took it there, are one."""
    letters = {each.mail.key: each for each in entries if each.mail is not None and each.mail.key}
    joined = set()
    for entry in entries:
        letter = letters.get(LINK_KEY + str(entry.audit.facts.get("portal_session"))) if entry.audit else None
        if letter is not None and entry.audit.action == "portal_link.sent":
            entry.mails.append(letter.mail)
            entry.oldest, entry.newest = min(entry.oldest, letter.oldest), max(entry.newest, letter.newest)
            joined.add(letter.oldest)
    return [each for each in entries if each.mail is None or each.oldest not in joined]


def _shown(entries: list[Entry]) -> list[Entry]:
    """A page of them, and those that lie among the ids of its acts: the next page begins below them all."""
    shown = entries[:PAGE]
    oldest = min((each.oldest for each in shown), default="")
    return shown + [each for each in entries[PAGE:] if each.newest > oldest]


def _complete(entries: list[Entry], own_mails: Any) -> None:
    """Puts to each entry what came of it."""
    acts = {event.id: entry for entry in entries for event in entry.events}
    if acts:
        _tell(entries)
        _add_reasons(acts)
        above = f"mail_{min(map(_number, acts))}"
        for row in connection().execute(_MAILS_OF_EVENTS.where(own_mails), {"ids": list(acts), "above": above}):
            acts[row.event_id].mails.append(row)
        _add_deliveries(acts)
    _add_links([entry for entry in entries if entry.audit is not None])


def _tell(entries: list[Entry]) -> None:
    """What the words need of the events that are told; of an event without words of its own, its entity."""
    told = [(entry, event) for entry in entries for event in _worth_telling(entry.events)]
    wanted = [event.id for _, event in told if event.transition is None]
    data = {row.id: row.data for row in connection().execute(_DATA, {"ids": wanted})} if wanted else {}
    before = _as_they_were([event for _, event in told if event.type == "customer.updated"], data)
    for entry, event in told:
        words = _dated(event.facts or {})
        given = data.get(event.id)
        entry.told.append(Told(event.type, event.transition, event.subject_id, words, given, before.get(event.id)))
        entry.reason = entry.reason or words.get("reason")
        entry.comment = entry.comment or words.get("comment")


def _worth_telling(events: Sequence[Any]) -> list[Any]:
    """Those with a transition and the outcomes of payments; if there is none, the last."""
    found = [each for each in events if each.transition or _is_outcome(each.type)]
    return found or list(events[-1:])


def _is_outcome(type: str) -> bool:
    entity, _, what = type.partition(".")
    return entity == "transaction" and what in _OUTCOMES


def _as_they_were(changes: list[Any], data: dict[str, Any]) -> dict[str, Any]:
    """What a customer was before each of these changes, newest first, as the event before it has them."""
    if not changes:
        return {}
    oldest = changes[-1]
    first = connection().execute(_BEFORE, {"subject": oldest.subject_id, "below": oldest.id}).scalar()
    earlier = [data.get(each.id) for each in changes[1:]] + [first]
    return {each.id: was for each, was in zip(changes, earlier, strict=True)}


def _add_reasons(acts: dict[str, Entry]) -> None:
    for row in connection().execute(_REASONS, {"ids": list(acts)}):
        acts[row.event_id].reason, acts[row.event_id].comment = row.reason, row.comment


def _add_deliveries(acts: dict[str, Entry]) -> None:
    sent = connection().execute(_DELIVERIES, {"ids": list(acts)}).all()
    wanted = [row.id for row in sent]
    answers = {row.notification_id: row for row in connection().execute(_LAST_ANSWERS, {"ids": wanted})} if sent else {}
    for row in sent:
        kept = row if row.response_code is not None else None
        where = notification_settings.where(row.type, row.destination)
        acts[row.event_id].deliveries.append(Delivery(row, where, answers.get(row.id, kept)))


def _add_links(audited: list[Entry]) -> None:
    """The link that an act of staff was about, and its use."""
    about: dict[str, list[Entry]] = defaultdict(list)
    for entry in audited:
        named = (entry.audit.subject_id, *(entry.audit.facts or {}).values())
        for each in {each for each in named if ids.is_id(each, "cpls")}:
            about[each].append(entry)
    for row in connection().execute(_LINKS, {"ids": list(about)}) if about else ():
        for entry in about[row.id]:
            entry.link = row


def _who(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("actor_kind", "actor_id", "actor_name", "way")}


def _number(id: str) -> str:
    return id.rpartition("_")[2]


_FOREIGN = ("price", "product", "items", "custom_data", "billing_details")
"""Parts of a detail whose names are not ours to read."""


def _dated(facts: Any) -> Any:
    """The same facts with instants for the texts that stand for them."""
    if isinstance(facts, dict):
        return {name: each if name in _FOREIGN else _value(name, each) for name, each in facts.items()}
    return [_dated(each) for each in facts] if isinstance(facts, list) else facts


def _value(name: str, value: Any) -> Any:
    if not name.endswith("_at") or not isinstance(value, str):
        return _dated(value)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value
