"""Every kind of token on every page: only the right one opens (T2), for its errand alone (attenuation)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from portal import links
from portal.db import session, transaction
from portal.domain import browser_sessions, portal_sessions, sign_in
from portal.domain.portal_sessions import PortalSession
from tests import people
from tests.customer import visits
from tests.customer.visits import UNKNOWN, alike, email_link, get
from tests.person import Person


@dataclass
class Scene:
    """Amelia with two subscriptions, Daniel with one, and an app's portal session for Amelia."""

    amelia: str
    own: str
    second: str
    daniels: str
    session: str

    def paths(self) -> dict[str, str]:
        found = {"overview": "/portal", "payments": "/portal/payments", "sign in": "/portal/sign-in"}
        found |= {"link expired": "/portal/link-expired", "signed out": "/portal/signed-out"}
        for whose, sub in (
            ("own", self.own),
            ("second", self.second),
            ("Daniel's", self.daniels),
            ("unknown", f"sub_{UNKNOWN}"),
        ):
            for page in ("subscription", "cancel", "keep", "payment"):
                found[f"{page} of {whose}"] = links.path(page, sub)
        return found


@pytest.fixture
def scene(app: Any) -> Scene:
    amelia = people.customer("Amelia Harper")
    own, second = visits.subscribed(amelia), visits.subscribed(amelia)
    daniels = visits.subscribed(people.customer("Daniel Okoro"))
    opened = visits.open_session(app, amelia, [own])
    return Scene(amelia, own, second, daniels, opened["id"])


def of_session(page: str) -> Callable[[Scene], str]:
    def link(scene: Scene) -> str:
        return links.session_url(
            page,
            scene.session,
            expires_at=visits.minutes(60),
            issued_at=visits.minutes(0),
            subscription_id=scene.own if page != "portal" else None,
        )

    return link


def of_mail(page: str) -> Callable[[Scene], str]:
    return lambda scene: email_link(
        page, scene.own if page != "portal" else None, scene.amelia, lifetime=timedelta(hours=1)
    )


def of_sign_in(scene: Scene) -> str:
    with transaction():
        sign_in.request("amelia@example.com", next_path="/portal", locale="en", client="")
    request = visits.mails("sign_in")[-1].facts["request"]
    return links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0))


TOKENS: dict[str, tuple[Callable[[Scene], str], str | None]] = {
    "overview link of an app": (of_session("portal"), "overview"),
    "cancel link of an app": (of_session("cancel"), "cancel of own"),
    "payment link of an app": (of_session("payment"), "payment of own"),
    "cancel link in a mail": (of_mail("cancel"), "cancel of own"),
    "keep link in a mail": (of_mail("keep"), "keep of own"),
    "payment link in a mail": (of_mail("payment"), "payment of own"),
    "portal link in a mail": (of_mail("portal"), "overview"),
    "sign-in link": (of_sign_in, None),
}
FATES = {"fresh": 303, "expired": 410, "revoked": 410}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_opens_its_own_page_and_no_other(app: Any, scene: Scene, the_clock: Any, kind: str, fate: str) -> None:
    make, right = TOKENS[kind]
    token = make(scene).partition("?token=")[2]
    if fate == "expired":
        the_clock.advance(hours=1)
    elif fate == "revoked":
        the_clock.advance(seconds=2)
        with transaction():
            portal_sessions.revoke(session().get_one(PortalSession, scene.session))
            browser_sessions.end_all_of(scene.amelia)
    before = visits.records()
    answers = {name: get(Person(app), f"{path}?token={token}") for name, path in scene.paths().items()}
    expected = {name: FATES[fate] if name == right else 403 for name in answers}
    assert {name: page.status for name, page in answers.items()} == expected
    wrong = [page for name, page in answers.items() if name != right]
    assert {alike(page) for page in wrong} == {alike(wrong[0])}
    assert not [page for page in wrong if "portal=" in page.headers.get("Set-Cookie", "")]
    assert visits.records() == before


POWERS: dict[str, set[str]] = {
    "overview link of an app": {
        "overview",
        "payments",
        *(f"{p} of {w}" for p in ("subscription", "cancel", "keep", "payment") for w in ("own", "second")),
    },
    "cancel link of an app": {"subscription of own", "cancel of own", "keep of own"},
    "payment link of an app": {"subscription of own", "payment of own"},
    "keep link in a mail": {"subscription of own", "keep of own"},
}


@pytest.mark.parametrize("kind", POWERS)
def test_who_followed_a_link_opens_the_pages_of_its_errand_alone(person: Person, scene: Scene, kind: str) -> None:
    person.open(TOKENS[kind][0](scene))
    public = {"sign in", "link expired", "signed out"}
    statuses = {name: get(person, path).status for name, path in scene.paths().items() if name not in public}
    strangers = {name for name in statuses if name.endswith(("Daniel's", "unknown"))}
    assert {name for name, status in statuses.items() if status == 200} == POWERS[kind]
    assert {name for name, status in statuses.items() if status == 404} == strangers
    assert {status for name, status in statuses.items() if name not in POWERS[kind] | strangers} <= {303}


@pytest.mark.parametrize("kind", POWERS)
def test_who_followed_a_link_presses_the_buttons_of_its_errand_alone(person: Person, scene: Scene, kind: str) -> None:
    person.open(TOKENS[kind][0](scene))
    token = person.csrf_token()
    for whose, sub in (("own", scene.own), ("second", scene.second)):
        for page in ("cancel", "keep", "payment"):
            if f"{page} of {whose}" in POWERS[kind]:
                continue
            before = visits.records()
            answer = person.client.post(links.path(page, sub), data={"csrf_token": token, "number": "4242424242424242"})
            assert answer.status_code == 403, f"{page} of {whose}"
            assert "Your link does not open this page" in answer.text
            assert visits.records() == before


def test_a_page_outside_the_link_offers_a_fresh_link_for_that_page(person: Person, scene: Scene) -> None:
    person.open(email_link("cancel", scene.own))
    shown = person.open(f"/portal/subscriptions/{scene.own}/update-payment-method")
    assert "This link does not open this page" in shown
    assert person.press("Email me a fresh link").status == 200
    [mail] = visits.mails()
    assert (mail.customer_id, mail.facts["page"], mail.facts["subscription"]) == (scene.amelia, "payment", scene.own)


def test_a_mail_for_a_page_of_somebody_else_opens_nothing_of_theirs(person: Person, scene: Scene) -> None:
    person.open(email_link("cancel", scene.own))
    visits.post(person, "/portal/link-expired", next=f"/portal/subscriptions/{scene.daniels}/cancel")
    assert {mail.customer_id for mail in visits.mails()} <= {scene.amelia}
    person.open(email_link("cancel", scene.daniels, scene.amelia))
    assert person.page.status == 404
    assert visits.post(person, f"/portal/subscriptions/{scene.daniels}/cancel").status == 404
    assert not visits.is_scheduled(scene.daniels)


def test_head_is_answered_like_get(person: Person, scene: Scene) -> None:
    person.open(email_link("cancel", scene.own))
    for path in scene.paths().values():
        assert person.client.head(path).status_code == person.client.get(path).status_code, path
