"""Door 2: the customer's pages under /portal. A page shows on GET and acts on POST, never otherwise."""

from typing import Any

from flask import Blueprint, Flask, Response, current_app, redirect, request
from flask_login import current_user
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError

from portal import config, i18n, web
from portal.errors import InvalidRequest

bp = Blueprint("customer", __name__, url_prefix="/portal")


def register(app: Flask, csrf: CSRFProtect) -> None:
    from portal.customer import pages

    app.extensions["portal.csrf"] = csrf
    app.before_request(_speak)
    app.context_processor(_page_facts)
    app.register_blueprint(pages.bp)


def see_other(location: str) -> Response:
    """303: the answer to every POST, so that a reload shows again instead of acting again."""
    return redirect(location, 303)  # type: ignore[return-value]


@bp.before_request
def _only_from_our_forms() -> None:
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


def _speak() -> None:
    if not web.is_page():
        return
    i18n.speak(i18n.pick(*request.accept_languages.values()))  # first: the database, asked next, may be away
    customer = current_user.customer
    if customer is not None:
        i18n.speak(customer.locale, customer.time_zone)


def _page_facts() -> dict[str, Any]:
    return {"return_url": current_user.return_url or config.current().brand_url or None} if web.is_page() else {}
