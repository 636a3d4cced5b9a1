"""Colleagues at the console: who is signed in, and what the record says they did."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from portal import access
from portal.db import session, transaction
from portal.domain import staff, staff_sessions
from portal.domain.actors import Actor, shell
from portal.domain.audit import AuditEntry
from portal.domain.staff import StaffMember
from tests.person import Person


def colleague(app: Flask, role: str = "support", name: str = "Sam Support", email: str | None = None) -> Person:
    """Somebody of the staff with a browser that is signed in to the console."""
    somebody = Person(app)
    sign_in(somebody, member(role, name, email))
    return somebody


def member(role: str = "support", name: str = "Sam Support", email: str | None = None) -> StaffMember:
    """Puts somebody on the staff."""
    with transaction():
        return staff.add(email or f"{name.split()[0].lower()}@aeroedit.example", role=role, name=name, by=shell())


def sign_in(somebody: Person, who: StaffMember) -> str:
    """Signs this browser in as somebody; gives the cookie."""
    with transaction():
        cookie = staff_sessions.begin(who, way="email link", client="127.0.0.1", agent="Mozilla/5.0 (a colleague)")
    somebody.client.set_cookie(access.staff_cookie_name(), cookie)
    return cookie


def take_off(email: str, *, left: str) -> None:
    """Takes somebody off the staff; `left` is an admin who stays."""
    member("admin", left)
    with transaction():
        gone = staff.by_email(email)
        assert gone is not None
        staff.remove(gone, by=shell())


def acting(role: str = "support", name: str = "Sam Support") -> Actor:
    """Somebody of the staff as the actor of a verb."""
    who = member(role, name)
    return Actor("staff", who.id, "console", who.called)


def audited(action: str | None = None) -> list[AuditEntry]:
    """What the audit record holds, oldest first; the tests' own preparations left out."""
    with transaction():
        wanted = select(AuditEntry).where(AuditEntry.way != "shell").order_by(AuditEntry.id)
        rows: Any = session().scalars(wanted if action is None else wanted.where(AuditEntry.action == action)).all()
        return list(rows)
