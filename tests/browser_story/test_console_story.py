"""A colleague's first day, and an admin's: all by the pages of the console, and each thing seen at work."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from portal import config
from portal.demo import seller
from portal.domain import seller_settings
from tests import people
from tests.browser_story import console_steps as steps
from tests.browser_story.running import RunningPortal, link_in, wait_until
from tests.browser_story.watching import Browsing, press
from tests.conftest import KINDS
from tests.receiver import Receiver

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
HANNA, WORDS = "hanna.bergstroem@example.com", "On the phone: she moves away, and wants to use January up."
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9H0z" fill="#0b6e4f"/></svg>'
INSTRUCTIONS = "Write to leaving@skylark.example, and name the product."


@pytest.fixture(params=KINDS)
def portal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningPortal]:
    """The demo's seller, on a portal with two web processes whose webhooks may go to this machine."""
    name, server = "console_story", None
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "portal.db")
        url = f"sqlite:///{tmp_path / 'portal.db'}"
    else:
        server = request.getfixturevalue("postgres")
        url = server.create_database(name, template="template_portal")
    running = RunningPortal(tmp_path, url, webhook_private="on", sign_in_per_client="1000")
    with running.inside():
        seller.load()
    with running:
        yield running
    if server is not None:
        server.drop_database(name)


@dataclass(frozen=True)
class Billing:
    """A price of $300 a month that falls due on the 15th, and an end in the middle of a month."""

    now: datetime

    @property
    def fifteenths(self) -> list[datetime]:
        """The last one and the next three."""
        first = self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        months = [(first + timedelta(days=31 * n)).replace(day=15) for n in (-1, 0, 1, 2, 3)]
        months[0] = (first - timedelta(days=1)).replace(day=15)
        later = sum(each <= self.now for each in months)
        return months[later - 1 : later + 3]

    @property
    def last_day(self) -> date:
        """The last day of next month."""
        return (self.now.date().replace(day=1) + timedelta(days=62)).replace(day=1) - timedelta(days=1)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.last_day, time(), UTC) + timedelta(days=1)

    def charges(self) -> list[tuple[datetime, int]]:
        """What is to be charged until then, in cents: whole months, and of the last the part that is used."""
        due = [each for each in self.fifteenths[1:] if each < self.end]
        whole_until = (due[-1] + timedelta(days=31)).replace(day=15)
        part = Fraction((self.end - due[-1]).days, (whole_until - due[-1]).days)
        return [(each, 30_000) for each in due[:-1]] + [(due[-1], round(part * 30_000))]


def dollars(cents: int) -> str:
    return f"${cents / 100:.2f}"


def day(at: date) -> str:
    return f"{at.day} {at:%B %Y}"


def test_a_colleague_who_never_saw_it_looks_after_a_customer(portal: RunningPortal, browsing: Browsing) -> None:
    billing = Billing(datetime.now(UTC))
    began, ends = billing.fifteenths[:2]
    with portal.inside():
        hanna = people.customer("Hanna Bergström", email=HANNA)
        sub = people.subscription(hanna, began=began, period_ends_at=ends, anchor_at=began)
    page = browsing()
    steps.come_in(page, portal, steps.SAM)
    assert page.url == f"{portal.origin}/console/subscriptions"

    assert "Chloe Bennett" not in steps.search(page, "bergs")
    shown = press(page, "Hanna Bergström", "link")
    assert f"The next payment is $300.00 on {day(ends)}" in shown
    review = steps.look_at_the_end_on(page, billing.last_day, "Only needed for a while", WORDS)
    assert_says_what_is_charged(review, billing)
    assert "The cancellation is recorded" in press(page, "Cancel payments")
    assert portal.row(sub).ends_at == billing.end

    listed = steps.pending(page)
    assert f"ends {day(billing.last_day)}" in listed[listed.index("Hanna Bergström") :]
    assert "Noah Whitfield" not in listed
    press(page, "Don’t cancel Hanna Bergström", "link")
    kept = press(page, "Don’t cancel payments")
    assert "The cancellation is withdrawn" in kept
    assert f"The next payment is $300.00 on {day(ends)}" in kept
    assert f"The link is on its way to {HANNA}" in steps.send_cancel_link(page, HANNA)
    announced, withdrawn, sent = portal.mailed(HANNA, 3)
    assert announced.subject == f"AeroEdit Pro ends on {day(billing.last_day)}"
    assert all(dollars(amount) in announced.text for _, amount in billing.charges())
    assert (withdrawn.subject, sent.subject) == (
        "AeroEdit Pro continues: the cancellation is withdrawn",
        "Your link from AeroEdit",
    )

    hannas = browsing()
    hannas.goto(link_in(sent, f"/portal/subscriptions/{sub}/cancel"))
    hannas.goto(f"{portal.origin}/portal/payments")
    assert hannas.get_by_role("heading", level=1).inner_text().startswith("This link does not open this page")
    hannas.goto(f"{portal.origin}/portal/subscriptions/{sub}/cancel")
    assert "Your cancellation is recorded" in press(hannas, "Cancel at the end of the period")
    portal.mailed(HANNA, 4)

    wait_until(lambda: page.reload() and history(page).count("accepted by the mail server") == 4, "four mails accepted")
    assert_tells_all(history(page), billing)


