"""Every setting of the portal: its name, default and meaning, read once from the environment.

The variable of a field is `PORTAL_` + the field's name in capitals. `portal settings` prints this table. What the
seller has set in the console is laid over it by domain/seller_settings.py; `current()` gives both together.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from portal import locales

ROOT = Path(__file__).resolve().parent.parent
_LONGEST_WAITS, _MOST_WAITS = 8000, 1000
"""In characters, and one by one."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigError(Exception):
    """A setting that is missing, malformed or unsafe; its text is the one line the operator sees.

    `field` names the setting, and `wrong` says it without its name, for a page that shows the field.
    """

    def __init__(self, text: str, field: str = "", wrong: str = "") -> None:
        super().__init__(text)
        self.field, self.wrong = field, wrong or text


def _wrong(field: str, wrong: str) -> ConfigError:
    """`PORTAL_LANGUAGES needs at least one language.`"""
    return ConfigError(f"PORTAL_{field.upper()} {wrong}.", field, wrong)


def duration(value: str) -> timedelta:
    """`30m`, `12h`, `7d`, `10s` as a timedelta; `0` is none at all."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", value.strip())
    if not match or (not match[2] and match[1] != "0"):
        raise ValueError("a number with its unit, such as 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2] or "s"]: int(match[1])})


def durations(value: str) -> tuple[timedelta, ...]:
    """`30s,2m*3` as 30 seconds and three times 2 minutes."""
    too_long = len(value) > _LONGEST_WAITS
    parts = [] if too_long else [_repeated(part) for part in words(value)]
    if too_long or sum(times for _, times in parts) > _MOST_WAITS:
        raise ValueError(f"{_MOST_WAITS} waits at most")
    return tuple(wait for wait, times in parts for _ in range(times))


def _repeated(part: str) -> tuple[timedelta, int]:
    wait, star, times = part.partition("*")
    if star and not re.fullmatch(r"[1-9]\d{0,2}", times):
        raise ValueError("a duration, and behind * how many times, such as 2m*5")
    return duration(wait), int(times or 1)


def words(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def lines(value: str) -> tuple[str, ...]:
    """Texts that may hold commas, with `|` between them; each on one line, and none twice."""
    return tuple(dict.fromkeys(text for part in value.split("|") if (text := " ".join(part.split()))))


def switch(value: str) -> bool:
    if value.lower() not in {"on", "off", "1", "0", "true", "false", "yes", "no"}:
        raise ValueError("on or off")
    return value.lower() in {"on", "1", "true", "yes"}


def colour(value: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError("a colour such as #0b5cad")
    return value.lower()


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(" or ".join(allowed))
        return value

    return parse


def _setting(default: str, meaning: str, parse: Callable[[str], Any] = str) -> Any:
    return field(default=parse(default), metadata={"default": default, "meaning": meaning, "parse": parse})


@dataclass(frozen=True)
class Config:
    env: str = _setting(
        "production",
        "`production`, or `development`: http base URL and a generated secret are allowed",
        one_of("production", "development"),
    )
    database_url: str = _setting(
        f"sqlite:///{ROOT / 'instance' / 'portal.db'}", "`sqlite:///…` or `postgresql+psycopg://…`"
    )
    secret_keys: tuple[str, ...] = _setting("", "comma-separated, newest first; the newest signs, all verify", words)
    base_url: str = _setting("", "what every link begins with, e.g. `https://account.example.com`")
    trusted_proxies: int = _setting("0", "how many reverse proxies in front are believed (X-Forwarded-*)", int)
    web_workers: int = _setting("2", "server processes of `portal serve`", int)
    web_threads: int = _setting("2", "threads of each server process", int)
    metrics_token: str = _setting("", "bearer token that opens /metrics; without it /metrics is closed")

    smtp_url: str = _setting("", "`smtp://user:password@host:port`, `smtps://…`, `?starttls=1`; none: mails wait")
    mail_from: str = _setting("", "sender of every mail, e.g. `Example <billing@example.com>`")
    mail_retries: tuple[timedelta, ...] = _setting(
        "30s,2m,10m,30m,1h,2h,4h,8h,12h,24h", "waits between attempts to send one mail", durations
    )

    webhook_senders: int = _setting("32", "endpoints that one worker sends webhooks to at the same time", int)
    webhook_retries: tuple[timedelta, ...] = _setting(
        "20s,1m,2m*5,4m*12,1h*20,145m*21",
        "waits between attempts to deliver one webhook; `2m*5` is five times 2m",
        durations,
    )
    webhook_off_after: timedelta = _setting(
        "3d",
        "an endpoint that has failed for longer than this, without one success, is switched off; `0` never",
        duration,
    )
    webhook_private: bool = _setting(
        "off", "webhooks may go to http URLs and private addresses; for development", switch
    )

    delivery_records: timedelta = _setting(
        "0",
        "how long it is kept where mails and webhooks went and what became of them, 90d or more; `0` for good",
        duration,
    )

    brand_name: str = _setting("Customer portal", "the seller's name on pages, mails and invoices")
    brand_logo: str = _setting("", "path of an SVG or PNG file shown beside the name")
    brand_accent: str = _setting("#0b5cad", "colour of what can be pressed; text on it is chosen for contrast", colour)
    brand_support: str = _setting("", "email address or URL that customers are told to turn to")
    brand_url: str = _setting("", "the seller's own site; the link back, unless the session has a return_url")
    brand_address: str = _setting("", "the seller's postal address and tax id on invoices; `|` breaks a line")
    languages: tuple[str, ...] = _setting("en,de", "languages offered, the first is the fallback", locales.several)

    api_link_lifetime: timedelta = _setting("1h", "how long links of a portal session work by default", duration)
    api_link_longest: timedelta = _setting("24h", "the longest lifetime an app may ask for", duration)
    api_requests_per_minute: int = _setting("1000", "requests an app may send in a minute; `0` any number", int)
    email_link_lifetime: timedelta = _setting("7d", "how long cancel and keep links in mails work", duration)
    sign_in_link_lifetime: timedelta = _setting("10m", "how long a sign-in link works", duration)
    checkout_link_lifetime: timedelta = _setting("30d", "how long the link to a checkout works", duration)
    session_idle: timedelta = _setting("1h", "a browser session ends after this long without a request", duration)
    session_longest: timedelta = _setting("24h", "and at the latest this long after it began", duration)
    staff_session_idle: timedelta = _setting("2h", "a sign-in to the console ends after this long unused", duration)
    staff_session_longest: timedelta = _setting("12h", "and at the latest this long after it began", duration)
    return_origins: tuple[str, ...] = _setting("", "origins an app may name in return_url", words)
    sign_in_per_address: int = _setting("5", "sign-in mails one address may be sent in an hour", int)
    sign_in_per_client: int = _setting("30", "sign-in forms one client address may send in an hour", int)

    gateway: str = _setting("sandbox", "who moves the money", one_of("sandbox"))
    renewal_lock: timedelta = _setting("30m", "apps can't change a subscription this close to its billing", duration)
    renewal_grace: timedelta = _setting(
        "30s", "a renewal waits this long, so that who canceled in time is in time", duration
    )
    payment_retries: tuple[timedelta, ...] = _setting(
        "1d,3d,5d,7d", "waits between attempts to collect a failed payment", durations
    )
    payment_exhausted: str = _setting(
        "canceled",
        "what follows the last failed attempt: `canceled` or `paused`",
        one_of("canceled", "paused"),
    )
    reminder_before: timedelta = _setting("3d", "how long before a renewal it is announced; `0` never", duration)
    self_cancellation: bool = _setting(
        "on",
        "customers cancel by themselves. Must stay on where the law demands a cancel button "
        "(e.g. Germany, France, the EU from June 2026, several US states)",
        switch,
    )
    self_cancellation_instructions: str = _setting("", "what customers read instead while it is off")
    cancel_message: str = _setting("", "a sentence or two above the cancel button, up to 500 characters")
    cancel_reasons: tuple[str, ...] = _setting(
        "too_expensive|unused|missing_features|switched|technical|temporary|other",
        "reasons offered after a cancellation, in this order, `|` between them; others than these are shown as they "
        "are written; none: nobody is asked",
        lines,
    )
    demo_mailbox: str = _setting("", "folder of the demo's mails; set by `portal demo` alone")

    @property
    def secure(self) -> bool:
        """Whether the portal is reached over HTTPS."""
        return self.base_url.startswith("https://")

    @property
    def development(self) -> bool:
        return self.env == "development"


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The settings of an environment (by default the process's), checked for safety.

    Raises ConfigError with one clear line. In development a missing secret is generated, for this process only.
    """
    environ = os.environ if environ is None else environ
    unknown = sorted(n for n in environ if n.startswith("PORTAL_") and n not in _names() and n not in _NOT_OURS)
    if unknown:
        raise ConfigError(f"{unknown[0]} is not a setting. `portal settings` lists them all.")
    values = {f.name: _read(f, environ) for f in fields(Config)}
    if values["env"] == "development" and not values["secret_keys"]:
        values["secret_keys"] = (secrets.token_urlsafe(32),)
    if values["env"] == "development" and not values["base_url"]:
        values["base_url"] = "http://127.0.0.1:8000"
    values["base_url"] = values["base_url"].rstrip("/")
    loaded = Config(**values)
    for problem in problems(loaded):
        raise problem
    return loaded


