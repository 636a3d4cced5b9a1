"""Signing in by a link in a mail, and signing out.

Asking answers alike for every address. The link's GET shows one button, because mail scanners open links; its POST
redeems it, once.
"""

from typing import Any

from flask import render_template, request
from flask_login import current_user

from portal import access, config, forms, i18n, limits, links, tokens
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import browser_sessions, customers
from portal.domain import sign_in as signing_in
from portal.tokens import SIGN_IN


@bp.get("/sign-in")
def sign_in() -> str:
    return render_template("customer/sign_in.html", email="", error=None, next=_next(request.args))


@bp.post("/sign-in")
def send_sign_in_link() -> Any:
    email, settings = request.form.get("email", "").strip(), config.current()
    if not forms.is_address(email):
        page = render_template("customer/sign_in.html", email=email[:200], error="invalid", next=_next(request.form))
        return page, 400
    limits.take(f"sign-in:client:{request.remote_addr}", per_hour=settings.sign_in_per_client)
    limits.take(f"sign-in:{customers.email_key(email)}", per_hour=settings.sign_in_per_address)
    with transaction():
        signing_in.request(
            email, next_path=_next(request.form), locale=i18n.language(), client=request.remote_addr or ""
        )
    minutes = int(settings.sign_in_link_lifetime.total_seconds() // 60)
    return render_template("customer/sign_in_sent.html", lifetime_minutes=minutes)


@bp.get("/sign-in/confirm")
def sign_in_confirm() -> Any:
    token = request.args.get("token", "")
    usable = _request_of(token) is not None
    return render_template("customer/sign_in_confirm.html", token=token if usable else "", usable=usable)


@bp.post("/sign-in/confirm")
def redeem_sign_in() -> Any:
    request_id = _request_of(request.form.get("token", ""))
    with transaction():
        redeemed = signing_in.redeem(request_id) if request_id else None
        if redeemed is None:
            return render_template("customer/sign_in_confirm.html", token="", usable=False), 403
        customer, next_path = redeemed
        cookie = browser_sessions.begin(customer.id, page="portal", way="sign-in", earlier=current_user.browser)
    return access.give_cookie(see_other(next_path), cookie)


@bp.post("/sign-out")
def sign_out() -> Any:
    """Signs this browser out; who only looked is led back to the console."""
    where = "/portal/signed-out"
    if current_user.is_authenticated:
        if access.colleague_beside():
            where = f"/console/customers/{current_user.customer.id}"
        with transaction():
            browser_sessions.end(current_user.browser.id)
    return access.take_cookie(see_other(where))


@bp.get("/signed-out")
def signed_out() -> str:
    return render_template("customer/signed_out.html")


def _request_of(token: str) -> str | None:
    """The sign-in request of a link that can still be used."""
    try:
        request_id = tokens.read(token, SIGN_IN).origin
    except (tokens.Forged, tokens.Expired):
        return None
    return request_id if signing_in.is_open(request_id) else None


def _next(fields: Any) -> str:
    """The page to open after signing in: one of ours, built anew, whatever was sent."""
    wanted = fields.get("next", "")
    return wanted if wanted == "/portal/payments" else links.path(*links.page_of(wanted))
