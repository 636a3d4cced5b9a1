"""What was sent to which destination, what came back, and sending it again; and the events themselves."""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import orjson
from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import clock, ids
from portal.access import staff_required
from portal.db import session, transaction
from portal.domain import notification_settings, notifications
from portal.domain.events import Event
from portal.domain.staff import ADMIN
from portal.errors import InvalidRequest, NotFound
from portal.staff import bp, see_other

_A_PAGE = 50
STATUSES = {
    "": "All",
    "waiting": "Waiting",
    "needs_retry": "To be tried again",
    "failed": "Failed",
    "delivered": "Delivered",
}


@bp.get("/destinations/<id>/deliveries")
@staff_required(ADMIN)
def deliveries(id: str) -> str:
    setting = notification_settings.get(id)
    status, after = request.args.get("status", ""), request.args.get("after", "")
    if status not in STATUSES or (after and not ids.is_id(after, "ntf")):
        raise InvalidRequest("bad_request", "The address names a filter that does not exist.")
    wanted = notifications.to_destination(setting, status or None, after=after or None)
    found = session().execute(wanted.limit(_A_PAGE + 1)).all()
    shown = found[:_A_PAGE]
    here = partial(url_for, ".deliveries", id=id, status=status or None)
    return render_template(
        "staff/deliveries.html",
        setting=setting,
        status=status,
        statuses=STATUSES,
        shown=shown,
        newer=here() if after else "",
        older=here(after=shown[-1][0].id) if len(found) > _A_PAGE else "",
        week_ago=(clock.now() - timedelta(days=7)).date().isoformat(),
        count=_count(),
        most=notifications.MOST_REPLAYED,
    )


@bp.post("/destinations/<id>/replay")
@staff_required(ADMIN)
def replay_failed_deliveries(id: str) -> Response:
    """Everything that failed since a day (in UTC) and was not sent again yet."""
    since = _day(request.form.get("since", ""))
    with transaction():
        setting = notification_settings.get(id, lock=True)
        count = notifications.replay_failed(setting, since, by=current_user.acting())
    return see_other(url_for(".deliveries", id=id, done="replayed", count=count, _anchor="done"))


@bp.get("/deliveries/<id>")
@staff_required(ADMIN)
def delivery(id: str) -> str:
    note, event = notifications.get(id)
    setting = session().get_one(notification_settings.NotificationSetting, note.setting_id)
    return render_template(
        "staff/delivery.html",
        note=note,
        event=event,
        setting=setting,
        attempts=notifications.attempts_of(id),
        old=notifications.is_old(note),
        days=notifications.WHOLE_FOR.days,
    )


@bp.post("/deliveries/<id>/replay")
@staff_required(ADMIN)
def replay_delivery(id: str) -> Response:
    with transaction():
        again = notifications.replay(id, by=current_user.acting()).id
    return see_other(url_for(".delivery", id=again, done="replayed", _anchor="done"))


@bp.get("/events/<id>")
@staff_required(ADMIN)
def event(id: str) -> str:
    found = session().get(Event, id)
    if found is None:
        raise NotFound("event", id)
    text = orjson.dumps(found.data, option=orjson.OPT_INDENT_2).decode()
    return render_template("staff/event.html", event=found, text=text, sent=notifications.of_event(id))


def _count() -> int | None:
    """How many were just sent again, by the address; None if it names no number that can be."""
    count = request.args.get("count", type=int)
    return count if count is not None and 0 <= count <= notifications.MOST_REPLAYED else None


def _day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise InvalidRequest("bad_request", "Choose a date. Nothing was sent.") from None
