"""Customers, their addresses and their businesses through the official SDK."""

import secrets

from paddle_billing import Client
from paddle_billing.Entities.Address import Address
from paddle_billing.Entities.Business import Business
from paddle_billing.Entities.Customer import Customer
from paddle_billing.Entities.Shared import Contacts, CountryCode, CustomData, Status
from paddle_billing.Exceptions.ApiErrors.CustomerApiError import CustomerApiError
from paddle_billing.Resources.Addresses.Operations import CreateAddress, ListAddresses, UpdateAddress
from paddle_billing.Resources.Businesses.Operations import CreateBusiness, ListBusinesses, UpdateBusiness
from paddle_billing.Resources.Customers.Operations import CreateCustomer, ListCustomers, UpdateCustomer
from paddle_billing.Resources.Shared.Operations import Pager

from tests.sdk.checks import Refused, ids, known, same
from tests.sdk.shop import Shop


def email(name: str = "amelia") -> str:
    return f"{name}.{secrets.token_hex(6)}@example.com"


def test_a_customer_comes_back_as_they_were_sent(paddle: Client) -> None:
    sent = CreateCustomer(email=email(), name="Amelia Härper", custom_data=CustomData({"crm": 7}), locale="de")
    made = paddle.customers.create(sent)
    got = known(paddle.customers.get(made.id))
    assert isinstance(got, Customer)
    assert same(got, made)
    assert (got.email, got.name, got.custom_data.data, got.locale) == (sent.email, "Amelia Härper", {"crm": 7}, "de")


def test_a_customer_is_changed_and_archived(paddle: Client, shop: Shop) -> None:
    customer, new = shop.customer(), email("new")
    changed = paddle.customers.update(
        customer.id, UpdateCustomer(email=new, name=None, custom_data=CustomData({"crm": 8}), locale="fr")
    )
    assert (changed.email, changed.name, changed.custom_data.data, changed.locale) == (new, None, {"crm": 8}, "fr")
    assert paddle.customers.archive(customer.id).status == Status.Archived
    assert paddle.customers.update(customer.id, UpdateCustomer(status=Status.Active)).status == Status.Active


def test_a_taken_address_names_the_customer_who_has_it(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    with Refused(CustomerApiError, "customer_already_exists", 409) as refused:
        paddle.customers.create(CreateCustomer(customer.email))
    assert refused.error.detail.split()[-1].rstrip(".") == customer.id


def test_customers_are_listed_by_every_filter_and_paged_to_the_last(paddle: Client) -> None:
    name = f"Odd {secrets.token_hex(6)}"
    made = [paddle.customers.create(CreateCustomer(email("odd"), name=name)) for _ in range(5)]
    paddle.customers.archive(made[4].id)
    active = [each.id for each in made[:4]]
    assert ids(paddle.customers.list(ListCustomers(Pager(per_page=2), search=name))) == active
    assert ids(paddle.customers.list(ListCustomers(emails=[made[1].email]))) == [made[1].id]
    assert ids(paddle.customers.list(ListCustomers(ids=[made[2].id, "ctm_01h00000000000000000000000"]))) == [made[2].id]
    both = [Status.Active, Status.Archived]
    assert len(ids(paddle.customers.list(ListCustomers(Pager(per_page=3), search=name, statuses=both)))) == 5
    assert ids(paddle.customers.list(ListCustomers(search=name, statuses=[Status.Archived]))) == [made[4].id]


def test_an_address_is_made_read_changed_listed_and_archived(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    made = paddle.addresses.create(
        customer.id,
        CreateAddress(
            CountryCode.US,
            description="Head office",
            first_line="4050 Jefferson Plaza",
            second_line="41st Floor",
            city="New York",
            postal_code="10021",
            region="NY",
            custom_data=CustomData({"site": 1}),
        ),
    )
    got = known(paddle.addresses.get(customer.id, made.id))
    assert isinstance(got, Address)
    assert same(got, made)
    assert (got.customer_id, got.second_line, got.region) == (customer.id, "41st Floor", "NY")
    changed = paddle.addresses.update(
        customer.id,
        made.id,
        UpdateAddress(
            country_code=CountryCode.GB,
            description=None,
            first_line="1 High Street",
            second_line=None,
            city="London",
            postal_code="N1 9GU",
            region=None,
            custom_data=None,
        ),
    )
    assert (changed.country_code, changed.second_line, changed.custom_data) == (CountryCode.GB, None, None)
    assert paddle.addresses.archive(customer.id, made.id).status == Status.Archived
    assert ids(paddle.addresses.list(customer.id)) == []
    restored = paddle.addresses.update(customer.id, made.id, UpdateAddress(status=Status.Active))
    assert ids(paddle.addresses.list(customer.id)) == [restored.id]


def test_addresses_are_listed_by_every_filter_and_paged_to_the_last(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    made = [
        paddle.addresses.create(customer.id, CreateAddress(CountryCode.DE, city=city, postal_code="10115")).id
        for city in ("Berlin", "Bonn", "Jena", "Köln", "Ulm")
    ]
    paddle.addresses.archive(customer.id, made[4])
    assert ids(paddle.addresses.list(customer.id, ListAddresses(Pager(per_page=3)))) == made[:4]
    assert ids(paddle.addresses.list(customer.id, ListAddresses(ids=made[:1]))) == made[:1]
    assert ids(paddle.addresses.list(customer.id, ListAddresses(statuses=[Status.Archived]))) == made[4:]
    assert ids(paddle.addresses.list(customer.id, ListAddresses(search="Köln"))) == [made[3]]


def test_a_business_is_made_read_changed_listed_and_archived(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    made = paddle.businesses.create(
        customer.id,
        CreateBusiness(
            name="Harper Aerial GmbH",
            company_number="HRB 12345",
            tax_identifier="DE123456789",
            contacts=[Contacts("Amelia Harper", "books@harper.example")],
            custom_data=CustomData({"segment": "smb"}),
        ),
    )
    got = known(paddle.businesses.get(customer.id, made.id))
    assert isinstance(got, Business)
    assert same(got, made)
    assert [(each.name, each.email) for each in got.contacts] == [("Amelia Harper", "books@harper.example")]
    changed = paddle.businesses.update(
        customer.id,
        made.id,
        UpdateBusiness(name="Harper SE", company_number=None, tax_identifier=None, contacts=[], custom_data=None),
    )
    assert (changed.name, changed.tax_identifier, changed.contacts) == ("Harper SE", None, [])
    assert paddle.businesses.archive(customer.id, made.id).status == Status.Archived
    assert ids(paddle.businesses.list(customer.id)) == []
    restored = paddle.businesses.update(customer.id, made.id, UpdateBusiness(status=Status.Active))
    assert ids(paddle.businesses.list(customer.id)) == [restored.id]


def test_businesses_are_listed_by_every_filter_and_paged_to_the_last(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    made = [paddle.businesses.create(customer.id, CreateBusiness(f"Harper {each}")).id for each in "ABCDE"]
    paddle.businesses.archive(customer.id, made[4])
    assert ids(paddle.businesses.list(customer.id, ListBusinesses(Pager(per_page=3)))) == made[:4]
    assert ids(paddle.businesses.list(customer.id, ListBusinesses(ids=made[:1]))) == made[:1]
    assert ids(paddle.businesses.list(customer.id, ListBusinesses(statuses=[Status.Archived]))) == made[4:]
    assert ids(paddle.businesses.list(customer.id, ListBusinesses(search="Harper D"))) == [made[3]]
