"""Cancel payments in the console: the choice, what it costs, the confirmation, and what comes of it."""

from datetime import timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from flask import Flask

from portal import ids
from portal.db import session, transaction
from portal.domain import cancellation, charges, subscriptions
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.transactions import Transaction
from portal.outbox import emails
from tests import people
from tests.api import billing
from tests.conftest import NOW, Clock
from tests.customer import visits
from tests.person import Page, Person
from tests.staff.console import audited, colleague

END = visits.END
MORE = "That includes one-time charges, changes or credit since the last bill."
SECOND = END + relativedelta(months=1)
HOSTILE = "<script>alert(1)</script>'\"; DROP TABLE subscriptions; -- {{ 7*7 }} =cmd()\r\nBcc: all@example.com"


def path(sub: str) -> str:
    return f"/console/subscriptions/{sub}/cancel"


def open_page(somebody: Person, sub: str) -> Page:
    return somebody.open(path(sub))


def send(somebody: Person, sub: str, **fields: str) -> Page:
    """Sends the form as it may never have been shown, and does not follow."""
    token = Page(somebody.client.get(path(sub), headers=somebody.headers)).forms[-1].fields["csrf_token"]
    fields = {"csrf_token": token, **fields}
    return Page(somebody.client.post(path(sub), data=fields, headers=somebody.headers))


def reviewed(somebody: Person, sub: str, **fields: str) -> Page:
    open_page(somebody, sub)
    return somebody.press("Continue", **fields)


def canceled(somebody: Person, sub: str, **fields: str) -> Page:
    review = reviewed(somebody, sub, **fields)
    return somebody.press("Change the end" if "Change the end of" in review else "Cancel payments")


@pytest.fixture
def admin(app: Flask) -> Person:
    return colleague(app, "admin", "Ada Admin")


@pytest.fixture
def support(app: Flask) -> Person:
    return colleague(app)


def test_support_cancels_at_the_end_of_the_period(support: Person) -> None:
    sub = visits.subscribed()
    page = reviewed(support, sub, reason="switched", comment="Called us")
    assert (page.status, visits.said(sub)) == (200, ([], []))
    assert "Access ends 11 December 2026 at 12:00 UTC" in page
    assert "Still charged until then Nothing" in page
    assert "Called us" in page
    done = support.press("Cancel payments")
    assert (done.status, done.path) == (200, f"/console/subscriptions/{sub}")
    row = people.row(sub)
    assert (row.ends_at, row.next_billed_at, row.scheduled_by, row.canceled_by) == (END, None, "staff", "staff")
    assert row.cancellation == {"reason": "switched", "comment": "Called us"}
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])
    (event,) = visits.events(sub)
    assert (event.actor_kind, event.actor_name, event.way) == ("staff", "Sam Support", "console")
    (act,) = audited("cancellation_scheduled")
    assert (act.actor_name, act.subject_id) == ("Sam Support", sub)


def test_on_a_date_beyond_the_period_all_that_is_charged_is_shown(admin: Person) -> None:
    sub = visits.subscribed()
    page = reviewed(admin, sub, choice="date", day="2027-01-20")
    assert "Access ends 20 January 2027 at the end of the day (UTC)" in page
    part = round(30000 * (10 * 86400 - 43200) / (31 * 86400))
    assert f"${(30000 + part) / 100:.2f} in 2 payments" in page
    assert "11 December 2026: $300.00" in page
    assert f"11 January 2027: ${part / 100:.2f} for a part of a period" in page
    assert visits.said(sub) == ([], [])
    admin.press("Cancel payments")
    row = people.row(sub)
    assert row.ends_at is not None
    assert (row.ends_at.isoformat(), row.next_billed_at) == ("2027-01-21T00:00:00+00:00", END)
    (mail,) = visits.mails("cancellation_scheduled")
    assert [each["amount"] for each in mail.facts["charges"]] == [30000, part]


def test_many_payments_are_told_in_short_with_the_whole_list(admin: Person) -> None:
    sub = visits.subscribed()
    page = reviewed(admin, sub, choice="date", day="2028-12-10")
    assert "in 24 payments" in page
    assert "… 20 more, $6,000.00 together …" in page
    assert "All 24 payments" in page
    assert page.html.count("<li>11 ") == 4 + 24


