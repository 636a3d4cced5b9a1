"""Mails leave once and in time, whatever the mail server does and whoever dies while sending (T3, T23, T26)."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from sqlalchemy import inspect, select, text

from portal import clock, config, db
from portal.db import session, transaction
from portal.domain import mails, sign_in, subscriptions
from portal.domain.mails import Mail
from portal.outbox import delivery
from portal.outbox import smtp as server_side
from tests import people
from tests.conftest import NOW
from tests.smtp import Behaviour, MailServer


@pytest.fixture(autouse=True)
def _with(database, smtp):
    """Every test has a database and a mail server."""


def queue(count=1, kind="resumed"):
    """Mails that are due, each to a customer of its own; gives their ids."""
    subs = [people.subscription(people.customer(f"Amelia{n} Harper")) for n in range(count)]
    with transaction():
        for sub in subs:
            mails.tell(kind, subscriptions.get(sub))
    with transaction():
        return list(session().scalars(select(Mail.id).order_by(Mail.id)))[-count:]


def stored(mail_id):
    with transaction():
        return session().get_one(Mail, mail_id)


def statuses():
    with transaction():
        return [row.status for row in session().scalars(select(Mail).order_by(Mail.id))]


def message_ids(server):
    return [each.message["Message-ID"] for each in server.received]


def ask_to_sign_in(email):
    with transaction():
        sign_in.request(email, next_path="/portal", locale="en", client="203.0.113.7")


def test_a_due_mail_is_sent_once_and_noted(smtp):
    (mail,) = queue()
    assert delivery.send_due() == 1
    assert delivery.send_due() == 0
    row = stored(mail)
    assert (row.status, row.sent_at, row.attempts, row.lease_until) == ("sent", NOW, 1, None)
    (received,) = smtp.received
    assert received.recipients == (row.to_address,)
    assert received.sender == "billing@aeroedit.example"
    assert received.subject == "AeroEdit Pro is active again"


def test_a_batch_takes_no_more_than_its_limit_the_oldest_first(smtp, the_clock):
    older = queue(2)
    the_clock.advance(seconds=1)
    queue(1)
    assert delivery.send_due(2) == 2
    assert message_ids(smtp) == [f"<{each}@localhost>" for each in older]


def test_without_a_mail_server_mails_wait_with_one_warning(smtp, configure, caplog, monkeypatch):
    monkeypatch.setattr(delivery, "_warned", False)
    url = config.current().smtp_url
    configure(smtp_url="")
    (mail,) = queue()
    assert delivery.send_due() == delivery.send_due() == 0
    assert len(caplog.records) == 1
    row = stored(mail)
    assert (row.status, row.attempts, row.lease_until) == ("queued", 0, None)
    configure(smtp_url=url)
    assert delivery.send_due() == 1


def test_a_server_that_is_down_is_tried_once_a_batch_and_costs_no_attempt(smtp, the_clock, monkeypatch):
    tries = []
    connect = server_side.Server._connect
    monkeypatch.setattr(server_side.Server, "_connect", lambda self: (tries.append(1), connect(self))[1])
    smtp.stop()
    waiting = queue(5)
    assert delivery.send_due() == 0
    assert len(tries) == 1
    for mail in waiting:
        row = stored(mail)
        assert (row.status, row.attempts, row.lease_until) == ("queued", 0, None)
        assert timedelta(seconds=30) <= row.run_at - NOW <= timedelta(seconds=36)
    smtp.start()
    the_clock.advance(seconds=40)
    assert delivery.send_due() == 5
    assert sorted(message_ids(smtp)) == sorted(f"<{each}@localhost>" for each in waiting)


def test_an_outage_of_days_loses_nothing_and_mails_go_soon_after_it(smtp, the_clock):
    (mail,) = queue()
    smtp.stop()
    for _ in range(6 * 4):
        delivery.send_due()
        the_clock.advance(hours=6)
    assert stored(mail).status == "queued"
    delivery.send_due()
    smtp.start()
    the_clock.advance(minutes=19)
    assert delivery.send_due() == 1
    assert stored(mail).status == "sent"


def test_after_a_week_without_a_server_a_mail_is_given_up_visibly(smtp, the_clock):
    (mail,) = queue()
    smtp.stop()
    the_clock.advance(days=7, minutes=1)
    delivery.send_due()
    row = stored(mail)
    assert row.status == "failed"
    assert "unreachable" in row.last_error


def test_a_mail_that_is_not_taken_for_now_follows_the_schedule_until_it_is_given_up(smtp, the_clock):
    smtp.behaviour = Behaviour.REFUSE_FOR_NOW
    (mail,) = queue()
    for wait in config.current().mail_retries:
        assert delivery.send_due() == 1
        row = stored(mail)
        assert row.status == "queued"
        assert "451" in row.last_error
        assert wait <= row.run_at - clock.now() <= wait * 1.2
        assert delivery.send_due() == 0
        the_clock.set(row.run_at)
    delivery.send_due()
    assert stored(mail).status == "failed"
    assert smtp.attempts == len(config.current().mail_retries) + 1 == stored(mail).attempts


def test_a_greylisted_mail_goes_out_later_as_the_same_message(smtp, the_clock):
    smtp.behaviour = Behaviour.REFUSE_FOR_NOW
    (mail,) = queue()
    delivery.send_due()
    smtp.behaviour = Behaviour.NORMAL
    the_clock.advance(minutes=1)
    delivery.send_due()
    assert stored(mail).status == "sent"
    assert message_ids(smtp) == [f"<{mail}@localhost>"]


def test_a_refused_recipient_fails_and_the_others_get_their_mail(smtp):
    waiting = queue(3)
    smtp.refused_recipients = {stored(waiting[1]).to_address}
    assert delivery.send_due() == 3
    assert [stored(each).status for each in waiting] == ["sent", "failed", "sent"]
    assert "550" in stored(waiting[1]).last_error


def test_a_refused_message_fails(smtp):
    smtp.behaviour = Behaviour.REFUSE
    (mail,) = queue()
    delivery.send_due()
    assert stored(mail).status == "failed"


def test_a_mail_whose_acceptance_got_lost_comes_again_as_the_same_message(smtp, the_clock):
    smtp.behaviour = Behaviour.ACCEPT_THEN_DROP
    first, second = queue(2)
    assert delivery.send_due() == 2
    assert [stored(first).status, stored(second).status] == ["queued", "queued"]
    smtp.behaviour = Behaviour.NORMAL
    the_clock.advance(minutes=1)
    delivery.send_due()
    assert [stored(first).status, stored(second).status] == ["sent", "sent"]
    twice = [each.message.as_bytes() for each in smtp.received if first in each.message["Message-ID"]]
    assert len(twice) == 2
    assert twice[0] == twice[1]


def test_a_server_too_slow_to_wait_for_is_tried_again_later(smtp, the_clock, monkeypatch):
    monkeypatch.setattr(server_side, "TIMEOUT_SECONDS", 0.2)
    smtp.behaviour, smtp.delay = Behaviour.SLOW, 0.6
    (mail,) = queue()
    delivery.send_due()
    assert "connection broke" in stored(mail).last_error
    smtp.behaviour = Behaviour.NORMAL
    the_clock.advance(minutes=1)
    delivery.send_due()
    assert stored(mail).status == "sent"
    assert set(message_ids(smtp)) == {f"<{mail}@localhost>"}


class HoldsTheSecond(MailServer):
    """Takes one mail, then takes a second and keeps its sender waiting for the answer."""

    def __init__(self):
        super().__init__()
        self.reached = threading.Event()

    async def handle_DATA(self, server, session, envelope):
        answer = await super().handle_DATA(server, session, envelope)
        if len(self.received) == 2:
            self.reached.set()
            await asyncio.sleep(5)
        return answer


_SENDER = """
import sys
from datetime import datetime
from portal import clock, db
from portal.outbox import delivery
db.connect(sys.argv[1])
with clock.frozen(datetime.fromisoformat(sys.argv[2])):
    delivery.send_due()
