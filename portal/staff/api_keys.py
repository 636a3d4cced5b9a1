"""Keys of apps: made, looked at and revoked. A key is shown in the answer that made it, and never again."""

from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import ids, request_log
from portal.access import staff_required
from portal.db import transaction
from portal.domain import api_keys
from portal.domain.staff import ADMIN
from portal.errors import NotFound
from portal.staff import bp, see_other

_A_PAGE = 50
_LONGEST_NAME = 100


@bp.get("/api-keys", endpoint="api_keys")
@staff_required(ADMIN)
def list_api_keys() -> str:
    after = request.args.get("after", "")
    keys = api_keys.listed(after if ids.is_id(after, "apikey") else None, _A_PAGE + 1)
    older = url_for(".api_keys", after=keys[_A_PAGE - 1][0].id) if len(keys) > _A_PAGE else ""
    return render_template("staff/api_keys.html", keys=keys[:_A_PAGE], older=older, allowed=_in_words)


@bp.get("/api-keys/new")
@staff_required(ADMIN)
def new_api_key() -> str:
    return _form(ids.new("apikey"), "", frozenset())


@bp.post("/api-keys")
@staff_required(ADMIN)
def create_api_key() -> str | tuple[str, int]:
    """Answers with the key itself, so that it is stored nowhere; the form's id lets it be made once."""
    id, name, wanted = request.form.get("id", ""), request.form.get("name", "").strip(), _wanted()
    if problems := _problems(id, name, wanted):
        return _form(ids.new("apikey"), name, wanted, problems), 422
    with transaction():
        if _is_known(id):
            return render_template("staff/api_key_made.html", key=None, name=name, id=id), 409
        key = api_keys.create(name, wanted, by=current_user.acting(), id=id)
    return render_template("staff/api_key_made.html", key=key, name=name, id=id, allowed=_in_words(wanted))


@bp.get("/api-keys/<id>")
@staff_required(ADMIN)
def api_key(id: str) -> str:
    key, only_errors = api_keys.get(id), request.args.get("refused") == "1"
    latest = request_log.latest(_A_PAGE, key_id=key.id, only_errors=only_errors)
    return render_template(
        "staff/api_key.html", key=key, allowed=_in_words(key.permissions), latest=latest, only_errors=only_errors
    )


@bp.get("/api-keys/<id>/revoke")
@staff_required(ADMIN)
def revoke_api_key(id: str) -> str:
    key = api_keys.get(id)
    return render_template("staff/api_key_revoke.html", key=key, latest=request_log.latest(1, key_id=key.id))


@bp.post("/api-keys/<id>/revoke")
@staff_required(ADMIN)
def revoke_api_key_now(id: str) -> Response:
    with transaction():
        api_keys.revoke(id, by=current_user.acting())
    return see_other(url_for(".api_key", id=id, done="revoked", _anchor="done"))


@bp.get("/requests")
@staff_required(ADMIN)
def api_requests() -> str | tuple[str, int]:
    """One request by the id that its answer carried, or the latest of all keys."""
    wanted, only_errors = request.args.get("id", "").strip(), request.args.get("refused") == "1"
    found = request_log.find(wanted) if wanted else None
    latest = [] if wanted else request_log.latest(_A_PAGE, only_errors=only_errors)
    page = render_template("staff/requests.html", wanted=wanted, found=found, latest=latest, only_errors=only_errors)
    return (page, 404) if wanted and found is None else page


def _form(id: str, name: str, chosen: frozenset[str], problems: dict[str, str] | None = None) -> str:
    return render_template(
        "staff/api_key_new.html",
        id=id,
        name=name,
        chosen=chosen,
        everything="everything" in request.form,
        groups=_groups(),
        immediately=api_keys.CANCEL_IMMEDIATELY,
        problems=problems or {},
    )


def _wanted() -> frozenset[str]:
    """What the form asks for; `everything` is the shortcut that leaves ending at once out."""
    named = frozenset(request.form.getlist("permission"))
    return named | frozenset(api_keys.ALL_BUT_NAMED if "everything" in request.form else ())


def _problems(id: str, name: str, wanted: frozenset[str]) -> dict[str, str]:
    problems = {}
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        problems["name"] = f"Say what the key is for, in 1 to {_LONGEST_NAME} characters on one line."
    if not wanted:
        problems["everything"] = "Choose what the key may do."
    elif not wanted.issubset(api_keys.PERMISSIONS):
        problems["everything"] = "The form names a permission that does not exist. Choose again."
    if not ids.is_id(id, "apikey"):
        problems["name"] = "This form is not complete. Check it, then send it again."
    return problems


def _is_known(id: str) -> bool:
    try:
        return bool(api_keys.get(id))
    except NotFound:
        return False


def _groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every permission but ending at once, by entity: (entity, [(permission, what it allows)])."""
    acts: dict[str, list[tuple[str, str]]] = {}
    for permission in api_keys.ALL_BUT_NAMED:
        entity, _, act = permission.partition(".")
        acts.setdefault(entity.replace("_", " ").capitalize(), []).append((permission, act.capitalize()))
    return list(acts.items())


def _in_words(permissions: list[str] | frozenset[str]) -> list[str]:
    """What a key may, short: the shortcut's name if it is just that, else entity by entity."""
    granted = set(permissions)
    apart = ["End subscriptions at once"] if api_keys.CANCEL_IMMEDIATELY in granted else []
    granted.discard(api_keys.CANCEL_IMMEDIATELY)
    if granted == set(api_keys.ALL_BUT_NAMED):
        return ["Everything but ending at once", *apart] if not apart else ["Everything", *apart]
    acts: dict[str, list[str]] = {}
    for permission in api_keys.PERMISSIONS:
        if permission in granted:
            entity, _, act = permission.partition(".")
            acts.setdefault(entity.replace("_", " ").capitalize(), []).append(act)
    return [f"{entity}: {' and '.join(each)}" for entity, each in acts.items()] + apart
