"""Door 1: the seller API, JSON at the origin's root. One file per resource; shapes and errors are Paddle's."""

from flask import Blueprint, Flask

bp = Blueprint("api", __name__)


def register(app: Flask) -> None:
    from portal.api import resources

    app.register_blueprint(resources.bp)
