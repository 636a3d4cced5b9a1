"""How the seller's people come in by a link in a mail, and out.

Asking answers alike for every address. The link's GET shows one button, because mail scanners open links; its POST
redeems it, once. The other way in is a passkey (passkeys.py).
"""

from typing import Any

from flask import Response, current_app, g, make_response, render_template, request, url_for
from flask_login import current_user

from portal import access, config, forms, limits, tokens, web
from portal.db import transaction
from portal.domain import audit, passkeys, staff, staff_sessions, staff_sign_in
from portal.domain.actors import Actor
from portal.domain.staff import StaffMember
from portal.staff import bp, see_other
from portal.tokens import STAFF_SIGN_IN

_LONGEST_PATH = 1000


@bp.get("/sign-in")
def sign_in() -> Response:
    return _page(next_path(request.args.get("next", "")))


@bp.post("/sign-in")
def send_sign_in_link() -> Any:
    email, settings = request.form.get("email", "").strip(), config.current()
    wanted = next_path(request.form.get("next", ""))
    if not forms.is_address(email):
        problems = {"email": "Enter an email address, such as name@example.com."}
        return _page(wanted, email=email[:200], problems=problems), 400
    limits.take(f"console-sign-in:client:{request.remote_addr}", per_hour=settings.sign_in_per_client)
    limits.take(f"console-sign-in:{staff.email_key(email)}", per_hour=settings.sign_in_per_address)
    with transaction():
        staff_sign_in.request(email, next_path=wanted, client=request.remote_addr or "")
    minutes = int(settings.sign_in_link_lifetime.total_seconds() // 60)
    return render_template("staff/sign_in_sent.html", minutes=minutes)


@bp.get("/sign-in/confirm")
def sign_in_confirm() -> str:
    token = request.args.get("token", "")
    usable = _request_of(token) is not None
    return render_template("staff/sign_in_confirm.html", token=token if usable else "", usable=usable)


@bp.post("/sign-in/confirm")
def redeem_sign_in() -> Any:
    request_id = _request_of(request.form.get("token", ""))
    with transaction():
        redeemed = staff_sign_in.redeem(request_id) if request_id else None
        if redeemed is None:
            return render_template("staff/sign_in_confirm.html", token="", usable=False), 403
        member, wanted = redeemed
        cookie = let_in(member, way="email link")
    return access.give_cookie(see_other(wanted), cookie, access.staff_cookie_name())


@bp.post("/sign-out")
def sign_out() -> Response:
    if current_user.is_authenticated:
        with transaction():
            if staff_sessions.end(current_user.session_id, staff_id=current_user.member.id):
                audit.record("staff.signed_out", by=current_user.acting(), subject=current_user.member.id)
    return access.take_cookie(see_other(url_for("console.sign_in")), access.staff_cookie_name())


def let_in(member: StaffMember, *, way: str) -> str:
    """Signs this browser in, in the transaction that found out who it is; answers its new cookie.

    Whoever was signed in here before is not any more.
    """
    earlier = access.colleague_beside()
    if earlier is not None:
        staff_sessions.end(earlier.session_id, staff_id=earlier.member.id)
    client = request.remote_addr or ""
    somebody = Actor("staff", member.id, "console", member.called, received_at=g.received_at)
    audit.record("staff.signed_in", by=somebody, subject=member.id, signed_in_by=way, client=client)
    return staff_sessions.begin(member, way=way, client=client, agent=request.user_agent.string)


def next_path(wanted: str) -> str:
    """The page to open after signing in: one of the console's, whatever was sent."""
    inside = wanted == "/console" or wanted.startswith(("/console/", "/console?"))
    plain = wanted.lower().replace("%2e", ".")
    leads_on = not any(each in plain for each in ("\\", "//", "/."))  # browsers take "/console/../x" for "/x"
    fits = inside and leads_on and wanted.isprintable() and len(wanted) <= _LONGEST_PATH
    return wanted if fits and _is_shown(wanted.partition("?")[0]) else "/console"


def _is_shown(path: str) -> bool:
    """Whether there is a page to look at, and not just a form's button."""
    return current_app.url_map.bind("").test(path, "GET")


def _page(wanted: str, **more: Any) -> Response:
    """The form for an address; and for a passkey, which takes a script of ours."""
    facts = {"next": wanted, "email": "", "problems": {}, "passkeys": passkeys.are_possible(), **more}
    response = make_response(render_template("staff/sign_in.html", **facts))
    response.headers["Content-Security-Policy"] = web.content_security_policy(("'self'",))
    return response


def _request_of(token: str) -> str | None:
    """The request of a sign-in link that can still be used."""
    try:
        request_id = tokens.read(token, STAFF_SIGN_IN).origin
    except (tokens.Forged, tokens.Expired):
        return None
    return request_id if staff_sign_in.is_open(request_id) else None
