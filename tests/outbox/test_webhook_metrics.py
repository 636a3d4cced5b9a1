"""What the operator sees of webhooks at /metrics."""

import re
from typing import Any

from flask import Flask

from portal import worker
from portal.outbox import webhooks
from tests.outbox import shop
from tests.receiver import Behaviour, Receiver

TOKEN = "a-token-for-metrics"


def metrics(app: Flask) -> dict[str, float]:
    text = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    return {name: float(value) for name, value in re.findall(r"^(portal_\S+) (\S+)$", text, re.M)}


def test_what_waits_how_long_and_which_endpoints_are_off(
    app: Flask, configure: Any, the_clock: Any, monkeypatch: Any
) -> None:
    configure(webhook_private=True, metrics_token=TOKEN)
    monkeypatch.setattr(webhooks, "_deliveries", webhooks.Deliveries())
    with Receiver() as receiver:
        shop.destination(receiver.url)
        shop.happen(2)
        the_clock.advance(seconds=30)
        assert metrics(app)["portal_event_overdue_seconds"] == 30
        worker.events()
        the_clock.advance(seconds=7)
        seen = metrics(app)
        assert (seen["portal_event_overdue_seconds"], seen["portal_webhook_overdue_seconds"]) == (0, 7)
        assert seen['portal_notifications{status="not_attempted"}'] == 2
        shop.work()
        seen = metrics(app)
        assert (seen["portal_webhook_overdue_seconds"], seen["portal_endpoints_off"]) == (0, 0)
        receiver.behaviour = Behaviour.GONE
        shop.happen()
        shop.work()
    seen = metrics(app)
    assert seen["portal_endpoints_off"] == 1
    assert seen['portal_notifications{status="failed"}'] == 1
    assert seen['portal_notifications{status="delivered"}'] == 2
    assert seen["portal_webhook_overdue_seconds"] == 0, "nothing waits for an endpoint that is off"
