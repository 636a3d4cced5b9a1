"""The `portal` command: what an operator types, and what they read when it can't be done."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from portal import cli, config, db, links
from portal.domain.api_keys import CANCEL_IMMEDIATELY
from tests import people
from tests.conftest import SETTINGS, Clock
from tests.person import Person

SAFE = {
    "PORTAL_ENV": "production",
    "PORTAL_BASE_URL": "https://account.aeroedit.example",
    "PORTAL_SECRET_KEYS": "k" * 32,
}


def portal(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, list(arguments))


@pytest.fixture
def from_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings are read anew, from an environment that has none of ours."""
    monkeypatch.setattr(config, "_environment", None)
    monkeypatch.setattr(config, "_current", None)
    yield
    config.use(SETTINGS)


def test_a_key_is_printed_alone_and_opens_the_api(app: Flask) -> None:
    made = portal("api-key", "create", "--name", "shop", "--permissions", "subscription.read")
    key = made.stdout.strip()
    assert key.startswith("pdl_live_apikey_")
    db.connect(config.current().database_url)
    answer = app.test_client().get("/subscriptions", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    listed = portal("api-key", "list").stdout
    assert "shop" in listed
    assert key not in listed


def test_a_revoked_key_is_refused_from_the_next_request_on(app: Flask) -> None:
    key = portal("api-key", "create", "--name", "shop", "--all").stdout.strip()
    assert portal("api-key", "revoke", key.split("_", 2)[2].rsplit("_", 1)[0]).exit_code == 0
    answer = app.test_client().get("/subscriptions", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json["error"]["code"]) == (403, "invalid_token")


def test_all_permissions_leave_out_the_one_that_must_be_named(database: str) -> None:
    portal("api-key", "create", "--name", "shop", "--all")
    assert CANCEL_IMMEDIATELY not in portal("api-key", "list").stdout
    portal("api-key", "create", "--name", "billing", "--permissions", CANCEL_IMMEDIATELY)
    assert CANCEL_IMMEDIATELY in portal("api-key", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("api-key", "create", "--name", "x", "--permissions", "everything"), "there is no permission everything"),
        (("api-key", "create", "--name", "x"), "Name what the key may do"),
        (("api-key", "revoke", "apikey_unknown"), "There is no API key apikey_unknown"),
        (("link", "ctm_unknown"), "There is no customer ctm_unknown"),
        (("staff", "add", "not an address"), "Nobody was added"),
        (
            ("staff", "add", "a" * 250 + "@example.com"),
            "Nobody was added: An email address has 254 characters at most.",
        ),
        (("staff", "remove", "nobody@example.com"), "Nobody on the staff has the address nobody@example.com"),
        (("staff", "link", "nobody@example.com"), "Nobody on the staff has the address nobody@example.com"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(database: str, arguments: tuple[str, ...], words: str) -> None:
    refused = portal(*arguments)
    assert refused.exit_code == 1
    assert words in refused.output
    assert "Traceback" not in refused.output


def test_a_link_is_printed_alone_and_opens_the_page(app: Flask, person: Person) -> None:
    who = people.customer()
    sub = people.subscription(who)
    link = portal("link", who, "--subscription", sub, "--page", "cancel").stdout.strip()
    db.connect(config.current().database_url)
    assert len(link) < 300
    page = person.open(link)
    assert (page.status, page.path) == (200, urlsplit(link).path)
    assert "Cancel AeroEdit Pro" in page


def test_no_link_is_made_to_somebody_elses_subscription(database: str) -> None:
    sub = people.subscription(people.customer("Ben Ode"))
    refused = portal("link", people.customer(), "--subscription", sub)
    assert "There is no subscription" in refused.output


def test_a_link_of_the_staff_is_printed_alone_and_signs_in_once(app: Flask, person: Person) -> None:
    portal("staff", "add", "ada@aeroedit.example", "--name", "Ada Admin")
    older, link = (portal("staff", "link", "ADA@aeroedit.example").stdout.strip() for _ in range(2))
    assert urlsplit(link).path == "/console/sign-in/confirm"
    db.connect(config.current().database_url)
    assert "This sign-in link no longer works" in person.open(older)
    person.open(link)
    person.press("Sign in")
    assert "Ada Admin" in person.open("/console/account")
    assert "This sign-in link no longer works" in person.open(link)
    listed = portal("staff", "list").stdout
    assert listed == "ada@aeroedit.example  admin  Ada Admin  signed in: 1\n"


def test_who_is_removed_from_the_staff_is_signed_out_and_the_only_admin_stays(app: Flask, person: Person) -> None:
    portal("staff", "add", "ada@aeroedit.example")
    portal("staff", "add", "sam@aeroedit.example", "--name", "Sam Support")
    link = portal("staff", "link", "sam@aeroedit.example").stdout.strip()
    refused = portal("staff", "remove", "ada@aeroedit.example")
    assert (refused.exit_code, "This is the only admin" in refused.output) == (1, True)
    db.connect(config.current().database_url)
    person.open(link)
    person.press("Sign in")
    assert person.open("/console/account").status == 200
    assert portal("staff", "remove", "sam@aeroedit.example").exit_code == 0
    assert portal("staff", "list").stdout == "ada@aeroedit.example  admin    signed in: 0\n"
    db.connect(config.current().database_url)
    assert person.open("/console/account").path == "/console/sign-in"
    assert portal("staff", "remove", "sam@aeroedit.example").exit_code == 1


def test_an_import_that_is_refused_names_the_place_and_changes_nothing(database: str, tmp_path: Path) -> None:
    file = tmp_path / "customers.json"
    file.write_text(json.dumps({"customers": [{"id": "ctm_" + "0" * 26, "email": "nobody"}]}))
    refused = portal("import", str(file))
    assert refused.exit_code == 1
    assert "customers[0]" in refused.output
    assert "email" in refused.output


def test_the_settings_are_listed_with_their_meaning(from_environment: None) -> None:
    listed = portal("settings").stdout
    assert "PORTAL_BASE_URL\n    what every link begins with" in listed


def test_a_printed_secret_is_long_enough() -> None:
    assert len(portal("secret").stdout.strip()) >= 32


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"PORTAL_SECRET_KEYS": ""}, "PORTAL_SECRET_KEYS is missing"),
        ({"PORTAL_SECRET_KEYS": "short"}, "under 32 characters"),
        ({"PORTAL_BASE_URL": "http://account.aeroedit.example"}, "must begin with https://"),
        ({"PORTAL_BASE_URL": ""}, "PORTAL_BASE_URL is missing"),
        ({"PORTAL_BASE_URL": "account"}, "PORTAL_BASE_URL must be an origin"),
        ({"PORTAL_BASE_URL": "https://a.example/portal"}, "without a path"),
        ({"PORTAL_SESSION_IDLE": "soon"}, "PORTAL_SESSION_IDLE is not usable"),
        ({"PORTAL_SMTP_URL": "smtp://mail.example"}, "PORTAL_MAIL_FROM is missing"),
        ({"PORTAL_RETURN_ORIGINS": "https://a.example/path"}, "PORTAL_RETURN_ORIGINS"),
        ({"PORTAL_BRAND_NAMES": "AeroEdit"}, "PORTAL_BRAND_NAMES is not a setting"),
        ({"PORTAL_SIGN_IN_PER_CLIENT": "0"}, "must be 1 or more"),
        ({"PORTAL_DEMO_MAILBOX": "mails"}, "for development only"),
        ({"PORTAL_RENEWAL_GRACE": "5s"}, "must be 20s or more"),
        ({"PORTAL_BRAND_ACCENT": "blue"}, "PORTAL_BRAND_ACCENT is not usable"),
        (
            {"PORTAL_WEBHOOK_RETRIES": "1s*999,1s*2"},
            "PORTAL_WEBHOOK_RETRIES is not usable: it takes 1000 waits at most",
        ),
        ({"PORTAL_MAIL_RETRIES": "1s*999," * 5000}, "PORTAL_MAIL_RETRIES is not usable: it takes 1000 waits at most"),
        ({"PORTAL_LANGUAGES": "xx"}, "PORTAL_LANGUAGES is not usable: it takes languages such as en or de"),
        ({"PORTAL_LANGUAGES": "en,english"}, "PORTAL_LANGUAGES is not usable"),
        ({"PORTAL_LANGUAGES": "de_DE.UTF-8"}, "PORTAL_LANGUAGES is not usable"),
        ({"PORTAL_LANGUAGES": "de_DE@euro"}, "PORTAL_LANGUAGES is not usable"),
        ({"PORTAL_LANGUAGES": " , "}, "PORTAL_LANGUAGES needs at least one language"),
    ],
)
def test_an_unsafe_or_mistaken_setting_stops_the_start_with_one_line(changed: dict[str, str], words: str) -> None:
    config.load(SAFE)
    with pytest.raises(config.ConfigError, match=words):
        config.load(SAFE | changed)


