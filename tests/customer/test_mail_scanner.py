"""A mail scanner opens the links of a mail before the person does (T12)."""

from typing import Any

import pytest

from portal import links
from portal.db import transaction
from portal.domain import sign_in
from tests import people
from tests.customer import visits
from tests.customer.visits import email_link
from tests.person import Person

AGENTS = (
    "Mozilla/5.0 (compatible; SafeLinks/1.0)",
    "BarracudaCentral/1.0",
    "curl/8.5.0",
    "GoogleImageProxy",
    "",
)


def scan(app: Any, url: str) -> None:
    """Opens a link as scanners do: HEAD and GET, many times, from other agents, with and without their cookies."""
    for agent in AGENTS:
        scanner = Person(app, agent)
        for _ in range(3):
            scanner.client.head(url, headers=scanner.headers)
            shown = scanner.open(url)
            for link in list(shown.links.values()):
                if link.startswith("/"):
                    scanner.client.get(link, headers=scanner.headers)


@pytest.mark.parametrize("page", ["cancel", "keep", "payment"])
def test_a_scanner_that_follows_every_link_changes_nothing(app: Any, page: str) -> None:
    sub = visits.subscribed(**(visits.ending() if page == "keep" else {}))
    before = visits.records()
    scan(app, email_link(page, sub))
    assert visits.records() == before


def test_after_the_scanner_the_person_cancels_and_a_second_click_says_so(app: Any, person: Person) -> None:
    sub = visits.subscribed()
    link = email_link("cancel", sub)
    scan(app, link)
    person.open(link)
    assert "Your cancellation is recorded" in person.press("Cancel at the end of the period")
    scan(app, link)
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])
    again = person.open(link)
    assert "AeroEdit Pro is already canceled" in again
    assert "It ends on 11 December 2026 at 12:00 UTC" in again
    assert "Cancel at the end of the period" not in again
    assert people.row(sub).scheduled_effective_at == visits.END


def test_a_scanner_that_races_the_person_does_not_sign_them_out(app: Any, person: Person) -> None:
    sub = visits.subscribed()
    link = email_link("cancel", sub)
    person.open(link)
    scan(app, link)
    person.press("Cancel at the end of the period")
    assert visits.is_scheduled(sub)


def test_a_scanner_does_not_use_up_a_sign_in_link(app: Any, person: Person) -> None:
    people.customer("Amelia Harper", email="amelia@example.com")
    with transaction():
        sign_in.request("amelia@example.com", next_path="/portal", locale="en", client="")
    request = visits.mails()[0].facts["request"]
    link = links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0))
    for agent in AGENTS:
        scanner = Person(app, agent)
        scanner.client.head(link)
        assert "Press the button" in scanner.open(link)
        assert visits.cookie_of(scanner) is None
    person.open(link)
    assert "Signed in as Amelia Harper" in person.press("Sign in")
