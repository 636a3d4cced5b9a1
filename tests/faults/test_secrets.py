"""T23: a story full of known secrets; none of them stands in a log, on an error page or in the database afterwards."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from portal import config, db, links, request_log, worker
from portal.domain import event_types
from tests import people
from tests.conftest import Clock
from tests.logs import Log
from tests.person import Page, Person
from tests.smtp import MailServer

PASSWORD, CVC = "hunter2-of-the-mail-server", "7391"
CARDS = ("4242424242424242", "4000000000000002", "4000000000000341", "4000002500003155", "5555555555554444")
IDEMPOTENCY_KEY = "the-idempotency-key-of-an-app"
REFERENCES = ("sandbox_ok", "sandbox_declines")
"""What the gateway knows a card by: stored, but told to nobody."""
WHERE_REFERENCES_ARE = ("payment_methods", "sandbox_charges")
WORDS = "these words are for the seller alone"
EMAIL = "amelia.harper@example.com"


class Story:
    """What happened, which secrets were in play, and every answer that was an error."""

    def __init__(self, app: Flask, person: Person, smtp: MailServer) -> None:
        self.app, self.person, self.smtp = app, person, smtp
        self.client = app.test_client()
        self.secrets: set[str] = {PASSWORD, CVC, *CARDS, *(" ".join(re.findall("....", card)) for card in CARDS)}
        self.secrets |= set(config.current().secret_keys)
        self.errors: list[Page] = []
        self.told_apps: list[str] = []
        self.stored = self.stored_elsewhere = ""  # of what housekeeping forgets before the end

    def keep(self, link: str) -> str:
        """A link; its token is a secret."""
        self.secrets.add(link.partition("token=")[2])
        return link

    def saw(self, page: Page) -> Page:
        """Remembers the cookies of this browser and, of an error, the page."""
        for name in ("portal", "form"):
            if cookie := self.person.client.get_cookie(name):
                self.secrets.add(cookie.value)
        if page.status >= 400 and page.status != 410:
            self.errors.append(page)
        return page


@pytest.fixture
def story(app: Flask, person: Person, smtp: MailServer) -> Story:
    return Story(app, person, smtp)


def tell(story: Story, clock: Clock, configure: Callable[..., None]) -> str:
    """An app, a customer, a mail server that asks for a password, cards, and everything that can go wrong."""
    customer = people.customer("Amelia Harper", email=EMAIL)
    sub = people.subscription(customer, card="sandbox_declines")
    by_app(story, customer, sub)
    by_checkout(story)
    by_links(story, customer, sub)
    by_card(story, customer, sub)
    configure(smtp_url=f"smtp://portal:{PASSWORD}@127.0.0.1:{story.smtp.port}")
    worker.run_until_idle()
    assert story.smtp.received == [], "the tests' server knows no password"
    configure(smtp_url=f"smtp://127.0.0.1:{story.smtp.port}")
    clock.advance(minutes=30)
    worker.run_until_idle()
    clock.advance(days=25)
    worker.run_until_idle()
    by_sign_in(story)
    worker.run_until_idle()
    assert len(story.smtp.received) > 3
    for mail in story.smtp.received:
        for token in re.findall(r"token=([\w.-]+)", mail.text):
            story.secrets.add(token)
    return sub


def by_app(story: Story, customer: str, sub: str) -> None:
    key = people.key(everything=True)
    story.secrets.add(key["Authorization"].removeprefix("Bearer "))
    answer = story.client.post(f"/customers/{customer}/portal-sessions", json={"subscription_ids": [sub]}, headers=key)
    assert answer.status_code == 201, answer.text
    urls = answer.json["data"]["urls"]  # type: ignore[index]
    for link in (urls["general"]["overview"], *(v for k, v in urls["subscriptions"][0].items() if k != "id")):
        story.saw(story.person.open(story.keep(link)))
    entity = story.client.get(f"/subscriptions/{sub}", headers=key).json["data"]  # type: ignore[index]
    for link in (each for name, each in entity["management_urls"].items() if name != "expires_at"):
        story.keep(link)
    for path, sent in ((f"/subscriptions/{sub}x/cancel", {}), (f"/subscriptions/{sub}/cancel", {"wrong": 1})):
        story.saw(Page(story.client.post(path, json=sent, headers=key)))
    wrong = {"Authorization": key["Authorization"] + "x"}
    story.saw(Page(story.client.get("/subscriptions", headers=wrong)))


def by_checkout(story: Story) -> None:
    """An app's order, its link, its Idempotency-Key and an endpoint's secret; who buys and with what; the invoice."""
    key, token = people.key(everything=True), "token-in-an-endpoints-url"
    story.secrets |= {key["Authorization"].removeprefix("Bearer "), IDEMPOTENCY_KEY, *REFERENCES}
    once = key | {"Idempotency-Key": IDEMPOTENCY_KEY}
    hook = {"type": "url", "destination": f"https://8.8.8.8/{token}", "description": "Our shop"}
    hook |= {"subscribed_events": list(event_types.NAMES)}  # type: ignore[dict-item]
    made = story.client.post("/notification-settings", json=hook, headers=once).json["data"]  # type: ignore[index]
    again = story.client.post("/notification-settings", json=hook, headers=once)
    assert again.headers["Idempotency-Replayed"] == "true"
    rotated = story.client.post(f"/notification-settings/{made['id']}/rotate-secret", json={}, headers=key).json
    for each in (made, rotated["data"]):  # type: ignore[index]
        story.secrets |= {each["endpoint_secret_key"], each["endpoint_secret_key"][-32:]}
        story.secrets.add(each["standard_webhook_secret"])
    story.client.patch(f"/notification-settings/{made['id']}", json={"active": False}, headers=key)
    body = {"items": [{"price_id": people.price(), "quantity": 1}]}
    ordered = story.client.post("/transactions", json=body, headers=key | {"Idempotency-Key": f"{IDEMPOTENCY_KEY}2"})
    bought = ordered.json["data"]  # type: ignore[index]
    path = f"/portal/checkout/{bought['id']}"
    story.saw(story.person.open(story.keep(bought["checkout"]["url"]) + "x"))
    story.saw(story.person.open(bought["checkout"]["url"]))
    visit = story.person.client.get_cookie("checkout", path=path)
    assert visit is not None
    story.secrets.add(visit.value)
    story.person.submit(f"{path}/who", email="jo@example.com", country="AT")
    for card in (CARDS[1], CARDS[2], CARDS[3], CARDS[0]):
        story.saw(story.person.submit(path, number=card, expiry="07/29", cvc=CVC))
    story.saw(story.person.submit(path, token="forged", number=CARDS[0], expiry="07/29", cvc=CVC))
    answer = story.client.get(f"/transactions/{bought['id']}/invoice", headers=key)
    invoice = story.keep(answer.json["data"]["url"])  # type: ignore[index]
    assert story.person.client.get(invoice.removeprefix("http://localhost")).data.startswith(b"%PDF")
    story.saw(story.person.open(invoice + "x"))
    for listed in ("events", "transactions", "notifications", "openapi.json"):
        story.told_apps.append(story.client.get(f"/{listed}", headers=key).get_data(as_text=True))
    request_log.write()
    story.stored += everything_stored()
    story.stored_elsewhere += everything_stored(but_not=WHERE_REFERENCES_ARE)


def by_links(story: Story, customer: str, sub: str) -> None:
    person = story.person
    link = story.keep(links.page_url("cancel", customer_id=customer, subscription_id=sub))
    story.saw(person.open(link + "x"))
    story.saw(person.open(link.replace("/cancel?", "/keep?")))
    story.saw(person.open(link))
    story.saw(person.press("Cancel at the end of the period"))
    assert people.row(sub).is_ending
    person.submit(f"/portal/subscriptions/{sub}/reason", reason="other", comment=WORDS)
    story.saw(person.open(f"/portal/subscriptions/{sub}/keep"))
    story.saw(person.press("Keep my subscription"))
    assert not people.row(sub).is_ending
    story.saw(person.submit(f"/portal/subscriptions/{sub}/cancel", token="forged"))
    break_the_database(story, sub)


def break_the_database(story: Story, sub: str) -> None:
    """A statement fails with a customer's facts among its parameters."""
    with db.engine().begin() as connection:
        connection.execute(text("ALTER TABLE mails RENAME TO mails_away"))
    page = story.saw(story.person.submit(f"/portal/subscriptions/{sub}/cancel"))
    assert page.status >= 500, page.words
    with db.engine().begin() as connection:
        connection.execute(text("ALTER TABLE mails_away RENAME TO mails"))
    assert not people.row(sub).is_ending


