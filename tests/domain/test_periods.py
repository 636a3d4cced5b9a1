"""Period arithmetic: counted from the anchor, clamped to the month's end, in UTC."""

from datetime import UTC, datetime

import pytest

from portal.domain import periods


def day(year: int, month: int, date: int) -> datetime:
    return datetime(year, month, date, 10, 38, 57, 979670, tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "interval", "frequency", "boundaries"),
    [
        (day(2026, 1, 31), "month", 1, [day(2026, 2, 28), day(2026, 3, 31), day(2026, 4, 30), day(2026, 5, 31)]),
        (day(2028, 1, 31), "month", 1, [day(2028, 2, 29), day(2028, 3, 31)]),
        (day(2026, 11, 30), "month", 3, [day(2027, 2, 28), day(2027, 5, 30)]),
        (day(2028, 2, 29), "year", 1, [day(2029, 2, 28), day(2030, 2, 28), day(2031, 2, 28), day(2032, 2, 29)]),
        (day(2026, 3, 28), "week", 1, [day(2026, 4, 4), day(2026, 4, 11)]),
        (day(2026, 10, 24), "day", 2, [day(2026, 10, 26), day(2026, 10, 28)]),
    ],
)
def test_each_boundary_follows_from_the_anchor(
    anchor: datetime, interval: str, frequency: int, boundaries: list[datetime]
) -> None:
    reached = anchor
    for expected in boundaries:
        reached = periods.following(anchor, interval, frequency, reached)
        assert reached == expected


def test_the_boundary_after_many_years_is_found_directly() -> None:
    assert periods.following(day(1980, 1, 31), "month", 1, day(2026, 2, 27)) == day(2026, 2, 28)
    assert periods.following(day(1980, 2, 29), "day", 1, day(2026, 2, 27)) == day(2026, 2, 28)


def test_the_first_billing_is_the_anchor_where_the_next_one_fits_it_and_else_the_next_one_is() -> None:
    assert periods.anchor_of(day(2026, 1, 31), "month", 1, day(2026, 2, 28)) == day(2026, 1, 31)
    assert periods.anchor_of(day(2026, 1, 15), "month", 1, day(2026, 3, 3)) == day(2026, 3, 3)
