"""T7: two workers reach for the same rows in the same moment; every row is done by one of them."""

from collections import Counter
from datetime import timedelta

from portal.db import is_postgresql
from tests.conftest import NOW
from tests.faults import crowd, jobs
from tests.faults.processes import CONTEXT, start

ROWS = 2000


def test_of_two_workers_exactly_one_ends_each_subscription(database: str) -> None:
    crowd.subscriptions(ROWS, NOW - timedelta(minutes=1), ending=True)
    barrier = CONTEXT.Barrier(2)
    workers = [start(jobs.end_with_others, barrier, NOW, 100) for _ in range(2)]
    shares = [worker.result(90) for worker in workers]
    assert sum(shares) == ROWS
    if is_postgresql():
        assert min(shares) > 0, f"one of them did it all: {shares}"
    assert crowd.check_endings() == ROWS


def test_of_two_workers_exactly_one_bills_and_charges_each_period(database: str) -> None:
    crowd.subscriptions(120, NOW - timedelta(minutes=1))
    barrier = CONTEXT.Barrier(2)
    workers = [start(jobs.renew_with_others, barrier, NOW, 5) for _ in range(2)]
    shares = [worker.result(90) for worker in workers]
    for what in ("renewed", "charged"):
        done = [share[what] for share in shares]
        assert sum(done) == 120, f"{what}: {done}"
        if is_postgresql():
            assert min(done) > 0, f"one of them did it all: {what} {done}"
    assert Counter(map(tuple, crowd.mails().values())) == {("renewed",): 120}
    assert Counter(len(types) for types in crowd.events().values()) == {7: 120}
    assert crowd.check_payments()["completed"] == 120
