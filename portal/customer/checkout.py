"""The checkout: what is bought, who buys it, and the card that pays. What recurs begins with the payment."""

import unicodedata
from contextlib import suppress
from typing import Any

from babel import Locale
from flask import make_response, render_template, request, url_for
from flask import session as browser

from portal import clock, email_address, forms, gateways, i18n, limits, links
from portal.customer import bp, see_other
from portal.customer.checkout_visit import buyer, is_at_home, visited
from portal.db import session, transaction
from portal.domain import beginnings, codes, customers, orders, purchases, shapes, subscriptions, transactions
from portal.domain.customers import Address
from portal.domain.payment_methods import Card, PaymentMethod
from portal.domain.transactions import UNBILLED, Transaction
from portal.errors import (
    CardRefused,
    InvalidRequest,
    NotFound,
    OfferChanged,
    PaymentUnderWay,
    Refusal,
    TransactionRefusal,
)
from portal.gateways import ConfirmationNeeded
from portal.web import content_security_policy

_ATTEMPTS_AN_HOUR = 30
"""Cards tried on one checkout: enough for who mistypes, too few for who tries out stolen numbers."""
_NAMES_AN_HOUR = 30
"""Buyers named on one checkout: each address that is new makes a customer."""


@bp.get("/checkout/<id>")
@visited
def checkout(bought: Transaction) -> Any:
    if bought.status in ("paid", "completed"):
        return _done(bought)
    if bought.status == "canceled":
        return render_template("customer/checkout_closed.html", why="canceled"), 410
    if orders.is_stale(bought):
        return render_template("customer/checkout_closed.html", why="changed"), 410
    return _page(bought)


@bp.get("/checkout/<id>/who")
@visited
def checkout_who(bought: Transaction) -> Any:
    """To correct what was said before."""
    if not _may_say_who(bought):
        return _back(bought)
    return _page(bought, asking=True)


@bp.post("/checkout/<id>/who")
@visited
def checkout_who_submit(bought: Transaction) -> Any:
    if bought.status not in UNBILLED or not bought.is_automatic or not _may_say_who(bought):
        return _back(bought)
    asks_email = _asks_email(bought)
    longest = email_address.LONGEST + 1  # one too many: an address is refused, not cut into another one
    said = {name: request.form.get(name, "").strip()[:longest] for name in ("email", "country", "postal_code")}
    wrong = _wrong(said, asks_email)
    if wrong:
        return _page(bought, asking=True, wrong=wrong, said=said, status=400)
    limits.take(f"checkout-who:{bought.id}", per_hour=_NAMES_AN_HOUR)
    with suppress(TransactionRefusal), transaction():  # paid or called off meanwhile: the page says so
        bought = transactions.get(bought.id)
        purchases.identify(
            bought,
            email=said["email"] if asks_email else None,
            country=said["country"],
            postal_code=said["postal_code"] or None,
            locale=i18n.language(),
            by=buyer(bought),
        )
        browser["named"] = _name(bought)
    return _back(bought)


@bp.post("/checkout/<id>")
@visited
def checkout_submit(bought: Transaction) -> Any:
    if not _is_payable(bought):
        return _back(bought)
    limits.take(f"checkout:{bought.id}", per_hour=_ATTEMPTS_AN_HOUR)
    try:
        return _pay(bought, gateways.current().accept(request.form, customer_id=bought.customer_id or ""))
    except ConfirmationNeeded as needed:
        return see_other(url_for("customer.checkout_confirm", id=bought.id, reference=needed.reference))
    except (CardRefused, PaymentUnderWay, OfferChanged) as refused:
        return _page(bought, refused=refused)


@bp.post("/checkout/<id>/card-on-file")
@visited
def checkout_card_on_file(bought: Transaction) -> Any:
    """For the customer who is signed in, and for nobody else who has the link."""
    stored = purchases.card_on_file(bought.customer_id or "") if is_at_home(bought) else None
    if not _is_payable(bought) or stored is None:
        return _back(bought)
    limits.take(f"checkout:{bought.id}", per_hour=_ATTEMPTS_AN_HOUR)
    try:
        return _pay(bought, stored)
    except NotFound:  # deleted at this moment
        return _back(bought)
    except (CardRefused, PaymentUnderWay, OfferChanged) as refused:
        return _page(bought, refused=refused)


@bp.get("/checkout/<id>/confirm")
@visited
def checkout_confirm(bought: Transaction) -> Any:
    if not _is_payable(bought):
        return _back(bought)
    reference = request.args.get("reference", "")
    try:
        card = gateways.current().confirmation(reference, customer_id=bought.customer_id or "")
    except CardRefused as refused:
        return _page(bought, refused=refused)
    return render_template(
        "customer/checkout_confirm.html", bought=bought, card=card, reference=reference, offer=purchases.offer(bought)
    )


