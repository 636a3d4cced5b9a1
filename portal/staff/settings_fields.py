"""The settings as the console shows them: sections, labels, what is typed for each, and what that means in words."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from werkzeug.datastructures import MultiDict

from portal import config, i18n
from portal.domain.seller_settings import BOUNDS

REASON_WORDS = {
    "too_expensive": "It costs too much",
    "unused": "I don’t use it enough",
    "missing_features": "Something I need is missing",
    "switched": "I use something else now",
    "technical": "It did not work well for me",
    "temporary": "I only needed it for a while",
    "other": "Another reason",
}
"""The built-in reasons as customers read them in English; in other languages they are translated."""

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True)
class Field:
    """`kind` is how it is typed: text, area, rows (one a line), switch, languages, colour, logo, time, times, choice.

    `longest` is in characters.
    """

    name: str
    label: str
    kind: str
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    longest: int | None = None


@dataclass(frozen=True)
class Section:
    path: str
    title: str
    words: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]


BUSINESS = Section(
    "business",
    "Business",
    "What customers recognise you by, on pages, mails and invoices.",
    (
        Field("brand_name", "Name", "text", "On every page, mail and invoice.", longest=80),
        Field("brand_logo", "Logo", "logo", "An SVG or PNG file of up to 256 KB, shown beside the name."),
        Field("brand_accent", "Accent colour", "colour", "The colour of what can be pressed, such as #0b5cad."),
    ),
)
ADDRESSES = Section(
    "addresses",
    "Support and addresses",
    "Where customers turn to, and where pages lead back to.",
    (
        Field("brand_support", "Support", "text", "An email address or a web address. Every page and mail names it."),
        Field("brand_url", "Your own site", "text", "Pages link back to it, unless an app names another address."),
        Field(
            "brand_address",
            "Postal address and tax ID",
            "rows",
            "For invoices, mails and the checkout. One line each.",
        ),
        Field(
            "return_origins",
            "Allowed return addresses",
            "rows",
            "Where apps may lead customers back to: one origin a line, such as https://app.example.com.",
        ),
    ),
)
CUSTOMERS = Section(
    "customers",
    "Customers’ pages",
    "How customers cancel, and in which languages pages and mails speak.",
    (
        Field(
            "self_cancellation",
            "Customers cancel by themselves",
            "switch",
            "While it is off, the cancel page shows your instructions instead of the button. "
            "Links keep working, and what was canceled can still be kept.",
            (("on", "Yes, with the button"), ("off", "No, on request only")),
        ),
        Field(
            "self_cancellation_instructions",
            "Instructions while it is off",
            "area",
            "How to reach you to cancel. Shown as plain text.",
            longest=2000,
        ),
        Field(
            "cancel_message",
            "Message on the cancel page",
            "area",
            "A calm sentence or two above the button, as plain text, in the words and the language you write it in. "
            "Up to 500 characters: it must not stand between a customer and the end.",
            longest=500,
        ),
        Field(
            "cancel_reasons",
            "Reasons to choose from",
            "rows",
            "Asked after the cancellation, in this order, one a line. Up to 8 of your own, 80 characters each, "
            "shown as you write them. No line: nobody is asked.",
        ),
        Field("languages", "Languages", "languages", "What pages and mails may speak."),
    ),
)
LINKS = Section(
    "links",
    "Links and sessions",
    "How long links and visits last. Links that were sent before keep the life they were given.",
    (
        Field("email_link_lifetime", "Links in mails", "time", "To cancel, keep and pay."),
        Field("sign_in_link_lifetime", "Sign-in links", "time", "Mailed to customers who ask for one."),
        Field("checkout_link_lifetime", "Checkout links", "time", "To pay an order."),
        Field("api_link_lifetime", "Links that apps ask for", "time", "Unless the app says how long."),
        Field("api_link_longest", "The longest that apps may ask for", "time"),
        Field("session_idle", "A visit ends when nothing was opened for", "time"),
        Field("session_longest", "A visit ends at the latest after", "time", "For visits that begin from now on."),
    ),
)
PAYMENTS = Section(
    "payments",
    "Payments",
    "What happens around a renewal, and when a payment fails.",
    (
        Field(
            "payment_retries",
            "Waits between attempts",
            "times",
            "After a payment failed, separated by commas, such as 1d, 3d, 5d, 7d. None: it is tried once.",
        ),
        Field(
            "payment_exhausted",
            "After the last failed attempt",
            "choice",
            "",
            (("canceled", "The subscription ends"), ("paused", "The subscription is paused")),
        ),
        Field(
            "reminder_before",
            "Reminder before a renewal",
            "time",
            "0: none is sent. Counts for renewals that are planned from now on.",
        ),
        Field(
            "renewal_lock",
            "Apps can’t change a subscription this close to its billing",
            "time",
            "Customers can cancel at any time.",
        ),
    ),
)
SECTIONS = {each.path: each for each in (BUSINESS, ADDRESSES, CUSTOMERS, LINKS, PAYMENTS)}
FIELDS = {field.name: field for section in SECTIONS.values() for field in section.fields}
DEFAULTS = {each.name: each.default for each in fields(config.Config)}


def typed(field: Field, form: MultiDict[str, str]) -> str:
    """What was typed for a field, as its variable would be written."""
    text = form.get(field.name, "").replace("\x00", "")
    rows = [" ".join(row.split()) for row in text.splitlines() if row.strip()]
    if field.name == "return_origins":
        return ",".join(row.rstrip("/") for row in rows)
    if field.name == "cancel_reasons":
        codes = {words.casefold().replace("’", "'"): code for code, words in REASON_WORDS.items()}
        return "|".join(codes.get(row.casefold().replace("’", "'"), row) for row in rows)
    if field.kind == "rows":
        return "|".join(rows)
    if field.kind == "languages":
        first = form.get("first_language", "")
        return ",".join(sorted(form.getlist(field.name), key=lambda one: one != first))
    return " ".join(text.split())


def wrong_with(field: Field, form: MultiDict[str, str]) -> str | None:
    """What is wrong with what was typed that its text as a variable would not show."""
    if field.kind == "rows" and "|" in form.get(field.name, ""):
        return "can’t hold the character |"
    if field.name == "cancel_reasons":
        own = [each for each in typed(field, form).split("|") if each and each not in REASON_WORDS]
        if len(own) > 8:
            return "takes up to 8 reasons of your own"
        if any(len(each) > 80 for each in own):
            return "takes up to 80 characters for each reason"
    if field.name == "languages" and form.get("first_language") not in form.getlist("languages"):
        return "needs the first language among those that are offered"
    return None


def shown(field: Field, value: Any) -> str:
    """A value as its input shows it, to be typed over."""
    if field.name == "cancel_reasons":
        return "\n".join(REASON_WORDS.get(each, each) for each in value)
    if field.name == "return_origins":
        return "\n".join(value)
    if field.name == "brand_address":
        return "\n".join(part.strip() for part in value.split("|"))
    if field.kind == "times":
        return ", ".join(config.written(field.name, each) for each in value)
    return config.written(field.name, value)


def told(field: Field, value: Any) -> str:
    """A value in words."""
    if isinstance(value, timedelta):
        return in_words(value)
    if field.kind == "times":
        return f"{_listed(map(in_words, value))}: {len(value) + 1} attempts in all" if value else "one attempt only"
    if field.options:
        return dict(field.options)[config.written(field.name, value)]
    if field.kind == "languages":
        return _listed(map(i18n.name, value))
    if field.kind == "logo":
        return {"": "none", "u": "the uploaded file"}.get(value[:9].replace("uploaded/", "u"), "a file of the operator")
    return shown(field, value).replace("\n", " · ") or "none"


def in_words(length: timedelta) -> str:
    """`7 days`, `1 hour 30 minutes`."""
    left, parts = int(length.total_seconds()), []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}" + "s" * (count != 1))
    return " ".join(parts) or "none"


def limits(field: Field) -> str:
    """What the console takes for a length of time, in words."""
    if field.name not in BOUNDS:
        return ""
    least, most = (in_words(config.duration(bound)) for bound in BOUNDS[field.name])
    return f"Up to {most}." if least == "none" else f"From {least} to {most}."


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
