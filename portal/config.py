"""Every setting of the portal: its name, default and meaning, read once from the environment.

The variable of a field is `PORTAL_` + the field's name in capitals. `portal settings` prints this table.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigError(Exception):
    """A setting that is missing, malformed or unsafe; its text is the one line the operator sees."""


def duration(value: str) -> timedelta:
    """`30m`, `12h`, `7d`, `10s` as a timedelta; `0` is none at all."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", value.strip())
    if not match or (not match[2] and match[1] != "0"):
        raise ValueError("a number with its unit, such as 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2] or "s"]: int(match[1])})


def durations(value: str) -> tuple[timedelta, ...]:
    """`30s,2m*3` as 30 seconds and three times 2 minutes."""
    return tuple(each for part in words(value) for each in _repeated(part))


def _repeated(part: str) -> tuple[timedelta, ...]:
    wait, star, times = part.partition("*")
    if star and not re.fullmatch(r"[1-9]\d{0,2}", times):
        raise ValueError("a duration, and behind * how many times, such as 2m*5")
    return (duration(wait),) * int(times or 1)


def words(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


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

    brand_name: str = _setting("Customer portal", "the seller's name on pages, mails and invoices")
    brand_logo: str = _setting("", "path of an SVG or PNG file shown beside the name")
    brand_accent: str = _setting("#0b5cad", "colour of what can be pressed; text on it is chosen for contrast", colour)
    brand_support: str = _setting("", "email address or URL that customers are told to turn to")
    brand_url: str = _setting("", "the seller's own site; the link back, unless the session has a return_url")
    brand_address: str = _setting("", "the seller's postal address and tax id on invoices; `|` breaks a line")
    languages: tuple[str, ...] = _setting("en,de", "languages offered, the first is the fallback", words)

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
    _refuse_unsafe(loaded)
    return loaded


_NOT_OURS = {"PORTAL_TEST_BROWSER", "PORTAL_TEST_DATABASES"}


def _names() -> set[str]:
    return {"PORTAL_" + f.name.upper() for f in fields(Config)}


def _read(setting: Any, environ: Mapping[str, str]) -> Any:
    name = "PORTAL_" + setting.name.upper()
    if name not in environ:
        return setting.default
    try:
        return setting.metadata["parse"](environ[name])
    except ValueError as wrong:
        raise ConfigError(f"{name} is not usable: it takes {wrong}.") from None


def _refuse_unsafe(loaded: Config) -> None:
    if not loaded.base_url:
        raise ConfigError("PORTAL_BASE_URL is missing: what links begin with, e.g. https://account.example.com.")
    base = urlsplit(loaded.base_url)
    if base.scheme not in {"http", "https"} or not base.hostname or base.path or base.query:
        raise ConfigError("PORTAL_BASE_URL must be an origin such as https://account.example.com, without a path.")
    if not loaded.languages:
        raise ConfigError("PORTAL_LANGUAGES names no language.")
    for origin in loaded.return_origins:
        if not re.fullmatch(r"https?://[^/?#@\s\\]+", origin):
            raise ConfigError("PORTAL_RETURN_ORIGINS takes origins such as https://app.example.com, without a path.")
    if loaded.smtp_url and not loaded.mail_from:
        raise ConfigError("PORTAL_MAIL_FROM is missing: mails need a sender.")
    if loaded.sign_in_per_address < 1 or loaded.sign_in_per_client < 1:
        raise ConfigError("PORTAL_SIGN_IN_PER_ADDRESS and PORTAL_SIGN_IN_PER_CLIENT must be 1 or more.")
    if loaded.webhook_senders < 1:
        raise ConfigError("PORTAL_WEBHOOK_SENDERS must be 1 or more.")
    if not 0 <= loaded.api_requests_per_minute <= 10_000_000:
        raise ConfigError("PORTAL_API_REQUESTS_PER_MINUTE must be 0 (no limit) to 10000000.")
    if loaded.env == "production":
        if loaded.demo_mailbox:
            raise ConfigError("PORTAL_DEMO_MAILBOX shows every mail to everybody; it is for development only.")
        if loaded.renewal_grace < timedelta(seconds=20):
            raise ConfigError("PORTAL_RENEWAL_GRACE must be 20s or more: longer than a request may wait for a row.")
        if not loaded.secret_keys:
            raise ConfigError("PORTAL_SECRET_KEYS is missing. `portal secret` prints a fresh one.")
        if any(len(key) < 32 for key in loaded.secret_keys):
            raise ConfigError("PORTAL_SECRET_KEYS has a key under 32 characters. `portal secret` prints a good one.")
        if base.scheme != "https":
            raise ConfigError("PORTAL_BASE_URL must begin with https:// in production.")


_current: Config | None = None


def current() -> Config:
    """The settings in force; read from the environment at the first call."""
    global _current
    if _current is None:
        _current = load()
    return _current


def use(settings: Config) -> None:
    """Puts other settings in force, for this process."""
    global _current
    _current = settings
