"""The seller's settings in the console: set without the shell, in force at once, reset, recorded."""

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from portal import config, create_app, db
from portal.db import transaction
from portal.domain import cancellation, seller_settings
from portal.domain.seller_settings import SellerSetting
from portal.staff.settings_fields import REASON_WORDS
from tests.customer import visits
from tests.customer.visits import email_link
from tests.person import Page, Person
from tests.staff import console

PATHS = ("business", "addresses", "customers", "links", "payments")


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def open_section(somebody: Person, path: str) -> Page:
    return somebody.open(f"/console/settings/{path}")


def save(somebody: Person, path: str, **fields: str) -> Page:
    open_section(somebody, path)
    return somebody.press(f"Save {TITLES[path]}", **fields)


TITLES = {
    "business": "business",
    "addresses": "support and addresses",
    "customers": "customers’ pages",
    "links": "links and sessions",
    "payments": "payments",
}


def facts() -> list[tuple[str, str, str]]:
    return [(each.facts["name"], each.facts["old"], each.facts["new"]) for each in console.audited("setting.changed")]


def stored() -> dict[str, Any]:
    with transaction():
        return {name: row.value for name, row in seller_settings.stored().items()}


def test_a_name_is_set_shown_at_once_and_recorded(ada: Person, person: Person) -> None:
    done = save(ada, "business", brand_name="Skylark Tools")
    assert done.status == 200
    assert "Saved. It is in force now" in done
    assert "Name: Skylark Tools" in done
    assert "This page belongs to Skylark Tools." in person.open("/portal/sign-in")
    assert stored() == {"brand_name": "Skylark Tools"}
    [entry] = console.audited("setting.changed")
    assert (entry.actor_name, entry.way, entry.subject_id) == ("Ada Admin", "console", "brand_name")
    assert facts() == [("brand_name", "AeroEdit", "Skylark Tools")]


def test_sent_unchanged_nothing_is_changed_or_recorded(ada: Person) -> None:
    for path in PATHS:
        assert "Nothing was changed" in save(ada, path), path
    assert stored() == {}
    assert facts() == []


def test_saved_twice_it_is_recorded_once(ada: Person) -> None:
    save(ada, "business", brand_name="Skylark Tools")
    assert "Nothing was changed" in save(ada, "business", brand_name="Skylark Tools")
    assert len(facts()) == 1


def test_reset_the_environment_counts_again(ada: Person) -> None:
    save(ada, "business", brand_name="Skylark Tools")
    assert "Use the environment’s again: AeroEdit" in open_section(ada, "business")
    assert "From the environment: AeroEdit." in ada.press("Save business", **{"reset-brand_name": "yes"})
    assert config.current().brand_name == "AeroEdit"
    assert stored() == {}
    assert facts()[-1] == ("brand_name", "Skylark Tools", "AeroEdit")


@pytest.mark.parametrize("path", ["", *(f"/{path}" for path in PATHS), "/accent.svg?accent=%23112233"])
def test_support_may_not_look_and_who_is_signed_out_is_led_to_the_sign_in(app: Flask, path: str) -> None:
    sam = console.colleague(app)
    refused = sam.open(f"/console/settings{path}")
    assert (refused.status, "Only an admin may do this" in refused) == (403, True)
    assert Person(app).open(f"/console/settings{path}").path == "/console/sign-in"


def test_support_and_strangers_may_not_save(app: Flask) -> None:
    sam = console.colleague(app)
    assert sam.submit("/console/settings/business", brand_name="Taken over", version="0").status == 403
    assert Person(app).submit("/console/settings/business", brand_name="Taken over").path == "/console/sign-in"
    assert stored() == {}


def test_an_unknown_section_is_not_found_and_nothing_else_can_be_set(ada: Person) -> None:
    assert ada.open("/console/settings/secrets").status == 404
    assert ada.submit("/console/settings/secrets", secret_keys="x" * 40).status == 404
    save(ada, "business", secret_keys="x" * 40, base_url="https://elsewhere.example", smtp_url="smtp://x")
    assert stored() == {}


