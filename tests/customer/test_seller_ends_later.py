"""An end that staff have set beyond the paid period: what is still charged is said, and one can leave earlier."""

from datetime import timedelta

import pytest
from dateutil.relativedelta import relativedelta

from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from portal.outbox import emails
from tests import people
from tests.customer import visits
from tests.person import Person

END = visits.END


@pytest.fixture
def sub(database: str) -> str:
    made = visits.subscribed()
    with transaction():
        cancellation.on(
            subscriptions.get(made), END + timedelta(days=15.5), by=Actor("staff", "stf_1", "console", "Sam")
        )
    return made


def test_the_page_says_what_is_charged_until_the_end(person: Person, sub: str) -> None:
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/subscriptions/{sub}")
    assert "AeroEdit has canceled it. It ends on 26 December 2026 at the end of the day (UTC)." in page
    assert "Payments go on until then: the next one is on 11 December 2026 at 12:00 UTC" in page
    assert "11 December 2026: $150.00, for the time until the end" in page
    assert "No new payment is planned" not in page
    assert "Only AeroEdit can take this back." in page


def test_the_customer_leaves_earlier_and_can_not_take_it_back(person: Person, sub: str) -> None:
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/subscriptions/{sub}/cancel")
    assert "End AeroEdit Pro earlier" in page
    assert "Only AeroEdit can take the end back." in page
    assert "you can change your mind" not in page
    page = person.press("Cancel at the end of the period")
    assert "AeroEdit Pro ends on 11 December 2026 at 12:00 UTC." in page
    assert "Until then you can change your mind" not in page
    assert people.row(sub).ends_at == END
    assert "was canceled by AeroEdit" in person.open(f"/portal/subscriptions/{sub}/keep")
    assert "There is nothing more for you to do." in person.open(f"/portal/subscriptions/{sub}/cancel")


def test_their_own_end_that_staff_moved_can_be_kept(person: Person, database: str) -> None:
    sub = visits.subscribed(**visits.ending())
    with transaction():
        cancellation.on(subscriptions.get(sub), END + timedelta(days=9), by=Actor("staff", "stf_1", "console", "Sam"))
    visits.come_in(person, visits.owner(sub))
    page = person.open(f"/portal/subscriptions/{sub}/keep")
    assert "Next payment 11 December 2026 at 12:00 UTC" in page
    assert "Your subscription goes on" in person.press("Keep my subscription")


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", ("Until then payments go on:", "11 December 2026: $150.00, for the time until the end")),
        ("de", ("Bis dahin gehen die Zahlungen weiter:", "11. Dezember 2026: 150,00\xa0$, für die Zeit bis zum Ende")),
    ],
)
def test_the_mail_lists_what_is_charged(sub: str, locale: str, words: tuple[str, ...]) -> None:
    (mail,) = visits.mails("cancellation_scheduled")
    mail.locale = locale
    text = emails.compose(mail).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    for each in words:
        assert each in text
    assert "Nothing more is charged" not in text
    assert "/keep" not in text


def test_of_many_payments_the_mail_tells_the_first_and_the_last(database: str) -> None:
    made = visits.subscribed()
    with transaction():
        cancellation.on(
            subscriptions.get(made), END + relativedelta(months=30), by=Actor("staff", "stf_1", "console", "Sam")
        )
    (mail,) = visits.mails("cancellation_scheduled")
    text = emails.compose(mail).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "In between: a payment each period" in text
    assert "All together: 30 payments, $9,000.00" in text
