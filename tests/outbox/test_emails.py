"""What each mail says, in text and in HTML alike, and which links it carries."""

import re
from datetime import timedelta
from email import message_from_bytes, policy
from html import unescape

import pytest

from portal import clock, tokens
from portal.domain.mails import KINDS
from portal.outbox import emails
from tests.outbox.letters import CUSTOMER, SUBSCRIPTION, WRITTEN, letter

CARRIES = {
    "cancellation_scheduled": {"keep"},
    "cancellation_withdrawn": {"cancel"},
    "subscription_ended": set(),
    "payment_method_changed": {"cancel"},
    "renewed": {"subscription", "cancel"},
    "payment_failed": {"payment", "cancel"},
    "renewal_reminder": {"cancel"},
    "subscribed": {"subscription", "cancel"},
    "purchased": set(),
    "paused": {"cancel"},
    "resumed": {"cancel"},
    "sign_in": {"sign-in"},
    "fresh_link": {"cancel"},
    "link_from_staff": {"cancel"},
    "email_changed": set(),
    "staff_sign_in": {"console"},
    "staff_added": set(),
    "staff_access_changed": set(),
    "end_date_missing": set(),
    "endpoint_off": set(),
    "event_notification": set(),
}


@pytest.fixture(autouse=True)
def _usual_settings(configure, the_clock):
    the_clock.set(WRITTEN + timedelta(hours=2))


def parts(message):
    """A message as the reader's program has it: subject, text, HTML."""
    arrived = message_from_bytes(message.as_bytes(), policy=policy.default)
    text, html = (arrived.get_body((kind,)).get_content() for kind in ("plain", "html"))
    return str(arrived["Subject"]), text, html


def read(**facts_of):
    return parts(emails.compose(letter(**facts_of)))


def words(body):
    """A body without its line breaks."""
    return " ".join(body.split())


def links_in(body):
    return re.findall(r"http://localhost/[^\s\"<]+", unescape(body))


def pages_in(body):
    with clock.frozen(WRITTEN + timedelta(minutes=5)):
        found = [url.partition("?token=")[2] for url in links_in(body)]
        kinds = tokens.DIRECT, tokens.SIGN_IN, tokens.STAFF_SIGN_IN, tokens.PORTAL_SESSION
        return {tokens.read(token, *kinds).page for token in found if token}


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_carries_the_links_of_its_errand_and_no_other(kind, locale):
    subject, text, html = read(kind=kind, locale=locale)
    assert subject
    assert pages_in(text) == pages_in(html) == CARRIES[kind]
    assert set(links_in(text)) == set(links_in(html))
    assert f'<html lang="{locale}"' in html
    assert all(line in text.splitlines() for line in links_in(text)), "a link stands on its own line"


@pytest.mark.parametrize("kind", KINDS)
def test_the_headers_say_who_when_and_that_nobody_wrote_it(kind):
    message = emails.compose(letter(kind))
    assert str(message["From"]) == "AeroEdit <billing@aeroedit.example>"
    assert message["Date"].datetime == WRITTEN.replace(microsecond=0)
    assert message["Message-ID"] == "<mail_01jcgfqad406rsfjcgq44g9dju@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Content-Language"] == "en"
    assert message["List-Unsubscribe"] is None
    assert message.get_content_type() == "multipart/alternative"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_written_again_is_the_same_mail_byte_for_byte(kind, the_clock):
    first = emails.compose(letter(kind)).as_bytes()
    the_clock.advance(days=2)
    assert emails.compose(letter(kind)).as_bytes() == first


@pytest.mark.parametrize("kind", KINDS)
def test_no_mail_fetches_anything_from_anywhere(kind):
    _, _, html = read(kind=kind)
    assert not re.search(r"<(img|script|link|iframe|form)\b|url\(|@import|\bsrc=", html)


