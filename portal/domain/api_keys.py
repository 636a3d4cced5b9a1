"""Keys of apps: what each may do. The database holds a key's SHA-256 only."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, bindparam, func, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, session
from portal.domain import audit
from portal.domain.actors import Actor
from portal.errors import NotFound
from portal.request_log import ApiRequest

CANCEL_IMMEDIATELY = "subscription.cancel_immediately"
ENTITIES = (
    "product",
    "price",
    "customer",
    "address",
    "business",
    "subscription",
    "transaction",
    "notification",
    "notification_setting",
    "payment_method",
)
PERMISSIONS = (
    *(f"{entity}.{act}" for entity in ENTITIES for act in ("read", "write")),
    "customer_portal_session.write",
    CANCEL_IMMEDIATELY,
)
ALL_BUT_NAMED = tuple(each for each in PERMISSIONS if each != CANCEL_IMMEDIATELY)
"""What `--all` grants: ending a subscription at once must always be named."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    permissions: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


_KEY = ApiKey.__table__
_VALID = select(_KEY.c.id, _KEY.c.name, _KEY.c.permissions).where(
    _KEY.c.hash == bindparam("hash"), _KEY.c.revoked_at.is_(None)
)


@dataclass(frozen=True)
class KnownKey:
    id: str
    name: str
    permissions: frozenset[str]


def create(name: str, permissions: Iterable[str], *, by: Actor, id: str | None = None) -> str:
    """A new key, shown this once. Raises ValueError for a permission that does not exist.

    A caller who names the `id` can't make two keys of one form: the database refuses the second (Changed).
    """
    granted = sorted(set(permissions))
    unknown = [each for each in granted if each not in PERMISSIONS]
    if unknown:
        raise ValueError(f"there is no permission {unknown[0]}; there are: {', '.join(PERMISSIONS)}")
    key_id = id or ids.new("apikey")
    text = f"pdl_live_{key_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
    session().add(
        ApiKey(
            id=key_id,
            name=name,
            hash=_hash(text),
            permissions=granted,
            created_at=clock.now(),
            revoked_at=None,
        )
    )
    audit.record("api_key.created", by=by, subject=key_id, name=name, permissions=granted)
    return text


def find(text: str) -> KnownKey | None:
    """Whose key this is; None for an unknown or revoked one."""
    row = connection().execute(_VALID, {"hash": _hash(text)}).first()
    return KnownKey(row.id, row.name, frozenset(row.permissions)) if row else None


def all_keys() -> Sequence[ApiKey]:
    return session().scalars(select(ApiKey).order_by(ApiKey.id)).all()


def listed(after: str | None = None, limit: int = 50) -> list[tuple[ApiKey, datetime | None]]:
    """Keys, the newest first, each with its last use of the days that the request log goes back."""
    used = select(func.max(ApiRequest.at)).where(ApiRequest.key_id == ApiKey.id).correlate(ApiKey).scalar_subquery()
    wanted = select(ApiKey, used).order_by(ApiKey.id.desc()).limit(limit)
    if after is not None:
        wanted = wanted.where(ApiKey.id < after)
    return [(key, at) for key, at in session().execute(wanted)]


def get(key_id: str, *, lock: bool = False) -> ApiKey:
    """One key, revoked or not. Raises NotFound."""
    key = session().get(ApiKey, key_id, with_for_update=lock or None, populate_existing=lock)
    if key is None:
        raise NotFound("API key", key_id)
    return key


def revoke(key_id: str, *, by: Actor) -> None:
    """Refused from the next request on. Raises NotFound."""
    key = get(key_id, lock=True)
    if key.revoked_at is not None:
        return
    key.revoked_at = clock.now()
    audit.record("api_key.revoked", by=by, subject=key.id, name=key.name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
