"""`portal fill` and `portal bench`."""

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from portal import config, db

if TYPE_CHECKING:
    from portal.bench.measuring import Plan

FULL, QUICK = (1_000, 1_000_000), (1_000, 20_000)
_What = TypeVar("_What")
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
@click.option("--only-list", is_flag=True, help="Only the console's list; prints its tables and writes nothing.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=config.ROOT / "docs/performance.md")
def bench(quick: bool, databases: str, only_list: bool, output: Path) -> None:
    """Measure speed on this machine; print the tables and write them to docs/performance.md."""
    from portal.bench import load, measuring, report

    plan, say = _plan(quick, config.words(databases)), partial(click.echo, err=True)
    if only_list:
        click.echo(report.lists(_measured(plan, measuring.lists)))
        return
    load.require_wrk()
    page = report.page(plan, _measured(plan, partial(measuring.measure, say=say)), _REASONS.read_text(encoding="utf-8"))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    click.echo(page)


def _plan(quick: bool, kinds: tuple[str, ...]) -> "Plan":
    from portal.bench.databases import KINDS
    from portal.bench.measuring import Plan

    if unknown := set(kinds) - set(KINDS):
        raise click.ClickException(f"There is no database {min(unknown)}; there are: {', '.join(KINDS)}.")
    if quick:
        return Plan(kinds, QUICK, rounds=1, seconds=2, rounds_of_lists=1, due=1_000, events=100, queued=1_000)
    return Plan(kinds, FULL, rounds=3, seconds=2, rounds_of_lists=5, due=10_000, events=300, queued=5_000)


def _measured(plan: "Plan", measure: Callable[["Plan", str, Path], list[_What]]) -> list[_What]:
    """What is measured of each kind of database, in a folder of its own."""
    found: list[_What] = []
    for kind in plan.kinds:
        with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
            found += measure(plan, kind, Path(folder))
    return found
