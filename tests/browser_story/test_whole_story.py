"""From an app's API call to an ended subscription: the seed's story, on both databases."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.demo import seller
from tests.browser_story.running import RunningPortal, link_in, wait_until
from tests.browser_story.watching import Browsing, press
from tests.conftest import KINDS

pytestmark = pytest.mark.browser

CUSTOMER, ADDRESS = "ctm_01htymkpj07kjy7p5q1vzqpk70", "amelia.harper@example.com"
SUBSCRIPTION, SHORT = "sub_01htymmb3hj0q9fmckjbtrmd73", "sub_01htymmb3hj0q9fmckjbtrmd74"
CANCEL = ["GET /portal/subscriptions/{id}/cancel"] * 2
DEADLINE_SECONDS = 10
SCHEDULED, WITHDRAWN, ENDED = (
    r"Your cancellation: AeroEdit Pro ends on .+",
    r"AeroEdit Pro continues: the cancellation is withdrawn",
    r"AeroEdit Pro has ended",
)


@pytest.fixture(params=KINDS)
def portal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningPortal]:
    """A portal with two web processes and an empty database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "portal.db")
        with RunningPortal(tmp_path, f"sqlite:///{tmp_path / 'portal.db'}") as running:
            yield running
        return
    server = request.getfixturevalue("postgres")
    with RunningPortal(tmp_path, server.create_database("whole_story", template="template_portal")) as running:
        yield running
    server.drop_database("whole_story")


def seed() -> dict[str, Any]:
    """The seed's customer and subscription, of April 2024, and what they refer to."""
    everything = json.loads(seller.DATA.read_text())
    return {
        "customers": [each for each in everything["customers"] if each["id"] == CUSTOMER],
        "addresses": [each for each in everything["addresses"] if each["customer_id"] == CUSTOMER],
        "products": everything["products"],
        "prices": everything["prices"],
        "subscriptions": [each for each in everything["subscriptions"] if each["id"] == SUBSCRIPTION],
    }


def ending_at(instant: datetime) -> dict[str, Any]:
    """Another subscription of hers, whose month is over at this instant."""
    [subscription] = seed()["subscriptions"]
    began, ends = (each.isoformat().replace("+00:00", "Z") for each in (instant - timedelta(days=30), instant))
    for item in subscription["items"]:
        item |= {"previously_billed_at": began, "next_billed_at": ends}
    started = dict.fromkeys(("created_at", "updated_at", "started_at", "first_billed_at"), began)
    period = {"next_billed_at": ends, "current_billing_period": {"starts_at": began, "ends_at": ends}}
    return {"subscriptions": [subscription | started | period | {"id": SHORT}]}


def load(portal: RunningPortal, content: dict[str, Any], *options: str) -> None:
    file = portal.folder / "import.json"
    file.write_text(json.dumps(content))
    portal.command("import", str(file), *options)


def cancel_link(portal: RunningPortal, subscription: str) -> str:
    """What the seller's app gets for a signed-in customer."""
    opened = portal.api("POST", f"/customers/{CUSTOMER}/portal-sessions", {"subscription_ids": [subscription]})
    assert {"id", "customer_id", "urls", "created_at"} <= opened.keys()
    assert opened["id"].startswith("cpls_")
    assert opened["customer_id"] == CUSTOMER
    assert opened["urls"]["general"]["overview"].startswith(f"{portal.origin}/portal?token=pga_")
    [links] = opened["urls"]["subscriptions"]
    assert links["id"] == subscription
    payment = f"{portal.origin}/portal/subscriptions/{subscription}/update-payment-method?token=pga_"
    assert links["update_subscription_payment_method"].startswith(payment)
    assert links["cancel_subscription"].startswith(f"{portal.origin}/portal/subscriptions/{subscription}/cancel?token=")
    return str(links["cancel_subscription"])


def assert_scheduled(portal: RunningPortal, before: dict[str, Any]) -> None:
    now = portal.api("GET", f"/subscriptions/{before['id']}")
    effective = {"action": "cancel", "effective_at": before["next_billed_at"], "resume_at": None}
    assert (now["status"], now["scheduled_change"], now["next_billed_at"]) == ("active", effective, None)
    assert [item["next_billed_at"] for item in now["items"]] == [None, None]
    assert now["current_billing_period"] == before["current_billing_period"]
    assert now["canceled_at"] is None


