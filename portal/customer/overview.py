"""The customer's portal: their subscriptions, their latest payments."""

from flask import render_template
from flask_login import current_user

from portal.access import customer_required
from portal.customer import bp
from portal.domain import charges, debts, ending, snapshots, transactions
from portal.domain.browser_sessions import PORTAL

_LATEST = 5


@bp.get("")
@customer_required(PORTAL)
def overview() -> str:
    customer = current_user.customer
    theirs = snapshots.of_customer(customer)
    waiting = charges.lines_waiting(each.id for each in theirs)
    return render_template(
        "customer/overview.html",
        customer=customer,
        subscriptions=theirs,
        coming={each.id: ending.next_payment(each, waiting[each.id]) for each in theirs},
        owed=debts.of_each(each.id for each in theirs),
        payments=transactions.of_customer(customer.id, _LATEST),
    )
