"""The programs of docs/guide-apps.md and docs/guide-webhooks.md, run from top to bottom as somebody who reads them."""

import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config import ROOT
from portal.db import transaction
from portal.demo import seller
from portal.domain import api_keys
from portal.domain.actors import shell
from tests.browser_story.running import RunningPortal, wait_until
from tests.conftest import KINDS
from tests.ports import free_port
from tests.sdk.conftest import SETTINGS, fresh_portal
from tests.sdk.test_node import FOLDER

SUBSCRIPTION = "sub_01htymmb3hj0q9fmckjbtrmd73"


class Reader:
    """Runs one program after the other, with the ids of their own where the guide shows those of its writer."""

    def __init__(self, portal: RunningPortal, guide: str, folder: Path) -> None:
        self.portal, self.folder, self.port = portal, folder, free_port()
        text = (ROOT / "docs" / guide).read_text()
        self.programs = re.findall(r"^```(sh|python|js)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        self.made: dict[str, str] = {}
        with portal.inside(), transaction():
            self.key = api_keys.create("demo", api_keys.ALL_BUT_NAMED, by=shell())
        assert "export BASE=" in self.next("sh")

    @property
    def languages(self) -> list[str]:
        """Of the programs that are still to be run."""
        return [language for language, _ in self.programs]

    def run(self, language: str, **more: str) -> str:
        """What the next program printed."""
        done = subprocess.run(**self._started(language, more), capture_output=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self) -> list[Any]:
        """What the next program of curl was answered; ids of what it made are remembered."""
        said, answers = self.run("sh").strip(), []
        while said:
            answer, end = json.JSONDecoder().raw_decode(said)
            answers.append(answer)
            said = said[end:].strip()
        for answer in answers:
            data = answer.get("data") if isinstance(answer, dict) else None
            if isinstance(data, dict) and not data.get("id", "sub_").startswith("sub_"):
                self.made[data["id"].partition("_")[0]] = data["id"]
        return answers

    def data(self) -> Any:
        """The same, of one that is not refused."""
        [answer] = self.ask()
        assert "data" in answer, answer
        return answer["data"]

    @contextmanager
    def receiving(self, language: str, **more: str) -> Iterator[Any]:
        """The next program while it listens; gives what it has printed at the end."""
        said: list[str] = []
        process = subprocess.Popen(**self._started(language, more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is None and self._listens(), "it listens")
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            said.append(process.communicate(timeout=15)[0])

    def next(self, language: str) -> str:
        tongue, text = self.programs.pop(0)
        assert tongue == language, text
        return text

    def _started(self, language: str, more: dict[str, str]) -> dict[str, Any]:
        text = self.next(language).replace("9000", str(self.port))
        for prefix, id in self.made.items():
            text = re.sub(rf"{prefix}_[0-9a-z]{{26}}", id, text)
        run = {
            "python": [sys.executable, "-c", text],
            "js": ["node", "--input-type=module", "--eval", text],
            "sh": ["bash", "-euo", "pipefail", "-c", text],
        }
        env = os.environ | {"BASE": self.portal.origin, "KEY": self.key} | more
        return {"args": run[language], "cwd": FOLDER if language == "js" else self.folder, "env": env, "text": True}

    def _listens(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module", params=KINDS)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """The demo's data and settings."""
    settings = SETTINGS | {"return_origins": "https://app.aeroedit.example"}
    with fresh_portal(request, tmp_path_factory, "guides", **settings) as running:
        running.command("import", str(seller.DATA), "--shift")
        yield running


def test_the_guide_for_apps_from_top_to_bottom(demo: RunningPortal, tmp_path: Path) -> None:
    reader = Reader(demo, "guide-apps.md", tmp_path)
    command = shlex.split(reader.next("sh"))
    assert command[0] == "portal"
    assert demo.command(*command[1:]).startswith("pdl_live_apikey_")
    assert reader.data()["return_url"] == "https://app.aeroedit.example/account"
    reader.run("python")
    assert reader.ask() == [204]
    assert {"update_payment_method", "cancel", "expires_at"} <= set(reader.data()["management_urls"])
    order = reader.data()
    assert (order["status"], order["custom_data"]) == ("draft", {"order": "1042"})
    assert f"/portal/checkout/{order['id']}?token=pga_" in order["checkout"]["url"]
    assert reader.data()["id"] == order["id"]
    assert reader.run("python").startswith(f"{demo.origin}/portal/checkout/txn_")
    before = demo.row(SUBSCRIPTION)
    ending = reader.data()
    assert (ending["scheduled_change"]["action"], ending["next_billed_at"]) == ("cancel", None)
    assert reader.data()["scheduled_change"] is None
    assert demo.row(SUBSCRIPTION).next_billed_at == before.next_billed_at
    [refused] = reader.ask()
    assert (refused["error"]["code"], "subscription.cancel_immediately" in refused["error"]["detail"]) == (
        "forbidden",
        True,
    )
    assert reader.data()["cancellation"]["reason"] == "too_expensive"
    paused = reader.data()
    assert (paused["status"], paused["next_billed_at"]) == ("active", None)
    resumes = datetime.fromisoformat(paused["scheduled_change"]["resume_at"])
    assert timedelta(days=88) < resumes - datetime.now(UTC) < timedelta(days=91)
    assert reader.languages == []


def test_the_guide_to_webhooks_from_top_to_bottom(demo: RunningPortal, tmp_path: Path) -> None:
    reader = Reader(demo, "guide-webhooks.md", tmp_path)
    demo.key = reader.key
    made = reader.data()
    assert (made["active"], made["destination"]) == (True, f"http://127.0.0.1:{reader.port}/webhooks")
    secrets = {"SECRET": made["endpoint_secret_key"], "STANDARD_SECRET": made["standard_webhook_secret"]}

    with reader.receiving("python", **secrets):
        delivered = settled(demo, happen(demo), "delivered")
    [(first,)] = rows(tmp_path, "SELECT event_id FROM inbox")
    assert first == delivered["payload"]["event_id"]
    for language in ("js", "python"):
        with reader.receiving(language, **secrets) as said:
            subscription = happen(demo)
            settled(demo, subscription, "delivered")
        assert f"subscription.updated {subscription}" in said[0]
    reader.run("python")
    assert rows(tmp_path, "SELECT subscription_id, status FROM access") == [
        (delivered["payload"]["data"]["id"], "active")
    ]
    waiting = settled(demo, happen(demo), "needs_retry")
    reader.made["ntf"] = waiting["id"]
    listed, logs = reader.ask()
    assert [each["id"] for each in listed["data"]] == [waiting["id"]]
    assert logs["data"][0]["error"] == "the connection was refused"
    reader.made["ntf"] = delivered["id"]
    assert set(reader.data()) == {"notification_id"}
    assert reader.data()["active"]
    rotated = reader.data()
    assert rotated["endpoint_secret_key"] != made["endpoint_secret_key"]
    assert rotated["previous_secret_expires_at"] is not None
    reader.run("python")
    events = demo.api("GET", "/events?per_page=200")
    assert {id for (id,) in rows(tmp_path, "SELECT event_id FROM inbox")} == {each["event_id"] for each in events}
    reader.data()
    assert reader.languages == []


def happen(demo: RunningPortal) -> str:
    """A customer's subscription changes; its id."""
    subscription = demo.new()
    demo.api("POST", f"/subscriptions/{subscription}/cancel")
    return subscription


def settled(demo: RunningPortal, subscription: str, status: str) -> Any:
    """The notification of what happened to it, once it is so."""

    def found() -> Any:
        notes = demo.api("GET", f"/notifications?filter={subscription}&status={status}")
        return notes[0] if notes else None

    return wait_until(found, f"the notification is {status}")


def rows(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "inbox.db") as db:
        return db.execute(query).fetchall()