_NOT_OURS = {"PORTAL_TEST_BROWSER", "PORTAL_TEST_DATABASES"}


def _names() -> set[str]:
    return {"PORTAL_" + f.name.upper() for f in fields(Config)}


def _read(setting: Any, environ: Mapping[str, str]) -> Any:
    name = "PORTAL_" + setting.name.upper()
    return read(setting.name, environ[name]) if name in environ else setting.default


def problems(settings: Config) -> Iterator[ConfigError]:
    """What is missing, contradictory or unsafe in settings that were read well, each by the field it is about."""
    yield from _unsafe(settings)
    yield from _unfit(settings)
    if settings.smtp_url and not settings.mail_from:
        yield _wrong("mail_from", "is missing: mails need a sender")
    if settings.sign_in_per_address < 1 or settings.sign_in_per_client < 1:
        yield _wrong("sign_in_per_address", "and PORTAL_SIGN_IN_PER_CLIENT must be 1 or more")
    if settings.webhook_senders < 1:
        yield _wrong("webhook_senders", "must be 1 or more")
    if timedelta() < settings.delivery_records < timedelta(days=90):
        yield _wrong("delivery_records", "must be 0 (for good), or 90d or more")
    if not 0 <= settings.api_requests_per_minute <= 10_000_000:
        yield _wrong("api_requests_per_minute", "must be 0 (no limit) to 10000000")


