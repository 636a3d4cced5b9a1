"""Parts of a period's price: half-even to the minor unit, and nothing is lost or made by it."""

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.domain import proration
from tests.conftest import NOW

END = NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("now", "amount", "share"),
    [
        (NOW, 3000, 3000),
        (END, 3000, 0),
        (NOW + timedelta(days=15), 3000, 1500),
        (NOW + timedelta(days=15), 1, 0),
        (NOW + timedelta(days=15), 3, 2),
        (NOW + timedelta(days=15), 5, 2),
        (NOW + timedelta(days=15), -3, -2),
        (NOW + timedelta(days=10), 100, 67),
        (NOW - timedelta(days=3), 3000, 3000),
        (END + timedelta(days=3), 3000, 0),
    ],
)
def test_what_is_left_of_a_period(now: datetime, amount: int, share: int) -> None:
    assert proration.left(NOW, END, now).of(amount) == share


def test_the_contract_is_told_the_rate_and_the_time() -> None:
    assert proration.left(NOW, END, NOW + timedelta(days=10)).told() == {
        "rate": "0.66667",
        "billing_period": {"starts_at": "2026-12-01T12:00:00.000000Z", "ends_at": "2026-12-21T12:00:00.000000Z"},
    }


def test_a_longer_period_costs_and_a_shorter_one_gives_back() -> None:
    assert proration.moved(NOW, END, END + timedelta(days=10)).of(3000) == 1000
    assert proration.moved(NOW, END, END - timedelta(days=10)).of(3000) == -1000


def test_a_period_without_length_has_no_price() -> None:
    assert proration.left(NOW, NOW, NOW).of(3000) == 0


@given(st.integers(0, 30 * 86400 * 10**6), st.integers(-(10**12), 10**12))
def test_no_share_is_further_from_the_exact_one_than_half_a_unit(microseconds: int, amount: int) -> None:
    share = proration.left(NOW, END, NOW + timedelta(microseconds=microseconds))
    assert 0 <= share.fraction <= 1
    assert abs(share.of(amount) - share.fraction * amount) <= Fraction(1, 2)
