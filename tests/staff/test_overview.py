"""The payments overview: figures a worker has computed, and the list behind each."""

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from portal import db, worker
from portal.db import transaction
from portal.domain import cancellation, overview, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.conftest import NOW
from tests.person import Person
from tests.staff import console

IN_TEN_DAYS = NOW + timedelta(days=10)


@pytest.fixture
def sam(app: Flask) -> Person:
    return console.colleague(app)


def ends(sub: str, kind: str = "customer", **why: Any) -> str:
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor(kind, "x_1", "email link", "Somebody"), **why)
    return sub


def keeps(sub: str) -> None:
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=Actor("staff", "stf_1", "console", "Sam Support"))


def monthly(amount: int = 1000, ends_at: datetime = IN_TEN_DAYS, **fields: Any) -> str:
    price = people.price(amount, interval=fields.get("interval", "month"))
    fields = {"period_ends_at": ends_at, "anchor_at": ends_at} | fields
    return people.subscription(people.customer(), quantity=1, price_id=price, **fields)


def test_before_a_worker_has_been_by_the_page_says_so(sam: Person) -> None:
    assert "There are no figures yet" in sam.open("/console/overview")


def test_an_empty_portal_has_empty_figures(sam: Person) -> None:
    assert overview.refresh() is True
    page = sam.open("/console/overview")
    assert page.status == 200
    assert "Nobody has canceled" in page
    assert "As of 21 November 2026 at 12:00 UTC" in page


def test_every_state_is_counted_once(database: str) -> None:
    for status in ("active", "trialing", "past_due", "paused", "canceled"):
        monthly(status=status)
    ends(monthly())
    ends(monthly(status="past_due"))
    assert overview.compute()["states"] == {
        **dict.fromkeys(("active", "trialing", "past_due", "paused", "canceled"), 1),
        "pending": 2,
    }


def test_what_is_expected_counts_every_payment_of_thirty_days(database: str) -> None:
    monthly(1000)
    monthly(700, interval="week", ends_at=NOW + timedelta(days=1))  # days 1, 8, 15, 22 and 29
    monthly(50, interval="day", ends_at=NOW + timedelta(days=20))  # days 20 to 30
    monthly(9999, ends_at=NOW + timedelta(days=31))
    monthly(9999, status="past_due")
    monthly(9999, status="paused")
    ends(monthly(9999))
    assert overview.compute()["expected"] == {"USD": 1000 + 5 * 700 + 11 * 50}


def test_a_plan_is_expected_to_pay_what_is_left_of_it(database: str) -> None:
    monthly(700, interval="week", ends_at=NOW + timedelta(days=1), remaining_payments=2)
    assert overview.compute()["expected"] == {"USD": 1400}


def test_what_ends_on_a_date_is_expected_to_pay_for_its_part_of_the_last_period(database: str) -> None:
    weekly: dict[str, Any] = {"interval": "week", "began": NOW - timedelta(days=6), "ends_at": NOW + timedelta(days=1)}
    for sub, days in ((monthly(700, **weekly), 11), (monthly(9999), 3)):
        with transaction():
            end, sam = NOW + timedelta(days=days), Actor("staff", "stf_1", "console", "Sam Support")
            cancellation.on(subscriptions.get(sub), end, by=sam)
    assert overview.compute()["expected"] == {"USD": 700 + 300}


def test_failed_payments_are_what_is_owed(database: str, the_clock: Any) -> None:
    monthly(1000, ends_at=NOW + timedelta(hours=1), card="sandbox_declines")
    the_clock.advance(hours=2)
    worker.run_until_idle()
    assert overview.compute()["failed"] == {"USD": {"count": 1, "amount": 1000}}


def test_weeks_count_what_was_asked_for_kept_and_ended(database: str, the_clock: Any) -> None:
    first, second = ends(monthly()), ends(monthly())
    keeps(second)
    the_clock.set(IN_TEN_DAYS + timedelta(minutes=1))
    worker.period_end()
    weeks = overview.compute()["weeks"]
    assert len(weeks) == overview.WEEKS
    assert [list(week.values())[1:] for week in weeks[-3:]] == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert weeks[-3]["begins"] == "2026-11-16T00:00:00+00:00"
    assert people.row(first).status == "canceled"


