"""Following a link: its token is exchanged for this browser's session, and the page opens without the token.

    fresh      303 to the same page, with a cookie
    expired    authentic, but too old or revoked: a page with one button that mails a fresh link for the same page
    otherwise  "this link does not work", with a way to sign in

Following never acts. The link's identity beats any cookie already there; another link of the same customer adds its
errand to what this browser may already do.
"""

from typing import Any

from flask import g, render_template, request
from flask_login import current_user

from portal import access, clock, config, i18n, limits, links, tokens
from portal.customer import bp, see_other
from portal.db import session, transaction
from portal.domain import browser_sessions, mails, portal_sessions, staff_links
from portal.domain.actors import Actor
from portal.domain.customers import Customer
from portal.domain.portal_sessions import PortalSession
from portal.errors import InvalidRequest, Refusal
from portal.tokens import DIRECT, PORTAL_SESSION, Claims

_READ_THEIR_OWN = ("customer.sign_in_confirm", "customer.checkout", "customer.invoice_by_link")
_WAYS = {PORTAL_SESSION: "portal session", DIRECT: "email link"}


class Revoked(Exception):
    """An authentic link that was called back."""


@bp.before_request
def follow() -> Any:
    """Exchanges the token of a link, on every page but those whose tokens are of another kind."""
    token = request.args.get("token")
    if token is None or request.method == "POST" or request.endpoint in _READ_THEIR_OWN:
        return None
    try:
        claims = tokens.read(token, PORTAL_SESSION, DIRECT)
        _refuse_other_pages(claims)
        cookie = _exchange(claims)
    except tokens.Expired as expired:
        _refuse_other_pages(expired.claims)
        return _stale(token, "expired")
    except Revoked:
        return _stale(token, "revoked")
    except tokens.Forged:
        raise _broken() from None
    return access.give_cookie(see_other(request.path), cookie)


@bp.get("/link-expired")
def link_expired() -> Any:
    """The known customer whose link opens another page is led here; others are led to sign in."""
    if not current_user.is_authenticated:
        return see_other("/portal/sign-in")
    return render_template("customer/link_expired.html", token="", reason="scope", next=request.args.get("next", ""))


@bp.post("/link-expired")
def send_fresh_link() -> Any:
    customer, page, subscription_id = _wanted()
    limits.take(f"fresh-link:{customer.id}", per_hour=config.current().sign_in_per_address)
    with transaction():
        mails.send_access(
            "fresh_link",
            to=customer.email,
            locale=customer.locale,
            time_zone=customer.time_zone,
            customer_id=customer.id,
            page=page,
            subscription=subscription_id,
            asked_at=clock.now(),
        )
    i18n.speak(customer.locale, customer.time_zone)
    return render_template("customer/link_sent.html")


def _exchange(claims: Claims) -> str:
    """A cookie for the customer the link stands for. Raises Forged, or Revoked."""
    with transaction():
        opened = session().get(PortalSession, claims.origin) if claims.purpose == PORTAL_SESSION else None
        customer = _customer_of(claims, opened)
        browser_sessions.hold(customer.id)
        for row in filter(None, (customer, opened)):
            session().refresh(row)
        since = customer.links_valid_from
        if (opened and not opened.is_open) or (since and claims.issued_at <= since):
            raise Revoked
        if opened and not portal_sessions.opens(opened, claims.page, claims.subscription):
            raise tokens.Forged
        cookie = browser_sessions.begin(
            customer.id,
            page=claims.page,
            way=access.way_in(_WAYS[claims.purpose]),
            subscription_id=claims.subscription,
            portal_session_id=opened.id if opened else None,
            return_url=opened.return_url if opened else None,
            earlier=current_user.browser,
        )
        if request.method != "HEAD":
            _remember(claims, customer, opened)
        return cookie


def _remember(claims: Claims, customer: Customer, opened: PortalSession | None) -> None:
    """Each look of a colleague, and the use of links that staff made."""
    colleague = access.colleague_beside()
    if colleague:
        staff_links.looked(customer.id, claims.page, claims.subscription, opened, by=colleague.acting())
    elif opened and opened.by_staff:
        name = customer.name or ""
        staff_links.followed(
            opened, by=Actor("customer", customer.id, "portal session", name, received_at=g.received_at)
        )


def _customer_of(claims: Claims, opened: PortalSession | None) -> Customer:
    customer_id = opened.customer_id if opened else claims.origin
    customer = session().get(Customer, customer_id)
    if customer is None or customer.status != "active":
        raise tokens.Forged
    return customer


def _refuse_other_pages(claims: Claims) -> None:
    """A link opens the page it was made for and no other."""
    if links.path(claims.page, claims.subscription) != request.path:
        raise _broken()


def _wanted() -> tuple[Customer, str, str | None]:
    """Whom to mail a link to which page: from an authentic token, or from the customer who is known here."""
    token = request.form.get("token", "")
    if not token and current_user.is_authenticated:
        return current_user.customer, *links.page_of(request.form.get("next", ""))
    try:
        claims = tokens.read(token, PORTAL_SESSION, DIRECT)
    except tokens.Expired as expired:
        claims = expired.claims
    except tokens.Forged:
        raise _broken() from None
    opened = session().get(PortalSession, claims.origin) if claims.purpose == PORTAL_SESSION else None
    try:
        return _customer_of(claims, opened), claims.page, claims.subscription
    except tokens.Forged:
        raise _broken() from None


def _stale(token: str, reason: str) -> Any:
    return render_template("customer/link_expired.html", token=token, reason=reason, next=""), 410


def _broken() -> Refusal:
    return InvalidRequest("link_broken", "This link does not work.", status=403)
