"""The state × action table of the domain, as a truth table (`DOMAIN.md` §3)."""

from portal.db import transaction
from portal.domain import cancellation, subscriptions
from portal.domain.actors import Actor
from tests import people
from tests.conftest import NOW


def actor(kind):
    return Actor(kind, f"{kind}_1", "test", received_at=NOW)


def test_a_customer_cancels_for_the_end_of_the_period(database):
    sub = people.subscription(people.customer())
    before = people.row(sub).next_billed_at
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=actor("customer"))
    after = people.row(sub)
    assert (after.status, after.scheduled_action, after.scheduled_effective_at) == ("active", "cancel", before)
    assert after.next_billed_at is None
    assert people.events_of(sub) == ["subscription.updated"]
    assert people.mails_of(sub) == ["cancellation_scheduled"]
    with transaction():
        assert cancellation.withdraw(subscriptions.get(sub), by=actor("customer"))
    assert people.row(sub).next_billed_at == before