def _unsafe(settings: Config) -> Iterator[ConfigError]:
    if not settings.base_url:
        yield _wrong("base_url", "is missing: what links begin with, e.g. https://account.example.com")
    base = urlsplit(settings.base_url)
    if base.scheme not in {"http", "https"} or not base.hostname or base.path or base.query:
        yield _wrong("base_url", "must be an origin such as https://account.example.com, without a path")
    if settings.env != "production":
        return
    if settings.demo_mailbox:
        yield _wrong("demo_mailbox", "shows every mail to everybody; it is for development only")
    if settings.renewal_grace < timedelta(seconds=20):
        yield _wrong("renewal_grace", "must be 20s or more: longer than a request may wait for a row")
    if not settings.secret_keys:
        yield _wrong("secret_keys", "is missing. `portal secret` prints a fresh one")
    if any(len(key) < 32 for key in settings.secret_keys):
        yield _wrong("secret_keys", "has a key under 32 characters. `portal secret` prints a good one")
    if base.scheme != "https":
        yield _wrong("base_url", "must begin with https:// in production")


def _unfit(settings: Config) -> Iterator[ConfigError]:
    """What pages and mails can't show, or must not lead to."""
    if not settings.languages:
        yield _wrong("languages", "needs at least one language")
    for origin in settings.return_origins:
        if not re.fullmatch(r"https?://[^/?#@*\s\\]+", origin):
            yield _wrong("return_origins", "takes origins such as https://app.example.com, without a path or *")
            break
    if settings.brand_url and not re.fullmatch(r"https?://[^/?#@\s\\]+([/?#]\S*)?", settings.brand_url):
        yield _wrong("brand_url", "takes an address such as https://www.example.com")
    if settings.brand_support and not re.fullmatch(_SUPPORT, settings.brand_support):
        yield _wrong("brand_support", "takes an email address, or an address such as https://www.example.com/help")
    if len(settings.cancel_message) > 500:
        yield _wrong("cancel_message", "takes up to 500 characters: nothing may stand between a customer and the end")
    if any(len(reason) > 80 for reason in settings.cancel_reasons) or len(settings.cancel_reasons) > 15:
        yield _wrong("cancel_reasons", "takes reasons of up to 80 characters, 15 at most")


