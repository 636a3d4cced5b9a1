"""The bare Flask view the portal is compared to: the least a job needs, on the same engines, in the same server."""

import os

from flask import Flask, Response
from sqlalchemy import Column, MetaData, String, Table, insert, select

from portal import db
from portal.domain.subscriptions import Subscription

_metadata = MetaData()
_ROWS = Table("bench_rows", _metadata, Column("id", String, primary_key=True), Column("text", String))
_SUBSCRIPTION = Subscription.__table__


def make_table() -> None:
    """The table the bare view inserts into; emptied if it is there."""
    _metadata.drop_all(db.engine())
    _metadata.create_all(db.engine())


def bare_app() -> Flask:
    """Two views and nothing else: no session, no log, no headers of its own."""
    app = Flask(__name__, static_folder=None)
    reading, writing = db.session().connection().engine, db.engine()
    db.close()

    @app.get("/read/<id>/<int:size>")
    def read(id: str, size: int) -> Response:
        """One row by its primary key, and an answer of a size."""
        with reading.connect() as connection:
            row = connection.execute(select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id == id)).one()
        return Response(row.id.ljust(size), mimetype="application/json")

    @app.get("/list/<after>/<int:size>")
    def list(after: str, size: int) -> Response:
        """The fifty rows that follow an id, and an answer of a size."""
        wanted = select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id > after).order_by(_SUBSCRIPTION.c.id).limit(50)
        with reading.connect() as connection:
            rows = connection.execute(wanted).all()
        return Response(rows[0].id.ljust(size), mimetype="application/json")

    @app.post("/write/<int:size>")
    def write(size: int) -> Response:
        """One insert with its commit, and an answer of a size."""
        with writing.begin() as connection:
            connection.execute(insert(_ROWS).values(id=os.urandom(13).hex(), text="x" * 200))
        return Response("x" * size, mimetype="application/json")

    return app
