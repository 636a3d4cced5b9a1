"""T26, from end to end: the mail server is down while a customer cancels."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from portal import links, worker
from portal.db import session, transaction
from portal.domain.mails import Mail
from tests import people
from tests.conftest import Clock
from tests.person import Person
from tests.smtp import Behaviour, MailServer


def test_a_cancellation_is_recorded_at_once_and_its_mail_goes_out_when_the_server_is_back(
    person: Person, smtp: MailServer, the_clock: Clock
) -> None:
    sub = people.subscription(people.customer(email="amelia@example.com"))
    smtp.stop()
    person.open(links.page_url("cancel", customer_id=people.row(sub).customer_id, subscription_id=sub))
    assert person.press("Cancel at the end of the period").status == 200
    assert people.row(sub).is_ending
    for _ in range(12):
        worker.mails()
        the_clock.advance(minutes=10)
    assert (smtp.received, mail().status) == ([], "queued"), "the server was down"
    assert "unreachable" in str(mail().last_error)
    smtp.behaviour = Behaviour.ACCEPT_THEN_DROP
    smtp.start()
    the_clock.advance(minutes=20)
    worker.mails()
    assert (len(smtp.received), mail().status) == (1, "queued"), "it took the mail, and we could not know"
    smtp.behaviour = Behaviour.NORMAL
    for _ in range(3):
        the_clock.advance(minutes=20)
        worker.mails()
    first, second = smtp.to("amelia@example.com")
    assert mail().status == "sent"
    assert first.message["Message-ID"] == second.message["Message-ID"] == f"<{mail().id}@localhost>"
    assert first.message.as_bytes() == second.message.as_bytes()
    assert people.events_of(sub) == ["subscription.updated"]
    assert people.mails_of(sub) == ["cancellation_scheduled"]


def test_the_worker_ends_subscriptions_while_no_mail_can_be_sent(
    person: Person, smtp: MailServer, the_clock: Clock
) -> None:
    smtp.stop()
    ends = the_clock.at + timedelta(days=1)
    sub = people.subscription(people.customer(), period_ends_at=ends)
    person.open(links.page_url("cancel", customer_id=people.row(sub).customer_id, subscription_id=sub))
    person.press("Cancel at the end of the period")
    the_clock.advance(days=1, seconds=5)
    worker.run_until_idle()
    assert (people.row(sub).status, people.row(sub).canceled_at) == ("canceled", ends)
    assert smtp.received == []
    smtp.start()
    the_clock.advance(minutes=20)
    worker.run_until_idle()
    told = [each.subject for each in smtp.received]
    assert len(told) == 2, told


def mail() -> Any:
    with transaction():
        return session().scalars(select(Mail)).one()
