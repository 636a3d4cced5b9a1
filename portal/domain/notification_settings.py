"""Where the seller wants to be told of events: an endpoint of theirs (`url`) or an address (`email`)."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import JSON, func, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids, sealing
from portal.db import Base, session
from portal.domain import audit, counters, mails, staff
from portal.domain.actors import Actor
from portal.errors import NotFound, NotificationRefusal

DEFAULT_OVERLAP, LONGEST_OVERLAP = timedelta(days=1), timedelta(days=7)
MOST_ACTIVE = 100
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class NotificationSetting(Base):
    """`secret` and `previous_secret` are sealed; the one before is signed with too until `previous_until`."""

    __tablename__ = "notification_settings"

    id: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    type: Mapped[str]
    destination: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    off_because: Mapped[str | None]
    """Why the portal switched it off by itself, if it did."""
    api_version: Mapped[int] = mapped_column(default=1)
    include_sensitive_fields: Mapped[bool] = mapped_column(default=False)
    traffic_source: Mapped[str] = mapped_column(default="platform")
    subscribed_events: Mapped[Any] = mapped_column(JSON)
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    failures_in_a_row: Mapped[int] = mapped_column(default=0)
    rests_until: Mapped[datetime | None]
    """An endpoint that does not answer is left alone for a while, so that it slows no other."""
    lease_until: Mapped[datetime | None]
    """Until when a worker has it to itself; in the past, when one last had it: who waited longest comes first."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class TooManyActive(NotificationRefusal):
    code = "notification_maximum_active_settings_reached"


def refuse_another() -> None:
    """Every event is sent to every destination, so their number is bounded; of many at once each counts the others.

    Raises TooManyActive.
    """
    counters.hold("active_destinations")
    active = select(func.count()).where(NotificationSetting.active.is_(True))
    if (session().scalar(active) or 0) >= MOST_ACTIVE:
        raise TooManyActive(f"{MOST_ACTIVE} destinations are active. Nothing was changed. Switch one off or delete it.")


def create(
    *,
    type: str,
    description: str,
    destination: str,
    subscribed_events: Sequence[str],
    by: Actor,
    id: str | None = None,
    **more: Any,
) -> NotificationSetting:
    """A new destination, with a secret of its own; one made twice with the same `id` is refused (Changed)."""
    now, id = clock.now(), id or ids.new("ntfset")
    setting = NotificationSetting(
        id=id,
        type=type,
        description=description,
        destination=destination,
        subscribed_events=list(dict.fromkeys(subscribed_events)),
        secret=_seal(_new_secret(id)),
        created_at=now,
        updated_at=now,
        **more,
    )
    session().add(setting)
    session().flush()
    audit.record("destination.created", by=by, subject=id, **_told(setting))
    return setting


def get(id: str, *, lock: bool = False) -> NotificationSetting:
    """A destination that is not deleted; locked if it is to be changed. Raises NotFound."""
    wanted = select(NotificationSetting).where(NotificationSetting.id == id, NotificationSetting.deleted_at.is_(None))
    if lock:
        wanted = wanted.with_for_update(key_share=True)
    found = session().scalars(wanted).first()
    if found is None:
        raise NotFound("notification setting", id)
    return found


def update(setting: NotificationSetting, *, by: Actor, **changes: Any) -> None:
    """Changes what is given. A new destination, or switching it on, forgets how the endpoint did before."""
    if "subscribed_events" in changes:
        changes["subscribed_events"] = list(dict.fromkeys(changes["subscribed_events"]))
    moved = changes.get("destination", setting.destination) != setting.destination
    before = _told(setting)
    for name, value in changes.items():
        setattr(setting, name, value)
    if moved or changes.get("active"):
        setting.off_because = setting.failing_since = setting.rests_until = None
        setting.failures_in_a_row = 0
    setting.updated_at = clock.now()
    changed: dict[str, Any] = {name: [before[name], now] for name, now in _told(setting).items() if before[name] != now}
    if changed or moved:
        audit.record("destination.changed", by=by, subject=setting.id, moved=moved, **changed)


