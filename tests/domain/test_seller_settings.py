"""What is set in the console lies over the environment: in every process, and never in the way of a start."""

import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from portal import cli, clock, config, db, worker
from portal.db import session, transaction
from portal.domain import cancellation, logos, seller_settings
from portal.domain.seller_settings import SellerFile, SellerSetting, Unusable
from portal.errors import Changed
from tests.faults import processes
from tests.person import Person
from tests.staff import console

AT_ONCE = timedelta()
DRAWING = logos.judge(b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>')


def change(seen: int | None = None, logo: Any = None, **wanted: str | None) -> list[seller_settings.Change]:
    by = console.acting("admin", "Ada Admin")
    with transaction():
        changed = seller_settings.change(
            wanted, by=by, seen=config.overlaid() or 0 if seen is None else seen, logo=logo
        )
    seller_settings.refresh(AT_ONCE)
    return changed


def store(name: str, value: Any) -> None:
    """What another process, or another release, has written."""
    with transaction():
        counter = session().get(SellerSetting, "version")
        if counter is None:
            counter = SellerSetting(name="version", value="0", updated_at=clock.now(), updated_by="")
            session().add(counter)
        counter.value = str(int(counter.value) + 1)
        session().merge(SellerSetting(name=name, value=value, updated_at=clock.now(), updated_by="x"))


def test_what_is_set_goes_before_the_environment_and_can_be_taken_back(database: str) -> None:
    assert [each.new for each in change(brand_name="Skylark Tools", renewal_lock="1h")] == ["Skylark Tools", "1h"]
    assert config.current().brand_name == "Skylark Tools"
    assert config.current().renewal_lock == timedelta(hours=1)
    assert config.environment().brand_name == "AeroEdit"
    assert config.source("brand_name") == "console"
    [back] = change(brand_name=None)
    assert (back.old, back.new) == ("Skylark Tools", "AeroEdit")
    assert config.current() == replace(config.environment(), renewal_lock=timedelta(hours=1))
    assert config.source("brand_name") == "default"


def test_every_value_reads_as_it_was_written(database: str) -> None:
    for name in seller_settings.SETTABLE:
        value = getattr(config.current(), name)
        assert config.read(name, config.written(name, value)) == value
    assert config.written("payment_retries", (timedelta(hours=36), timedelta(seconds=90))) == "36h,90s"
    assert config.written("cancel_reasons", ("a, b", "c")) == "a, b|c"
    assert config.read("cancel_reasons", " a  b | a b || c") == ("a b", "c")


def test_the_reasons_of_the_domain_are_the_default() -> None:
    assert config.Config().cancel_reasons == cancellation.REASONS


@pytest.mark.parametrize("name", ["secret_keys", "database_url", "base_url", "smtp_url", "mail_from", "env", "version"])
def test_secrets_and_what_the_operator_decides_cannot_be_set(database: str, name: str) -> None:
    with pytest.raises(ValueError, match="can't be set"):
        change(**{name: "x"})
    store(name, "x" * 40) if name != "version" else None
    seller_settings.refresh(AT_ONCE)
    assert config.current() == config.environment()


def test_what_is_wrong_is_told_by_field_and_nothing_is_stored(database: str) -> None:
    with pytest.raises(Unusable) as refused:
        change(brand_name="Fine", brand_accent="blue", session_idle="1s", languages="")
    assert set(refused.value.problems) == {"brand_accent", "session_idle", "languages"}
    assert seller_settings.stored() == {}
    assert console.audited("setting.changed") == []


@pytest.mark.parametrize("waits", ["1d*999," * 1000, "1h*999," * 28, "1d*999", "1s," * 66])
def test_a_text_made_to_be_read_for_long_is_refused_at_once(database: str, waits: str) -> None:
    began = time.process_time()
    with pytest.raises(Unusable):
        change(payment_retries=waits)
    assert time.process_time() - began < 0.5


def test_who_has_not_seen_the_newest_changes_nothing(database: str) -> None:
    change(brand_name="Skylark Tools")
    with pytest.raises(Changed) as overtaken:
        change(seen=0, brand_name="Another name")
    [meanwhile] = overtaken.value.facts["changes"]
    assert (meanwhile.name, meanwhile.old, meanwhile.new, meanwhile.by) == (
        "brand_name",
        "AeroEdit",
        "Skylark Tools",
        "Ada Admin",
    )
    change(seen=0, brand_accent="#112233")
    assert config.current().brand_name == "Skylark Tools"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brand_accent", "blue"),
        ("session_idle", "a while"),
        ("languages", ""),
        ("brand_url", "javascript:alert(1)"),
        ("no_such_setting", "1"),
        ("brand_name", ["not", "text"]),
        ("brand_name", None),
        ("brand_logo", "uploaded/gone.svg"),
    ],
)
def test_what_an_upgrade_can_use_no_more_is_left_out_with_a_warning(
    database: str, name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store("reminder_before", "2d")
    store(name, value)
    with caplog.at_level(logging.WARNING, "portal.settings"):
        seller_settings.refresh(AT_ONCE)
    assert len(caplog.records) == 1
    assert config.current() == replace(config.environment(), reminder_before=timedelta(days=2))
    assert change(brand_name="Still changes")


def test_another_process_learns_of_it_within_seconds(app: Flask, person: Person, the_clock: Any) -> None:
    assert "AeroEdit" in person.open("/portal/sign-in")
    processes.start(_change_elsewhere, brand_name="Skylark Tools").result()
    assert "AeroEdit" in person.open("/portal/sign-in")
    the_clock.advance(seconds=5)
    assert "This page belongs to Skylark Tools." in person.open("/portal/sign-in")


def _change_elsewhere(_tell: Any, **wanted: str) -> None:
    db.connect(config.current().database_url)
    change(**wanted)
    db.disconnect()


def test_a_worker_learns_of_it_too(database: str, the_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seller_settings.refresh(AT_ONCE)
    store("reminder_before", "2d")
    the_clock.advance(seconds=5)
    seen: list[timedelta] = []

    def look() -> bool:
        seen.append(config.current().reminder_before)
        worker.stop()
        return False

    monkeypatch.setattr(worker, "_stopping", False)
    worker._loop((look,), 0)
    monkeypatch.setattr(worker, "_stopping", False)
    assert seen == [timedelta(days=2)]


def test_a_page_of_another_process_finds_its_files_here(app: Flask, person: Person) -> None:
    person.open("/portal/sign-in")
    with transaction():
        seller_settings.change({}, by=console.acting("admin"), seen=0, logo=DRAWING)
    name = seller_settings.stored()["brand_logo"].value
    here = config.current()
    seller_settings.refresh(AT_ONCE)
    url = person.open("/portal/sign-in").html.partition('<img src="')[2].partition('"')[0]
    config.use(here)
    assert config.uploaded(name) is None
    seller_settings._looked_at = None
    assert person.open(url).response.get_data() == DRAWING.content


def test_it_is_asked_at_most_every_five_seconds_and_not_for_files(app: Flask, person: Person, the_clock: Any) -> None:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.extend([statement] if "seller_settings" in statement else [])

    person.open("/portal/sign-in")
    the_clock.advance(seconds=10)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        person.open("/healthz")
        assert len(asked) == 0
        for _ in range(3):
            person.open("/portal/sign-in")
        assert len(asked) == 1
        the_clock.advance(seconds=5)
        person.open("/portal/sign-in")
        assert len(asked) == 2
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_database_that_is_away_leaves_in_force_what_was(
    app: Flask, person: Person, the_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(brand_name="Skylark Tools")

    def away() -> Any:
        raise OperationalError("SELECT", {}, Exception("database is away"))

    monkeypatch.setattr(seller_settings, "connection", away)
    the_clock.advance(minutes=1)
    shown = person.open("/portal/sign-in")
    assert (shown.status, "Skylark Tools" in shown) == (200, True)


def test_a_schema_that_is_to_come_is_no_trouble(database: str) -> None:
    with db.engine().begin() as connection:
        connection.execute(text("DROP TABLE seller_settings"))
    seller_settings.refresh(AT_ONCE)
    assert config.current() == config.environment()


def test_a_new_database_begins_without_what_another_had(database: str) -> None:
    change(brand_name="Skylark Tools")
    config.use(config.environment())
    assert config.overlaid() is None
    assert config.current().brand_name == "AeroEdit"


def test_a_logo_is_stored_with_its_hash_and_once(database: str) -> None:
    [set_] = change(logo=DRAWING)
    assert set_.new.startswith("uploaded/")
    assert config.uploaded(set_.new) == DRAWING.content
    assert change(logo=DRAWING) == []
    with transaction():
        file = session().get_one(SellerFile, "brand_logo")
        assert (file.media_type, bytes(file.content)) == ("image/svg+xml", DRAWING.content)
    with pytest.raises(ValueError, match="a logo is a file"):
        change(brand_logo="/etc/passwd")


def test_the_command_tells_where_each_value_comes_from(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    change(brand_address="Skylark\x1b[31m Tools")
    monkeypatch.setenv("PORTAL_RENEWAL_LOCK", "30m")
    monkeypatch.setenv("PORTAL_SECRET_KEYS", "x")
    listed = CliRunner().invoke(cli.main, ["settings"]).stdout
    assert "from the console: Skylark\\x1b[31m Tools" in listed
    assert "default: 30m\n    from the environment: 30m" in listed
    assert "from the environment: not shown" in listed
    assert config.current().secret_keys[0] not in listed
    db.connect(database)
