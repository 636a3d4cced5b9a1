"""What most tests of the API begin with."""

import pytest
from flask import Flask

from tests import people
from tests.api.calls import App


@pytest.fixture
def seller(app: Flask) -> App:
    """An app that may do everything, but what must be named."""
    return App(app)


@pytest.fixture
def base(app: Flask) -> str:
    """A price of 30.00 a month."""
    return people.price(3000)
