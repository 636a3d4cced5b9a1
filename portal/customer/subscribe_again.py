"""Subscribe again: the same items as a canceled subscription, bought anew on the checkout."""

from typing import Any

from flask import Response, render_template, url_for
from flask_login import current_user

from portal import clock, config, links
from portal.access import customer_required
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import orders
from portal.domain.browser_sessions import READ
from portal.errors import EntityArchived, TransactionRefusal


@bp.get("/subscriptions/<id>/subscribe-again")
@customer_required(READ)
def subscribe_again(id: str) -> Response:
    """Buying begins with the button; who comes here otherwise finds it on the subscription's page."""
    return see_other(url_for("customer.subscription", id=current_user.subscription(id).id))


@bp.post("/subscriptions/<id>/subscribe-again")
@customer_required(READ)
def subscribe_again_submit(id: str) -> Any:
    """Asked twice, it leads to the same checkout."""
    with transaction():
        subscription = current_user.subscription(id)
        if subscription.status != "canceled":
            return see_other(url_for("customer.subscription", id=id))
        try:
            bought = orders.again(subscription, by=current_user.acting(READ, id))
        except (EntityArchived, TransactionRefusal):
            return render_template("customer/no_longer_sold.html", subscription=subscription), 409
    expires_at = clock.now() + config.current().checkout_link_lifetime
    return see_other(links.checkout_url(bought.id, expires_at=expires_at))
