"""One event on its way to one destination: attempts, what was answered, when it is tried again, replay.

not_attempted → delivered
not_attempted → needs_retry → delivered | failed
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, case, delete, func, insert, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, session, table
from portal.domain import audit, mails
from portal.domain.actors import Actor
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.errors import NotFound, NotificationRefusal

_WAITING = text("run_at IS NOT NULL")
_FAILED = text("status = 'failed'")
_FAILED_ROW = text("notifications.status = 'failed'")
_OPEN = ("not_attempted", "needs_retry")


class Notification(Base):
    """`run_at` is when it is due; none once it is delivered or given up, and none for a mail."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index(
            "ix_notifications_due",
            "setting_id",
            "run_at",
            "event_id",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(None, "setting_id", "id"),
        Index("ix_notifications_failed", "setting_id", "id", postgresql_where=_FAILED, sqlite_where=_FAILED),
        Index(None, "event_id"),
        Index(None, "status", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    setting_id: Mapped[str] = mapped_column(ForeignKey("notification_settings.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"))
    status: Mapped[str] = mapped_column(default="not_attempted")
    origin: Mapped[str] = mapped_column(default="event")
    times_attempted: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    replayed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    response_code: Mapped[int | None]
    error: Mapped[str | None]
    """Both as the last attempt had them, once the attempts themselves are removed."""


class NotificationLog(Base):
    """One attempt. `response_code` is 0 where nobody answered; `error` then says why."""

    __tablename__ = "notification_logs"
    __table_args__ = (Index(None, "notification_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    notification_id: Mapped[str] = mapped_column(ForeignKey("notifications.id", ondelete="CASCADE"))
    response_code: Mapped[int]
    response_content_type: Mapped[str | None]
    response_headers: Mapped[str | None]
    response_body: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
    milliseconds: Mapped[int]
    attempted_at: Mapped[datetime]


WHOLE_FOR = timedelta(days=90)
"""How long attempts are kept, apps are told of a notification, and it can be replayed. What became of it stays."""
MOST_COUNTED = 1000
MOST_REPLAYED = 1000


@dataclass(frozen=True)
class Standing:
    """How a destination is doing; numbers are counted up to MOST_COUNTED."""

    waiting: int
    failed: int
    last_delivered_at: datetime | None


class CannotReplay(NotificationRefusal):
    code = "notification_cannot_replay"


class NotOfAnEvent(NotificationRefusal):
    code = "notification_replay_invalid_origin_type"


def get(id: str) -> tuple[Notification, Event]:
    """A notification with its event. Raises NotFound."""
    wanted = select(Notification, Event).join(Event, Event.id == Notification.event_id).where(Notification.id == id)
    found = session().execute(wanted).first()
    if found is None:
        raise NotFound("notification", id)
    return found[0], found[1]


def recent(id: str) -> tuple[Notification, Event]:
    """The same, as apps are told of it: one of the last 90 days. Raises NotFound."""
    found = get(id)
    if is_old(found[0]):
        raise NotFound("notification", id)
    return found


def is_old(notification: Notification) -> bool:
    return notification.created_at < clock.now() - WHOLE_FOR


def first_recent() -> str:
    """The id before all that apps are told of."""
    return ids.earliest("ntf", clock.now() - WHOLE_FOR)


def replay(id: str, *, by: Actor) -> Notification:
    """Sends the same event once more, as a notification of its own. Raises NotFound, CannotReplay, NotOfAnEvent."""
    known, event = get(id)
    setting = session().get(NotificationSetting, known.setting_id, with_for_update={"key_share": True})
    session().refresh(known, with_for_update=True)
    if known.origin != "event":
        raise NotOfAnEvent("A replay can't be replayed. Nothing was sent. Replay the notification it was made from.")
    if is_old(known):
        raise CannotReplay(f"It is older than {WHOLE_FOR.days} days: only what became of it is kept. Nothing was sent.")
    if known.status not in ("delivered", "failed"):
        raise CannotReplay(f"It is {known.status}, so it is still on its way. Nothing was sent. Wait for its outcome.")
    if setting is None or not setting.active:
        raise CannotReplay("Its destination is switched off or deleted. Nothing was sent. Set active to true first.")
    known.replayed_at = clock.now()
    again = Notification(**row(setting, event.id, origin="replay"))
    session().add(again)
    if setting.type == "email":
        mails.send_events([(setting.destination, again.id, event)])
    audit.record(
        "notification.replayed", by=by, subject=known.id, destination=known.setting_id, event=event.id, again=again.id
    )
    return again


def replay_failed(setting: NotificationSetting, since: datetime, *, by: Actor) -> int:
    """Sends what was made since then, has failed and was not sent again yet, the oldest first; answers how many.

    Nothing older than WHOLE_FOR, and at most MOST_REPLAYED at once. Raises CannotReplay if the destination is off.
    """
    if not setting.active:
        raise CannotReplay("The destination is switched off. Nothing was sent. Switch it on first.")
    known = session().execute(_failed_since(setting.id, since).with_for_update(of=Notification)).all()
    again = [row(setting, event.id, origin="replay") for _, event in known]
    if not again:
        return 0
    for each, _ in known:
        each.replayed_at = clock.now()
    connection().execute(insert(table(Notification)), again)
    if setting.type == "email":
        mails.send_events(
            [(setting.destination, each["id"], event) for each, (_, event) in zip(again, known, strict=True)]
        )
    audit.record("destination.replayed", by=by, subject=setting.id, since=since.isoformat(), count=len(again))
    return len(again)


def _failed_since(setting_id: str, since: datetime) -> Any:
    return (
        select(Notification, Event)
        .join(Event, Event.id == Notification.event_id)
        .where(
            Notification.setting_id == setting_id,
            _FAILED_ROW,
            Notification.id >= ids.earliest("ntf", max(since, clock.now() - WHOLE_FOR)),
            Notification.origin == "event",
            Notification.replayed_at.is_(None),
        )
        .order_by(Notification.id)
        .limit(MOST_REPLAYED)
        .execution_options(populate_existing=True)
    )


def to_destination(setting: NotificationSetting, status: str | None = None, *, after: str | None = None) -> Any:
    """The statement for its notifications, the newest first, each with its event.

    `status` is waiting, needs_retry, delivered or failed, None all; `after` the last id of the page before.
    """
    wanted = select(Notification, Event).join(Event, Event.id == Notification.event_id)
    wanted = wanted.where(Notification.setting_id == setting.id)
    if status == "failed":
        wanted = wanted.where(_FAILED_ROW)
    elif status is not None:
        wanted = wanted.where(Notification.status == ("not_attempted" if status == "waiting" else status))
        if status != "delivered" and setting.type == "url":
            wanted = wanted.where(_WAITING)
    if after is not None:
        wanted = wanted.where(Notification.id < after)
    return wanted.order_by(Notification.id.desc())


def of_event(event_id: str) -> Sequence[tuple[Notification, NotificationSetting]]:
    """To which destinations an event went, the newest first."""
    wanted = (
        select(Notification, NotificationSetting)
        .join(NotificationSetting, NotificationSetting.id == Notification.setting_id)
        .where(Notification.event_id == event_id)
        .order_by(Notification.id.desc())
        .limit(200)
    )
    return [(note, setting) for note, setting in session().execute(wanted)]


def attempts_of(notification_id: str) -> Sequence[NotificationLog]:
    """What each attempt was answered, the newest first; at most a hundred."""
    wanted = select(NotificationLog).where(NotificationLog.notification_id == notification_id)
    return session().scalars(wanted.order_by(NotificationLog.id.desc()).limit(100)).all()


def standing(setting_ids: Iterable[str]) -> dict[str, Standing]:
    """How these destinations are doing, and have done for 90 days, with one statement."""
    it, recently = NotificationSetting, Notification.id >= first_recent()
    open_mail = Notification.status.in_(_OPEN)
    last = (
        select(Notification.delivered_at)
        .where(Notification.setting_id == it.id, Notification.delivered_at.is_not(None), recently)
        .order_by(Notification.id.desc())
        .limit(1)
        .correlate(it)
        .scalar_subquery()
    )
    waiting = case((it.type == "url", _few(_WAITING)), else_=_few(open_mail, recently))
    wanted = select(it.id, waiting, _few(_FAILED_ROW, recently), last).where(it.id.in_(list(setting_ids)))
    return {id: Standing(some, failed, at) for id, some, failed, at in session().execute(wanted)}


def _few(*conditions: Any) -> ColumnElement[int]:
    """How many of a destination's notifications are so; the row's own id is that of the statement around it."""
    some = select(Notification.id).where(Notification.setting_id == NotificationSetting.id, *conditions)
    few = some.limit(MOST_COUNTED).correlate(NotificationSetting).subquery()
    return select(func.count()).select_from(few).correlate(NotificationSetting).scalar_subquery()


def row(setting: NotificationSetting, event_id: str, *, origin: str = "event") -> dict[str, Any]:
    """A notification that is due at once."""
    now = clock.now()
    return {
        "id": ids.new("ntf"),
        "setting_id": setting.id,
        "event_id": event_id,
        "status": "not_attempted",
        "origin": origin,
        "times_attempted": 0,
        "run_at": now if setting.type == "url" else None,
        "created_at": now,
    }


def give_up_on(setting_ids: Iterable[str]) -> None:
    """What waits for these destinations is failed, and no mail of it is begun any more; it can be replayed."""
    ids = list(setting_ids)
    if not ids:
        return
    mailed = select(NotificationSetting.id).where(NotificationSetting.id.in_(ids), NotificationSetting.type == "email")
    given_up = update(Notification).values(status="failed", run_at=None)
    _change(given_up, Notification.setting_id.in_(ids), Notification.run_at.is_not(None))
    _change(
        given_up,
        Notification.setting_id.in_(mailed),
        Notification.status.in_(_OPEN),
        Notification.id >= first_recent(),
    )


def give_up(id: str) -> None:
    """One that waits is failed; it can be replayed."""
    _change(
        update(Notification).values(status="failed", run_at=None),
        Notification.id == id,
        Notification.status.in_(_OPEN),
    )


def address_of(id: str) -> str | None:
    """Where a notification that waits is mailed to now. None: it is given up, or its destination is off or deleted."""
    it = NotificationSetting
    wanted = select(it.destination).join(Notification, Notification.setting_id == it.id)
    return session().scalar(wanted.where(Notification.id == id, Notification.status.in_(_OPEN), it.active.is_(True)))


def mail_settled(id: str, status: str | None, *, attempts: int) -> None:
    """What became of a mail is what became of its notification; `status` None: it is tried again.

    What was taken over is delivered, even if its destination was switched off meanwhile.
    """
    now = clock.now()
    outcome = {"sent": "delivered", "failed": "failed"}.get(status or "", "needs_retry")
    _change(
        update(Notification).values(
            status=outcome,
            times_attempted=attempts,
            last_attempt_at=now,
            delivered_at=now if outcome == "delivered" else None,
        ),
        Notification.id == id,
        Notification.status.in_((*_OPEN, "failed") if outcome == "delivered" else _OPEN),
    )


def slim_older_than(instant: datetime, most: int) -> None:
    """Removes old attempts; each notification keeps its outcome, and what the last attempt was answered.

    What still waits for a destination that is off has failed by then.
    """
    idle = select(NotificationSetting.id).where(NotificationSetting.active.is_(False))
    waiting = Notification.setting_id.in_(idle), Notification.run_at.is_not(None)
    _change(
        update(Notification).values(status="failed", run_at=None),
        *waiting,
        Notification.id < ids.earliest("ntf", instant),
    )
    log = NotificationLog
    old = select(log.id, log.notification_id).where(log.id < ids.earliest("ntflog", instant))
    some = old.order_by(log.id).limit(most).subquery()
    _change(update(Notification).values(_last_said()), Notification.id.in_(select(some.c.notification_id)))
    _change(delete(log), log.id.in_(select(some.c.id)))


def _last_said() -> dict[str, Any]:
    """What the last attempt of the notification at hand was answered, by column."""
    log = NotificationLog
    last = select(func.max(log.id)).where(log.notification_id == Notification.id).correlate(Notification)
    its = log.id == last.scalar_subquery()
    return {name: select(getattr(log, name)).where(its).scalar_subquery() for name in ("response_code", "error")}


def forget_older_than(instant: datetime, most: int) -> None:
    """Deletes what became of old notifications, unless they may still be delivered."""
    over = Notification.id < ids.earliest("ntf", instant), Notification.run_at.is_(None)
    old = select(Notification.id).where(*over).order_by(Notification.id).limit(most)
    _change(delete(Notification), Notification.id.in_(old))


def _change(statement: Any, *conditions: Any) -> None:
    session().execute(statement.where(*conditions).execution_options(synchronize_session=False))
