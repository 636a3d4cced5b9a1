"""A worker on PostgreSQL hears at commit that there is something to send."""

from portal import db, worker
from portal.db import transaction
from portal.domain import events, mails, subscriptions
from portal.domain.actors import system
from tests import people


def test_a_queued_mail_wakes_a_listening_worker_and_a_rolled_back_one_does_not(database: str) -> None:
    if not db.is_postgresql():
        assert worker._POLL_SECONDS["sqlite"] <= 1  # SQLite has nobody to listen to: it is asked often
        return
    listening = worker._Waker()._listening()
    sub = people.subscription(people.customer())
    with transaction() as undone:
        mails.tell("renewal_reminder", subscriptions.get(sub))
        undone.rollback()
    assert list(listening.notifies(timeout=0.2, stop_after=1)) == []
    with transaction():
        mails.tell("renewal_reminder", subscriptions.get(sub))
    assert [heard.channel for heard in listening.notifies(timeout=10, stop_after=1)] == ["portal_work"]
    listening.close()


def test_an_event_wakes_it_too_and_once_a_transaction(database: str) -> None:
    if not db.is_postgresql():
        return
    sub = people.subscription(people.customer())
    listening = worker._Waker()._listening()
    with transaction():
        for _ in range(2):
            events.record("subscription.updated", subscriptions.get(sub), by=system())
        mails.tell("renewal_reminder", subscriptions.get(sub))
    heard = [*listening.notifies(timeout=10, stop_after=1), *listening.notifies(timeout=0.2)]
    assert [each.channel for each in heard] == ["portal_work"]
    listening.close()
