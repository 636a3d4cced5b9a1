"""What a change of a subscription would do and cost, computed without changing anything.

A change and its preview are planned here alike, on a mapped row or on a plain one.

    prorated_…   what is added costs, what is removed and was billed gives credit, for the time left of the period;
                 before an end within it until that end, and the rest waits for a next bill, if there will be one
    full_…       what is added costs its whole price, what is removed gives nothing
    …_immediately, …_next_billing_period, do_not_bill    when that is billed
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from portal import clock, config
from portal.domain import billed, charges, plan_items, proration, shapes
from portal.domain.actors import Actor
from portal.domain.billed import Billed
from portal.domain.charges import Bill
from portal.errors import (
    BillingModeMissing,
    BillingModeRefused,
    BillingTooSoon,
    ChangePending,
    InvalidField,
    NotActive,
    Paused,
    Trialing,
)

MODES = (
    "prorated_immediately",
    "prorated_next_billing_period",
    "full_immediately",
    "full_next_billing_period",
    "do_not_bill",
)
PREVENT, APPLY = "prevent_change", "apply_change"
NOW, NEXT = "immediately", "next_billing_period"
_FARTHEST = timedelta(days=5 * 366)


@dataclass(frozen=True)
class Wanted:
    """What an app asks for. `items` are (price id, quantity or None for what it is); `fields` are columns."""

    items: list[tuple[str, int | None]] | None = None
    next_billed_at: datetime | None = None
    mode: str | None = None
    on_payment_failure: str = PREVENT
    fields: dict[str, Any] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the history tells of each of `fields`, if it changes."""


@dataclass(frozen=True)
class Plan:
    """`change` is plain JSON (changing.take); `lines` are what it costs, and negative ones the credit it gives.

    Its `waits` are lines that count with the next bill only, whenever the rest is billed.
    """

    change: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    when: str | None = None
    prevents: bool = True
    origin: str = "subscription_update"
    period: tuple[datetime | None, datetime | None] = (None, None)

    @property
    def is_empty(self) -> bool:
        return not self.change

    @property
    def bill(self) -> Bill:
        return charges.netted(self.lines)

    @property
    def bills_now(self) -> bool:
        """Whether something is to pay at once; what gives more credit than it costs waits for the next bill."""
        return self.when == NOW and self.bill.due > 0

    @property
    def touches_billing(self) -> bool:
        return bool(self.lines) or "items" in self.change or "next_billed_at" in self.change


def of_update(subscription: Any, wanted: Wanted, known: dict[str, Any], *, by: Actor) -> Plan:
    """Plans a change; `known` has the prices that are asked for.

    Raises AlreadyCanceled, PastDue, LockedForRenewal, Trialing, Paused, ChangePending, BillingModeMissing,
    BillingModeRefused, BillingTooSoon, NoRecurringItem, InvalidField.
    """
    subscription.refuse_if_canceled()
    subscription.refuse_apps(by)
    fields = {name: value for name, value in wanted.fields.items() if getattr(subscription, name) != value}
    _refuse_in_trial_or_pause(subscription, wanted, fields)
    items, moves_to = plan_items.quantities(subscription, wanted.items, known), _new_date(subscription, wanted)
    if items is None and moves_to is None and not fields:
        return Plan()
    if items is not None or moves_to is not None:
        _refuse_mode(subscription, wanted, moves_to)
    _refuse_endless([(price, count) for price, count, _ in _all(subscription, items, known)])
    lines, waits = _costs(subscription, wanted, items, known, moves_to)
    change = _change(subscription, wanted, known, items=items, moves_to=moves_to, fields=fields)
    return Plan(
        change=change | ({"waits": waits} if waits else {}),
        lines=lines,
        when=_when(wanted.mode),
        prevents=wanted.on_payment_failure == PREVENT,
        period=(clock.now(), moves_to or _until(subscription, wanted)),
    )


def of_charge(
    subscription: Any,
    items: list[tuple[str, int]],
    known: dict[str, Any],
    *,
    when: str,
    on_payment_failure: str,
    by: Actor,
) -> Plan:
    """Plans a one-time charge.

    Raises AlreadyCanceled, PastDue, LockedForRenewal, NotActive, ChangePending, InvalidField.
    """
    subscription.refuse_if_canceled()
    subscription.refuse_apps(by)
    if subscription.status != "active":
        raise NotActive(f"The subscription is {subscription.status}. Nothing was charged.")
    if when == NEXT and subscription.scheduled_action:
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled, so there is no next bill to add it to.")
    for n, (price_id, quantity) in enumerate(items):
        price = plan_items.sellable(f"items.{n}.price_id", price_id, known, subscription)
        plan_items.refuse_quantity(f"items.{n}.quantity", quantity, price)
        if price.billing_interval is not None:
            raise InvalidField(f"items.{n}.price_id", "is a recurring price; only one-time prices can be charged")
    _refuse_endless([(known[price_id], quantity) for price_id, quantity in items])
    told = {
        "action": "subscription_one_off_charge_applied",
        "effective_from": when,
        "items": [{"price": shapes.price(known[price_id]), "quantity": quantity} for price_id, quantity in items],
        "on_payment_failure": on_payment_failure,
        "transaction_id": None,
    }
    return Plan(
        change={"transition": "charged", "history": [told]},
        lines=[charges.line(known[price_id], quantity) for price_id, quantity in items],
        when=when,
        prevents=on_payment_failure == PREVENT,
        origin="subscription_charge",
    )


