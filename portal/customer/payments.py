"""What was paid, and the invoice of each payment."""

from typing import Any

from flask import Response, render_template, request
from flask_login import current_user

from portal import i18n, invoices, tokens
from portal.access import customer_required, outside_link
from portal.customer import bp
from portal.domain import customers, transactions
from portal.domain.browser_sessions import PORTAL, READ
from portal.domain.transactions import METHOD_CHANGE, Transaction
from portal.errors import InvalidRequest, NotFound, Refusal


@bp.get("/payments")
@customer_required(PORTAL)
def payments() -> str:
    return render_template("customer/payments.html", payments=transactions.of_customer(current_user.customer.id))


@bp.get("/payments/<id>/invoice.pdf")
@customer_required(None)
def invoice(id: str) -> Any:
    paid = current_user.transaction(id)
    if not current_user.may(READ, paid.subscription_id):
        return outside_link()
    if paid.billed_at is None or paid.origin == METHOD_CHANGE:
        raise NotFound("invoice", id)
    return _pdf(paid, invoices.of(paid, language=i18n.language()), "inline")


@bp.get("/invoices/<id>.pdf")
def invoice_by_link(id: str) -> Any:
    """The link an app got over the API: it opens this one invoice, for an hour."""
    if "token" not in request.args:
        raise NotFound("invoice", id)
    try:
        claims = tokens.read(request.args["token"], tokens.INVOICE)
    except tokens.Expired:
        return render_template("customer/invoice_link_expired.html"), 410
    except tokens.Forged:
        raise _broken() from None
    if claims.origin != id:
        raise _broken()
    paid = transactions.get(id)
    customer = customers.get(paid.customer_id or "")
    if customer.links_valid_from and claims.issued_at <= customer.links_valid_from:
        return render_template("customer/invoice_link_expired.html"), 410
    if not paid.has_invoice:
        raise NotFound("invoice", id)
    shown = "inline" if request.args.get("disposition") == "inline" else "attachment"
    return _pdf(paid, invoices.of(paid, language=customer.locale), shown)


def _pdf(paid: Transaction, content: bytes, disposition: str) -> Response:
    name = f"invoice-{paid.invoice_number or paid.id}.pdf"
    headers = {"Content-Disposition": f'{disposition}; filename="{name}"'}
    return Response(content, mimetype="application/pdf", headers=headers)


def _broken() -> Refusal:
    return InvalidRequest("link_broken", "This link does not work.", status=403)