"""


def test_a_sender_killed_between_acceptance_and_note_sends_only_that_mail_again(database, configure, the_clock):
    waiting = queue(4)
    with HoldsTheSecond() as server:
        settings = {
            "PORTAL_ENV": "development",
            "PORTAL_SECRET_KEYS": ",".join(config.current().secret_keys),
            "PORTAL_BASE_URL": "http://localhost",
            "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "PORTAL_MAIL_FROM": "AeroEdit <billing@aeroedit.example>",
        }
        sender = subprocess.Popen(
            [sys.executable, "-c", _SENDER, database, NOW.isoformat()],
            cwd=config.ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | settings,
        )
        assert server.reached.wait(30)
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        assert [stored(each).status for each in waiting] == ["sent", "queued", "queued", "queued"]
        configure(smtp_url=settings["PORTAL_SMTP_URL"])
        assert delivery.send_due() == 0, "the dead sender's lease still stands"
        the_clock.advance(minutes=2)
        assert delivery.send_due() == 3
        assert set(statuses()) == {"sent"}
        first, second, third, fourth = (f"<{each}@localhost>" for each in waiting)
        assert message_ids(server) == [first, second, second, third, fourth]


def test_two_senders_at_once_send_each_mail_once(smtp):
    queue(40)
    start, counts, seen = threading.Barrier(2), [], []

    def send():
        start.wait()
        while done := delivery.send_due(3):
            seen.append(threading.get_ident())
            counts.append(done)
        db.close()

    senders = [threading.Thread(target=send) for _ in range(2)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    while delivery.send_due():  # a sender that saw only what the other one held went home early
        pass
    assert len(set(seen)) == 2, "both had a part in it"
    assert len(smtp.received) == len(set(message_ids(smtp))) == 40
    assert set(statuses()) == {"sent"}


def test_who_lost_the_lease_writes_nothing(smtp, the_clock):
    (mail,) = queue()
    (slow,), _ = delivery._claim(1)
    the_clock.advance(minutes=3)
    assert delivery.send_due() == 1
    delivery._settle(slow, status="failed", last_error="too late")
    assert stored(mail).status == "sent"


def test_a_batch_that_takes_too_long_gives_the_rest_back(smtp, the_clock, monkeypatch):
    waiting = queue(3)
    send = server_side.Server.send

    def slowly(self, message):
        send(self, message)
        the_clock.advance(seconds=40)

    monkeypatch.setattr(server_side.Server, "send", slowly)
    assert delivery.send_due() == 1
    rest = [stored(each) for each in waiting[1:]]
    assert [(row.status, row.attempts, row.lease_until) for row in rest] == [("queued", 0, None)] * 2
    assert delivery.send_due() == 1


def test_a_sender_told_to_stop_finishes_its_mail_and_gives_the_rest_back(smtp):
    waiting = queue(3)
    assert delivery.send_due(stopping=lambda: len(smtp.received) == 1) == 1
    assert [stored(each).status for each in waiting] == ["sent", "queued", "queued"]
    assert delivery.send_due() == 2


def test_a_mail_that_cannot_be_written_holds_up_no_other(smtp):
    broken, fine = queue(2)
    with transaction():
        session().get_one(Mail, broken).facts = {}
    assert delivery.send_due() == 2
    assert stored(fine).status == "sent"
    assert (stored(broken).status, stored(broken).last_error) == ("queued", "can't be composed: UndefinedError")


def test_a_sign_in_mail_to_an_address_of_nobody_is_dropped(smtp):
    ask_to_sign_in("nobody@example.com")
    assert delivery.send_due() == 1
    assert statuses() == ["dropped"]
    assert smtp.attempts == 0


def test_a_sign_in_mail_goes_to_the_address_on_file_however_it_was_typed(smtp):
    people.customer(email="strasse@example.com")
    ask_to_sign_in(" Strasse@Example.com")
    ask_to_sign_in("Straße@example.com")
    delivery.send_due()
    assert [each.recipients for each in smtp.received] == [("strasse@example.com",)], "ß is another mailbox"


def test_only_the_newest_sign_in_link_is_sent(smtp, the_clock):
    people.customer(email="amelia@example.com")
    ask_to_sign_in("amelia@example.com")
    the_clock.advance(seconds=5)
    ask_to_sign_in("amelia@example.com")
    delivery.send_due()
    assert statuses() == ["dropped", "sent"]
    assert len(smtp.received) == 1


def test_a_sign_in_link_too_old_to_work_is_not_sent(smtp, the_clock):
    people.customer(email="amelia@example.com")
    smtp.stop()
    ask_to_sign_in("amelia@example.com")
    delivery.send_due()
    smtp.start()
    the_clock.advance(minutes=11)
    delivery.send_due()
    assert statuses() == ["dropped"]
    assert smtp.received == []


def test_no_token_and_no_address_gets_into_the_database_or_the_log(smtp, monkeypatch, caplog):
    people.customer(email="amelia@example.com")
    ask_to_sign_in("amelia@example.com")
    queue(2)
    smtp.refused_recipients = {stored(queue(1)[0]).to_address}
    refuse = server_side._meaning
    leak = b"5.7.1 rejected: https://portal.example/?token=pga_01jcgfqad4.06rs-fjc_gq44 is spam"
    monkeypatch.setattr(server_side, "_meaning", lambda code, words: refuse(code, leak))
    with caplog.at_level("DEBUG"):
        delivery.send_due()
    assert sorted(statuses()) == ["failed", "sent", "sent", "sent"]
    assert all("token=pga_" in each.text for each in smtp.received), "there were tokens to leak"
    with transaction():
        tables = inspect(db.engine()).get_table_names()
        everything = "".join(str(row) for t in tables for row in session().execute(text(f"SELECT * FROM {t}")))
    assert "pga_0" not in everything
    logged = "".join(
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name.startswith("portal")
    )
    assert logged
    assert "pga_" not in logged
    assert "@example.com" not in logged


def test_mails_of_one_batch_share_a_connection(smtp, monkeypatch):
    tries = []
    connect = server_side.Server._connect
    monkeypatch.setattr(server_side.Server, "_connect", lambda self: (tries.append(1), connect(self))[1])
    queue(5)
    assert delivery.send_due() == 5
    assert len(tries) == 1
