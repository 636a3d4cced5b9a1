"""The database: one engine that reads, one that writes, and the only place that commits.

Outside `transaction()` statements commit by themselves, which suits reads: PostgreSQL is spared BEGIN and
ROLLBACK, SQLite holds no lock. Inside, everything is one transaction; on SQLite it takes the write lock at once
(BEGIN IMMEDIATE), so that a read is never upgraded into a deadlock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import Connection, DateTime, Engine, MetaData, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from portal import clock

LOCK_TIMEOUT_SECONDS = 8
"""How long a statement waits for another's lock before the request fails with nothing recorded."""

_SHORT_REST_SECONDS = 1.0
_engines: dict[str, Engine] = {}
_reading: ContextVar[Connection | None] = ContextVar("reading", default=None)
_session: ContextVar[Session | None] = ContextVar("session", default=None)
_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


class Instant(TypeDecorator[datetime]):
    """An instant: aware UTC in Python, timestamptz on PostgreSQL, sortable UTC text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant needs its time zone")
        return value.astimezone(UTC) if value is not None else None

    def result_processor(self, dialect: Any, _coltype: Any) -> Any:
        """Straight from the driver's value: SQLite gives UTC text, PostgreSQL an aware instant."""
        parse = datetime.fromisoformat
        if dialect.name == "sqlite":
            return lambda value: None if value is None else parse(value + "+00:00")
        return lambda value: None if value is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Instant}


def connect(url: str) -> None:
    """Points this process at a database; an earlier one is let go."""
    disconnect()
    settings: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,
    }
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
        settings["connect_args"] = {"timeout": LOCK_TIMEOUT_SECONDS}
        _engines["read"] = create_engine(url, **settings)
        _engines["write"] = create_engine(url, **settings)
        for engine in _engines.values():
            event.listen(engine, "connect", _prepare_sqlite)
        event.listen(_engines["write"], "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        settings["connect_args"] = {"options": f"-c timezone=UTC -c lock_timeout={LOCK_TIMEOUT_SECONDS}s"}
        _engines["read"] = create_engine(url, isolation_level="AUTOCOMMIT", **settings)
        _engines["write"] = create_engine(url, **settings)
        for engine in _engines.values():
            event.listen(engine, "checkin", _note_rest)
            event.listen(engine, "checkout", _wake)


def disconnect() -> None:
    """Closes every connection of this process."""
    close()
    for engine in _engines.values():
        engine.dispose()
    _engines.clear()


def engine() -> Engine:
    """The engine that writes; for migrations and for tests that look at the database itself."""
    return _engines["write"]


def is_connected() -> bool:
    return bool(_engines)


def is_postgresql() -> bool:
    return _engines["write"].dialect.name == "postgresql"


def session() -> Session:
    """The session in force: inside `transaction()` the transaction's, else one that only reads."""
    current = _session.get()
    if current is None:
        current = Session(connection(), autoflush=False, expire_on_commit=False)
        _session.set(current)
    return current


def connection() -> Connection:
    """The connection in force, for prepared statements: these cost a third of what the session makes of them."""
    if _in_transaction.get():
        return session().connection()
    current = _reading.get()
    if current is None:
        current = _engines["read"].connect()
        _reading.set(current)
    return current


def close() -> None:
    """Ends the reading session and connection of this request or task."""
    for current in (_session, _reading):
        if (opened := current.get()) is not None:
            opened.close()
            current.set(None)


@contextmanager
def transaction() -> Iterator[Session]:
    """BEGIN … COMMIT around the block, ROLLBACK if it raises. Nested, the outer one decides."""
    if _in_transaction.get():
        yield session()
        return
    with Session(_engines["write"], expire_on_commit=False) as writing:
        before, inside = _session.set(writing), _in_transaction.set(True)
        try:
            with writing.begin():
                yield writing
        finally:
            _session.reset(before)
            _in_transaction.reset(inside)


def in_transaction() -> bool:
    return _in_transaction.get()


def table(mapped: type[Base]) -> Table:
    """The table of a mapped class, for statements on plain rows."""
    return cast(Table, mapped.__table__)


def version() -> str | None:
    """The newest migration the database has had; None for an empty one."""
    with _engines["read"].connect() as reading:
        if not inspect(reading).has_table("alembic_version"):
            return None
        return reading.execute(text("SELECT version_num FROM alembic_version")).scalar()


def clock_ahead() -> timedelta:
    """How far this machine's clock is ahead of the database server's (negative: behind), as far as can be proven.

    The answer was written between the question and its arrival. SQLite has no other clock than this machine's.
    """
    if not is_postgresql():
        return timedelta()
    asked_at = clock.machine()
    theirs = connection().execute(text("SELECT clock_timestamp()")).scalar_one()
    return max(asked_at - theirs, timedelta()) or min(clock.machine() - theirs, timedelta())


def insert_unless_there(table: Any) -> Any:
    """An INSERT that does nothing if a unique key is taken; `.returning(…)` tells: no row, nothing inserted."""
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def upsert(table: Any) -> Any:
    """The engine's own INSERT, for `on_conflict_do_update`."""
    return (postgresql.insert if is_postgresql() else sqlite.insert)(table)


def wake_workers() -> None:
    """Tells listening workers, at commit, that there is something to send (PostgreSQL only); once a transaction."""
    if is_postgresql() and not session().info.get("workers_woken"):
        session().execute(text("NOTIFY portal_work"))
        session().info["workers_woken"] = in_transaction()


def _note_rest(_connection: Any, record: Any) -> None:
    record.info["resting_since"] = time.monotonic()


def _wake(connection: Any, record: Any, _proxy: Any) -> None:
    """Asks a connection that rested whether it still lives: a restarted server costs nobody an error.

    Raises DisconnectionError, upon which the pool opens another.
    """
    if time.monotonic() - record.info.get("resting_since", 0.0) < _SHORT_REST_SECONDS:
        return
    try:
        _engines["write"].dialect.do_ping(connection)
    except Exception as gone:
        raise DisconnectionError from gone


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
