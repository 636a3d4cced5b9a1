"""A row that can't be done, because of a defect or of what somebody wrote into the database, keeps nobody waiting."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from portal import worker
from portal.domain import cancellation, pausing
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END


@pytest.fixture(autouse=True)
def without_rest(database: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_AFTER_TROUBLE_SECONDS", 0.0)


def bad(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says can't be done, with a traceback each."""
    return [each.getMessage().split()[1] for each in caplog.records if each.levelno == logging.ERROR and each.exc_info]


def test_the_others_renew(the_clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = visits.subscribed(period_ends_at=END - timedelta(days=1), billing_interval="fortnight")
    others = [visits.subscribed() for _ in range(3)]
    the_clock.set(END + timedelta(minutes=1))
    assert worker.renewals()
    assert bad(caplog) == [first]
    assert [people.row(each).period_starts_at for each in others] == [END] * 3
    assert people.row(first).next_billed_at == END - timedelta(days=1)
    assert not worker.renewals()
    assert people.events_of(first) == []


def test_the_others_end(the_clock: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = [visits.subscribed(**visits.ending(at=END + timedelta(seconds=n))) for n in range(4)]
    _trip_over(first, cancellation, "_tell", monkeypatch)
    the_clock.set(END + timedelta(minutes=1))
    assert worker.period_end()
    assert bad(caplog) == [first]
    assert [people.row(each).status for each in (first, *others)] == ["active", *["canceled"] * 3]
    assert [people.mails_of(each) for each in (first, *others)] == [[], *[["subscription_ended"]] * 3]
    assert not worker.period_end()


def test_the_others_pause(the_clock: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [visits.subscribed(**visits.ending() | {"scheduled_action": "pause"}) for _ in range(2)]
    _trip_over(first, pausing, "_pause", monkeypatch)
    the_clock.set(END + timedelta(minutes=1))
    assert worker.pauses()
    assert bad(caplog) == [first]
    assert [people.row(each).status for each in (first, second)] == ["active", "paused"]


def test_the_others_are_reminded(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [visits.subscribed(remind_at=NOW) for _ in range(2)]
    _trip_over(first, worker.renewal.mails, "tell_all", monkeypatch)
    assert worker.reminders()
    assert bad(caplog) == [first]
    assert [people.mails_of(each) for each in (first, second)] == [[], ["renewal_reminder"]]


def test_trouble_of_the_database_is_not_blamed_on_a_row(
    the_clock: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    visits.subscribed(**visits.ending())
    monkeypatch.setattr(cancellation, "_tell", away)
    the_clock.set(END + timedelta(minutes=1))
    with pytest.raises(OperationalError):
        worker.period_end()
    assert bad(caplog) == []


def _trip_over(sub: str, module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a step fail as soon as this subscription is among those it is taken for."""
    step = getattr(module, name)

    def trips(whom: Any, *args: Any, **more: Any) -> Any:
        several = list(whom) if not hasattr(whom, "id") else whom
        named = several if isinstance(several, list) else [several]
        ids = {each.id if hasattr(each, "id") else each[1].id for each in named}
        if sub in ids:
            raise ValueError("a defect")
        return step(several, *args, **more)

    monkeypatch.setattr(module, name, trips)
