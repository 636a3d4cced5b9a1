"""`portal import` takes the businesses of customers."""

import json
from typing import Any

import pytest

from portal import importing
from portal.db import session
from portal.domain import shapes
from portal.domain.customers import Business
from portal.importing import ImportRefused
from tests import people

HARPER = {
    "id": "biz_01htymkpj07kjy7p5q1vzqpk70",
    "name": "Harper Aviation GmbH",
    "company_number": "FN 123456 a",
    "tax_identifier": None,
    "status": "archived",
    "contacts": [{"name": "Jo Pilot", "email": "accounts@example.com"}, {"name": None, "email": "office@example.com"}],
    "custom_data": {"vip": True},
    "import_meta": {"external_id": "7", "imported_from": "elsewhere"},
    "created_at": "2024-04-08T10:38:57.979670Z",
    "updated_at": "2024-04-12T10:38:57.979670Z",
}


def load(*businesses: dict[str, Any]) -> importing.Summary:
    return importing.load(json.dumps({"businesses": list(businesses)}), shift=False)


def test_a_business_is_imported_whole(database: str) -> None:
    given = HARPER | {"customer_id": people.customer("Amelia Harper")}
    summary = load(given)
    assert (summary.businesses, str(summary)) == (1, "Imported 1 business.")
    assert shapes.business(session().get_one(Business, HARPER["id"])) == given


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"customer_id": "ctm_01htymkpj07kjy7p5q1vzqpk70"}, "there is no customer"),
        ({"name": ""}, "name"),
        ({"contacts": [{"name": "Jo"}]}, "contacts[0].email"),
        ({"contacts": [{"email": "jo"}]}, "is no email address"),
        ({"contacts": None}, "contacts"),
        ({"compani_number": "1"}, "is company_number meant"),
    ],
)
def test_a_wrong_business_is_refused(database: str, change: dict[str, Any], told: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        load(HARPER | {"customer_id": people.customer("Amelia Harper")} | change)
    assert told in str(refused.value)
    assert session().get(Business, HARPER["id"]) is None


def test_a_stored_business_is_not_overwritten(database: str) -> None:
    given = HARPER | {"customer_id": people.customer("Amelia Harper")}
    load(given)
    for again in ((given,), (given | {"id": "biz_01htymkpj07kjy7p5q1vzqpk71"},) * 2):
        with pytest.raises(ImportRefused):
            load(*again)
    assert session().query(Business).count() == 1
