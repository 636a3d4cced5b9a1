"""Every operation of this door, declared in one line that guards it, reads for it and describes it.

@operation("POST", "/customers/<id>/…", permission="customer.write", takes=Body, gives=entities.Customer)
def view(id, body): …            its answer is wrapped as {"data": …}

who asks → may they → not too often → asked before (Idempotency-Key) → body and query read → view
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Response, g
from pydantic import BaseModel

from portal import access, web
from portal.api import bodies, bp

ALL: list["Operation"] = []


@dataclass(frozen=True)
class Operation:
    """`gives` is the entity's type, or `list[…]` of it; `refuses` are error codes beyond those of every operation;
    `example` is a body (or a query, for GET) that the documentation shows and a test sends."""

    method: str
    path: str
    view: Callable[..., Any]
    permission: str | None
    takes: type[BaseModel] | None
    query: type[BaseModel] | None
    gives: Any
    status: int
    refuses: tuple[str, ...]
    example: Any
    asks_gateway: bool

    @property
    def name(self) -> str:
        return self.view.__name__

    @property
    def words(self) -> str:
        return (self.view.__doc__ or "").strip()


def operation(
    method: str,
    path: str,
    *,
    permission: str | None,
    takes: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    gives: Any = None,
    status: int = 200,
    refuses: tuple[str, ...] = (),
    example: Any = None,
    asks_gateway: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts a view on the door. It gets its path's ids, `body` if it takes one, and `query` if it has one."""
    if takes is None and method in ("POST", "PATCH"):
        takes = bodies.Nothing
    if query is None:
        query = bodies.Query

    def declare(view: Callable[..., Any]) -> Callable[..., Any]:
        it = Operation(method, path, view, permission, takes, query, gives, status, refuses, example, asks_gateway)

        @wraps(view)
        def guarded(**path_ids: str) -> Response:
            g.key = access.app_key()
            if permission is not None:
                access.require(permission)
            return _answer(it, path_ids)

        ALL.append(it)
        bp.add_url_rule(path, endpoint=view.__name__, view_func=guarded, methods=[method])
        return guarded

    return declare


def _answer(it: Operation, path_ids: dict[str, str]) -> Response:
    arguments: dict[str, Any] = dict(path_ids)
    if it.query is not None:
        query = bodies.read_query(it.query)
        if it.query is not bodies.Query:
            arguments["query"] = query
    if it.takes is not None:
        body = bodies.read(it.takes)
        if it.takes is not bodies.Nothing:
            arguments["body"] = body
    answer = it.view(**arguments)
    if isinstance(answer, Response):
        return answer
    return Response(status=204) if it.status == 204 else web.data(answer, it.status)
