"""Door 3: the console of the seller's people under /console. A page shows on GET and acts on POST, never otherwise."""

from flask import Blueprint, Flask, request

from portal import forms, i18n
from portal.forms import see_other

__all__ = ["bp", "register", "see_other"]
bp = Blueprint("console", __name__, url_prefix="/console")
bp.before_request(forms.refuse_foreign)


def register(app: Flask) -> None:
    from portal.staff import pages

    app.register_blueprint(pages.bp)


@bp.before_request
def _speak() -> None:
    """The console speaks English and tells instants in UTC, so that colleagues read the same."""
    i18n.speak("en")


@bp.context_processor
def _page_facts() -> dict[str, str]:
    """`done` names what has just happened on a page, for its banner."""
    return {"done": request.args.get("done", "")}