def test_links_open_the_page_of_this_customer_and_live_as_long_as_promised():
    _, text, _ = read(kind="cancellation_scheduled")
    (url,) = links_in(text)
    claims = tokens.read(url.partition("?token=")[2], tokens.DIRECT)
    assert (claims.origin, claims.subscription) == (CUSTOMER, SUBSCRIPTION)
    assert claims.expires_at == (WRITTEN + timedelta(days=7)).replace(microsecond=0)
    with clock.frozen(WRITTEN):
        _, text, _ = read(kind="fresh_link", page="portal", subscription=None)
        (url,) = links_in(text)
        claims = tokens.read(url.partition("?token=")[2], tokens.DIRECT)
    assert (claims.page, claims.subscription) == ("portal", None)
    assert claims.expires_at == (WRITTEN + timedelta(hours=1)).replace(microsecond=0)


def test_the_confirmation_says_what_ends_and_exactly_when():
    subject, text, html = read(kind="cancellation_scheduled")
    assert subject == "Your cancellation: AeroEdit Pro ends on 21 January 2027"
    for fact in ("21 January 2027 at 11:38 CET", "21 December 2026 at 11:38 CET", "Nothing more is charged"):
        assert fact in words(text)
        assert fact in words(html)


def test_the_confirmation_is_dated_as_its_reader_writes_dates():
    _, text, html = read(kind="cancellation_scheduled", locale="de")
    assert "21. Januar 2027" in words(text)
    assert "21. Januar 2027" in html


def test_an_end_that_others_scheduled_offers_no_keeping_but_says_whom_to_contact():
    for asked_by in ("staff", "key"):
        subject, text, html = read(kind="cancellation_scheduled", asked_by=asked_by)
        assert subject == "AeroEdit Pro ends on 21 January 2027"
        assert links_in(text) == links_in(html) == []
        assert "AeroEdit has scheduled the end" in words(text)
        assert "help@aeroedit.example" in words(text)


def test_an_end_without_a_date_says_that_the_date_will_come():
    subject, text, _ = read(kind="cancellation_scheduled", ends_at=None)
    assert subject == "We have received your cancellation of AeroEdit Pro"
    assert "The date will be confirmed" in words(text)
    assert pages_in(text) == {"keep"}


def test_who_owes_a_payment_is_not_told_that_nothing_is_charged():
    debt = {"owed": 3000, "owed_by": "card"}
    _, text, html = read(kind="cancellation_scheduled", status="past_due", **debt)
    for body in (text, html):
        assert "Nothing more is charged" not in words(body)
        assert "€30.00 is still due, and we keep trying to collect it. No further period is charged." in words(
            re.sub("<[^>]*>", " ", body)
        )


def test_a_trial_that_is_cancelled_is_never_charged():
    _, text, _ = read(kind="cancellation_scheduled", status="trialing")
    assert "You will not be charged" in words(text)


def test_a_mail_about_an_ending_subscription_leads_to_its_cancellation_and_does_not_offer_another():
    _, text, html = read(kind="payment_failed", ends_at="2027-01-21T10:38:57.979670Z")
    assert pages_in(text) == pages_in(html) == {"payment", "cancel"}
    assert "Cancel this subscription" not in text
    assert "set to end on 21 January 2027" in words(text)


def test_variants_say_what_happened():
    assert "could not collect" in words(read(kind="subscription_ended", because="payment_failed")[1])
    assert read(kind="renewed", paid_at=None)[0] == "Invoice for AeroEdit Pro: €30.00"
    assert read(kind="renewed")[0] == "Receipt for AeroEdit Pro: €30.00"
    assert read(kind="renewal_reminder", status="trialing")[0] == "Your trial of AeroEdit Pro ends on 21 January 2027"
    assert "The card has expired" in words(read(kind="payment_failed", refusal="expired")[1])
    assert "do_not_honor" not in words(read(kind="payment_failed", refusal="do_not_honor")[1])
    assert "203.0.113.7" in words(read(kind="sign_in")[1])
    assert "within 10 minutes" in words(read(kind="sign_in")[1])


