"""T8: renewal, cancellation and change of mind meet at the end of the period; each row has one legal history.

Time runs here, in a small model of production: a renewal waits 1.5 seconds instead of 30, and a lock is waited for no
longer than 1 second instead of 8. Whoever was in time must win, whoever was late must lose or pay; nothing in between.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from portal import clock, worker
from portal.db import session, transaction
from portal.domain import periods
from portal.domain.events import Event
from portal.domain.subscriptions import Subscription
from tests.conftest import NOW
from tests.faults import boundary, crowd
from tests.faults.boundary import Done, Plan
from tests.faults.processes import CONTEXT, start

SEED, GRACE = 8, timedelta(seconds=1.5)
ROWS, PATIENCE = 200, 3
OUTCOMES = (
    "canceled in time",
    "canceled late, before the renewal",
    "renewed, then canceled",
    "kept and renewed",
    "too late to keep, ended",
)
MAILS = {"cancellation_scheduled", "cancellation_withdrawn", "subscription_ended", "renewed"}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@dataclass
class Story:
    """One row from its beginning to its end."""

    ends: datetime
    was_ending: bool
    acts: list[Done]
    row: Subscription
    transitions: list[str]
    mails: list[str]
    billed: int

    @property
    def accepted(self) -> list[Done]:
        return [act for act in self.acts if act.outcome == "done"]

    def category(self) -> str:
        """How it ended; fails where no legal history leads."""
        expected = {"cancel": "cancellation_scheduled", "keep": "cancellation_withdrawn"}
        decided = [expected[act.act] for act in self.accepted]
        assert [t for t in self.transitions if t in expected.values()] == decided, "accepted ⇔ recorded"
        assert sorted(self.mails) == sorted(t for t in self.transitions if t in MAILS), "one transition, one mail"
        assert all(act.received_at < self.ends for act in self.accepted if act.act == "keep"), "kept too late"
        wants_out = self.accepted[-1].act == "cancel" if self.accepted else self.was_ending
        if self.row.status == "canceled":
            assert wants_out
            assert (self.row.canceled_at, self.billed) == (self.ends, 0)
            assert self.transitions == [*decided, "subscription_ended"]
            return self._ended()
        assert self.billed == 1
        assert self.transitions.count("renewed") == 1
        renewed = self.transitions.index("renewed")
        after = [act for act in self.accepted if act.act == "cancel"][-1:] if self.row.is_ending else []
        for act in after:
            assert act.received_at >= self.ends, f"cancelled in time, and billed all the same: {act}"
            assert self.row.ends_at == periods.nth(self.row.anchor_at, "month", 1, 1)
        assert self.transitions[renewed + 1 :] == ["cancellation_scheduled"] * len(after)
        assert wants_out == bool(after)
        if after:
            return "renewed, then canceled"
        return "kept and renewed" if self.was_ending else "renewed, nothing recorded"

    def _ended(self) -> str:
        if not self.accepted:
            in_time = [act for act in self.acts if act.outcome == "AlreadyCanceled" and act.received_at < self.ends]
            assert in_time == [], "kept in time, and ended all the same"
            return "too late to keep, ended"
        return "canceled in time" if self.accepted[-1].received_at < self.ends else "canceled late, before the renewal"


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_where_renewal_and_customer_meet_each_row_has_exactly_one_legal_history(
    database: str, configure: Callable[..., None], rounds: int
) -> None:
    configure(renewal_grace=GRACE)
    categories: Counter[str] = Counter()
    for number in range(rounds + PATIENCE):
        categories += one_round(random.Random(SEED + number), pace=0.4 ** max(0, number - rounds + 1))
        if number + 1 >= rounds and rare(categories) == []:
            break
    assert crowd.check_payments()["completed"] == sum(n for category, n in categories.items() if "renewed" in category)
    assert rare(categories) == [], f"each outcome was seen often enough: {categories}"


def rare(categories: Counter[str]) -> list[str]:
    """The outcomes seen in less than one story of twenty: on a busy machine hardly anybody comes in time."""
    return [each for each in OUTCOMES if categories[each] < categories.total() * 0.05]


def one_round(rng: random.Random, pace: float) -> Counter[str]:
    """A hundred periods end in a second of the story, which takes longer at a slower pace; what became of each."""
    ends = [NOW + seconds(1.5 + rng.uniform(0, ROWS / 100)) for _ in range(ROWS)]
    half = ROWS // 2
    subs = crowd.subscriptions(half, ends[:half]) + crowd.subscriptions(ROWS - half, ends[half:], ending=True)
    boundaries = dict(zip(subs, ends, strict=True))
    acts = act_it_out(plans_for(subs, boundaries, rng), subs, max(ends) + seconds(3.5), pace)
    categories: Counter[str] = Counter()
    for sub, story in tell(subs, boundaries, half, acts).items():
        try:
            categories[story.category()] += 1
        except AssertionError as illegal:
            raise AssertionError(f"{sub}: {illegal}\n{story}\n{vars(story.row)}") from illegal
    print(f"pace {pace:.2f}: {categories}, {Counter((act.act, act.outcome) for act in acts)}")
    return categories


def plans_for(subs: list[str], boundaries: dict[str, datetime], rng: random.Random) -> list[Plan]:
    """Half of the customers come anywhere around the boundary, half in the very moment when a worker does."""
    plans, grace = [], GRACE.total_seconds()
    for n, sub in enumerate(subs):
        cancels = n < len(subs) // 2
        worker_comes = grace if cancels else 0.0
        moment = rng.choice((rng.uniform(-1.4, grace + 1.2), worker_comes + rng.uniform(-0.05, 0.1)))
        acts = ("cancel",) if cancels else rng.choice((("keep",), ("keep",), ("keep", "cancel")))
        plans.append(Plan(sub, acts, boundaries[sub] + seconds(moment)))
    return plans


def act_it_out(plans: list[Plan], subs: list[str], until: datetime, pace: float) -> list[Done]:
    """Two web servers, two workers and a disturber, all at once; then what a worker had to leave is finished."""
    barrier, begin = CONTEXT.Barrier(6), CONTEXT.Value("d")
    together = boundary.Together(barrier, begin, NOW, pace)
    webs = [start(boundary.customers, together, plans[n::2]) for n in range(2)]
    others = [start(boundary.works, together, until) for _ in range(2)]
    others.append(start(boundary.disturbs, together, until, subs))
    together.go()
    acts = [done for web in webs for done in web.result(100)]
    rounds = [other.result(100) for other in others]
    assert min(rounds) > 1, f"everybody had a part in it: {rounds}"
    with clock.frozen(until + timedelta(minutes=5)):
        while any([worker.period_end(), worker.renewals(), worker.collections()]):
            pass
    return acts


def tell(subs: list[str], boundaries: dict[str, datetime], half: int, acts: list[Done]) -> dict[str, Story]:
    rows, mails, billed = crowd.rows(), crowd.mails(), Counter[str]()
    transitions: dict[str, list[str]] = {}
    with transaction():
        for event in session().scalars(select(Event).order_by(Event.id)):
            if event.transition:
                transitions.setdefault(event.subscription_id or "", []).append(event.transition)
            billed[event.subscription_id or ""] += event.type == "transaction.billed"
    return {
        sub: Story(
            ends=boundaries[sub],
            was_ending=n >= half,
            acts=[act for act in acts if act.subscription == sub],
            row=rows[sub],
            transitions=transitions.get(sub, []),
            mails=mails.get(sub, []),
            billed=billed[sub],
        )
        for n, sub in enumerate(subs)
    }