def delete(setting: NotificationSetting, *, by: Actor) -> None:
    """Takes a destination away. Its row stays, so that what was sent can still be looked up."""
    setting.active, setting.deleted_at, setting.updated_at = False, clock.now(), clock.now()
    session().flush()
    audit.record("destination.deleted", by=by, subject=setting.id, **_told(setting))


def switch_off(setting: NotificationSetting, because: str) -> None:
    """The portal gives an endpoint up, and tells the seller's people."""
    now = clock.now()
    setting.active, setting.off_because, setting.updated_at = False, because, now
    mails.warn_staff(
        "endpoint_off",
        staff.addresses(),
        key=f"{setting.id}.off.{now.isoformat()}",
        setting=setting.id,
        description=setting.description,
        because=because,
        since_at=setting.failing_since,
    )


def rotate(setting: NotificationSetting, overlap: timedelta, *, by: Actor) -> None:
    """A new secret; what is sent is signed with the old one too, as long as the overlap lasts."""
    now = clock.now()
    setting.previous_secret, setting.previous_until = (setting.secret, now + overlap) if overlap else (None, None)
    setting.secret, setting.updated_at = _seal(_new_secret(setting.id)), now
    audit.record("destination.secret_rotated", by=by, subject=setting.id, overlap_seconds=int(overlap.total_seconds()))


def reveal(setting: NotificationSetting, *, by: Actor) -> str:
    """The secret, for a person who asks to see it. Raises sealing.Unreadable."""
    secret = secret_of(setting)
    audit.record("destination.secret_shown", by=by, subject=setting.id)
    return secret


def mark_of_secret(setting: NotificationSetting) -> str:
    """Changes with each rotation and tells nothing of the secret: a form that was sent twice rotates once."""
    return hashlib.sha256(setting.secret.encode()).hexdigest()[:16]


def secret_of(setting: Any) -> str:
    """What the endpoint verifies signatures with. Raises sealing.Unreadable."""
    return _open(setting.secret)


def signing_secrets(setting: Any) -> tuple[str, ...]:
    """What signs now, the newest last. Raises sealing.Unreadable."""
    previous = setting.previous_secret if setting.previous_until and setting.previous_until > clock.now() else None
    return (*((_open(previous),) if previous else ()), _open(setting.secret))


def seal_anew() -> None:
    """Seals with the newest key what an older one sealed, and forgets secrets whose time is over."""
    now, table = clock.now(), NotificationSetting
    wanted = select(table).where(or_(table.deleted_at.is_(None), table.previous_secret.is_not(None)))
    for setting in session().scalars(wanted.with_for_update(key_share=True, skip_locked=True)):
        if setting.previous_until is not None and setting.previous_until <= now:
            setting.previous_secret = setting.previous_until = None
        setting.secret = _anew(setting.secret)
        setting.previous_secret = _anew(setting.previous_secret) if setting.previous_secret else None


def _anew(sealed: str) -> str:
    if sealing.is_by_newest(sealed.encode()):
        return sealed
    try:
        return _seal(_open(sealed))
    except sealing.Unreadable:
        return sealed


def where(type: str, destination: str) -> str | None:
    """What may be said of a destination: of a URL its host, since some endpoints have a secret in their path."""
    return destination if type == "email" else urlsplit(destination).hostname


def _told(setting: NotificationSetting) -> dict[str, Any]:
    return {
        "description": setting.description,
        "type": setting.type,
        "where": where(setting.type, setting.destination),
        "active": setting.active,
        "subscribed_events": list(setting.subscribed_events),
    }


def _new_secret(id: str) -> str:
    return f"pdl_{id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))


def _seal(secret: str) -> str:
    return sealing.seal(secret.encode()).decode()


def _open(sealed: str) -> str:
    return sealing.unseal(sealed.encode()).decode()
