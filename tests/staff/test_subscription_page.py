"""One subscription as staff see it: its state in words, what is paid, what comes next, its payments."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from portal import db, web
from portal.db import session, transaction
from portal.domain import bills, cancellation, charges, subscriptions
from portal.domain.actors import Actor, system
from portal.domain.transactions import Transaction
from tests import people, plans
from tests.api import billing
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, UNKNOWN
from tests.person import Page, Person
from tests.staff import console

WHEN = "11 December 2026 at 12:00 UTC"
LATER = END + timedelta(days=30)
PAUSE = visits.ending("key") | {"scheduled_action": "pause"}
PAUSED = {"status": "paused", "paused_at": NOW - timedelta(days=1), "next_billed_at": None}
HOSTILE = "<script>alert(1)</script>{{7*7}}' OR 1=1 -- \u202eevil"
STATES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "active": ({}, "Active", (f"It is active and paid until {WHEN}", f"The next payment is $300.00 on {WHEN}")),
    "trialing": (
        {"status": "trialing"},
        "Trialing",
        (f"It is in a free trial until {WHEN} . Nothing has been paid yet.", f"$300.00 on {WHEN} , the first one."),
    ),
    "past due": ({"status": "past_due"}, "Past due", ("A payment did not go through", "Once that is paid it goes on")),
    "by invoice": (
        {"collection_mode": "manual", "card": None},
        "Active",
        (f"Next the customer gets an invoice over $300.00 on {WHEN}", "Collected by invoice"),
    ),
    "without a card": ({"card": None}, "Active", ("No card is stored",)),
    "ending": (
        visits.ending(),
        "Pending cancellation",
        (f"It ends on {WHEN} . No further payment is planned.", "The customer asked for that on 19 November 2026"),
    ),
    "ending by staff": (visits.ending("staff"), "Pending cancellation", ("Somebody of the staff asked for that",)),
    "ending by an app": (visits.ending("key"), "Pending cancellation", ("An app asked for that",)),
    "ending, past due": (
        visits.ending() | {"status": "past_due"},
        "Pending cancellation",
        ("A payment did not go through", f"It ends on {WHEN}"),
    ),
    "ending, paused": (visits.ending() | {"status": "paused"}, "Pending cancellation", ("It is paused", "It ends on")),
    "ending beyond the period": (
        visits.ending("staff", LATER + timedelta(days=2)) | {"next_billed_at": END, "billing_resumes_at": None},
        "Pending cancellation",
        ("It ends on 12 January 2027", "Until then payments go on: 2, together $3", f"next $300.00 on {WHEN}"),
    ),
    "ending without a date": (
        visits.ending() | {"scheduled_effective_at": None, "billing_resumes_at": None, "period_ends_at": None},
        "Pending cancellation",
        ("Its end is recorded, but without a date",),
    ),
    "pause planned": (PAUSE, "Active", (f"It pauses on {WHEN}", "No date is set for it to resume.")),
    "pause planned with a return": (
        PAUSE | {"scheduled_resume_at": LATER},
        "Active",
        ("It resumes on 10 January 2027 at 12:00 UTC with a payment of $300.00",),
    ),
    "paused": (PAUSED, "Paused", ("It is paused since 20 November 2026", "No date is set for it to resume.")),
    "paused with a return": (
        PAUSED | {"scheduled_action": "resume", "scheduled_effective_at": LATER, "scheduled_by": "key"},
        "Paused",
        ("It resumes on 10 January 2027 at 12:00 UTC with a payment of $300.00",),
    ),
    "canceled": (
        visits.CANCELED,
        "Canceled",
        ("It ended on 20 November 2026 at 12:00 UTC . No further payment is planned.",),
    ),
    "nothing planned": (
        {"next_billed_at": None, "period_ends_at": None},
        "Active",
        ("No current period is known.", "No next payment is planned."),
    ),
    "a plan": (
        {"remaining_payments": 3},
        "Active",
        ("It is a payment plan: 3 payments are to be made", "3 to go"),
    ),
    "a plan of which all is billed": (
        visits.ending("system") | {"remaining_payments": 0, "billing_resumes_at": None},
        "Pending cancellation",
        (f"All payments of the plan are billed. It ends on {WHEN}",),
    ),
}


def page_of(somebody: Person, sub: str, query: str = "") -> Page:
    return somebody.open(f"/console/subscriptions/{sub}{query}")


def billed(sub: str, **changes: Any) -> str:
    """A bill of a subscription, not collected yet unless told otherwise; gives its id."""
    with transaction():
        made = bills.bill(subscriptions.get(sub), starts_at=NOW - timedelta(days=30), ends_at=NOW, by=system())
        for name, value in changes.items():
            setattr(made, name, value)
    return made.id


def attempt(error: str | None = None) -> dict[str, Any]:
    card = {"type": "visa", "last4": "4242", "expiry_month": 7, "expiry_year": 2029, "cardholder_name": None}
    return {
        "amount": "30000",
        "status": "error" if error else "captured",
        "error_code": error,
        "method_details": {"type": "card", "card": card},
        "created_at": "2026-11-21T12:00:00.000000Z",
    }


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_words(app: Flask, state: str) -> None:
    fields, tag, words = STATES[state]
    sub, sam = visits.subscribed(**fields), console.colleague(app)
    before = visits.records()
    shown = page_of(sam, sub)
    assert shown.status == 200
    assert f"10 × AeroEdit Pro {tag}" in shown
    for each in words:
        assert each in shown, shown.words
    assert "$300.00 per month" in shown
    assert "None" not in shown.words
    assert "Undefined" not in shown.html
    assert visits.records() == before


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        ("active", {"Cancel payments"}),
        ("past due", {"Cancel payments"}),
        ("paused", {"Cancel payments"}),
        ("ending", {"Don’t cancel", "Change the end"}),
        ("a plan of which all is billed", {"Change the end"}),
        ("canceled", set()),
    ],
)
def test_only_what_can_be_done_is_offered(app: Flask, state: str, actions: set[str]) -> None:
    sub = visits.subscribed(**STATES[state][0])
    links = page_of(console.colleague(app), sub).links
    offered = {"Cancel payments", "Don’t cancel", "Change the end"} & links.keys()
    assert offered == actions
    assert links["Send or copy a link"] == f"/console/subscriptions/{sub}/link"


def test_who_scheduled_the_end_stands_there_with_reason_and_comment(app: Flask) -> None:
    sub = visits.subscribed()
    with transaction():
        by = console.acting("support", "Robin Roe")
        cancellation.at_period_end(subscriptions.get(sub), by=by, reason="switched", comment="They moved\nelsewhere")
    shown = page_of(console.colleague(app), sub)
    assert "Robin Roe , in the console, asked for that on 21 November 2026 at 12:00 UTC" in shown
    assert "Reason: Uses something else now Comment: They moved elsewhere" in shown


def test_who_ended_it_stands_there_even_if_the_portal_carried_it_out(app: Flask, the_clock: Any) -> None:
    sub, page = visits.subscribed(), None
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", "Amelia Harper")
        cancellation.at_period_end(subscriptions.get(sub), by=by)
        subscriptions.get(sub).canceled_by = "customer"
    the_clock.set(END + timedelta(minutes=1))
    with transaction():
        assert cancellation.carry_out(10) == 1
    page = page_of(console.colleague(app), sub)
    assert "The customer, by a link from an email, asked for that on 21 November 2026 at 12:00 UTC" in page


def test_a_card_that_expires_before_the_next_payment_is_warned_of(app: Flask) -> None:
    sam = console.colleague(app)
    soon, gone, fine = visits.subscribed(), visits.subscribed(), visits.subscribed()
    for sub, month in ((soon, 11), (gone, 10), (fine, 12)):
        with transaction():
            card = subscriptions.get(sub).payment_method
            assert card is not None
            card.expiry_month, card.expiry_year = month, 2026
    assert "expires 11/2026 It expires before the next payment." in page_of(sam, soon)
    assert "expires 10/2026 It has expired." in page_of(sam, gone)
    assert "It expires before" not in page_of(sam, fine)
    assert "It has expired" not in sam.page.words  # type: ignore[union-attr]


def test_what_waits_for_the_next_bill_is_in_its_amount(app: Flask) -> None:
    sub = visits.subscribed()
    with transaction():
        price = subscriptions.get(sub).items[0].price
        charges.add(sub, [charges.line(price, 1)])
    shown = page_of(console.colleague(app), sub)
    assert f"The next payment is $330.00 on {WHEN}" in shown
    assert "$30.00 of charges wait for it." in shown


def test_payments_are_listed_with_attempts_and_the_invoice(app: Flask) -> None:
    sub, sam = visits.subscribed(status="past_due"), console.colleague(app)
    paid = billed(sub, status="completed", paid_at=NOW, payments=[attempt()], next_attempt_at=None)
    with transaction():
        session().get_one(Transaction, paid).period_starts_at = NOW - timedelta(days=60)
    failed = [attempt("insufficient_funds"), attempt("declined")]
    owed = billed(sub, status="past_due", payments=failed, next_attempt_at=NOW + timedelta(days=3))
    shown = page_of(sam, sub)
    assert "2; the last failed: the bank declined the card Next: 24 November 2026 at 12:00 UTC" in shown
    assert "$300.00 is owed. The next attempt to collect is planned for 24 November 2026 at 12:00 UTC" in shown
    assert shown.words.index("Overdue") < shown.words.index("Paid on 21 November 2026")
    for txn in (paid, owed):
        answer = sam.client.get(f"/console/transactions/{txn}/invoice.pdf")
        assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
        assert answer.data.startswith(b"%PDF")
        assert f"/console/transactions/{txn}/invoice.pdf" in shown.html


def test_the_invoice_is_the_one_the_customer_gets(app: Flask, person: Person) -> None:
    sub = visits.subscribed(people.customer("Jürgen Groß", locale="de"))
    txn = billed(sub)
    visits.come_in(person, visits.owner(sub))
    theirs = person.client.get(f"/portal/payments/{txn}/invoice.pdf").data
    assert console.colleague(app).client.get(f"/console/transactions/{txn}/invoice.pdf").data == theirs


def test_a_payment_has_a_page_with_lines_and_attempts(app: Flask) -> None:
    sub = visits.subscribed()
    txn = billed(sub, status="past_due", payments=[attempt("no_such_code")], credit=5000)
    page_of(sam := console.colleague(app), sub)
    shown = sam.open(f"/console/transactions/{txn}")
    assert "Invoice 2026-000001 Overdue" in shown
    assert "To pay $250.00 $300.00 less $50.00 of earlier credit" in shown
    assert "AeroEdit Pro Monthly (per seat) 10 pieces $300.00" in shown
    assert "21 November 2026 at 12:00 UTC Failed: no_such_code Visa ending in 4242 $300.00" in shown


def test_a_draft_has_a_page_and_no_invoice(app: Flask) -> None:
    sub = visits.subscribed()
    txn = billed(sub, status="ready", billed_at=None, invoice_number=None)
    sam = console.colleague(app)
    assert "Payment Not billed yet" in sam.open(f"/console/transactions/{txn}")
    assert sam.open(f"/console/transactions/{txn}/invoice.pdf").status == 404


def test_the_customers_other_subscriptions_are_listed_pending_ones_first(app: Flask) -> None:
    sub = visits.subscribed()
    ended = visits.subscribed(visits.owner(sub), **visits.CANCELED, price_id=people.price(product="Old"))
    pending = visits.subscribed(visits.owner(sub), **visits.ending(), price_id=people.price(product="Going"))
    visits.subscribed(people.customer("Daniel Okoro"), price_id=people.price(product="Theirs"))
    shown = page_of(console.colleague(app), sub)
    assert shown.links["Going"] == f"/console/subscriptions/{pending}"
    assert shown.links["Old"] == f"/console/subscriptions/{ended}"
    assert shown.links["Amelia Harper"] == f"/console/customers/{visits.owner(sub)}"
    assert shown.words.index("Going") < shown.words.index("Old Canceled")
    assert "Theirs" not in shown


def test_a_page_with_nothing_on_it_says_so(app: Flask) -> None:
    shown = page_of(console.colleague(app), visits.subscribed())
    for words in ("Nothing has been billed yet.", "There is no other.", "Nothing has happened yet."):
        assert words in shown


@pytest.mark.parametrize("id", [f"sub_{UNKNOWN}", "sub_", "x", "1' OR '1'='1", "%00", "a" * 3000, "sub_\u202e", "%ff"])
@pytest.mark.parametrize("what", ["subscriptions", "customers", "transactions"])
def test_an_unknown_or_malformed_id_is_not_found(app: Flask, what: str, id: str) -> None:
    sam = console.colleague(app)
    for rest in ("", *(("/invoice.pdf",) if what == "transactions" else ())):
        assert sam.open(f"/console/{what}/{id}{rest}").status == 404


@pytest.mark.parametrize("path", ["subscriptions/sub_", "customers/ctm_", "transactions/txn_"])
def test_signed_out_it_leads_to_sign_in(person: Person, path: str) -> None:
    assert person.open(f"/console/{path}{UNKNOWN}").path == "/console/sign-in"


def test_a_customer_sees_none_of_it(person: Person, app: Flask) -> None:
    sub = visits.subscribed()
    txn = billed(sub)
    visits.come_in(person, visits.owner(sub))
    for path in (f"subscriptions/{sub}", f"customers/{visits.owner(sub)}", f"transactions/{txn}/invoice.pdf"):
        assert person.open(f"/console/{path}").path == "/console/sign-in"


def test_hostile_names_are_text_and_turn_nothing_around(app: Flask) -> None:
    her = people.customer(HOSTILE, email="amelia@example.com")
    sub = visits.subscribed(her, price_id=people.price(product=HOSTILE))
    billed(sub)
    sam = console.colleague(app)
    for path in (f"subscriptions/{sub}", f"customers/{her}", f"customers/{her}/payments"):
        shown = sam.open(f"/console/{path}")
        assert shown.status == 200
        assert "<script>alert" not in shown.html
        assert "{{7*7}}" in shown.words
        for place in shown.html.split(HOSTILE[-5:])[:-1]:
            if "<title>" not in place[-120:]:
                assert place.rpartition("<bdi>")[2].count("</bdi>") == 0, place[-200:]


@pytest.mark.parametrize("done", ["canceled", "moved", "kept", "ended", "<script>", "", "x" * 5000])
def test_a_banner_never_claims_what_does_not_stand(app: Flask, done: str) -> None:
    claims = {"canceled": "ending", "moved": "ending", "kept": "active", "ended": "canceled"}
    sam = console.colleague(app)
    for state in ("active", "ending", "canceled"):
        shown = page_of(sam, visits.subscribed(**STATES[state][0]), f"?done={done}")
        assert ('id="done"' in shown.html) == (claims.get(done) == state)
        assert "<script>" not in shown.html


def statements(app: Flask, somebody: Person, path: str) -> int:
    """How many statements it takes to show a page."""
    asked: list[str] = []
    listened = db._engines["read"]

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "FROM seller_" not in statement:  # settings are looked at now and then, whatever is shown
            asked.append(statement)

    event.listen(listened, "before_cursor_execute", note)
    try:
        assert somebody.open(path).status == 200
    finally:
        event.remove(listened, "before_cursor_execute", note)
    return len(asked)


def test_it_takes_as_many_statements_for_much_as_for_little(app: Flask, the_clock: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    her = visits.owner(sub)

    def more() -> None:
        for each in (sub, visits.subscribed(her), visits.subscribed(her)):
            for _ in range(3):
                the_clock.advance(seconds=70)
                with transaction():
                    by = console.acting("support", "Robin Roe")
                    cancellation.at_period_end(subscriptions.get(each), by=by, reason="other")
                the_clock.advance(seconds=70)
                with transaction():
                    cancellation.withdraw(subscriptions.get(each), by=by)
        with transaction():
            starts_at = NOW + timedelta(days=len(visits.events(sub)))
            bills.bill(subscriptions.get(sub), starts_at=starts_at, ends_at=starts_at, by=system())

    more()
    paths = f"/console/subscriptions/{sub}", f"/console/customers/{her}"
    few = [statements(app, sam, path) for path in paths]
    for _ in range(3):
        more()
    assert [statements(app, sam, path) for path in paths] == few
    assert max(few) <= 20


def test_nothing_of_it_is_kept_by_browsers(app: Flask) -> None:
    shown = page_of(console.colleague(app), visits.subscribed())
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.headers["Content-Security-Policy"] == web.content_security_policy()


def test_a_plan_that_ends_earlier_counts_no_payments_that_never_come(app: Flask) -> None:
    ada = console.colleague(app, "admin", "Ada Admin")
    sub = plans.plan(3, payments=6, period_ends_at=END)
    assert "3 payments are to be made" in page_of(ada, sub)
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=Actor("staff", "stf_2", "console", "Bo"))
    page = page_of(ada, sub)
    assert "to be made" not in page
    assert "Payment plan 3 of 6 payments made Collected" in page


def test_of_an_end_that_nobody_asked_for_nobody_is_named(app: Flask, the_clock: Any, configure: Any) -> None:
    configure(payment_retries=())
    sub = visits.subscribed(card="sandbox_declines")
    the_clock.set(END + timedelta(minutes=1))
    billing.work()
    assert people.row(sub).status == "canceled"
    page = page_of(console.colleague(app, "admin", "Ada Admin"), sub)
    assert "asked for that" not in page