def by_card(story: Story, customer: str, sub: str) -> None:
    story.saw(story.person.open(story.keep(links.page_url("payment", customer_id=customer, subscription_id=sub))))
    path = f"/portal/subscriptions/{sub}/update-payment-method"
    for card in (*CARDS, " ".join(re.findall("....", CARDS[0])), "4242 4242", CARDS[2]):
        story.saw(story.person.submit(path, number=card, expiry="07/29", cvc=CVC))
    assert sum(page.status == 422 for page in story.errors) > 2


def by_sign_in(story: Story) -> None:
    person = Person(story.app)
    story.person = person
    person.open("/portal/sign-in")
    person.submit("/portal/sign-in", email=EMAIL)
    worker.run_until_idle()
    (link,) = re.findall(r"https?://\S+/confirm\?token=\S+", story.smtp.to(EMAIL)[-1].text)
    story.saw(person.open(story.keep(link)))
    for expected in (200, 403):
        fields = {"csrf_token": person.csrf_token(), "token": link.partition("token=")[2]}
        sent = person.client.post("/portal/sign-in/confirm", data=fields, headers=person.headers, follow_redirects=True)
        assert story.saw(Page(sent)).status == expected


def leaks(secrets: set[str], where: str) -> list[str]:
    """The secrets that stand somewhere as words of their own.

    Four digits may also be a number of milliseconds, or a part of an id, of an address or of a time.
    """
    found = []
    for each in secrets:
        before, after = (r"(?<![0-9A-Za-z.:/+-])(?<![,:] )", "[0-9A-Za-z.:/+-]") if each == CVC else ("", "[0-9A-Za-z]")
        if re.search(rf"(?<![0-9A-Za-z]){before}{re.escape(each)}(?!{after})", where):
            found.append(each)
    return found


