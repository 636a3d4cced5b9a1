"""Where the console begins: the subscriptions."""

from flask import Response, url_for

from portal.access import staff_required
from portal.staff import bp, see_other


@bp.get("")
@staff_required()
def home() -> Response:
    return see_other(url_for("console.subscriptions"))


@bp.get("/")
def home_with_slash() -> Response:
    """As some write the address."""
    return see_other(url_for("console.home"))
