"""Customers and their addresses for apps."""

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import AfterValidator, EmailStr, Field

from portal import i18n, web
from portal.access import app_actor, key_required
from portal.api import bodies, bp
from portal.db import session, transaction
from portal.domain import customers, shapes, subscriptions
from portal.domain.customers import Address
from portal.errors import InvalidRequest, NotFound


def _locale(text: str) -> str:
    if not i18n.is_locale(text):
        raise ValueError("must be a language such as en or de-AT")
    return text


Locale = Annotated[str, Field(max_length=20), AfterValidator(_locale)]


class NewCustomer(bodies.Body):
    email: EmailStr
    name: Annotated[str, Field(max_length=1024)] | None = None
    locale: Locale = "en"
    custom_data: dict[str, Any] | None = None


class CustomerUpdate(bodies.Body):
    email: EmailStr = ""
    name: Annotated[str, Field(max_length=1024)] | None = None
    locale: Locale = "en"
    status: Literal["active", "archived"] = "active"
    custom_data: dict[str, Any] | None = None


def _read(model: type[bodies.Model]) -> bodies.Model:
    """The body; a wrong address alone has a code of its own."""
    try:
        return bodies.read(model)
    except InvalidRequest as wrong:
        if [each["field"] for each in wrong.fields or ()] == ["email"] and "email" in bodies.sent():
            wrong.code, wrong.group = "customer_email_invalid", "customers"
        raise


@bp.post("/customers")
@key_required("customer.write")
def create_customer() -> Response:
    body = _read(NewCustomer)
    with transaction():
        created = customers.create(
            email=body.email, name=body.name, locale=body.locale, custom_data=body.custom_data, by=app_actor()
        )
    return web.data(shapes.customer(created), 201)


@bp.get("/customers/<id>")
@key_required("customer.read")
def get_customer(id: str) -> Response:
    return web.data(shapes.customer(customers.get(id)))


@bp.patch("/customers/<id>")
@key_required("customer.write")
def update_customer(id: str) -> Response:
    changes = bodies.as_dict(_read(CustomerUpdate))
    with transaction():
        customer = customers.get(id)
        if changes.get("status") == "archived":
            subscriptions.refuse_archiving(id)
        customers.update(customer, changes, by=app_actor())
    return web.data(shapes.customer(customer))


@bp.get("/customers/<customer_id>/addresses/<id>")
@key_required("address.read")
def get_address(customer_id: str, id: str) -> Response:
    address = session().get(Address, id)
    if address is None or address.customer_id != customer_id:
        raise NotFound("address", id)
    return web.data(shapes.address(address))
