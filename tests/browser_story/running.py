"""A portal as an operator runs it: `portal serve` and `portal worker`, and a mail server they send to."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from portal import config, db, links
from portal.demo import seller
from portal.domain.subscriptions import Subscription
from tests import conftest, people
from tests.ports import free_port
from tests.smtp import MailServer, Received

PROGRAM = (sys.executable, "-c", "from portal.cli import main; main()")
BRAND = {
    "PORTAL_MAIL_FROM": "AeroEdit <billing@aeroedit.example>",
    "PORTAL_BRAND_NAME": "AeroEdit",
    "PORTAL_BRAND_LOGO": str(seller.DATA.parent / "logo.svg"),
    "PORTAL_BRAND_SUPPORT": "help@aeroedit.example",
    "PORTAL_BRAND_URL": "https://www.aeroedit.example",
}


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Asks until it is true, and gives the answer; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return answer


class RunningPortal:
    """`with RunningPortal(folder, database_url) as portal:` serves on portal.origin until the end of the block."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self.folder, self.port, self.mails = folder, free_port(), MailServer()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.key = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        ours = {
            "PORTAL_ENV": "development",
            "PORTAL_DATABASE_URL": database_url,
            "PORTAL_SECRET_KEYS": "the-secret-of-the-portal-in-the-browser-tests-1234",
            "PORTAL_BASE_URL": self.origin,
            "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{self.mails.port}",
        }
        self.environment = kept | BRAND | ours | {f"PORTAL_{name.upper()}": each for name, each in settings.items()}

    def __enter__(self) -> "RunningPortal":
        self.mails.start()
        self._start("serve", "--port", str(self.port))
        self._start("worker")
        try:
            wait_until(self._is_ready, "the server is ready", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a group of its own: it and its workers
                process.wait()
        self.mails.stop()

    def command(self, *words: str) -> str:
        """Runs a `portal` command; what it printed on stdout."""
        done = subprocess.run(
            [*PROGRAM, *words],
            cwd=config.ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"portal {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """What the seller's app gets for a request: the `data` of the answer."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = requests.request(method, self.origin + path, json=body, headers=headers, timeout=30)
        assert answer.ok, answer.text
        return answer.json()["data"]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Works on this portal's database, for as long as the block lasts, with its settings."""
        config.use(config.load({name: each for name, each in self.environment.items() if name.startswith("PORTAL_")}))
        db.connect(self.environment["PORTAL_DATABASE_URL"])
        try:
            yield
        finally:
            db.disconnect()
            config.use(conftest.SETTINGS)

    def link(self, page: str, subscription: str | None = None, customer: str | None = None, **more: Any) -> str:
        """A link as mails have it: to one page of a subscription, or to a customer's whole portal."""
        with self.inside():
            owner = customer or people.row(subscription or "").customer_id
            return links.page_url(page, customer_id=owner, subscription_id=subscription, **more)

    def new(self, email: str | None = None, **fields: Any) -> str:
        """A subscription of a customer of its own, active unless told otherwise; gives its id."""
        with self.inside():
            return people.subscription(people.customer(**{"email": email} if email else {}), **fields)

    def row(self, subscription: str) -> Subscription:
        """A subscription as the database has it now."""
        with self.inside():
            return people.row(subscription)

    def mailed(self, address: str, number: int) -> list[Received]:
        """Waits until somebody has got so many mails; gives them, oldest first."""
        return wait_until(
            lambda: (got := self.mails.to(address)) and len(got) >= number and got, f"{number} mails for {address}", 30
        )

    def mailed_link(self, address: str, page: str, after: int = 0) -> str:
        """Waits for a mail with a link to a page, whatever else somebody gets after their first `after` mails."""
        found = wait_until(
            lambda: [link for mail in self.mails.to(address)[after:] for link in links_in(mail, page)],
            f"a mail for {address} with a link to {page}",
            30,
        )
        assert len(found) == 1, f"{len(found)} links to {page} in the mails for {address}"
        return str(found[0])

    def log(self, part: str) -> str:
        return (self.folder / f"{part}.log").read_text()

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            self.processes[command[0]] = subprocess.Popen(
                [*PROGRAM, *command],
                cwd=config.ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        for name, process in self.processes.items():
            assert process.poll() is None, f"`portal {name}` has ended:\n{self.log(name)}"
        try:
            with urllib.request.urlopen(f"{self.origin}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def links_in(mail: Received, page: str) -> list[str]:
    """Every link of a mail that leads to a page."""
    return [word for word in mail.text.split() if word.startswith("http") and f"{page}?token=" in word]


def link_in(mail: Received, page: str) -> str:
    """The link of a mail that leads to a page, such as `/cancel`."""
    found = links_in(mail, page)
    assert len(found) == 1, f"{len(found)} links to {page} in the mail {mail.subject!r}"
    return found[0]
