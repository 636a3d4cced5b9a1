"""A customer's ways in: ending all of them, and changing the address to which they lead."""

from typing import Any

from email_validator import validate_email
from flask import Response, render_template, request, url_for
from flask_login import current_user

from portal import forms
from portal.access import staff_required
from portal.db import transaction
from portal.domain import audit, customer_access, customers
from portal.domain.customers import Customer
from portal.domain.staff import ADMIN
from portal.errors import CustomerAlreadyExists
from portal.staff import bp, see_other


@bp.get("/customers/<id>/sign-out")
@staff_required(ADMIN)
def sign_customer_out(id: str) -> str:
    customer = customers.get(id)
    latest = _latest(customer, "customer.signed_out")
    return render_template("staff/sign_customer_out.html", customer=customer, latest=latest)


@bp.post("/customers/<id>/sign-out")
@staff_required(ADMIN)
def sign_customer_out_submit(id: str) -> Response:
    with transaction():
        customer_access.sign_out(customers.locked(id), by=current_user.acting())
    return see_other(url_for("console.sign_customer_out", id=id, done="ended", _anchor="done"))


@bp.get("/customers/<id>/email")
@staff_required(ADMIN)
def change_email(id: str) -> str:
    return _form(customers.get(id))


@bp.post("/customers/<id>/email")
@staff_required(ADMIN)
def change_email_submit(id: str) -> Any:
    email = request.form.get("email", "").strip()
    if not forms.is_address(email):
        return _form(customers.get(id), email[:320], "Enter an email address, such as name@example.com."), 422
    email = validate_email(email, check_deliverability=False).normalized
    try:
        with transaction():
            customer, shown = customers.locked(id), request.form.get("shown", "")
            changed = customer_access.change_email(customer, email, shown=shown, by=current_user.acting())
    except CustomerAlreadyExists as taken:
        other = customers.get(taken.existing_id)
        return _form(customers.get(id), email, "Another customer has this address.", other), 409
    done = "changed" if changed or email != shown else "same"
    return see_other(url_for("console.change_email", id=id, done=done, _anchor="done"))


def _form(customer: Customer, email: str = "", problem: str = "", other: Customer | None = None) -> str:
    return render_template(
        "staff/change_email.html",
        customer=customer,
        email=email,
        problems={"email": problem} if problem else {},
        other=other,
        outcome=_outcome(customer),
    )


def _outcome(customer: Customer) -> str:
    """How the address came about, as the record has it: another spelling is no other mailbox, and ends nothing."""
    latest = _latest(customer, "customer.email_changed")
    if latest is None or latest.facts["new"] != customer.email:
        return ""
    is_same_mailbox = customers.email_key(latest.facts["old"]) == customer.email_key
    return "respelled" if is_same_mailbox else "changed"


def _latest(customer: Customer, action: str) -> Any:
    return next(iter(audit.find(subject=customer.id, action=action, limit=1)), None)
