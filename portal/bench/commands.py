"""`portal fill` and `portal bench`."""

import click

from portal import config, db


@click.command()
@click.option("--subscriptions", default=1000, show_default=True, type=click.IntRange(1, 50_000_000))
@click.option("--yes", is_flag=True, help="Also into a database that holds data of its own.")
def fill(subscriptions: int, yes: bool) -> None:
    """Fill the database with made-up subscriptions, to rehearse with."""
    from portal.bench import filling

    db.connect(config.current().database_url)
    if not yes and (filling.holds_real_data() or not config.current().development):
        raise click.ClickException("This may be a database with real customers in it; --yes fills it all the same.")
    with click.progressbar(length=subscriptions, label="Filling", file=click.get_text_stream("stderr")) as bar:
        filling.fill(subscriptions, bar.update)
