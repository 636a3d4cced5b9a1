"""The secret of a destination, and trying an endpoint out."""

from datetime import timedelta

from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import destinations, sealing, webhook_trial
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, event_types, notification_settings
from portal.domain.notification_settings import NotificationSetting
from portal.domain.notification_shapes import notification_setting as shaped
from portal.domain.staff import ADMIN
from portal.errors import InvalidRequest
from portal.staff import bp, see_other

OVERLAPS = {
    "0": "Not at all: the old secret ends now",
    "3600": "One hour",
    "86400": "One day",
    "604800": "A week",
}


@bp.post("/destinations/<id>/secret")
@staff_required(ADMIN)
def show_destination_secret(id: str) -> str:
    """Answers with the secret itself; that it was shown goes on record."""
    with transaction():
        setting = notification_settings.get(id)
        try:
            secret = notification_settings.reveal(setting, by=current_user.acting())
        except sealing.Unreadable as why:
            raise InvalidRequest("secret_unreadable", f"{why} Rotate the secret.", status=409) from None
    standard = shaped(setting)["standard_webhook_secret"]
    return render_template("staff/destination_secret.html", setting=setting, secret=secret, standard=standard)


@bp.get("/destinations/<id>/rotate")
@staff_required(ADMIN)
def rotate_destination_secret(id: str) -> str:
    return _rotation(notification_settings.get(id), {})


@bp.post("/destinations/<id>/rotate")
@staff_required(ADMIN)
def rotate_destination_secret_now(id: str) -> Response | tuple[str, int]:
    """The form names the secret that it was made for, so that sent twice it rotates once."""
    overlap, shown = request.form.get("overlap", ""), request.form.get("shown", "")
    setting = notification_settings.get(id)
    if overlap not in OVERLAPS:
        problems = {"overlap-0": "Choose how long the old secret still signs."}
        return _rotation(setting, problems), 422
    with transaction():
        setting = notification_settings.get(id, lock=True)
        if shown == notification_settings.mark_of_secret(setting):
            notification_settings.rotate(setting, timedelta(seconds=int(overlap)), by=current_user.acting())
            done = "rotated"
        else:
            done = "not-rotated"
    return see_other(url_for(".destination", id=id, done=done, _anchor="done"))


@bp.post("/destinations/<id>/try")
@staff_required(ADMIN)
def try_destination(id: str) -> str | tuple[str, int]:
    """Sends a sample and shows what came back, which is kept nowhere; a browser that sends it again tries again."""
    setting, event_type = notification_settings.get(id), request.form.get("event_type", "")
    if setting.type != "url" or event_type not in event_types.NAMES:
        raise InvalidRequest("bad_request", "Choose an endpoint and a type of event. Nothing was sent.")
    refused, attempt = "", None
    try:
        attempt = webhook_trial.send(event_type, setting.destination, notification_settings.signing_secrets(setting))
    except (destinations.Unacceptable, sealing.Unreadable) as why:
        refused = str(why)
    with transaction():
        code = attempt.code if attempt else 0
        audit.record("destination.tried", by=current_user.acting(), subject=id, type=event_type, answered=code)
    return render_template(
        "staff/destination_tried.html", setting=setting, event_type=event_type, attempt=attempt, refused=refused
    )


def _rotation(setting: NotificationSetting, problems: dict[str, str]) -> str:
    mark = notification_settings.mark_of_secret(setting)
    return render_template(
        "staff/destination_rotate.html", setting=setting, mark=mark, overlaps=OVERLAPS, problems=problems
    )
