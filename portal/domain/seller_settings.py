"""What the seller has set in the console; it goes before what the environment says.

    change      stores values, or takes them back to the environment's; under a lock, so that two admins take turns
    refresh     puts what is stored in force in this process; cheap, so every request and every round of a worker asks

Secrets, the database, the mail server and the base URL stay the operator's: they are no names here.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, LargeBinary, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config, db
from portal.config import duration
from portal.db import Base, connection, session, table
from portal.domain import audit
from portal.domain.actors import Actor
from portal.domain.logos import Logo
from portal.errors import Changed

log = logging.getLogger("portal.settings")
EVERY = timedelta(seconds=5)
"""How often a process looks whether another one has changed something."""
LOGO = "brand_logo"
_VERSION = "version"
"""The row that counts the changes, as text; no setting is called so."""

BOUNDS: dict[str, tuple[str, str]] = {
    "api_link_lifetime": ("1m", "31d"),
    "api_link_longest": ("1m", "366d"),
    "email_link_lifetime": ("1h", "366d"),
    "sign_in_link_lifetime": ("2m", "1d"),
    "checkout_link_lifetime": ("10m", "366d"),
    "session_idle": ("5m", "31d"),
    "session_longest": ("5m", "366d"),
    "payment_retries": ("1h", "60d"),
    "reminder_before": ("0", "60d"),
    "renewal_lock": ("0", "7d"),
}
"""The shortest and the longest that the console takes, so that nobody locks every customer out by a slip."""

SETTABLE = (
    *("brand_name", LOGO, "brand_accent", "brand_support", "brand_url", "brand_address", "return_origins"),
    *("languages", "self_cancellation", "self_cancellation_instructions", "cancel_message", "cancel_reasons"),
    *("payment_exhausted", *BOUNDS),
)
_MOST_RETRIES, _MOST_TEXT, _MOST_TIME, _LONGEST_NAME = 12, 2000, 200, 80
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Controls, and what turns the direction of the text behind it."""
_ORDERED = (("api_link_lifetime", "api_link_longest"), ("session_idle", "session_longest"))


class SellerSetting(Base):
    """`name` is a field of config.Config, `value` as its variable would be written."""

    __tablename__ = "seller_settings"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class SellerFile(Base):
    """A file the seller uploaded, such as the logo."""

    __tablename__ = "seller_files"

    name: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime]


class Unusable(ValueError):
    """Values that can't be set; `problems` says by name what is wrong with them. Nothing was changed."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name} {wrong}" for name, wrong in problems.items()))
        self.problems = problems


@dataclass(frozen=True)
class Change:
    """What a setting was and is, as its variable would be written; `by` is who changed it."""

    name: str
    old: str
    new: str
    by: str = ""


_looked_at: datetime | None = None
_COUNT = select(table(SellerSetting).c.value).where(table(SellerSetting).c.name == bindparam("version"))


def refresh(every: timedelta = EVERY) -> None:
    """Puts in force what another process has changed; asks at most once in a while.

    A database that is away changes nothing: what was in force stays so.
    """
    global _looked_at
    now = clock.now()
    if _looked_at is not None and abs(now - _looked_at) < every:
        return
    _looked_at = now
    try:
        version = int(connection().execute(_COUNT, {"version": _VERSION}).scalar() or 0)
        if version != config.overlaid():
            _lay_over(version)
    except (SQLAlchemyError, ValueError) as trouble:
        db.close()
        log.info("the seller's settings can't be read now", extra={"trouble": type(trouble).__name__})


def stored() -> dict[str, SellerSetting]:
    """What is set in the console, by name."""
    rows = session().scalars(select(SellerSetting).where(SellerSetting.name != _VERSION))
    return {row.name: row for row in rows.all()}


def change(wanted: Mapping[str, str | None], *, by: Actor, seen: int, logo: Logo | None = None) -> list[Change]:
    """Sets values, written as their variables would be; None takes one back to the environment's.

    What is so already is left alone. `seen` is the version that the person saw: config.overlaid(). Raises Unusable;
    Changed, with the changes as its facts, if one of these settings was changed since. After the commit call
    `refresh(timedelta())`.
    """
    _refuse_endless(wanted)
    counter, rows = _locked()
    if wanted.get(LOGO):
        raise ValueError("a logo is a file")
    if logo is not None:
        wanted = {**wanted, LOGO: _keep(logo)}
    _refuse_overtaken(wanted, seen)
    before = config.over({name: row.value for name, row in rows.items()})[0]
    changed = {name: text for name, text in wanted.items() if _differs(name, text, rows.get(name), before)}
    after = _checked({**{name: row.value for name, row in rows.items()}, **changed}, changed)
    for name, text in changed.items():
        _store(name, text, rows.get(name), by)
    if not changed:
        return []
    version = int(counter.value) + 1
    counter.value, counter.updated_at, counter.updated_by = str(version), clock.now(), by.id
    changes = [Change(name, _text(name, before), _text(name, after)) for name in changed]
    audit.record_all(
        (("setting.changed", each.name, None, _facts(each, changed[each.name], version)) for each in changes),
        by=by,
    )
    return changes


def _refuse_endless(wanted: Mapping[str, str | None]) -> None:
    """Before the lock is taken: while a text is read, nobody else could save."""
    endless = [name for name, text in wanted.items() if name in BOUNDS and len(text or "") > _MOST_TIME]
    if endless:
        raise Unusable(dict.fromkeys(endless, f"takes up to {_MOST_TIME} characters"))


def _locked() -> tuple[SellerSetting, dict[str, SellerSetting]]:
    """The row that counts, locked, and all others: whoever changes something has read what the one before wrote."""
    first = {"name": _VERSION, "value": "0", "updated_at": clock.now(), "updated_by": ""}
    session().execute(db.insert_unless_there(SellerSetting).values(first))
    wanted = select(SellerSetting).where(SellerSetting.name == _VERSION).with_for_update()
    counter = session().scalars(wanted.execution_options(populate_existing=True)).one()
    return counter, stored()


def _refuse_overtaken(names: Collection[str], seen: int) -> None:
    meanwhile = changes_since(seen, names)
    if meanwhile:
        raise Changed("Somebody else changed this meanwhile. Nothing was recorded.", changes=meanwhile)


def changes_since(seen: int, names: Collection[str]) -> list[Change]:
    """What was changed of some settings since a version, in that order, out of the record."""
    entry = audit.AuditEntry
    of_these = entry.subject_id.in_(names), entry.action == "setting.changed"
    newest = session().scalars(select(entry).where(*of_these).order_by(entry.id.desc()).limit(100)).all()
    return [
        Change(each.subject_id or "", each.facts["old"], each.facts["new"], each.actor_name)
        for each in reversed(newest)
        if each.facts["version"] > seen
    ]


def _differs(name: str, text: str | None, row: SellerSetting | None, before: config.Config) -> bool:
    """Whether this changes anything: the value in force, or that it is the environment's."""
    if name not in SETTABLE:
        raise ValueError(f"{name} can't be set in the console")
    if text is None:
        return row is not None
    try:
        return bool(config.read(name, text) != getattr(before, name))
    except config.ConfigError:
        return True