def test_within_the_period_nothing_more_is_charged(admin: Person) -> None:
    sub = visits.subscribed()
    page = reviewed(admin, sub, choice="date", day="2026-12-10")
    assert "Still charged until then Nothing" in page
    assert "Access ends 10 December 2026 at the end of the day (UTC)" in page
    page = open_page(admin, sub)
    assert "Up to 2026-12-10 nothing more is charged" in page


def test_now_there_is_no_refund_and_debts_are_given_up(admin: Person) -> None:
    sub = visits.subscribed(status="past_due")
    _debt(sub, 1234)
    page = reviewed(admin, sub, choice="now")
    assert "As soon as you confirm" in page
    assert "No refund is made" in page
    assert "$12.34" in page
    assert "Given up: it is not collected any more." in page
    done = admin.press("Cancel payments")
    assert "The subscription has ended" in done
    assert (people.row(sub).status, people.row(sub).canceled_at) == ("canceled", NOW)
    assert people.mails_of(sub) == ["subscription_ended"]
    assert [each.status for each in billing.bills_of(sub)] == ["canceled"]


def test_an_open_debt_stays_and_its_next_attempt_is_told(support: Person) -> None:
    sub = visits.subscribed(status="past_due")
    _debt(sub, 1234, next_attempt_at=NOW + timedelta(days=1))
    page = reviewed(support, sub)
    assert "$12.34, next attempt 22 November 2026 at 12:00 UTC" in page
    assert "Attempts to collect it go on until one succeeds or all have failed." in page


def test_what_waits_for_the_next_bill_is_on_it_or_dropped(admin: Person, person: Person) -> None:
    sub = visits.subscribed()
    _waiting(sub, 700)
    assert "$7.00 of charges that wait for the next bill are let go" in reviewed(admin, sub)
    page = reviewed(admin, sub, choice="date", day="2027-01-10")
    assert "11 December 2026: $302.16 for a part of a period" in page
    assert "with charges that wait for it" in page
    admin.press("Cancel payments")
    (mail,) = visits.mails("cancellation_scheduled")
    assert mail.facts["charges_have_more"]
    assert all(MORE in part.get_content().replace("\n", " ") for part in emails.compose(mail).iter_parts())
    assert MORE in person.open(visits.email_link("subscription", sub))


def test_credit_that_no_payment_until_the_end_has_use_for_is_told(admin: Person) -> None:
    sub = visits.subscribed()
    _waiting(sub, 5000)
    _waiting(sub, -100000)
    page = reviewed(admin, sub)
    assert "$50.00 of charges that wait for the next bill are let go" in page
    assert "$1,000.00 of credit that waits for the next bill is let go" in page
    page = reviewed(admin, sub, choice="date", day="2027-01-10")
    assert "$0.00 in 1 payment" in page
    assert "$654.84 of credit that waits for the next bill is let go" in page
    assert "of charges that wait for the next bill are let go" not in page


def test_the_rest_of_a_period_is_not_called_a_part_until_the_end(admin: Person, person: Person) -> None:
    cut = {"period_ends_at": END, "price_lasts": 31 * 86_400_000_000, "anchor_at": END + timedelta(days=11)}
    sub = visits.subscribed(**cut)
    canceled(admin, sub, choice="date", day="2027-01-10")
    page = person.open(visits.email_link("subscription", sub))
    assert "for the rest of the period" in page
    assert page.words.count("for the time until the end") == 1
    (mail,) = visits.mails("cancellation_scheduled")
    assert [(each["rest"], each["part"]) for each in mail.facts["charges"]] == [(True, False), (False, True)]


def test_the_same_end_again_changes_nothing_and_says_so(admin: Person) -> None:
    sub = visits.subscribed()
    canceled(admin, sub, choice="date", day="2027-01-10")
    recorded = visits.said(sub)
    page = reviewed(admin, sub, choice="date", day="2027-01-10")
    assert "It ends then already, so there is nothing to change." in page
    assert "gets a mail" not in page
    assert [button["text"] for button in page.forms[-1].buttons] == ["Back"]
    sent = Page(admin.client.post(path(sub), data=page.forms[-1].fields | {"step": "confirm"}, headers=admin.headers))
    assert (sent.status, sent.headers["Location"]) == (303, f"/console/subscriptions/{sub}")
    assert visits.said(sub) == recorded


