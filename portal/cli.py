"""The `portal` command. Every subcommand says what it does in `--help`."""

import secrets
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from portal import __version__, config, db
from portal.bench.commands import bench, fill
from portal.config import ROOT, ConfigError
from portal.outbox.commands import webhook
from portal.terminal import plain


class _Portal(click.Group):
    """Settings that are wrong, and refusals, end a command with one clear line instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:
        from sqlalchemy.exc import DBAPIError

        from portal.errors import Refusal

        try:
            return super().invoke(context)
        except ConfigError as wrong:
            raise click.ClickException(str(wrong)) from None
        except Refusal as refused:
            raise click.ClickException(refused.detail) from None
        except DBAPIError as trouble:
            raise click.ClickException(f"The database does not answer as it should: {trouble.orig}") from None


@click.group(cls=_Portal)
@click.version_option(__version__)
def main() -> None:
    """A self-hosted customer self-service portal for subscriptions."""


@main.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    _connect()
    upgrade()
    click.echo("The database has the newest schema.", err=True)


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True)
def serve(port: int, host: str) -> None:
    """Serve the portal; one log line a request on stderr, ready when /readyz answers 200."""
    from portal import server

    config.current()
    server.refuse_taken(host, port)
    server.serve(host, port)


@main.command()
def worker() -> None:
    """Carry out what is due: changes, renewals, mails. Any number at once, on any number of machines."""
    from portal import logs
    from portal import worker as working

    logs.start()
    _connect()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: working.stop())
    working.run()


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--fresh", is_flag=True, help="Begin again with the demo's first data.")
def demo(port: int, fresh: bool) -> None:
    """A seller with real-looking data, server and worker together, a mailbox; prints links to click."""
    from portal.demo import run

    run.demo(port, fresh)


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--shift", is_flag=True, help="Move all instants of the file so that its periods are current.")
def import_file(file: Path, shift: bool) -> None:
    """Load customers, addresses, businesses, products, prices and subscriptions from JSON in the API's own shapes."""
    from portal import importing

    _connect()
    try:
        with click.progressbar(length=1, label="Importing", file=sys.stderr) as bar:

            def progress(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            summary = importing.load(file, shift=shift, progress=progress)
    except importing.ImportRefused as refused:
        raise click.ClickException("\n".join(map(str, refused.lines))) from None
    click.echo(str(summary))


@main.group("api-key")
def api_key() -> None:
    """Make, list and revoke the keys of apps."""


@api_key.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--permissions", default="", help="Comma-separated, e.g. subscription.read,customer_portal_session.write")
@click.option("--all", "everything", is_flag=True, help="Every permission but subscription.cancel_immediately.")
def create_key(name: str, permissions: str, everything: bool) -> None:
    """Print a new key, once, alone on stdout."""
    from portal.domain import api_keys
    from portal.domain.actors import shell

    granted = [*config.words(permissions), *(api_keys.ALL_BUT_NAMED if everything else ())]
    if not granted:
        raise click.ClickException("Name what the key may do: --permissions P,… or --all.")
    _connect()
    try:
        with db.transaction():
            click.echo(api_keys.create(name, granted, by=shell()))
    except ValueError as unknown:
        raise click.ClickException(f"No key was made: {unknown}.") from None


@api_key.command("list")
def list_keys() -> None:
    """Show each key's id, name, state and permissions; never the key."""
    from portal.domain import api_keys

    _connect()
    for key in api_keys.all_keys():
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
        click.echo(f"{key.id}  {plain(key.name)}  {state}  {','.join(key.permissions)}")


@api_key.command("revoke")
@click.argument("key_id")
def revoke_key(key_id: str) -> None:
    """Refuse a key from the next request on."""
    from portal.domain import api_keys
    from portal.domain.actors import shell

    _connect()
    with db.transaction():
        api_keys.revoke(key_id, by=shell())
    click.echo("Revoked.", err=True)


@main.command("requests")
@click.argument("request_id", required=False)
@click.option("--key", "key_id", help="Only those of one key (its id).")
@click.option("--errors", is_flag=True, help="Only those that were refused.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
def requests(request_id: str | None, key_id: str | None, errors: bool, last: int) -> None:
    """Show what apps asked of the API and how it was answered: one request by its id, or the latest."""
    from portal import request_log

    _connect()
    if request_id is not None:
        found = request_log.find(request_id)
        if found is None:
            raise click.ClickException(f"No request {request_id} is known; they are kept for 30 days.")
        for name in found.__table__.c.keys():  # noqa: SIM118
            click.echo(f"{name:13} {plain(getattr(found, name))}")
        return
    for each in request_log.latest(last, key_id=key_id, only_errors=errors):
        what = f"{each.status} {each.error_code or ''}".strip()
        asked = plain(f"{each.key_name} {each.method} {each.path}")
        click.echo(f"{each.at:%Y-%m-%d %H:%M:%S} {each.id} {asked} {what}")


@main.group()
def staff() -> None:
    """The seller's people."""


@staff.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice(["support", "admin"]), help="Default: support; the first person is an admin.")
@click.option("--name", help="What customers' histories and colleagues read.")
def add_staff(email: str, role: str | None, name: str | None) -> None:
    """Add somebody who may use the console, or change their role or name."""
    from portal import email_address
    from portal.domain import staff as people
    from portal.domain.actors import shell

    try:
        email_address.normalized(email)
    except email_address.NoAddress as wrong:
        raise click.ClickException(f"Nobody was added: {wrong}") from None
    _connect()
    with db.transaction():
        member = people.add(email, role=role, name=name, by=shell())
        told = f"{member.email} is on the staff as {member.role}. Sign in: {config.current().base_url}/console"
    click.echo(told, err=True)


@staff.command("list")
def list_staff() -> None:
    """Show everybody's address, role, name, and in how many browsers they are signed in."""
    from portal.domain import staff as people
    from portal.domain import staff_sessions

    _connect()
    sign_ins = staff_sessions.counted()
    for each in people.everybody():
        click.echo(f"{each.email}  {each.role}  {plain(each.name)}  signed in: {sign_ins.get(each.id, 0)}")


@staff.command("remove")
@click.argument("email")
def remove_staff(email: str) -> None:
    """Take somebody off the staff; they are signed out everywhere, their passkeys and the links they made end."""
    from portal.domain import staff as people
    from portal.domain.actors import shell

    _connect()
    with db.transaction():
        member = _colleague(email)
        people.remove(people.get(member.id), by=shell())
    click.echo(f"{member.email} is off the staff.", err=True)


@staff.command("link")
@click.argument("email")
def staff_link(email: str) -> None:
    """Print a fresh link that signs somebody in, once, alone on stdout; for when no mail server works."""
    from portal import links
    from portal.domain import staff_sign_in
    from portal.domain.actors import shell

    _connect()
    with db.transaction():
        made = staff_sign_in.hand_out(_colleague(email), by=shell())
    click.echo(links.staff_sign_in_url(made.id, expires_at=made.expires_at, issued_at=made.created_at))


@main.command()
@click.argument("customer")
@click.option("--subscription", help="Open one subscription's page.")
@click.option("--page", type=click.Choice(["portal", "subscription", "cancel", "keep", "payment"]), default=None)
def link(customer: str, subscription: str | None, page: str | None) -> None:
    """Print a fresh link for a customer, alone on stdout; what support sends them."""
    from portal import links
    from portal.domain import customers, subscriptions

    _connect()
    found = customers.get(customer)
    if subscription is not None:
        subscriptions.get(subscription, customer_id=found.id)
    page = page or ("subscription" if subscription else "portal")
    if (page == "portal") != (subscription is None):
        raise click.ClickException("The portal takes no --subscription; every other page needs one.")
    click.echo(links.page_url(page, customer_id=found.id, subscription_id=subscription))


@main.command("sign-out")
@click.argument("customer")
def sign_out(customer: str) -> None:
    """Sign a customer out everywhere and make every link sent to them so far useless."""
    from portal.domain import browser_sessions, customers, sign_in

    _connect()
    with db.transaction():
        found = customers.get(customer)
        browser_sessions.end_all_of(found.id)
        sign_in.void(found.email)
    click.echo("Signed out everywhere; links sent before now no longer work.", err=True)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document of the seller API."""
    from portal.api import openapi as document

    click.echo(document.text())


@main.command()
def secret() -> None:
    """Print a fresh secret for PORTAL_SECRET_KEYS."""
    click.echo(secrets.token_urlsafe(48))


@main.command()
def settings() -> None:
    """List every setting with its meaning, default and value, and where that comes from; secrets are not shown."""
    from dataclasses import fields

    told = _known_settings()
    for each in fields(config.Config):
        default = each.metadata["default"].replace(str(ROOT) + "/", "")
        click.echo(f"PORTAL_{each.name.upper()}\n    {each.metadata['meaning']}\n    default: {default or 'none'}")
        if told is not None and (source := config.source(each.name)) != "default":
            value = "not shown" if each.name in _SECRETS else config.written(each.name, getattr(told, each.name))
            click.echo(f"    from the {source}: {plain(value) or 'none'}")


_SECRETS = ("database_url", "secret_keys", "metrics_token", "smtp_url")


def _known_settings() -> config.Config | None:
    """What is in force, if that can be told; a database that is not there is not made."""
    from sqlalchemy.engine import make_url

    try:
        url = make_url(config.current().database_url)
    except ConfigError as wrong:
        click.echo(f"Their values can't be told: {wrong}", err=True)
        return None
    if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
        _connect()
    if config.overlaid() is None:
        click.echo("What is set in the console is not known: the database does not answer.", err=True)
    return config.current()


def _colleague(email: str) -> Any:
    from portal.domain import staff as people

    member = people.by_email(email)
    if member is None:
        raise click.ClickException(f"Nobody on the staff has the address {plain(email)}. Nothing was changed.")
    return member


main.add_command(bench)
main.add_command(fill)
main.add_command(webhook)


def upgrade() -> None:
    """Runs the migrations on the connected database, if any is missing."""
    if db.version() == _newest_version():
        return
    from alembic import command
    from alembic.config import Config

    alembic = Config()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))
    command.upgrade(alembic, "head")


def _newest_version() -> str:
    return max(path.name for path in (ROOT / "migrations" / "versions").glob("*.py")).partition("_")[0]


def _connect() -> None:
    """The database, and what the seller has set in the console; a schema that is to come yet knows no settings."""
    from portal.domain import seller_settings

    db.connect(config.current().database_url)
    seller_settings.refresh(timedelta())
