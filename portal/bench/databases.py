"""Databases that live as long as a measurement: a SQLite file, or a PostgreSQL server of the bench's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from portal import cli, config
from portal.bench import bare, filling
from portal.bench.serving import connected

KINDS = ("sqlite", "postgresql")


@contextmanager
def filled(kind: str, size: int, folder: Path) -> Iterator[str]:
    """The URL of a migrated database with so many subscriptions."""
    with _empty(kind, folder) as url:
        with connected(url):
            cli.upgrade()
            bare.make_table()
            label = f"Filling {kind} with {size:,}"
            with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
                filling.fill(size, bar.update)
        yield url


@contextmanager
def _empty(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        path = folder / "bench.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for leftover in folder.glob("bench.db*"):
                leftover.unlink()
        return
    sys.path.insert(0, str(config.ROOT))  # before the packages: one of them brings a `tests` of its own
    try:
        from tests.postgres import TemporaryPostgres
    except ImportError:
        raise click.ClickException("PostgreSQL is measured in a checkout only, with its tests beside it.") from None
    with TemporaryPostgres(shared_buffers="1GB") as server:
        yield server.create_database("bench")