def test_past_due_for_longer_than_its_period_it_ends_at_once(support: Person, the_clock: Clock) -> None:
    sub = visits.subscribed(status="past_due")
    _debt(sub, 1234, next_attempt_at=END + timedelta(days=9))
    the_clock.set(END + timedelta(days=2))
    support = colleague(support.client.application, "support", "Sam Support")
    page = open_page(support, sub)
    assert "No paid time is left: it ends as soon as you confirm." in page
    page = reviewed(support, sub)
    assert "Access ends As soon as you confirm" in page
    assert "No refund is made" not in page
    support.press("Cancel payments")
    assert people.row(sub).status == "canceled"
    (mail,) = visits.mails("subscription_ended")
    assert (mail.facts["owed"], mail.facts["owed_by"]) == (1234, "card")


def test_without_telling_no_mail_is_sent(support: Person) -> None:
    sub = visits.subscribed()
    open_page(support, sub)
    assert support.page is not None
    assert support.page.forms[-1].fields["tell"] == "yes", "on by default"
    page = send(support, sub, choice="period_end", step="review")
    assert "is not told by mail now" in page
    sent = send(support, sub, choice="period_end", step="confirm", seen=page.forms[-1].fields["seen"])
    assert sent.status == 303
    assert visits.said(sub) == (["subscription.updated"], [])
    assert visits.events(sub)[0].facts["customer_told"] is False


def test_back_keeps_what_was_typed(admin: Person) -> None:
    sub = visits.subscribed()
    reviewed(admin, sub, choice="date", day="2027-01-20", comment="Called us")
    page = admin.press("Back")
    assert 'value="2027-01-20"' in page.html
    assert "Called us" in page
    assert page.forms[-1].fields["choice"] == "date"


@pytest.mark.parametrize("step", ["review", "confirm", "choose", ""])
def test_ending_it_now_is_for_admins(support: Person, step: str) -> None:
    sub = visits.subscribed()
    page = open_page(support, sub)
    assert page.html.count("disabled") == 1
    assert "Only an admin may end it now" in page
    refused = send(support, sub, choice="now", step=step)
    assert refused.status == 403
    assert visits.said(sub) == ([], [])


def test_signed_out_it_leads_to_the_sign_in(app: Flask) -> None:
    sub, stranger = visits.subscribed(), Person(app)
    shown = Page(stranger.client.get(path(sub)))
    assert shown.status == 303
    assert "/console/sign-in" in shown.headers["Location"]
    assert visits.said(sub) == ([], [])


def test_asked_twice_it_is_recorded_once(support: Person) -> None:
    sub = visits.subscribed()
    page = reviewed(support, sub)
    fields = page.forms[-1].fields | {"step": "confirm"}
    first = Page(support.client.post(path(sub), data=fields, headers=support.headers))
    second = Page(support.client.post(path(sub), data=fields, headers=support.headers))
    assert (first.status, second.status) == (303, 409)
    assert "It ends then already, so there is nothing to change." in second
    assert [button["text"] for button in second.forms[-1].buttons] == ["Back"]
    assert visits.said(sub) == (["subscription.updated"], ["cancellation_scheduled"])


@pytest.mark.parametrize("change", ["renewed", "price", "colleague"])
def test_what_changed_meanwhile_is_shown_anew_and_nothing_recorded(
    admin: Person, the_clock: Clock, change: str
) -> None:
    soon = NOW + timedelta(minutes=10)
    sub = visits.subscribed(**({"period_ends_at": soon} if change == "renewed" else {}))
    reviewed(admin, sub, choice="date", day="2027-01-20", comment="Called us")
    if change == "renewed":
        the_clock.set(soon + timedelta(minutes=1))
        billing.work()
    with transaction():
        found = subscriptions.get(sub)
        if change == "price":
            found.items[0].price.amount = 4000
        if change == "colleague":
            cancellation.at_period_end(found, by=Actor("staff", "stf_2", "console", "Bo"))
    recorded = visits.said(sub)
    page = admin.press("Cancel payments")
    assert page.status == 409
    assert "It changed. Look again" in page
    assert "Called us" in page
    assert visits.said(sub) == recorded
    if change == "price":
        assert "11 December 2026: $400.00" in page
    if change == "colleague":
        assert "Instead of 11 December 2026" in page
    admin.press("Change the end" if change == "colleague" else "Cancel payments")
    assert people.row(sub).ends_at.isoformat() == "2027-01-21T00:00:00+00:00"


