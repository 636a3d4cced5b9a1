"""How the seller's people come in, and out."""

from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import access
from portal.db import transaction
from portal.domain import audit, staff_sessions
from portal.staff import bp, see_other


@bp.get("/sign-in")
def sign_in() -> str:
    return render_template("staff/sign_in.html", next=next_path(request.args.get("next", "")))


@bp.post("/sign-out")
def sign_out() -> Response:
    if current_user.is_authenticated:
        with transaction():
            if staff_sessions.end(current_user.session_id, staff_id=current_user.member.id):
                audit.record("staff.signed_out", by=current_user.acting(), subject=current_user.member.id)
    return access.take_cookie(see_other(url_for("console.sign_in")), access.staff_cookie_name())


def next_path(wanted: str) -> str:
    """The page to open after signing in: one of the console's, whatever was sent."""
    inside = wanted == "/console" or wanted.startswith(("/console/", "/console?"))
    return wanted if inside and "\\" not in wanted and "//" not in wanted else "/console"
