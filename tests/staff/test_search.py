"""Who asks is found by what a support person has: part of a name, an address, an id, the number of an invoice."""

import pytest
from flask import Flask

from portal.db import session, transaction
from portal.domain import customers, search
from portal.domain.actors import system
from portal.domain.search import SearchTerm
from tests import people
from tests.person import Person
from tests.staff import console

LIST = "/console/subscriptions"


@pytest.fixture
def sam(app: Flask) -> Person:
    return console.colleague(app)


def found(sam: Person, text: str) -> bool:
    page = sam.client.get(LIST, query_string={"q": text}, headers=sam.headers)
    assert page.status_code == 200
    return f'href="{LIST}/sub_' in page.get_data(as_text=True)


@pytest.mark.parametrize(
    ("name", "email", "asked"),
    [
        ("Amelia Rose Harper", "a.harper+news@mail.example.com", [
            "amelia", "AMEL", "harp", "rose", "harper amelia", "amelia har", "rose a", "harper rose amelia", "news",
            "a.harper+news@mail.example.com", "mail.example", "harper", "example.com",
        ]),
        ("Łukasz Grøn-Ípek", "x@y.example", ["lukasz", "ŁUKASZ", "gron ipek", "ipek", "Grøn-í"]),
        ("Seán O’Brien", "s@y.example", ["o'brien", "obrien", "sean", "O’B"]),
        ("田中太郎", "t@y.example", ["田中", "太郎"]),
        (None, "only@address.example", ["only", "only@address.example", "address"]),
    ],
)  # fmt: skip
def test_a_customer_is_found_by(sam: Person, name: str | None, email: str, asked: list[str]) -> None:
    people.subscription(people.customer(name or " x", email=email))
    assert [each for each in asked if not found(sam, each)] == []
    assert not found(sam, "melia")
    assert not found(sam, "zzz")


def test_signs_alone_find_nobody(sam: Person) -> None:
    people.subscription(people.customer())
    for text in ("%", "_", "***", "@"):
        assert not found(sam, text)


def test_an_id_or_the_number_of_an_invoice_leads_there_directly(sam: Person) -> None:
    owner = people.customer()
    sub = people.subscription(owner)
    for text, path in (
        (sub, f"{LIST}/{sub}"),
        (f" {sub.upper()} ", f"{LIST}/{sub}"),
        (owner, f"/console/customers/{owner}"),
    ):
        answer = sam.client.get(LIST, query_string={"q": text}, headers=sam.headers)
        assert (answer.status_code, answer.location) == (303, path)
    assert "No subscription fits" in sam.open(f"{LIST}?q=sub_00000000000000000000000000")


def test_the_name_of_a_product_leads_to_its_subscriptions(sam: Person) -> None:
    people.subscription(people.customer(), price_id=people.price(product="Choir Plus"))
    page = sam.open(f"{LIST}?q=choi")
    assert "Products called so: Choir Plus" in page
    assert "Amelia Harper" in sam.open(page.links["Choir Plus"])


def test_who_is_called_otherwise_is_found_by_that_and_no_longer_by_the_old_name(database: str) -> None:
    def terms() -> set[str]:
        with transaction():
            return {each.text for each in session().query(SearchTerm)}

    with transaction():
        made = customers.create(email="ann@a.example", name="Ann Old", locale="en", custom_data=None, by=system())
    assert terms() == {"ann old", "old ann", "ann a example", "a example"}
    with transaction():
        customers.update(customers.locked(made.id), {"name": "Ann New", "email": "new@b.example"}, by=system())
    assert terms() == {"ann new", "new ann", "new b example", "b example"}


def test_terms_are_few_and_short() -> None:
    long = search.terms(" ".join(f"word{n}" for n in range(40)), ".".join(f"w{n}" for n in range(99)) + "@a.example")
    assert len(long) <= 36
    assert max(map(len, long)) <= search.LONGEST
    assert search.terms("", "x@y.example") == {"x y example", "y example"}
