"""The audit record: every act of a person is on it, it is found again, exported, and never changed."""

import csv
import io
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from flask import Flask

from portal import spreadsheet
from portal.db import transaction
from portal.domain import audit, cancellation, subscriptions
from portal.domain.actors import Actor
from tests.conftest import NOW
from tests.customer import visits
from tests.person import Person
from tests.staff import console

BY_APP = Actor("key", "apikey_1", "API", "The app", received_at=NOW)


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def cancel(by: Actor) -> str:
    sub = visits.subscribed()
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=by, reason="unused")
    return sub


def noted(count: int, **facts: Any) -> None:
    by = console.acting()
    with transaction():
        audit.record_all((("thing.done", f"thing_{n}", None, facts) for n in range(count)), by=by)


@pytest.mark.parametrize("kind", ["customer", "staff", "key"])
def test_who_cancels_stands_on_record_by_name_and_way(app: Flask, ada: Person, kind: str) -> None:
    by = {
        "customer": Actor("customer", "ctm_1", "email link", "Amelia Harper"),
        "staff": console.acting(),
        "key": BY_APP,
    }[kind]
    sub = cancel(by)
    (entry,) = console.audited("cancellation_scheduled")
    assert (entry.actor_kind, entry.actor_name, entry.way) == (kind, by.name, by.way)
    assert (entry.subject_id, entry.customer_id) == (sub, visits.owner(sub))
    page = ada.open("/console/audit")
    assert by.name in page
    assert page.links[sub] == f"/console/subscriptions/{sub}"


def test_what_the_portal_does_by_itself_is_not_somebodys_act(app: Flask) -> None:
    cancel(Actor("system", "portal", "worker", "portal"))
    assert console.audited() == []


def test_support_may_not_read_it(app: Flask) -> None:
    sam = console.colleague(app)
    for path in ("/console/audit", "/console/audit.csv"):
        assert (sam.open(path).status, "Only an admin may do this" in sam.open(path)) == (403, True)


def test_who_is_signed_out_is_asked_to_sign_in(person: Person) -> None:
    assert person.open("/console/audit").path == "/console/sign-in"
    assert person.open("/console/audit.csv").path == "/console/sign-in"


def test_it_is_paged_newest_first(ada: Person) -> None:
    noted(120)
    first = ada.open("/console/audit?action=thing.done")
    assert ("thing_119" in first, "thing_70" in first, "thing_69" in first) == (True, True, False)
    second = ada.open(first.links["Next"])
    assert ("thing_69" in second, "thing_20" in second, "thing_19" in second) == (True, True, False)
    third = ada.open(second.links["Next"])
    assert ("thing_0" in third, "Next" in third.links) == (True, False)


def test_it_is_filtered_by_who_what_about_and_day(ada: Person, the_clock: Any) -> None:
    noted(1)
    sub = cancel(BY_APP)
    the_clock.advance(days=2)
    noted(2)
    sam = console.member().id
    console.sign_in(ada, console.member("admin", "Ada Admin"))

    def shown(**wanted: str) -> int:
        page = ada.open("/console/audit?" + "&".join(f"{name}={value}" for name, value in wanted.items()))
        return page.html.count('<tr role="row">') - 1

    assert shown(actor=sam) == 3
    assert shown(action="cancellation_scheduled") == shown(subject=sub) == shown(subject=visits.owner(sub)) == 1
    assert shown(action="thing.done", since="2026-11-23") == 2
    assert shown(action="thing.done", until="2026-11-21") == 1
    assert "Nothing on record fits" in ada.open("/console/audit?subject=nobody")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("actor=ctm_1&action=staff.", ("ctm_1", "staff: anything")),
        ("actor=shell&action=thing.made", ("Command line", "thing: made")),
        ("", ("Anybody", "Anything")),
    ],
)
def test_a_filter_that_is_in_force_is_shown_and_sent_again(ada: Person, query: str, shown: tuple[str, str]) -> None:
    page = ada.open(f"/console/audit?{query}")
    wanted = dict(parse_qsl(query))
    fields = page.forms[1].fields
    assert (fields["actor"], fields["action"]) == (wanted.get("actor", ""), wanted.get("action", ""))
    for each in shown:
        assert each in page


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "until=2026-13-01",
        "before=x",
        "since=0001-01-01",
        "before=evt_1",
        "actor=%00",
        "subject=" + "x" * 101,
    ],
)
def test_what_is_no_filter_is_refused(ada: Person, query: str) -> None:
    assert ada.open(f"/console/audit?{query}").status == 400
    if not query.startswith("before"):
        assert ada.open(f"/console/audit.csv?{query}").status == 400
    assert console.audited("audit.exported") == []


def test_the_export_has_every_row_that_is_filtered_and_is_on_record_itself(ada: Person) -> None:
    noted(1100, note="=HYPERLINK(1)")
    answer = ada.client.get("/console/audit.csv?action=thing.done")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert (len(rows), rows[0]["about"], rows[-1]["about"]) == (1100, "thing_1099", "thing_0")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-2026-11-21.csv"'
    (exported,) = console.audited("audit.exported")
    assert (exported.actor_name, exported.facts) == ("Ada Admin", {"filters": {"action": "thing.done"}})


def test_a_look_at_the_head_takes_nothing(ada: Person) -> None:
    assert ada.client.head("/console/audit.csv", headers=ada.headers).status_code == 200
    assert console.audited("audit.exported") == []


def test_hostile_text_is_shown_as_text(ada: Person) -> None:
    noted(1, note="<script>alert(1)</script>{{ 7*7 }}")
    page = ada.open("/console/audit")
    assert "<script>alert(1)</script>{{ 7*7 }}" in page
    assert "<script>alert" not in page.html


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1", "x;=1", 'x; "=1', "x\n=1", "x;\t @a"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    """Nor what a spreadsheet makes a cell that parts them by semicolons and takes quotes for letters."""
    (_, (shown,)) = csv.reader(io.StringIO("".join(spreadsheet.lines(("a",), [(text,)]))[1:], newline=""))
    assert shown.replace("'", "") == text
    for each in (shown, *re.split(r"[;\t\r\n]", shown)):
        assert not each.lstrip(' "').startswith(("=", "+", "-", "@", "＝")), shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (-5, "-5"), ("a;b", "a;b"), ("a -b; c=d", "a -b; c=d"), ("Zoë", "Zoë")]
)
def test_other_cells_are_what_they_were(value: Any, shown: str) -> None:
    assert spreadsheet.cell(value) == shown
