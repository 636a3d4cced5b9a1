"""Saved payment methods and portal sessions through the official SDK."""

import requests
from paddle_billing import Client
from paddle_billing.Entities.CustomerPortalSession import CustomerPortalSession
from paddle_billing.Entities.PaymentMethod import PaymentMethod
from paddle_billing.Entities.Subscriptions import SubscriptionEffectiveFrom
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Resources.CustomerPortalSessions.Operations import CreateCustomerPortalSession
from paddle_billing.Resources.PaymentMethods.Operations import ListPaymentMethods
from paddle_billing.Resources.Shared.Operations import Pager
from paddle_billing.Resources.Subscriptions.Operations import CancelSubscription

from tests.sdk.checks import Refused, ids, known
from tests.sdk.passerby import Passerby
from tests.sdk.shop import Shop


def test_the_card_of_a_purchase_is_read(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    shop.buy(customer=customer)
    [card] = paddle.payment_methods.list(customer.id)
    got = known(paddle.payment_methods.get(customer.id, card.id))
    assert isinstance(got, PaymentMethod)
    assert (got.type, got.card.type, got.card.last4) == ("card", "visa", "4242")
    assert (got.card.expiry_month, got.card.expiry_year, got.customer_id) == (12, 2034, customer.id)


def test_payment_methods_are_filtered_paged_and_deleted(paddle: Client, shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    made = [shop.subscribed(price, customer) for _ in range(3)]
    listed = ids(paddle.payment_methods.list(customer.id, ListPaymentMethods(Pager(per_page=2))))
    assert len(listed) == 3
    elsewhere = ListPaymentMethods(address_ids=["add_01h00000000000000000000000"])
    assert ids(paddle.payment_methods.list(customer.id, elsewhere)) == []
    assert ids(paddle.payment_methods.list(customer.id, ListPaymentMethods(supports_checkout=True))) is not None
    for each in made:
        paddle.subscriptions.cancel(each.id, CancelSubscription(SubscriptionEffectiveFrom.Immediately))
    assert paddle.payment_methods.delete(customer.id, listed[0]) is None
    assert sorted(ids(paddle.payment_methods.list(customer.id))) == sorted(listed[1:])
    with Refused(ApiError, "not_found", 404):
        paddle.payment_methods.get(customer.id, listed[0])


def test_a_portal_session_opens_every_page_it_names(paddle: Client, shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    subscription, other = shop.subscribed(price, customer), shop.subscribed(price, customer)
    asked = CreateCustomerPortalSession([subscription.id, other.id])
    session = known(paddle.customer_portal_sessions.create(customer.id, asked))
    assert isinstance(session, CustomerPortalSession)
    assert (session.customer_id, [each.id for each in session.urls.subscriptions]) == (
        customer.id,
        [subscription.id, other.id],
    )
    links = session.urls.subscriptions[0]
    for link, words in (
        (session.urls.general.overview, "AeroEdit Pro"),
        (links.cancel_subscription, "Cancel"),
        (links.update_subscription_payment_method, "Save card"),
        (links.view_subscription, "AeroEdit Pro"),
    ):
        page = Passerby(shop.portal.origin).open(link)
        assert (page.status, words in page) == (200, True), page.words


def test_a_portal_session_needs_no_subscription(paddle: Client, shop: Shop) -> None:
    session = paddle.customer_portal_sessions.create(shop.customer().id, CreateCustomerPortalSession())
    assert session.urls.subscriptions == []
    assert requests.get(session.urls.general.overview, timeout=30).status_code == 200


def test_somebody_elses_subscription_is_not_in_a_session(paddle: Client, shop: Shop) -> None:
    foreign = shop.subscribed()
    with Refused(ApiError, "not_found", 404) as refused:
        paddle.customer_portal_sessions.create(shop.customer().id, CreateCustomerPortalSession([foreign.id]))
    assert foreign.id in refused.error.detail
