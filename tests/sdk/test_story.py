"""The whole life of a subscription with the Python SDK: bought, canceled, kept, ended at once, and bought again."""

from typing import Any

import pytest
from paddle_billing import Client
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Entities.Notifications import NotificationEvent
from paddle_billing.Entities.Subscriptions import SubscriptionEffectiveFrom, SubscriptionStatus
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Resources.CustomerPortalSessions.Operations import CreateCustomerPortalSession
from paddle_billing.Resources.Subscriptions.Operations import CancelSubscription, ListSubscriptions, UpdateSubscription
from paddle_billing.Resources.Transactions.Operations import CreateTransaction
from paddle_billing.Resources.Transactions.Operations.Create import TransactionCreateItem

from portal.domain import api_keys
from tests.browser import launch_browser
from tests.sdk.checks import Refused, known
from tests.sdk.conftest import client
from tests.sdk.passerby import CARD, Passerby
from tests.sdk.receiver import Receiver
from tests.sdk.shop import Shop

ACTIVE = [SubscriptionStatus.Active]
NOW = CancelSubscription(SubscriptionEffectiveFrom.Immediately)


def pays(shop: Shop, checkout_url: str) -> None:
    assert Passerby(shop.portal.origin).pay(checkout_url).status == 200


def pays_in_a_browser(shop: Shop, checkout_url: str) -> None:
    """As a person does, in a real browser that keeps every rule a page may break."""
    with launch_browser() as browser:
        page = browser.new_page()
        page.goto(checkout_url)
        for field, value in CARD.items():
            page.fill(f"input[name={field}]", value)
        with page.expect_navigation():
            page.get_by_role("button", name="Pay").click()
        assert page.locator("main").inner_text()


@pytest.mark.parametrize("pays", [pays, pytest.param(pays_in_a_browser, marks=pytest.mark.browser)])
def test_the_story(shop: Shop, receiver: Receiver, new_key: Any, pays: Any) -> None:
    paddle: Client = client(shop.portal, new_key(*api_keys.ALL_BUT_NAMED))
    setting = shop.endpoint(receiver, [EventTypeName.SubscriptionUpdated, EventTypeName.SubscriptionCanceled])
    customer, prices = shop.customer(), [shop.price(), shop.price(500, "Analytics")]
    transaction = shop.transaction(*prices, customer=customer)
    pays(shop, transaction.checkout.url)
    bought = shop.of(transaction)

    [listed] = paddle.subscriptions.list(ListSubscriptions(customer_ids=[customer.id], statuses=ACTIVE))
    assert (listed.id, [each.price.id for each in listed.items]) == (bought.id, [each.id for each in prices])

    session = paddle.customer_portal_sessions.create(customer.id, CreateCustomerPortalSession([bought.id]))
    page = Passerby(shop.portal.origin).open(session.urls.subscriptions[0].cancel_subscription)
    assert "AeroEdit Pro" in page

    ending = paddle.subscriptions.cancel(bought.id, CancelSubscription())
    assert ending.scheduled_change.effective_at == bought.next_billed_at
    [first] = receiver.wait_for("subscription.updated", about=bought.id)
    assert first.verified
    told = known(NotificationEvent.from_request(first))
    assert told.data.scheduled_change.effective_at == bought.next_billed_at

    kept = paddle.subscriptions.update(bought.id, UpdateSubscription(scheduled_change=None))
    assert (kept.scheduled_change, kept.next_billed_at) == (None, bought.next_billed_at)

    with Refused(ApiError, "forbidden", 403):
        paddle.subscriptions.cancel(bought.id, NOW)
    allowed = client(shop.portal, new_key("subscription.write", api_keys.CANCEL_IMMEDIATELY))
    assert allowed.subscriptions.cancel(bought.id, NOW).status == SubscriptionStatus.Canceled
    [last] = receiver.wait_for("subscription.canceled", about=bought.id)
    ended = known(NotificationEvent.from_request(last))
    mine = [NotificationEvent.from_request(d) for d in receiver.deliveries if d.event["data"]["id"] == bought.id]
    updates = [each for each in mine if each.event_type == EventTypeName.SubscriptionUpdated]
    assert [each.data.status.value for each in updates] == ["active", "active", "canceled"]
    assert (ended.data.status, updates[-1].occurred_at) == (SubscriptionStatus.Canceled, ended.occurred_at)
    assert all(each.verified for each in receiver.deliveries)

    old = paddle.subscriptions.get(bought.id)
    items = [TransactionCreateItem(each.price.id, each.quantity) for each in old.items]
    sent = CreateTransaction(items, customer_id=old.customer_id, address_id=old.address_id)
    again = paddle.transactions.create(sent)
    pays(shop, again.checkout.url)
    new = shop.of(again)
    assert (new.status, new.customer_id) == (SubscriptionStatus.Active, customer.id)
    assert new.id != old.id
    assert [(each.price.id, each.quantity) for each in new.items] == [(each.id, 10) for each in prices]
    assert paddle.subscriptions.get(old.id).status == SubscriptionStatus.Canceled
    shop.paddle.notification_settings.delete(setting.id)
