"""Door 2: the customer's pages under /portal. A page shows on GET and acts on POST, never otherwise."""

from typing import Any

from flask import Blueprint, Flask, request
from flask_login import current_user

from portal import access, config, forms, i18n, web
from portal.forms import see_other

__all__ = ["bp", "register", "see_other"]

bp = Blueprint("customer", __name__, url_prefix="/portal")
_OF_NOBODY = ("customer.send_sign_in_link", "customer.sign_out")
"""What is sent there is done in nobody's name."""


def register(app: Flask) -> None:
    from portal.customer import pages

    app.before_request(_speak)
    app.context_processor(_page_facts)
    app.register_blueprint(pages.bp)


bp.before_request(forms.refuse_foreign)


@bp.before_request
def _refuse_colleagues() -> None:
    """In the console's browser staff look at what customers see, and do nothing in their place."""
    if request.method not in ("GET", "HEAD") and request.endpoint not in _OF_NOBODY:
        access.refuse_colleagues()


def _speak() -> None:
    if not web.is_page() or web.is_console():
        return
    i18n.speak(i18n.pick(*request.accept_languages.values()))  # first: the database, asked next, may be away
    customer = current_user.customer
    if customer is not None:
        i18n.speak(customer.locale, customer.time_zone)


def _page_facts() -> dict[str, Any]:
    """`watching` is who of the staff looks at the page, on which nothing can be changed then."""
    if not web.is_page() or web.is_console():
        return {}
    signing_in = request.endpoint in ("customer.sign_in", "customer.sign_in_confirm", "customer.signed_out")
    return {
        "return_url": current_user.return_url or config.current().brand_url or None,
        "self_cancellation": config.current().self_cancellation,
        "watching": None if signing_in else access.colleague_beside(),
    }
