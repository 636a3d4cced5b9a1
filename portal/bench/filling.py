"""Filling a database with made-up subscriptions: COPY on PostgreSQL, one prepared INSERT on SQLite."""

from collections.abc import Callable

from sqlalchemy import Connection, func, select, text

from portal import db
from portal.bench.synthetic import Maker, Row, made_id
from portal.db import session
from portal.domain.customers import Customer
from portal.domain.subscriptions import Subscription

CHUNK = 10_000


def holds_real_data() -> bool:
    """Whether there is any customer that was not made up here."""
    return session().scalar(select(Customer.id).where(Customer.id > made_id("ctm", 10**19 - 1)).limit(1)) is not None


def made_already() -> int:
    """How many made-up subscriptions there are: where the next filling goes on."""
    last = session().scalar(select(func.max(Subscription.id)).where(Subscription.id < made_id("sub", 10**19 - 1)))
    return int(last[-19:]) + 1 if last else 0


def fill(count: int, progress: Callable[[int], None] = lambda done: None) -> None:
    """Adds so many subscriptions to those made up before, a chunk a transaction; `progress` hears of every chunk."""
    first, maker = made_already(), Maker()
    if first == 0:
        with db.engine().begin() as connection:
            for table, rows in maker.catalog():
                _copy(connection, table, rows)
    for start in range(first, first + count, CHUNK):
        size = min(CHUNK, first + count - start)
        with db.engine().begin() as connection:
            for table, rows in maker.subscriptions(start, size):
                _copy(connection, table, rows)
        progress(size)
    settle()


def settle() -> None:
    """Leaves the database as it is after a quiet night, so that its own upkeep does not fall into a measurement."""
    if db.is_postgresql():
        session().execute(text("VACUUM ANALYZE"))
    else:
        session().execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    db.close()


def _copy(connection: Connection, table: str, rows: list[Row]) -> None:
    """Puts rows of the same columns into a table; table and columns are names from our own code."""
    if not rows:
        return
    names = ", ".join(rows[0])
    driver = connection.connection.driver_connection
    assert driver is not None
    if db.is_postgresql():
        with driver.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))
    else:
        marks = ", ".join("?" * len(rows[0]))
        driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", [tuple(row.values()) for row in rows])