def assert_says_what_is_charged(review: str, billing: Billing) -> None:
    """Each payment with its day and amount, what they come to, and what is kept until when."""
    coming, words = billing.charges(), " ".join(review.split())
    count = "1 payment" if len(coming) == 1 else f"{len(coming)} payments"
    assert f"{dollars(sum(amount for _, amount in coming))} in {count}" in words
    assert [f"{day(at)}: {dollars(amount)}" in words for at, amount in coming] == [True] * len(coming)
    assert "for a part of a period" in words[words.index(f"{day(coming[-1][0])}: ") :]
    assert f"Access ends {day(billing.last_day)} at the end of the day (UTC)" in words
    assert "10 × AeroEdit Pro" in words
    assert "Only needed for a while" in words
    assert WORDS in words
    assert f"gets a mail at {HANNA}" in words


def history(page: "Page") -> str:
    if "/link" in page.url:
        steps.back(page)
    return " ".join(page.get_by_role("region", name="History").inner_text().split())


def assert_tells_all(told: str, billing: Billing) -> None:
    """Newest first: what was done, by whom and by which way, why, and which mail went where."""
    sam, customer = "Sam Ortega, in the console", "The customer, by a link of the app or of a colleague"
    in_order = [
        "Cancellation scheduled for",
        customer,
        f"Mail about the cancellation to {HANNA}: accepted by the mail server",
        f"Sent a link to the page to cancel, to {HANNA}",
        "Opened once",
        sam,
        f"Mail about a link from a colleague to {HANNA}: accepted by the mail server",
        "Cancellation withdrawn: it would have ended on",
        sam,
        f"Mail about the cancellation being withdrawn to {HANNA}: accepted by the mail server",
        f"Cancellation scheduled for {day(billing.last_day)} at the end of the day (UTC)",
        sam,
        "Reason: Only needed for a while",
        WORDS,
        f"Mail about the cancellation to {HANNA}: accepted by the mail server",
    ]
    at = 0
    for words in in_order:
        assert words in told[at:], f"{words!r} is not there, or not there in order: {told[at:]}"
        at = told.index(words, at) + len(words)


def test_an_admin_sets_everything_up_without_the_shell(portal: RunningPortal, browsing: Browsing) -> None:
    sub = portal.new("amy@example.com")
    page, customers = browsing(), browsing()
    steps.come_in(page, portal, steps.ADA)
    takes_another_name(page, customers, portal)
    asks_other_reasons(page, customers, portal, sub)
    takes_the_button_away(page, customers, portal, sub)
    tries_payments_at_other_times(page, portal)
    has_an_app(page, portal)
    with Receiver() as shop:
        is_told_of_events(page, customers, portal, shop, sub)
    reads_a_mail_in_german(page)
    has_another_colleague(page, browsing(), portal)
    browsing.watch.downloads.add("/console/audit.csv")
    reads_what_was_done(page)


def takes_another_name(page: "Page", customers: "Page", portal: RunningPortal) -> None:
    steps.menu(page, "Settings")
    press(page, "Change Business", "link")
    page.get_by_label("Name", exact=True).fill("Skylark Tools")
    page.get_by_label("Accent colour").fill("#0b6e4f")
    page.get_by_label("Logo", exact=True).set_input_files(
        {"name": "logo.svg", "mimeType": "image/svg+xml", "buffer": LOGO}
    )
    saved = press(page, "Save business")
    assert "Saved. It is in force now" in saved
    assert "Name: Skylark Tools" in saved
    in_force(customers, f"{portal.origin}/portal/sign-in", "This page belongs to Skylark Tools")
    logo = customers.locator("header img")
    assert requests.get(portal.origin + (logo.get_attribute("src") or ""), timeout=30).content == LOGO
    button = customers.get_by_role("button", name="Email me a sign-in link")
    assert button.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(11, 110, 79)"


def asks_other_reasons(page: "Page", customers: "Page", portal: RunningPortal, sub: str) -> None:
    reasons = "We moved to another country\nIt costs too much"
    saved = steps.set_up(
        page, "Customers’ pages", Reasons_to_choose_from=reasons, Message_on_the_cancel_page="So long."
    )
    assert "Saved. It is in force now" in saved
    in_force(customers, portal.link("cancel", sub), "So long.")
    press(customers, "Cancel at the end of the period")
    customers.get_by_text("Tell us why").click()
    assert customers.locator("label.option").all_inner_texts() == reasons.splitlines()
    customers.get_by_label("We moved to another country").check()
    press(customers, "Send my answer")
    assert "Your subscription goes on" in follow(customers, portal.link("keep", sub), "Keep my subscription")
    assert "Reason: We moved to another country" in follow(page, f"{portal.origin}/console/subscriptions/{sub}")


