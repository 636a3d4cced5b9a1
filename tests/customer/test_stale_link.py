"""A link that is too old, was called back, or never was one of ours."""

from datetime import timedelta
from typing import Any

import pytest

from portal import links, tokens
from portal.db import session, transaction
from portal.domain import browser_sessions, customers
from portal.domain.portal_sessions import PortalSession
from portal.outbox import emails
from tests import people
from tests.customer import visits
from tests.customer.visits import UNKNOWN, alike, email_link, get
from tests.person import Person

BUTTON = "Email me a fresh link"


@pytest.fixture
def amelia(app: Any) -> str:
    return people.customer("Amelia Harper", email="amelia@example.com", locale="de")


@pytest.fixture
def sub(amelia: str) -> str:
    return visits.subscribed(amelia)


def revoke(app: Any, portal_session_id: str) -> Any:
    return app.test_client().delete(
        f"/portal-sessions/{portal_session_id}", headers=people.key("customer_portal_session.write")
    )


@pytest.mark.parametrize("page", ["portal", "subscription", "cancel", "keep", "payment"])
def test_an_expired_link_offers_a_fresh_one_for_the_same_page(
    person: Person, amelia: str, sub: str, the_clock: Any, page: str
) -> None:
    wanted = sub if page != "portal" else None
    link = email_link(page, wanted, amelia)
    the_clock.advance(days=7)
    shown = person.open(link)
    assert shown.status == 410
    assert "This link has expired" in shown
    assert "amelia@example.com" not in shown.html
    assert visits.cookie_of(person) is None
    assert visits.mails() == []
    assert "Check your email" in person.press(BUTTON) or "E-Mail" in person.page
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address, mail.customer_id) == ("fresh_link", "amelia@example.com", amelia)
    assert (mail.facts["page"], mail.facts["subscription"]) == (page, wanted)
    assert (mail.locale, mail.status) == ("de", "queued")
    assert "pga_" not in repr(mail.facts)


def test_the_fresh_link_in_the_mail_opens_the_page_that_was_wanted(
    person: Person, sub: str, the_clock: Any, amelia: str
) -> None:
    link = email_link("cancel", sub)
    the_clock.advance(days=8)
    person.open(link)
    person.press(BUTTON)
    text = emails.compose(visits.mails()[0]).get_body(("plain",)).get_content()
    fresh = next(word for word in text.split() if "token=" in word)
    assert person.open(fresh).status == 200
    assert person.page.path == f"/portal/subscriptions/{sub}/cancel"


def test_a_link_works_until_its_last_second(person: Person, app: Any, sub: str, the_clock: Any) -> None:
    link = email_link("cancel", sub, lifetime=timedelta(hours=1))
    the_clock.advance(minutes=59, seconds=59)
    assert person.open(link).status == 200
    the_clock.advance(seconds=1)
    assert Person(app).open(link).status == 410


def test_an_expired_link_of_a_portal_session_mails_too(
    app: Any, person: Person, amelia: str, sub: str, the_clock: Any
) -> None:
    link = visits.open_session(app, amelia, [sub])["urls"]["subscriptions"][0]["cancel_subscription"]
    the_clock.advance(hours=1)
    assert person.open(link).status == 410
    person.press(BUTTON)
    assert [(m.kind, m.facts["page"], m.facts["subscription"]) for m in visits.mails()] == [
        ("fresh_link", "cancel", sub)
    ]


def test_fresh_links_are_limited_per_customer(person: Person, sub: str, the_clock: Any) -> None:
    link = email_link("cancel", sub)
    the_clock.advance(days=8)
    for _ in range(5):
        person.open(link)
        assert person.press(BUTTON).status == 200
    person.open(link)
    assert person.press(BUTTON).status == 429
    assert int(person.page.headers["Retry-After"]) > 0
    assert len(visits.mails("fresh_link")) == 5


def broken_links(sub: str, other: str) -> dict[str, str]:
    good = email_link("cancel", sub)
    path, token = good.split("?token=")
    path = path.removeprefix("http://localhost")
    wrong_signature = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    unknown_customer = links.page_url("cancel", customer_id=f"ctm_{UNKNOWN}", subscription_id=sub)
    unknown_session = links.session_url(
        "cancel", f"cpls_{UNKNOWN}", expires_at=visits.minutes(60), issued_at=visits.minutes(0), subscription_id=sub
    )
    sign_in = tokens.issue(tokens.SIGN_IN, f"sil_{UNKNOWN}", page="sign-in", expires_at=visits.minutes(9))
    return {
        "forged": f"{path}?token={wrong_signature}",
        "nothing like a token": f"{path}?token=hello",
        "empty": f"{path}?token=",
        "another page": f"/portal/subscriptions/{sub}/update-payment-method?token={token}",
        "another subscription": f"/portal/subscriptions/{other}/cancel?token={token}",
        "unknown subscription": f"/portal/subscriptions/sub_{UNKNOWN}/cancel?token={token}",
        "another purpose": f"{path}?token={sign_in}",
        "an unknown customer": unknown_customer,
        "an unknown portal session": unknown_session,
        "too long": f"{path}?token={token}{'A' * 5000}",
        "in capitals": f"{path}?token={token.upper()}",
        "with text after it": f"{path}?token={token}.",
    }


