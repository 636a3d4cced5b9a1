"""Cancel payments: choose when, read exactly what will be charged until then, confirm what was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from flask import g, render_template, request, url_for
from flask_login import current_user

from portal import clock, config
from portal.access import staff_required
from portal.db import transaction
from portal.domain import cancellation, charges, debts, ending, payment_plans, subscriptions
from portal.domain.ending import Charge
from portal.domain.subscriptions import Subscription
from portal.domain.transactions import Transaction
from portal.errors import InvalidField, RoleRefused
from portal.staff import bp, prints, see_other

PERIOD_END, DATE, NOW = "period_end", "date", "now"
CHOICES = (PERIOD_END, DATE, NOW)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Asked:
    """What was chosen and typed. `seen` is the print of what was shown, when that is confirmed."""

    choice: str = PERIOD_END
    day: str = ""
    reason: str = ""
    comment: str = ""
    tell: bool = True
    seen: str = ""

    @property
    def date(self) -> date | None:
        try:
            return date.fromisoformat(self.day)
        except ValueError:
            return None


@dataclass(frozen=True)
class Review:
    """What comes of a choice, as it would be at this moment; `ends_at` None: at once, or on no known date."""

    ends_at: datetime | None
    at_once: bool
    charges: Sequence[Charge]
    owed: Sequence[Transaction]
    dropped_charges: int
    """What waits for a next bill that does not come, in minor units."""
    dropped_credit: int
    """What of the credit that waits no bill until the end has use for, in minor units."""
    print: str = field(default="", compare=False)


@bp.get("/subscriptions/<id>/cancel")
@staff_required()
def cancel(id: str) -> str:
    return _choose(subscriptions.get(id), Asked())


@bp.post("/subscriptions/<id>/cancel")
@staff_required()
def cancel_submit(id: str) -> Any:
    """Shows what comes of the choice; only the step `confirm` with what was shown records anything."""
    asked, step = _asked(request.form), request.form.get("step", "")
    if asked.choice == NOW and not current_user.is_admin:
        raise RoleRefused("Only an admin may end a subscription now. Nothing was changed.")
    if step == "confirm":
        return _confirm(id, asked)
    subscription = subscriptions.get(id)
    subscription.refuse_if_canceled()
    if step == "choose":
        return _choose(subscription, asked)
    problems = _problems(subscription, asked)
    if problems:
        return _choose(subscription, asked, problems), 422
    return _show(subscription, asked, review(subscription, asked))


def review(subscription: Subscription, asked: Asked) -> Review:
    """What the choice means for access and money, and a print of it that is another one as soon as it differs."""
    ends_at, at_once = _end(subscription, asked), asked.choice == NOW
    at_once = at_once or (asked.choice == PERIOD_END and subscription.has_run_out(g.received_at))
    waiting = charges.lines_waiting_of(subscription.id)
    coming = [] if at_once else ending.charges_until(subscription, ends_at, waiting)
    owed = debts.of(subscription.id)
    dropped_charges = 0 if coming else sum(each["amount"] for each in waiting if each["amount"] > 0)
    credit = -sum(each["amount"] for each in waiting if each["amount"] < 0)
    dropped_credit = credit - sum(each.bill.credit for each in coming)
    seen = prints.of(
        subscription.version,
        asked.choice,
        str(ends_at),
        [(str(each.at), each.due) for each in coming],
        [(each.id, each.due, each.status) for each in owed],
        (dropped_charges, dropped_credit),
    )
    return Review(None if at_once else ends_at, at_once, coming, owed, dropped_charges, dropped_credit, seen)


def _confirm(id: str, asked: Asked) -> Any:
    try:
        with transaction():
            subscription = subscriptions.get(id)
            subscription.refuse_if_canceled()
            found, problems = None, _problems(subscription, asked)
            if not problems:
                found = review(subscription, asked)
                pending, stands = subscription.is_ending, _is_same(subscription, found)
                if found.print == asked.seen:
                    _carry_out(subscription, asked)
                    return _done(subscription, pending, stands)
    except InvalidField as wrong:
        problems, found = {"day": _words(wrong)}, None
    subscription = subscriptions.get(id)
    if found is None:
        return _choose(subscription, asked, problems), 422
    return _show(subscription, asked, review(subscription, asked), changed=True), 409


def _carry_out(subscription: Subscription, asked: Asked) -> None:
    why: dict[str, Any] = {"reason": asked.reason or None, "comment": asked.comment or None, "tell": asked.tell}
    by = current_user.acting()
    if asked.choice == NOW:
        cancellation.now(subscription, by=by, **why)
    elif asked.choice == DATE:
        cancellation.on(subscription, _end(subscription, asked) or clock.now(), by=by, **why)
    else:
        cancellation.at_period_end(subscription, by=by, **why)


def _done(subscription: Subscription, was_pending: bool, stood: bool) -> Any:
    here = partial(url_for, "console.subscription", id=subscription.id)
    if stood:
        return see_other(here())
    done = "ended" if subscription.status == "canceled" else "moved" if was_pending else "canceled"
    return see_other(here(done=done, _anchor="done"))


def _is_same(subscription: Subscription, found: Review) -> bool:
    """Whether the end that stands is the one that is asked for."""
    return subscription.is_ending and not found.at_once and found.ends_at == subscription.ends_at


def _end(subscription: Subscription, asked: Asked) -> datetime | None:
    """The instant of a choice: of a day its end, which is when the next one begins, in UTC."""
    if asked.choice == PERIOD_END:
        return subscription.paid_until
    chosen = asked.date
    if asked.choice == NOW or chosen is None or chosen >= date.max:
        return None
    return datetime(chosen.year, chosen.month, chosen.day, tzinfo=UTC) + _DAY


def _problems(subscription: Subscription, asked: Asked) -> dict[str, str]:
    """What is wrong with the form, by its field."""
    problems = {}
    if asked.choice == DATE:
        at = _end(subscription, asked)
        if at is None:
            problems["day"] = "Choose a day, as year, month and day: 2027-01-31."
        else:
            try:
                cancellation.refuse_instant(subscription, at, current_user.acting())
            except InvalidField as wrong:
                problems["day"] = _words(wrong)
    if len(asked.comment) > cancellation.LONGEST_COMMENT:
        problems["comment"] = f"Write {cancellation.LONGEST_COMMENT} characters at most."
    return problems


def _words(wrong: InvalidField) -> str:
    return f"The day {(wrong.fields or [{'message': 'does not fit'}])[0]['message']}."


def _asked(form: Mapping[str, str]) -> Asked:
    choice, reason = form.get("choice", ""), form.get("reason", "")
    return Asked(
        choice=choice if choice in CHOICES else PERIOD_END,
        day=form.get("day", "").strip()[:20],
        reason=reason if reason in _reasons() else "",
        comment=form.get("comment", "").replace("\x00", "").replace("\r\n", "\n").strip(),
        tell="tell" in form,
        seen=form.get("seen", ""),
    )


def _reasons() -> list[str]:
    """The seller's reasons, and those that can always be given."""
    return list(dict.fromkeys((*config.current().cancel_reasons, *cancellation.REASONS)))


