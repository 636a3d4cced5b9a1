"""`Idempotency-Key`: the same key of the same app gets the same answer for 24 hours, and acts once.

    first        the key is written down, then the request acts; its answer is kept in the transaction that acts
    meanwhile    409, with Retry-After
    afterwards   the same answer, byte for byte, with Idempotency-Replayed: true
    other body   422

A process killed before its transaction ended has changed nothing, so the next request with the key may act after
LEASE. An operation that asks the gateway changes something before it is answered: such a key is never taken over.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, LargeBinary, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, sealing
from portal.db import Base, session, transaction
from portal.errors import Changed, KeyInUse, KeyUsedOtherwise, Refusal

KEPT = timedelta(hours=24)
LEASE = timedelta(minutes=1)
"""Longer than any request may take; after it the request that held the key is dead."""

_FORM = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_AGAIN = (401, 403, 409, 429)
"""Answers that say nothing of the request itself: the same key may try again."""


class IdempotencyKey(Base):
    """`id` is the SHA-256 of app and key, `fingerprint` of the request; `body` is sealed, for it may hold links.

    `status` is none until it is answered.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    lease_until: Mapped[datetime]
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Claim:
    """A key that is ours to act with, until `keep` or `release`."""

    def __init__(self, id: str, lease_until: datetime) -> None:
        self.id, self.lease_until = id, lease_until

    def keep(self, answer: Answer) -> None:
        """Keeps the answer, in the transaction that acts. Raises Changed if the key was taken over meanwhile."""
        if answer.status in _AGAIN or answer.status >= 500:
            self.release()
            return
        with transaction():
            kept = session().execute(
                update(IdempotencyKey)
                .where(*self._ours())
                .values(status=answer.status, body=sealing.seal(answer.body))
                .execution_options(synchronize_session=False)
            )
            if kept.rowcount != 1:  # type: ignore[attr-defined]
                raise Changed("The request took too long and was overtaken. Nothing was recorded. Send it again.")

    def release(self) -> None:
        """Lets the key be used again: nothing was done with it."""
        with transaction():
            session().execute(delete(IdempotencyKey).where(*self._ours()))

    def _ours(self) -> tuple[Any, ...]:
        row = IdempotencyKey
        return row.id == self.id, row.status.is_(None), row.lease_until == self.lease_until


def claim(app_id: str, key: str, request: bytes, *, may_be_repeated: bool) -> Claim | Answer:
    """Writes down that a request acts with a key, or answers as it was answered before.

    `request` is all that must be alike. Raises Refusal (a key that can't be one), KeyUsedOtherwise, KeyInUse.
    """
    if not _FORM.fullmatch(key):
        raise Refusal("Idempotency-Key takes 1 to 255 visible ASCII characters. Nothing was changed.")
    id, fingerprint = _hash(f"{app_id}:{key}".encode()), _hash(request)
    now = clock.now()
    lease_until = now + (LEASE if may_be_repeated else KEPT)
    row = {"fingerprint": fingerprint, "lease_until": lease_until, "created_at": now, "expires_at": now + KEPT}
    with transaction():
        new = db.insert_unless_there(IdempotencyKey).values(id=id, **row).returning(IdempotencyKey.id)
        if session().execute(new).first() is not None:
            return Claim(id, lease_until)
        known = session().scalars(select(IdempotencyKey).where(IdempotencyKey.id == id).with_for_update()).first()
        if known is None:
            raise KeyInUse(retry_after=1)  # given back this very moment
        if known.expires_at <= now:
            known.status = known.body = None
        elif known.fingerprint != fingerprint:
            raise KeyUsedOtherwise
        elif known.status is not None:
            return Answer(known.status, sealing.unseal(known.body or b""))
        elif known.lease_until > now:
            raise KeyInUse(retry_after=1)
        for name, value in row.items():
            setattr(known, name, value)
        return Claim(id, lease_until)


def forget_old() -> None:
    session().execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < clock.now()))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