@bp.post("/checkout/<id>/confirm")
@visited
def checkout_confirm_submit(bought: Transaction) -> Any:
    if not _is_payable(bought):
        return _back(bought)
    reference, agreed = request.values.get("reference", ""), request.form.get("agreed") == "yes"
    try:
        card = gateways.current().confirm(reference, customer_id=bought.customer_id or "", agreed=agreed)
        return _pay(bought, card)
    except (CardRefused, PaymentUnderWay, OfferChanged) as refused:
        return _page(bought, refused=refused)


def _pay(bought: Transaction, card: Card | PaymentMethod) -> Any:
    """Raises CardRefused, PaymentUnderWay, OfferChanged: then nothing was charged and nothing begun."""
    agreed_to = request.form.get("offer")
    refusal = purchases.pay(bought.id, card, gateways.current(), by=buyer(bought), agreed_to=agreed_to)
    if refusal is not None:
        raise CardRefused(refusal)
    return _back(bought)


def _back(bought: Transaction) -> Any:
    return see_other(links.checkout_path(bought.id))


def _is_payable(bought: Transaction) -> bool:
    return bought.status == "ready" and bought.is_automatic and not orders.is_stale(bought) and not _asks_who(bought)


def _asks_email(bought: Transaction) -> bool:
    """Whom the seller has named stays; what was typed here can be corrected."""
    return bought.customer_id is None or bought.identified_at is not None


def _asks_who(bought: Transaction) -> bool:
    return bought.customer_id is None or bought.address_id is None or not _is_named_here(bought)


def _is_named_here(bought: Transaction) -> bool:
    """Whether the seller said who buys, or this browser: what another who has the link typed is neither shown here
    nor paid for, lest a card ends up in a stranger's account."""
    return bought.identified_at is None or browser.get("named") == _name(bought) or is_at_home(bought)


def _name(bought: Transaction) -> list[str | None]:
    return [bought.id, shapes.instant(bought.identified_at)]


def _may_say_who(bought: Transaction) -> bool:
    """Whether who has the link says who buys and from where; what the seller has said is not theirs to change."""
    return _asks_who(bought) or bought.identified_at is not None


def _page(
    bought: Transaction,
    *,
    asking: bool = False,
    wrong: dict[str, str] | None = None,
    said: dict[str, str] | None = None,
    refused: Refusal | None = None,
    status: int = 200,
) -> Any:
    """The checkout as it stands: the question who buys, or the form for the card."""
    if isinstance(refused, OfferChanged):
        session().refresh(bought)
    form = gateways.current().form()
    page = render_template(
        "customer/checkout.html",
        bought=bought,
        terms=beginnings.terms(bought, clock.now()),
        offer=purchases.offer(bought),
        email=_shown(bought),
        asking=(asking or _asks_who(bought)) and bought.is_automatic,
        asks_email=_asks_email(bought),
        countries=_countries(),
        said=said or _said(bought),
        wrong=wrong or {},
        form=form,
        stored=purchases.card_on_file(bought.customer_id or "") if is_at_home(bought) else None,
        error=refused.reason if isinstance(refused, CardRefused) else None,
        under_way=isinstance(refused, PaymentUnderWay),
        changed=isinstance(refused, OfferChanged),
    )
    response = make_response(page, refused.status if refused else status)
    response.headers["Content-Security-Policy"] = content_security_policy(form.sources)
    return response


def _done(bought: Transaction) -> str:
    begun = subscriptions.get(bought.subscription_id) if bought.subscription_id else None
    return render_template("customer/checkout_done.html", bought=bought, subscription=begun, email=_shown(bought))


def _shown(bought: Transaction) -> str | None:
    """The buyer's address; as it was typed here it is shown in one spelling, known or not known before."""
    customer = customers.get(bought.customer_id) if bought.customer_id else None
    if customer is None or not _is_named_here(bought):
        return None
    return customer.email_key if bought.identified_at else customer.email


def _said(bought: Transaction) -> dict[str, str]:
    """What the form for who buys is filled in with: only what was said here before."""
    typed = bought.identified_at is not None and _is_named_here(bought)
    address = session().get(Address, bought.address_id) if bought.address_id and typed else None
    return {
        "email": (_shown(bought) or "") if typed else "",
        "country": address.country_code if address else "",
        "postal_code": (address.postal_code or "") if address else "",
    }


def _wrong(said: dict[str, str], asks_email: bool) -> dict[str, str]:
    """The fields that can't be right, with why."""
    wrong = {}
    if asks_email and not forms.is_address(said["email"]):
        wrong["email"] = i18n.gettext("Enter an email address, such as name@example.com.")
    if said["country"] not in codes.countries():
        wrong["country"] = i18n.gettext("Choose your country.")
    try:
        codes.refuse_without_postal_code(said["country"], said["postal_code"])
    except InvalidRequest:
        wrong["postal_code"] = i18n.gettext("Enter the postal code; in this country it is needed.")
    return wrong


def _countries() -> list[tuple[str, str]]:
    """Code and name of each, in the reader's language and order."""
    names = Locale.parse(i18n.language()).territories
    named = [(code, names.get(code, code)) for code in codes.countries()]
    return sorted(named, key=lambda each: unicodedata.normalize("NFKD", each[1]).casefold())
