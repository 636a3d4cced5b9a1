"""The figures of the payments overview, computed by a worker every few minutes, so that no page counts a million rows.

All of it is as of `computed_at`; money is in minor units, by currency.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, case, func, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, connection, session, table, transaction
from portal.domain import expected
from portal.domain.events import ENDINGS, IS_ENDING, CancellationReason, Event
from portal.domain.subscriptions import CANCEL, Subscription
from portal.domain.transactions import Transaction

EVERY = timedelta(minutes=5)
AHEAD = timedelta(days=30)
WEEKS = 12
_LEASE = timedelta(minutes=10)
_SUB, _TXN, _EVENT, _REASON = (table(each) for each in (Subscription, Transaction, Event, CancellationReason))


class Overview(Base):
    """One row; whoever computes it holds the lease."""

    __tablename__ = "overviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    computed_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]


def latest() -> tuple[dict[str, Any], datetime] | None:
    """The figures and when they were computed; None before a worker has computed the first."""
    found = session().get(Overview, 1)
    return None if found is None or found.computed_at is None else (found.data or {}, found.computed_at)


def refresh() -> bool:
    """Computes the figures if they are older than EVERY and nobody else is at it; answers whether it did."""
    known = session().get(Overview, 1, populate_existing=True)
    if known is not None and known.computed_at is not None and clock.now() < known.computed_at + EVERY:
        return False
    if not _claim():
        return False
    data, now = compute(), clock.now()
    with transaction():
        done = update(Overview).where(Overview.id == 1).values(data=data, computed_at=now, lease_until=None)
        session().execute(done)
    return True


def compute() -> dict[str, Any]:
    """All figures as plain values."""
    now = clock.now()
    since = week_of(now) - timedelta(weeks=WEEKS - 1)
    return {
        "states": _states(),
        "new": _new_since(now - AHEAD),
        "expected": expected.before(midnight(now) + AHEAD + timedelta(days=1)),
        "failed": _failed(),
        "weeks": _weeks(since, now),
        "reasons": _reasons(since),
    }


def week_of(instant: datetime) -> datetime:
    """The Monday, in UTC, on which the week of an instant begins."""
    day = midnight(instant)
    return day - timedelta(days=day.weekday())


def midnight(instant: datetime) -> datetime:
    """When the day of an instant began, in UTC."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def endings(
    transition: str, since: datetime, until: datetime, *, reason: str | None = None, before: str | None = None
) -> Iterator[Any]:
    """The changes behind a figure, newest first, each with its reason; `before` is the last one seen already."""
    return iter(connection().execute(_endings(transition, since, until, reason, before)))


def _claim() -> bool:
    now = clock.now()
    free = or_(Overview.lease_until.is_(None), Overview.lease_until <= now)
    with transaction():
        session().execute(db.insert_unless_there(table(Overview)).values(id=1))
        mine = update(Overview).where(Overview.id == 1, free).values(lease_until=now + _LEASE)
        return session().execute(mine).rowcount == 1  # type: ignore[attr-defined]


def _states() -> dict[str, int]:
    """How many subscriptions are in each of the states that the list is filtered by."""
    pending = _SUB.c.scheduled_action == CANCEL
    state = case((_SUB.c.status == "canceled", "canceled"), (pending, "pending"), else_=_SUB.c.status)
    counted = select(state.label("state"), func.count()).group_by(text("state"))
    return {row.state: row[1] for row in connection().execute(counted)}


def _new_since(since: datetime) -> int:
    return connection().scalar(select(func.count()).where(_SUB.c.started_at >= since)) or 0


def _failed() -> dict[str, dict[str, int]]:
    """Payments that have failed and are not collected, by currency."""
    owed = select(_TXN.c.currency_code, func.count(), func.sum(_TXN.c.amount - _TXN.c.credit)).where(
        _TXN.c.status == "past_due"
    )
    rows = connection().execute(owed.group_by(_TXN.c.currency_code))
    return {currency: {"count": count, "amount": int(amount)} for currency, count, amount in rows}


def _weeks(since: datetime, now: datetime) -> list[dict[str, Any]]:
    """How many cancellations were asked for, were taken back and took effect, week by week, the oldest first."""
    weeks = [since + timedelta(weeks=n) for n in range(WEEKS)]
    counted: Counter[tuple[datetime, str]] = Counter()
    for transition in ENDINGS:
        of_type = _of_transition(transition, since)
        for (at,) in connection().execute(select(_EVENT.c.occurred_at).where(*of_type)):
            counted[week_of(at), transition] += 1
    return [
        {"begins": week.isoformat(), **{transition: counted[week, transition] for transition in ENDINGS}}
        for week in weeks
    ]


def _reasons(since: datetime) -> list[tuple[str, int]]:
    """Why cancellations were asked for, the most frequent first; without a reason: an empty text."""
    reason = func.coalesce(_REASON.c.reason, _EVENT.c.facts["reason"].as_string(), "")
    counted = (
        select(reason.label("why"), func.count())
        .outerjoin(_REASON, _REASON.c.event_id == _EVENT.c.id)
        .where(*_of_transition("cancellation_scheduled", since))
        .group_by(text("why"))
    )
    return sorted(((each, count) for each, count in connection().execute(counted)), key=lambda r: (-r[1], r[0]))


def _endings(transition: str, since: datetime, until: datetime, reason: str | None, before: str | None) -> Any:
    why = func.coalesce(_REASON.c.reason, _EVENT.c.facts["reason"].as_string(), "")
    wanted = (
        select(
            *(_EVENT.c[name] for name in ("id", "occurred_at", "subscription_id", "customer_id")),
            *(_EVENT.c[name] for name in ("actor_kind", "actor_name", "way", "transition")),
            why.label("reason"),
        )
        .outerjoin(_REASON, _REASON.c.event_id == _EVENT.c.id)
        .where(*_of_transition(transition, since), _EVENT.c.id < ids.earliest("evt", until))
        .order_by(_EVENT.c.id.desc())
    )
    if reason is not None:
        wanted = wanted.where(why == reason)
    return wanted.where(_EVENT.c.id < before) if before else wanted


def _of_transition(transition: str, since: datetime) -> Sequence[Any]:
    """Spelled out, so that the index of the transitions that end, or keep, serves on SQLite too.

    A payment plan that has run to its last payment did not end by a cancellation.
    """
    because = func.coalesce(_EVENT.c.facts["because"].as_string(), "")
    left = (because != "plan_completed",) if transition == "subscription_ended" else ()
    return (
        text(IS_ENDING),
        _EVENT.c.transition == transition,
        _EVENT.c.id >= ids.earliest("evt", since),
        *left,
    )


def biggest(figures: Iterable[int]) -> int:
    """The top of a chart's scale: at least one, so that nothing is divided by nothing."""
    return max([1, *figures])
