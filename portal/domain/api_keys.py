"""Keys of apps: what each may do. The database holds a key's SHA-256 only."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, ids
from portal.db import Base, connection, session
from portal.errors import NotFound

CANCEL_IMMEDIATELY = "subscription.cancel_immediately"
_ENTITIES = (
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
    *(f"{entity}.{act}" for entity in _ENTITIES for act in ("read", "write")),
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


def create(name: str, permissions: Iterable[str]) -> str:
    """A new key, shown this once. Raises ValueError for a permission that does not exist."""
    granted = sorted(set(permissions))
    unknown = [each for each in granted if each not in PERMISSIONS]
    if unknown:
        raise ValueError(f"there is no permission {unknown[0]}; there are: {', '.join(PERMISSIONS)}")
    key_id = ids.new("apikey")
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
    return text


def find(text: str) -> KnownKey | None:
    """Whose key this is; None for an unknown or revoked one."""
    row = connection().execute(_VALID, {"hash": _hash(text)}).first()
    return KnownKey(row.id, row.name, frozenset(row.permissions)) if row else None


def all_keys() -> Sequence[ApiKey]:
    return session().scalars(select(ApiKey).order_by(ApiKey.id)).all()


def revoke(key_id: str) -> None:
    """Refused from the next request on. Raises NotFound."""
    key = session().get(ApiKey, key_id)
    if key is None:
        raise NotFound("API key", key_id)
    key.revoked_at = key.revoked_at or clock.now()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
