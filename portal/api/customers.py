"""Customers for apps: list, create, read, change."""

from typing import Annotated, Any, ClassVar, Literal

from flask import Response
from pydantic import AfterValidator, EmailStr, Field
from sqlalchemy import select

from portal import i18n
from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import customers, entities, shapes, subscriptions
from portal.domain.customers import Customer


def _locale(text: str) -> str:
    if not i18n.is_locale(text):
        raise ValueError("must be a language such as en or de-AT")
    return text


Locale = Annotated[str, Field(max_length=20), AfterValidator(_locale)]


class _WithEmail(bodies.Body):
    """A wrong address alone has an error code of its own."""

    refused_alone: ClassVar = {"email": ("customer_email_invalid", "customers")}


class NewCustomer(_WithEmail):
    email: EmailStr
    name: Annotated[str, Field(max_length=1024)] | None = None
    locale: Locale = "en"
    custom_data: dict[str, Any] | None = None


class CustomerUpdate(_WithEmail):
    email: EmailStr = ""
    name: Annotated[str, Field(max_length=1024)] | None = None
    locale: Locale = "en"
    status: Literal["active", "archived"] = "active"
    custom_data: dict[str, Any] | None = None


class Customers(lists.Query):
    after: entities.CustomerId | None = None
    email: bodies.Several[Annotated[str, Field(max_length=320)]] = []
    id: bodies.Several[bodies.Part] = []
    search: catalog.Search | None = None
    status: catalog.Statuses = []


@operation(
    "GET",
    "/customers",
    permission="customer.read",
    query=Customers,
    gives=list[entities.Customer],
    example={"search": "example.com", "status": "active,archived"},
)
def list_customers(query: Customers) -> Response:
    """List customers.

    Those that are active, unless `status` asks otherwise. `email` finds whole addresses, however they are
    capitalised; `search` looks for a text in id, name and email.
    """
    wanted = catalog.among(
        select(Customer),
        (Customer.id, query.id),
        (Customer.status, query.status or ["active"]),
        (Customer.email_key, [customers.email_key(each) for each in query.email]),
    )
    wanted = catalog.containing(wanted, query.search, Customer.id, Customer.name, Customer.email)
    page = lists.Page(query, wanted, Customer.id)
    return page.answer([shapes.customer(each) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/customers",
    permission="customer.write",
    takes=NewCustomer,
    gives=entities.Customer,
    status=201,
    refuses=("customer_already_exists", "customer_email_invalid"),
    example={"email": "jo.pilot@example.com", "name": "Jo Pilot", "locale": "de-AT"},
)
def create_customer(body: NewCustomer) -> entities.Customer:
    """Create a customer."""
    with transaction():
        created = customers.create(
            email=body.email, name=body.name, locale=body.locale, custom_data=body.custom_data, by=app_actor()
        )
    return shapes.customer(created)


@operation("GET", "/customers/<id>", permission="customer.read", gives=entities.Customer)
def get_customer(id: str) -> entities.Customer:
    """Read a customer."""
    return shapes.customer(customers.get(id))


@operation(
    "PATCH",
    "/customers/<id>",
    permission="customer.write",
    takes=CustomerUpdate,
    gives=entities.Customer,
    refuses=("customer_already_exists", "customer_email_invalid", "conflict"),
    example={"name": "Jo Captain"},
)
def update_customer(id: str, body: CustomerUpdate) -> entities.Customer:
    """Change a customer; what is left out stays.

    `status: archived` takes them out of lists; refused while they have a subscription that is not canceled.
    """
    changes = bodies.as_dict(body)
    with transaction():
        customer = customers.locked(id)
        if changes.get("status") == "archived":
            subscriptions.refuse_archiving(id)
        customers.update(customer, changes, by=app_actor())
    return shapes.customer(customer)