def test_a_form_that_is_not_ours_changes_nothing(ada: Person) -> None:
    assert ada.submit("/console/settings/business", token="forged", brand_name="X").status == 403
    assert stored() == {}


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("business", {"brand_name": "   "}, "Name: takes 1 to 80 characters."),
        ("business", {"brand_name": "x" * 81}, "Name: takes 1 to 80 characters."),
        ("business", {"brand_name": "Aero\u202eEdit"}, "Name: has a character that is not seen."),
        ("business", {"brand_name": "Aero\x1bEdit"}, "Name: has a character that is not seen."),
        ("business", {"brand_accent": "red;}body{display:none"}, "Accent colour: takes a colour such as #0b5cad."),
        ("addresses", {"brand_url": "javascript:alert(1)"}, "Your own site: takes an address such as"),
        ("addresses", {"brand_support": "javascript:alert(1)"}, "Support: takes an email address"),
        ("addresses", {"return_origins": "https://a.example/path"}, "Allowed return addresses: takes origins"),
        ("addresses", {"return_origins": "https://*.example.com"}, "Allowed return addresses: takes origins"),
        ("addresses", {"brand_address": "1 Runway Road | Springfield"}, "can’t hold the character |"),
        ("customers", {"cancel_message": "x" * 501}, "Message on the cancel page: takes up to 500 characters"),
        ("customers", {"cancel_reasons": "\n".join("abcdefghi")}, "takes up to 8 reasons of your own"),
        ("customers", {"cancel_reasons": "x" * 81}, "takes up to 80 characters for each reason"),
        ("customers", {"languages": "xx-notone", "first_language": "xx-notone"}, "Languages: takes languages such as"),
        ("customers", {"languages": "en_US.UTF-8", "first_language": "en_US.UTF-8"}, "Languages: takes languages such"),
        ("customers", {"languages": "xx", "first_language": "xx"}, "Languages: takes languages such as en or de."),
        ("customers", {"first_language": "fr"}, "Languages: needs the first language among"),
        ("links", {"session_idle": "1s"}, "takes 5m to 31d"),
        ("links", {"email_link_lifetime": "soon"}, "Links in mails: takes a number with its unit"),
        ("links", {"api_link_lifetime": "25h"}, "must not be longer than the longest"),
        ("links", {"sign_in_link_lifetime": "9" * 40 + "d"}, "takes a number with its unit"),
        ("payments", {"payment_retries": "1d, 2x"}, "Waits between attempts: takes a number with its unit"),
        ("payments", {"payment_retries": ",".join(["1d"] * 13)}, "takes 12 waits at most"),
        ("payments", {"payment_retries": "1d*999"}, "takes 12 waits at most"),
        ("payments", {"payment_retries": "1h*999," * 28}, "Waits between attempts: takes 1000 waits at most."),
        ("payments", {"payment_retries": "1d*999," * 1000}, "Waits between attempts: takes up to 200 characters."),
        ("links", {"session_idle": "0" * 201 + "h"}, "takes up to 200 characters"),
        ("payments", {"payment_exhausted": "deleted"}, "takes canceled or paused"),
        ("payments", {"renewal_lock": "8d"}, "takes 0 to 7d"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_changes(ada: Person, path: str, fields: Any, words: str) -> None:
    shown = save(ada, path, **fields)
    assert shown.status == 400
    assert words in shown
    assert "Nothing was changed." in shown
    assert stored() == {}
    assert facts() == []


def test_what_was_typed_is_kept_beside_the_error(ada: Person) -> None:
    shown = save(ada, "links", session_idle="1s", email_link_lifetime="10d")
    assert shown.forms[-1].fields["email_link_lifetime"] == "10d"
    assert shown.forms[-1].fields["session_idle"] == "1s"
    assert 'aria-invalid="true"' in shown.html
    assert 'href="#session_idle"' in shown.html


def test_hostile_text_is_text(ada: Person, person: Person) -> None:
    hostile = "<script>alert(1)</script>{{ 7*7 }}'; DROP TABLE seller_settings; --"
    save(ada, "business", brand_name=hostile)
    page = person.open("/portal/sign-in")
    assert hostile in page.words
    assert "<script>" not in page.html
    assert hostile in ada.open("/console/settings").words


def test_lengths_of_time_are_echoed_in_words(ada: Person) -> None:
    done = save(ada, "payments", payment_retries="12h, 2d*2", reminder_before="0")
    assert "Waits between attempts: 12 hours, 2 days, 2 days: 4 attempts in all" in done
    assert "Reminder before a renewal: none" in done
    assert stored() == {"payment_retries": "12h, 2d*2", "reminder_before": "0"}
    assert len(config.current().payment_retries) == 3


def test_addresses_are_typed_one_a_line(ada: Person, person: Person) -> None:
    save(
        ada,
        "addresses",
        brand_address="1 Runway Road\r\nSpringfield\r\n",
        return_origins="https://app.aeroedit.example/\r\nhttps://other.aeroedit.example",
        brand_support="https://help.aeroedit.example",
    )
    assert stored()["brand_address"] == "1 Runway Road|Springfield"
    assert config.current().return_origins == ("https://app.aeroedit.example", "https://other.aeroedit.example")
    assert "help.aeroedit.example" in person.open("/portal/sign-in")


def test_of_two_admins_the_second_is_told_and_overwrites_nothing(app: Flask, ada: Person) -> None:
    bob = console.colleague(app, "admin", "Bob Boss")
    open_section(ada, "business")
    open_section(bob, "business")
    ada.press("Save business", brand_name="Skylark Tools")
    told = bob.press("Save business", brand_accent="#aa0000")
    assert told.status == 409
    assert "Ada Admin changed Name from “AeroEdit” to “Skylark Tools”." in told
    assert stored() == {"brand_name": "Skylark Tools"}
    assert told.forms[1].fields["brand_name"] == "Skylark Tools"
    assert told.forms[1].fields["brand_accent"] == "#aa0000"
    assert "Accent colour: #aa0000" in bob.press("Save business")
    assert stored() == {"brand_name": "Skylark Tools", "brand_accent": "#aa0000"}


def test_another_section_changed_meanwhile_is_in_nobodys_way(app: Flask, ada: Person) -> None:
    bob = console.colleague(app, "admin", "Bob Boss")
    open_section(ada, "business")
    save(bob, "payments", reminder_before="2d")
    assert ada.press("Save business", brand_name="Skylark Tools").status == 200
    assert set(stored()) == {"brand_name", "reminder_before"}


def test_the_button_goes_only_with_a_tick_beside_the_warning(ada: Person) -> None:
    shown = open_section(ada, "customers")
    assert "§ 312k BGB" in shown
    refused = ada.press("Save customers’ pages", self_cancellation="off")
    assert refused.status == 400
    assert "Tick that you have read the warning" in refused
    assert config.current().self_cancellation
    done = ada.press(
        "Save customers’ pages", **{"confirm-off": "yes", "self_cancellation_instructions": "Write <b>us</b>."}
    )
    assert "Saved. It is in force now" in done
    assert not config.current().self_cancellation
    assert ("self_cancellation", "on", "off") in facts()


def test_going_back_to_an_environment_without_the_button_needs_the_tick_too(ada: Person, configure: Any) -> None:
    configure(self_cancellation=False)
    save(ada, "customers", self_cancellation="on")
    assert config.current().self_cancellation
    assert save(ada, "customers", **{"reset-self_cancellation": "yes"}).status == 400
    assert save(ada, "customers", **{"reset-self_cancellation": "yes", "confirm-off": "yes"}).status == 200
    assert not config.current().self_cancellation


def test_while_it_is_off_customers_read_the_instructions_and_can_still_keep(ada: Person, person: Person) -> None:
    fields = {"self_cancellation": "off", "confirm-off": "yes", "self_cancellation_instructions": "Write <b>us</b>."}
    save(ada, "customers", **fields)
    shown = person.open(email_link("cancel", visits.subscribed()))
    assert "Write <b>us</b>." in shown
    ending = visits.subscribed(**visits.ending())
    person.open(email_link("keep", ending))
    assert "Your subscription goes on" in person.press("Keep my subscription")


def test_the_message_stands_above_the_button_and_nowhere_else(ada: Person, person: Person) -> None:
    save(ada, "customers", cancel_message="Thank you for flying with us.\r\n\r\n<b>Safe landings.</b>")
    words = person.open(email_link("cancel", visits.subscribed())).words
    assert "Thank you for flying with us. <b>Safe landings.</b> Cancel at the end of the period" in words
    assert "Thank you for flying" not in person.open(email_link("cancel", visits.subscribed(**visits.ending())))


def test_reasons_are_offered_in_the_sellers_order_and_words(ada: Person, person: Person) -> None:
    save(ada, "customers", cancel_reasons="It doesn’t fly <loops>\nI don't use it enough\n\nAnother reason")
    assert config.current().cancel_reasons == ("It doesn’t fly <loops>", "unused", "other")
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    shown = person.press("Cancel at the end of the period")
    assert "It doesn’t fly <loops> I don’t use it enough Another reason" in shown
    assert "It costs too much" not in shown
    person.press("Send my answer", reason="It doesn’t fly <loops>")
    assert visits.people.row(sub).cancellation == {"reason": "It doesn’t fly <loops>", "comment": None}


def test_the_built_in_reasons_are_told_in_the_words_that_customers_read(person: Person) -> None:
    person.open(email_link("cancel", visits.subscribed()))
    assert " ".join(REASON_WORDS.values()) in person.press("Cancel at the end of the period")
    assert tuple(REASON_WORDS) == cancellation.REASONS


def test_without_reasons_nobody_is_asked(ada: Person, person: Person) -> None:
    save(ada, "customers", cancel_reasons="")
    person.open(email_link("cancel", visits.subscribed()))
    shown = person.press("Cancel at the end of the period")
    assert "Your cancellation is recorded" in shown
    assert "Why did you cancel?" not in shown


def test_a_language_that_is_not_offered_any_more_is_not_spoken(ada: Person, person: Person) -> None:
    open_section(ada, "customers")
    ada.press("Save customers’ pages", languages="de", first_language="de")
    assert config.current().languages == ("de",)
    assert "Bei Ihren Abos anmelden" in person.open("/portal/sign-in", **{"Accept-Language": "en"})


def test_a_language_of_a_country_is_offered_in_one_spelling(ada: Person, person: Person) -> None:
    open_section(ada, "customers")
    saved = ada.press("Save customers’ pages", languages="de-at", first_language="de-at")
    assert "Languages: German (Austria)" in saved
    assert stored()["languages"] == "de-at"
    assert config.current().languages == ("de_AT",)
    assert '<html lang="de-AT">' in person.open("/portal/sign-in").html
    assert "German (Austria)" in ada.open("/console/mail-previews/cancellation_scheduled")
    assert "Nothing was changed" in save(ada, "customers")


def test_the_colour_is_never_refused_and_its_figures_are_shown(ada: Person, person: Person) -> None:
    shown = save(ada, "business", brand_accent="#FFEE00")
    assert "Accent colour: #ffee00" in shown
    assert "darkened from #ffee00" in shown
    css = person.open(person.open("/portal/sign-in").html.partition('rel="stylesheet" href="')[2].partition('"')[0])
    assert "--accent:#ffee00" in css.html
    tried = ada.open("/console/settings/business?accent=%23112233")
    assert "How #112233 looks" in tried
    assert config.current().brand_accent == "#ffee00"
    picture = ada.open("/console/settings/accent.svg?accent=%23112233")
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    assert ada.open("/console/settings/accent.svg?accent=%22%3E%3Cscript").status == 404


def test_a_database_that_refuses_is_told_and_nothing_is_in_force(ada: Person, monkeypatch: Any) -> None:
    open_section(ada, "business")

    def away(*_: Any, **__: Any) -> None:
        raise db_error()

    monkeypatch.setattr(seller_settings, "_store", away)
    assert ada.press("Save business", brand_name="Skylark Tools").status == 503
    assert config.current().brand_name == "AeroEdit"


def db_error() -> Exception:
    from sqlalchemy.exc import OperationalError

    return OperationalError("INSERT", {}, Exception("database is away"))


def test_the_index_tells_every_value_and_what_is_set_here(ada: Person) -> None:
    save(ada, "links", email_link_lifetime="10d")
    index = ada.open("/console/settings")
    assert "Links in mails 10 days set here" in index
    assert "Checkout links 30 days" in index
    with db.transaction() as session:
        assert session.get(SellerSetting, "version").value == "1"  # type: ignore[union-attr]


DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><path d="M0 0h2v1H0z"/></svg>'


def upload(somebody: Person, content: bytes, name: str = "logo.svg", **fields: str) -> Page:
    page = open_section(somebody, "business")
    form = next(each for each in page.forms if "brand_name" in each.fields)
    data = form.fields | fields | {"brand_logo": (io.BytesIO(content), name)}
    sent = somebody.client.post("/console/settings/business", data=data, follow_redirects=True)
    return Page(sent)


def test_an_uploaded_logo_is_shown_served_and_taken_away_again(ada: Person, person: Person) -> None:
    assert "Logo: the uploaded file" in upload(ada, DRAWING)
    url = person.open("/portal/sign-in").html.partition('<img src="')[2].partition('"')[0]
    served = person.open(url)
    assert served.response.get_data() == DRAWING
    assert served.headers["Content-Type"] == "image/svg+xml"
    assert served.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Nothing was changed" in upload(ada, DRAWING)
    open_section(ada, "business")
    assert "Logo: none" in ada.press("Save business", **{"no-logo": "yes"})
    assert "<img" not in person.open("/portal/sign-in").html
    assert person.open(url).status == 200, "a page that is still open shows it"


def test_a_logo_whose_file_has_gone_is_missed_and_no_page_with_it(
    ada: Person, person: Person, configure: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "logo.svg"
    file.write_bytes(DRAWING)
    configure(brand_logo=str(file))
    assert '<img src="/assets/logo-' in person.open("/portal/sign-in").html
    file.unlink()
    with caplog.at_level(logging.WARNING, "portal.brand"):
        for colour in ("#112233", "#445566"):
            assert "Saved. It is in force now" in save(ada, "business", brand_accent=colour)
            shown = person.open("/portal/sign-in")
            assert (shown.status, "<img" in shown.html) == (200, False)
    [warning] = caplog.records
    assert "PORTAL_BRAND_LOGO can't be read: No such file or directory." in warning.getMessage()


def test_going_back_to_a_logo_whose_file_has_gone_shows_none(
    ada: Person, person: Person, configure: Any, tmp_path: Path
) -> None:
    configure(brand_logo=str(tmp_path / "gone.svg"))
    upload(ada, DRAWING)
    assert '<img src="/assets/logo-' in person.open("/portal/sign-in").html
    open_section(ada, "business")
    assert ada.press("Save business", **{"reset-brand_logo": "yes"}).status == 200
    shown = person.open("/portal/sign-in")
    assert (shown.status, "<img" in shown.html) == (200, False)


@pytest.mark.parametrize("name", ["gone.svg", "logo.gif", ""])
def test_a_logo_that_can_not_be_read_stops_the_start(configure: Any, tmp_path: Path, name: str) -> None:
    configure(brand_logo=f"{tmp_path}/{name}")
    with pytest.raises(config.ConfigError, match="PORTAL_BRAND_LOGO"):
        create_app()


@pytest.mark.parametrize("content", [b"", b"<html><script>alert(1)</script></html>", b"x" * 300_000])
def test_a_file_that_is_no_logo_is_refused_and_nothing_changes(ada: Person, content: bytes) -> None:
    refused = upload(ada, content, brand_name="Skylark Tools")
    assert refused.status == 400
    assert "Logo: The file" in refused
    assert stored() == {}
