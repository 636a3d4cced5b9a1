"""What an SDK does not look at: statuses, ids of requests, and what the portal adds."""

import uuid

from paddle_billing import Client
from paddle_billing.Entities.Shared import TaxCategory
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Resources.CustomerPortalSessions.Operations import CreateCustomerPortalSession
from paddle_billing.Resources.Products.Operations import CreateProduct

from tests.browser_story.running import RunningPortal, wait_until
from tests.sdk.checks import Refused, same
from tests.sdk.conftest import client
from tests.sdk.receiver import Receiver
from tests.sdk.shop import Shop


def test_a_repeated_request_is_carried_out_once(portal: RunningPortal, key: str) -> None:
    app, wanted = client(portal, key), CreateProduct("AeroEdit Pro", TaxCategory.Standard)
    app.client.headers["Idempotency-Key"] = str(uuid.uuid4())
    first, again = app.products.create(wanted), app.products.create(wanted)
    assert same(first, again)
    with Refused(ApiError, "idempotency_key_reused", 422):
        app.products.create(CreateProduct("Another", TaxCategory.Standard))
    app.client.headers["Idempotency-Key"] = str(uuid.uuid4())
    assert app.products.create(wanted).id != first.id


def test_every_answer_has_the_id_of_its_request(paddle: Client, shop: Shop) -> None:
    """The SDK keeps the last response of each of its clients."""
    paddle.products.get(shop.price().product_id)
    answer = paddle.products.response
    assert answer.headers["Request-Id"] == answer.json()["meta"]["request_id"]


def test_the_statuses_are_those_of_the_contract(paddle: Client, shop: Shop, receiver: Receiver) -> None:
    """The SDK takes any success; proxies, logs and other clients do not."""
    statuses = {}
    shop.customer()
    statuses["customer"] = paddle.status_code
    transaction = shop.transaction()
    statuses["transaction"] = paddle.status_code
    paddle.customer_portal_sessions.create(transaction.customer_id, CreateCustomerPortalSession())
    statuses["portal session"] = paddle.status_code
    setting = shop.endpoint(receiver, ["customer.created"])
    statuses["notification setting"] = paddle.status_code
    customer = shop.customer()
    [delivery] = receiver.wait_for("customer.created", about=customer.id)
    sent = delivery.event["notification_id"]
    wait_until(lambda: paddle.notifications.get(sent).status == "delivered", "it is delivered")
    paddle.notifications.replay(sent)
    statuses["replay"] = paddle.status_code
    paddle.notification_settings.delete(setting.id)
    statuses["delete"] = paddle.status_code
    assert statuses.pop("replay") == 202
    assert statuses.pop("delete") == 204
    assert set(statuses.values()) == {201}, statuses
