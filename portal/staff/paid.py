"""Mark an invoice as paid: its money came by other means, and an admin writes that down."""

from typing import Any

from flask import render_template, request, url_for
from flask_login import current_user

from portal.access import staff_required
from portal.db import transaction
from portal.domain import customers, paid_otherwise, transactions
from portal.domain.staff import ADMIN
from portal.domain.transactions import OPEN, Transaction
from portal.staff import bp, see_other


@bp.get("/transactions/<id>/paid")
@staff_required(ADMIN)
def paid(id: str) -> str:
    shown = transactions.get(id)
    paid_otherwise.refuse_unfit(shown)
    return _page(shown)


@bp.post("/transactions/<id>/paid")
@staff_required(ADMIN)
def paid_submit(id: str) -> Any:
    note = request.form.get("note", "").strip()
    if len(note) > paid_otherwise.LONGEST_NOTE:
        shown = transactions.get(id)
        paid_otherwise.refuse_unfit(shown)
        problems = {"note": f"The note is longer than {paid_otherwise.LONGEST_NOTE} characters."}
        return _page(shown, note=note, problems=problems), 422
    with transaction():
        paid_otherwise.record(id, by=current_user.acting(), note=note)
    return see_other(url_for("console.transaction", id=id, done="paid", _anchor="done"))


def _page(shown: Transaction, *, note: str = "", problems: dict[str, str] | None = None) -> str:
    return render_template(
        "staff/paid.html",
        transaction=shown,
        customer=customers.get(shown.customer_id or ""),
        is_open=shown.status in OPEN,
        note=note,
        longest=paid_otherwise.LONGEST_NOTE,
        problems=problems or {},
    )