def _new_date(subscription: Any, wanted: Wanted) -> datetime | None:
    at = wanted.next_billed_at
    if at is None or at == subscription.next_billed_at:
        return None
    if subscription.scheduled_action:
        raise ChangePending(f"A {subscription.scheduled_action} is scheduled. Nothing was changed; remove it first.")
    now = clock.now()
    if at <= now + config.current().renewal_lock:
        raise BillingTooSoon("The new billing date is too close. Nothing was changed.")
    if at > now + _FARTHEST:
        raise InvalidField("next_billed_at", "must be within five years")
    return at


def _refuse_in_trial_or_pause(subscription: Any, wanted: Wanted, fields: dict[str, Any]) -> None:
    billed = wanted.mode not in (None, "do_not_bill")
    if subscription.status == "trialing" and (fields or billed):
        raise Trialing("In a trial only items and next_billed_at change, with do_not_bill. Nothing was changed.")
    if subscription.status == "paused" and (fields or billed or wanted.next_billed_at):
        raise Paused("While it is paused only items change, with do_not_bill. Nothing was changed.")


def _refuse_mode(subscription: Any, wanted: Wanted, moves_to: datetime | None) -> None:
    if wanted.mode is None:
        raise BillingModeMissing("Send proration_billing_mode with a change of items or date. Nothing was changed.")
    if subscription.scheduled_action and wanted.mode.endswith(NEXT):
        raise BillingModeRefused(
            f"A {subscription.scheduled_action} is scheduled, so there may be no next bill. Nothing was changed."
        )
    if moves_to is not None and wanted.mode.startswith("full_"):
        raise InvalidField("proration_billing_mode", "a new billing date is prorated, or not billed")
    if wanted.mode != "do_not_bill" and subscription.period_ends_at is None:
        raise InvalidField("proration_billing_mode", "there is no current period to bill for: send do_not_bill")


def _refuse_endless(items: list[tuple[Any, int]]) -> None:
    """A sum that no database column holds would stop the worker at the next bill. Raises InvalidField."""
    if sum(price.amount * quantity for price, quantity in items) > charges.MOST:
        raise InvalidField("items", f"may cost {charges.MOST} together at most")


