"""What apps asked of the API and how it was answered, for staff who are given a request id.

Lines are collected in memory and written every half second by a thread of the web process, so that no request waits
for them; a process that is killed loses what it has not written yet. Kept for 30 days.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from multiprocessing.util import Finalize
from typing import Any

from sqlalchemy import Index, delete, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db
from portal.db import Base, connection, session, transaction

log = logging.getLogger("portal.requests")
KEPT = timedelta(days=30)
_EVERY_SECONDS = 0.5
_MOST_WAITING = 20_000
_waiting: deque[dict[str, Any]] = deque(maxlen=_MOST_WAITING)
_refused_at: dict[str, datetime] = {}
_REFUSED_EVERY = timedelta(seconds=1)
_stopped = threading.Event()
_REFUSED = text("status >= 400")


class ApiRequest(Base):
    """One request; never its body, its query or its key."""

    __tablename__ = "api_requests"
    __table_args__ = (
        Index(None, "at"),
        Index(None, "key_id", "at"),
        Index("ix_api_requests_refused", "at", postgresql_where=_REFUSED, sqlite_where=_REFUSED),
        Index("ix_api_requests_refused_of", "key_id", "at", postgresql_where=_REFUSED, sqlite_where=_REFUSED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    method: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    milliseconds: Mapped[int]
    key_id: Mapped[str | None]
    key_name: Mapped[str | None]
    client: Mapped[str | None]
    agent: Mapped[str | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    replayed: Mapped[bool] = mapped_column(default=False)


def note(**line: Any) -> None:
    """Collects one line; `write` puts it into the database.

    An app that asks too often gets one line a second of that, so that it can't fill the database.
    """
    if line["status"] == 429:
        before = _refused_at.get(line["key_id"])
        if before is not None and timedelta() <= line["at"] - before < _REFUSED_EVERY:
            return
        _refused_at[line["key_id"]] = line["at"]
    _waiting.append(line)


def write() -> int:
    """Writes what was collected; answers how many lines."""
    lines = [_waiting.popleft() for _ in range(len(_waiting))]
    if lines:
        try:
            with transaction():
                connection().execute(db.insert_unless_there(db.table(ApiRequest)), lines)
        except BaseException:
            _waiting.extendleft(reversed(lines))
            raise
    return len(lines)


def keep_writing() -> None:
    """Starts the thread that writes, in a process that serves."""
    threading.Thread(target=_write_on, name="request log", daemon=True).start()
    Finalize(None, _finish, exitpriority=0)  # atexit is not heard in a process that multiprocessing has started


def find(request_id: str) -> ApiRequest | None:
    return session().get(ApiRequest, request_id)


def latest(limit: int, *, key_id: str | None = None, only_errors: bool = False) -> Sequence[ApiRequest]:
    """The newest lines first."""
    wanted = select(ApiRequest).order_by(ApiRequest.at.desc()).limit(limit)
    if key_id is not None:
        wanted = wanted.where(ApiRequest.key_id == key_id)
    if only_errors:
        wanted = wanted.where(_REFUSED)
    return session().scalars(wanted).all()


def forget_old() -> None:
    session().execute(delete(ApiRequest).where(ApiRequest.at < clock.now() - KEPT))


def _finish() -> None:
    """What was collected last, when the process ends in good order."""
    _stopped.set()
    with suppress(DBAPIError):
        write()


def _write_on() -> None:
    trouble = False
    while not _stopped.wait(_EVERY_SECONDS):
        try:
            write()
            trouble = False
        except DBAPIError:
            if not trouble:
                log.warning("the request log can't be written; its lines wait", exc_info=True)
            trouble = True
