"""The programs of docs/guide-sdk.md, run as they stand there, against the demo's data."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from paddle_billing import Client
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Resources.Subscriptions.Operations import CancelSubscription

from portal.config import ROOT
from portal.demo import seller
from tests.browser_story.running import RunningPortal
from tests.sdk.receiver import Receiver
from tests.sdk.shop import Shop
from tests.sdk.test_node import FOLDER

PROGRAMS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "guide-sdk.md").read_text(), re.DOTALL | re.MULTILINE)
SUBSCRIPTION = "sub_01htymmb3hj0q9fmckjbtrmd73"
RUN = {
    "python": lambda program: [sys.executable, "-c", program],
    "js": lambda program: ["node", "--input-type=module", "--eval", program],
    "sh": lambda program: ["bash", "-euo", "pipefail", "-c", program],
}


def program(language: str, part: str) -> str:
    """The one program of the guide in this language that has this part."""
    [found] = [text for tongue, text in PROGRAMS if tongue == language and part in text]
    return found


@pytest.fixture(scope="session")
def run(portal: RunningPortal, key: str) -> Callable[..., str]:
    """Runs a program of the guide on the demo's data; what it printed."""
    portal.command("import", str(seller.DATA), "--shift")

    def running(language: str, text: str, **more: str) -> str:
        done = subprocess.run(
            RUN[language](text),
            cwd=FOLDER,
            env=os.environ | {"BASE": portal.origin, "KEY": key} | more,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return running


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_program_of_an_sdk_cancels_and_keeps(run: Callable[..., str], portal: RunningPortal, language: str) -> None:
    before = portal.row(SUBSCRIPTION)
    link, ends, billed = run(language, program(language, "Cancel page")).splitlines()
    assert link.startswith(f"Cancel page: {portal.origin}/portal/subscriptions/{SUBSCRIPTION}/cancel?token=pga_")
    assert ends.removeprefix("Ends at: ") == billed.removeprefix("Next billed at: ")
    assert f"{before.next_billed_at:%Y-%m-%d}" in billed
    assert portal.row(SUBSCRIPTION).next_billed_at == before.next_billed_at


def test_curl_cancels_and_keeps(run: Callable[..., str], portal: RunningPortal) -> None:
    before = portal.row(SUBSCRIPTION)
    said = run("sh", program("sh", "curl"))
    assert f"{portal.origin}/portal/subscriptions/{SUBSCRIPTION}/cancel?token=pga_" in said
    assert '"action":"cancel"' in said
    assert portal.row(SUBSCRIPTION).next_billed_at == before.next_billed_at


def test_what_was_sold_is_sold_again(run: Callable[..., str], portal: RunningPortal) -> None:
    assert run("python", program("python", "Pay here")).startswith(f"Pay here: {portal.origin}/")


def test_a_delivery_is_received(
    run: Callable[..., str], shop: Shop, paddle: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = shop.endpoint(receiver, [EventTypeName.SubscriptionUpdated])
    subscription = shop.subscribed()
    paddle.subscriptions.cancel(subscription.id, CancelSubscription())
    [delivery] = receiver.wait_for("subscription.updated", about=subscription.id)
    paddle.notification_settings.delete(setting.id)

    defined: dict[str, Callable[..., tuple[str, int]]] = {}
    exec(program("python", "def receive"), defined)
    monkeypatch.setenv("SECRET", setting.endpoint_secret_key)
    assert defined["receive"](delivery) == ("Thanks.", 200)
    assert defined["receive"](SimpleNamespace(headers=delivery.headers, body=b"{}")) == (
        "This is not from the portal.",
        403,
    )

    node = program("js", "function receive") + "\nawait receive(process.env.BODY, process.env.SIGNATURE)"
    sent = {"BODY": delivery.body.decode(), "SIGNATURE": delivery.headers["Paddle-Signature"]}
    said = run("js", node, SECRET=setting.endpoint_secret_key, **sent)
    assert said.strip() == f"subscription.updated {subscription.id} active"


def test_every_program_of_the_guide_is_run() -> None:
    assert [language for language, _ in PROGRAMS] == ["sh", "python", "js", "sh", "python", "js", "python"]
