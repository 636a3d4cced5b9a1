"""Webhooks: destinations, signed deliveries, logs and replay, each through the official SDK and a real receiver."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paddle_billing import Client
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Entities.Notifications import NotificationEvent, NotificationStatus
from paddle_billing.Entities.NotificationSetting import NotificationSetting
from paddle_billing.Entities.NotificationSettings import NotificationSettingTrafficSource, NotificationSettingType
from paddle_billing.Entities.Subscriptions import SubscriptionEffectiveFrom
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Notifications import Secret, Verifier
from paddle_billing.Notifications.Entities.Subscription import Subscription
from paddle_billing.Resources.NotificationLogs.Operations import ListNotificationLogs
from paddle_billing.Resources.Notifications.Operations import ListNotifications
from paddle_billing.Resources.NotificationSettings.Operations import (
    CreateNotificationSetting,
    ListNotificationSettings,
    UpdateNotificationSetting,
)
from paddle_billing.Resources.Shared.Operations import Pager
from paddle_billing.Resources.Subscriptions.Operations import CancelSubscription, UpdateSubscription
from standardwebhooks import Webhook

from tests.browser_story.running import wait_until
from tests.sdk.checks import Refused, ids, known, same
from tests.sdk.receiver import Delivery, Receiver
from tests.sdk.shop import Shop

NOW = SubscriptionEffectiveFrom.Immediately
UPDATED, CANCELED = EventTypeName.SubscriptionUpdated, EventTypeName.SubscriptionCanceled
Source = NotificationSettingTrafficSource


@pytest.fixture
def setting(shop: Shop, receiver: Receiver) -> Any:
    """The receiver is told when subscriptions change and end; afterwards no longer."""
    made = shop.endpoint(receiver, [UPDATED, CANCELED])
    yield made
    shop.paddle.notification_settings.delete(made.id)


def delivered(delivery: Delivery, setting: NotificationSetting) -> NotificationEvent:
    """What the SDK makes of a delivery, after it has been verified in each way that an app may."""
    assert delivery.verified is True
    assert Verifier().verify(delivery, [Secret("an older one"), Secret(setting.endpoint_secret_key)], False)
    assert not Verifier().verify(delivery, Secret("pdl_ntfset_wrong"), verify_time_drift=False)
    assert "Paddle" in delivery.headers["User-Agent"]
    return known(NotificationEvent.from_request(delivery))


def test_a_destination_is_made_read_changed_listed_and_deleted(paddle: Client) -> None:
    made = paddle.notification_settings.create(
        CreateNotificationSetting(
            description="Ledger",
            destination="http://127.0.0.1:9/ledger",
            subscribed_events=[UPDATED],
            type=NotificationSettingType.Url,
            include_sensitive_fields=False,
            api_version=1,
            traffic_source=Source.Platform,
        )
    )
    got = known(paddle.notification_settings.get(made.id))
    assert isinstance(got, NotificationSetting)
    assert same(got, made)
    assert got.endpoint_secret_key.startswith("pdl_ntfset_")
    assert [each.name for each in got.subscribed_events] == [UPDATED]
    changed = paddle.notification_settings.update(
        made.id,
        UpdateNotificationSetting(
            description="Books",
            destination="http://127.0.0.1:9/books",
            active=False,
            api_version=1,
            include_sensitive_fields=True,
            subscribed_events=[CANCELED, UPDATED],
            traffic_source=Source.All,
        ),
    )
    assert (known(changed).description, changed.active, changed.traffic_source) == ("Books", False, Source.All)
    assert {each.name.value for each in changed.subscribed_events} == {CANCELED.value, UPDATED.value}
    assert made.id in ids(paddle.notification_settings.list(ListNotificationSettings(active=False)))
    assert made.id not in ids(paddle.notification_settings.list(ListNotificationSettings(active=True)))
    of_all = ListNotificationSettings(Pager(per_page=1), traffic_source=Source.All)
    assert made.id in ids(paddle.notification_settings.list(of_all))
    assert paddle.notification_settings.delete(made.id) is None
    assert made.id not in ids(paddle.notification_settings.list())


def test_mail_is_a_destination_too(paddle: Client) -> None:
    made = paddle.notification_settings.create(
        CreateNotificationSetting("Inbox", "billing@aeroedit.example", [CANCELED], NotificationSettingType.Email, False)
    )
    assert known(paddle.notification_settings.get(made.id)).type == NotificationSettingType.Email
    paddle.notification_settings.delete(made.id)


def test_a_cancellation_arrives_signed_and_in_order(
    paddle: Client, shop: Shop, receiver: Receiver, setting: Any
) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    [first] = receiver.wait_for("subscription.updated", about=subscription.id)
    told = delivered(first, setting)
    assert isinstance(told.data, Subscription)
    assert (told.event_type, told.data.scheduled_change.action) == (UPDATED, "cancel")
    assert "management_urls" not in first.event["data"]
    assert Webhook(setting.endpoint_secret_key.encode()).verify(first.body, dict(first.headers)) == first.event
    receiver.deliveries.clear()

    paddle.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    updated, canceled = receiver.wait_for("subscription.updated", "subscription.canceled", about=subscription.id)
    told, last = delivered(updated, setting), delivered(canceled, setting)
    assert (told.data.status, last.data.status) == ("canceled", "canceled")
    assert told.occurred_at == last.occurred_at
    assert told.event_id < last.event_id
    of_it = {each.event_id: each for each in paddle.events.list()}
    assert same(of_it[last.event_id].data, last.data)


def test_what_was_delivered_is_told_with_its_log(paddle: Client, shop: Shop, receiver: Receiver, setting: Any) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    receiver.wait_for("subscription.updated", "subscription.canceled", about=subscription.id)
    hour = timedelta(hours=1)
    hour_ago, soon = (DateTime.from_datetime(datetime.now(UTC) + way * hour) for way in (-1, 1))

    def listed(about: str = subscription.id, **filters: Any) -> list[str]:
        wanted = ListNotifications(Pager(per_page=1), notification_setting_ids=[setting.id], filter=about, **filters)
        return [known(each).type.value for each in paddle.notifications.list(wanted)]

    wait_until(lambda: len(listed(statuses=[NotificationStatus.Delivered])) == 2, "both are delivered")
    both = [UPDATED.value, CANCELED.value]
    assert listed() == both
    assert listed("sub_01h00000000000000000000000") == []
    assert listed(start=hour_ago, end=soon) == both
    assert listed(end=hour_ago) == []
    assert listed(statuses=[NotificationStatus.Failed, NotificationStatus.NeedsRetry]) == []
    assert listed(search=UPDATED.value) == [UPDATED.value]
    first = next(paddle.notifications.list(ListNotifications(filter=subscription.id)))
    got = known(paddle.notifications.get(first.id))
    assert (got.status, got.origin, got.times_attempted) == (NotificationStatus.Delivered, "event", 1)
    assert (got.retry_at, got.replayed_at) == (None, None)
    assert got.delivered_at is not None
    assert got.payload.notification_id == got.id
    [log] = paddle.notification_logs.list(got.id, ListNotificationLogs(Pager(per_page=10)))
    assert (known(log).response_code, log.response_body) == (200, "thanks")
    assert log.response_content_type.startswith("text/plain")


def test_a_delivery_is_replayed(paddle: Client, shop: Shop, receiver: Receiver, setting: Any) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    [first] = receiver.wait_for("subscription.updated", about=subscription.id)
    original = first.event["notification_id"]
    wait_until(lambda: paddle.notifications.get(original).status == "delivered", "it is delivered")
    receiver.deliveries.clear()
    again = paddle.notifications.replay(original)
    [second] = receiver.wait_for("subscription.updated", about=subscription.id)
    assert second.event["notification_id"] == again != original
    assert delivered(second, setting).event_id == first.event["event_id"]
    assert second.event["data"] == first.event["data"]
    assert paddle.notifications.get(original).replayed_at is not None
    assert paddle.notifications.get(again).origin == "replay"
    with Refused(ApiError, "notification_replay_invalid_origin_type"):
        paddle.notifications.replay(again)


def test_what_was_refused_is_tried_again_and_can_not_be_replayed_yet(
    paddle: Client, shop: Shop, receiver: Receiver, setting: Any
) -> None:
    receiver.answer = 503
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    mine = ListNotifications(notification_setting_ids=[setting.id])
    wanted = NotificationStatus.NeedsRetry
    waiting = wait_until(
        lambda: next((each for each in paddle.notifications.list(mine) if each.status == wanted), None), "it is tried"
    )
    assert waiting.times_attempted >= 1
    assert waiting.retry_at > waiting.last_attempt_at
    assert [each.response_code for each in paddle.notification_logs.list(waiting.id)][:1] == [503]
    with Refused(ApiError, "notification_cannot_replay"):
        paddle.notifications.replay(waiting.id)
    receiver.answer = 200


def test_an_unsubscribed_event_is_not_sent(paddle: Client, shop: Shop, receiver: Receiver, setting: Any) -> None:
    paddle.notification_settings.update(setting.id, UpdateNotificationSetting(subscribed_events=[CANCELED]))
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    paddle.subscriptions.update(subscription.id, UpdateSubscription(scheduled_change=None))
    paddle.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    receiver.wait_for("subscription.canceled", about=subscription.id)
    mine = [each.event for each in receiver.deliveries if each.event["data"]["id"] == subscription.id]
    assert [each["event_type"] for each in mine] == ["subscription.canceled"]