def test_links_that_are_not_ours_all_answer_alike_and_say_what_to_do(app: Any, person: Person, sub: str) -> None:
    other = visits.subscribed(people.customer("Daniel Okoro"))
    answers = {name: Person(app).open(url) for name, url in broken_links(sub, other).items()}
    assert {page.status for page in answers.values()} == {403}
    assert len({alike(page) for page in answers.values()}) == 1
    page = answers["forged"]
    assert "This link does not work" in page
    assert page.links["Sign in with your email address"] == "/portal/sign-in"
    assert not any("Set-Cookie" in p.headers and "portal=" in p.headers["Set-Cookie"] for p in answers.values())


def test_an_expired_link_on_the_wrong_page_is_no_better_than_a_forged_one(app: Any, sub: str, the_clock: Any) -> None:
    token = email_link("cancel", sub).split("?token=")[1]
    the_clock.advance(days=8)
    forged = Person(app).open(f"/portal/subscriptions/{sub}/keep?token=pga_nothing")
    wrong = Person(app).open(f"/portal/subscriptions/{sub}/keep?token={token}")
    assert alike(wrong) == alike(forged)


def test_a_forged_token_gets_no_mail_sent(person: Person, sub: str) -> None:
    token = email_link("cancel", sub).split("?token=")[1]
    answer = visits.post(person, "/portal/link-expired", next="/portal")
    forged = visits.post(person, "/portal/link-expired")
    altered = person.client.post(
        "/portal/link-expired", data={"csrf_token": person.csrf_token(), "token": token[:-1] + "_"}
    )
    assert (answer.status, forged.status, altered.status_code) == (403, 403, 403)
    assert visits.mails() == []


def test_a_link_of_an_archived_customer_opens_nothing(person: Person, amelia: str, sub: str) -> None:
    with transaction():
        customers.get(amelia).status = "archived"
    assert person.open(email_link("cancel", sub)).status == 403


def test_revoking_a_portal_session_ends_its_links_and_every_browser_that_followed_one(
    app: Any, person: Person, amelia: str, sub: str
) -> None:
    opened = visits.open_session(app, amelia, [sub])
    assert person.open(opened["urls"]["general"]["overview"]).status == 200
    page = f"/portal/subscriptions/{sub}/cancel"
    assert get(person, page).status == 200
    csrf = person.csrf_token()
    assert revoke(app, opened["id"]).status_code == 204
    assert get(person, page).headers["Location"].startswith("/portal/sign-in")
    refused = person.client.post(page, data={"csrf_token": csrf})
    assert refused.location.startswith("/portal/sign-in")
    assert not visits.is_scheduled(sub)
    for url in (opened["urls"]["general"]["overview"], opened["urls"]["subscriptions"][0]["cancel_subscription"]):
        again = Person(app).open(url)
        assert again.status == 410
        assert "This link no longer works" in again


def test_revoking_twice_keeps_the_first_instant(app: Any, amelia: str, the_clock: Any) -> None:
    opened = visits.open_session(app, amelia)
    first = the_clock.at
    assert revoke(app, opened["id"]).status_code == 204
    the_clock.advance(minutes=5)
    assert revoke(app, opened["id"]).status_code == 204
    with transaction():
        assert session().get_one(PortalSession, opened["id"]).revoked_at == first


def test_revoking_one_session_leaves_what_other_links_allow(app: Any, person: Person, amelia: str, sub: str) -> None:
    opened = visits.open_session(app, amelia, [sub])
    person.open(opened["urls"]["general"]["overview"])
    person.open(email_link("cancel", sub))
    revoke(app, opened["id"])
    assert get(person, f"/portal/subscriptions/{sub}/cancel").status == 200
    assert get(person, "/portal").status == 303


def test_signing_a_customer_out_everywhere_ends_links_in_mails_too(
    app: Any, person: Person, amelia: str, sub: str, the_clock: Any
) -> None:
    link = email_link("cancel", sub)
    person.open(link)
    the_clock.advance(seconds=1)
    with transaction():
        browser_sessions.end_all_of(amelia)
    assert get(person, f"/portal/subscriptions/{sub}/cancel").status == 303
    assert Person(app).open(link).status == 410
    the_clock.advance(seconds=1)
    assert Person(app).open(email_link("cancel", sub)).status == 200
