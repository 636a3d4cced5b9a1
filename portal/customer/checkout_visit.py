"""Who may see a checkout: a browser that followed its link, or the customer it was made for.

The link's token is exchanged for a cookie that is sent to this checkout only and opens nothing else, so no token
stays in the address bar. Following never acts; the link may be followed again and by mail scanners. Staff who follow
it beside the console get a cookie that is good only beside it: they look, and never pay as the customer.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, render_template, request
from flask_login import current_user

from portal import access, clock, config, links, tokens
from portal.customer import see_other
from portal.db import session
from portal.domain import transactions
from portal.domain.actors import Actor
from portal.domain.browser_sessions import CONSOLE, PORTAL
from portal.domain.customers import Customer
from portal.domain.transactions import UNBILLED, Transaction
from portal.errors import InvalidRequest, NotFound

_BOUGHT = ("api", "web")


def visited(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view of one checkout; it gets the transaction. Without link or visit there is nothing to see there."""

    @wraps(view)
    def guarded(id: str) -> Any:
        token = request.args.get("token")
        try:
            if token is not None and request.method != "POST":
                bought = _read(token, tokens.CHECKOUT, id)
                return _give_cookie(see_other(links.checkout_path(id)), bought)
            return view(_seen(id))
        except tokens.Expired:
            return render_template("customer/checkout_closed.html", why="expired"), 410
        except tokens.Forged:
            raise InvalidRequest("link_broken", "This link does not work.", status=403) from None

    return guarded


def buyer(bought: Transaction) -> Actor:
    """Whoever stands before the checkout, as the actor of a change."""
    if current_user.is_authenticated and current_user.customer.id == bought.customer_id:
        known: Actor = current_user.acting(PORTAL)
        return known
    return Actor("customer", bought.customer_id or bought.id, "checkout", received_at=g.received_at)


def is_at_home(bought: Transaction) -> bool:
    """Whether the customer is signed in here, and may see all that is theirs: then the card on file can pay."""
    return bool(
        current_user.is_authenticated and current_user.customer.id == bought.customer_id and current_user.may(PORTAL)
    )


def _seen(id: str) -> Transaction:
    """Raises NotFound, alike for an unknown id and for what is somebody else's; Expired for a visit that is over."""
    cookie = request.cookies.get(_cookie_name())
    if cookie is not None:
        try:
            return _read(cookie, tokens.CHECKOUT_VISIT, id)
        except tokens.Forged:
            pass
    if current_user.is_authenticated:
        bought = transactions.get(id)
        if is_at_home(bought) and bought.origin in _BOUGHT:
            return bought
    raise NotFound("checkout", id)


def _read(token: str, purpose: str, id: str) -> Transaction:
    """The transaction a token stands for. Raises Forged, Expired; OnlyLooking, see `access.way_in`."""
    claims = tokens.read(token, purpose)
    if claims.origin != id or (claims.page == CONSOLE and access.way_in("checkout") != CONSOLE):
        raise tokens.Forged
    bought = transactions.get(id)
    if not _only_typed(bought):
        customer = session().get(Customer, bought.customer_id) if bought.customer_id else None
        if customer and customer.links_valid_from and claims.issued_at <= customer.links_valid_from:
            raise tokens.Expired(claims)
    return bought


def _only_typed(bought: Transaction) -> bool:
    """Whether its customer is an address that somebody typed here: who that is must not show in any answer."""
    return bought.identified_at is not None and bought.status in UNBILLED


def _give_cookie(response: Response, bought: Transaction) -> Response:
    settings = config.current()
    way, expires_at = access.way_in("checkout"), clock.now() + settings.session_longest
    value = tokens.issue(tokens.CHECKOUT_VISIT, bought.id, page=way, expires_at=expires_at)
    response.set_cookie(
        _cookie_name(),
        value,
        secure=settings.secure,
        httponly=True,
        samesite="Lax",
        path=links.checkout_path(bought.id),
    )
    return response


def _cookie_name() -> str:
    return "__Secure-checkout" if config.current().secure else "checkout"
