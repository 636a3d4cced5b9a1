"""T3: workers are killed at every point of their work, again and again; nothing is lost and nothing happens twice."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.db import session, transaction
from portal.domain import mails
from portal.domain import subscriptions as found
from portal.domain.events import Event
from portal.domain.mails import Mail
from tests.conftest import NOW
from tests.faults import crowd, jobs
from tests.faults.processes import KILLED, start, wait_until
from tests.smtp import MailServer

SEED = 11
FEW, MANY = 20, 300
KILLS = [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
PAYING = ("renewals", "collections")
LEASE_OVER = timedelta(minutes=3)


class Hunt:
    """Starts workers one after the other and kills each at some point of its work."""

    def __init__(self, tasks: tuple[str, ...], *, batch: int, depth: int, more: Callable[[], None]) -> None:
        self.tasks, self.batch, self.depth, self.more = tasks, batch, depth, more
        self.at = NOW
        self.points: Counter[str] = Counter()
        self.rng = random.Random(SEED)
        print(f"seed {SEED}")

    def kill(self, times: int, check: Callable[[], None], until: Callable[[], bool] = lambda: True) -> None:
        """Until that many died (or, to see what must be seen, a few more); all done, there is more to do."""
        while (died := sum(self.points.values())) < times or (not until() and died < 4 * times):
            code, said = start(
                jobs.work, self.at, self.tasks, self.batch, die_at=self.rng.randint(1, self.depth)
            ).finish()
            assert code in (0, KILLED), said
            if code == KILLED:
                self.points[said[-1]] += 1
            else:
                self.more()
            check()
            self.at += LEASE_OVER

    def let_live(self) -> None:
        """The next worker is left alone."""
        self.at += LEASE_OVER
        assert start(jobs.work, self.at, self.tasks, self.batch).finish()[0] == 0

    def kills(self, *words: str) -> int:
        """How many died at a point that says all this."""
        return sum(count for point, count in self.points.items() if all(word in point for word in words))


@pytest.mark.parametrize("kills", KILLS)
def test_a_subscription_ends_once_however_often_the_worker_is_killed(database: str, kills: int) -> None:
    crowd.subscriptions(150, NOW - timedelta(hours=1), ending=True)
    hunt = Hunt(
        ("period_end",),
        batch=5,
        depth=60,
        more=lambda: crowd.subscriptions(150, NOW - timedelta(minutes=1), ending=True) and None,
    )
    partly: list[int] = []
    hunt.kill(
        kills,
        lambda: partly.append(crowd.check_endings()),
        until=lambda: hunt.kills("COMMIT") > 0 and hunt.kills("after", "INSERT", "inside") > 0,
    )
    everybody = len(crowd.rows())
    assert sum(0 < done < everybody for done in partly) > kills / 4, f"killed in the middle of the crowd: {partly}"
    assert hunt.kills("after", "INSERT", "inside") > 0, f"killed with half a batch written: {hunt.points}"
    assert hunt.kills("before COMMIT") + hunt.kills("after COMMIT") > 0, hunt.points
    wait_until(lambda: hunt.let_live() or crowd.check_endings() == everybody, "all ended")


@pytest.mark.parametrize("kills", KILLS)
def test_a_period_is_billed_and_charged_once_however_often_the_worker_is_killed(database: str, kills: int) -> None:
    due = NOW - timedelta(hours=1)
    crowd.subscriptions(40, due)
    hunt = Hunt(PAYING, batch=25, depth=150, more=lambda: crowd.subscriptions(60, due) and None)
    partly: list[Counter[str]] = []
    hunt.kill(kills, lambda: partly.append(crowd.check_payments()))
    assert sum(0 < p["completed"] < len(crowd.rows()) for p in partly) > kills / 4, "killed in the middle of the crowd"
    assert hunt.kills("inside") > kills / 3, hunt.points
    unsettled = sum(p["charged, not settled"] > 0 for p in partly)
    assert unsettled > 0, f"killed between a charge and its note: {hunt.points}"
    everybody = len(crowd.rows())
    wait_until(lambda: hunt.let_live() or crowd.check_payments()["completed"] == everybody, "all paid")
    assert Counter(map(tuple, crowd.mails().values())) == {("renewed",): everybody}
    with transaction():
        told = Counter(session().scalars(select(Event.type)))
    for type in ("subscription.updated", *(f"transaction.{e}" for e in ("created", "billed", "paid", "completed"))):
        assert told[type] == everybody, told


@pytest.mark.parametrize("kills", KILLS)
def test_a_mail_goes_out_however_often_the_worker_is_killed_and_twice_it_is_the_same_message(
    database: str, smtp: MailServer, kills: int
) -> None:
    queue(60)
    hunt = Hunt(("mails",), batch=1, depth=70, more=lambda: queue(60))
    partly: list[tuple[int, int]] = []
    hunt.kill(kills, lambda: partly.append((sent(), len(smtp.received))))
    everything = len(all_mails())
    assert sum(0 < done < everything for done, _ in partly) > kills / 4, f"killed in the middle of a batch: {partly}"
    assert any(done < arrived for done, arrived in partly), f"killed between acceptance and note: {hunt.points}"
    wait_until(lambda: hunt.let_live() or sent() == everything, "all sent")
    arrived = Counter(str(each.message["Message-ID"]) for each in smtp.received)
    assert set(arrived) == {f"<{mail}@localhost>" for mail in all_mails()}
    twice = sum(count - 1 for count in arrived.values())
    assert (
        0
        < twice
        <= hunt.kills("after send")
        + hunt.kills("before UPDATE")
        + hunt.kills("after UPDATE")
        + hunt.kills("COMMIT")
        + hunt.kills("BEGIN")
    ), f"{twice} mails came again; killed at {hunt.points}"
    first: dict[str, bytes] = {}
    for each in smtp.received:
        same = first.setdefault(str(each.message["Message-ID"]), each.message.as_bytes())
        assert each.message.as_bytes() == same


def queue(count: int, at: datetime = NOW) -> None:
    ids = crowd.subscriptions(count, at + timedelta(days=9))
    with transaction():
        for sub in ids:
            mails.tell("resumed", found.get(sub))


def sent() -> int:
    with transaction():
        return session().scalar(select(func.count()).select_from(Mail).where(Mail.status == "sent")) or 0


def all_mails() -> list[str]:
    with transaction():
        return list(session().scalars(select(Mail.id)))
