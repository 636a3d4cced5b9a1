"""Addresses of customers for apps: list, create, read, change."""

from typing import Annotated

from flask import Response
from pydantic import ConfigDict, Field
from sqlalchemy import select

from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import addresses, codes, customers, entities, shapes
from portal.domain.customers import Address

_COUNTRY_NEEDS_CODE = {"properties": {"country_code": {"enum": list(codes.NEED_POSTAL_CODE)}}}
_CODE = {"properties": {"postal_code": {"type": "string", "pattern": r"\S"}}, "required": ["postal_code"]}

Word = Annotated[str, Field(max_length=200)]


class NewAddress(bodies.Body):
    model_config = ConfigDict(json_schema_extra={"if": _COUNTRY_NEEDS_CODE, "then": _CODE})  # type: ignore[dict-item]

    country_code: catalog.Country
    description: catalog.Line | None = None
    first_line: catalog.Line | None = None
    second_line: catalog.Line | None = None
    city: Word | None = None
    postal_code: Word | None = None
    region: Word | None = None
    custom_data: bodies.CustomData | None = None


class AddressUpdate(bodies.Body):
    country_code: catalog.Country = ""
    description: catalog.Line | None = None
    first_line: catalog.Line | None = None
    second_line: catalog.Line | None = None
    city: Word | None = None
    postal_code: Word | None = None
    region: Word | None = None
    custom_data: bodies.CustomData | None = None
    status: entities.CatalogStatus = "active"


class Addresses(lists.Query):
    after: entities.AddressId | None = None
    id: bodies.Several[bodies.Part] = []
    search: catalog.Search | None = None
    status: catalog.Statuses = []


@operation(
    "GET",
    "/customers/<customer_id>/addresses",
    permission="address.read",
    query=Addresses,
    gives=list[entities.Address],
    example={"search": "Vienna"},
)
def list_addresses(customer_id: str, query: Addresses) -> Response:
    """List a customer's addresses.

    Those that are active, unless `status` asks otherwise. `search` looks for a text in every field.
    """
    customers.get(customer_id)
    wanted = catalog.among(
        select(Address).where(Address.customer_id == customer_id),
        (Address.id, query.id),
        (Address.status, query.status or ["active"]),
    )
    places = (Address.first_line, Address.second_line, Address.city, Address.postal_code, Address.region)
    wanted = catalog.containing(
        wanted, query.search, Address.id, Address.description, *places, Address.country_code, Address.custom_data
    )
    page = lists.Page(query, wanted, Address.id)
    return page.answer([shapes.address(each) for each in session().scalars(page.statement())])


@operation(
    "POST",
    "/customers/<customer_id>/addresses",
    permission="address.write",
    takes=NewAddress,
    gives=entities.Address,
    status=201,
    refuses=("entity_archived",),
    example={
        "country_code": "US",
        "description": "Hangar",
        "first_line": "12 Runway Road",
        "city": "Dayton",
        "postal_code": "45402",
        "region": "OH",
    },
)
def create_address(customer_id: str, body: NewAddress) -> entities.Address:
    """Create an address.

    The country is enough, except where it needs a postal code: AU, CA, DE, ES, FR, GB, IN, IT, NL and US.
    """
    with transaction():
        return shapes.address(addresses.create(customer_id, bodies.as_dict(body), by=app_actor()))


@operation("GET", "/customers/<customer_id>/addresses/<id>", permission="address.read", gives=entities.Address)
def get_address(customer_id: str, id: str) -> entities.Address:
    """Read an address."""
    return shapes.address(addresses.get(id, customer_id=customer_id))


@operation(
    "PATCH",
    "/customers/<customer_id>/addresses/<id>",
    permission="address.write",
    takes=AddressUpdate,
    gives=entities.Address,
    example={"first_line": "14 Runway Road", "second_line": None},
)
def update_address(customer_id: str, id: str, body: AddressUpdate) -> entities.Address:
    """Change an address; what is left out stays."""
    with transaction():
        address = addresses.get(id, customer_id=customer_id)
        addresses.update(address, bodies.as_dict(body), by=app_actor())
        return shapes.address(address)
