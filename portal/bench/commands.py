"""`portal fill` and `portal bench`."""

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portal import config, db

if TYPE_CHECKING:
    from portal.bench.measuring import Measured, Plan

FULL, QUICK = (1_000, 1_000_000), (1_000, 20_000)
_REASONS = Path(__file__).with_name("reasons.md")


@click.command()
@click.option("--subscriptions", default=1000, show_default=True, type=click.IntRange(1, 50_000_000))
@click.option("--yes", is_flag=True, help="Also in production, or beside data that was not made up.")
def fill(subscriptions: int, yes: bool) -> None:
    """Fill the database with made-up subscriptions, to rehearse with."""
    from portal.bench import filling

    db.connect(config.current().database_url)
    if not yes and (filling.holds_real_data() or not config.current().development):
        raise click.ClickException("This may be a database with real customers in it; --yes fills it all the same.")
    with click.progressbar(length=subscriptions, label="Filling", file=sys.stderr) as bar:
        filling.fill(subscriptions, bar.update)


@click.command()
@click.option("--quick", is_flag=True, help="One short run of everything, at 1,000 and 20,000 subscriptions.")
@click.option("--databases", default="sqlite,postgresql", show_default=True, help="Which to measure.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=config.ROOT / "docs/performance.md")
def bench(quick: bool, databases: str, output: Path) -> None:
    """Measure speed on this machine; print the tables and write them to docs/performance.md."""
    from portal.bench import load, report

    load.require_wrk()
    plan = _plan(quick, config.words(databases))
    page = report.page(plan, list(_measured(plan)), _REASONS.read_text(encoding="utf-8"))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    click.echo(page)


def _plan(quick: bool, kinds: tuple[str, ...]) -> "Plan":
    from portal.bench.databases import KINDS
    from portal.bench.measuring import Plan

    if unknown := set(kinds) - set(KINDS):
        raise click.ClickException(f"There is no database {min(unknown)}; there are: {', '.join(KINDS)}.")
    if quick:
        return Plan(kinds, QUICK, rounds=1, seconds=2, due=1_000, events=100, queued=1_000)
    return Plan(kinds, FULL, rounds=3, seconds=2, due=10_000, events=300, queued=5_000)


def _measured(plan: "Plan") -> Iterator["Measured"]:
    from portal.bench import measuring

    for kind, size in product(plan.kinds, plan.sizes):
        click.echo(f"{kind}, {size:,} subscriptions", err=True)
        with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
            yield measuring.measure(plan, kind, size, Path(folder), partial(click.echo, err=True))