def takes_the_button_away(page: "Page", customers: "Page", portal: RunningPortal, sub: str) -> None:
    steps.menu(page, "Settings")
    press(page, "Change Customers’ pages", "link")
    page.get_by_role("radio", name="No, on request only").check()
    page.get_by_label("Instructions while it is off").fill(INSTRUCTIONS)
    page.get_by_label("I have read this").check()
    assert "Saved. It is in force now" in press(page, "Save customers’ pages")
    in_force(customers, portal.link("cancel", sub), INSTRUCTIONS)
    assert customers.get_by_role("button", name="Cancel").count() == 0


def tries_payments_at_other_times(page: "Page", portal: RunningPortal) -> None:
    """Its worker learns of it within seconds; a charge that is due after that fails, and is tried after two days."""
    assert "2 days, 4 days: 3 attempts in all" in steps.set_up(page, "Payments", Waits_between_attempts="2d, 4d")
    due = datetime.now(UTC) + timedelta(seconds=8)
    ends = due - config.environment().renewal_grace
    sub = portal.new(card="sandbox_declines", began=ends - timedelta(days=30), period_ends_at=ends)
    wait_until(lambda: portal.row(sub).status == "past_due", "the charge has failed", 30)
    shown = follow(page, f"{portal.origin}/console/subscriptions/{sub}")
    assert f"The next attempt to collect is planned for {day(due + timedelta(days=2))}" in shown


def has_an_app(page: "Page", portal: RunningPortal) -> None:
    headers = {"Authorization": f"Bearer {steps.make_key(page, 'The new shop')}"}
    assert requests.get(f"{portal.origin}/customers", headers=headers, timeout=30).status_code == 200
    assert "The key is revoked" in steps.revoke_key(page, "The new shop")
    assert requests.get(f"{portal.origin}/customers", headers=headers, timeout=30).status_code == 403
    address = page.url.partition("#")[0]  # to go to where one is, at a mark of the page, would not load it again
    wait_until(lambda: "GET /customers" in follow(page, address), "the request log tells of it")
    assert "Revoked" in page.locator("main").inner_text()


def is_told_of_events(page: "Page", customers: "Page", portal: RunningPortal, shop: Receiver, sub: str) -> None:
    assert "The destination is added" in steps.add_destination(page, "The shop", shop.url)
    follow(page, f"{portal.origin}/console/subscriptions/{sub}")
    press(page, "Cancel payments", "link")
    press(page, "Continue")
    press(page, "Cancel payments")
    wait_until(lambda: len(shop.acted) == 1, "the shop is told")
    steps.menu(page, "Webhooks")
    press(page, "The shop", "link")
    press(page, "All", "link")
    press(page, "subscription.updated", "link")
    wait_until(lambda: "Delivered" in follow(page, page.url), "the delivery is written down")
    assert "The event is sent again" in press(page, "Send again")
    wait_until(lambda: len(shop.acted) == 2, "the shop is told once more")
    assert shop.event_ids[0] == shop.event_ids[1]


def reads_a_mail_in_german(page: "Page") -> None:
    steps.menu(page, "Mails")
    press(page, "Cancellation scheduled", "link")
    page.get_by_label("Language").select_option("de")
    shown = press(page, "Show")
    assert "Ihre Kündigung" in shown
    mail = page.frame_locator("iframe").locator("body").inner_text()
    assert "Skylark Tools" in mail
    assert "Ihre Kündigung" in mail


def has_another_colleague(page: "Page", theirs: "Page", portal: RunningPortal) -> None:
    steps.menu(page, "People")
    press(page, "Add somebody", "link")
    page.locator("#email").fill("robin@skylark.example")
    page.get_by_label("Name", exact=True).fill("Robin Roe")
    assert "Robin Roe is on the staff" in press(page, "Add to the staff")
    [mail] = portal.mailed("robin@skylark.example", 1)
    assert mail.subject == "You may use the console of Skylark Tools"
    assert f"{portal.origin}/console" in mail.text
    assert "Subscriptions" in steps.come_in(theirs, portal, "robin@skylark.example")
    assert theirs.get_by_role("link", name="Settings").count() == 0


def reads_what_was_done(page: "Page") -> None:
    told = steps.menu(page, "Audit")
    assert "Skylark Tools" in told
    with page.expect_download() as download:
        page.get_by_role("link", name="Download what is filtered (CSV)").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    done = {row["action"] for row in rows if row["who"] == "Ada Lindqvist"}
    assert {"setting.changed", "api_key.created", "api_key.revoked", "staff.added"} <= done


def in_force(page: "Page", url: str, words: str) -> None:
    """A page of a customer's shows a setting; one of the web processes may learn of it seconds after the other."""
    saved = datetime.now(UTC)
    wait_until(
        lambda: words in follow(page, url) and datetime.now(UTC) > saved + seller_settings.EVERY,
        f"{words!r} is shown",
    )


def follow(page: "Page", url: str, then: str | None = None) -> str:
    """The words of the page at an address; or of the one that a button there leads to."""
    page.goto(url)
    return press(page, then) if then else page_text(page)


def page_text(page: "Page") -> str:
    return str(page.locator("body").inner_text())
