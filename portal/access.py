"""Who is asking: a visitor or a colleague with a browser session (flask-login), or an app with a key; what each may do.

customer_required(act)   a page of one customer; redirects to sign-in, refuses what the followed link leaves out
staff_required(role)     a page of the console; redirects to its sign-in, refuses what only an admin may
app_key(), require(p)    the key an operation of the seller API is asked with, and what it may
"""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from flask import Flask, Request, Response, g, redirect, request, url_for
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, current_user
from sqlalchemy.exc import DBAPIError

from portal import config
from portal.db import transaction
from portal.domain import api_keys, browser_sessions, staff_sessions, subscriptions, transactions
from portal.domain.actors import Actor
from portal.domain.browser_sessions import CONSOLE, PORTAL, READ
from portal.domain.customers import Customer
from portal.domain.staff import ADMIN, StaffMember
from portal.domain.transactions import Transaction
from portal.errors import KeyRefused, OnlyLooking, RoleRefused, ScopeRefused

_LOOKING = (READ, PORTAL)


class Visitor(UserMixin):
    """A customer in one browser, with the grants of the links they followed."""

    def __init__(self, browser: browser_sessions.BrowserSession) -> None:
        self.browser = browser
        self.customer: Customer = browser.customer

    def get_id(self) -> str:
        return self.browser.id

    def may(self, act: str, subscription_id: str | None = None) -> bool:
        """Whether they may do it; who is signed in to the console in the same browser may only look."""
        return self.sees(act, subscription_id) and (act in _LOOKING or colleague_beside() is None)

    def sees(self, act: str, subscription_id: str | None = None) -> bool:
        """Whether their links open the page of an act."""
        return self.browser.may(act, subscription_id) is not None

    def acting(self, act: str, subscription_id: str | None = None) -> Actor:
        """This customer as the actor of a change, with the way by which they came."""
        grant = self.browser.may(act, subscription_id)
        way = grant.way if grant else "portal"
        return Actor("customer", self.customer.id, way, self.customer.name or "", received_at=g.received_at)

    def subscription(self, subscription_id: str) -> subscriptions.Subscription:
        """One of this customer's own. Raises NotFound for any other id."""
        return subscriptions.get(subscription_id, customer_id=self.customer.id)

    def transaction(self, transaction_id: str) -> Transaction:
        return transactions.get(transaction_id, customer_id=self.customer.id)

    @property
    def return_url(self) -> str | None:
        """Where the app wanted this customer back, by the newest link that said so."""
        return next((grant.return_url for grant in reversed(self.browser.living_grants) if grant.return_url), None)


class Stranger(AnonymousUserMixin):
    """Somebody who followed no link, or whose session is over."""

    customer = None
    browser = None
    return_url = None

    def may(self, act: str, subscription_id: str | None = None) -> bool:
        return False


class Colleague(UserMixin):
    """Somebody of the staff in one browser; the console knows nobody else, and no other page knows them."""

    customer = None
    browser = None
    return_url = None

    def __init__(self, browser: staff_sessions.StaffSession) -> None:
        self.browser_session = browser
        self.member: StaffMember = browser.member

    @property
    def session_id(self) -> str:
        return self.browser_session.id

    def get_id(self) -> str:
        return self.session_id

    @property
    def is_admin(self) -> bool:
        return self.member.is_admin

    def may(self, act: str, subscription_id: str | None = None) -> bool:
        """Nothing that a customer may."""
        return False

    def acting(self) -> Actor:
        """This person as the actor of a change made in the console."""
        return Actor("staff", self.member.id, "console", self.member.called, received_at=g.received_at)


def register(app: Flask) -> None:
    manager = LoginManager(app)
    manager.anonymous_user = Stranger
    manager.request_loader(_who)


def cookie_name() -> str:
    return "__Host-portal" if config.current().secure else "portal"


def staff_cookie_name() -> str:
    return "__Host-console" if config.current().secure else "console"


def give_cookie(response: Response, value: str, name: str | None = None) -> Response:
    """Puts a browser session's cookie on an answer; it ends with the browser, the server's clock ends it earlier."""
    name, secure = name or cookie_name(), config.current().secure
    response.set_cookie(name, value, secure=secure, httponly=True, samesite="Lax", path="/")
    return response


def take_cookie(response: Response, name: str | None = None) -> Response:
    name, secure = name or cookie_name(), config.current().secure
    response.delete_cookie(name, secure=secure, httponly=True, samesite="Lax", path="/")
    return response


