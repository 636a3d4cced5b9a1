"""Words, dates and money in the reader's language. Catalogs are `portal/locale/<language>.po`, compiled at start."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.core import get_global
from babel.dates import format_date, get_timezone_name
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment

from portal import config, locales, money

_DIRECTORY = config.ROOT / "portal" / "locale"
_language: ContextVar[str] = ContextVar("language", default="en")
_zone: ContextVar[str | None] = ContextVar("zone", default=None)


@contextmanager
def speaking(language: str, zone: str | None = None) -> Iterator[None]:
    """Within the block texts are in this language and instants in this time zone (UTC if it is unknown)."""
    before = _language.set(pick(language)), _zone.set(zone)
    try:
        yield
    finally:
        _language.reset(before[0])
        _zone.reset(before[1])


def speak(language: str, zone: str | None = None) -> None:
    """The same for the rest of this request."""
    _language.set(pick(language))
    _zone.set(zone)


def language() -> str:
    """The language spoken now, as babel spells it: `de_AT`."""
    return _language.get()


def language_tag() -> str:
    """The same as HTML and mails spell it: `de-AT`."""
    return language().replace("_", "-")


def pick(*wanted: str) -> str:
    """The offered language that fits best: `de-AT` → `de`; the first offered one if none does."""
    return _negotiated(wanted, config.current().languages)


@lru_cache(maxsize=1024)
def _negotiated(wanted: tuple[str, ...], offered: tuple[str, ...]) -> str:
    spelled = [each.replace("-", "_") for each in wanted if each]
    return next((fits for each in spelled if (fits := _nearest(each, offered))), offered[0])


def _nearest(wanted: str, offered: tuple[str, ...]) -> str | None:
    """The offered one, or else one of the same language: `de` and `de_CH` → `de_AT`."""
    language = wanted.partition("_")[0].lower()
    language = get_global("language_aliases").get(language, language)
    found = (negotiate_locale([wanted], offered) or "").lower()  # spelled as it was wanted
    exact = (each for each in offered if each.lower() == found)
    alike = (each for each in offered if each.partition("_")[0] == language)
    return next(exact, None) or next(alike, None)


def gettext(message: str) -> str:
    return str(_catalog(language()).ugettext(message))


def ngettext(singular: str, plural: str, n: int) -> str:
    return str(_catalog(language()).ungettext(singular, plural, n))


def pgettext(context: str, message: str) -> str:
    return str(_catalog(language()).upgettext(context, message))


def instant(at: datetime) -> str:
    """An instant in full: `21 December 2026 at 10:38 UTC`. Never without its zone."""
    local = at.astimezone(_time_zone())
    told = {"date": day(at), "time": f"{local:%H:%M}", "zone": _zone_name(local)}
    return gettext("%(date)s at %(time)s %(zone)s") % told


def day(at: datetime) -> str:
    """The date of an instant: `21 December 2026`."""
    return _date(at.astimezone(_time_zone()).date(), _formats())


def end(at: datetime) -> str:
    """The instant of an end in full; midnight as the last day has it: `31 December 2026 at the end of the day (UTC)`.

    Nobody takes what ends on 1 January at 00:00 to last through 31 December.
    """
    before = _just_before(at)
    if before.date() == at.astimezone(_time_zone()).date():
        return instant(at)
    told = {"date": end_day(at), "zone": _zone_name(before)}
    return gettext("%(date)s at the end of the day (%(zone)s)") % told


def end_day(at: datetime) -> str:
    """The last date that an end leaves: of midnight the day before, else the day of the instant."""
    return _date(_just_before(at).date(), _formats())


def _just_before(at: datetime) -> datetime:
    """Where clocks skip midnight a day begins at 01:00, which is the end of the day before as well."""
    return (at - timedelta.resolution).astimezone(_time_zone())


@lru_cache(maxsize=4096)
def _date(on: date, locale: str) -> str:
    return format_date(on, "long", locale=locale)


def amount(minor_units: int, currency: str) -> str:
    return money.text(minor_units, currency, language())


def each_period(interval: str, frequency: int) -> str:
    """`per month`, `every 3 months`: behind an amount."""
    words = {
        "day": (gettext("per day"), ngettext("every %(n)d day", "every %(n)d days", frequency)),
        "week": (gettext("per week"), ngettext("every %(n)d week", "every %(n)d weeks", frequency)),
        "month": (gettext("per month"), ngettext("every %(n)d month", "every %(n)d months", frequency)),
        "year": (gettext("per year"), ngettext("every %(n)d year", "every %(n)d years", frequency)),
    }[interval]
    return words[0] if frequency == 1 else words[1] % {"n": frequency}


def install(environment: Environment) -> None:
    """Gives templates `_`, `ngettext` and the filters `instant`, `day`, `end`, `end_day`, `money`."""
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(gettext, ngettext, newstyle=True, pgettext=pgettext)  # type: ignore[attr-defined]
    environment.filters.update(instant=instant, day=day, end=end, end_day=end_day, money=amount)
    environment.globals.update(each_period=each_period, language=language_tag)
    environment.policies["ext.i18n.trimmed"] = True


def _formats() -> str:
    """English dates are written day first, as everywhere but in the United States."""
    return "en_GB" if language() == "en" else language()


def _zone_name(local: datetime) -> str:
    """`CET`, in German `MEZ`; the zone's own abbreviation where the language has none."""
    if local.tzinfo is UTC:
        return "UTC"
    translated = get_timezone_name(local, "short", locale=language())
    return translated if translated.isalpha() else local.tzname() or "UTC"


def _time_zone() -> tzinfo:
    name = _zone.get()
    if name:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            return UTC
    return UTC


@lru_cache
def _catalog(language: str) -> NullTranslations:
    """The texts of a language: its own, or those it is a kind of; English where there are none."""
    own, wider = (_DIRECTORY / f"{each}.po" for each in (language, language.partition("_")[0]))
    path = own if own.exists() else wider
    if not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=path.stem))
    compiled.seek(0)
    return Translations(compiled)


def available() -> tuple[str, ...]:
    """The languages that pages and mails can speak: English, and those with a catalog."""
    return ("en", *sorted(path.stem for path in _DIRECTORY.glob("*.po")))


def name(language: str) -> str:
    """A language's name in English; the text itself if it names none."""
    return (Locale.parse(locales.spelled(language)).english_name or language) if is_locale(language) else language


def is_locale(text: str) -> bool:
    """Whether a text names a language, such as `en` or `de-AT`."""
    try:
        locales.spelled(text)
    except ValueError:
        return False
    return True
