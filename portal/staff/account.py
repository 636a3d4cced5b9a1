"""One's own account: name, role, passkeys, and where one is signed in."""

import re
from datetime import timedelta

from flask import Response, make_response, render_template, request, url_for
from flask_login import current_user

from portal import clock, web
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, passkeys, staff_sessions
from portal.domain.passkeys import LONGEST_NAME
from portal.staff import bp, see_other

_RECORDED_AS = {
    "passkey-added": "staff.passkey_added",
    "passkey-removed": "staff.passkey_removed",
    "session-ended": "staff.session_ended",
    "role-changed": "staff.role_changed",
}
_LATELY = timedelta(minutes=5)
_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@bp.get("/account")
@staff_required()
def account() -> Response:
    own = current_user.member
    page = render_template(
        "staff/account.html",
        done=_just_done(),
        member=own,
        passkeys=passkeys.of(own.id),
        passkeys_possible=passkeys.are_possible(),
        longest_name=LONGEST_NAME,
        sign_ins=staff_sessions.of(own.id),
        this_browser=current_user.session_id,
    )
    response = make_response(page)
    response.headers["Content-Security-Policy"] = web.content_security_policy(("'self'",))
    return response


@bp.post("/account/sessions/<id>/end")
@staff_required()
def end_session(id: str) -> Response:
    with transaction():
        ended = staff_sessions.end(id, staff_id=current_user.member.id)
        if ended:
            audit.record("staff.session_ended", by=current_user.acting(), subject=current_user.member.id, session=id)
    return see_other(url_for("console.account", done="session-ended" if ended else "gone", _anchor="done"))


@bp.post("/account/sessions/end-others")
@staff_required()
def end_other_sessions() -> Response:
    own = current_user.member
    with transaction():
        ended = staff_sessions.end_all_of(own.id, but=current_user.session_id)
        if ended:
            audit.record("staff.sessions_ended", by=current_user.acting(), subject=own.id, email=own.email, ended=ended)
    return see_other(url_for("console.account", done="others-ended", _anchor="done"))


def _just_done() -> str:
    """What the banner tells: what the address says, if the record knows of it."""
    done, since = request.args.get("done", ""), clock.now() - _LATELY
    action = _RECORDED_AS.get(done)
    own = current_user.member.id
    return done if action is None or audit.find(actor=own, action=action, since=since, limit=1) else ""


@bp.app_template_filter("browser")
def browser(agent: str) -> str:
    """A browser as people call it: `Firefox on Windows`; what it says itself, if that is unknown."""
    name = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return f"{name} on {system}" if name and system else re.sub(r"\s+", " ", agent)[:60] or "Unknown browser"