def test_reasons_are_counted_given_at_once_or_later(database: str) -> None:
    ends(monthly(), "staff", reason="too_expensive")
    ends(monthly())
    later = ends(monthly())
    with transaction():
        by = Actor("customer", "ctm_1", "email link")
        cancellation.give_reason(subscriptions.get(later), reason="too_expensive", comment=None, by=by)
    assert overview.compute()["reasons"] == [("too_expensive", 2), ("", 1)]


def test_they_are_computed_anew_after_five_minutes_and_not_before(database: str, the_clock: Any) -> None:
    assert overview.refresh() is True
    monthly()
    the_clock.advance(minutes=4)
    assert overview.refresh() is False
    the_clock.advance(minutes=2)
    assert overview.refresh() is True
    found = overview.latest()
    assert found is not None
    assert found[0]["states"] == {"active": 1}


def test_who_computes_keeps_others_away_until_the_lease_is_over(database: str, the_clock: Any) -> None:
    assert overview._claim() is True
    assert overview.refresh() is False
    the_clock.advance(minutes=11)
    assert overview.refresh() is True


def test_each_figure_leads_to_the_list_behind_it(sam: Person) -> None:
    sub = ends(monthly(), "staff", reason="unused")
    overview.refresh()
    page = sam.open("/console/overview")
    behind = "/console/overview/changes?what=cancellation_scheduled&since=2026-11-16&until=2026-11-23"
    asked = sam.open(behind)
    assert asked.path.endswith("/changes")
    assert f"/console/subscriptions/{sub}" in asked.html
    assert "Not used enough" in asked
    assert "what=cancellation_scheduled&amp;since=2026-11-16&amp;until=2026-11-23" in page.html
    assert "There is nothing here" in sam.open(f"{behind}&reason=other")


def test_the_list_behind_a_figure_is_paged(sam: Person) -> None:
    subs = [ends(monthly()) for _ in range(60)]
    page = sam.open("/console/overview/changes?what=cancellation_scheduled&since=2026-11-16&until=2026-11-23")
    assert page.html.count("/console/subscriptions/sub_") == 50
    page = sam.open(page.links["Next"])
    assert page.html.count("/console/subscriptions/sub_") == 10
    assert f"/console/subscriptions/{subs[0]}" in page.html


@pytest.mark.parametrize(
    "query",
    ["", "what=x&since=2026-11-16&until=2026-11-23", "what=subscription_ended&since=x&until=2026-11-23",
     "what=subscription_ended&since=2026-11-16&until=2026-11-23&before='--"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(sam: Person, query: str) -> None:
    assert sam.open(f"/console/overview/changes?{query}").status == 400


def test_who_is_signed_out_is_asked_to_sign_in(person: Person) -> None:
    assert person.open("/console/overview").path == "/console/sign-in"
    assert person.open("/console/overview/changes").path == "/console/sign-in"


def test_hostile_names_and_reasons_are_shown_as_text(sam: Person) -> None:
    sub = people.subscription(people.customer("<b>Bold</b>"), period_ends_at=IN_TEN_DAYS)
    ends(sub, "staff", reason="<i>why</i>")
    overview.refresh()
    assert "<i>why" not in sam.open("/console/overview").html
    page = sam.open("/console/overview/changes?what=cancellation_scheduled&since=2026-11-16&until=2026-11-23")
    assert ("<b>Bold</b>" in page, "<b>Bold" in page.html) == (True, False)


@pytest.mark.parametrize("transition", ["cancellation_scheduled", "subscription_ended"])
def test_the_changes_are_read_through_their_index(database: str, transition: str) -> None:
    statement = overview._endings(transition, NOW - timedelta(weeks=1), NOW, None, None).limit(50)
    compiled = str(statement.compile(db.engine(), compile_kwargs={"literal_binds": True}))
    with db.engine().connect() as looking:
        if db.is_postgresql():
            looking.execute(text("SET enable_seqscan = off"))
        explain = "EXPLAIN " if db.is_postgresql() else "EXPLAIN QUERY PLAN "
        plan = str(looking.exec_driver_sql(explain + compiled.replace("%", "%%")).all())
    assert "ix_events_endings" in plan


def test_no_figure_leads_nowhere(sam: Person) -> None:
    ends(monthly(), "staff", reason="unused")
    monthly(status="past_due")
    overview.refresh()
    page = sam.open("/console/overview")
    behind = [each for each in re.findall(r'href="(/console/[^"]+)"', page.html) if "?" in each]
    assert len(behind) > 8
    assert {html.unescape(each): sam.open(html.unescape(each)).status for each in behind} == dict.fromkeys(
        map(html.unescape, behind), 200
    )
