"""How a subscription begins: from a transaction whose items recur."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session
from portal.domain import events, payment_plans, periods, subscriptions
from portal.domain.actors import Actor
from portal.domain.catalog import Price
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription, SubscriptionItem
from portal.domain.transactions import Transaction


@dataclass(frozen=True)
class Terms:
    """What somebody agrees to who buys what recurs; `amount` is each period's, in minor units."""

    interval: str
    frequency: int
    amount: int
    trial_interval: str | None
    trial_frequency: int | None
    payments: int | None
    """Of a payment plan: how many there are in all."""
    starts_at: datetime
    ends_at: datetime
    """The end of the first period, or of the trial: the next payment."""

    @property
    def is_trial(self) -> bool:
        return self.trial_interval is not None


def recurring(bought: Any) -> list[dict[str, Any]]:
    """The lines that recur."""
    return [each for each in bought.lines if each["price"]["billing_cycle"]]


def terms(bought: Any, starts_at: datetime) -> Terms | None:
    """What begins if it is paid at an instant; None if nothing recurs. Later periods cost what the price says now."""
    lines = recurring(bought)
    if not lines:
        return None
    found = select(Price.id, Price.amount).where(Price.id.in_([each["price"]["id"] for each in lines]))
    costs = {row.id: row.amount for row in session().execute(found)}
    cycle, trial = lines[0]["price"]["billing_cycle"], lines[0]["price"]["trial_period"]
    first = trial or cycle
    return Terms(
        interval=cycle["interval"],
        frequency=cycle["frequency"],
        amount=sum(costs[each["price"]["id"]] * each["quantity"] for each in lines),
        trial_interval=trial["interval"] if trial else None,
        trial_frequency=trial["frequency"] if trial else None,
        payments=lines[0]["price"].get("payments"),
        starts_at=starts_at,
        ends_at=periods.nth(starts_at, first["interval"], first["frequency"], 1),
    )


def start(bought: Transaction, method: PaymentMethod | None, *, by: Actor) -> Subscription | None:
    """The subscription of what was bought, which is linked to it; None if nothing recurs.

    A trial ends with the first billing, which is the anchor of all later ones.
    """
    agreed = terms(bought, clock.now())
    if agreed is None:
        return None
    now, trial = agreed.starts_at, agreed.is_trial
    begun = Subscription(
        id=ids.new("sub"),
        customer_id=bought.customer_id or "",
        address_id=bought.address_id,
        business_id=bought.business_id,
        status="trialing" if trial else "active",
        currency_code=bought.currency_code,
        collection_mode=bought.collection_mode,
        billing_details=bought.billing_details,
        billing_interval=agreed.interval,
        billing_frequency=agreed.frequency,
        anchor_at=agreed.ends_at if trial else now,
        started_at=now,
        first_billed_at=None if trial else now,
        next_billed_at=agreed.ends_at,
        remind_at=subscriptions.reminder_for(agreed.ends_at),
        period_starts_at=now,
        period_ends_at=agreed.ends_at,
        payment_method_id=method.id if method else None,
        remaining_payments=payment_plans.at_start(recurring(bought), is_trial=trial),
        custom_data=bought.custom_data,
        created_at=now,
        updated_at=now,
    )
    begun.items = [_item(position, each, agreed) for position, each in enumerate(recurring(bought))]
    session().add(begun)
    session().flush()
    bought.subscription_id, bought.period_starts_at, bought.period_ends_at = begun.id, now, agreed.ends_at
    session().flush()
    begun = subscriptions.get(begun.id)
    origin = {"transaction_id": bought.id}
    events.record("subscription.created", begun, by=by, transition="subscribed", beside=origin)
    events.record("subscription.trialing" if trial else "subscription.activated", begun, by=by)
    return begun


def _item(position: int, bought: dict[str, Any], agreed: Terms) -> SubscriptionItem:
    now, trial = agreed.starts_at, agreed.is_trial
    return SubscriptionItem(
        position=position,
        price_id=bought["price"]["id"],
        status="trialing" if trial else "active",
        quantity=bought["quantity"],
        recurring=True,
        previously_billed_at=None if trial else now,
        billed_quantity=0 if trial else bought["quantity"],
        billed_amount=0 if trial else bought["amount"],
        trial_starts_at=now if trial else None,
        trial_ends_at=agreed.ends_at if trial else None,
        created_at=now,
        updated_at=now,
    )
