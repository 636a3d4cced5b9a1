"""A cancellation drops a pause, or the date on which one was to end. Taken back, that stays so; all of it is told."""

from datetime import timedelta
from typing import Any

import pytest

from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.person import Person

PAUSE_DROPPED = "The pause that was planned is dropped, also if you change your mind."
DATE_DROPPED = "The date on which it was to resume is dropped, also if you change your mind."
LATER = END + timedelta(days=30)


@pytest.fixture
def pausing(app: Any) -> str:
    return visits.subscribed(
        next_billed_at=None,
        billing_resumes_at=END,
        scheduled_action="pause",
        scheduled_effective_at=END,
        scheduled_resume_at=LATER,
    )


@pytest.fixture
def paused(app: Any) -> str:
    """Paused a day ago, with twenty days of the paid period left, until a date."""
    return visits.subscribed(
        status="paused",
        paused_at=NOW - timedelta(days=1),
        next_billed_at=None,
        scheduled_action="resume",
        scheduled_effective_at=LATER,
    )


def test_a_planned_pause_is_dropped_for_good(person: Person, pausing: str) -> None:
    assert PAUSE_DROPPED in person.open(email_link("cancel", pausing))
    person.press("Cancel at the end of the period")
    told = visits.mail("cancellation_scheduled")
    assert PAUSE_DROPPED in told
    assert "at the same price and on the same dates" in told
    person.open(email_link("keep", pausing))
    kept = person.press("Keep my subscription")
    assert "The next payment of $300.00 is on 11 December 2026 at 12:00 UTC." in kept
    row = people.row(pausing)
    assert (row.scheduled_action, row.next_billed_at) == (None, END)


def test_what_is_paused_stays_paused_without_a_date(person: Person, paused: str) -> None:
    assert DATE_DROPPED in person.open(email_link("cancel", paused))
    person.press("Cancel at the end of the period")
    told = visits.mail("cancellation_scheduled")
    assert DATE_DROPPED in told
    assert "You can keep your subscription until 11 December 2026 at 12:00 UTC. It then stays paused." in told
    assert "same dates" not in told
    person.open(email_link("keep", paused))
    kept = person.press("Keep my subscription")
    assert "Your cancellation is withdrawn" in kept
    assert "It stays paused." in kept
    assert "Your subscription goes on" not in kept
    told = visits.mail("cancellation_withdrawn")
    assert "Your subscription stays paused, and nothing is charged." in told
    assert "continues" not in told
    assert people.row(paused).scheduled_action is None


def test_of_what_is_not_paused_nothing_is_said(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    assert "dropped, also" not in person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the period")
    assert "dropped" not in visits.mail("cancellation_scheduled")
