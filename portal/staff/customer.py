"""One customer: who they are, what they have, what they paid, where they are signed in, and all that happened."""

from babel import Locale, UnknownLocaleError
from flask import render_template, request

from portal import clock, ids
from portal.access import staff_required
from portal.domain import (
    addresses,
    browser_sessions,
    businesses,
    customers,
    payment_methods,
    snapshots,
    timeline,
    transactions,
)
from portal.staff import bp
from portal.staff.subscription import before

_LATEST, _PAGE = 20, 50


@bp.get("/customers/<id>")
@staff_required()
def customer(id: str) -> str:
    shown = customers.get(id)
    payments = transactions.of_customer(id, _LATEST + 1)
    subscriptions = snapshots.of_customer(shown)
    return render_template(
        "staff/customer.html",
        customer=shown,
        language=language_of(shown.locale),
        addresses=addresses.of_customer(id),
        businesses=businesses.of_customer(id),
        subscriptions=subscriptions,
        named={each.id: each.name for each in subscriptions},
        payments=payments[:_LATEST],
        has_more_payments=len(payments) > _LATEST,
        methods=payment_methods.of_customer(id),
        browsers=browser_sessions.how_many_of(id),
        history=timeline.of_customer(id, before=before()),
        begins_anew=before() is None,
        now=clock.now(),
    )


@bp.get("/customers/<id>/payments")
@staff_required()
def payments(id: str) -> str:
    """All that a customer was billed, a page at a time."""
    shown = customers.get(id)
    below = request.args.get("before", "")
    below = below if ids.is_id(below, "txn") else ""
    found = transactions.of_customer(id, _PAGE + 1, below=below or None)
    return render_template(
        "staff/payments.html",
        customer=shown,
        payments=found[:_PAGE],
        begins_anew=not below,
        older=found[_PAGE - 1].id if len(found) > _PAGE else None,
    )


def language_of(locale: str) -> str:
    """`German`, in English; a locale that no language is known for stands as it is."""
    try:
        return Locale.parse(locale.replace("-", "_")).get_display_name("en") or locale
    except (UnknownLocaleError, ValueError):
        return locale
