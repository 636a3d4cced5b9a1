"""Refusals become the SDK's typed exceptions, whoever refuses: the key, the path, the body, the rules."""

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from select import select
from typing import Any

import pytest
import requests
from paddle_billing import Client
from paddle_billing.Entities.DateTime import DateTime
from paddle_billing.Entities.Shared import CountryCode, CurrencyCode, Money, TaxCategory
from paddle_billing.Entities.Subscriptions import SubscriptionEffectiveFrom
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Exceptions.ApiErrors.CustomerApiError import CustomerApiError
from paddle_billing.Exceptions.ApiErrors.SubscriptionApiError import SubscriptionApiError
from paddle_billing.Resources.Addresses.Operations import CreateAddress
from paddle_billing.Resources.Customers.Operations import CreateCustomer
from paddle_billing.Resources.Prices.Operations import CreatePrice
from paddle_billing.Resources.Products.Operations import CreateProduct
from paddle_billing.Resources.Subscriptions.Operations import (
    CancelSubscription,
    PauseSubscription,
    ResumeSubscription,
    UpdateSubscription,
)

from tests.browser_story.running import RunningPortal
from tests.sdk.checks import Refused
from tests.sdk.conftest import client
from tests.sdk.shop import Shop

UNKNOWN = "01h00000000000000000000000"
NOW = SubscriptionEffectiveFrom.Immediately


def test_a_wrong_key_is_refused(portal: RunningPortal) -> None:
    with Refused(ApiError, "invalid_token", 403):
        client(portal, f"pdl_live_apikey_{UNKNOWN}_{'x' * 32}").customers.list()
    with Refused(ApiError, "authentication_malformed", 403):
        client(portal, "").customers.list()


def test_a_key_may_only_do_what_it_was_made_for(portal: RunningPortal, new_key: Callable[..., str], shop: Shop) -> None:
    reader = client(portal, new_key("subscription.read"))
    subscription = shop.subscribed()
    assert reader.subscriptions.get(subscription.id).id == subscription.id
    with Refused(ApiError, "forbidden", 403):
        reader.subscriptions.cancel(subscription.id, CancelSubscription())
    with Refused(ApiError, "forbidden", 403):
        reader.customers.list()
    assert shop.paddle.subscriptions.get(subscription.id).scheduled_change is None


def test_to_cancel_at_once_must_be_allowed_by_name(
    portal: RunningPortal, new_key: Callable[..., str], shop: Shop
) -> None:
    app = client(portal, new_key("subscription.read", "subscription.write"))
    subscription = shop.subscribed()
    with Refused(ApiError, "forbidden", 403):
        app.subscriptions.cancel(subscription.id, CancelSubscription(NOW))
    assert app.subscriptions.cancel(subscription.id, CancelSubscription()).scheduled_change.action == "cancel"


@pytest.mark.parametrize(
    "ask",
    [
        lambda p: p.products.get(f"pro_{UNKNOWN}"),
        lambda p: p.prices.get(f"pri_{UNKNOWN}"),
        lambda p: p.customers.get(f"ctm_{UNKNOWN}"),
        lambda p: p.addresses.list(f"ctm_{UNKNOWN}"),
        lambda p: p.businesses.get(f"ctm_{UNKNOWN}", f"biz_{UNKNOWN}"),
        lambda p: p.payment_methods.delete(f"ctm_{UNKNOWN}", f"paymtd_{UNKNOWN}"),
        lambda p: p.subscriptions.get(f"sub_{UNKNOWN}"),
        lambda p: p.subscriptions.activate(f"sub_{UNKNOWN}"),
        lambda p: p.subscriptions.list_history(f"sub_{UNKNOWN}"),
        lambda p: p.transactions.get_invoice_pdf(f"txn_{UNKNOWN}"),
        lambda p: p.notification_settings.delete(f"ntfset_{UNKNOWN}"),
        lambda p: p.notifications.replay(f"ntf_{UNKNOWN}"),
        lambda p: p.notification_logs.list(f"ntf_{UNKNOWN}"),
    ],
)
def test_an_unknown_id_is_not_found(paddle: Client, ask: Callable[[Client], Any]) -> None:
    with Refused(ApiError, "not_found", 404) as refused:
        ask(paddle)
    assert UNKNOWN in refused.error.detail


def test_what_the_portal_has_not_is_a_typed_error_too(paddle: Client) -> None:
    with Refused(ApiError, "invalid_url", 404):
        paddle.discounts.list()


def test_a_body_without_end_is_a_typed_error_too(paddle: Client) -> None:
    with Refused(ApiError, "request_body_too_large", 413):
        paddle.products.create(CreateProduct("x" * 5_000_000, TaxCategory.Standard))


