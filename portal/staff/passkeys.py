"""Passkeys: signing in with one, making one, forgetting one. What static/passkeys.js asks for is answered in JSON.

The challenge that is out stands in the browser's form cookie and in the database; whichever answer comes uses it up.
"""

from typing import Any

import orjson
from flask import Response, request, session, url_for
from flask_login import current_user

from portal import access, config, limits, web
from portal.access import staff_required
from portal.db import transaction
from portal.domain import passkeys
from portal.domain.passkeys import LONGEST_NAME
from portal.staff import bp, see_other
from portal.staff.account import browser
from portal.staff.sign_in import let_in, next_path

_COOKIE_FACT = "passkey"


@bp.post("/sign-in/passkey/options")
def ask_for_passkey() -> Response:
    limits.take(f"passkey:client:{request.remote_addr}", per_hour=config.current().sign_in_per_client)
    with transaction():
        session[_COOKIE_FACT], options = passkeys.ask_to_sign_in()
    return web.json(options)


@bp.post("/sign-in/passkey")
def sign_in_by_passkey() -> Response:
    sent = _sent()
    with transaction():
        member = passkeys.prove(session.pop(_COOKIE_FACT, ""), sent.get("credential"))
        if member is None:
            return _problem("This passkey does not open the console. Use another, or ask for a link by mail.", 403)
        cookie = let_in(member, way="passkey")
    return access.give_cookie(web.json({"next": next_path(str(sent.get("next")))}), cookie, access.staff_cookie_name())


@bp.post("/account/passkeys/options")
@staff_required()
def ask_for_new_passkey() -> Response:
    with transaction():
        session[_COOKIE_FACT], options = passkeys.ask_for_new(current_user.member)
    return web.json(options)


@bp.post("/account/passkeys")
@staff_required()
def add_passkey() -> Response:
    sent = _sent()
    name = " ".join(str(sent.get("name") or "").split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        return _problem(f"Give the passkey a name of up to {LONGEST_NAME} letters, such as “Work laptop”.", 422)
    with transaction():
        made = passkeys.add(
            current_user.member,
            session.pop(_COOKIE_FACT, ""),
            sent.get("credential"),
            name=name,
            by=current_user.acting(),
            **_where_from(),
        )
    if made is None:
        return _problem("The passkey was not added. Try again.", 403)
    return web.json({"next": url_for("console.account", done="passkey-added", _anchor="done")})


@bp.post("/account/passkeys/<id>/remove")
@staff_required()
def remove_passkey(id: str) -> Response:
    with transaction():
        removed = passkeys.remove(id, member=current_user.member, by=current_user.acting(), **_where_from())
    done = "passkey-removed" if removed else "gone"
    return see_other(url_for("console.account", done=done, _anchor="done"))


def _where_from() -> dict[str, str]:
    """What the mail says of the browser that asks."""
    return {"browser": browser(request.user_agent.string), "client": request.remote_addr or ""}


def _sent() -> dict[str, Any]:
    """What a script of ours has sent; nothing, if it is no JSON object."""
    try:
        sent = orjson.loads(request.get_data())
    except ValueError:
        return {}
    return sent if isinstance(sent, dict) else {}


def _problem(text: str, status: int) -> Response:
    return web.json({"problem": text}, status)
