"""Items, quantities, billing dates and one-time charges through the official SDK; and what they would cost."""

from datetime import UTC, datetime, timedelta

import pytest
from paddle_billing import Client
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Entities.Shared import CollectionMode, CustomData, TransactionOrigin
from paddle_billing.Entities.SubscriptionPreview import SubscriptionPreview
from paddle_billing.Entities.Subscriptions import (
    SubscriptionEffectiveFrom,
    SubscriptionOnPaymentFailure,
    SubscriptionProrationBillingMode,
)
from paddle_billing.Exceptions.ApiErrors.SubscriptionApiError import SubscriptionApiError
from paddle_billing.Resources.Shared.Operations import Pager
from paddle_billing.Resources.Subscriptions.Operations import (
    CancelSubscription,
    CreateOneTimeCharge,
    PreviewOneTimeCharge,
    PreviewUpdateSubscription,
    SubscriptionIncludes,
    UpdateSubscription,
)
from paddle_billing.Resources.Subscriptions.Operations.Charge import SubscriptionChargeItem
from paddle_billing.Resources.Subscriptions.Operations.Update import SubscriptionUpdateItem
from paddle_billing.Resources.Transactions.Operations import ListTransactions
from paddle_billing.Resources.Transactions.Operations import TransactionOrigin as Origin

from tests.sdk.checks import Refused, known
from tests.sdk.shop import Shop

Mode = SubscriptionProrationBillingMode
NOW, NEXT = SubscriptionEffectiveFrom.Immediately, SubscriptionEffectiveFrom.NextBillingPeriod
PREVENT = SubscriptionOnPaymentFailure.PreventChange


@pytest.mark.parametrize(
    "mode",
    [
        "prorated_immediately",
        "prorated_next_billing_period",
        "full_immediately",
        "full_next_billing_period",
        "do_not_bill",
    ],
)
def test_seats_and_an_addon_are_bought_in_mid_period(paddle: Client, shop: Shop, mode: str) -> None:
    price, addon = shop.price(), shop.price(500, "Analytics")
    subscription = shop.subscribed(price)
    items = [SubscriptionUpdateItem(price.id, 12), SubscriptionUpdateItem(addon.id, 1)]
    preview = paddle.subscriptions.preview_update(
        subscription.id, PreviewUpdateSubscription(items=items, proration_billing_mode=Mode(mode))
    )
    assert isinstance(known(preview), SubscriptionPreview)
    assert (preview.immediate_transaction is not None) == mode.endswith("immediately")
    assert paddle.subscriptions.get(subscription.id).updated_at == subscription.updated_at  # a preview changes nothing

    changed = paddle.subscriptions.update(
        subscription.id,
        UpdateSubscription(items=items, proration_billing_mode=Mode(mode), on_payment_failure=PREVENT),
    )
    assert [(each.price.id, each.quantity) for each in known(changed).items] == [(price.id, 12), (addon.id, 1)]
    billed = list(
        paddle.transactions.list(
            ListTransactions(Pager(), subscription_ids=[subscription.id], origins=[Origin.SubscriptionUpdate])
        )
    )
    assert len(billed) == (1 if mode.endswith("immediately") else 0)
    if billed:
        expected = preview.immediate_transaction.details.totals.total
        if mode == "full_immediately":
            assert known(billed[0]).details.totals.total == expected
        assert int(billed[0].details.totals.total) > 0


def test_an_item_is_removed_and_the_rest_stays(paddle: Client, shop: Shop) -> None:
    price, addon = shop.price(), shop.price(500, "Analytics")
    subscription = shop.subscribed(price)
    both = [SubscriptionUpdateItem(price.id), SubscriptionUpdateItem(addon.id, 1)]
    paddle.subscriptions.update(subscription.id, UpdateSubscription(items=both, proration_billing_mode=Mode.DoNotBill))
    less = UpdateSubscription(items=[SubscriptionUpdateItem(price.id)], proration_billing_mode=Mode.DoNotBill)
    [item] = known(paddle.subscriptions.update(subscription.id, less)).items
    assert (item.price.id, item.quantity) == (price.id, 10)


def test_the_next_billing_date_moves(paddle: Client, shop: Shop) -> None:
    subscription, later = shop.subscribed(), DateTime.from_datetime(datetime.now(UTC) + timedelta(days=40))
    asked = UpdateSubscription(next_billed_at=later, proration_billing_mode=Mode.DoNotBill)
    assert known(paddle.subscriptions.update(subscription.id, asked)).next_billed_at == later.as_datetime


def test_what_belongs_to_a_subscription_is_changed(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    subscription, address = shop.subscribed(customer=customer), shop.address(customer)
    changed = paddle.subscriptions.update(
        subscription.id,
        UpdateSubscription(
            address_id=address.id,
            business_id=None,
            collection_mode=CollectionMode.Automatic,
            custom_data=CustomData({"seat": "window"}),
        ),
    )
    assert (known(changed).address_id, changed.custom_data.data) == (address.id, {"seat": "window"})


def test_a_change_while_the_end_is_scheduled_is_billed_now_or_not_at_all(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    subscription = shop.subscribed(price)
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    items = [SubscriptionUpdateItem(price.id, 11)]
    with Refused(SubscriptionApiError, "subscription_invalid_billing_mode_for_scheduled_change"):
        next_time = UpdateSubscription(items=items, proration_billing_mode=Mode.ProratedNextBillingPeriod)
        paddle.subscriptions.update(subscription.id, next_time)
    free = UpdateSubscription(items=items, proration_billing_mode=Mode.DoNotBill)
    assert paddle.subscriptions.update(subscription.id, free).items[0].quantity == 11


def test_a_charge_is_made_now(paddle: Client, shop: Shop) -> None:
    subscription, setup = shop.subscribed(), shop.price(9900, "Set-up", cycle=None)
    items = [SubscriptionChargeItem(setup.id, 1)]
    preview = known(paddle.subscriptions.preview_one_time_charge(subscription.id, PreviewOneTimeCharge(NOW, items)))
    assert preview.immediate_transaction.details.totals.total == "9900"
    known(paddle.subscriptions.create_one_time_charge(subscription.id, CreateOneTimeCharge(NOW, items, PREVENT)))
    [billed] = paddle.transactions.list(ListTransactions(subscription_ids=[subscription.id]))
    assert (billed.origin, billed.details.totals.total) == (TransactionOrigin.SubscriptionCharge, "9900")


def test_a_charge_waits_for_the_next_bill(paddle: Client, shop: Shop) -> None:
    subscription, setup = shop.subscribed(), shop.price(9900, "Set-up", cycle=None)
    items = [SubscriptionChargeItem(setup.id, 2)]
    preview = known(paddle.subscriptions.preview_one_time_charge(subscription.id, PreviewOneTimeCharge(NEXT, items)))
    assert preview.immediate_transaction is None
    assert preview.next_transaction.details.totals.total == str(30000 + 19800)
    paddle.subscriptions.create_one_time_charge(subscription.id, CreateOneTimeCharge(NEXT, items))
    assert list(paddle.transactions.list(ListTransactions(subscription_ids=[subscription.id]))) == []
    told = paddle.subscriptions.get(subscription.id, [SubscriptionIncludes.NextTransaction])
    assert told.next_transaction.details.totals.total == str(30000 + 19800)