@pytest.mark.parametrize(
    ("where", "is_one"),
    [
        ('{"cvc": "7391"}', True),
        ("cvc=7391&number=1", True),
        ("('cvc', '7391')", True),
        ("the code 7391 is wrong", True),
        ("('POST', 200, 7391, None)", False),
        ('{"milliseconds":7391}', False),
        ("0e8dd1c2-7391-4c0f-9a10-000000000000", False),
    ],
)
def test_the_search_tells_a_security_code_from_other_numbers(where: str, is_one: bool) -> None:
    assert leaks({CVC}, where) == ([CVC] if is_one else [])


def everything_stored(but_not: tuple[str, ...] = ()) -> str:
    with db.engine().connect() as connection:
        names = [each for each in inspect(db.engine()).get_table_names() if each not in but_not]
        rows = [(name, row) for name in names for row in connection.execute(text(f"SELECT * FROM {name}"))]
        return "\n".join(f"{name}: {row}" for name, row in rows)


def test_no_secret_is_logged_shown_in_an_error_or_stored(
    story: Story, log: Log, the_clock: Clock, configure: Callable[..., None]
) -> None:
    sub = tell(story, the_clock, configure)
    kinds = {"pga_": 11, "pdl_live_": 2, "pdl_ntfset_": 2, "whsec_": 2}
    for prefix, count in kinds.items():
        assert sum(each.startswith(prefix) for each in story.secrets) >= count, "there were secrets to leak"
    assert all(len(each) >= len(CVC) for each in story.secrets)
    lines = "\n".join(log.lines)
    for fact in ('"message":"request"', "mail server unreachable", "mails", f"/portal/subscriptions/{sub}/cancel"):
        assert fact in lines, "the log tells what happened"
    assert leaks(story.secrets, lines) == []
    assert leaks({WORDS, EMAIL, "Amelia"}, lines) == [], "customers' facts stay out of the log too"
    assert {page.status for page in story.errors} >= {400, 403, 404, 422}
    for page in story.errors:
        without_hints = re.sub(r"<details>.*?</details>", "", page.html, flags=re.S)  # the sandbox's test cards
        assert leaks(story.secrets, without_hints) == [], page.html
    told = "\n".join(story.told_apps)
    assert leaks({"jo@example.com"}, told) != [], "the search would find what is there"
    assert leaks(story.secrets, told) == []
    stored = story.stored + everything_stored()
    assert leaks({WORDS, EMAIL}, stored) != [], "the search would find what is there"
    assert leaks(story.secrets - set(REFERENCES), stored) == []
    elsewhere = story.stored_elsewhere + everything_stored(but_not=WHERE_REFERENCES_ARE)
    assert leaks(set(REFERENCES), stored) != []
    assert leaks(set(REFERENCES), elsewhere) == [], "what can charge a card stands in one place"
    for table in ("idempotency_keys", "api_requests", "events", "notification_settings", "transactions"):
        assert f"{table}: (" in stored, "there was something to leak"
