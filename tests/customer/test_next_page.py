"""After signing in a page of ours opens, whatever address was sent along: no open redirect (FAULTS T17)."""

from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from portal import links
from portal.db import session, transaction
from portal.domain.sign_in import SignInRequest
from tests import people
from tests.customer import visits
from tests.api.hostile_urls import HOSTILE_URLS
from tests.person import Person

OURS = ("/portal/subscriptions/{id}/cancel", "/portal/subscriptions/{id}", "/portal/payments", "/portal")


@pytest.fixture
def roomy(configure: Any, app: Flask) -> str:
    configure(sign_in_per_address=10_000, sign_in_per_client=10_000)
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"))


def signed_in_at(app: Flask, wanted: str) -> tuple[int, str]:
    """Asks for a link with this `next`, redeems it; where it leads."""
    person = Person(app)
    sent = visits.post(person, "/portal/sign-in", email="amelia@example.com", next=wanted)
    if sent.status != 200:
        return sent.status, ""
    mail = visits.mails("sign_in")[-1]
    with transaction():
        asked = session().get_one(SignInRequest, mail.facts["request"])
    link = links.sign_in_url(asked.id, expires_at=asked.expires_at, issued_at=mail.created_at)
    answer = visits.post(person, "/portal/sign-in/confirm", token=link.partition("token=")[2])
    return answer.status, answer.headers.get("Location", "")


def test_pages_of_ours_open(app: Flask, roomy: str) -> None:
    for page in OURS:
        path = page.format(id=roomy)
        assert signed_in_at(app, path) == (303, path)


def test_no_address_leads_away(app: Flask, roomy: str) -> None:
    wrong = {}
    for hostile in HOSTILE_URLS:
        for wanted in (hostile, f"/portal/subscriptions/{hostile}"):
            status, location = signed_in_at(app, wanted)
            parts = urlsplit(location)
            ours = not parts.scheme and not parts.netloc and location.startswith("/portal")
            if (status, ours) not in ((303, True), (400, False)) or "\\" in location or "\n" in location:
                wrong[wanted] = (status, location)
    assert wrong == {}


def test_the_form_carries_on_only_what_is_ours(app: Flask, person: Person, roomy: str) -> None:
    for hostile in HOSTILE_URLS:
        person.open(f"/portal/sign-in?next={quote(hostile, errors='replace')}")
        assert person.page.status == 200
        kept = person.page.forms[-1].fields.get("next", "/portal")
        assert kept.startswith("/portal"), hostile
        assert not urlsplit(kept).netloc
