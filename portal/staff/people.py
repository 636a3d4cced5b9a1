"""The seller's people: who may use the console, as what, and where they are signed in. For admins only."""

from typing import Any

from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import forms, ids
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, mails, passkeys, staff, staff_links, staff_sessions
from portal.domain.staff import ADMIN, ROLES, SUPPORT, StaffMember
from portal.errors import NotFound, RoleRefused
from portal.staff import bp, prints, see_other

_LONGEST_NAME = 80


@bp.get("/staff")
@staff_required(ADMIN)
def people() -> str:
    return render_template("staff/people.html", people=staff.everybody(), sign_ins=staff_sessions.counted())


@bp.get("/staff/add")
@staff_required(ADMIN)
def adding_person() -> str:
    return render_template("staff/person_add.html", typed={"role": SUPPORT}, problems={})


@bp.post("/staff/add")
@staff_required(ADMIN)
def add_person() -> Any:
    typed, problems = _typed()
    email = typed["email"]
    if not forms.is_address(email):
        problems = {"email": "Enter an email address, such as name@example.com."} | problems
    elif staff.by_email(email) is not None:
        problems = {"email": "This address is on the staff already."} | problems
    if problems:
        return render_template("staff/person_add.html", typed=typed, problems=problems), 422
    with transaction():
        by = _admin()
        member = staff.add(email, role=typed["role"], name=typed["name"], by=by)
        added = {"role": member.role, "added_by": by.name}
        mails.warn_staff("staff_added", [member.email], key=ids.new("added"), **added)
    return see_other(url_for("console.person", id=member.id, done="added", _anchor="done"))


@bp.get("/staff/<id>")
@staff_required(ADMIN)
def person(id: str) -> str:
    return _page(staff.get(id))


@bp.post("/staff/<id>")
@staff_required(ADMIN)
def change_person(id: str) -> Any:
    """Saves only over the name and role that were shown; sent twice, it is saved once."""
    typed, problems = _typed()
    if problems:
        return _page(staff.get(id), typed, problems), 422
    with transaction():
        by, member = _admin(), staff.get(id)
        wanted = {"name": typed["name"], "role": typed["role"]}
        overtaken = request.form.get("seen") != _print(member) and wanted != _stored(member)
        if not overtaken:
            staff.change(member, **wanted, by=by)
    if overtaken:
        return _page(staff.get(id), overtaken=True), 409
    if member.id == current_user.member.id and not member.is_admin:
        return see_other(url_for("console.account", done="role-changed", _anchor="done"))
    return see_other(url_for("console.person", id=id, done="changed", _anchor="done"))


@bp.post("/staff/<id>/end-sessions")
@staff_required(ADMIN)
def end_persons_sessions(id: str) -> Response:
    """Of oneself: everywhere but in this browser. Of a colleague with every link they made: who was signed in as them
    may have copied one."""
    with transaction():
        by, member = _admin(), staff.get(id)
        ended = staff_sessions.end_all_of(member.id, but=current_user.session_id)
        links = 0 if member.id == by.id else staff_links.end_all_by(member.id, by=by)
        if ended or links:
            audit.record("staff.sessions_ended", by=by, subject=member.id, email=member.email, ended=ended, links=links)
    return see_other(url_for("console.person", id=id, done="ended", _anchor="done"))


@bp.get("/staff/<id>/remove")
@staff_required(ADMIN)
def removing_person(id: str) -> str:
    return render_template("staff/person_remove.html", member=staff.get(id))


@bp.post("/staff/<id>/remove")
@staff_required(ADMIN)
def remove_person(id: str) -> Response:
    with transaction():
        by = _admin()
        staff.remove(staff.get(id, also_removed=True), by=by)
    return see_other(url_for("console.people", done="removed", _anchor="done"))


def _admin() -> Any:
    """Who acts, still an admin now that nobody else can change the staff: two may be removing one another."""
    try:
        allowed = staff.get(current_user.member.id).is_admin
    except NotFound:
        allowed = False
    if not allowed:
        raise RoleRefused("Only an admin may do this. Nothing was changed.")
    return current_user.acting()


def _typed() -> tuple[dict[str, str], dict[str, str]]:
    """What a form says of somebody, and what is wrong with it."""
    typed = {name: request.form.get(name, "").strip() for name in ("email", "name", "role")}
    typed["name"] = " ".join(typed["name"].split())
    problems = {}
    if not typed["name"]:
        problems["name"] = "Enter the name that colleagues and histories show."
    elif len(typed["name"]) > _LONGEST_NAME or not typed["name"].isprintable():
        problems["name"] = f"Enter a name of up to {_LONGEST_NAME} letters."
    if typed["role"] not in ROLES:
        problems["role-support"] = "Choose a role."
    return typed, problems


def _stored(member: StaffMember) -> dict[str, str]:
    return {"name": member.name, "role": member.role}


def _print(member: StaffMember) -> str:
    return prints.of(_stored(member))


def _page(
    member: StaffMember,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    *,
    overtaken: bool = False,
) -> str:
    return render_template(
        "staff/person.html",
        member=member,
        typed=typed or _stored(member),
        problems=problems or {},
        seen=request.form.get("seen", "") if problems else _print(member),
        overtaken=overtaken,
        sign_ins=staff_sessions.of(member.id),
        passkeys=passkeys.of(member.id),
        links=staff_links.how_many_by(member.id),
        this_browser=current_user.session_id,
        own=member.id == current_user.member.id,
    )