def test_a_confirmation_that_was_never_shown_records_nothing(support: Person) -> None:
    sub = visits.subscribed()
    page = send(support, sub, choice="period_end", step="confirm", seen="made up")
    assert page.status == 409
    assert visits.said(sub) == ([], [])


@pytest.mark.parametrize(
    "day",
    ["", "tomorrow", "2026-11-20", "2031-11-22", "9999-12-31", "0001-01-01", "2027-02-30", "2027-13-01", "1" * 500],
)
@pytest.mark.parametrize("step", ["review", "confirm"])
def test_days_that_can_not_be_are_refused_and_kept(admin: Person, day: str, step: str) -> None:
    sub = visits.subscribed()
    page = send(admin, sub, choice="date", day=day, step=step, comment="Called us", tell="yes")
    assert page.status == 422
    assert 'aria-invalid="true"' in page.html
    assert "Nothing was changed" in page
    assert "Called us" in page
    assert visits.said(sub) == ([], [])


@pytest.mark.parametrize("day", ["2026-11-21", "2031-11-20"])
def test_today_and_the_last_day_within_five_years_are_accepted(admin: Person, day: str) -> None:
    sub = visits.subscribed()
    canceled(admin, sub, choice="date", day=day)
    assert people.row(sub).ends_at.date().isoformat() == ("2026-11-22" if day == "2026-11-21" else "2031-11-21")


def test_a_pending_end_is_told_and_can_be_moved(admin: Person) -> None:
    sub = visits.subscribed(**visits.ending())
    page = open_page(admin, sub)
    assert "It is canceled already" in page
    assert "It ends on 11 December 2026 at 12:00 UTC , as the customer asked" in page
    assert page.links["Don’t cancel"] == f"/console/subscriptions/{sub}/keep"
    done = canceled(admin, sub, choice="date", day="2027-01-20")
    assert "The end is changed" in done
    assert visits.events(sub)[-1].transition == "cancellation_moved"
    assert people.row(sub).scheduled_by == "customer", "it stays whose it was"


def test_hostile_text_is_text(admin: Person) -> None:
    sub = people.subscription(people.customer(HOSTILE[:25]))
    page = reviewed(admin, sub, reason="<b>", comment=HOSTILE)
    assert "<script>" not in page.html
    assert "DROP TABLE" in page
    assert "{{ 7*7 }}" in page
    admin.press("Cancel payments")
    row = people.row(sub)
    assert row.cancellation["reason"] is None
    assert row.cancellation["comment"] == HOSTILE.replace("\r\n", "\n")


def test_a_comment_that_is_too_long_is_refused(support: Person) -> None:
    sub = visits.subscribed()
    page = send(support, sub, choice="period_end", step="review", comment="x" * 2001)
    assert (page.status, visits.said(sub)) == (422, ([], []))


def test_an_unknown_choice_is_the_mildest(support: Person) -> None:
    sub = visits.subscribed()
    page = send(support, sub, choice="' OR 1=1", step="review")
    assert "Access ends 11 December 2026" in page


@pytest.mark.parametrize("id", ["sub_" + visits.UNKNOWN, "x", "sub_%00", "..%2f..", "'"])
def test_unknown_ids_are_not_found(admin: Person, id: str) -> None:
    assert admin.open(f"/console/subscriptions/{id}/cancel").status == 404


def test_what_has_ended_says_so(admin: Person) -> None:
    sub = visits.subscribed(**visits.CANCELED)
    page = open_page(admin, sub)
    assert (page.status, "An end is final" in page) == (200, True)
    other = visits.subscribed()
    token = open_page(admin, other).forms[-1].fields["csrf_token"]
    for step in ("review", "confirm"):
        refused = admin.client.post(path(sub), data={"csrf_token": token, "choice": "now", "step": step})
        assert refused.status_code == 400
        assert "The subscription has ended" in refused.get_data(as_text=True)