def _checked(values: Mapping[str, str | None], changed: Collection[str]) -> config.Config:
    """The settings that these values make. Raises Unusable for what is wrong with those that change."""
    settings, unusable = config.over({name: text for name, text in values.items() if text is not None})
    wrong = {each.field: each.wrong for each in unusable if each.field in changed}
    wrong = _out_of_bounds(settings, [name for name in changed if name not in wrong]) | wrong
    if wrong:
        raise Unusable(wrong)
    return settings


def _out_of_bounds(settings: config.Config, names: Collection[str]) -> dict[str, str]:
    """What the console does not take although the environment might say it."""
    wrong: dict[str, str] = {}
    for name in names:
        value = getattr(settings, name)
        if name in BOUNDS:
            wrong |= _beyond(name, value if isinstance(value, tuple) else (value,))
        elif isinstance(value, str) and len(value) > _MOST_TEXT:
            wrong[name] = f"takes up to {_MOST_TEXT} characters"
    for shorter, longer in _ORDERED:
        if {shorter, longer} & {*names} and getattr(settings, shorter) > getattr(settings, longer):
            wrong.setdefault(shorter if shorter in names else longer, "must not be longer than the longest")
    return wrong | _unfit(settings, names)


def _beyond(name: str, waits: Sequence[timedelta]) -> dict[str, str]:
    if len(waits) > _MOST_RETRIES:
        return {name: f"takes {_MOST_RETRIES} waits at most"}
    least, most = map(duration, BOUNDS[name])
    within = all(least <= each <= most for each in waits)
    return {} if within else {name: "takes {} to {}".format(*BOUNDS[name])}


def _unfit(settings: config.Config, names: Collection[str]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if "brand_name" in names and not 1 <= len(settings.brand_name.strip()) <= _LONGEST_NAME:
        wrong["brand_name"] = f"takes 1 to {_LONGEST_NAME} characters"
    elif "brand_name" in names and _UNSEEN.search(settings.brand_name):
        wrong["brand_name"] = "has a character that is not seen"
    return wrong


def _store(name: str, text: str | None, row: SellerSetting | None, by: Actor) -> None:
    if text is None:
        session().delete(row)
    elif row is None:
        session().add(SellerSetting(name=name, value=text, updated_at=clock.now(), updated_by=by.id))
    else:
        row.value, row.updated_at, row.updated_by = text, clock.now(), by.id


def _keep(logo: Logo) -> str:
    """Stores the file and gives its name, which carries its hash: a new picture is a new value."""
    row = session().get(SellerFile, LOGO) or SellerFile(name=LOGO)
    row.media_type, row.content, row.updated_at = logo.media_type, logo.content, clock.now()
    session().add(row)
    return f"uploaded/{hashlib.sha256(logo.content).hexdigest()[:12]}{logo.suffix}"


def _text(name: str, settings: config.Config) -> str:
    return config.written(name, getattr(settings, name))


def _facts(change: Change, text: str | None, version: int) -> dict[str, Any]:
    source = "environment" if text is None else "console"
    return {"name": change.name, "old": change.old, "new": change.new, "source": source, "version": version}


def _lay_over(version: int) -> None:
    """Reads all that is stored and puts it in force; what can't be used is left out and said."""
    rows: Sequence[Any] = connection().execute(select(table(SellerSetting))).all()
    values = {row.name: row.value for row in rows if row.name != _VERSION}
    content = None
    if values.get(LOGO):
        content = connection().execute(select(table(SellerFile).c.content).where(SellerFile.name == LOGO)).scalar()
        if content is None:
            log.warning("the uploaded logo is not there; the environment's is shown")
            del values[LOGO]
    foreign = [name for name in values if name not in SETTABLE]
    fit = {name: value for name, value in values.items() if name in SETTABLE}
    files = {fit[LOGO]: bytes(content)} if content is not None else {}
    for wrong in config.overlay(fit, files, version=version):
        log.warning("a setting of the console can't be used and is left out: %s", wrong)
    for name in foreign:
        log.warning("a setting of the console is not known here and is left out: %s", name)
