"""Somebody follows a link: its token becomes this browser's session, and the page opens without the token."""

from typing import Any

import pytest
from sqlalchemy import func, select

from portal import config, create_app, links
from portal.db import session, transaction
from portal.domain.browser_sessions import BrowserSession, Grant
from tests import people
from tests.customer import visits
from tests.customer.visits import email_link, get
from tests.person import Person

SECURE = {"base_url": "https://account.aeroedit.example"}


@pytest.fixture
def sub(app: Any) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


def test_a_fresh_link_leads_to_the_same_page_without_its_token(person: Person, sub: str) -> None:
    page = get(person, email_link("cancel", sub))
    assert (page.status, page.headers["Location"]) == (303, f"/portal/subscriptions/{sub}/cancel")
    assert "token" not in page.headers["Location"]
    assert person.open(page.headers["Location"]).status == 200
    assert "Cancel AeroEdit Pro" in person.page


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("portal", "Your subscriptions"),
        ("subscription", "AeroEdit Pro"),
        ("cancel", "Cancel AeroEdit Pro"),
        ("keep", "is not canceled"),
        ("payment", "Update payment method"),
    ],
)
def test_every_kind_of_link_opens_its_page(person: Person, sub: str, page: str, words: str) -> None:
    link = email_link(page, sub if page != "portal" else None, visits.owner(sub))
    shown = person.open(link)
    assert shown.status == 200
    assert words in shown
    assert "token" not in shown.response.request.url


def test_the_links_of_a_portal_session_open_their_pages(app: Any, person: Person, sub: str) -> None:
    urls = visits.open_session(app, visits.owner(sub), [sub])["urls"]
    assert "Your subscriptions" in person.open(urls["general"]["overview"])
    assert "Cancel AeroEdit Pro" in person.open(urls["subscriptions"][0]["cancel_subscription"])
    assert "Update payment method" in person.open(urls["subscriptions"][0]["update_subscription_payment_method"])


