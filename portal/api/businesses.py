"""Businesses of customers for apps: list, create, read, change."""

from typing import Annotated, Any

from flask import Response
from pydantic import AfterValidator, EmailStr, Field
from sqlalchemy import select

from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import businesses, customers, entities, shapes
from portal.domain.customers import Business


class NewContact(bodies.Body):
    email: EmailStr
    name: catalog.Line | None = None


def _unlike(contacts: list[NewContact]) -> list[NewContact]:
    if len({(each.name, each.email) for each in contacts}) < len(contacts):
        raise ValueError("must name each contact once")
    return contacts


Name = Annotated[str, Field(min_length=1, max_length=1024)]
Contacts = Annotated[
    list[NewContact], Field(max_length=100, json_schema_extra={"uniqueItems": True}), AfterValidator(_unlike)
]


class NewBusiness(bodies.Body):
    name: Name
    company_number: catalog.Line | None = None
    tax_identifier: catalog.Line | None = None
    contacts: Contacts | None = None
    custom_data: bodies.CustomData | None = None


class BusinessUpdate(bodies.Body):
    name: Name = ""
    company_number: catalog.Line | None = None
    tax_identifier: catalog.Line | None = None
    contacts: Contacts | None = None
    custom_data: bodies.CustomData | None = None
    status: entities.CatalogStatus = "active"


class Businesses(lists.Query):
    after: entities.BusinessId | None = None
    id: bodies.Several[bodies.Part] = []
    search: catalog.Search | None = None
    status: catalog.Statuses = []


@operation(
    "GET",
    "/customers/<customer_id>/businesses",
    permission="business.read",
    query=Businesses,
    gives=list[entities.Business],
    example={"search": "example.com"},
)
def list_businesses(customer_id: str, query: Businesses) -> Response:
    """List a customer's businesses.

    Those that are active, unless `status` asks otherwise. `search` looks for a text in every field, contacts too.
    """
    customers.get(customer_id)
    wanted = catalog.among(
        select(Business).where(Business.customer_id == customer_id),
        (Business.id, query.id),
        (Business.status, query.status or ["active"]),
    )
    numbers = (Business.company_number, Business.tax_identifier)
    wanted = catalog.containing(
        wanted, query.search, Business.id, Business.name, *numbers, Business.contacts, Business.custom_data
    )
    page = lists.Page(query, wanted, Business.id)
    return page.answer([shapes.business(each) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/customers/<customer_id>/businesses",
    permission="business.write",
    takes=NewBusiness,
    gives=entities.Business,
    status=201,
    refuses=("entity_archived",),
    example={
        "name": "Harper Aviation GmbH",
        "company_number": "FN 123456 a",
        "tax_identifier": "ATU12345678",
        "contacts": [{"name": "Jo Pilot", "email": "accounts@example.com"}],
    },
)
def create_business(customer_id: str, body: NewBusiness) -> entities.Business:
    """Create a business."""
    with transaction():
        return shapes.business(businesses.create(customer_id, _columns(body), by=app_actor()))


@operation("GET", "/customers/<customer_id>/businesses/<id>", permission="business.read", gives=entities.Business)
def get_business(customer_id: str, id: str) -> entities.Business:
    """Read a business."""
    return shapes.business(businesses.get(id, customer_id=customer_id))


@operation(
    "PATCH",
    "/customers/<customer_id>/businesses/<id>",
    permission="business.write",
    takes=BusinessUpdate,
    gives=entities.Business,
    example={"tax_identifier": "ATU87654321", "contacts": []},
)
def update_business(customer_id: str, id: str, body: BusinessUpdate) -> entities.Business:
    """Change a business; what is left out stays.

    `contacts` are replaced as a whole.
    """
    with transaction():
        business = businesses.get(id, customer_id=customer_id)
        businesses.update(business, _columns(body), by=app_actor())
        return shapes.business(business)


def _columns(body: NewBusiness | BusinessUpdate) -> dict[str, Any]:
    sent = bodies.as_dict(body)
    if "contacts" in sent:
        sent["contacts"] = [{"name": each.name, "email": each.email} for each in body.contacts or ()]
    return sent
