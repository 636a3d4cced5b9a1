"""The customer's portal: what they have, what comes next, what was paid."""

from datetime import timedelta
from typing import Any

from portal.db import transaction
from portal.domain import bills, subscriptions
from portal.domain.actors import system
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, email_link, get
from tests.person import Person


def sold(customer: str, name: str, **fields: Any) -> str:
    return visits.subscribed(customer, price_id=people.price(product=name), **fields)


def test_pending_cancellations_come_first_and_what_has_ended_last(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper")
    sold(amelia, "Ended Plan", **visits.CANCELED)
    sold(amelia, "Ending Plan", **visits.ending())
    sold(amelia, "Running Plan")
    words = visits.come_in(person, amelia).page.words
    assert "Signed in as Amelia Harper" in words
    places = [words.index(name) for name in ("Ending Plan", "Running Plan", "Ended Plan")]
    assert places == sorted(places)
    assert "Ends on 11 December 2026" in words
    assert "It renews on 11 December 2026 at 12:00 UTC, and $300.00 are charged." in words


def test_each_one_leads_to_its_own_page(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper")
    sub = sold(amelia, "Running Plan")
    visits.come_in(person, amelia)
    assert person.page.links["Running Plan"] == f"/portal/subscriptions/{sub}"


def test_nobody_sees_what_others_have(person: Person, app: Any) -> None:
    amelia, daniel = people.customer("Amelia Harper"), people.customer("Daniel Okoro")
    sold(amelia, "Plan of Amelia")
    theirs = sold(daniel, "Plan of Daniel")
    visits.come_in(person, amelia)
    for path in ("/portal", "/portal/payments"):
        shown = person.open(path)
        assert "Daniel" not in shown.html
        assert theirs not in shown.html


def test_a_customer_without_subscriptions_is_told_why_that_may_be(person: Person, app: Any) -> None:
    visits.come_in(person, people.customer("Amelia Harper"))
    assert "You have no subscription with AeroEdit" in person.page
    assert "another email address" in person.page


def test_a_customer_without_a_name_is_shown_their_address(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper", email="amelia@example.com")
    with transaction():
        from portal.domain import customers

        customers.get(amelia).name = None
    visits.come_in(person, amelia)
    assert "Signed in as amelia@example.com" in person.page


def test_the_latest_five_payments_are_shown(person: Person, app: Any) -> None:
    amelia = people.customer("Amelia Harper")
    sub = sold(amelia, "Running Plan")
    with transaction():
        for month in range(7):
            start = NOW - timedelta(days=30 * (8 - month))
            bills.bill(subscriptions.get(sub), starts_at=start, ends_at=start + timedelta(days=30), by=system())
    visits.come_in(person, amelia)
    assert person.page.words.count("Invoice 2026-") == 5
    assert person.open(person.page.links["See all payments and invoices"]).words.count("Invoice 2026-") == 7


def test_signed_out_it_leads_to_sign_in_and_comes_back(person: Person, app: Any) -> None:
    assert get(person, "/portal").headers["Location"] == "/portal/sign-in?next=/portal"
    assert get(person, "/portal/payments").headers["Location"] == "/portal/sign-in?next=/portal/payments"


def test_a_link_to_one_subscription_does_not_open_the_overview(person: Person, app: Any) -> None:
    person.open(email_link("cancel", visits.subscribed()))
    for path in ("/portal", "/portal/payments"):
        assert get(person, path).headers["Location"].startswith("/portal/link-expired")


def test_the_app_gets_its_customer_back(app: Any, person: Person) -> None:
    amelia = people.customer("Amelia Harper")
    url = "https://app.aeroedit.example/account?tab=billing"
    opened = visits.open_session(app, amelia, return_url=url)
    assert person.open(opened["urls"]["general"]["overview"]).links["Back to AeroEdit"] == url


def test_every_instant_has_its_zone_and_it_is_the_customers_own(person: Person, app: Any) -> None:
    hana = people.customer("Hana Sato", custom_data={"time_zone": "Asia/Tokyo"})
    sold(hana, "Running Plan")
    assert END.hour == 12
    assert "11 December 2026 at 21:00 JST" in visits.come_in(person, hana).page


def test_a_zone_that_does_not_exist_is_utc(person: Person, app: Any) -> None:
    for zone in ("../../etc/passwd", "Mars/Olympus", "", "\x00", "A" * 5000, "Europe", "{{7*7}}"):
        amelia = people.customer("Amelia Harper", custom_data={"time_zone": zone} if zone != "\x00" else {"x": 1})
        sold(amelia, "Running Plan")
        assert "at 12:00 UTC" in visits.come_in(person, amelia).page, zone
