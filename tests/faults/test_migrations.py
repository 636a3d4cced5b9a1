"""T27: the schema goes up and down on both engines, and a migration that is killed half-way resumes or rolls back."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from portal import cli, config, db
from portal.domain import (
    customers,
    listing,
    schema,
    search,
    sign_in,
    sign_in_links,
    staff,
    staff_sign_in,
    subscriptions,
)
from portal.domain.listing import Filters
from portal.domain.sign_in import SignInRequest
from portal.domain.staff import StaffMember
from portal.domain.staff_sign_in import StaffSignIn
from tests import people
from tests.faults import jobs
from tests.faults.processes import KILLED, start
from tests.listed import strays
from tests.staff import console

SEED = 27
FEW, MANY = 6, 40


@pytest.fixture
def empty(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without a single table, connected; gives its URL."""
    if db.is_postgresql():
        server = request.getfixturevalue("postgres")
        db.disconnect()
        name = database.rpartition("/")[2].partition("?")[0]
        server.drop_database(name)
        url = server.create_database(name)
    else:
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    connect(url)
    return url


def connect(url: str) -> None:
    config.use(replace(config.current(), database_url=url))
    db.connect(url)


def alembic() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(config.ROOT / "migrations"))
    return settings


def tables() -> set[str]:
    return set(inspect(db.engine()).get_table_names()) - {"alembic_version"}


def test_from_empty_to_the_newest_schema_and_back_and_up_again(empty: str) -> None:
    assert tables() == set()
    for _ in range(2):
        cli.upgrade()
        assert tables() == set(schema.metadata.tables)
        sub = people.subscription(people.customer())
        assert people.row(sub).status == "active"
        command.downgrade(alembic(), "base")
        assert tables() == set()
    cli.upgrade()
    cli.upgrade()
    assert tables() == set(schema.metadata.tables)


def test_the_migrations_make_what_the_models_say(empty: str) -> None:
    """`alembic check` raises if a new migration would have something to do."""
    cli.upgrade()
    command.check(alembic())


def test_upgrading_leaves_the_data_of_a_full_database_alone(database: str) -> None:
    sub = people.subscription(people.customer())
    before = {column: getattr(people.row(sub), column) for column in ("id", "status", "period_ends_at", "version")}
    cli.upgrade()
    assert {column: getattr(people.row(sub), column) for column in before} == before


@pytest.mark.parametrize("revision", ["0003", "0004"])
def test_the_list_is_kept_through_an_upgrade_and_back(empty: str, revision: str) -> None:
    cli.upgrade()
    owner = people.customer()
    people.subscription(owner)
    command.downgrade(alembic(), revision)
    people.subscription(owner, scheduled_action="cancel")
    cli.upgrade()
    people.subscription(owner, status="paused")
    with db.transaction():
        assert len(listing.page(Filters(search=search.normal("amelia"))).rows) == 3
    assert strays() == {}


def test_who_has_a_letter_that_is_told_apart_now_still_signs_in_after_an_upgrade_and_back(empty: str) -> None:
    cli.upgrade()
    who = people.customer("Jan Groß", email="Jan@Groß.example")
    command.downgrade(alembic(), "0005")
    assert _key_of(who) == "jan@gross.example"
    with db.transaction():
        sign_in_links.ask(SignInRequest, "sil_1", email_key="jan@gross.example", next_path="/portal")
    cli.upgrade()
    assert _key_of(who) == "jan@groß.example"
    with db.transaction():
        redeemed = sign_in.redeem("sil_1")
        assert redeemed is not None
        assert redeemed[0].id == who
        assert customers.by_email("JAN@groß.example") is not None
        assert customers.by_email("jan@gross.example") is None


def test_a_colleague_who_was_stored_in_another_spelling_still_signs_in_after_an_upgrade(empty: str) -> None:
    cli.upgrade()
    member = console.member(email="jan@groß.example")
    command.downgrade(alembic(), "0005")
    with db.transaction() as session:
        session.get_one(StaffMember, member.id).email = "jan@xn--gro-7ka.example"
        sign_in_links.ask(StaffSignIn, "ssi_1", email_key="jan@xn--gro-7ka.example", next_path="/console")
    cli.upgrade()
    with db.transaction():
        redeemed = staff_sign_in.redeem("ssi_1")
        assert redeemed is not None
        assert redeemed[0].id == member.id
        assert staff.addresses() == ["jan@groß.example"]


def _key_of(customer: str) -> str:
    with db.transaction():
        return customers.get(customer).email_key


@pytest.mark.parametrize(("status", "billed"), [("active", (4, 12000)), ("paused", (4, 12000)), ("trialing", (0, 0))])
def test_what_was_there_before_it_was_written_down_counts_as_billed(
    empty: str, status: str, billed: tuple[int, int]
) -> None:
    cli.upgrade()
    sub = people.subscription(people.customer(), status=status, price_id=people.price(3000), quantity=4)
    command.downgrade(alembic(), "0002")
    cli.upgrade()
    with db.transaction():
        [item] = subscriptions.get(sub).items
        assert (item.billed_quantity, item.billed_amount) == billed


@pytest.mark.parametrize("kills", [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_a_migration_killed_anywhere_leaves_a_database_that_the_next_one_completes(empty: str, kills: int) -> None:
    rng, points = random.Random(SEED), Counter[str]()
    print(f"seed {SEED}")
    for _ in range(kills):
        db.disconnect()
        code, said = start(jobs.migrate, die_at=rng.randint(1, 70)).finish()
        assert code in (0, KILLED), said
        points[said[-1] if code == KILLED else "lived"] += 1
        connect(config.current().database_url)
        left = tables()
        assert left in (set(), set(schema.metadata.tables)), f"half a schema: {sorted(left)}, killed {said}"
        cli.upgrade()
        assert tables() == set(schema.metadata.tables)
        command.check(alembic())
        command.downgrade(alembic(), "base")
    assert sum(count for point, count in points.items() if "CREATE" in point) > kills / 4, points


def test_two_servers_that_migrate_at_once_end_with_one_whole_schema(empty: str) -> None:
    db.disconnect()
    both = [start(jobs.migrate) for _ in range(2)]
    codes = [each.finish()[0] for each in both]
    print(codes)
    assert 0 in codes, codes
    connect(config.current().database_url)
    cli.upgrade()
    assert tables() == set(schema.metadata.tables)
    command.check(alembic())
