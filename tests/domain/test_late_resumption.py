"""A resumption that is carried out late, and one that is paid by invoice."""

from datetime import timedelta
from typing import Any

from portal.db import transaction
from portal.domain import pausing, subscriptions
from portal.domain.actors import system
from tests import people
from tests.api import billing
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END


def paused(**fields: Any) -> str:
    sub = visits.subscribed(**fields)
    with transaction():
        pausing.now(subscriptions.get(sub), by=system())
    return sub


def test_what_was_left_of_the_paid_period_is_not_charged_again_however_late_the_worker_is(
    database: str, the_clock: Any
) -> None:
    sub = paused()
    with transaction():
        at = END - timedelta(days=1)
        pausing.resume(subscriptions.get(sub), by=system(), at=at, on_resume=pausing.SAME_PERIOD)
    the_clock.set(END + timedelta(days=2))
    billing.work()
    row = people.row(sub)
    assert (row.status, row.period_starts_at, row.next_billed_at) == (
        "active",
        END,
        END.replace(year=2027, month=1),
    )
    assert billing.charged() == [30000], "the period after the one that was paid"


def test_the_invoice_of_the_new_period_is_mailed(database: str, the_clock: Any) -> None:
    sub = paused(card=None, collection_mode="manual")
    with transaction():
        pausing.resume(subscriptions.get(sub), by=system())
    assert people.mails_of(sub) == ["paused", "resumed", "renewed"]
    [bill] = billing.bills_of(sub)
    [mail] = visits.mails("renewed")
    assert (bill.status, mail.key, mail.facts["amount"]) == ("billed", f"billed:{bill.id}", 30000)
    assert bill.period_starts_at == NOW
