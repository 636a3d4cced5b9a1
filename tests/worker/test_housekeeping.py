"""What stays of mails and deliveries once they are old: where they went and what became of them, and little more."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, func, select, text

from portal import clock, config, db, ids
from portal.config import ConfigError
from portal.db import connection, session, table, transaction
from portal.domain import cancellation, mails, notifications, sign_in, subscriptions
from portal.domain.actors import Actor
from portal.domain.mails import Mail
from portal.domain.notifications import Notification, NotificationLog
from portal.outbox import delivery, webhooks
from portal.worker import housekeeping
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.outbox import shop
from tests.person import Person
from tests.staff import console

ADDRESS = "amelia@example.com"
ENDPOINT = "https://8.8.8.8/hooks"


def tidy() -> None:
    housekeeping._next = None
    housekeeping.tidy()


def everything() -> list[Any]:
    """Every row of mails, notifications and attempts."""
    with transaction():
        tables = [table(each) for each in (Mail, Notification, NotificationLog)]
        return [connection().execute(select(each).order_by(each.c.id)).all() for each in tables]


def canceled() -> str:
    """A subscription whose cancellation was told by mail and by webhook."""
    sub = visits.subscribed(people.customer("Amelia Harper", email=ADDRESS))
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", "Amelia Harper")
        cancellation.at_period_end(subscriptions.get(sub), by=by)
    return sub


def tried(note: Notification, *codes: int) -> None:
    """What an endpoint answered, attempt by attempt; 0: it did not."""
    with transaction():
        for code in codes:
            session().add(
                NotificationLog(
                    id=ids.new("ntflog"),
                    notification_id=note.id,
                    response_code=code,
                    response_headers="Server: shop\n" * 50,
                    response_body="x" * 2048,
                    error=None if code else "the connection was refused",
                    milliseconds=12,
                    attempted_at=clock.now(),
                )
            )
            session().flush()
        row, done = session().get_one(Notification, note.id), codes[-1] == 200
        row.status, row.run_at, row.times_attempted = "delivered" if done else "failed", None, len(codes)
        row.last_attempt_at, row.delivered_at = clock.now(), clock.now() if done else None


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def history_of(ada: Person, sub: str) -> str:
    console.sign_in(ada, console.member("admin", "Ada Admin"))
    told = " ".join(re.sub(r"<[^>]+>", " ", ada.open(f"/console/subscriptions/{sub}").html).split())
    return re.sub(r" ([,:])", r"\1", told)


def test_a_year_later_the_history_still_tells_of_mail_and_webhooks(ada: Person, smtp: Any, the_clock: Any) -> None:
    works, fails = shop.destination(ENDPOINT), shop.destination("https://8.8.4.4/hooks")
    sub = canceled()
    shop.worker.events()
    the_clock.advance(minutes=1)
    delivery.send_due()
    tried(shop.note(works), 500, 200)
    tried(shop.note(fails), 503, 0)
    before = history_of(ada, sub)
    for told in (
        f"Mail about the cancellation to {ADDRESS}: accepted by the mail server on 21 November 2026 at 12:01 UTC",
        "Webhooks: 1 of 2 delivered, 1 failed",
        "subscription.updated to 8.8.8.8: delivered on 21 November 2026 at 12:01 UTC, 2 attempts, last answer 200",
        "failed, last tried on 21 November 2026 at 12:01 UTC, 2 attempts, last: the connection was refused",
    ):
        assert told in before
    for days in (91, 274):
        the_clock.advance(days=days)
        tidy()
        after = history_of(ada, sub)
        assert after[after.index("Cancellation scheduled") :] == before[before.index("Cancellation scheduled") :]
    assert shop.logs() == []


def test_a_mail_that_was_given_up_still_says_why(ada: Person, the_clock: Any) -> None:
    sub = canceled()
    with transaction():
        row = session().get_one(Mail, visits.mails()[0].id)
        row.status, row.attempts, row.last_error = "failed", 11, "550 no such user"
    the_clock.advance(days=91)
    tidy()
    assert f"to {ADDRESS}: failed, 550 no such user" in history_of(ada, sub)


def test_an_old_mail_is_not_shown_or_sent_again_and_says_so(ada: Person, smtp: Any, the_clock: Any) -> None:
    canceled()
    delivery.send_due()
    the_clock.advance(days=91)
    tidy()
    (mail,) = visits.mails()
    assert (mail.facts, mail.has_facts, mail.status, mail.to_address) == ({}, False, "sent", ADDRESS)
    console.sign_in(ada, console.member("admin", "Ada Admin"))
    page = ada.open(f"/console/mails/{mail.id}")
    for told in (
        "Mail: cancellation scheduled",
        "Accepted by the mail server",
        ADDRESS,
        "It can’t be sent again: what a mail said is removed after 90 days.",
        "It can’t be shown any more",
    ):
        assert told in page, told
    assert "<iframe" not in page.html
    assert [form for form in page.forms if not form.action] == []
    before = everything()
    page = ada.submit(f"/console/mails/{mail.id}")
    assert (page.status, "It was not sent again" in page, "Nothing was changed" in page) == (409, True, True)
    assert visits.get(ada, f"/console/mails/{mail.id}/html").html == ""
    delivery.send_due()
    assert everything() == before
    assert console.audited("mail.sent_again") == []
    assert len(smtp.received) == 1


def test_an_old_delivery_is_shown_and_not_sent_again(app: Flask, ada: Person, the_clock: Any) -> None:
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    tried(shop.note(setting), 500, 0)
    the_clock.advance(days=91)
    tidy()
    console.sign_in(ada, console.member("admin", "Ada Admin"))
    note = shop.note(setting)
    page = ada.open(f"/console/deliveries/{note.id}")
    for told in (
        "Failed",
        "older than 90 days, so it can’t be sent again",
        "without an answer",
        "connection was refused",
    ):
        assert told in page, told
    assert "Send again" not in page
    assert note.id in ada.open(f"/console/destinations/{setting}/deliveries?status=failed")
    before = everything()
    page = ada.submit(f"/console/deliveries/{note.id}/replay")
    assert (page.status, "older than 90 days" in page, "Nothing was sent" in page) == (400, True, True)
    assert "There was nothing to send again" in ada.submit(
        f"/console/destinations/{setting}/replay", since="2026-11-01"
    )
    seller = App(app)
    assert refusal(seller.post(f"/notifications/{note.id}/replay")) == (404, "not_found")
    assert everything() == before
    assert console.audited("notification.replayed") == console.audited("destination.replayed") == []


def test_apps_are_told_of_the_last_90_days(app: Flask, the_clock: Any) -> None:
    setting = shop.destination(ENDPOINT)
    sub = canceled()
    shop.worker.events()
    old = shop.note(setting)
    tried(old, 200)
    the_clock.advance(days=50)
    shop.happen(sub=sub)
    shop.worker.events()
    newer = shop.notes(setting)[-1]
    seller = App(app)

    def listed(query: str = "") -> list[str]:
        return [each["id"] for each in seller.get(f"/notifications{query}").json["data"]]

    assert set(listed()) == {old.id, newer.id}
    the_clock.advance(days=40, seconds=1)
    tidy()
    for query in ("", "?status=delivered,not_attempted", f"?notification_setting_id={setting}", f"?filter={sub}"):
        assert listed(query) == [newer.id]
    assert listed(f"?search={old.id}") == []
    for path in (f"/notifications/{old.id}", f"/notifications/{old.id}/logs"):
        assert refusal(seller.get(path)) == (404, "not_found")
    assert seller.get(f"/notifications/{newer.id}").json["data"]["status"] == "not_attempted"


def test_twice_changes_nothing_more(database: str, the_clock: Any, smtp: Any) -> None:
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    delivery.send_due()
    tried(shop.note(setting), 500, 200)
    the_clock.advance(days=89)
    before = everything()
    tidy()
    assert everything() == before
    the_clock.advance(days=2)
    tidy()
    once = everything()
    assert once != before
    the_clock.advance(days=400)
    tidy()
    tidy()
    assert everything() == once


def test_more_than_one_round_takes_leaves_the_last_answer(database: str, the_clock: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 2)
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    tried(shop.note(setting), 500, 501, 502, 503, 200)
    the_clock.advance(days=91)
    for left in (3, 1, 0):
        tidy()
        assert len(shop.logs()) == left
        assert shop.note(setting).response_code == 200


def test_what_waits_is_left_whole(database: str, the_clock: Any) -> None:
    """Without a mail server, or for an endpoint that is on."""
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    the_clock.advance(days=91)
    tidy()
    assert (visits.mails()[0].status, visits.mails()[0].has_facts) == ("queued", True)
    assert (shop.note(setting).status, shop.note(setting).run_at is None) == ("not_attempted", False)
    assert "AeroEdit Pro" in str(visits.mails()[0].facts)


def test_what_waits_for_a_destination_that_is_off_is_given_up(database: str, the_clock: Any) -> None:
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    shop.touch(setting, active=False)
    the_clock.advance(days=89)
    tidy()
    assert shop.note(setting).run_at is not None
    the_clock.advance(days=2)
    tidy()
    assert (shop.note(setting).status, shop.note(setting).run_at) == ("failed", None)


def test_what_stands_in_no_history_goes_as_a_whole(database: str, the_clock: Any) -> None:
    """Addresses that somebody typed to sign in, mails to staff, mails of events (their notification stays)."""
    setting = shop.destination("events@aeroedit.example", type="email")
    sub = canceled()
    shop.worker.events()
    with transaction():
        sign_in.request("stranger@example.com", next_path="/portal", locale="en", client="")
        mails.warn_staff("endpoint_off", ["ada@aeroedit.example"], key="x", description="Shop", setting="ntfset_1")
    assert len(visits.mails()) == 4
    with transaction():
        for each in session().scalars(select(Mail)):
            each.status = "sent"
    the_clock.advance(days=91)
    tidy()
    assert [(each.kind, each.subscription_id) for each in visits.mails()] == [("cancellation_scheduled", sub)]
    assert len(shop.notes(setting)) == 1


def test_the_seller_may_set_an_end_to_what_stays(database: str, configure: Any, the_clock: Any, smtp: Any) -> None:
    configure(delivery_records=timedelta(days=365), smtp_url=f"smtp://127.0.0.1:{smtp.port}")
    setting = shop.destination(ENDPOINT)
    canceled()
    shop.worker.events()
    delivery.send_due()
    tried(shop.note(setting), 200)
    the_clock.advance(days=364)
    for _ in range(2):
        tidy()
        assert (len(visits.mails()), len(shop.notes(setting))) == (1, 1)
    the_clock.advance(days=2)
    tidy()
    assert (visits.mails(), shop.notes(setting)) == ([], [])


@pytest.mark.parametrize("length", ["1d", "89d", "forever", "-1d"])
def test_a_length_that_is_too_short_is_refused_at_the_start(length: str) -> None:
    with pytest.raises(ConfigError, match="PORTAL_DELIVERY_RECORDS"):
        config.load({"PORTAL_ENV": "development", "PORTAL_DELIVERY_RECORDS": length})


def test_a_row_that_stays_is_a_fraction_of_what_it_was(database: str, the_clock: Any) -> None:
    setting = shop.destination(ENDPOINT)
    for _ in range(20):
        canceled_again()
    shop.worker.events()
    for note in shop.notes(setting):
        tried(note, 500, 200)
    with transaction():
        for each in session().scalars(select(Mail)):
            each.status = "sent"
    before = weights()
    the_clock.advance(days=91)
    tidy()
    after = weights()
    assert after["mails"] < 0.5 * before["mails"]
    assert before["notification_logs"] > 20 * 2 * 2048
    assert after["notification_logs"] == 0
    assert after["notifications"] < 1.1 * before["notifications"]


def canceled_again() -> None:
    sub = visits.subscribed(people.customer("Amelia Harper"))
    with transaction():
        by = Actor("customer", visits.owner(sub), "email link", "Amelia Harper")
        cancellation.at_period_end(subscriptions.get(sub), by=by)


def weights() -> dict[str, int]:
    """How many bytes the values of each table's rows take."""
    found = {}
    with transaction():
        for each in map(table, (Mail, Notification, NotificationLog)):
            texts = (
                func.coalesce(func.length(text(f"CAST({each.name}.{column.name} AS TEXT)")), 0) for column in each.c
            )
            found[each.name] = session().scalar(select(func.coalesce(func.sum(sum(texts)), 0)).select_from(each)) or 0
    return found


NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) "
LONG_AGO = "'2020-01-01 00:00:00'"
OLD_MAILS = (
    "INSERT INTO mails (id, key, kind, customer_id, subscription_id, to_address, locale, facts, has_facts, status, "
    f"attempts, run_at, created_at) {NUMBERS} SELECT 'mail_01dxf' || n, 'k' || n, 'renewed', 'ctm_' || n, 'sub_' || n, "
    f"'a@example.com', 'en', '{{}}', false, 'sent', 1, {LONG_AGO}, {LONG_AGO} FROM numbers"
)
OLD_NOTIFICATIONS = (
    "INSERT INTO notifications (id, setting_id, event_id, status, origin, times_attempted, created_at) "
    f"{NUMBERS} SELECT 'ntf_01dxf' || n, :setting, :event, 'delivered', 'event', 1, {LONG_AGO} FROM numbers"
)


def plans_of(doing: Any) -> list[str]:
    """How the database finds what the statements of an act ask of mails, notifications and attempts."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if re.search(r"\b(mails|notifications|notification_logs)\b", statement) and not statement.startswith("INSERT"):
            asked.append((statement, given[0] if isinstance(given, list) else given))

    event.listen(Engine, "before_cursor_execute", note)
    doing()
    event.remove(Engine, "before_cursor_execute", note)
    explain = "EXPLAIN " if db.is_postgresql() else "EXPLAIN QUERY PLAN "
    with db.engine().connect() as reading:
        return [
            "\n".join([each, *map(str, reading.exec_driver_sql(explain + each, given).all())]) for each, given in asked
        ]


def test_rows_that_stay_slow_nobody_down(app: Flask, the_clock: Any, smtp: Any, configure: Any) -> None:
    """What looks for what is due, for what is old, and for figures reads none of the rows that only stay."""
    configure(
        metrics_token="a-token-for-metrics", smtp_url=f"smtp://127.0.0.1:{smtp.port}", delivery_records=timedelta(3650)
    )
    setting, letters = shop.destination(ENDPOINT), shop.destination("events@aeroedit.example", type="email")
    canceled()
    shop.worker.events()
    with transaction():
        connection().execute(text(OLD_MAILS))
        for each in (setting, letters):
            given = {"setting": each, "event": shop.notes(setting)[0].event_id}
            connection().execute(text(OLD_NOTIFICATIONS.replace("ntf_01dxf", f"ntf_01dxf{each[-4:]}")), given)
    with db.engine().connect() as tuning:
        tuning.execute(text("ANALYZE"))
        tuning.commit()
    asked: tuple[Any, ...] = (
        delivery.send_due,
        lambda: webhooks.claim(10, set()),
        lambda: notifications.standing([setting, letters]),
        lambda: app.test_client().get("/metrics", headers={"Authorization": "Bearer a-token-for-metrics"}),
        tidy,
    )
    for doing in asked:
        plans = plans_of(doing)
        assert plans
        for plan in plans:
            read = re.search(
                r"Seq Scan on (mails|notifications)\b|SCAN (mails|notifications)\b(?!.*ix_mails_with_facts)", plan
            )
            assert read is None, plan
