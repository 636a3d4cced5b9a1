"""One subscription: its state in words, what comes next, what happened."""

from datetime import timedelta
from typing import Any

import pytest

from portal.db import transaction
from portal.domain import bills, subscriptions
from portal.domain.actors import system
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN, alike, email_link, get
from tests.person import Person

WHEN = "11 December 2026 at 12:00 UTC"
PAUSE = visits.ending() | {"scheduled_action": "pause"}
LATER = END + timedelta(days=30)
PAUSED = {"status": "paused", "paused_at": NOW - timedelta(days=1), "next_billed_at": None}
STATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "active": ({}, "Active", f"It renews on {WHEN}, and $300.00 are charged."),
    "trialing": (
        {"status": "trialing"},
        "Free trial",
        f"The trial runs until {WHEN}. Then the first $300.00 are due, unless you cancel before.",
    ),
    "past due": ({"status": "past_due"}, "Payment overdue", "The last payment did not go through."),
    "past due by invoice": (
        {"status": "past_due", "collection_mode": "manual", "card": None},
        "Payment overdue",
        "An invoice is overdue.",
    ),
    "by invoice": (
        {"collection_mode": "manual", "card": None},
        "Active",
        f"It renews on {WHEN}. You get an invoice for $300.00.",
    ),
    "ending": (visits.ending(), "Ends on 11 December 2026", f"You canceled it. It ends on {WHEN}."),
    "ending by staff": (visits.ending("staff"), "Ends on 11", f"AeroEdit has canceled it. It ends on {WHEN}."),
    "ending by an app": (visits.ending("key"), "Ends on 11", f"AeroEdit has canceled it. It ends on {WHEN}."),
    "ending, past due": (
        visits.ending() | {"status": "past_due"},
        "Payment overdue",
        "It stays due, also after the end.",
    ),
    "ending, paused": (visits.ending() | {"status": "paused"}, "Ends on", "It stays paused until then"),
    "ending without a date": (
        visits.ending() | {"scheduled_effective_at": None, "billing_resumes_at": None},
        "Cancellation recorded",
        "it has no end date yet",
    ),
    "pause planned": (PAUSE, "Pauses on 11 December 2026", f"It pauses on {WHEN}."),
    "pause planned with a return": (
        PAUSE | {"scheduled_resume_at": LATER},
        "Pauses on",
        "It resumes on 10 January 2027 at 12:00 UTC with a payment of $300.00.",
    ),
    "paused": (PAUSED, "Paused", "It is paused, and nothing is charged. No date is set for it to resume."),
    "paused with a return": (
        PAUSED | {"scheduled_action": "resume", "scheduled_effective_at": LATER},
        "Paused",
        "It resumes on 10 January 2027 at 12:00 UTC with a payment of $300.00.",
    ),
    "canceled": (visits.CANCELED, "Ended", "It ended on 20 November 2026 at 12:00 UTC. Nothing more is charged."),
    "nothing planned": ({"next_billed_at": None}, "Active", "No next payment is planned."),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_words(person: Person, app: Any, state: str) -> None:
    fields, tag, words = STATES[state]
    sub = visits.subscribed(**fields)
    shown = person.open(email_link("subscription", sub))
    assert shown.status == 200
    assert tag in shown
    assert words in shown
    assert "10 × AeroEdit Pro" in shown
    assert "None" not in shown.words
    before = visits.records()
    for page in ("cancel", "keep"):
        assert person.open(email_link(page, sub)).status == 200
        assert "None" not in person.page.words.replace("None is planned", "")
    assert visits.records() == before


def test_what_happened_is_told_with_who_and_when(person: Person, app: Any, the_clock: Any) -> None:
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the period")
    the_clock.advance(minutes=10)
    visits.post(person, f"/portal/subscriptions/{sub}/keep")
    words = person.open(f"/portal/subscriptions/{sub}").words
    history = words[words.index("What happened so far") :]
    assert history.index("Cancellation withdrawn") < history.index("Cancellation scheduled")
    assert "21 November 2026 at 12:10 UTC · By you, from a link in an email" in history
    assert "21 November 2026 at 12:00 UTC · By you, from a link in an email" in history


def test_what_is_due_is_shown_with_its_amount(person: Person, app: Any) -> None:
    sub = visits.subscribed(status="past_due")
    with transaction():
        bills.bill(subscriptions.get(sub), starts_at=NOW - timedelta(days=10), ends_at=END, by=system())
    shown = person.open(email_link("portal", customer_id=visits.owner(sub)))
    shown = person.open(f"/portal/subscriptions/{sub}")
    assert "Due now $300.00" in shown
    assert "Update payment method and pay $300.00" in shown.links


def test_several_items_are_all_named(person: Person, app: Any) -> None:
    sub = visits.subscribed(quantity=1)
    assert "AeroEdit Pro" in person.open(email_link("subscription", sub))
    assert "1 × AeroEdit Pro" not in person.page


def test_a_banner_never_claims_what_does_not_stand(person: Person, app: Any) -> None:
    """An address with `done=` can be kept, reloaded after a change of mind, or sent by somebody else."""
    claims = {
        "canceled": "Your cancellation is recorded",
        "ended": "Your subscription has ended",
        "kept": "Your subscription goes on",
    }
    stands = {"canceled": visits.ending(), "ended": visits.CANCELED, "kept": {}}
    for done, claim in claims.items():
        for state, fields in stands.items():
            sub = visits.subscribed(**fields)
            person.open(email_link("subscription", sub))
            shown = person.open(f"/portal/subscriptions/{sub}?done={done}")
            assert (claim in shown) == (done == state), f"?done={done} while {state}"


def test_a_banner_that_is_none_of_ours_is_ignored(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    person.open(email_link("subscription", sub))
    for done in ("<script>alert(1)</script>", "{{7*7}}", "", "deleted", "\x00", "x" * 5000):
        shown = person.client.get(f"/portal/subscriptions/{sub}", query_string={"done": done})
        assert shown.status_code == 200
        assert "alert(1)" not in shown.text
        assert 'id="done"' not in shown.text


def test_somebody_elses_and_an_unknown_one_are_alike(person: Person, app: Any) -> None:
    sub, theirs = visits.subscribed(), visits.subscribed(people.customer("Daniel Okoro"))
    for link in (email_link("subscription", sub), email_link("portal", customer_id=visits.owner(sub))):
        person.open(link)
        answers = [get(person, f"/portal/subscriptions/{each}") for each in (theirs, f"sub_{UNKNOWN}")]
        assert [page.status for page in answers] == [404, 404]
        assert alike(answers[0]) == alike(answers[1])


def test_signed_out_it_leads_to_sign_in_and_back_to_this_page(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    location = get(person, f"/portal/subscriptions/{sub}").headers["Location"]
    assert location == f"/portal/sign-in?next=/portal/subscriptions/{sub}"


def test_actions_outside_the_link_say_that_they_ask_for_another_one(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    shown = person.open(email_link("subscription", sub))
    for action in ("Cancel subscription", "Update payment method"):
        assert action not in shown.links
        assert [label for label in shown.links if label.startswith(f"{action} (")]
    assert "All subscriptions" not in shown.links