def _choose(subscription: Subscription, asked: Asked, problems: Mapping[str, str] | None = None) -> str:
    latest = g.received_at + cancellation.FARTHEST
    paid_until = subscription.paid_until
    free = (paid_until - _DAY).date() if paid_until and paid_until - _DAY >= _midnight(g.received_at) else None
    return render_template(
        "staff/cancel.html",
        subscription=subscription,
        customer=subscription.customer,
        asked=asked,
        problems=problems or {},
        reasons=_reasons(),
        at_once=subscription.has_run_out(g.received_at),
        owed=debts.of(subscription.id),
        earliest=g.received_at.date(),
        latest=min((latest - _DAY).date(), _last_of_plan(subscription) or date.max),
        last_free=free,
        plan=payment_plans.payments_left(subscription),
    )


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _last_of_plan(subscription: Subscription) -> date | None:
    ends_at = ending.plan_ends_at(subscription)
    return (ends_at - _DAY).date() if ends_at else None


def _show(subscription: Subscription, asked: Asked, found: Review, *, changed: bool = False) -> str:
    return render_template(
        "staff/cancel_review.html",
        subscription=subscription,
        customer=subscription.customer,
        asked=asked,
        review=found,
        changed=changed,
        total=ending.total(found.charges),
        same=_is_same(subscription, found),
        is_paid=subscription.paid_until is not None and subscription.paid_until > g.received_at,
    )
