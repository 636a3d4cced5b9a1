"""Links for a customer: sent to their address, or shown once to be copied; and those that still work."""

from typing import Any

from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import clock, config, limits
from portal.access import staff_required
from portal.db import transaction
from portal.domain import customers, snapshots, staff_links, subscriptions
from portal.domain.customers import Customer
from portal.errors import TooMany
from portal.staff import bp, see_other


@bp.get("/subscriptions/<id>/link")
@staff_required()
def subscription_link(id: str) -> Any:
    subscription = subscriptions.get(id)
    return _form(subscription.customer, subscription)


@bp.post("/subscriptions/<id>/link")
@staff_required()
def subscription_link_submit(id: str) -> Any:
    subscription = subscriptions.get(id)
    return _make(subscription.customer, subscription)


@bp.get("/customers/<id>/link")
@staff_required()
def customer_link(id: str) -> Any:
    return _form(customers.get(id), None)


@bp.post("/customers/<id>/link")
@staff_required()
def customer_link_submit(id: str) -> Any:
    return _make(customers.get(id), None)


@bp.post("/customers/<id>/links/<link_id>/take-back")
@staff_required()
def take_link_back(id: str, link_id: str) -> Response:
    with transaction():
        staff_links.take_back(id, link_id, by=current_user.acting())
    return see_other(url_for("console.customer_link", id=id, done="taken_back", _anchor="done"))


def _make(customer: Customer, subscription: Any) -> Any:
    page, acting = request.form.get("page", ""), current_user.acting()
    if page not in _pages(subscription) or customer.status != "active":
        return _form(customer, subscription, {"page": "Choose what the link opens."}, status=422)
    try:
        limits.take(f"staff-link:{customer.id}", per_hour=staff_links.PER_HOUR)
    except TooMany as refused:
        return _too_many(customer, subscription, refused)
    if request.form.get("how") == "show":
        with transaction():
            link, url = staff_links.show(customer, page, subscription, by=acting)
        return render_template(
            "staff/link_shown.html", customer=customer, subscription=subscription, link=link, url=url, back=request.path
        )
    with transaction():
        staff_links.send(customer, page, subscription, by=acting)
    return see_other(f"{request.path}?done=sent#done")


def _pages(subscription: Any) -> list[str]:
    return staff_links.pages_of(subscription) if subscription else ["portal"]


def _too_many(customer: Customer, subscription: Any, refused: TooMany) -> Response:
    minutes = -(-(refused.retry_after or 60) // 60)
    wait = "1 minute" if minutes == 1 else f"{minutes} minutes"
    told = f"{staff_links.PER_HOUR} links were made for this customer within an hour. Try again in {wait}."
    response = Response(_form(customer, subscription, {"page": told})[0], 429)
    response.headers["Retry-After"] = str(refused.retry_after)
    return response


def _form(
    customer: Customer, subscription: Any, problems: dict[str, str] | None = None, status: int = 200
) -> tuple[str, int]:
    pages, settings, now = _pages(subscription), config.current(), clock.now()
    chosen, owned = request.form.get("page"), snapshots.of_customer(customer)
    page = render_template(
        "staff/link.html",
        customer=customer,
        subscription=subscription,
        pages=pages,
        chosen=chosen if chosen in pages else pages[0],
        sent_until=now + settings.email_link_lifetime,
        shown_until=now + settings.api_link_lifetime,
        made=staff_links.living(customer.id),
        subscriptions=owned,
        names={each.id: each.name for each in owned},
        problems=problems or {},
    )
    return page, status
