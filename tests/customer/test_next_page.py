"""After signing in a page of ours opens, whatever address was sent along: no open redirect (T17)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from portal import links
from portal.db import session, transaction
from portal.domain.sign_in import SignInRequest
from tests import people
from tests.api.hostile_urls import HOSTILE_URLS
from tests.customer import visits
from tests.person import Person

OURS = ("/portal/subscriptions/{id}/cancel", "/portal/subscriptions/{id}", "/portal/payments", "/portal")


pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # alike on both, and long
INSIDE = ("x\r\nSet-Cookie: a=b", "\x00", "\u202e", "..", "\\\\evil.example", "@evil.example", "x" * 5000, "%0d%0ax")


@pytest.fixture
def roomy(configure: Any, app: Flask) -> str:
    configure(sign_in_per_address=10_000, sign_in_per_client=10_000)
    return visits.subscribed(people.customer("Amelia Harper", email="amelia@example.com"))


@pytest.fixture
def signed_in_at(person: Person, roomy: str) -> Callable[[str], tuple[int, str]]:
    """Asks for a link with this `next`, redeems it; where it leads."""
    csrf = {"csrf_token": person.csrf_token()}

    def sign_in(wanted: str) -> tuple[int, str]:
        form = {**csrf, "email": "amelia@example.com", "next": wanted}
        sent = person.client.post("/portal/sign-in", data=form)
        if sent.status_code != 200:
            return sent.status_code, ""
        with transaction():
            asked = session().scalars(select(SignInRequest).order_by(SignInRequest.id.desc()).limit(1)).one()
        link = links.sign_in_url(asked.id, expires_at=asked.expires_at, issued_at=asked.created_at)
        answer = person.client.post("/portal/sign-in/confirm", data={**csrf, "token": link.partition("token=")[2]})
        return answer.status_code, answer.headers.get("Location", "")

    return sign_in


def test_pages_of_ours_open(signed_in_at: Any, roomy: str) -> None:
    for page in OURS:
        path = page.format(id=roomy)
        assert signed_in_at(path) == (303, path)


def test_no_address_leads_away(signed_in_at: Any) -> None:
    wrong = {}
    for wanted in (*HOSTILE_URLS, *(f"/portal/subscriptions/{each}" for each in (*INSIDE, *HOSTILE_URLS[::7]))):
        status, location = signed_in_at(wanted)
        parts = urlsplit(location)
        ours = not parts.scheme and not parts.netloc and location.startswith("/portal")
        if (status, ours) not in ((303, True), (400, False)) or "\\" in location or "\n" in location:
            wrong[wanted] = (status, location)
    assert wrong == {}


def test_the_form_carries_on_only_what_is_ours(person: Person, roomy: str) -> None:
    for hostile in HOSTILE_URLS:
        person.open(f"/portal/sign-in?next={quote(hostile, errors='replace')}")
        assert person.page.status == 200
        kept = person.page.forms[-1].fields.get("next", "/portal")
        assert kept.startswith("/portal"), hostile
        assert not urlsplit(kept).netloc
