"""T29: for minutes or hours customers, apps and staff are at it at once, while every so often something is killed.

`PORTAL_SOAK_MINUTES` says for how long (3 unless told otherwise, 2 at least). Two web servers and two workers; one of
each is killed again and again, the other must hold no more memory at the end than half-way.
"""

import os
import random
import threading
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from portal import clock, config, worker
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.transactions import Transaction
from tests import people
from tests.conftest import Clock
from tests.faults import crowd, soak
from tests.faults.processes import portal, served
from tests.outbox import shop
from tests.receiver import Receiver
from tests.smtp import MailServer

MINUTES = float(os.environ.get("PORTAL_SOAK_MINUTES", "3"))
SECONDS = MINUTES * 60
KILL_EVERY = min(60.0, max(10.0, SECONDS / 18))
LIVES_A_SECOND = 3
SEED = 29
TOLD = {"cancellation_scheduled", "cancellation_withdrawn", "subscription_ended", "renewed"}


@pytest.mark.long
@pytest.mark.timeout(int(SECONDS * 1.5) + 600)
def test_day_in_day_out_nobody_is_charged_wrongly_and_nothing_grows(
    database: str, the_clock: Clock, configure: Any, smtp: MailServer, tmp_path: Path
) -> None:
    clock._frozen = None
    configure(webhook_private=True, brand_support="", brand_url="")  # as the processes have them
    seen, rng, key = soak.Seen(), random.Random(SEED), people.key(everything=True)
    with Receiver() as endpoint:
        endpoint.choose = soak.faulty(random.Random(SEED))
        shop.destination(endpoint.url)
        lives = live(seen, rng, key, smtp, tmp_path)
        endpoint.choose = None
        finish_what_is_left(the_clock)
        tell(seen)
        assert seen.problems == []
        assert_it_was_hard(seen)
        assert_each_has_its_story(lives)
        assert_each_was_told(smtp, endpoint)
    assert seen.longest_lock < 5
    assert {who: round(seen.growth(who), 2) for who in seen.memory if seen.growth(who) > 1.1} == {}


def live(seen: soak.Seen, rng: random.Random, key: dict[str, str], mails: MailServer, folder: Path) -> list[soak.Life]:
    """All that happens; what became of it is in the database."""
    with (
        served(folder / "server.log", web_workers="1") as (server, origin),
        portal("worker", log=folder / "worker.log", webhook_private="on") as steady,
        soak.Mortals(seen, folder, mails) as mortals,
    ):
        begins = clock.now()
        until = begins + timedelta(seconds=SECONDS)
        last_end = until - config.current().renewal_grace - timedelta(seconds=5)
        count = int(SECONDS * LIVES_A_SECOND)
        lives = soak.lives(count, begins + timedelta(seconds=16), last_end, rng)
        servers = soak.Servers(seen, origin, mortals.origin)
        with soak.together(
            seen,
            *(partial(soak.customers, servers, lives[n::4], n) for n in range(4)),
            partial(soak.app, servers, lives, key),
            partial(soak.colleague, servers, lives),
            partial(mortals.die_every, KILL_EVERY),
            partial(soak.watch, seen, {"server": server, "worker": steady}),
        ):
            threading.Event().wait((until - clock.now()).total_seconds())
        for each in (server, steady):
            each.ask_to_stop()
        assert [each.stopped_within(10) for each in (server, steady)] == [0, 0]
    return lives


def finish_what_is_left(the_clock: Clock) -> None:
    """What the killed had in hand, and what was to be tried again, in the hours that follow."""
    the_clock.set(clock.now())
    for _ in range(12):
        the_clock.advance(hours=1)
        worker.run_until_idle()


def tell(seen: soak.Seen) -> None:
    print(f"{MINUTES:g} minutes: asked {dict(seen.asked)}, {seen.unanswered} without an answer, died {dict(seen.died)}")
    print(f"longest wait for a lock {seen.longest_lock:.2f} s")
    for who, held in seen.memory.items():
        files = seen.files[who]
        print(
            f"{who}: {held[len(held) // 2]:.0f} MB half-way, {held[-1]:.0f} MB at the end ({seen.growth(who):.3f})",
            end="",
        )
        print(f"; {files[len(files) // 2]} and {files[-1]} open files")


def assert_it_was_hard(seen: soak.Seen) -> None:
    """Everybody came, each thing died, and some people found a server dead."""
    assert min(seen.asked[who] for who in ("customer", "app", "staff")) > SECONDS / 4, seen.asked
    assert min(seen.died[what] for what in ("worker", "server process", "mail server")) >= 3, seen.died
    assert seen.unanswered > 0


def assert_each_has_its_story(lives: list[soak.Life]) -> None:
    """Ended or renewed, once, as was asked for last; charged once or not at all."""
    rows, mails, billed = crowd.rows(), crowd.mails(), Counter[str]()
    transitions: dict[str, list[str]] = {}
    with crowd.reading() as found:
        for event in found.scalars(select(Event).where(Event.subscription_id.is_not(None)).order_by(Event.id)):
            if event.transition:
                transitions.setdefault(event.subscription_id or "", []).append(event.transition)
        billed.update(str(each) for each in found.scalars(select(Transaction.subscription_id)))
    uncertain, outcomes = 0, Counter[str]()
    for life in lives:
        row, story = rows[life.sub], transitions[life.sub]
        ended = row.status == "canceled"
        assert (row.canceled_at, billed[life.sub]) == ((life.ends, 0) if ended else (None, 1)), life
        assert sorted(mails[life.sub]) == sorted(each for each in story if each in TOLD), life
        if life.is_certain:
            assert story == life.story(), life
        uncertain += not life.is_certain
        outcomes[story[-1]] += 1
    assert crowd.check_payments()["completed"] == outcomes["renewed"]
    assert min(outcomes["renewed"], outcomes["subscription_ended"]) > len(lives) / 4, outcomes
    print(f"{len(lives)} subscriptions: {dict(outcomes)}; answered too late to be sure of {uncertain}")
    assert uncertain < len(lives) / 4


def assert_each_was_told(smtp: MailServer, endpoint: Receiver) -> None:
    """Every mail went out, twice only as the same message; every event reached the shop."""
    with crowd.reading() as found:
        rows = {mail.id: mail.status for mail in found.scalars(select(Mail))}
        told = select(Event.id).where(Event.type.in_(("subscription.updated", "subscription.canceled")))
        happened = set(found.scalars(told))
    assert set(rows.values()) == {"sent"}
    first: dict[str, bytes] = {}
    for each in smtp.received:
        whole = each.message.as_bytes()
        assert first.setdefault(str(each.message["Message-ID"]), whole) == whole
    assert {each.strip("<>").partition("@")[0] for each in first} == set(rows)
    assert {each.payload["event_id"] for each in endpoint.acted} == happened
    print(f"{len(rows)} mails, {len(smtp.received) - len(rows)} of them twice; ", end="")
    print(f"{len(happened)} events, {len(endpoint.deliveries) - len(happened)} deliveries more than that")
