"""`portal webhook …`: for whoever builds an endpoint."""

import click

from portal import config, db, destinations
from portal.domain import event_types
from portal.terminal import plain


@click.group()
def webhook() -> None:
    """Try out webhooks: an endpoint that shows them, and one that is sent on demand."""


@webhook.command()
@click.option("--port", default=9000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--secret", required=True, help="The destination's endpoint_secret_key.")
@click.option("--fail-first", default=0, help="Answer so many deliveries with 500 first.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many deliveries.")
def listen(port: int, secret: str, fail_first: int, count: int | None) -> None:
    """Take webhooks on 127.0.0.1, print each, and check both of its signatures."""
    from portal import server
    from portal.outbox.listening import Listener

    server.refuse_taken("127.0.0.1", port)
    listener = Listener(port, secret, fail_first=fail_first, say=click.echo)
    click.echo(f"Listening on http://127.0.0.1:{port}; PORTAL_WEBHOOK_PRIVATE=on lets the worker send there.", err=True)
    try:
        listener.listen(count)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


@webhook.command()
@click.argument("event", type=click.Choice(event_types.NAMES), metavar="EVENT")
@click.option("--setting", "setting_id", help="The destination (its id) to send to.")
@click.option("--to", "url", help="Any URL to send to; needs --secret.")
@click.option("--secret", help="What to sign with, for --to.")
def send(event: str, setting_id: str | None, url: str | None, secret: str | None) -> None:
    """Send a sample of a type of event, signed, and say what the endpoint answered. It is recorded nowhere."""
    from portal import webhook_trial

    if (setting_id is None) == (url is None) or (url is not None and secret is None):
        raise click.ClickException("Nothing was sent. Say where to: --setting ID, or --to URL with --secret S.")
    db.connect(config.current().database_url)
    secrets: tuple[str, ...] = (secret or "",)
    if setting_id is not None:
        url, secrets = _destination(setting_id)
    try:
        attempt = webhook_trial.send(event, url or "", secrets)
    except destinations.Unacceptable as why:
        raise click.ClickException(f"Nothing was sent: {why}.") from None
    if attempt.error:
        raise click.ClickException(f"Not delivered: {plain(attempt.error)}.")
    click.echo(f"{attempt.code} after {attempt.milliseconds} ms: {plain(attempt.body[:200])}")
    if not attempt.delivered:
        raise click.ClickException("Not delivered: only 200 counts.")


def _destination(setting_id: str) -> tuple[str, tuple[str, ...]]:
    from portal import sealing
    from portal.domain import notification_settings

    setting = notification_settings.get(setting_id)
    if setting.type != "url":
        raise click.ClickException("Nothing was sent: this destination is an email address.")
    try:
        return setting.destination, notification_settings.signing_secrets(setting)
    except sealing.Unreadable as why:
        raise click.ClickException(f"Nothing was sent: {why} Rotate the destination's secret.") from None
