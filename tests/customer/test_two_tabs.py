"""Several tabs, several apps on one domain: what one does must not take another's button away."""

from typing import Any

import pytest
from flask import Flask

from portal.db import session, transaction
from portal.domain import portal_sessions
from portal.domain.portal_sessions import PortalSession
from tests import people
from tests.customer import visits
from tests.person import Person


@pytest.mark.parametrize("other", ["/portal", "/portal/payments", "/portal/sign-in"])
def test_a_cancel_page_still_works_after_another_page_was_opened_beside_it(
    app: Flask, person: Person, other: str
) -> None:
    who = people.customer()
    sub = people.subscription(who)
    person.open(visits.email_link("portal", customer_id=who))
    cancel = person.open(f"/portal/subscriptions/{sub}/cancel")
    person.open(other)
    person.page = cancel
    person.press("Cancel at the end of the period")
    assert people.row(sub).is_ending


def test_another_apps_remember_me_cookie_does_not_lock_a_customer_out(app: Flask, person: Person) -> None:
    sub = people.subscription(people.customer())
    person.client.set_cookie("remember_token", "somebody elses", domain="localhost")
    page = person.open(visits.email_link("cancel", sub))
    assert page.path == f"/portal/subscriptions/{sub}/cancel"


def test_a_session_revoked_while_a_link_is_followed_is_not_carried_over(
    app: Flask, person: Person, monkeypatch: Any
) -> None:
    from portal.customer import link

    who = people.customer()
    sub = people.subscription(who)
    opened = visits.open_session(app, who, [sub])
    person.open(opened["urls"]["general"]["overview"])
    checked = link._refuse_other_pages

    def revoked_in_between(claims: Any) -> None:
        checked(claims)
        with transaction():
            portal_sessions.revoke(session().get_one(PortalSession, opened["id"]))

    monkeypatch.setattr(link, "_refuse_other_pages", revoked_in_between)
    person.open(visits.email_link("keep", sub))
    monkeypatch.undo()
    assert person.open("/portal").path != "/portal"


def test_a_customer_with_a_living_subscription_is_not_archived(app: Flask) -> None:
    who = people.customer()
    people.subscription(who)
    answer = app.test_client().patch(
        f"/customers/{who}", json={"status": "archived"}, headers=people.key(everything=True)
    )
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "conflict")