def _costs(
    subscription: Any,
    wanted: Wanted,
    items: dict[str, int] | None,
    known: dict[str, Any],
    moves_to: datetime | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a change costs (and, negative, gives back) by lines, before anything is billed; and what of it must wait."""
    if (items is None and moves_to is None) or wanted.mode in (None, "do_not_bill"):
        return [], []
    after, removed = _billed(subscription, wanted, items, known)
    all_items, waits = _all(subscription, items, known), list[dict[str, Any]]()
    if _prorates(wanted):
        left = _left(subscription)
        share, rest = left.split(_until(subscription, wanted) or left.ends_at)
        lines, waits = _of_items(all_items, removed, share), _of_items(all_items, removed, rest)
        waits = [later | {"follows": here["id"]} for here, later in zip(lines, waits, strict=True)]
        if wanted.mode == "prorated_immediately":
            _hold_back(subscription, left, lines, waits)
    else:
        lines = _of_items(all_items, removed, None)
    if moves_to is not None:
        longer = proration.moved(
            subscription.period_starts_at, subscription.period_ends_at, moves_to, subscription.price_lasts
        )
        lines += [_was_billed(price, after[price.id], longer) for price, _, _ in all_items]
    if sum(abs(each["amount"]) for each in (*lines, *waits)) > charges.MOST:
        raise InvalidField("next_billed_at" if items is None else "items", f"may cost {charges.MOST} together at most")
    return [each for each in lines if each["amount"]], [each for each in waits if each["amount"]]


def _of_items(
    all_items: list[tuple[Any, int, int]], removed: dict[str, Billed], share: proration.Share | None
) -> list[dict[str, Any]]:
    """A line for each item: what is added of it, or what of it was billed and is removed."""
    lines = []
    for price, _, delta in all_items:
        if delta > 0:
            lines.append(charges.line(price, delta, share=share))
        elif share is not None:
            lines.append(_was_billed(price, removed[price.id], share, credit=True))
    return lines


def _until(subscription: Any, wanted: Wanted) -> datetime | None:
    """Up to when a change is billed: the period's end, or the scheduled end of the subscription if that is earlier."""
    period_ends_at: datetime | None = subscription.period_ends_at
    ends_at = subscription.ends_at
    if not _prorates(wanted) or period_ends_at is None or ends_at is None:
        return period_ends_at
    return min(period_ends_at, ends_at)


def _hold_back(
    subscription: Any, left: proration.Share, lines: list[dict[str, Any]], waits: list[dict[str, Any]]
) -> None:
    """Lets credit wait with what it is for: nobody may have paid that, and an end may forgive it."""
    if not any(each["amount"] > 0 for each in lines) or not any(each["amount"] < 0 for each in lines):
        return
    unpaid = charges.recurring_waiting(subscription.id)
    if unpaid <= 0:
        return
    paid = max(0, int(left.fraction * sum(item.billed_amount for item in subscription.items)) - unpaid)
    for here, later in zip(lines, waits, strict=True):
        if here["amount"] < 0:
            credit = min(-here["amount"], paid)
            paid -= credit
            later["amount"] += here["amount"] + credit
            here["amount"] = -credit


def _billed(
    subscription: Any, wanted: Wanted, items: dict[str, int] | None, known: dict[str, Any]
) -> tuple[dict[str, Billed], dict[str, Billed]]:
    """What is billed for the period after the change, and what that was billed is removed by it."""
    is_billed = wanted.mode != "do_not_bill"
    in_full = _left(subscription) if is_billed and not _prorates(wanted) else None
    all_items = _all(subscription, items, known)
    return billed.changed(subscription, all_items, is_billed=is_billed, in_full=in_full)


def _left(subscription: Any) -> proration.Share:
    starts_at, ends_at = subscription.period_starts_at, subscription.period_ends_at
    return proration.left(starts_at, ends_at, clock.now(), subscription.price_lasts)


def _was_billed(price: Any, what: Billed, share: proration.Share, *, credit: bool = False) -> dict[str, Any]:
    return charges.line(price, what.quantity, share=share, amount=-what.amount if credit else what.amount)


def _prorates(wanted: Wanted) -> bool:
    return wanted.mode is not None and wanted.mode.startswith("prorated_")


def _all(subscription: Any, items: dict[str, int] | None, known: dict[str, Any]) -> list[tuple[Any, int, int]]:
    """Recurring prices with the quantity they will have and what that is more than now."""
    old = {item.price_id: item for item in subscription.items}
    wanted = {each: item.quantity for each, item in old.items()} if items is None else items
    return [
        (old[each].price if each in old else known[each], count, count - (old[each].quantity if each in old else 0))
        for each, count in {**dict.fromkeys(old, 0), **wanted}.items()
        if each not in old or old[each].recurring
    ]


def _deltas(subscription: Any, items: dict[str, int] | None, known: dict[str, Any]) -> list[tuple[Any, int, int]]:
    return [each for each in _all(subscription, items, known) if each[2]]


def _change(
    subscription: Any,
    wanted: Wanted,
    known: dict[str, Any],
    *,
    items: dict[str, int] | None,
    moves_to: datetime | None,
    fields: dict[str, Any],
) -> dict[str, Any]:
    """The change as plain JSON, with what the history tells of it."""
    told = [wanted.told[name] for name in fields if name in wanted.told]
    if items is not None:
        told = [_told_item(wanted, *each) for each in _deltas(subscription, items, known)] + told
    if moves_to is not None:
        told.append(_told_date(subscription, wanted, moves_to))
    change: dict[str, Any] = {"transition": _transition(items, moves_to, fields), "history": told, "fields": fields}
    if items is not None:
        change["items"] = _billed_items(subscription, wanted, items, known)
    if moves_to is not None:
        change["next_billed_at"] = shapes.text(moves_to)
        change["date_is_billed"] = wanted.mode != "do_not_bill"
    return change


def _billed_items(
    subscription: Any, wanted: Wanted, items: dict[str, int], known: dict[str, Any]
) -> list[dict[str, Any]]:
    """The items with what of them is billed for the period once the change is made."""
    after, _ = _billed(subscription, wanted, items, known)
    nothing = Billed()
    return [
        {"price_id": each, "quantity": quantity}
        | {f"billed_{name}": value for name, value in asdict(after.get(each, nothing)).items()}
        for each, quantity in items.items()
    ]


def _transition(items: Any, moves_to: Any, fields: dict[str, Any]) -> str:
    if items is not None:
        return "items_changed"
    if moves_to is not None:
        return "billing_date_changed"
    return "custom_data_changed" if set(fields) == {"custom_data"} else "details_changed"


def _told_item(wanted: Wanted, price: Any, quantity: int, delta: int) -> dict[str, Any]:
    verb = "added" if quantity == delta else "removed" if quantity == 0 else "quantity_updated"
    return {
        "action": f"subscription_item_{verb}",
        "price": shapes.price(price),
        "quantity": quantity or -delta,
        "update_summary": {"quantity_delta": delta},
        "proration_billing_mode": wanted.mode,
        "on_payment_failure": wanted.on_payment_failure,
        "transaction_id": None,
    }


def _told_date(subscription: Any, wanted: Wanted, moves_to: datetime) -> dict[str, Any]:
    return {
        "action": "subscription_billing_date_updated",
        "next_billed_at": shapes.text(moves_to),
        "current_billing_period": shapes.period(subscription.period_starts_at or clock.now(), moves_to),
        "transaction_id": None,
        "proration_billing_mode": wanted.mode,
    }


def _when(mode: str | None) -> str | None:
    if mode in (None, "do_not_bill"):
        return None
    return NOW if mode.endswith(NOW) else NEXT