def test_at_its_end_it_can_not_be_moved(admin: Person, the_clock: Clock) -> None:
    soon = NOW + timedelta(minutes=10)
    sub = visits.subscribed(**visits.ending("staff", soon), period_ends_at=soon)
    reviewed(admin, sub, choice="date", day="2027-01-20")
    the_clock.set(soon)
    assert admin.press("Change the end").status == 409
    assert visits.said(sub) == ([], [])


def test_without_our_form_nothing_happens(support: Person) -> None:
    sub = visits.subscribed()
    refused = support.client.post(path(sub), data={"choice": "period_end", "step": "confirm"})
    assert refused.status_code == 403
    assert visits.said(sub) == ([], [])


def test_paused_without_paid_time_it_ends_at_once(support: Person) -> None:
    sub = visits.subscribed(status="paused", next_billed_at=None)
    with transaction():
        row = subscriptions.get(sub)
        row.period_starts_at = row.period_ends_at = None
    page = reviewed(support, sub)
    assert "As soon as you confirm" in page
    assert "The subscription has ended" in support.press("Cancel payments")


def test_without_a_period_no_date_is_promised(support: Person) -> None:
    sub = visits.subscribed(next_billed_at=None)
    with transaction():
        row = subscriptions.get(sub)
        row.period_starts_at = row.period_ends_at = None
    assert "No date is known" in reviewed(support, sub)
    support.press("Cancel payments")
    assert people.row(sub).is_ending


def test_of_a_trial_no_payment_is_charged_before_its_end(admin: Person) -> None:
    sub = visits.subscribed(status="trialing", first_billed_at=None, anchor_at=END)
    assert "Still charged until then Nothing" in reviewed(admin, sub)
    page = reviewed(admin, sub, choice="date", day="2026-12-20")
    assert "in 1 payment " in page


def test_of_a_plan_the_day_is_one_before_its_own_end(admin: Person) -> None:
    sub = visits.subscribed(remaining_payments=1)
    page = open_page(admin, sub)
    assert 'max="2027-01-10"' in page.html
    assert send(admin, sub, choice="date", day="2027-01-11", step="review").status == 422


def test_showing_changes_nothing(admin: Person) -> None:
    sub = visits.subscribed()
    before = {name: rows for name, rows in visits.records().items() if name != "staff_sessions"}
    open_page(admin, sub)
    reviewed(admin, sub, choice="now")
    after = {name: rows for name, rows in visits.records().items() if name != "staff_sessions"}
    assert before == after


def _debt(sub: str, amount: int, **fields: Any) -> None:
    row = people.row(sub)
    with transaction():
        session().add(
            Transaction(
                id=ids.new("txn"),
                customer_id=row.customer_id,
                subscription_id=sub,
                status="past_due",
                collection_mode="automatic",
                currency_code="USD",
                amount=amount,
                lines=[],
                payments=[],
                billed_at=NOW,
                period_starts_at=row.period_starts_at,
                created_at=NOW,
                updated_at=NOW,
                **fields,
            )
        )


def _waiting(sub: str, amount: int) -> None:
    with transaction():
        price: Price = subscriptions.get(sub).items[0].price
        charges.add(sub, [charges.line(price, 1) | {"amount": amount}])


@pytest.mark.parametrize("kept", [{}, {"kept_period_starts_at": NOW - timedelta(days=9), "kept_period_ends_at": NOW}])
def test_what_is_paused_with_nothing_left_ends_at_once_though_a_date_stands(
    support: Person, kept: dict[str, Any]
) -> None:
    gone = {"next_billed_at": None, "period_starts_at": None, "period_ends_at": None, "billing_resumes_at": None}
    sub = visits.subscribed(status="paused", **gone, **kept)
    canceled(support, sub, choice="date", day="2026-12-24")
    assert people.row(sub).status == "paused"
    assert "As soon as you confirm" in reviewed(support, sub, choice="period_end")
    support.press("Cancel payments")
    assert (people.row(sub).status, people.row(sub).canceled_at) == ("canceled", NOW)
