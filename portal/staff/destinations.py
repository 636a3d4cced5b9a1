"""Where events are sent to: endpoints and addresses, made, changed, switched on and off, and deleted."""

from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import Response, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal import destinations, ids
from portal.access import staff_required
from portal.db import session, transaction
from portal.domain import event_types, notification_settings, notifications
from portal.domain.notification_settings import NotificationSetting
from portal.domain.staff import ADMIN
from portal.errors import NotFound
from portal.staff import bp, prints, see_other

_A_PAGE = 50
_LONGEST_DESCRIPTION, _LONGEST_DESTINATION = 500, 2048


@bp.get("/destinations", endpoint="destinations")
@staff_required(ADMIN)
def list_destinations() -> str:
    wanted = select(NotificationSetting).where(NotificationSetting.deleted_at.is_(None))
    after = request.args.get("after", "")
    if ids.is_id(after, "ntfset"):
        wanted = wanted.where(NotificationSetting.id < after)
    found = session().scalars(wanted.order_by(NotificationSetting.id.desc()).limit(_A_PAGE + 1)).all()
    shown = found[:_A_PAGE]
    return render_template(
        "staff/destinations.html",
        settings=shown,
        standing=notifications.standing(each.id for each in shown),
        most=notifications.MOST_COUNTED,
        older=url_for(".destinations", after=shown[-1].id) if len(found) > _A_PAGE else "",
    )


@bp.get("/destinations/new")
@staff_required(ADMIN)
def new_destination() -> str:
    return _form(None, {"id": ids.new("ntfset"), "type": "url"}, {})


@bp.post("/destinations")
@staff_required(ADMIN)
def create_destination() -> Response | tuple[str, int]:
    """The form's id lets it be made once, however often it is sent; with other contents it says so."""
    given = _given() | {"type": request.form.get("type", ""), "id": request.form.get("id", "")}
    if problems := _problems(given):
        return _form(None, given | {"id": ids.new("ntfset")}, problems), 422
    with transaction():
        made = _made_by(given["id"])
        if made is None:
            notification_settings.refuse_another()
            notification_settings.create(by=current_user.acting(), **given)
    if made is not None and given != _stored(made) | {"type": made.type, "id": made.id}:
        return _form(None, given | {"id": ids.new("ntfset")}, {}, sent_before=made.id), 409
    return _shown(given["id"], "created")


@bp.get("/destinations/<id>")
@staff_required(ADMIN)
def destination(id: str) -> str:
    setting = notification_settings.get(id)
    return render_template(
        "staff/destination.html",
        setting=setting,
        standing=notifications.standing([id])[id],
        most=notifications.MOST_COUNTED,
        names=event_types.NAMES,
    )


@bp.get("/destinations/<id>/edit")
@staff_required(ADMIN)
def edit_destination(id: str) -> str:
    setting = notification_settings.get(id)
    return _form(setting, _stored(setting), {})


@bp.post("/destinations/<id>/edit")
@staff_required(ADMIN)
def update_destination(id: str) -> Response | tuple[str, int]:
    """Saves only over what was shown; sent twice, it is saved once."""
    setting, given = notification_settings.get(id), _given()
    if problems := _problems(given | {"type": setting.type, "id": setting.id}):
        return _form(setting, given, problems), 422
    with transaction():
        setting = notification_settings.get(id, lock=True)
        overtaken = request.form.get("seen") != _print(setting) and given != _stored(setting)
        if not overtaken:
            notification_settings.update(setting, by=current_user.acting(), **given)
    if overtaken:
        setting = notification_settings.get(id)
        return _form(setting, _stored(setting), {}, overtaken=True), 409
    return _shown(id, "changed")


@bp.post("/destinations/<id>/on")
@staff_required(ADMIN)
def switch_on_destination(id: str) -> Response:
    with transaction():
        setting = notification_settings.get(id, lock=True)
        if not setting.active:
            notification_settings.refuse_another()
            notification_settings.update(setting, by=current_user.acting(), active=True)
    return _shown(id, "on")