def test_the_cookie_is_closed_to_scripts_and_to_other_sites(person: Person, sub: str) -> None:
    cookie = get(person, email_link("cancel", sub)).headers["Set-Cookie"]
    name, *attributes = (part.strip() for part in cookie.split(";"))
    assert name.startswith("portal=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert not [each for each in attributes if each.lower().startswith(("domain", "max-age", "expires"))]


def test_over_https_both_cookies_belong_to_this_host_alone(database: str, configure: Any) -> None:
    configure(**SECURE)
    app = create_app()
    sub = visits.subscribed()
    client = app.test_client()
    followed = client.get(email_link("cancel", sub), base_url=SECURE["base_url"])
    shown = client.get(followed.location, base_url=SECURE["base_url"])
    cookies = [*followed.headers.getlist("Set-Cookie"), *shown.headers.getlist("Set-Cookie")]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["__Host-portal", "__Host-form"]
    for cookie in cookies:
        attributes = {part.strip() for part in cookie.split(";")}
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= attributes
        assert "Domain" not in cookie
    assert shown.headers["Strict-Transport-Security"].startswith("max-age=")
    assert shown.status_code == 200


def test_the_database_holds_neither_the_cookie_nor_the_token(person: Person, sub: str) -> None:
    link = email_link("cancel", sub)
    get(person, link)
    cookie, token = visits.cookie_of(person) or "", link.partition("token=")[2]
    with transaction():
        stored = [repr(vars(row)) for row in session().scalars(select(BrowserSession)).unique()]
    assert len(stored) == 1
    assert len(cookie) >= 43
    everything = "".join(stored) + repr(visits.records())
    assert cookie not in everything
    assert token not in everything


def test_the_person_of_the_link_counts_not_the_one_signed_in_before(person: Person, sub: str) -> None:
    daniel = people.customer("Daniel Okoro")
    visits.come_in(person, daniel)
    before = visits.cookie_of(person)
    assert person.open(email_link("cancel", sub)).status == 200
    assert visits.cookie_of(person) != before
    assert "Signed in as Daniel" not in person.open("/portal")
    assert person.page.path == "/portal/link-expired"  # Daniel's power over his portal is gone
    with transaction():
        owners = set(session().scalars(select(BrowserSession.customer_id)))
    assert owners == {visits.owner(sub)}


def test_two_tabs_of_one_customer_both_work(person: Person, sub: str) -> None:
    other = visits.subscribed(visits.owner(sub))
    person.open(email_link("cancel", sub))
    person.open(email_link("payment", other))
    for path in (f"{sub}/cancel", f"{other}/update-payment-method"):
        assert get(person, f"/portal/subscriptions/{path}").status == 200
    for path in (f"{other}/cancel", f"{sub}/update-payment-method"):
        assert get(person, f"/portal/subscriptions/{path}").status == 303
    person.open(f"/portal/subscriptions/{sub}/cancel")
    assert "Your cancellation is recorded" in person.press("Cancel at the end of the period")
    assert (visits.is_scheduled(sub), visits.is_scheduled(other)) == (True, False)


def test_following_the_same_link_often_grants_no_more_than_once(person: Person, sub: str) -> None:
    for _ in range(5):
        person.open(email_link("cancel", sub))
    with transaction():
        counted = session().scalar(select(func.count(Grant.id)))
    assert counted == 1


def test_following_a_link_in_whatever_way_changes_nothing(person: Person, sub: str) -> None:
    before = visits.records()
    urls = [email_link(page, sub) for page in ("subscription", "cancel", "keep", "payment")]
    for url in [*urls, email_link("portal", customer_id=visits.owner(sub))]:
        for _ in range(2):
            person.client.head(url)
            person.open(url)
            person.open(url, **{"Sec-Purpose": "prefetch"})
    assert visits.records() == before


def test_a_post_to_a_link_is_not_following_it(person: Person, sub: str) -> None:
    link = email_link("cancel", sub)
    answer = person.client.post(link, data={"csrf_token": person.csrf_token()})
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/portal/sign-in")
    assert not visits.is_scheduled(sub)
    assert visits.cookie_of(person) is None


def test_links_are_short_enough_for_every_mail_program(app: Any, configure: Any, sub: str) -> None:
    configure(base_url="https://subscriptions.account.customers.aeroedit.example")
    urls = visits.open_session(app, visits.owner(sub), [sub])["urls"]
    found = [urls["general"]["overview"], *(v for k, v in urls["subscriptions"][0].items() if k != "id")]
    found += [email_link(page, sub) for page in ("subscription", "cancel", "keep", "payment")]
    assert max(map(len, found)) < 300


def test_links_begin_with_the_base_url_whatever_host_was_asked(app: Any, sub: str) -> None:
    headers = people.key(everything=True) | {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    asked = {"headers": headers, "base_url": "http://evil.example"}
    opened = app.test_client().post(
        f"/customers/{visits.owner(sub)}/portal-sessions", json={"subscription_ids": [sub]}, **asked
    )
    shown = app.test_client().get(f"/subscriptions/{sub}", **asked)
    assert (opened.status_code, shown.status_code) == (201, 200)
    assert "evil.example" not in opened.text + shown.text
    assert opened.json["data"]["urls"]["general"]["overview"].startswith("http://localhost/portal?token=pga_")


def test_a_secret_that_was_rotated_out_of_use_still_verifies_and_a_removed_one_does_not(
    configure: Any, app: Any, sub: str
) -> None:
    newest, older = config.current().secret_keys
    link = email_link("cancel", sub)
    for secrets, status in (
        ((newest, older), 200),
        (("an-even-newer-secret-of-the-test-suite", newest), 200),
        (("an-even-newer-secret-of-the-test-suite",), 403),
    ):
        configure(secret_keys=secrets)
        assert Person(app).open(link).status == status


def test_the_newest_secret_signs(configure: Any, app: Any, sub: str) -> None:
    newest, older = config.current().secret_keys
    link = email_link("cancel", sub)
    configure(secret_keys=(older,))
    assert Person(app).open(link).status == 403
    configure(secret_keys=(newest,))
    assert Person(app).open(link).status == 200


def test_a_mail_sent_again_carries_the_same_link(sub: str, the_clock: Any) -> None:
    at = the_clock.at
    first = links.page_url("cancel", customer_id=visits.owner(sub), subscription_id=sub, issued_at=at)
    the_clock.advance(hours=5)
    assert links.page_url("cancel", customer_id=visits.owner(sub), subscription_id=sub, issued_at=at) == first