def test_a_body_without_end_that_comes_in_chunks_is_answered_alike(portal: RunningPortal, key: str) -> None:
    head, bearer = b'{"name": "Pro", "tax_category": "saas"}', {"Authorization": f"Bearer {key}"}
    for more in (1_000_000, 3_000_000):
        parts = iter([head, *[b" " * 100_000] * (more // 100_000)])
        answer = requests.post(f"{portal.origin}/products", data=parts, headers=bearer, timeout=30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_body_too_large")
    whole = requests.post(f"{portal.origin}/products", data=iter([head, b" " * 100_000]), headers=bearer, timeout=30)
    assert whole.json()["data"]["name"] == "Pro"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(("path", "status"), [("/products", 403), ("/no-such-thing", 404), ("/portal/sign-out", 403)])
def test_who_is_refused_before_their_body_has_come_is_still_connected(
    portal: RunningPortal, path: str, status: int, chunked: bool
) -> None:
    """An app that keeps its connection would lose what it asks next: a body that comes after its head is the rule."""
    kind, body = ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n") if chunked else ("Content-Length: 2", b"{}")
    with closing(HTTPConnection("127.0.0.1", portal.port, timeout=30)) as connection:
        connection.connect()
        line = connection.sock
        line.sendall(f"POST {path} HTTP/1.1\r\nHost: portal\r\n{kind}\r\n\r\n".encode())
        readable, _, _ = select([line], [], [], 0.3)
        assert readable == [], "it is answered before it has said all"
        line.sendall(body)
        answer = HTTPResponse(line, method="POST")
        answer.begin()
        answer.read()
        assert (answer.status, answer.getheader("Connection")) == (status, None)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200


def test_what_the_server_itself_refuses_has_no_body(portal: RunningPortal, key: str) -> None:
    """Before the portal sees it, so that no code can be said; lists take far less than fits into a URL."""
    url, bearer = f"{portal.origin}/subscriptions", {"Authorization": f"Bearer {key}"}
    answers = {
        ids: requests.get(url, params={"id": ",".join([f"sub_{UNKNOWN}"] * ids)}, headers=bearer, timeout=30)
        for ids in (200, 201, 3000)
    }
    assert {ids: each.status_code for ids, each in answers.items()} == {200: 200, 201: 400, 3000: 414}
    assert answers[201].json()["error"]["errors"][0]["field"] == "id"
    assert answers[3000].content == b""
    assert requests.get(url, headers=bearer | {"X-Long": "x" * 1_000_000}, timeout=30).status_code == 431


def test_the_wrong_fields_are_named(paddle: Client, shop: Shop) -> None:
    with Refused(CustomerApiError, "customer_email_invalid") as refused:
        paddle.customers.create(CreateCustomer("nobody"))
    assert refused.fields == ["email"]
    with Refused(ApiError, "invalid_field") as refused:
        paddle.products.create(CreateProduct("", TaxCategory("spaceships")))
    assert sorted(refused.fields) == ["name", "tax_category"]
    with Refused(ApiError, "invalid_field") as refused:
        paddle.addresses.create(shop.customer().id, CreateAddress(CountryCode.US))
    assert refused.fields == ["postal_code"]
    with Refused(ApiError, "invalid_field") as refused:
        paddle.prices.create(CreatePrice("Odd", shop.price().product_id, Money("-1", CurrencyCode.USD)))
    assert refused.fields == ["unit_price.amount"]
    assert all(each.error for each in refused.error.field_errors)


def test_a_second_cancellation_is_refused(paddle: Client, shop: Shop) -> None:
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    with Refused(SubscriptionApiError, "subscription_locked_pending_changes") as refused:
        paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    assert refused.error.docs_url.startswith(f"{shop.portal.origin}/docs/")
    assert refused.error.field_errors == ()


def test_nothing_brings_a_canceled_subscription_back(paddle: Client, shop: Shop) -> None:
    gone, nothing_scheduled = shop.subscribed().id, UpdateSubscription(scheduled_change=None)
    paddle.subscriptions.cancel(gone, CancelSubscription(NOW))
    for code, ask in (
        ("subscription_update_when_canceled", lambda p: p.cancel(gone, CancelSubscription(NOW))),
        ("subscription_update_when_canceled", lambda p: p.update(gone, nothing_scheduled)),
        ("subscription_is_canceled_action_invalid", lambda p: p.pause(gone, PauseSubscription())),
        ("subscription_is_canceled_action_invalid", lambda p: p.resume(gone, ResumeSubscription())),
    ):
        with Refused(SubscriptionApiError, code):
            ask(paddle.subscriptions)


def test_only_paused_ones_are_resumed(paddle: Client, shop: Shop) -> None:
    with Refused(SubscriptionApiError, "subscription_must_be_paused"):
        paddle.subscriptions.resume(shop.subscribed().id, ResumeSubscription())


def test_a_subscription_is_locked_shortly_before_it_is_billed(paddle: Client, shop: Shop) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=20)
    subscription = shop.subscribed(next_billed_at=soon, period_ends_at=soon)
    with Refused(SubscriptionApiError, "subscription_locked_renewal", 409):
        paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    with Refused(SubscriptionApiError, "subscription_locked_renewal", 409):
        paddle.subscriptions.update(
            subscription.id, UpdateSubscription(next_billed_at=DateTime("2027-01-01T00:00:00Z"))
        )


def test_who_asks_too_often_is_told_when_to_come_back(sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "portal.db")
    with RunningPortal(tmp_path, f"sqlite:///{tmp_path / 'portal.db'}", api_requests_per_minute="2") as busy:
        app = client(busy, busy.command("api-key", "create", "--name", "busy", "--permissions", "product.read"))
        app.products.list(), app.products.list()
        with pytest.raises(ApiError) as refused:
            app.products.list()
    assert (refused.value.error_code, refused.value.error_type) == ("too_many_requests", "api_error")
    assert 0 < refused.value.retry_after <= 60
