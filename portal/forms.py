"""The forms of pages: only one that we rendered acts."""

from flask import Flask, Response, current_app, redirect, request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError

from portal import config, email_address
from portal.errors import InvalidRequest


def register(app: Flask) -> None:
    app.extensions["portal.csrf"] = CSRFProtect(app)


def see_other(location: str) -> Response:
    """303: the answer to every POST, so that a reload shows again instead of acting again."""
    return redirect(location, 303)  # type: ignore[return-value]


def is_address(text: str) -> bool:
    """Whether a text has the form of an email address that mail can be sent to."""
    try:
        email_address.normalized(text)
    except email_address.NoAddress:
        return False
    return True


def refuse_foreign() -> None:
    """Only the POST of a form we rendered acts: it has our token, and no other site sent it.

    Our pages send no referrer, so a browser names their origin `null`; Sec-Fetch-Site tells them from others'.
    """
    if request.method in ("GET", "HEAD"):
        return
    foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
    origin = request.headers.get("Origin", "null")
    if foreign or origin not in ("null", config.current().base_url):
        raise InvalidRequest("csrf", "This form was sent from another site. Nothing was changed.", status=403)
    try:
        current_app.extensions["portal.csrf"].protect()
    except CSRFError:
        raise InvalidRequest("csrf", "This form has expired. Nothing was changed.", status=403) from None