@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("de-AT", ("de_AT",)),
        ("pt-br, en", ("pt_BR", "en")),
        ("DE,de-at,de_AT,de-AT,de", ("de", "de_AT")),
        ("zh-TW", ("zh_Hant_TW",)),
    ],
)
def test_languages_are_spelled_in_one_way_and_none_stands_twice(said: str, spelled: tuple[str, ...]) -> None:
    assert config.load(SAFE | {"PORTAL_LANGUAGES": said}).languages == spelled
    assert config.read("languages", config.written("languages", spelled)) == spelled


def test_development_needs_no_setting_at_all() -> None:
    settings = config.load({"PORTAL_ENV": "development"})
    assert settings.development
    assert len(settings.secret_keys[0]) >= 32
    assert replace(settings, base_url="https://x.example").secure


def test_signing_a_customer_out_ends_their_browsers_and_their_links(
    app: Flask, person: Person, the_clock: Clock
) -> None:
    who = people.customer()
    link = links.page_url("portal", customer_id=who)
    person.open(link)
    the_clock.advance(minutes=1)
    assert portal("sign-out", who).exit_code == 0
    db.connect(config.current().database_url)
    assert person.open("/portal").path == "/portal/sign-in"
    assert person.open(link).status == 410
    the_clock.advance(seconds=2)
    assert person.open(links.page_url("portal", customer_id=who)).path == "/portal"
