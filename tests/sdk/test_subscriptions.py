"""Reading, canceling, pausing and resuming subscriptions through the official SDK."""

from datetime import UTC, datetime, timedelta
from typing import Any

from paddle_billing import Client
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Entities.Shared import ActionSource, ActorType, CollectionMode, CustomData, TransactionOrigin
from paddle_billing.Entities.Subscription import Subscription
from paddle_billing.Entities.Subscriptions import (
    SubscriptionEffectiveFrom,
    SubscriptionOnResume,
    SubscriptionProrationBillingMode,
    SubscriptionResumeEffectiveFrom,
    SubscriptionScheduledChangeAction,
    SubscriptionStatus,
)
from paddle_billing.Entities.Subscriptions.History import SubscriptionHistoryAction, SubscriptionHistoryReason
from paddle_billing.Resources.Shared.Operations import Comparator, DateComparison, Pager
from paddle_billing.Resources.Subscriptions.Operations import (
    CancelSubscription,
    CreateOneTimeCharge,
    ListSubscriptionHistory,
    ListSubscriptions,
    PauseSubscription,
    ResumeSubscription,
    SubscriptionIncludes,
    UpdateSubscription,
)
from paddle_billing.Resources.Subscriptions.Operations.Charge import SubscriptionChargeItem
from paddle_billing.Resources.Subscriptions.Operations.Update import SubscriptionUpdateItem

from tests.sdk.checks import ids, known
from tests.sdk.shop import Shop

NOW, AT_PERIOD_END = SubscriptionEffectiveFrom.Immediately, SubscriptionEffectiveFrom.NextBillingPeriod
Status, Action = SubscriptionStatus, SubscriptionScheduledChangeAction


