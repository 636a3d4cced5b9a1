"""How an end is told: midnight is the end of the day before, wherever somebody reads it; other instants are exact."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from portal import config, i18n, worker
from portal.outbox import emails
from tests import people
from tests.customer import visits
from tests.outbox.letters import letter
from tests.person import Page, Person
from tests.staff.console import colleague

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)
CHOSEN = "20 January 2027 at the end of the day (UTC)"
WRONG = re.compile("21 January 2027|00:00")
"""What nobody may read where 20 January was chosen."""
_ENDS = r"(?<!scheduled_)(?:ends_at|canceled_at|paid_until|effective_at)"
_TOLD = re.compile(rf"\b{_ENDS}\)?\s*\|\s*(?:instant|day)\b|when\([^()]*\b{_ENDS}\)")
_NO_END = ("amount=terms.amount|money(currency), date=terms.ends_at|day", "pause", "resum")
"""A payment on the day on which the first period ends; pauses begin, and are over, at an instant of their own."""


# The rule


@pytest.mark.parametrize(
    ("zone", "at", "told", "short"),
    [
        (None, MIDNIGHT, "31 December 2026 at the end of the day (UTC)", "31 December 2026"),
        ("Europe/London", MIDNIGHT, "31 December 2026 at the end of the day (GMT)", "31 December 2026"),
        (None, MIDNIGHT + timedelta(hours=12), "1 January 2027 at 12:00 UTC", "1 January 2027"),
        (None, MIDNIGHT + timedelta(seconds=1), "1 January 2027 at 00:00 UTC", "1 January 2027"),
        (None, MIDNIGHT - timedelta(microseconds=1), "31 December 2026 at 23:59 UTC", "31 December 2026"),
        ("Europe/Berlin", MIDNIGHT, "1 January 2027 at 01:00 CET", "1 January 2027"),
        ("America/New_York", MIDNIGHT, "31 December 2026 at 19:00 EST", "31 December 2026"),
        (
            "Europe/Berlin",
            MIDNIGHT - timedelta(hours=1),
            "31 December 2026 at the end of the day (CET)",
            "31 December 2026",
        ),
        ("nowhere", MIDNIGHT, "31 December 2026 at the end of the day (UTC)", "31 December 2026"),
    ],
)
def test_midnight_in_the_zone_of_who_reads_it_is_the_end_of_the_day_before(
    configure: Any, zone: str | None, at: datetime, told: str, short: str
) -> None:
    with i18n.speaking("en", zone):
        assert (i18n.end(at), i18n.end_day(at)) == (told, short)


def test_in_german_a_day_ends_at_24_o_clock(configure: Any) -> None:
    with i18n.speaking("de"):
        assert i18n.end(MIDNIGHT) == "31. Dezember 2026 um 24:00 UTC"
        assert i18n.end(MIDNIGHT + timedelta(minutes=1)) == "1. Januar 2027 um 00:01 UTC"
        assert i18n.end_day(MIDNIGHT) == "31. Dezember 2026"


def test_a_day_ends_where_clocks_skip_midnight_and_only_once_where_it_comes_twice(configure: Any) -> None:
    with i18n.speaking("en", "Asia/Beirut"):  # on 29 March 2026 the day begins at 01:00
        assert i18n.end(datetime(2026, 3, 28, 22, tzinfo=UTC)).startswith("28 March 2026 at the end of the day")
    with i18n.speaking("en", "America/Havana"):  # on 1 November 2026 it is 00:00 once more an hour later
        assert i18n.end(datetime(2026, 11, 1, 4, tzinfo=UTC)).startswith("31 October 2026 at the end of the day")
        assert i18n.end(datetime(2026, 11, 1, 5, tzinfo=UTC)).startswith("1 November 2026 at 00:00")


def test_no_template_tells_an_end_by_another_rule() -> None:
    told = [
        f"{path.name}: {line.strip()}"
        for path in (config.ROOT / "templates").rglob("*")
        if path.is_file()
        for line in path.read_text().splitlines()
        if _TOLD.search(line) and not any(word in line for word in _NO_END)
    ]
    assert told == []


# A day that staff chose


@pytest.fixture
def admin(app: Flask) -> Person:
    return colleague(app, "admin", "Ada Admin")


def choose(somebody: Person, sub: str, day: str) -> Page:
    somebody.open(f"/console/subscriptions/{sub}/cancel")
    return somebody.press("Continue", choice="date", day=day)


def test_the_chosen_day_stands_on_the_confirmation_and_on_every_page_of_the_console(admin: Person) -> None:
    sub = visits.subscribed()
    asked = choose(admin, sub, "2027-01-20")
    assert f"Access ends {CHOSEN} Still charged" in asked
    assert f"for a part of a period, 11 January 2027 at 12:00 UTC to {CHOSEN}" in asked
    done = admin.press("Cancel payments")
    assert f"The cancellation is recorded The subscription ends on {CHOSEN} ." in done
    assert f"It ends on {CHOSEN} . Until then payments go on" in done
    assert f"Cancellation scheduled for {CHOSEN}" in done
    keep = admin.open(f"/console/subscriptions/{sub}/keep")
    assert f"Would have ended {CHOSEN} , as staff asked" in keep
    change = admin.open(f"/console/subscriptions/{sub}/cancel")
    assert f"It ends on {CHOSEN} , as staff asked." in change
    customer = admin.open(f"/console/customers/{visits.owner(sub)}")
    assert f"Ends on {CHOSEN}" in customer
    for page in (asked, done, keep, change, customer):
        assert not WRONG.search(page.words)
        assert '<time datetime="2027-01-21T00:00:00+00:00">20 January 2027' in page.html


def test_the_list_hints_at_the_chosen_day(admin: Person) -> None:
    sub = visits.subscribed()
    choose(admin, sub, "2027-01-20")
    admin.press("Cancel payments")
    assert "Pending cancellation ends 20 January 2027" in admin.open("/console/subscriptions")


def test_another_day_is_moved_to_and_withdrawn_under_its_own_name(admin: Person) -> None:
    sub = visits.subscribed()
    choose(admin, sub, "2027-01-20")
    admin.press("Cancel payments")
    moved = choose(admin, sub, "2027-01-31")
    assert "Access ends 31 January 2027 at the end of the day (UTC)" in moved
    assert f"Instead of {CHOSEN} ." in moved
    assert "The end was moved to 31 January 2027 at the end of the day (UTC)" in admin.press("Change the end")
    admin.open(f"/console/subscriptions/{sub}/keep")
    kept = admin.press("Don’t cancel payments")
    assert "it would have ended on 31 January 2027 at the end of the day (UTC)" in kept
    assert "The next payment is $300.00 on 11 December 2026 at 12:00 UTC" in kept


def test_the_customer_reads_the_chosen_day_on_their_pages(admin: Person, person: Person) -> None:
    sub = visits.subscribed()
    choose(admin, sub, "2027-01-20")
    admin.press("Cancel payments")
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/subscriptions/{sub}")
    for words in (
        "Ends on 20 January 2027 AeroEdit has canceled it.",
        f"It ends on {CHOSEN}.",
        f"Ends on {CHOSEN} Paid with",
    ):
        assert words in page
    others = [person.open(f"/portal{where}") for where in ("", f"/subscriptions/{sub}/keep")]
    assert "Ends on 20 January 2027" in others[0]
    assert f"It ends on {CHOSEN}." in others[1]
    for each in (page, *others):
        assert not WRONG.search(each.words)


@pytest.mark.parametrize(
    ("locale", "zone", "subject", "texts"),
    [
        (
            "en",
            None,
            "AeroEdit Pro ends on 20 January 2027",
            (f"Ends: {CHOSEN} ", "11 January 2027: $91.94, for the time until the end"),
        ),
        ("de", None, "AeroEdit Pro endet am 20. Januar 2027", ("Ende: 20. Januar 2027 um 24:00 UTC ",)),
        (
            "en",
            "Europe/Berlin",
            "AeroEdit Pro ends on 21 January 2027",
            ("Ends: 21 January 2027 at 01:00 CET ",),
        ),
    ],
)
def test_the_mail_and_its_subject_name_the_chosen_day_or_the_instant_in_the_readers_own_zone(
    admin: Person, locale: str, zone: str | None, subject: str, texts: tuple[str, ...]
) -> None:
    sub = visits.subscribed(people.customer(locale=locale, custom_data={"time_zone": zone} if zone else None))
    choose(admin, sub, "2027-01-20")
    admin.press("Cancel payments")
    (mail,) = visits.mails("cancellation_scheduled")
    assert mail.facts["ends_at"] == "2027-01-21T00:00:00.000000Z"
    assert said(mail)[0] == subject
    for words in texts:
        assert words in said(mail)[1]


def test_once_carried_out_the_chosen_day_is_when_it_ended(
    app: Flask, admin: Person, person: Person, the_clock: Any
) -> None:
    sub = visits.subscribed()
    choose(admin, sub, "2026-12-05")
    admin.press("Cancel payments")
    the_clock.advance(days=20)
    assert worker.period_end() == 1
    ended = "5 December 2026 at the end of the day (UTC)"
    later = colleague(app)
    assert f"It ended on {ended} . No further payment" in later.open(f"/console/subscriptions/{sub}")
    assert f"It ended on {ended} ." in later.open(f"/console/subscriptions/{sub}/cancel")
    assert f"Ended on: {ended} " in said(visits.mails("subscription_ended")[0])[1]
    visits.come_in(person, visits.owner(sub))
    assert f"It ended on {ended}." in person.open(f"/portal/subscriptions/{sub}")
    assert f"It ended on {ended}." in person.open(f"/portal/subscriptions/{sub}/keep")
    assert people.row(sub).canceled_at == datetime(2026, 12, 6, tzinfo=UTC)


def test_apps_and_tables_get_the_exact_instant(admin: Person, app: Flask) -> None:
    sub = visits.subscribed()
    choose(admin, sub, "2027-01-20")
    admin.press("Cancel payments")
    answer = app.test_client().get(f"/subscriptions/{sub}", headers=people.key("subscription.read")).json or {}
    assert answer["data"]["scheduled_change"]["effective_at"] == "2027-01-21T00:00:00.000000Z"
    assert "2027-01-21" in admin.open("/console/subscriptions.csv").html


# Periods


def test_a_period_that_ends_at_midnight_is_told_by_its_last_day_and_the_payment_by_its_own(
    admin: Person, person: Person
) -> None:
    sub = visits.subscribed(period_ends_at=MIDNIGHT)
    paid = "31 December 2026 at the end of the day (UTC)"
    shown = admin.open(f"/console/subscriptions/{sub}")
    assert f"It is active and paid until {paid} ." in shown
    assert "The next payment is $300.00 on 1 January 2027 at 00:00 UTC" in shown
    assert f"{paid}. Nothing more is charged." in admin.open(f"/console/subscriptions/{sub}/cancel")
    visits.come_in(person, visits.owner(sub))
    assert "It renews on 1 January 2027 at 00:00 UTC" in person.open(f"/portal/subscriptions/{sub}")
    assert f"When it ends {paid} Until then" in person.open(f"/portal/subscriptions/{sub}/cancel")
    done = person.press("Cancel at the end of the period")
    assert f"AeroEdit Pro ends on {paid}. Until then you can change your mind." in done
    keep = person.open(f"/portal/subscriptions/{sub}/keep")
    assert f"Would have ended on {paid} Price" in keep
    assert "Next payment 1 January 2027 at 00:00 UTC" in keep
    subject, text = said(visits.mails("cancellation_scheduled")[0])
    assert subject == "Your cancellation: AeroEdit Pro ends on 31 December 2026"
    assert f"at the same price and on the same dates, until {paid}." in text


def test_a_period_that_ends_at_a_time_of_day_is_told_as_ever(admin: Person, person: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    when = "11 December 2026 at 12:00 UTC"
    assert f"It ends on {when} ." in admin.open(f"/console/subscriptions/{sub}")
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/subscriptions/{sub}")
    assert "Ends on 11 December 2026 You canceled it." in page
    assert f"It ends on {when}." in page


def test_a_trial_ends_with_its_last_day_and_is_paid_on_the_next(configure: Any) -> None:
    at = "2027-01-31T23:00:00.000000Z"
    subject, text = said(letter("renewal_reminder", status="trialing", next_billed_at=at))
    assert subject == "Your trial of AeroEdit Pro ends on 31 January 2027"
    assert "Then your trial of AeroEdit Pro becomes a paid subscription." in text
    assert "First payment: 1 February 2027 at 00:00 CET" in text
    subject, _ = said(letter("renewal_reminder", next_billed_at=at))
    assert subject == "AeroEdit Pro renews on 1 February 2027"


def test_the_part_of_a_period_that_a_payment_is_for_ends_with_a_day(configure: Any) -> None:
    _, text = said(
        letter("renewal_reminder", ending=True, next_due=1239, next_has_more=False, part_ends_at="2027-01-31T23:00:00Z")
    )
    assert "for the time until 31 January 2027 at the end of the day (CET)" in text


def said(mail: Any) -> tuple[str, str]:
    """Subject and text of a mail, without line breaks."""
    message = emails.compose(mail)
    body = message.get_body(("plain",))
    assert body is not None
    return str(message["Subject"]), " ".join(body.get_content().split())
