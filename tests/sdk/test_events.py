"""The event stream through the official SDK: every event of the portal is one that the SDK knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from paddle_billing import Client
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Entities.Event import Event
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Entities.Subscriptions import SubscriptionEffectiveFrom
from paddle_billing.Notifications.Entities.Subscription import Subscription
from paddle_billing.Notifications.Entities.SubscriptionCreated import SubscriptionCreated
from paddle_billing.Resources.Addresses.Operations import UpdateAddress
from paddle_billing.Resources.Businesses.Operations import CreateBusiness, UpdateBusiness
from paddle_billing.Resources.Customers.Operations import UpdateCustomer
from paddle_billing.Resources.Events.Operations import ListEvents
from paddle_billing.Resources.Prices.Operations import UpdatePrice
from paddle_billing.Resources.Products.Operations import UpdateProduct
from paddle_billing.Resources.Shared.Operations import OrderBy, Pager
from paddle_billing.Resources.Subscriptions.Operations import CancelSubscription, PauseSubscription, ResumeSubscription
from paddle_billing.Resources.Transactions.Operations import ListTransactions

from tests.browser_story.running import wait_until
from tests.sdk.checks import known
from tests.sdk.shop import Shop

NOW = SubscriptionEffectiveFrom.Immediately
MADE_HERE = {
    *(
        f"{each}.{done}"
        for each in ("product", "price", "customer", "address", "business")
        for done in ("created", "updated")
    ),
    "payment_method.saved",
    "payment_method.deleted",
    *(f"subscription.{done}" for done in ("created", "activated", "updated", "paused", "resumed", "canceled")),
    *(f"transaction.{done}" for done in ("created", "ready", "updated", "paid", "completed")),
}


def test_the_types_are_those_that_the_sdk_knows(paddle: Client) -> None:
    types = [known(each) for each in paddle.event_types.list()]
    names = [each.name.value for each in types]
    assert len(set(names)) == len(names)
    assert set(names) >= MADE_HERE
    assert all(each.description and each.group and each.available_versions == [1] for each in types)


def test_everything_that_can_happen_is_read_as_what_it_is(paddle: Client, shop: Shop) -> None:
    started = DateTime.from_datetime(datetime.now(UTC) - timedelta(seconds=1))
    customer, price = shop.customer(), shop.price()
    address = shop.address(customer)
    business = paddle.businesses.create(customer.id, CreateBusiness("Harper Aerial"))
    paddle.businesses.update(customer.id, business.id, UpdateBusiness(name="Harper"))
    paddle.addresses.update(customer.id, address.id, UpdateAddress(city="Albany"))
    paddle.customers.update(customer.id, UpdateCustomer(name="Amelia"))
    paddle.products.update(price.product_id, UpdateProduct(name="AeroEdit"))
    paddle.prices.update(price.id, UpdatePrice(description="Monthly"))
    bought = shop.buy(price, customer=customer)
    paddle.subscriptions.pause(bought.id, PauseSubscription(NOW))
    paddle.subscriptions.resume(bought.id, ResumeSubscription("immediately"))
    shop.paid(bought)
    paddle.subscriptions.cancel(bought.id, CancelSubscription(NOW))
    for card in paddle.payment_methods.list(customer.id):
        paddle.payment_methods.delete(customer.id, card.id)
    events = list(paddle.events.list(ListEvents(Pager(per_page=20), start=started)))
    assert all(isinstance(known(each), Event) for each in events)
    assert {each.event_type.value for each in events} >= MADE_HERE


def test_a_new_subscription_names_the_transaction_it_came_from(paddle: Client, shop: Shop) -> None:
    bought = shop.buy()
    asked = ListEvents(event_types=[EventTypeName.SubscriptionCreated], filter=bought.id)
    [created] = paddle.events.list(asked)
    assert isinstance(created.data, SubscriptionCreated)
    assert paddle.transactions.get(created.data.transaction_id).subscription_id == bought.id


def test_events_are_listed_by_every_filter(paddle: Client, shop: Shop) -> None:
    subscription, other = shop.subscribed(), shop.subscribed()
    for each in (subscription, other):
        paddle.subscriptions.cancel(each.id, CancelSubscription(NOW))
    updated, canceled = EventTypeName.SubscriptionUpdated, EventTypeName.SubscriptionCanceled

    def listed(**filters: Any) -> list[str]:
        wanted = ListEvents(Pager(), filter=subscription.id, **filters)
        return [known(each).event_type.value for each in paddle.events.list(wanted)]

    assert listed() == [updated, canceled]
    assert listed(event_types=[canceled]) == [canceled]
    assert listed(event_types=[canceled, updated, EventTypeName.CustomerCreated]) == [updated, canceled]
    now = datetime.now(UTC)
    hour_ago, soon = (DateTime.from_datetime(now + timedelta(hours=hours)) for hours in (-1, 1))
    assert listed(start=hour_ago, end=soon) == [updated, canceled]
    assert listed(start=soon) == []
    assert listed(end=hour_ago) == []


def test_events_are_paged_in_order_to_the_last(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.pause(subscription.id, PauseSubscription(NOW))
    paddle.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    expected = ["subscription.updated", "subscription.paused", "subscription.updated", "subscription.canceled"]
    first = paddle.events.list(ListEvents(Pager(per_page=1), filter=subscription.id))
    assert [each.event_type.value for each in first] == expected
    backwards = Pager(order_by=OrderBy.id_descending(), per_page=3)
    events = list(paddle.events.list(ListEvents(backwards, filter=subscription.id)))
    assert [each.event_type.value for each in events] == expected[::-1]
    assert all(isinstance(each.data, Subscription) for each in events)
    assert events[0].occurred_at == events[1].occurred_at
    assert [each.data.status.value for each in events] == ["canceled", "canceled", "paused", "paused"]


def test_a_renewal_that_fails_is_read_as_what_it_is(paddle: Client, shop: Shop) -> None:
    """The worker bills what is due; the bank says no."""
    due = datetime.now(UTC) - timedelta(minutes=5)
    late = shop.subscribed(next_billed_at=due, period_ends_at=due, card="sandbox_declines")
    about = ListEvents(Pager(), filter=late.id)
    wait_until(lambda: paddle.subscriptions.get(late.id).status == "past_due", "the renewal has failed")
    told = [known(each).event_type.value for each in paddle.events.list(about)]
    assert told == [
        "subscription.updated",
        *(f"transaction.{each}" for each in ("created", "billed", "payment_failed", "past_due")),
        "subscription.past_due",
    ]
    [bill] = paddle.transactions.list(ListTransactions(subscription_ids=[late.id]))
    of_bill = ListEvents(Pager(per_page=3), filter=bill.id)
    assert [each.event_type.value for each in paddle.events.list(of_bill)] == told[1:5]
    assert [each.status for each in known(bill).payments] == ["error"]
