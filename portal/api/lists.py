"""Lists by cursor: `after` is the last id of the page before (`docs/api.md`)."""

from typing import Any

from flask import Response, g, request
from sqlalchemy import Select, func, select
from werkzeug.datastructures import MultiDict

from portal import ids, web
from portal.api.bodies import invalid_field, whole_number
from portal.db import session

DEFAULT, MOST = 50, 200
PARAMETERS = ("after", "order_by", "per_page")


class Page:
    """One page of rows that are ordered by their id."""

    def __init__(self, wanted: Select[Any], column: Any, prefix: str) -> None:
        self.wanted, self.column = wanted, column
        self.size = whole_number("per_page", default=DEFAULT, most=MOST)
        self.after = request.args.get("after")
        if self.after is not None and not ids.is_id(self.after, prefix):
            raise invalid_field("after", "must be the id of the last entity on the page before")
        self.ascending = _ascending()

    def statement(self) -> Select[Any]:
        """The page's rows and one more, which tells whether there is another page."""
        wanted = self.wanted
        if self.after is not None:
            wanted = wanted.where(self.column > self.after if self.ascending else self.column < self.after)
        return wanted.order_by(self.column.asc() if self.ascending else self.column.desc()).limit(self.size + 1)

    def answer(self, entities: list[dict[str, Any]]) -> Response:
        """The page's answer, from the entities of `statement()`."""
        shown = entities[: self.size]
        pagination = {
            "per_page": self.size,
            "next": _next_url(shown[-1]["id"] if shown else self.after),
            "has_more": len(entities) > self.size,
            "estimated_total": self._total(),
        }
        return web.json({"data": shown, "meta": {"request_id": g.request_id, "pagination": pagination}})

    def _total(self) -> int:
        """How many there are in all; counted up to a thousand, so that a list costs alike at every size."""
        if request.headers.get("Skip-Count", "").lower() == "true":
            return 0
        few = self.wanted.with_only_columns(self.column).limit(1000).subquery()
        return session().scalar(select(func.count()).select_from(few)) or 0


def _ascending() -> bool:
    order = request.args.get("order_by", "id[DESC]").lower()
    if order not in ("id[asc]", "id[desc]", "id"):
        raise invalid_field("order_by", "must be id[ASC] or id[DESC]")
    return order == "id[asc]"


def _next_url(last_id: str | None) -> str:
    """On the request's own host: the SDKs follow it only there."""
    query: MultiDict[str, str] = MultiDict(request.args)
    if last_id is not None:
        query["after"] = last_id
    from urllib.parse import urlencode

    from werkzeug.urls import iri_to_uri

    return iri_to_uri(f"{request.host_url.rstrip('/')}{request.path}?{urlencode(list(query.items(multi=True)))}")
