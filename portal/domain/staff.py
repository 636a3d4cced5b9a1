"""The seller's people: who may use the console, and as what.

    support   sees everything about customers, cancels for the period's end or a date, stops a pending cancellation,
              sends links
    admin     everything: also ends at once, changes addresses, settings, keys, destinations, people, the audit record

The first person is an admin, so that a fresh portal can be set up from the console.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, email_address, ids
from portal.db import Base, session
from portal.domain import audit, mails
from portal.domain.actors import Actor
from portal.errors import LastAdmin, NotFound

SUPPORT, ADMIN = "support", "admin"
ROLES = (SUPPORT, ADMIN)


class StaffMember(Base):
    """`removed_at`: they were taken off the staff; the record of what they did keeps them."""

    __tablename__ = "staff"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(default="", server_default="")
    role: Mapped[str] = mapped_column(default=SUPPORT, server_default=SUPPORT)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]

    @property
    def called(self) -> str:
        """What others read: the name, or the address of somebody without one."""
        return self.name or self.email

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN


def email_key(email: str) -> str:
    """An address in the form in which two spellings are the same person."""
    return email_address.key(email)


def add(email: str, *, by: Actor, role: str | None = None, name: str | None = None) -> StaffMember:
    """Adds somebody who may use the console and is told what needs a person; asked twice, added once.

    Of somebody who is there, a role or a name that is given is changed. Without a role: support, or admin if there is
    no admin yet. Raises LastAdmin if nobody would be left who may change things.
    """
    key = email_key(email)
    member = session().scalar(select(StaffMember).where(StaffMember.email == key))
    if member is None or member.removed_at is not None:
        role = role or (SUPPORT if any(each.is_admin for each in everybody()) else ADMIN)
        if member is None:
            member = StaffMember(id=ids.new("stf"), email=key, created_at=clock.now())
            session().add(member)
        member.name, member.role, member.removed_at = name or member.name or "", role, None
        session().flush()
        audit.record("staff.added", by=by, subject=member.id, email=key, role=role)
        return member
    change(member, role=role, name=name, by=by)
    return member


def change(member: StaffMember, *, by: Actor, role: str | None = None, name: str | None = None) -> None:
    """Gives somebody another role or name; None leaves it. Raises LastAdmin."""
    if role is not None and role != member.role:
        _refuse_last_admin(member)
        audit.record("staff.role_changed", by=by, subject=member.id, email=member.email, old=member.role, new=role)
        tell(member, "role_changed", by=by, old=member.role, new=role)
        member.role = role
    if name is not None and name != member.name:
        audit.record("staff.renamed", by=by, subject=member.id, email=member.email, old=member.name, new=name)
        member.name = name


def remove(member: StaffMember, *, by: Actor) -> None:
    """Takes somebody off the staff: their sign-ins, their passkeys and every link they made end at once.

    Raises LastAdmin.
    """
    from portal.domain import passkeys, staff_links, staff_sessions, staff_sign_in  # all of them know StaffMember

    if member.removed_at is not None:
        return
    _refuse_last_admin(member)
    member.removed_at = clock.now()
    staff_sessions.end_all_of(member.id)
    passkeys.forget_all_of(member.id)
    staff_sign_in.void(member.email)
    links = staff_links.end_all_by(member.id, by=by)
    audit.record("staff.removed", by=by, subject=member.id, email=member.email, links=links)
    tell(member, "removed", by=by)


def tell(member: StaffMember, what: str, *, by: Actor, **facts: Any) -> None:
    """Mails somebody what has changed about their way in.

    `what` is passkey_added, passkey_removed, role_changed or removed.
    They are told of what they did themselves, too: it may have been somebody else in their name.
    """
    changed_by = None if by.id == member.id else by.name
    known = {"told": what, "changed_by": changed_by, "changed_at": clock.now()} | facts
    mails.warn_staff("staff_access_changed", [member.email], key=ids.new("told"), **known)


def everybody() -> Sequence[StaffMember]:
    """Who is on the staff, in the order in which they came."""
    return session().scalars(select(StaffMember).where(StaffMember.removed_at.is_(None)).order_by(StaffMember.id)).all()


def ever() -> Sequence[StaffMember]:
    """The same with those who were taken off the staff: the record still names them."""
    return session().scalars(select(StaffMember).order_by(StaffMember.id)).all()


def get(staff_id: str, *, also_removed: bool = False) -> StaffMember:
    """One of them; inside a transaction all of them are locked, so that two admins can't remove each other at once.

    Raises NotFound.
    """
    found = next((each for each in _locked() if each.id == staff_id), None)
    if found is None and also_removed:
        found = session().get(StaffMember, staff_id)
    if found is None:
        raise NotFound("staff member", staff_id)
    return found


def living(staff_id: str) -> StaffMember | None:
    """Somebody, if they are on the staff; inside a transaction nobody can take them off it until its end."""
    wanted = select(StaffMember).where(StaffMember.id == staff_id, StaffMember.removed_at.is_(None))
    return session().scalar(wanted.with_for_update().execution_options(populate_existing=True))


def by_email(email: str) -> StaffMember | None:
    wanted = StaffMember.email == email_key(email), StaffMember.removed_at.is_(None)
    return session().scalar(select(StaffMember).where(*wanted))


def addresses() -> Sequence[str]:
    return [member.email for member in everybody()]


def _locked() -> Sequence[StaffMember]:
    wanted = select(StaffMember).where(StaffMember.removed_at.is_(None)).order_by(StaffMember.id)
    return session().scalars(wanted.with_for_update().execution_options(populate_existing=True)).all()


def _refuse_last_admin(member: StaffMember) -> None:
    others = [each for each in _locked() if each.is_admin and each.id != member.id]
    if member.is_admin and not others:
        raise LastAdmin("This is the only admin. Nothing was changed. Make somebody else an admin first.")