@bp.get("/destinations/<id>/<any('off', 'delete'):act>")
@staff_required(ADMIN)
def ask_destination(id: str, act: str) -> str:
    """What waits is given up with either, so a page says so before."""
    setting = notification_settings.get(id)
    return render_template(
        "staff/destination_ask.html", setting=setting, act=act, standing=notifications.standing([id])[id]
    )


@bp.post("/destinations/<id>/off")
@staff_required(ADMIN)
def switch_off_destination(id: str) -> Response:
    with transaction():
        setting = notification_settings.get(id, lock=True)
        if setting.active:
            notification_settings.update(setting, by=current_user.acting(), active=False)
            notifications.give_up_on([setting.id])
    return _shown(id, "off")


@bp.post("/destinations/<id>/delete")
@staff_required(ADMIN)
def delete_destination(id: str) -> Response:
    with transaction():
        setting = notification_settings.get(id, lock=True)
        notification_settings.delete(setting, by=current_user.acting())
        notifications.give_up_on([setting.id])
    return see_other(url_for(".destinations", done="deleted", _anchor="done"))


def _shown(id: str, done: str) -> Response:
    return see_other(url_for(".destination", id=id, done=done, _anchor="done"))


_FIELDS = ("description", "destination", "subscribed_events")


def _stored(setting: NotificationSetting) -> dict[str, Any]:
    return {name: getattr(setting, name) for name in _FIELDS}


def _print(setting: NotificationSetting) -> str:
    return prints.of(_stored(setting))


def _form(
    setting: NotificationSetting | None,
    given: dict[str, Any],
    problems: dict[str, str],
    *,
    overtaken: bool = False,
    sent_before: str = "",
) -> str:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in event_types.NAMES:
        groups.setdefault(event_types.GROUP[name], []).append((name, event_types.DESCRIPTION[name]))
    seen = request.form.get("seen", "") if problems else _print(setting) if setting else ""
    return render_template(
        "staff/destination_form.html",
        setting=setting,
        given=given,
        groups=groups,
        problems=problems,
        seen=seen,
        overtaken=overtaken,
        sent_before=sent_before,
    )


def _given() -> dict[str, Any]:
    everything = "everything" in request.form
    return {
        "description": request.form.get("description", "").strip(),
        "destination": request.form.get("destination", "").strip(),
        "subscribed_events": list(event_types.NAMES) if everything else request.form.getlist("subscribed_events"),
    }


def _problems(given: dict[str, Any]) -> dict[str, str]:
    """What is wrong, by field. Asks DNS, so it stands outside of transactions."""
    problems = {}
    description = given["description"]
    if not description or len(description) > _LONGEST_DESCRIPTION or not description.isprintable():
        problems["description"] = f"Say what it is, in 1 to {_LONGEST_DESCRIPTION} characters on one line."
    if given["type"] not in ("url", "email") or not ids.is_id(given["id"], "ntfset"):
        problems["type-url"] = "Choose an endpoint or an email address."
    elif why := _unusable(given["type"], given["destination"]):
        problems["destination"] = why
    if not given["subscribed_events"]:
        problems["everything"] = "Choose at least one type of event."
    elif not set(given["subscribed_events"]).issubset(event_types.NAMES):
        problems["everything"] = "The form names a type of event that does not exist. Choose again."
    return problems


def _unusable(type: str, destination: str) -> str | None:
    if not 0 < len(destination) <= _LONGEST_DESTINATION:
        return f"Say where to send to, in at most {_LONGEST_DESTINATION} characters."
    try:
        if type == "url":
            destinations.check(destination)
        else:
            validate_email(destination, check_deliverability=False)
    except destinations.Unacceptable as why:
        return f"This URL can’t be used: {why}."
    except EmailNotValidError:
        return "This is not an email address. Write one such as events@example.com."
    return None


def _made_by(id: str) -> NotificationSetting | None:
    """What a form with this id has made before."""
    try:
        return notification_settings.get(id)
    except NotFound:
        return None
