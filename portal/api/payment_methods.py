"""Stored payment methods of customers for apps: list, read, delete. Customers store them on their own pages."""

from flask import Response
from sqlalchemy import false, select

from portal.access import app_actor
from portal.api import bodies, catalog, lists
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import customers, entities, payment_method_deletion, shapes
from portal.domain.payment_methods import PaymentMethod

_FOR_CHECKOUT = "saved_during_purchase"


class PaymentMethods(lists.Query):
    after: entities.PaymentMethodId | None = None
    address_id: bodies.Several[bodies.Part] = []
    supports_checkout: catalog.Flag | None = None


@operation(
    "GET",
    "/customers/<customer_id>/payment-methods",
    permission="payment_method.read",
    query=PaymentMethods,
    gives=list[entities.PaymentMethod],
    example={"order_by": "id[ASC]"},
)
def list_payment_methods(customer_id: str, query: PaymentMethods) -> Response:
    """List a customer's payment methods.

    None belongs to an address, so `address_id` finds none. `supports_checkout` tells those saved during a purchase
    from those that were given to pay a subscription.
    """
    customers.get(customer_id)
    wanted = select(PaymentMethod).where(PaymentMethod.customer_id == customer_id, PaymentMethod.deleted_at.is_(None))
    if query.address_id:
        wanted = wanted.where(false())
    if query.supports_checkout is not None:
        saved = PaymentMethod.origin == _FOR_CHECKOUT
        wanted = wanted.where(saved if query.supports_checkout == "true" else ~saved)
    page = lists.Page(query, wanted, PaymentMethod.id)
    return page.answer([shapes.payment_method(each) for each in session().scalars(page.statement())])


@operation(
    "GET",
    "/customers/<customer_id>/payment-methods/<id>",
    permission="payment_method.read",
    gives=entities.PaymentMethod,
)
def get_payment_method(customer_id: str, id: str) -> entities.PaymentMethod:
    """Read a payment method."""
    return shapes.payment_method(payment_method_deletion.get(id, customer_id=customer_id))


@operation(
    "DELETE",
    "/customers/<customer_id>/payment-methods/<id>",
    permission="payment_method.write",
    status=204,
    refuses=("conflict", "payment_under_way"),
)
def delete_payment_method(customer_id: str, id: str) -> None:
    """Delete a payment method.

    Refused while a subscription that is not canceled is paid with it: it would lose the way it is paid.
    """
    with transaction():
        method = payment_method_deletion.get(id, customer_id=customer_id)
        payment_method_deletion.delete(method, by=app_actor())
