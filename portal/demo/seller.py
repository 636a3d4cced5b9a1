"""The demo's seller: AeroEdit, its customers, and a life for each subscription up to now.

What the import file can't hold is lived through with the domain's own verbs, the clock set back: paid periods, a
failed payment, who canceled.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from portal import clock, gateways, importing
from portal.db import session, transaction
from portal.domain import bills, cancellation, renewal, staff, subscriptions
from portal.domain.actors import Actor, shell, system
from portal.domain.staff import StaffMember
from portal.domain.subscriptions import LIVE, Subscription

DATA = Path(__file__).parent / "data" / "aeroedit.json"


def load(progress: Callable[[int, int], None] | None = None) -> None:
    """Fills an empty database."""
    importing.load(DATA, shift=True, progress=progress)
    people()
    for subscription in session().scalars(subscriptions.whole().order_by(Subscription.id)).all():
        if subscription.status in LIVE and subscription.status != "trialing":
            _bill_current_period(subscription.id, subscription.period_starts_at or clock.now())
        if subscription.is_ending:
            _cancel_again(subscription.id, subscription.scheduled_by or "customer")


def people() -> list[StaffMember]:
    """An admin and somebody of support."""
    with transaction():
        return [
            staff.add("ada@aeroedit.example", role=staff.ADMIN, name="Ada Lindqvist", by=shell()),
            staff.add("sam@aeroedit.example", role=staff.SUPPORT, name="Sam Ortega", by=shell()),
        ]


def _bill_current_period(subscription_id: str, began: datetime) -> None:
    """One transaction for the period that runs, collected when it began."""
    with clock.frozen(began):
        with transaction():
            subscription = subscriptions.get(subscription_id)
            ends_at = subscription.period_ends_at or began
            billed = bills.bill(subscription, starts_at=began, ends_at=ends_at, by=system())
            automatic = subscription.is_automatic
        if automatic and billed.status == "billed":
            renewal.collect_next(gateways.current())


def _cancel_again(subscription_id: str, kind: str) -> None:
    """Schedules an imported cancellation with the domain's verb, so that its history and its mail exist."""
    with clock.frozen(clock.now() - timedelta(hours=2)), transaction():
        subscription = subscriptions.get(subscription_id)
        who = subscription.customer
        subscription.unschedule()
        by = {
            "customer": Actor("customer", who.id, "email link", who.name or ""),
            "staff": _support(),
        }.get(kind, Actor("key", "apikey_demo", "API", "demo"))
        cancellation.at_period_end(subscription, by=by)


def _support() -> Actor:
    sam = people()[1]
    return Actor("staff", sam.id, "console", sam.called)