def test_who_bought_reads_what_it_costs_from_when_on_and_how_to_cancel():
    subject, text, _ = read(kind="subscribed")
    assert subject == "Your subscription to AeroEdit Pro has begun"
    for fact in ("€30.00 per month", "21 January 2027 at 11:38 CET", "Visa ending in 4242", "until you cancel"):
        assert fact in words(text), fact
    subject, text, _ = read(kind="subscribed", trial_ends_at="2027-01-21T10:38:57.979670Z", paid=0, status="trialing")
    assert subject == "Your trial of AeroEdit Pro has begun"
    assert "is free until 21 January 2027 at 11:38 CET" in words(text)
    assert "Paid on" not in text
    subject, text, _ = read(kind="purchased")
    assert subject == "Receipt for Logbook: €49.00"
    assert "nothing renews" in words(text)


def test_an_event_is_told_in_words_and_as_the_json_that_a_webhook_carries():
    subject, text, html = read(kind="event_notification")
    assert subject == f"Event subscription.canceled: {SUBSCRIPTION}"
    assert "21 December 2026 at 11:38 CET" in words(text)
    for body in (text, unescape(html)):
        assert '"canceled_at": "2026-12-21T10:38:57.979670Z"' in body
        assert '"x": "\\u00c4"' in body, "ASCII: nothing can be hidden in it"
    _, _, html = read(kind="event_notification", json={"a": "</pre><script>alert(1)</script>\u202e"})
    assert "<script>alert" not in html
    assert "\u202e" not in html


HOSTILE = [
    "Eve\r\nBcc: victim@example.com\r\n\r\nhi",
    "{{ config }}{% for x in [] %}%(name)s %s {0}",
    "<script>alert(1)</script><a href='https://evil.example'>Keep</a>",
    'a"><img src=x onerror=alert(1)>',
    "\u202eevil\u2028name\x00\x1b[31m\ud800",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_are_shown_as_text(kind, name):
    facts = {} if kind in ("sign_in", "staff_sign_in", "fresh_link") else {"name": name, "customer": name}
    facts = {
        "endpoint_off": {"description": name},
        "event_notification": {"entity": name},
        "staff_added": {"added_by": name},
        "staff_access_changed": {"name": name, "browser": name, "client": name},
    }.get(kind, facts)
    message = emails.compose(letter(kind, **facts))
    subject, text, html = parts(message)
    assert message["Bcc"] is None
    assert b"\nBcc:" not in message.as_bytes()
    assert "\n" not in subject
    assert not re.search(r"<(script|img|a href=')", html)
    assert pages_in(html) == CARRIES[kind]
    if facts and name.isprintable():
        assert name in words(text)
        assert name in unescape(html)


@pytest.mark.parametrize("field", ["locale", "time_zone"])
@pytest.mark.parametrize("value", ["", "../../etc/passwd", "xx\r\nX: y", "{{ 7*7 }}", "d" * 5000, "\x00"])
def test_an_unknown_language_or_zone_falls_back(field, value):
    mail = letter("cancellation_scheduled")
    setattr(mail, field, value)
    assert emails.compose(mail)["Content-Language"] == "en"


@pytest.mark.parametrize(
    "address",
    ["a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "<a@b.example>", "nobody", "a@b@c", "", "a b@c.d"],
)
def test_an_address_that_is_not_exactly_one_is_refused(address):
    with pytest.raises(emails.UnusableAddress):
        emails.compose(letter("paused", to=address))


@pytest.mark.parametrize(
    ("domain", "written"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("groß.example", "xn--gro-7ka.example"),
        ("gross.example", "gross.example"),
        ("mail_1.example", "mail_1.example"),
    ],
)
def test_a_domain_of_another_script_is_written_so_that_every_server_takes_it(domain, written):
    assert str(emails.compose(letter("paused", to=f"amelia@{domain}"))["To"]) == f"amelia@{written}"


@pytest.mark.parametrize("accent", ["#ffff00", "#000000", "#ffffff", "#0b5cad"])
def test_every_accent_colour_can_be_read(accent, configure):
    configure(brand_accent=accent)
    assert pages_in(read(kind="renewed")[2]) == {"subscription", "cancel"}
