"""The portal in German and in English: every text is translated, and every page and mail speaks one language."""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from html import unescape
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask, render_template

from portal import config, i18n, invoices, links, locales
from portal.db import session, transaction
from portal.domain import bills, subscriptions
from portal.domain.actors import system
from portal.domain.customers import Customer
from portal.domain.mails import KINDS
from portal.domain.transactions import Transaction
from portal.outbox import emails, mail_samples
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.customer.visits import END, email_link
from tests.outbox.letters import letter
from tests.person import Page, Person

LOCALE = config.ROOT / "portal" / "locale"
CATALOGS = sorted(path.stem for path in LOCALE.glob("*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
PUNCTUATION = tuple(".?!:,")
ALIKE = {"Status", "Problem: %(page)s", "%(amount)s %(period)s", "%(n)s × %(product)s", "%(day)s: %(amount)s"}
"""Texts that are the same in German."""

ENDS = datetime(2026, 12, 21, 10, 38, 57, tzinfo=UTC)
IN_BERLIN = "21. Dezember 2026 um 11:38 MEZ"
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
STATES: dict[str, dict[str, Any]] = {
    "active": {},
    "trialing": {"status": "trialing"},
    "by invoice": {"collection_mode": "manual", "card": None},
    "without a card": {"card": None},
    "every 3 months": {"billing_frequency": 3},
    "nothing planned": {"next_billed_at": None},
    "past due": {"status": "past_due"},
    "past due by invoice": {"status": "past_due", "collection_mode": "manual", "card": None},
    "pause planned": visits.ending() | {"scheduled_action": "pause", "scheduled_resume_at": END + timedelta(days=30)},
    "paused": {"status": "paused", "paused_at": NOW, "next_billed_at": None},
    "paused with a return": visits.ending() | {"status": "paused", "paused_at": NOW, "scheduled_action": "resume"},
    "ending": visits.ending(),
    "ending by the seller": visits.ending("staff"),
    "ending in the trial": visits.ending() | {"status": "trialing"},
    "ending, past due": visits.ending() | {"status": "past_due"},
    "ending, paused": visits.ending() | {"status": "paused", "paused_at": NOW},
    "ending without a date": visits.ending() | {"scheduled_effective_at": None, "billing_resumes_at": None},
    "canceled": visits.CANCELED,
    "a payment plan": {"remaining_payments": 3},
    "the last of a payment plan": {"remaining_payments": 1},
    "a payment plan that is ended": visits.ending("staff") | {"remaining_payments": 3},
    "a completed plan": visits.ending("system") | {"remaining_payments": 0, "billing_resumes_at": None},
}

once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What language a page speaks does not depend on the database."""


@cache
def texts() -> dict[Any, Message]:
    """Every text of templates and code, as `make messages` collects them."""
    mappings = tomllib.loads((config.ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(each["pattern"], each["method"]) for each in mappings]
    options = {each["pattern"]: {k: v for k, v in each.items() if k not in ("pattern", "method")} for each in mappings}
    found = Catalog()
    for _, _, text, _, context in extract_from_dir(config.ROOT, methods, options):
        found.add(text, context=context)
    return {(each.context, each.id): each for each in found if each.id}


@cache
def catalog(language: str) -> Catalog:
    with (LOCALE / f"{language}.po").open("rb") as source:
        return read_po(source, abort_invalid=True)


def translations(language: str) -> dict[Any, Message]:
    return {(each.context, each.id): each for each in catalog(language) if each.id}


def forms(text: Any) -> tuple[str, ...]:
    """A text in the singular and the plural, or its only form."""
    return (text,) if isinstance(text, str) else tuple(text)


def pairs(language: str) -> Iterator[tuple[str, str]]:
    """Each original with its translation, form by form."""
    for message in translations(language).values():
        yield from zip(forms(message.id), forms(message.string), strict=True)


@cache
def english() -> list[tuple[str, re.Pattern[str]]]:
    """The English texts, as patterns that find them on a page, whatever stands in their placeholders."""
    found = []
    for original in sorted({original for original, _ in pairs("de")} - ALIKE):
        words = [r"\s+".join(map(re.escape, part.split(" "))) for part in PLACEHOLDER.split(original)]
        found.append((original, re.compile(r"(?<!\w)" + ".{1,90}?".join(words) + r"(?!\w)")))
    return found


def spoken(html: str) -> str:
    """All that a page says, seen or heard: its title, its text, its labels."""
    body = re.sub(r"<style.*?</style>", " ", html, flags=re.DOTALL)
    labels = " ".join(re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', body))
    return " ".join(unescape(re.sub(r"<[^>]+>", " | ", body) + " | " + labels).split())


def is_german(page: Page | str) -> None:
    html = page.html if isinstance(page, Page) else page
    said = spoken(html)
    assert re.search(r'<html lang="de"', html)
    assert [original for original, pattern in english() if pattern.search(said)] == []


def german(**custom: Any) -> str:
    """A customer in Berlin."""
    return people.customer("Jonas Weber", locale="de", custom_data={"time_zone": "Europe/Berlin"} | custom)


def in_euros(customer: str, **fields: Any) -> str:
    """AeroEdit Pro for 30 euros a month, paid until ENDS."""
    price = people.price(3000, "EUR")
    fields = {"currency_code": "EUR", "quantity": 1, "price_id": price, "period_ends_at": ENDS} | fields
    return people.subscription(customer, **fields)


def bill(subscription_id: str) -> str:
    """An open transaction; gives its id."""
    with transaction():
        bought = subscriptions.get(subscription_id)
        return bills.bill(bought, starts_at=NOW - timedelta(days=10), ends_at=ENDS, by=system()).id


# The catalogs


def test_every_offered_language_but_english_has_a_catalog() -> None:
    assert {*CATALOGS, "en"} == set(config.load({"PORTAL_ENV": "development"}).languages)


@pytest.mark.parametrize("language", CATALOGS)
def test_every_text_is_translated(language: str) -> None:
    done = {key for key, each in translations(language).items() if all(forms(each.string))}
    assert sorted(str(key) for key in texts().keys() - done) == []


@pytest.mark.parametrize("language", CATALOGS)
def test_no_translation_is_of_a_text_that_is_gone(language: str) -> None:
    assert sorted(str(key) for key in translations(language).keys() - texts().keys()) == []
    assert list(catalog(language).obsolete) == []


@pytest.mark.parametrize("language", CATALOGS)
def test_no_translation_is_a_guess(language: str) -> None:
    assert not catalog(language).fuzzy
    assert [each.id for each in catalog(language) if each.id and each.fuzzy] == []


@pytest.mark.parametrize("language", CATALOGS)
def test_a_translation_has_the_placeholders_of_its_original(language: str) -> None:
    def differ(original: str, translated: str) -> bool:
        return sorted(PLACEHOLDER.findall(original)) != sorted(PLACEHOLDER.findall(translated))

    assert [pair for pair in pairs(language) if differ(*pair)] == []
    assert [(message.id, problems) for message, problems in catalog(language).check()] == []


@pytest.mark.parametrize("language", CATALOGS)
def test_a_translation_ends_as_its_original_does(language: str) -> None:
    def end(text: str) -> str:
        return text[-1] if text.endswith((*PUNCTUATION, " ")) else ""

    assert [pair for pair in pairs(language) if end(pair[0]) != end(pair[1])] == []
    assert [pair for pair in pairs(language) if pair[1] != " ".join(pair[1].split())] == []


@pytest.mark.parametrize("language", CATALOGS)
def test_the_header_names_language_and_plurals_and_nobody(language: str) -> None:
    known = catalog(language)
    assert str(known.locale) == language
    header = (LOCALE / f"{language}.po").read_text().partition("\n\n")[0]
    assert f'"Plural-Forms: {Catalog(locale=language).plural_forms}\\n"' in header
    assert re.findall(r'"([\w-]+): ', header) == [
        "Language",
        "Plural-Forms",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ]


def test_only_a_few_words_are_the_same_in_german() -> None:
    assert {original for original, translated in pairs("de") if original == translated} == ALIKE


def test_german_addresses_customers_formally() -> None:
    familiar = re.compile(r"\b(du|dir|dich|dein\w*|euch|euer|eure\w*)\b", re.IGNORECASE)
    assert [translated for _, translated in pairs("de") if familiar.search(translated)] == []


def test_german_calls_a_thing_by_one_name() -> None:
    others = r"abonnement|zahlungsm|zahlungsweise|account|subscription|vertrag|(?<!e-)\bmail|email"
    said = [PLACEHOLDER.sub("", translated).lower() for _, translated in pairs("de")]
    assert [text for text in said if re.search(others, text)] == []


def test_english_is_what_the_texts_are_written_in(configure: Any) -> None:
    assert not (LOCALE / "en.po").exists()
    with i18n.speaking("en"):
        assert [i18n.gettext(text) for _, text in texts() if isinstance(text, str)] == [
            text for _, text in texts() if isinstance(text, str)
        ]
        assert i18n.ngettext("every %(n)d day", "every %(n)d days", 1) == "every %(n)d day"
        assert i18n.ngettext("every %(n)d day", "every %(n)d days", 2) == "every %(n)d days"


# Dates and money


@pytest.mark.parametrize(
    ("language", "zone", "at", "words"),
    [
        ("de", "Europe/Berlin", ENDS, IN_BERLIN),
        ("de-AT", "Europe/Vienna", ENDS, IN_BERLIN),
        ("de", "Europe/Berlin", datetime(2026, 7, 1, 10, 5, tzinfo=UTC), "1. Juli 2026 um 12:05 MESZ"),
        ("de", "Europe/Berlin", datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "1. Januar 2027 um 00:30 MEZ"),
        ("de", "America/New_York", ENDS, "21. Dezember 2026 um 05:38 EST"),
        ("de", None, ENDS, "21. Dezember 2026 um 10:38 UTC"),
        ("en", "Europe/Berlin", ENDS, "21 December 2026 at 11:38 CET"),
        ("en", "Europe/Berlin", datetime(2026, 7, 1, 10, 5, tzinfo=UTC), "1 July 2026 at 12:05 CEST"),
        ("en", None, ENDS, "21 December 2026 at 10:38 UTC"),
        ("fr", None, ENDS, "21 December 2026 at 10:38 UTC"),
    ],
)
def test_an_instant_is_written_out_in_full_with_its_zone(
    configure: Any, language: str, zone: str | None, at: datetime, words: str
) -> None:
    with i18n.speaking(language, zone):
        assert i18n.instant(at) == words


@pytest.mark.parametrize(
    ("language", "currency", "words"),
    [("de", "EUR", "30,00 €"), ("de", "USD", "30,00 $"), ("de", "JPY", "3.000 ¥"), ("en", "EUR", "€30.00")],
)
def test_money_is_written_as_the_language_does(configure: Any, language: str, currency: str, words: str) -> None:
    with i18n.speaking(language):
        assert i18n.amount(3000, currency).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("interval", "frequency", "words"),
    [
        *(("day", 1, "pro Tag"), ("week", 1, "pro Woche"), ("month", 1, "pro Monat"), ("year", 1, "pro Jahr")),
        *(("day", 90, "alle 90 Tage"), ("week", 2, "alle 2 Wochen"), ("month", 3, "alle 3 Monate")),
        ("year", 2, "alle 2 Jahre"),
    ],
)
def test_a_price_is_for_a_period(configure: Any, interval: str, frequency: int, words: str) -> None:
    with i18n.speaking("de"):
        assert i18n.each_period(interval, frequency) == words


@once
def test_a_german_customer_reads_german_dates_and_money(person: Person) -> None:
    sub = in_euros(german())
    shown = person.open(email_link("cancel", sub))
    assert f"Wann es endet {IN_BERLIN}" in shown
    assert "30,00 € pro Monat" in shown
    done = person.press("Zum Ende des Zeitraums kündigen")
    assert "Ihre Kündigung ist eingegangen" in done
    assert f"AeroEdit Pro endet am {IN_BERLIN}. Bis dahin können Sie es sich anders überlegen." in done
    assert "Endet am 21. Dezember 2026" in done
    [mail] = visits.mails("cancellation_scheduled")
    message = emails.compose(mail)
    assert message["Subject"] == "Ihre Kündigung: AeroEdit Pro endet am 21. Dezember 2026"
    assert message["Content-Language"] == "de"
    assert f"Ende: {IN_BERLIN}" in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]


@once
def test_an_invoice_is_in_german(person: Person) -> None:
    sub = in_euros(german())
    billed = bill(sub)
    with transaction():
        kept = session().get(Transaction, billed)
        owner = session().get(Customer, kept.customer_id)  # type: ignore[union-attr]
        with i18n.speaking("de", "Europe/Berlin"):
            said = str(invoices._contents(kept, owner, None))  # type: ignore[arg-type]
    assert "Offen: 30,00\\xa0€" in said
    assert "21.\\xa0Dezember\\xa02026" in said
    assert [original for original, pattern in english() if pattern.search(said)] == []


# Pages


@once
@pytest.mark.parametrize("state", STATES)
def test_every_page_of_every_state_is_german(person: Person, state: str) -> None:
    jonas = german()
    sub = in_euros(jonas, **STATES[state])
    bill(sub)
    for page in ("portal", "subscription", "cancel", "keep", "payment"):
        subject = None if page == "portal" else sub
        shown = person.open(email_link(page, subject, customer_id=jonas))
        is_german(shown)
    is_german(person.open("/portal/payments"))


@once
def test_canceling_and_keeping_are_german_to_the_end(person: Person) -> None:
    jonas = german()
    sub = in_euros(jonas, status="trialing")
    is_german(person.open(email_link("cancel", sub)))
    done = person.press("Zum Ende der Testphase kündigen")
    assert "Warum haben Sie gekündigt?" in done
    is_german(done)
    is_german(person.press("Antwort senden", reason="too_expensive"))
    is_german(person.open(email_link("keep", sub)))
    done = person.press("Abo behalten")
    assert f"Die nächste Zahlung von 30,00 € ist am {IN_BERLIN} fällig." in done
    is_german(done)
    is_german(person.open(f"/portal/subscriptions/{sub}"))


@once
def test_replacing_a_card_is_german_to_the_end(person: Person) -> None:
    sub = in_euros(german())
    rest = {"expiry": "07/31", "cvc": "123"}
    for number, expiry, cvc in [
        ("4000 0000 0000 0002", "07/31", "123"),
        ("4000 0000 0000 9995", "07/31", "123"),
        ("4000 0000 0000 0069", "07/31", "123"),
        ("5555 5555 5555 4444", "07/31", "123"),
        ("4242 4242 4242 4242", "13/31", "123"),
        ("4242 4242 4242 4242", "07/31", "x"),
    ]:
        person.open(email_link("payment", sub))
        refused = person.press("Karte speichern", number=number, expiry=expiry, cvc=cvc)
        assert "Es gibt ein Problem" in refused
        is_german(refused)
    asked = person.press("Karte speichern", number="4000 0025 0000 3155", **rest)
    is_german(asked)
    is_german(person.press("Diese Karte nicht verwenden"))
    done = person.press("Karte speichern", number="4242 4242 4242 4242", **rest)
    assert "Ihre Karte ist gespeichert" in done
    assert "Visa mit den Endziffern 4242, gültig bis 07/2031" in done
    is_german(done)


@once
def test_a_stranger_from_germany_signs_in_in_german(person: Person, the_clock: Any) -> None:
    person.headers |= GERMAN
    is_german(person.open("/portal/sign-in"))
    is_german(person.press("Anmeldelink per E-Mail anfordern", email="nobody"))
    sent = person.press("Anmeldelink per E-Mail anfordern", email="jonas@example.com")
    assert "Der Link gilt 10 Minuten lang und nur einmal." in sent
    is_german(sent)
    is_german(person.open("/portal/sign-in/confirm?token=none"))
    is_german(person.open("/portal/signed-out"))
    assert [mail.locale for mail in visits.mails("sign_in")] == ["de"]


@once
def test_a_link_that_does_not_open_its_page_says_so_in_german(person: Person, the_clock: Any) -> None:
    person.headers |= GERMAN
    sub = in_euros(german())
    link = email_link("cancel", sub)
    is_german(person.open(link[:-5]))
    the_clock.advance(days=8)
    expired = person.open(link)
    assert "Dieser Link ist abgelaufen" in expired
    is_german(expired)
    is_german(person.press("Neuen Link per E-Mail anfordern"))
    person.open(email_link("cancel", sub))
    outside = person.open("/portal/payments")
    assert "Dieser Link öffnet diese Seite nicht" in outside
    is_german(outside)


@once
def test_every_refusal_is_german(app: Flask) -> None:
    template = (config.ROOT / "templates" / "customer" / "error.html").read_text()
    codes = re.findall(r"^  '(\w+)': \(_\(", template, flags=re.MULTILINE)
    assert len(codes) > 10
    for code in (*codes, "another"):
        with app.test_request_context("/portal/x", headers=GERMAN):
            app.preprocess_request()
            page = render_template(
                "customer/error.html", code=code, status=400, refusal=None, request_id="7", again="/portal/x"
            )
        is_german(page)


@once
def test_the_check_for_english_finds_english(person: Person) -> None:
    """Or the tests above would prove nothing."""
    sub = visits.subscribed()
    said = spoken(person.open(email_link("cancel", sub)).html)
    found = {original for original, pattern in english() if pattern.search(said)}
    assert {"Cancel %(name)s", "When it ends", "Keep my subscription", "Skip to the content", "per month"} <= found


# Mails


@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_is_german(configure: Any, the_clock: Any, kind: str) -> None:
    for facts in mail_samples.states(kind).values():
        message = emails.compose(letter(kind, "de", **facts))
        text, html = (message.get_body((form,)).get_content() for form in ("plain", "html"))  # type: ignore[union-attr]
        is_german(html)
        said = " ".join(f"{message['Subject']} | {text}".split())
        assert [original for original, pattern in english() if pattern.search(said)] == []
        assert message["Content-Language"] == "de"


def test_a_mail_has_german_dates_and_money(configure: Any, the_clock: Any) -> None:
    mail = emails.compose(letter("payment_failed", "de", retry_at="2026-12-21T10:38:57.979670Z"))
    text = mail.get_body(("plain",)).get_content().replace("\u00a0", " ")  # type: ignore[union-attr]
    assert "Guten Tag Amelia Harper," in text
    assert "Betrag: 30,00 €" in text
    assert f"Nächster Versuch: {IN_BERLIN}" in text
    assert "Zahlungsart: Visa mit den Endziffern 4242" in text


# Which language


@once
@pytest.mark.parametrize(
    ("wanted", "spoken_is"),
    [
        ("de", "de"),
        ("de-DE", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr,de;q=0.8,en;q=0.5", "de"),
        ("en;q=0.5,de;q=0.9", "de"),
        ("en-GB,en;q=0.9,de;q=0.5", "en"),
        ("fr", "en"),
        ("fr-CH, it;q=0.5", "en"),
        ("", "en"),
        ("*", "en"),
        ("x" * 3000, "en"),
        ("../../etc/passwd", "en"),
        ("de_DE.UTF-8@euro", "de"),
    ],
)
def test_a_stranger_is_spoken_to_in_the_browsers_language(person: Person, wanted: str, spoken_is: str) -> None:
    shown = person.open("/portal/sign-in", **{"Accept-Language": wanted})
    assert shown.status == 200
    assert f'<html lang="{spoken_is}">' in shown.html
    assert ("Bei Ihren Abos anmelden" if spoken_is == "de" else "Sign in to your subscriptions") in shown


@once
@pytest.mark.parametrize(("locale", "spoken_is"), [("de", "de"), ("de-CH", "de"), ("en", "en"), ("fr", "en")])
def test_a_customer_is_spoken_to_in_their_own_language(person: Person, locale: str, spoken_is: str) -> None:
    sub = visits.subscribed(people.customer("Jonas Weber", locale=locale))
    person.headers |= {"Accept-Language": "en" if spoken_is == "de" else "de"}
    shown = person.open(email_link("cancel", sub))
    assert f'<html lang="{spoken_is}">' in shown.html
    assert ("AeroEdit Pro kündigen" if spoken_is == "de" else "Cancel AeroEdit Pro") in shown


@once
def test_one_customers_language_does_not_stay_for_the_next(person: Person, someone_else: Person) -> None:
    jonas, amelia = in_euros(german()), visits.subscribed(people.customer("Amelia Harper"))
    for _ in range(2):
        assert '<html lang="de">' in person.open(email_link("cancel", jonas)).html
        assert '<html lang="en">' in someone_else.open(email_link("cancel", amelia)).html


@once
def test_a_portal_that_offers_only_german_falls_back_to_it(configure: Any, person: Person) -> None:
    configure(languages=("de",))
    assert '<html lang="de">' in person.open("/portal/sign-in", **{"Accept-Language": "en"}).html


SPELLED = pytest.mark.parametrize(
    ("offered", "tag", "title"),
    [
        ("de-AT", "de-AT", "AeroEdit Pro kündigen"),
        ("pt-br,en", "pt-BR", "Cancel AeroEdit Pro"),
        ("zh-TW", "zh-Hant-TW", "Cancel AeroEdit Pro"),
        ("en-US", "en-US", "Cancel AeroEdit Pro"),
    ],
)
"""Languages as people spell them; ours are English and German."""


@once
@SPELLED
def test_every_page_speaks_a_language_of_a_country(
    configure: Any, person: Person, offered: str, tag: str, title: str
) -> None:
    configure(languages=locales.several(offered))
    sub = in_euros(people.customer("Jonas Weber", locale=tag))
    page = person.open(email_link("cancel", sub))
    assert (page.status, f'<html lang="{tag}">' in page.html, title in page) == (200, True, True)
    for path in ("", f"/subscriptions/{sub}", "/payments", "/sign-in", "/nowhere"):
        assert person.open(f"/portal{path}").status in (200, 403, 404)
    billed = bill(sub)
    with transaction():
        kept = session().get_one(Transaction, billed)
        assert invoices.of(kept, language=tag).startswith(b"%PDF")
    shown = person.open(links.checkout_url(billed, expires_at=NOW + timedelta(days=30)))
    assert (shown.status, f'<html lang="{tag}">' in shown.html) == (200, True)


@SPELLED
@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_speaks_a_language_of_a_country(
    configure: Any, the_clock: Any, kind: str, offered: str, tag: str, title: str
) -> None:
    configure(languages=locales.several(offered))
    message = emails.compose(letter(kind, tag))
    assert message["Content-Language"] == tag
    assert f'<html lang="{tag}"' in message.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wanted", "offered", "spoken_is"),
    [
        ("de", "en,de-AT", "de_AT"),
        ("de-CH", "en,de-AT", "de_AT"),
        ("de-AT", "de,de-AT", "de_AT"),
        ("DE-at", "de,de-AT", "de_AT"),
        ("DE", "en,de", "de"),
        ("en-GB", "de-AT,en-US", "en_US"),
        ("zh-TW", "en,zh-TW", "zh_Hant_TW"),
        ("iw", "en,he", "he"),
        ("fr", "de-AT,en", "de_AT"),
        ("not a language", "de-AT,en", "de_AT"),
        ("../../etc/passwd", "en,de", "en"),
    ],
)
def test_a_customers_language_may_be_anything(configure: Any, wanted: str, offered: str, spoken_is: str) -> None:
    configure(languages=locales.several(offered))
    assert i18n.pick(wanted) == spoken_is
    with i18n.speaking(wanted, "Europe/Vienna"):
        assert i18n.instant(ENDS)
        assert i18n.amount(3000, "EUR")
    assert i18n.name(wanted)
