"""T6: nothing can be logged any more, because the disk where the logs go is full; the portal works on."""

from datetime import timedelta
from pathlib import Path

import pytest

from portal import clock
from tests import people
from tests.faults import crowd
from tests.faults.browser import Browser
from tests.faults.processes import portal, served, wait_until

FULL = Path("/dev/full")
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _real_time(database: str) -> None:
    """Other processes have the machine's clock; so have the rows of these tests."""
    clock._frozen = None


def test_that_device_refuses_every_line() -> None:
    with FULL.open("wb", buffering=0) as log, pytest.raises(OSError, match="No space left"):
        log.write(b"a line")


def test_a_customer_can_cancel_while_no_line_can_be_logged() -> None:
    sub = people.subscription(people.customer())
    with served(FULL) as (server, origin):
        browser = Browser(origin)
        for _ in range(30):
            assert browser.get("/portal/sign-in").status_code == 200
        assert browser.follow_link("cancel", sub).status_code == 200
        assert browser.press(f"/portal/subscriptions/{sub}/cancel").status_code == 200
        server.ask_to_stop()
        server.stopped_within(10)
    assert people.events_of(sub) == ["subscription.updated"]
    assert people.row(sub).is_ending


def test_the_worker_works_and_stops_while_no_line_can_be_logged() -> None:
    crowd.subscriptions(20, clock.now() - timedelta(minutes=5), ending=True)
    with portal("worker", log=FULL) as worker:
        wait_until(lambda: crowd.check_endings() == 20, "all ended", 30)
        worker.ask_to_stop()
        assert worker.stopped_within(10) in (0, 120), "120: Python could not flush its stderr at the very end"
