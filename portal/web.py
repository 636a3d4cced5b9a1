"""What every request passes, whichever door it takes: arrival time, request id, headers, log line, error answers."""

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from flask import Flask, Request, Response, abort, g, make_response, render_template, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream

from portal import clock, config, db, request_log
from portal.errors import InvalidRequest, Refusal, refusal_for

log = logging.getLogger("portal.web")
MOST_BYTES = 1_000_000
_MOST_DISCARDED = 16 * MOST_BYTES
_UNBRANDED = ("/healthz", "/readyz", "/metrics", "/assets/")
_PAGES = ("/portal/", "/console/", "/mailbox/")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class FormSessions(SecureCookieSessionInterface):
    """The signed cookie of the forms, opened on pages only; its signer is derived once, not on every request."""

    def __init__(self) -> None:
        self._signer: Any = None

    def get_signing_serializer(self, app: Flask) -> Any:
        if self._signer is None:
            self._signer = super().get_signing_serializer(app)
        return self._signer

    def open_session(self, app: Flask, request: Request) -> Any:
        return super().open_session(app, request) if f"{request.path}/".startswith(_PAGES) else self.session_class()


class WholeBody(LimitedStream):
    """Refuses a body without a length that goes on behind the limit, where werkzeug would cut it and go on."""

    def readall(self) -> bytes:
        body = super().readall()
        if self.is_exhausted and self._stream.read(1):
            self.on_exhausted()
        return body


class WholeRequest(Request):
    """A request whose body is read as a whole or not at all."""

    @cached_property
    def stream(self) -> Any:
        most = self.max_content_length
        if self.content_length is not None or most is None or "wsgi.input_terminated" not in self.environ:
            return super().stream
        return WholeBody(self.environ["wsgi.input"], most, is_max=True)


class OneSlash:
    """Tolerates `//subscriptions`, as the Node SDK sends it for a base URL with a trailing slash."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["PATH_INFO"] = "/" + environ.get("PATH_INFO", "").lstrip("/")
        return self.app(environ, start_response)


def register(app: Flask, refresh: Callable[[], None]) -> None:
    """`refresh` puts in force what the seller has changed in the console; not asked for what knows no seller."""
    app.request_class = WholeRequest
    app.session_interface = FormSessions()
    app.before_request(_arrive)
    app.before_request(lambda: None if request.path.startswith(_UNBRANDED) else refresh())
    app.after_request(_leave)
    app.teardown_appcontext(lambda _error: db.close())
    app.register_error_handler(Exception, answer)


def json(body: Any, status: int = 200) -> Response:
    """An answer of the API."""
    return Response(orjson.dumps(body), status, mimetype="application/json")


def data(entity: Any, status: int = 200) -> Response:
    return json({"data": entity, "meta": {"request_id": g.request_id}}, status)


def content_security_policy(sources: tuple[str, ...] = ()) -> str:
    """No inline script or style, nothing from elsewhere, no frame around us; `sources` are a gateway's origins."""
    gateway = "".join(f" {source}" for source in sources)
    extra = f"; script-src{gateway}; frame-src{gateway}; connect-src{gateway}" if sources else ""
    return (
        f"default-src 'none'; style-src 'self'; img-src 'self'{extra}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


_PLAIN_POLICY = content_security_policy()


def answer(error: Exception) -> Response:
    """Any exception as the answer its asker can read: the contract's JSON, or a page with a next step."""
    refusal = refusal_for(error)
    if refusal is None or refusal.status >= 500:
        log.error("request failed", exc_info=error, extra={"request_id": g.get("request_id")})
    if refusal is None:
        refusal = InvalidRequest(
            "internal_error", "Something went wrong on our side. Try again in a minute.", status=500
        )
        refusal.type = "api_error"
    g.refusal = refusal
    response = _page(refusal) if is_page() else _problem(refusal)
    response.headers.extend(getattr(refusal, "headers", {}))
    if refusal.retry_after:
        response.headers["Retry-After"] = str(refusal.retry_after)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def is_page() -> bool:
    """Whether a person is asking, who reads HTML; an app reads JSON."""
    return f"{request.path}/".startswith(_PAGES)


def is_console() -> bool:
    """Whether somebody of the staff is asking."""
    return f"{request.path}/".startswith("/console/")


def _arrive() -> None:
    g.received_at = clock.now()
    g.request_id = str(uuid.uuid4())
    if "\x00" in request.path:
        abort(404)


def _leave(response: Response) -> Response:
    _discard_body(response.status_code)
    set_already = {name.lower() for name, _ in response.headers}
    for name, value in _HEADERS.items():
        if name.lower() not in set_already:
            response.headers.add(name, value)
    if "content-security-policy" not in set_already:
        response.headers.add("Content-Security-Policy", _PLAIN_POLICY)
    if config.current().secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers.add("Request-Id", g.get("request_id", ""))
    response.headers.extend(g.get("limit_headers", {}))
    _log(response)
    return response


def _discard_body(status: int) -> None:
    """Takes what nobody has read of the body, also while it is still being sent.

    Answered before, the server would close the connection: whoever is cut off in the middle never reads why (the Node
    SDK's fetch), and who has the answer sends the next request into a connection that is gone.
    """
    environ, left = request.environ, _MOST_DISCARDED
    if "wsgi.input_terminated" not in environ:  # a server that would wait for more than there is
        left = min(left, request.content_length or 0) if status == 413 else 0
    elif not request.content_length and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    while left > 0 and (part := environ["wsgi.input"].read(min(left, 65_536))):
        left -= len(part)


def _log(response: Response) -> None:
    """One line a request, without its query: that is where tokens are."""
    if request.path.startswith(("/healthz", "/readyz")):
        return
    took = (clock.now() - g.received_at).total_seconds() * 1000 if "received_at" in g else 0.0
    facts = {"method": request.method, "path": request.path[:200], "status": response.status_code}
    log.info("request", extra={**facts, "ms": round(took, 1), "request_id": g.get("request_id")})
    if "key" in g:
        _note(facts, round(took))


def _note(facts: dict[str, Any], milliseconds: int) -> None:
    """The same for the request log that staff search: an app that asks us why names its request id."""
    refusal = g.get("refusal")
    request_log.note(
        id=g.request_id,
        at=g.received_at,
        **facts,
        milliseconds=milliseconds,
        key_id=g.key.id,
        key_name=g.key.name,
        client=request.remote_addr,
        agent=request.user_agent.string[:200],
        error_code=refusal.code if refusal else None,
        error_detail=refusal.detail[:500] if refusal else None,
        replayed=g.get("replayed", False),
    )


def _problem(refusal: Refusal) -> Response:
    error: dict[str, Any] = {
        "type": refusal.type,
        "code": refusal.code,
        "detail": refusal.detail,
        "documentation_url": f"{config.current().base_url}/docs/errors#{refusal.code}",
    }
    if getattr(refusal, "fields", None):
        error["errors"] = refusal.fields  # type: ignore[attr-defined]
    return json({"error": error, "meta": {"request_id": g.request_id}}, refusal.status)


def _page(refusal: Refusal) -> Response:
    html = render_template(
        "staff/error.html" if is_console() else "customer/error.html",
        code=refusal.code,
        status=refusal.status,
        refusal=refusal,
        request_id=g.get("request_id"),
        again=request.path.removesuffix("/reason").removesuffix("/sign-out"),
    )
    return make_response(html, refusal.status)
