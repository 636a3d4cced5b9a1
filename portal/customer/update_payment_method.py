"""Replace the card that pays a subscription. What is owed is collected from the new card first."""

from typing import Any

from flask import Response, g, make_response, render_template, request, url_for
from flask_login import current_user

from portal import gateways
from portal.access import customer_required
from portal.customer import bp, see_other
from portal.db import transaction
from portal.domain import debts, ending, method_changes, payment_methods, renewal
from portal.domain.browser_sessions import PAY
from portal.domain.payment_methods import Card
from portal.domain.subscriptions import Subscription
from portal.errors import AlreadyCanceled, CardRefused, NotAutomatic, PaymentUnderWay
from portal.gateways import ConfirmationNeeded
from portal.web import content_security_policy


@bp.get("/subscriptions/<id>/update-payment-method")
@customer_required(PAY)
def update_payment_method(id: str) -> Response:
    """The form; where no card is charged, the subscription's own page, which says how it stands."""
    try:
        return _form(_payable(id))
    except (AlreadyCanceled, NotAutomatic):
        return see_other(url_for("customer.subscription", id=id))


@bp.post("/subscriptions/<id>/update-payment-method")
@customer_required(PAY)
def update_payment_method_submit(id: str) -> Any:
    _payable(id)
    try:
        card = gateways.current().accept(request.form, customer_id=current_user.customer.id)
        return _pay_and_store(id, card)
    except ConfirmationNeeded as needed:
        return see_other(url_for("customer.confirm_payment_method", id=id, reference=needed.reference))
    except (CardRefused, PaymentUnderWay) as refused:
        return _form(current_user.subscription(id), refused)


@bp.get("/subscriptions/<id>/update-payment-method/confirm")
@customer_required(PAY)
def confirm_payment_method(id: str) -> Any:
    subscription, reference = _payable(id), request.args.get("reference", "")
    try:
        card = gateways.current().confirmation(reference, customer_id=current_user.customer.id)
    except CardRefused as refused:
        return _form(subscription, refused)
    return render_template(
        "customer/confirm_payment_method.html", subscription=subscription, card=card, reference=reference
    )


@bp.post("/subscriptions/<id>/update-payment-method/confirm")
@customer_required(PAY)
def confirm_payment_method_submit(id: str) -> Any:
    subscription, customer_id = _payable(id), current_user.customer.id
    reference, agreed = request.values.get("reference", ""), request.form.get("agreed") == "yes"
    try:
        card = gateways.current().confirm(reference, customer_id=customer_id, agreed=agreed)
        return _pay_and_store(id, card)
    except (CardRefused, PaymentUnderWay) as refused:
        return _form(subscription, refused)


def _payable(id: str) -> Subscription:
    """One of this customer's subscriptions that a card can pay. Raises AlreadyCanceled, NotAutomatic."""
    subscription: Subscription = current_user.subscription(id)
    if subscription.status == "canceled":
        raise AlreadyCanceled("The subscription has ended; nothing is charged for it any more.")
    if not subscription.is_automatic:
        raise NotAutomatic("This subscription is paid by invoice; no card is charged for it.")
    return subscription


def _pay_and_store(id: str, card: Card) -> Response:
    """Collects what is owed, oldest first, then stores the card. Raises CardRefused: then nothing is stored."""
    actor = current_user.acting(PAY, id)
    owed = [each.id for each in debts.to_collect(id)]
    for debt in owed:
        refusal = renewal.collect_with(card.reference, debt, gateways.current(), by=actor)
        if refusal is not None:
            raise CardRefused(refusal)
    with transaction():
        subscription = current_user.subscription(id)
        subscription.refuse_if_canceled()
        payment_methods.replace(subscription, card, by=actor, next_payment=ending.told_next(subscription))
        method_changes.finish(subscription, by=actor)
    return see_other(url_for("customer.subscription", id=id, done="paid" if owed else "card_saved", _anchor="done"))


def _form(subscription: Subscription, refused: CardRefused | PaymentUnderWay | None = None) -> Response:
    form = gateways.current().form()
    owed = debts.to_collect(subscription.id)
    page = render_template(
        "customer/update_payment_method.html",
        subscription=subscription,
        form=form,
        owed=owed,
        following=ending.charges_begun(subscription, g.received_at) if owed else [],
        error=refused.reason if isinstance(refused, CardRefused) else None,
        under_way=isinstance(refused, PaymentUnderWay),
    )
    response = make_response(page, refused.status if refused else 200)
    response.headers["Content-Security-Policy"] = content_security_policy(form.sources)
    return response