def staff_required(role: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A view of the console, for everybody of the staff or for admins only."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(**path: str) -> Any:
            if not current_user.is_authenticated:
                return redirect(_staff_sign_in(), 303)
            if role == ADMIN and not current_user.is_admin:
                raise RoleRefused("Only an admin may do this. Nothing was changed.")
            return view(**path)

        return guarded

    return decorate


def _staff_sign_in() -> str:
    """Where to sign in; who pressed a button is told there that it did nothing."""
    if request.method in ("GET", "HEAD"):
        return url_for("console.sign_in", next=request.full_path.rstrip("?"))
    return url_for("console.sign_in", next="/console", done="signed-out", _anchor="done")


def colleague_beside() -> Colleague | None:
    """Who of the staff is signed in to the console in the browser that asks, on whatever page."""
    if "colleague" not in g:
        g.colleague = None  # until the database has answered: the page that says it is away asks again
        cookie = request.cookies.get(staff_cookie_name())
        browser = staff_sessions.find(cookie) if cookie else None
        g.colleague = Colleague(browser) if browser else None
    return g.colleague


def way_in(way: str) -> str:
    """The way by which this browser comes in: who is signed in to the console beside it comes to look.

    Raises OnlyLooking for who was, until that ended by itself.
    """
    if colleague_beside():
        return CONSOLE
    refuse_colleagues()
    return way


def refuse_colleagues() -> None:
    """Raises OnlyLooking for who is signed in to the console in this browser, or was until that ended by itself.

    They would act as the customer, the latter unawares.
    """
    cookie = request.cookies.get(staff_cookie_name())
    if colleague_beside() or (cookie and staff_sessions.is_known(cookie)):
        raise OnlyLooking("This browser is the console's, or was until its sign-in ended. Nothing was changed.")


def customer_required(act: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A view of a customer's own page, for an act on the subscription of its path (or on the portal).

    A stranger's id is 404 before the link's scope is looked at. Without an act the view looks at the scope itself.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(**path: str) -> Any:
            if not current_user.is_authenticated:
                return redirect(url_for("customer.sign_in", next=request.path), 303)
            allows = current_user.sees if request.method in ("GET", "HEAD") else current_user.may
            if act is not None and not allows(act, path.get("id")):
                if "id" in path:
                    current_user.subscription(path["id"])
                return outside_link()
            return view(**path)

        return guarded

    return decorate


def outside_link() -> Any:
    """The known customer's link opens another page: a page offers to mail a link for this one. Raises ScopeRefused."""
    if request.method not in ("GET", "HEAD"):
        raise ScopeRefused("The link you followed opens another page.")
    return redirect(url_for("customer.link_expired", next=request.path), 303)


def require(permission: str) -> None:
    """Raises KeyRefused (forbidden) if the app's key lacks a permission."""
    if permission not in g.key.permissions:
        raise KeyRefused("forbidden", f"This API key lacks the permission {permission}. Nothing was changed.")


def app_actor() -> Actor:
    """The app as the actor of a change."""
    return Actor("key", g.key.id, "API", g.key.name, received_at=g.received_at)


def _who(incoming: Request) -> Visitor | Colleague | None:
    """On a page of the console its people only, on every other page customers only: no page knows both."""
    return _colleague() if f"{incoming.path}/".startswith("/console/") else _visitor(incoming)


def _colleague() -> Colleague | None:
    if "visitor_unknown" in g:
        return None
    g.visitor_unknown = "until the database has answered: the page that says it is away asks again"
    colleague = colleague_beside()
    del g.visitor_unknown
    if colleague is not None and staff_sessions.is_stale(colleague.browser_session):
        with suppress(DBAPIError), transaction():
            staff_sessions.seen(colleague.session_id)
    return colleague


def _visitor(incoming: Request) -> Visitor | None:
    cookie = incoming.cookies.get(cookie_name())
    if not cookie or "visitor_unknown" in g:
        return None
    g.visitor_unknown = "until the database has answered: the page that says it is away asks again"
    browser = browser_sessions.find(cookie)
    del g.visitor_unknown
    if browser is None or (browser.is_of_console and colleague_beside() is None):
        return None
    if browser_sessions.is_stale(browser):
        with suppress(DBAPIError), transaction():
            browser_sessions.seen(browser.id)
    return Visitor(browser)


def app_key() -> api_keys.KnownKey:
    """The key that an app sent. Raises KeyRefused."""
    header = request.headers.get("Authorization")
    if not header:
        raise KeyRefused("authentication_missing", "Send an API key: Authorization: Bearer pdl_live_apikey_…")
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise KeyRefused("authentication_malformed", "The header must be: Authorization: Bearer pdl_live_apikey_…")
    known = api_keys.find(key.strip())
    if known is None:
        raise KeyRefused("invalid_token", "This API key is not known here, or it was revoked.")
    return known
