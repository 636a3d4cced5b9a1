"""Lists by cursor: `after` is the last id of the page before (`docs/api.md`)."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from flask import Response, g, request
from pydantic import BeforeValidator, Field, create_model
from sqlalchemy import ColumnElement, Select, func, select, tuple_
from typing_extensions import TypedDict
from werkzeug.urls import iri_to_uri

from portal import web
from portal.api import bodies
from portal.db import session

DEFAULT, MOST = 50, 200
_COMPARISONS = {"LT": "__lt__", "LTE": "__le__", "GT": "__gt__", "GTE": "__ge__"}


def _number(text: Any) -> Any:
    """However many digits it has: it is cut down anyway."""
    if not isinstance(text, str):
        return text
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number from 1")
    return int(text.lstrip("0")[:9] or "0")


def canonical(order: Any) -> Any:
    """`id[asc]` and `id` as `id[ASC]` and `id[DESC]`: the SDKs spell it in lower case."""
    if not isinstance(order, str):
        return order
    name, _, direction = order.partition("[")
    return f"{name.lower()}[{direction.upper() or 'DESC]'}"


PerPage = Annotated[int, BeforeValidator(_number), Field(ge=1)]
ById = Annotated[Literal["id[ASC]", "id[DESC]"], BeforeValidator(canonical)]


class Meta(TypedDict):
    """Beside the data of every answer."""

    request_id: str


class Pagination(TypedDict):
    per_page: int
    next: str
    has_more: bool
    estimated_total: int


class ListMeta(Meta):
    """Beside the data of every list."""

    pagination: Pagination


class Query(bodies.Query):
    """The parameters that every list has; a page larger than the largest is cut down to it, not refused."""

    after: str | None = None
    order_by: ById = "id[DESC]"
    per_page: PerPage = DEFAULT


def compared(*names: str) -> Any:
    """A query that has also `name`, `name[LT]`, `name[LTE]`, `name[GT]` and `name[GTE]` for instants."""
    fields: dict[str, Any] = {}
    for name in names:
        fields[name] = (bodies.Bound | None, None)
        for each in _COMPARISONS:
            fields[f"{name}_{each.lower()}"] = (bodies.Bound | None, Field(None, alias=f"{name}[{each}]"))
    return create_model("Compared", __base__=Query, **fields)


def within(wanted: Select[Any], query: Any, **columns: Any) -> Select[Any]:
    """The rows whose instants are as `compared` parameters ask."""
    for name, column in columns.items():
        if (exactly := getattr(query, name)) is not None:
            wanted = wanted.where(column == exactly)
        for each, operator in _COMPARISONS.items():
            if (bound := getattr(query, f"{name}_{each.lower()}")) is not None:
                wanted = wanted.where(getattr(column, operator)(bound))
    return wanted


class Page:
    """One page of rows; `by` names what they may be ordered by beside their id."""

    def __init__(
        self,
        query: Any,
        wanted: Select[Any],
        id_column: Any,
        *,
        by: dict[str, ColumnElement[Any]] | None = None,
        most: int = MOST,
    ) -> None:
        self.wanted, self.id, self.after = wanted, id_column, query.after
        self.size = min(query.per_page, most)
        name, _, direction = query.order_by.partition("[")
        self.by = None if name == "id" else (by or {})[name]
        self.ascending = direction == "ASC]"

    def statement(self) -> Select[Any]:
        """The page's rows and one more, which tells whether there is another page."""
        order = [self.id] if self.by is None else [self.by, self.id]
        wanted = self.wanted
        if self.after is not None and self.by is None:
            wanted = wanted.where(self.id > self.after if self.ascending else self.id < self.after)
        elif self.after is not None:
            last = select(*order).where(self.id == self.after).correlate(None).scalar_subquery()
            here = tuple_(*order)
            wanted = wanted.where(here > last if self.ascending else here < last)
        return wanted.order_by(*(each.asc() if self.ascending else each.desc() for each in order)).limit(self.size + 1)

    def answer(self, entities: list[Any]) -> Response:
        """The page's answer, from the entities of `statement()`."""
        return _answer(entities[: self.size], self, more=len(entities) > self.size, total=self._total())

    def _total(self) -> int:
        """How many there are in all; counted up to a thousand, so that a list costs alike at every size."""
        if request.headers.get("Skip-Count", "").lower() == "true":
            return 0
        few = self.wanted.with_only_columns(self.id).limit(1000).subquery()
        return session().scalar(select(func.count()).select_from(few)) or 0


class Gathered:
    """One page of what is gathered in memory, oldest first, each with an `id`."""

    def __init__(self, query: Any, found: list[Any]) -> None:
        self.size, self.after, self.total = min(query.per_page, MOST), query.after, len(found)
        if query.order_by == "id[ASC]":
            rest = [each for each in found if self.after is None or each.id > self.after]
        else:
            rest = [each for each in reversed(found) if self.after is None or each.id < self.after]
        self.rows, self.more = rest[: self.size], len(rest) > self.size

    def answer(self, entities: list[Any]) -> Response:
        """The page's answer, from the entities of `rows`."""
        return _answer(entities, self, more=self.more, total=self.total)


def _answer(shown: list[Any], page: "Page | Gathered", *, more: bool, total: int) -> Response:
    pagination = {
        "per_page": page.size,
        "next": _next_url(_id_of(shown[-1]) if shown else page.after),
        "has_more": more,
        "estimated_total": total,
    }
    return web.json({"data": shown, "meta": {"request_id": g.request_id, "pagination": pagination}})


def _id_of(entity: Any) -> str:
    return str(entity.get("id") or entity["event_id"])


def _next_url(last_id: str | None) -> str:
    """On the request's own host: the SDKs follow it only there."""
    query = request.args.to_dict()
    if last_id is not None:
        query["after"] = last_id
    return iri_to_uri(f"{request.host_url.rstrip('/')}{request.path}?{urlencode(query)}")
