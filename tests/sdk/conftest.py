"""A running portal on each database for all tests here, and the SDK's client with nothing but its base URL set."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from paddle_billing import Client, Options

from portal.domain import api_keys
from tests import people
from tests.browser_story.running import RunningPortal
from tests.conftest import KINDS
from tests.sdk.passerby import Passerby
from tests.sdk.receiver import Receiver
from tests.sdk.shop import Shop

SETTINGS = {"web_workers": "1", "webhook_private": "on", "api_requests_per_minute": "0"}


@contextmanager
def fresh_portal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, name: str, **settings: str
) -> Iterator[RunningPortal]:
    """`portal serve` and `portal worker` on a fresh database of the kind that the fixture asks for."""
    folder = tmp_path_factory.mktemp(f"{name}-{request.param}")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "portal.db")
        url = f"sqlite:///{folder / 'portal.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database(name, template="template_portal")
    with RunningPortal(folder, url, **settings) as running:
        yield running
    if request.param != "sqlite":
        request.getfixturevalue("postgres").drop_database(name)


@pytest.fixture(scope="session", params=KINDS)
def portal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """One for all tests here; each makes what it looks at."""
    with fresh_portal(request, tmp_path_factory, "sdk", **SETTINGS) as running:
        yield running


def client(portal: RunningPortal, key: str) -> Client:
    """The official client, pointed at the portal as its makers document it; nothing else is changed."""
    return Client(key, options=Options(environment=SimpleNamespace(base_url=portal.origin)))


@pytest.fixture(scope="session")
def new_key(portal: RunningPortal) -> Callable[..., str]:
    """`new_key("customer.read")` makes a key of the seller's."""

    def create(*permissions: str) -> str:
        with portal.inside():
            return people.key(*permissions)["Authorization"].removeprefix("Bearer ")

    return create


@pytest.fixture(scope="session")
def key(portal: RunningPortal) -> str:
    """A key with every permission, made as an operator makes it."""
    return portal.command("api-key", "create", "--name", "sdk", "--permissions", ",".join(api_keys.PERMISSIONS))


@pytest.fixture(scope="session")
def paddle(portal: RunningPortal, key: str) -> Client:
    return client(portal, key)


@pytest.fixture
def shop(paddle: Client, portal: RunningPortal) -> Shop:
    return Shop(paddle, portal)


@pytest.fixture
def passerby(portal: RunningPortal) -> Passerby:
    """Somebody with a browser who is signed in nowhere."""
    return Passerby(portal.origin)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening
