"""The bare Flask view the portal is compared to: the least a job needs, on the same engines, in the same server."""

import os
from functools import partial

from flask import Flask, Response
from sqlalchemy import Column, Engine, MetaData, String, Table, insert, select

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
    """Three views and nothing else: no session, no log, no headers of its own."""
    app = Flask(__name__, static_folder=None)
    reading, writing = db.session().connection().engine, db.engine()
    db.close()
    app.add_url_rule("/read/<id>/<int:size>", "read", partial(_read, reading))
    app.add_url_rule("/list-<int:rows>/<after>/<int:size>", "list", partial(_list, reading))
    app.add_url_rule("/write/<int:size>", "write", partial(_write, writing), methods=["POST"])
    return app


def _read(engine: Engine, id: str, size: int) -> Response:
    """One row by its primary key, and an answer of a size."""
    with engine.connect() as connection:
        row = connection.execute(select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id == id)).one()
    return Response(row.id.ljust(size), mimetype="application/json")


def _list(engine: Engine, rows: int, after: str, size: int) -> Response:
    """The rows that follow an id, and an answer of a size."""
    wanted = select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id > after).order_by(_SUBSCRIPTION.c.id).limit(rows)
    with engine.connect() as connection:
        found = connection.execute(wanted).all()
    return Response(found[0].id.ljust(size), mimetype="application/json")


def _write(engine: Engine, size: int) -> Response:
    """One insert with its commit, and an answer of a size."""
    with engine.begin() as connection:
        connection.execute(insert(_ROWS).values(id=os.urandom(13).hex(), text="x" * 200))
    return Response("x" * size, mimetype="application/json")
