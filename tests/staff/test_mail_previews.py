"""An admin sees each mail as it is sent, in each of its states and languages, without any power in it."""

import re
from typing import Any

import pytest
from flask import Flask

from portal import config, mail_preview, worker
from portal.domain import mails
from portal.outbox import mail_samples
from tests.customer import visits
from tests.person import Person
from tests.smtp import MailServer
from tests.staff import console

EVERY = [(kind, state) for kind in mails.KINDS for state in mail_preview.states(kind)]
TOKEN = re.compile(r"pga_|token=|[?&]t=")


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


@pytest.mark.parametrize(("kind", "state"), EVERY)
def test_each_mail_is_written_in_each_language_and_has_no_power(
    configure: Any, the_clock: Any, kind: str, state: str
) -> None:
    for language in config.current().languages:
        shown = mail_preview.of(mail_preview.sample(kind, state, language))
        assert shown is not None
        assert shown.subject
        assert shown.text
        assert f'lang="{language}"' in shown.html
        assert not TOKEN.search(shown.subject + shown.text + shown.html)


def test_every_kind_says_what_lets_it_be_sent() -> None:
    assert set(mail_samples.TRIGGERS) == set(mails.KINDS)
    assert set(mail_samples.STATES) <= set(mails.KINDS)


def test_each_kind_and_state_is_listed_and_opens(ada: Person) -> None:
    page = ada.open("/console/mail-previews")
    for kind in mails.KINDS:
        assert mail_preview.trigger(kind) in page
    links = [link for link in page.links.values() if link.startswith("/console/mail-previews/")]
    assert len(links) > len(mails.KINDS)
    for link in links:
        assert ada.open(link).status == 200


def test_a_preview_shows_subject_text_and_html_in_a_frame_without_rights(ada: Person) -> None:
    page = ada.open("/console/mail-previews/cancellation_scheduled?language=de")
    assert "Ihre Kündigung: AeroEdit Pro endet am 21. Januar 2027" in page
    assert page.headers["Content-Security-Policy"].endswith("; frame-src 'self'")
    [frame] = re.findall(r'<iframe [^>]*src="([^"]+)"[^>]* sandbox>', page.html)
    inside = ada.open(frame.replace("&amp;", "&"))
    assert '<html lang="de"' in inside.html
    policy = inside.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.rstrip("; ").endswith("sandbox")
    assert inside.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_preview_has_the_sellers_brand_as_it_is_now(ada: Person, configure: Any) -> None:
    configure(brand_accent="#7a1fa2")
    assert "#7a1fa2" in ada.open("/console/mail-previews/cancellation_scheduled/html").html


def test_a_preview_is_sent_to_oneself_marked_and_without_power(ada: Person, smtp: MailServer) -> None:
    ada.open("/console/mail-previews/sign_in?language=de")
    page = ada.press("Send this preview to me")
    assert "The preview is on its way" in page
    assert page.path == "/console/mail-previews/sign_in"
    worker.mails()
    [received] = smtp.to("ada@aeroedit.example")
    assert received.subject.startswith("[Preview] ")
    assert not TOKEN.search(received.text + received.html)
    [mail] = visits.mails("sign_in")
    assert mail.status == "sent"
    [entry] = console.audited()
    assert (entry.action, entry.actor_name) == ("mail.preview_sent", "Ada Admin")
    assert entry.facts == {"kind": "sign_in", "language": "de", "to": "ada@aeroedit.example"}


def test_each_kind_can_be_sent_to_oneself_and_again(ada: Person, smtp: MailServer) -> None:
    for kind in (*mails.KINDS, mails.KINDS[0]):
        assert ada.submit(f"/console/mail-previews/{kind}").status == 200
    while worker.mails():
        pass
    subjects = [each.subject.strip() for each in smtp.to("ada@aeroedit.example")]
    assert sum(each.startswith("[Preview] ") for each in subjects) == len(mails.KINDS) + 1, subjects


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "sign_in?state=gone",
        "sign_in?language=fr",
        "sign_in/html?language=../../etc/passwd",
        "../layout",
        "sign_in?state=<script>alert(1)</script>",
    ],
)
def test_what_is_no_preview_is_not_found(ada: Person, path: str) -> None:
    page = ada.open(f"/console/mail-previews/{path}")
    assert page.status == 404
    assert "<script>" not in page.html


def test_only_an_admin_may(app: Flask, person: Person) -> None:
    sam = console.colleague(app)
    for path in ("", "/sign_in", "/sign_in/html"):
        assert sam.open(f"/console/mail-previews{path}").status == 403
        assert person.open(f"/console/mail-previews{path}").path == "/console/sign-in"
    assert sam.submit("/console/mail-previews/sign_in").status == 403
    assert person.submit("/console/mail-previews/sign_in").path == "/console/sign-in"
    assert visits.mails("sign_in") == []
    assert console.audited() == []
