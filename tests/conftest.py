"""What every test stands on: a database of each kind, a clock that stands still, people, and the portal itself."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import BytecodeCache, FileSystemBytecodeCache

from portal import cli, clock, config, create_app, db
from tests import listed, logs
from tests.logs import Log
from tests.person import Person
from tests.postgres import TemporaryPostgres
from tests.smtp import MailServer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KINDS = os.environ.get("PORTAL_TEST_DATABASES", "sqlite,postgresql").split(",")
SETTINGS = config.load(
    {
        "PORTAL_ENV": "development",
        "PORTAL_SECRET_KEYS": "the-newest-secret-of-the-test-suite-1234,an-older-secret-of-the-test-suite-12345",
        "PORTAL_BASE_URL": "http://localhost",
        "PORTAL_MAIL_FROM": "AeroEdit <billing@aeroedit.example>",
        "PORTAL_BRAND_NAME": "AeroEdit",
        "PORTAL_BRAND_SUPPORT": "help@aeroedit.example",
        "PORTAL_BRAND_URL": "https://www.aeroedit.example",
        "PORTAL_RETURN_ORIGINS": "https://app.aeroedit.example",
        "PORTAL_LANGUAGES": "en,de",
    }
)


class Clock:
    """The tests' hand on the clock."""

    def __init__(self) -> None:
        self.at = NOW

    def set(self, at: datetime) -> None:
        clock._frozen = self.at = at

    def advance(self, **by: float) -> None:
        self.set(self.at + timedelta(**by))


@pytest.fixture
def the_clock() -> Iterator[Clock]:
    """Stands at NOW until it is moved."""
    with clock.frozen(NOW):
        yield Clock()


@pytest.fixture
def configure() -> Iterator[Callable[..., None]]:
    """Puts other settings in force for one test: `configure(self_cancellation=False)`."""
    config.use(SETTINGS)
    yield lambda **changes: config.use(replace(config.environment(), **changes))
    config.use(SETTINGS)


@pytest.fixture(scope="session")
def postgres() -> Iterator[TemporaryPostgres]:
    """One server for this process, with a migrated database to copy."""
    with TemporaryPostgres() as server:
        _migrate(server.create_database("template_portal"))
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=KINDS)
def database(
    request: pytest.FixtureRequest, tmp_path: Path, configure: Callable[..., None], the_clock: Clock
) -> Iterator[str]:
    """A fresh database, migrated and connected; once on SQLite, once on PostgreSQL. Gives its URL.

    After each test, whatever it did: the lists that the database keeps are what its rows say.
    """
    if request.param == "sqlite":
        path = tmp_path / "portal.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        url, server, name = f"sqlite:///{path}", None, ""
    else:
        server = request.getfixturevalue("postgres")
        name = f"test_{os.getpid()}_{abs(hash(request.node.nodeid))}"
        url = server.create_database(name, template="template_portal")
    config.use(replace(config.current(), database_url=url))
    db.connect(url)
    yield url
    astray = listed.strays() if db.is_connected() and db.version() else {}
    db.disconnect()
    if server is not None:
        server.drop_database(name)
    assert not astray


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> BytecodeCache:
    """Each test has an application of its own; its templates are compiled once for all."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(database: str, compiled_templates: BytecodeCache) -> Flask:
    portal = create_app()
    portal.jinja_env.bytecode_cache = compiled_templates
    return portal


@pytest.fixture
def person(app: Flask) -> Person:
    """Somebody with a browser that has followed no link yet."""
    return Person(app)


@pytest.fixture
def someone_else(app: Flask) -> Person:
    return Person(app)


@pytest.fixture
def smtp(configure: Callable[..., None]) -> Iterator[MailServer]:
    """A real SMTP server that the portal sends to."""
    server = MailServer()
    server.start()
    configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
    yield server
    server.stop()


def _migrate(url: str) -> None:
    db.connect(url)
    cli.upgrade()
    db.disconnect()


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged while the test lasts."""
    with logs.kept() as kept:
        yield kept
