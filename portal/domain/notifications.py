"""One event on its way to one destination: attempts, what was answered, when it is tried again, replay.

not_attempted → delivered
not_attempted → needs_retry → delivered | failed
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, delete, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, session
from portal.domain import mails
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.errors import NotFound, NotificationRefusal

_WAITING = text("run_at IS NOT NULL")


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
        Index(None, "event_id"),
        Index(None, "status", "id"),
        Index(None, "created_at"),
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


def replay(id: str) -> Notification:
    """Sends the same event once more, as a notification of its own. Raises NotFound, CannotReplay, NotOfAnEvent."""
    known, event = get(id)
    setting = session().get(NotificationSetting, known.setting_id, with_for_update={"key_share": True})
    session().refresh(known, with_for_update=True)
    if known.origin != "event":
        raise NotOfAnEvent("A replay can't be replayed. Nothing was sent. Replay the notification it was made from.")
    if known.status not in ("delivered", "failed"):
        raise CannotReplay(f"It is {known.status}, so it is still on its way. Nothing was sent. Wait for its outcome.")
    if setting is None or not setting.active:
        raise CannotReplay("Its destination is switched off or deleted. Nothing was sent. Set active to true first.")
    known.replayed_at = clock.now()
    again = Notification(**row(setting, event.id, origin="replay"))
    session().add(again)
    if setting.type == "email":
        mails.send_events([(setting.destination, again.id, event)])
    return again


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
    """What waits for these destinations is failed; it can be replayed."""
    ids = list(setting_ids)
    if not ids:
        return
    waiting = Notification.setting_id.in_(ids), Notification.run_at.is_not(None)
    session().execute(
        update(Notification)
        .where(*waiting)
        .values(status="failed", run_at=None)
        .execution_options(synchronize_session=False)
    )


def mail_settled(id: str, status: str | None, *, attempts: int) -> None:
    """What became of a mail is what became of its notification; `status` None: it is tried again."""
    now = clock.now()
    outcome = {"sent": "delivered", "failed": "failed"}.get(status or "", "needs_retry")
    session().execute(
        update(Notification)
        .where(Notification.id == id, Notification.status.in_(("not_attempted", "needs_retry")))
        .values(
            status=outcome,
            times_attempted=attempts,
            last_attempt_at=now,
            delivered_at=now if outcome == "delivered" else None,
        )
        .execution_options(synchronize_session=False)
    )


def forget_older_than(instant: datetime, most: int) -> None:
    """Deletes old notifications with their logs, unless they may still be delivered."""
    idle = select(NotificationSetting.id).where(NotificationSetting.active.is_(False))
    over = or_(Notification.run_at.is_(None), Notification.setting_id.in_(idle))
    old = select(Notification.id).where(Notification.created_at < instant, over).limit(most)
    session().execute(delete(Notification).where(Notification.id.in_(old)).execution_options(synchronize_session=False))
