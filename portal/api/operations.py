"""Every operation of this door, declared in one line that guards it, reads for it and describes it.

@operation("POST", "/customers/<id>/…", permission="customer.write", takes=Body, gives=entities.Customer)
def view(id, body): …            its answer is wrapped as {"data": …}

who asks → not too often → may they → asked before (Idempotency-Key) → body and query read → view
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Response, g, request
from pydantic import BaseModel

from portal import access, idempotency, limits, web
from portal.api import bodies, bp
from portal.db import transaction
from portal.errors import Refusal

ALL: list["Operation"] = []
_INCLUDED = {
    "product": "product.read",
    "prices": "price.read",
    "customer": "customer.read",
    "address": "address.read",
    "business": "business.read",
    "next_transaction": "transaction.read",
    "recurring_transaction_details": "transaction.read",
}
"""What `include` adds to an answer, with the permission to read it."""


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
            g.limit_headers = limits.spend(g.key.id)
            if permission is not None:
                access.require(permission)
            return _once(it, path_ids)

        ALL.append(it)
        bp.add_url_rule(path, endpoint=view.__name__, view_func=guarded, methods=[method])
        return guarded

    return declare


def _once(it: Operation, path_ids: dict[str, str]) -> Response:
    """Acts, or answers as the same Idempotency-Key was answered before."""
    key = request.headers.get("Idempotency-Key")
    if key is None or it.method not in ("POST", "PATCH"):
        return _answer(it, path_ids)
    asked = b"\n".join((it.method.encode(), request.full_path.encode(), request.get_data()))
    claim = idempotency.claim(g.key.id, key, asked, may_be_repeated=not it.asks_gateway)
    if isinstance(claim, idempotency.Answer):
        g.replayed = True
        return Response(claim.body, claim.status, {"Idempotency-Replayed": "true"}, mimetype="application/json")
    try:
        if it.asks_gateway:
            response = _answer(it, path_ids)
            claim.keep(_kept(response))
        else:
            with transaction():
                response = _answer(it, path_ids)
                claim.keep(_kept(response))
    except Exception as error:
        if it.asks_gateway and not (isinstance(error, Refusal) and error.status < 500):
            raise  # money may have moved: the key stays taken
        response = web.answer(error)
        claim.keep(_kept(response))
    return response


def _kept(response: Response) -> idempotency.Answer:
    return idempotency.Answer(response.status_code, response.get_data())


def _answer(it: Operation, path_ids: dict[str, str]) -> Response:
    arguments: dict[str, Any] = dict(path_ids)
    if it.query is not None:
        query = bodies.read_query(it.query)
        for part in getattr(query, "include", ()):
            if part in _INCLUDED:
                access.require(_INCLUDED[part])
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
