"""The console lets its people in and nobody else, and no page knows a customer and a colleague at once."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal import db
from portal.domain import browser_sessions, staff, staff_sessions
from portal.domain.actors import shell
from portal.domain.audit import AuditEntry
from portal.errors import LastAdmin
from tests.customer import visits
from tests.person import Person
from tests.staff import console


def test_who_is_signed_out_is_asked_to_sign_in_and_led_back(person: Person) -> None:
    page = person.open("/console?x=1")
    assert page.path == "/console/sign-in"


def test_a_slash_at_the_end_of_the_address_leads_to_the_console_too(app: Flask, person: Person) -> None:
    for method in ("GET", "HEAD"):
        answer = person.client.open("/console/", method=method)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/console")
    assert person.open("/console/").path == "/console/sign-in"
    assert console.colleague(app).open("/console/").path == "/console/subscriptions"


def test_a_customer_is_nobody_in_the_console(app: Flask, person: Person) -> None:
    visits.come_in(person, visits.owner(visits.subscribed()))
    assert person.open("/console").path == "/console/sign-in"


def test_a_colleague_is_nobody_on_the_pages_of_customers(app: Flask) -> None:
    assert console.colleague(app, "admin").open("/portal").path == "/portal/sign-in"


def test_a_sign_in_ends_by_itself_and_by_the_button(app: Flask, the_clock: Any) -> None:
    sam = console.colleague(app)
    the_clock.advance(hours=1.9)
    assert sam.open("/console/nothing").status == 404
    the_clock.advance(hours=2.1)
    assert sam.open("/console").path == "/console/sign-in"
    console.sign_in(sam, console.member())
    sam.open("/console/nothing")
    assert sam.press("Sign out").path == "/console/sign-in"
    assert sam.open("/console").path == "/console/sign-in"
    assert [each.actor_name for each in console.audited("staff.signed_out")] == ["Sam Support"]


def test_a_button_pressed_after_the_sign_in_has_ended_says_that_nothing_was_changed(app: Flask, the_clock: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    sam.open(f"/console/subscriptions/{sub}/cancel")
    sam.press("Continue")
    the_clock.advance(hours=3)
    page = sam.press("Cancel payments", step="confirm")
    assert page.path == "/console/sign-in"
    assert "You were signed out. Nothing was changed." in page
    assert not visits.is_scheduled(sub)
    assert "You were signed out" not in sam.open(f"/console/subscriptions/{sub}")
    console.sign_in(sam, console.member())
    assert "You were signed out" not in sam.open("/console/sign-in?done=signed-out")


def test_who_is_taken_off_the_staff_is_out_at_once(app: Flask) -> None:
    console.member("admin", "Ada Admin")
    sam = console.colleague(app)
    with db.transaction():
        staff.remove(staff.by_email("sam@aeroedit.example"), by=shell())
    assert sam.open("/console").path == "/console/sign-in"


def test_the_first_person_is_an_admin_and_the_only_admin_stays(database: str) -> None:
    with db.transaction():
        ada = staff.add("ada@aeroedit.example", by=shell())
        sam = staff.add("sam@aeroedit.example", by=shell())
    assert (ada.role, sam.role) == ("admin", "support")
    with pytest.raises(LastAdmin), db.transaction():
        staff.remove(ada, by=shell())
    with pytest.raises(LastAdmin), db.transaction():
        staff.change(ada, role="support", by=shell())
    with db.transaction():
        assert [each.role for each in staff.everybody()] == ["admin", "support"]


_AGAIN = "INTO audit_entries SELECT id, at, 'x', actor_kind, actor_id, actor_name, way, subject_id, customer_id, facts"
_OTHERS = "'aud_x', at, 'x', actor_kind, actor_id, actor_name, way, subject_id, customer_id, facts FROM audit_entries"
_EVERYWHERE = (
    "UPDATE audit_entries SET action = 'x'",
    "DELETE FROM audit_entries",
    f"INSERT {_AGAIN} FROM audit_entries WHERE true ON CONFLICT (id) DO UPDATE SET action = excluded.action",
)
_REFUSED = {
    "sqlite": (
        *_EVERYWHERE,
        "UPDATE OR REPLACE audit_entries SET action = 'x'",
        f"INSERT OR REPLACE {_AGAIN} FROM audit_entries",
        f"REPLACE {_AGAIN} FROM audit_entries",
        f"REPLACE INTO audit_entries (rowid, {', '.join(AuditEntry.__table__.c.keys())}) SELECT rowid, {_OTHERS}",
    ),
    "postgresql": (*_EVERYWHERE, "TRUNCATE audit_entries", "TRUNCATE audit_entries CASCADE"),
}


def test_the_database_refuses_to_change_the_audit_record(app: Flask) -> None:
    console.member()
    with db.engine().connect() as connection:
        before = connection.execute(text("SELECT * FROM audit_entries")).all()
    for statement in _REFUSED[db.engine().dialect.name]:
        with pytest.raises(DBAPIError, match="can only grow"), db.engine().begin() as connection:
            connection.execute(text(statement))
    with db.engine().connect() as connection:
        assert connection.execute(text("SELECT * FROM audit_entries")).all() == before != []


def test_the_cookie_of_one_door_is_nothing_at_the_other(app: Flask) -> None:
    cookie = console.sign_in(Person(app), console.member())
    assert staff_sessions.find(cookie) is not None
    assert browser_sessions.find(cookie) is None
