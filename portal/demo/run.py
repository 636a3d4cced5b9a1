"""Runs the demo: database, data, mailbox, server and worker together, until Ctrl-C."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import click
from sqlalchemy import func, select

from portal import cli, config, db, links, server
from portal.config import ROOT
from portal.db import session, transaction
from portal.demo import mailbox, seller
from portal.domain import api_keys, staff_sign_in
from portal.domain.actors import shell
from portal.domain.subscriptions import Subscription

_CUSTOMER, _SUBSCRIPTION = "ctm_01htymkpj07kjy7p5q1vzqpk70", "sub_01htymmb3hj0q9fmckjbtrmd73"
_LOGO = Path(__file__).parent / "data" / "logo.svg"
_HOME = ROOT / "instance" / "demo"


@dataclass(frozen=True)
class Part:
    name: str
    process: subprocess.Popen[bytes]


def demo(port: int, fresh: bool) -> None:
    """Prints what to click and keeps everything running until it is told to stop."""
    server.refuse_taken("127.0.0.1", port)
    signal.signal(signal.SIGTERM, _stop_on_signal)
    if fresh:
        shutil.rmtree(_HOME, ignore_errors=True)
    (_HOME / "mails").mkdir(parents=True, exist_ok=True)
    smtp = mailbox.start_server(_HOME / "mails")
    environment = _environment(port, smtp.port)
    config.use(config.load(environment))
    _prepare()
    key = _fresh_key()
    parts = [_start(environment, "serve", "--port", str(port)), _start(environment, "worker")]
    try:
        _wait_until_ready(parts)
        click.echo(_what_to_click(key))
        _wait_until_stopped(parts)
    except KeyboardInterrupt:
        click.echo("\nStopping …")
    finally:
        _stop(parts)
        smtp.stop()
        click.echo("The demo has stopped.")


def _environment(port: int, smtp_port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    ours = {
        "PORTAL_ENV": "development",
        "PORTAL_DATABASE_URL": f"sqlite:///{_HOME / 'portal.db'}",
        "PORTAL_SECRET_KEYS": _secret(_HOME / "secret"),
        "PORTAL_BASE_URL": f"http://127.0.0.1:{port}",
        "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "PORTAL_MAIL_FROM": "AeroEdit <billing@aeroedit.example>",
        "PORTAL_BRAND_NAME": "AeroEdit",
        "PORTAL_BRAND_LOGO": str(_LOGO),
        "PORTAL_BRAND_SUPPORT": "help@aeroedit.example",
        "PORTAL_BRAND_ADDRESS": "1 Runway Road|Springfield|Tax ID 00-0000000",
        "PORTAL_RETURN_ORIGINS": "https://app.aeroedit.example",
        "PORTAL_DEMO_MAILBOX": str(_HOME / "mails"),
        "PORTAL_WEB_WORKERS": "1",
        "PORTAL_WEBHOOK_PRIVATE": "on",
    }
    return kept | ours


def _secret(path: Path) -> str:
    """The demo's own secret, kept so that links of yesterday still work."""
    if not path.exists():
        path.write_text(secrets.token_urlsafe(48))
        path.chmod(0o600)
    return path.read_text()


def _prepare() -> None:
    """The newest schema; the first data, if the database is empty."""
    db.connect(config.current().database_url)
    cli.upgrade()
    if session().scalar(select(func.count()).select_from(Subscription)):
        return
    click.echo("Loading the demo's seller …")
    seller.load()


def _fresh_key() -> str:
    """A key for this run; those of earlier runs no longer work."""
    with transaction():
        for key in api_keys.all_keys():
            api_keys.revoke(key.id, by=shell())
        return api_keys.create("demo", api_keys.ALL_BUT_NAMED, by=shell())


def _start(environment: dict[str, str], *command: str) -> Part:
    log = (_HOME / f"{command[0]}.log").open("ab")
    program = [sys.executable, "-c", "from portal.cli import main; main()", *command]
    process = subprocess.Popen(program, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    log.close()
    return Part(command[0], process)


def _wait_until_ready(parts: list[Part]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _refuse_ended(parts)
        try:
            with urllib.request.urlopen(f"{config.current().base_url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise click.ClickException(f"The server was not ready within 30 seconds. Its log: {_HOME / 'serve.log'}")


def _wait_until_stopped(parts: list[Part]) -> None:
    while True:
        _refuse_ended(parts)
        time.sleep(0.5)


def _stop_on_signal(*_: object) -> None:
    raise KeyboardInterrupt


def _refuse_ended(parts: list[Part]) -> None:
    for part in parts:
        if part.process.poll() is not None:
            raise click.ClickException(f"The {part.name} part has ended. Its log: {_HOME / (part.name + '.log')}")


def _stop(parts: list[Part]) -> None:
    for part in parts:
        part.process.terminate()
    for part in parts:
        try:
            part.process.wait(10)
        except subprocess.TimeoutExpired:
            part.process.kill()


def _console_links() -> list[str]:
    """A link for each of the demo's people."""
    people = seller.people()
    with transaction():
        made = [staff_sign_in.hand_out(each, by=shell()) for each in people]
    return [links.staff_sign_in_url(m.id, expires_at=m.expires_at, issued_at=m.created_at) for m in made]


def _what_to_click(key: str) -> str:
    base = config.current().base_url
    overview = links.page_url("portal", customer_id=_CUSTOMER)
    cancel, payment = (
        links.page_url(page, customer_id=_CUSTOMER, subscription_id=_SUBSCRIPTION) for page in ("cancel", "payment")
    )
    ada, sam = _console_links()
    db.close()
    return f"""
AeroEdit's portal is running. Follow a link as one of its customers:

  Portal overview     {overview}

  Cancel              {cancel}

  Replace the card    {payment}
                      (test card 4242 4242 4242 4242, any future date, any code)

  Every mail sent     {base}/mailbox
  Sign in by email    {base}/portal/sign-in

Or sign in to the console, as one of its people; each link works once, and {base}/console/sign-in mails another:

  Ada, an admin       {ada}

  Sam, of support     {sam}

As the seller's app, open a portal session with this API key:

  {key}

  curl -s {base}/customers/{_CUSTOMER}/portal-sessions \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"subscription_ids": ["{_SUBSCRIPTION}"]}}'

Logs: {_HOME.relative_to(ROOT)}/serve.log and worker.log. Begin again: portal demo --fresh.
Press Ctrl-C to stop.
"""
