"""Don't cancel: a pending cancellation is stopped, and payments go on at the date they were planned for."""

from typing import Any

from flask import g, render_template, request, url_for
from flask_login import current_user

from portal.access import staff_required
from portal.db import transaction
from portal.domain import cancellation, ending, subscriptions
from portal.domain.subscriptions import Subscription
from portal.staff import bp, prints, see_other


@bp.get("/subscriptions/<id>/keep")
@staff_required()
def keep(id: str) -> str:
    return _page(subscriptions.get(id))


@bp.post("/subscriptions/<id>/keep")
@staff_required()
def keep_submit(id: str) -> Any:
    """Only the cancellation that was shown is taken back; a later one would be somebody else's."""
    with transaction():
        subscription = subscriptions.get(id)
        changed = subscription.is_ending and request.form.get("seen") != _print(subscription)
        tell = "tell" in request.form
        kept = not changed and cancellation.withdraw(subscription, by=current_user.acting(), tell=tell)
    if changed:
        return _page(subscriptions.get(id), changed=True, tell=tell), 409
    return see_other(url_for("console.subscription", id=id, done="kept" if kept else None, _anchor="done"))


def _page(shown: Subscription, *, changed: bool = False, tell: bool = True) -> str:
    return render_template(
        "staff/keep.html",
        subscription=shown,
        customer=shown.customer,
        too_late=shown.ends_at is not None and g.received_at >= shown.ends_at,
        coming=ending.once_kept(shown),
        seen=_print(shown),
        changed=changed,
        tell=tell,
    )


def _print(subscription: Subscription) -> str:
    """Another one as soon as what the page says differs."""
    coming = ending.once_kept(subscription)
    payment = (str(coming.at), coming.due) if coming else None
    return prints.of(subscription.version, str(subscription.ends_at), payment)