def assert_as_before(portal: RunningPortal, before: dict[str, Any]) -> None:
    now = portal.api("GET", f"/subscriptions/{before['id']}")
    ours = {"updated_at", "management_urls"}
    assert {k: v for k, v in now.items() if k not in ours} == {k: v for k, v in before.items() if k not in ours}


def test_a_customer_cancels_and_keeps_by_links_until_a_subscription_really_ends(
    portal: RunningPortal, browsing: Browsing
) -> None:
    load(portal, seed(), "--shift")
    portal.key = portal.command("api-key", "create", "--name", "shop", "--all")
    before = portal.api("GET", f"/subscriptions/{SUBSCRIPTION}")
    assert before["next_billed_at"].endswith("T10:38:57.979670Z")
    assert [item["next_billed_at"] for item in before["items"]] == [before["next_billed_at"]] * 2
    page, watch = browsing(), browsing.watch

    page.goto(cancel_link(portal, SUBSCRIPTION))
    assert watch.asked() == CANCEL  # the link, and the same page without its token
    assert "token" not in page.url
    assert "Your cancellation is recorded" in press(page, "Cancel at the end of the period")
    assert watch.asked() == ["POST /portal/subscriptions/{id}/cancel", "GET /portal/subscriptions/{id}"]
    assert_scheduled(portal, before)
    assert len(portal.mailed(ADDRESS, 1)) == 1

    portal.api("PATCH", f"/subscriptions/{SUBSCRIPTION}", {"scheduled_change": None})
    assert_as_before(portal, before)
    withdrawn = portal.mailed(ADDRESS, 2)[-1]

    page = browsing()
    page.goto(link_in(withdrawn, f"/portal/subscriptions/{SUBSCRIPTION}/cancel"))
    assert "Your cancellation is recorded" in press(page, "Cancel at the end of the period")
    assert_scheduled(portal, before)
    confirmation = portal.mailed(ADDRESS, 3)[-1]
    assert "/cancel?token=" not in confirmation.text + confirmation.html

    page = browsing()
    page.goto(link_in(confirmation, f"/portal/subscriptions/{SUBSCRIPTION}/keep"))
    assert "Your subscription goes on" in press(page, "Keep my subscription")
    assert_as_before(portal, before)
    portal.mailed(ADDRESS, 4)

    end_in_seconds(portal, browsing)

    mails = portal.mailed(ADDRESS, 6)
    told = [SCHEDULED, WITHDRAWN, SCHEDULED, WITHDRAWN, SCHEDULED, ENDED]
    assert [mail.subject for mail in mails if not any(re.fullmatch(each, mail.subject) for each in told)] == []
    assert len(mails) == len(told), [mail.subject for mail in mails]
    for mail, subject in zip(mails, told, strict=True):
        assert re.fullmatch(subject, mail.subject)
    assert len({mail.message["Message-ID"] for mail in mails}) == len(mails)
    assert len(portal.mails.received) == len(mails)
    assert_as_before(portal, before)


def end_in_seconds(portal: RunningPortal, browsing: Browsing) -> None:
    """A second subscription, canceled by the customer seconds before its period ends; the worker does the rest."""
    ends_at = datetime.now(UTC) + timedelta(seconds=12)
    instant = ends_at.isoformat().replace("+00:00", "Z")
    load(portal, ending_at(ends_at))
    page = browsing()
    page.goto(cancel_link(portal, SHORT))
    assert "Your cancellation is recorded" in press(page, "Cancel at the end of the period")
    scheduled = portal.api("GET", f"/subscriptions/{SHORT}")
    assert (scheduled["status"], scheduled["scheduled_change"]["effective_at"]) == ("active", instant)

    def has_ended() -> Any:
        now = portal.api("GET", f"/subscriptions/{SHORT}")
        return now["status"] == "canceled" and now

    waited = (ends_at - datetime.now(UTC)).total_seconds() + DEADLINE_SECONDS
    ended = wait_until(has_ended, "the subscription has ended", waited)
    assert datetime.now(UTC) >= ends_at
    assert (ended["canceled_at"], ended["scheduled_change"], ended["current_billing_period"]) == (instant, None, None)
    page.reload()
    assert page.locator("#done").count() == 0
    assert page.locator("h1 + .tag").inner_text() == "Ended"
    assert "Nothing more is charged." in page.locator("main").inner_text()
    page.goto(f"{portal.origin}/portal/subscriptions/{SHORT}/cancel")
    assert page.get_by_role("heading", level=1).inner_text() == "AeroEdit Pro has already ended"
    assert page.get_by_role("button", name="Cancel").count() == 0