_SUPPORT = r"(mailto:)?[^@\s:/?#<>\\]+@[^@\s:/?#<>\\]+|(https?://)?[^/?#@:\s\\]+(:\d+)?([/?#]\S*)?"


_environment: Config | None = None
_current: Config | None = None
_files: Mapping[str, bytes] = {}
_version: int | None = None
_laid: frozenset[str] = frozenset()


def current() -> Config:
    """The settings in force: the environment's, and over it what the seller has set in the console."""
    return _current if _current is not None else environment()


def environment() -> Config:
    """The settings of the environment alone."""
    global _environment, _current
    if _environment is None:
        _environment = load()
    if _current is None:
        _current = _environment
    return _environment


def use(settings: Config) -> None:
    """Puts other settings in force, for this process; nothing lies over them."""
    global _environment, _current, _files, _version, _laid
    _environment = _current = settings
    _files, _version, _laid = {}, None, frozenset()


def overlay(values: Mapping[str, Any], files: Mapping[str, bytes], *, version: int | None) -> list[ConfigError]:
    """Lays values over the environment's, as their variables would be written; `files` are those that they name.

    What can't be used is left out and given back, so that a value stored by another release never stops a start.
    """
    global _current, _files, _version, _laid
    laid, unusable = over(values)
    _files = files  # first: another thread may look for the file as soon as a setting names it
    _laid = frozenset(values) - {each.field for each in unusable}
    _current, _version = laid, version
    return unusable


def over(values: Mapping[str, Any]) -> tuple[Config, list[ConfigError]]:
    """The settings of the environment with values laid over them, and what could not be used of these."""
    parsed: dict[str, Any] = {}
    unusable: list[ConfigError] = []
    for name, value in values.items():
        try:
            parsed[name] = read(name, value)
        except ConfigError as wrong:
            unusable.append(wrong)
    laid = replace(environment(), **parsed)
    unusable += [wrong for wrong in problems(laid) if wrong.field in parsed]
    fit = {name: value for name, value in parsed.items() if name not in {each.field for each in unusable}}
    return replace(environment(), **fit), unusable


def overlaid() -> int | None:
    """Which version of the seller's settings lies over the environment's; None if none was read yet."""
    return _version


def source(name: str) -> str:
    """Where the value of a setting comes from: console, environment or default."""
    if name in _laid:
        return "console"
    return "environment" if f"PORTAL_{name.upper()}" in os.environ else "default"


def uploaded(name: str) -> bytes | None:
    """A file that a setting of the console names."""
    return _files.get(name)


def read(name: str, value: Any) -> Any:
    """The value of a setting out of its text. Raises ConfigError."""
    setting = _FIELDS.get(name)
    if setting is None or not isinstance(value, str):
        raise ConfigError(f"{name} is not a setting with this kind of value.", name)
    try:
        return setting.metadata["parse"](value)
    except ValueError as wrong:
        raise ConfigError(f"PORTAL_{name.upper()} is not usable: it takes {wrong}.", name, f"takes {wrong}") from None


def written(name: str, value: Any) -> str:
    """A setting's value as its variable would be written; `read` makes the same value of it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, timedelta):
        return _short(value)
    if isinstance(value, tuple):
        return ("|" if _FIELDS[name].metadata["parse"] is lines else ",").join(written(name, each) for each in value)
    return str(value)


def _short(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    unit = next((unit for unit in "dhm" if seconds and seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds // _SECONDS.get(unit, 1)}{unit}" if seconds else "0"


_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_FIELDS = {each.name: each for each in fields(Config)}