def in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_a_subscription_is_read_with_its_links(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    subscription = known(paddle.subscriptions.get(shop.subscribed(price).id))
    assert isinstance(subscription, Subscription)
    [item] = subscription.items
    assert (item.price.id, item.product.id, item.quantity) == (price.id, price.product_id, 10)
    assert item.next_billed_at == subscription.next_billed_at == subscription.current_billing_period.ends_at
    links = subscription.management_urls
    for link in (links.cancel, links.update_payment_method, links.view_subscription):
        assert link.startswith(f"{shop.portal.origin}/portal/subscriptions/{subscription.id}")
        assert "?token=pga_" in link


def test_a_subscription_tells_what_will_be_billed(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    asked = [SubscriptionIncludes.NextTransaction, SubscriptionIncludes.RecurringTransactionDetails]
    told = known(paddle.subscriptions.get(subscription.id, asked))
    assert told.next_transaction.details.totals.grand_total == "30000"
    assert told.next_transaction.billing_period.starts_at == subscription.next_billed_at
    assert told.recurring_transaction_details.totals.total == "30000"
    assert subscription.next_transaction is None


def test_subscriptions_are_listed_by_every_filter(paddle: Client, shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    active, ending, late = (shop.subscribed(price, customer, **f) for f in ({}, {}, {"status": "past_due"}))
    manual = shop.subscribed(price, customer, collection_mode="manual", card=None)
    paddle.subscriptions.cancel(ending.id, CancelSubscription())
    everyone = [active.id, ending.id, late.id, manual.id]

    def listed(**filters: Any) -> list[str]:
        return sorted(ids(paddle.subscriptions.list(ListSubscriptions(Pager(), ids=everyone, **filters))))

    assert listed() == sorted(everyone)
    assert listed(customer_ids=[customer.id, "ctm_01h00000000000000000000000"]) == sorted(everyone)
    assert listed(price_ids=[price.id]) == sorted(everyone)
    assert listed(price_ids=[shop.price().id]) == []
    assert listed(address_ids=[active.address_id]) == [active.id]
    assert listed(collection_mode=CollectionMode.Manual) == [manual.id]
    assert listed(statuses=[Status.PastDue]) == [late.id]
    assert listed(statuses=[Status.PastDue, Status.Active, Status.Trialing]) == sorted(everyone)
    assert listed(scheduled_change_actions=[Action.Cancel, Action.Pause]) == [ending.id]
    soon = DateComparison(active.next_billed_at, Comparator.LTE)
    assert listed(next_billed_at=soon) == sorted([active.id])
    assert listed(next_billed_at=DateComparison(in_days(60), Comparator.GT)) == []


def test_subscriptions_are_paged_to_the_last(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    made = [shop.subscribed(price).id for _ in range(5)]
    pages = paddle.subscriptions.list(ListSubscriptions(Pager(per_page=2), price_ids=[price.id]))
    assert (len(pages.items), pages.paginator.has_more) == (2, True)
    assert ids(pages) == sorted(made)
    assert not pages.paginator.has_more


def test_a_cancellation_is_scheduled_and_taken_back(paddle: Client, shop: Shop) -> None:
    before = shop.subscribed()
    for asked in (CancelSubscription(), CancelSubscription(AT_PERIOD_END)):
        ending = known(paddle.subscriptions.cancel(before.id, asked))
        assert (ending.status, ending.next_billed_at, ending.items[0].next_billed_at) == ("active", None, None)
        assert ending.scheduled_change.action == Action.Cancel
        assert ending.scheduled_change.effective_at == before.next_billed_at
        assert ending.current_billing_period == before.current_billing_period
        kept = known(paddle.subscriptions.update(before.id, UpdateSubscription(scheduled_change=None)))
        assert (kept.scheduled_change, kept.next_billed_at) == (None, before.next_billed_at)
        assert kept.items[0].next_billed_at == before.next_billed_at


def test_to_take_back_what_was_never_asked_changes_nothing(paddle: Client, shop: Shop) -> None:
    before = shop.subscribed()
    after = paddle.subscriptions.update(before.id, UpdateSubscription(scheduled_change=None))
    assert after.updated_at == before.updated_at


def test_a_subscription_ends_at_once(paddle: Client, shop: Shop) -> None:
    canceled = known(paddle.subscriptions.cancel(shop.subscribed().id, CancelSubscription(NOW)))
    assert canceled.status == Status.Canceled
    assert canceled.canceled_at is not None
    assert (canceled.current_billing_period, canceled.next_billed_at, canceled.scheduled_change) == (None, None, None)


def test_a_pause_is_scheduled_with_its_end_and_taken_back(paddle: Client, shop: Shop) -> None:
    before, back = shop.subscribed(), in_days(90)
    asked = PauseSubscription(
        resume_at=DateTime.from_datetime(back), on_resume=SubscriptionOnResume.StartNewBillingPeriod
    )
    pausing = known(paddle.subscriptions.pause(before.id, asked))
    assert (pausing.status, pausing.scheduled_change.action) == (Status.Active, Action.Pause)
    assert pausing.scheduled_change.effective_at == before.next_billed_at
    assert pausing.scheduled_change.resume_at == back
    later = DateTime.from_datetime(in_days(120))
    moved = known(paddle.subscriptions.resume(before.id, ResumeSubscription(later)))
    assert moved.scheduled_change.resume_at == later.as_datetime
    kept = paddle.subscriptions.update(before.id, UpdateSubscription(scheduled_change=None))
    assert (kept.scheduled_change, kept.next_billed_at) == (None, before.next_billed_at)


def test_a_subscription_pauses_at_once_and_is_resumed_now(paddle: Client, shop: Shop) -> None:
    before = shop.subscribed()
    paused = known(paddle.subscriptions.pause(before.id, PauseSubscription(NOW)))
    assert (paused.status, paused.next_billed_at, paused.current_billing_period) == (Status.Paused, None, None)
    assert paused.paused_at is not None
    assert paused.items[0].status == "inactive"
    now = SubscriptionResumeEffectiveFrom.Immediately
    new_period = SubscriptionOnResume.StartNewBillingPeriod
    resumed = known(paddle.subscriptions.resume(before.id, ResumeSubscription(now, on_resume=new_period)))
    assert (resumed.status, resumed.paused_at, resumed.items[0].status) == (Status.Active, None, "active")
    assert resumed.current_billing_period.starts_at > before.current_billing_period.starts_at
    assert resumed.next_billed_at == resumed.current_billing_period.ends_at


def test_a_paused_subscription_is_resumed_at_a_date_or_canceled_at_once(paddle: Client, shop: Shop) -> None:
    paused = paddle.subscriptions.pause(shop.subscribed().id, PauseSubscription(NOW))
    later = DateTime.from_datetime(in_days(30))
    scheduled = known(paddle.subscriptions.resume(paused.id, ResumeSubscription(later)))
    assert (scheduled.status, scheduled.scheduled_change.action) == (Status.Paused, Action.Resume)
    assert scheduled.scheduled_change.effective_at == later.as_datetime
    paddle.subscriptions.update(paused.id, UpdateSubscription(scheduled_change=None))
    assert paddle.subscriptions.cancel(paused.id, CancelSubscription()).status == Status.Canceled


def test_a_trial_is_bought_ended_and_billed(paddle: Client, shop: Shop) -> None:
    trialing = known(shop.buy(shop.price(trial_days=14)))
    assert (trialing.status, trialing.items[0].status) == (Status.Trialing, "trialing")
    assert trialing.items[0].trial_dates.ends_at == trialing.next_billed_at
    assert trialing.first_billed_at is None
    activated = known(paddle.subscriptions.activate(trialing.id))
    assert (activated.status, activated.items[0].status) == (Status.Active, "active")
    assert activated.next_billed_at > in_days(27)
    assert activated.first_billed_at is not None


def test_a_card_is_changed_by_a_transaction_of_nothing(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    transaction = known(paddle.subscriptions.get_payment_method_change_transaction(subscription.id))
    assert transaction.origin == TransactionOrigin.SubscriptionPaymentMethodChange
    assert (transaction.subscription_id, transaction.details.totals.total) == (subscription.id, "0")
    assert transaction.checkout.url.startswith(shop.portal.origin)


def test_the_history_tells_who_did_what(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    paddle.subscriptions.update(subscription.id, UpdateSubscription(scheduled_change=None))
    paddle.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    told = list(paddle.subscriptions.list_history(subscription.id, ListSubscriptionHistory(Pager(per_page=1))))
    added, removed, canceled = "scheduled_change_added", "scheduled_change_removed", "canceled"
    assert [known(each).detail.action for each in told] == [f"subscription_{e}" for e in (added, removed, canceled)]
    for each in told:
        assert (each.subscription_id, each.source, each.actor.type) == (subscription.id, "api", "api_key")
        assert each.actor.id.startswith("apikey_")
    assert told[0].detail.scheduled_change.action == Action.Cancel
    assert told[2].detail.effective_from == "immediately"


def test_the_history_is_filtered(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    paddle.subscriptions.update(subscription.id, UpdateSubscription(scheduled_change=None))
    first, second = paddle.subscriptions.list_history(subscription.id, ListSubscriptionHistory(Pager()))

    def told(**filters: Any) -> list[str]:
        return sorted(ids(paddle.subscriptions.list_history(subscription.id, ListSubscriptionHistory(**filters))))

    removed = SubscriptionHistoryAction.SubscriptionScheduledChangeRemoved
    assert told() == sorted([first.id, second.id])
    assert told(actions=[removed]) == [second.id]
    assert told(sources=[ActionSource.CustomerPortal]) == []
    assert told(sources=[ActionSource.CustomerPortal, ActionSource.Api]) == sorted([first.id, second.id])
    assert told(actor_types=[ActorType.ApiKey], actor_ids=[first.actor.id]) == sorted([first.id, second.id])
    assert told(actor_types=[ActorType.Customer]) == []
    assert told(reasons=[SubscriptionHistoryReason.Chargeback]) == []
    assert told(occurred_at=DateComparison(second.occurred_at, Comparator.LT)) == [first.id]


def test_every_entry_of_the_history_is_one_that_the_sdk_knows(paddle: Client, shop: Shop) -> None:
    customer, price, addon = shop.customer(), shop.price(), shop.price(500, "Analytics")
    bought = shop.buy(price, customer=customer)
    free = SubscriptionProrationBillingMode.DoNotBill
    more = [SubscriptionUpdateItem(price.id, 12), SubscriptionUpdateItem(addon.id, 1)]
    paddle.subscriptions.update(bought.id, UpdateSubscription(items=more, proration_billing_mode=free))
    paddle.subscriptions.update(bought.id, UpdateSubscription(items=more[:1], proration_billing_mode=free))
    later = DateTime.from_datetime(in_days(40))
    paddle.subscriptions.update(bought.id, UpdateSubscription(next_billed_at=later, proration_billing_mode=free))
    paddle.subscriptions.update(bought.id, UpdateSubscription(custom_data=CustomData({"seat": 1})))
    paddle.subscriptions.update(bought.id, UpdateSubscription(address_id=shop.address(customer).id))
    once = [SubscriptionChargeItem(shop.price(9900, "Set-up", cycle=None).id, 1)]
    paddle.subscriptions.create_one_time_charge(bought.id, CreateOneTimeCharge(NOW, once))
    paddle.subscriptions.create_one_time_charge(bought.id, CreateOneTimeCharge(AT_PERIOD_END, once))
    paddle.subscriptions.pause(bought.id, PauseSubscription())
    paddle.subscriptions.update(bought.id, UpdateSubscription(scheduled_change=None))
    paddle.subscriptions.pause(bought.id, PauseSubscription(NOW))
    paddle.subscriptions.resume(bought.id, ResumeSubscription(SubscriptionResumeEffectiveFrom.Immediately))
    shop.paid(bought)
    paddle.subscriptions.cancel(bought.id, CancelSubscription(NOW))
    told = [known(each).detail.action.value for each in paddle.subscriptions.list_history(bought.id)]
    for each in (
        "created",
        "item_added",
        "item_removed",
        "item_quantity_updated",
        "billing_date_updated",
        "paused",
        "resumed",
    ):
        assert f"subscription_{each}" in told
