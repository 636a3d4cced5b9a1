"""Alembic's entry: the database and the tables are the portal's own."""

from alembic import context
from sqlalchemy import Connection, text

from portal import config, db
from portal.domain import schema

if not db.is_connected():
    db.connect(config.current().database_url)


def enforce_foreign_keys(connection: Connection, on: bool) -> None:
    """SQLite rebuilds a table by dropping it, which must not be taken for deleting its rows; outside a transaction."""
    if not db.is_postgresql():
        connection.connection.driver_connection.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")  # type: ignore[union-attr]


with db.engine().connect() as connection:
    enforce_foreign_keys(connection, False)
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        render_as_batch=True,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        if db.is_postgresql():
            connection.execute(text("SELECT pg_advisory_xact_lock(7081)"))  # two hosts deployed at once take turns
        context.run_migrations()
    connection.commit()
    enforce_foreign_keys(connection, True)
