"""What was paid, and the invoice of each payment."""

from typing import Any

from flask import Response, render_template
from flask_login import current_user

from portal import i18n, invoices
from portal.access import customer_required, outside_link
from portal.customer import bp
from portal.db import session
from portal.domain import transactions
from portal.domain.browser_sessions import PORTAL, READ
from portal.domain.customers import Address


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
    address = session().get(Address, paid.address_id) if paid.address_id else None
    customer = current_user.customer
    pdf = invoices.pdf(paid, customer, address, language=i18n.language(), zone=customer.time_zone)
    name = f"invoice-{paid.invoice_number or paid.id}.pdf"
    return Response(pdf, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'})
