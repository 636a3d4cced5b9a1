"""One payment: its lines, its attempts, its invoice as the customer gets it."""

from datetime import datetime

from flask import Response, render_template

from portal import invoices
from portal.access import staff_required
from portal.domain import customers, transactions
from portal.domain.transactions import METHOD_CHANGE, Transaction
from portal.errors import NotFound
from portal.staff import bp


@bp.get("/transactions/<id>")
@staff_required()
def transaction(id: str) -> str:
    shown = transactions.get(id)
    return render_template(
        "staff/transaction.html",
        transaction=shown,
        customer=customers.get(shown.customer_id) if shown.customer_id else None,
        has_invoice=_has_invoice(shown),
        at_of=datetime.fromisoformat,
    )


@bp.get("/transactions/<id>/invoice.pdf")
@staff_required()
def invoice(id: str) -> Response:
    billed = transactions.get(id)
    if not _has_invoice(billed):
        raise NotFound("invoice", id)
    content = invoices.of(billed, language=customers.get(billed.customer_id or "").locale)
    name = f"invoice-{billed.invoice_number or billed.id}.pdf"
    return Response(content, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'})


def _has_invoice(shown: Transaction) -> bool:
    """Whether its customer finds an invoice for it in the portal."""
    return shown.billed_at is not None and shown.origin != METHOD_CHANGE and shown.customer_id is not None
