"""Delivers webhooks: one thread that speaks with the database, many that speak with endpoints.

claim endpoints that have something due → a sender each → outcomes come back → written together

An endpoint is claimed as a whole, with a lease on its row: whoever holds it is the only one, on any machine, who sends
to it, so its events leave in their order. An endpoint that fails rests, while the others go on; after its rest it is
tried with one notification, and given the rest in order once that is taken. Who dies while sending loses the lease, and
what had no outcome yet is sent again: at least once, never not at all.
"""

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, or_, select, union_all, update

from portal import clock, config, sealing
from portal.db import connection, session, table, transaction
from portal.domain import notification_settings
from portal.domain.events import Event
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notifications import Notification
from portal.outbox import outcomes
from portal.outbox.errands import Errand, Parcel, Report, carry

log = logging.getLogger("portal.webhooks")
LEASE = timedelta(seconds=60)
"""Longer than an errand takes, with its last exchange, and writing down what came of it."""
AT_ONCE = 50
"""How many notifications a sender is given for one endpoint: many, so that claiming and connecting weigh little, and
not more, because each sender holds that many whole events."""
_WAIT_SECONDS = 0.05
_FEW_WAIT_SECONDS = 0.05


class Deliveries:
    """What this process has in hand."""

    def __init__(self) -> None:
        self.in_hand: set[str] = set()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._unwritten: list[Report] = []
        self._claimed_at = 0.0

    def step(self, stopping: Callable[[], bool]) -> bool:
        """Writes what came back, hands out what is due; whether there is more to do or to wait for."""
        done = self._write(wait=0.0)
        free = self._free()
        begun = 0 if stopping() or free <= 0 else self._begin(free, stopping)
        if not done and not begun and self.in_hand:
            self._write(wait=_WAIT_SECONDS)
            return True
        return bool(done or begun)

    def finish(self, seconds: float) -> None:
        """Waits for what is in hand, and writes it down; the lease brings back what takes longer."""
        until = time.monotonic() + seconds
        while self.in_hand and (left := until - time.monotonic()) > 0:
            self._write(wait=min(left, _WAIT_SECONDS))

    def _free(self) -> int:
        """How many senders to find work for: some at once, since looking for it costs as much for one as for all."""
        senders = config.current().webhook_senders
        free = senders - len(self.in_hand)
        few = free < senders / 4 and time.monotonic() - self._claimed_at < _FEW_WAIT_SECONDS
        return 0 if few else free

    def _begin(self, most: int, stopping: Callable[[], bool]) -> int:
        self._claimed_at = time.monotonic()
        errands = claim(most, self.in_hand)
        for errand in errands:
            self.in_hand.add(errand.setting_id)
            threading.Thread(target=carry, args=(errand, self._reports.put, stopping), daemon=True).start()
        return len(errands)

    def _write(self, wait: float) -> int:
        """Keeps what can't be written now: it was sent, and must not be sent again only because of that."""
        self._unwritten += _all_of(self._reports, wait)
        reports = self._unwritten
        if reports:
            outcomes.write(reports)
            self._unwritten = []
            self.in_hand -= {each.errand.setting_id for each in reports if each.attempt is None}
        return len(reports)


_deliveries = Deliveries()


def deliver(*, stopping: Callable[[], bool] = lambda: False) -> bool:
    """One step of this process's deliveries; whether there is more."""
    return _deliveries.step(stopping)


def finish(seconds: float) -> None:
    _deliveries.finish(seconds)


def claim(most: int, but_not: set[str]) -> list[Errand]:
    """Takes a lease on endpoints that have something due, and what is to be sent to them.

    Looks first: on SQLite a transaction keeps customers waiting.
    """
    now = clock.now()
    wanted = _due_endpoints(now).where(NotificationSetting.id.not_in(but_not))
    if session().execute(wanted.with_only_columns(NotificationSetting.id).limit(1)).first() is None:
        return []
    lease_until = now + LEASE
    with transaction():
        settings = session().scalars(wanted.limit(most).with_for_update(skip_locked=True, key_share=True)).all()
        if not settings:
            return []
        ids = [each.id for each in settings]
        session().execute(
            update(NotificationSetting)
            .where(NotificationSetting.id.in_(ids))
            .values(lease_until=lease_until)
            .execution_options(synchronize_session=False)
        )
        parcels = _parcels(ids, now)
    return [_errand(each, lease_until, parcels[each.id]) for each in settings]


def _due_endpoints(now: datetime) -> Select[Any]:
    """Endpoints that nobody has and that do not rest; first who waited longest for a sender."""
    it = NotificationSetting
    return (
        select(it)
        .where(
            it.active.is_(True),
            it.type == "url",
            it.deleted_at.is_(None),
            or_(it.lease_until.is_(None), it.lease_until <= now),
            or_(it.rests_until.is_(None), it.rests_until <= now),
            exists().where(Notification.setting_id == it.id, Notification.run_at <= now),
        )
        .order_by(it.lease_until.asc().nulls_first(), it.id)
    )


def _parcels(setting_ids: Sequence[str], now: datetime) -> dict[str, list[Parcel]]:
    """The first due notifications of each endpoint."""
    named = {f"setting_{number}": id for number, id in enumerate(setting_ids)}
    parcels = defaultdict(list)
    for each in connection().execute(_first_due(len(setting_ids)), {"now": now, **named}):
        parcels[each.setting_id].append(
            Parcel(each.id, each.event_id, each.type, each.occurred_at, each.data, each.times_attempted)
        )
    return parcels


@lru_cache(maxsize=256)
def _first_due(endpoints: int) -> Select[Any]:
    """For so many endpoints one statement that reads no more than what a sender is given; in the order of events."""
    row = table(Notification).c
    of_each = [
        select(row.id, row.setting_id, row.event_id, row.times_attempted)
        .where(row.setting_id == bindparam(f"setting_{number}"), row.run_at <= bindparam("now"))
        .order_by(row.run_at, row.event_id)
        .limit(AT_ONCE)
        .subquery()
        .select()
        for number in range(endpoints)
    ]
    due, event = union_all(*of_each).subquery(), table(Event).c
    wanted = select(due, event.type, event.occurred_at, event.data).join_from(due, Event, event.id == due.c.event_id)
    return wanted.order_by(due.c.event_id, due.c.id)


def _errand(setting: NotificationSetting, lease_until: datetime, parcels: list[Parcel]) -> Errand:
    try:
        secrets = notification_settings.signing_secrets(setting)
    except sealing.Unreadable:
        secrets = ()
    given = parcels if setting.failing_since is None else parcels[:1]
    return Errand(setting.id, setting.destination, secrets, lease_until, tuple(given))


def _all_of(reports: "queue.SimpleQueue[Report]", wait: float) -> list[Report]:
    """What has come back by now; waits a little for the first."""
    found: list[Report] = []
    try:
        found.append(reports.get(timeout=wait) if wait else reports.get_nowait())
        while True:
            found.append(reports.get_nowait())
    except queue.Empty:
        return found
