"""A customer's address is changed from the console: both addresses are told, and the old mailbox has no way in."""

import threading
from typing import Any

import pytest
from flask import Flask

from portal import links
from portal.db import transaction
from portal.domain import customers, sign_in
from portal.domain.actors import system
from portal.outbox import emails
from tests import people
from tests.customer import visits
from tests.person import Person
from tests.staff import console

OLD, NEW = "amelia@example.com", "amelia.harper@example.org"


@pytest.fixture
def amelia(app: Flask) -> str:
    return people.customer("Amelia Harper", email=OLD)


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


def change(ada: Person, customer: str, email: str, shown: str = OLD) -> Any:
    return ada.submit(f"/console/customers/{customer}/email", email=email, shown=shown)


def address(customer: str) -> str:
    with transaction():
        return customers.get(customer).email


def test_the_address_changes_and_both_are_told(ada: Person, amelia: str) -> None:
    ada.open(f"/console/customers/{amelia}/email")
    page = ada.press("Change the address", email=f"  {NEW} ")
    assert f"The address is {NEW}" in page
    assert address(amelia) == NEW
    (entry,) = console.audited()
    assert (entry.action, entry.actor_name, entry.customer_id) == ("customer.email_changed", "Ada Admin", amelia)
    assert entry.facts == {"old": OLD, "new": NEW}
    with transaction():
        assert customers.by_email(NEW).id == amelia  # type: ignore[union-attr]
    old, new = visits.mails("email_changed")
    assert (old.to_address, new.to_address) == (OLD, NEW)
    words = {mail.to_address: text_of(mail) for mail in (old, new)}
    assert "has put another email address in place of this one" in words[OLD]
    assert NEW not in words[OLD], "whoever reads the old mailbox need not know the new one"
    assert "has made this your email address" in words[NEW]
    assert "contact help@aeroedit.example at once" in words[OLD]
    assert "pga_" not in words[OLD] + words[NEW]


def text_of(mail: Any) -> str:
    return " ".join(emails.compose(mail).get_body(("plain",)).get_content().split())  # type: ignore[union-attr]


def test_the_mails_speak_the_customers_language(ada: Person, app: Flask) -> None:
    jonas = people.customer("Jonas Weber", email=OLD, locale="de")
    change(ada, jonas, NEW)
    old, new = visits.mails("email_changed")
    assert emails.compose(old)["Subject"] == "Ihre E-Mail-Adresse bei AeroEdit wurde geändert"
    assert "durch eine andere ersetzt" in text_of(old)
    assert "als Ihre E-Mail-Adresse eingetragen" in text_of(new)


def test_nothing_that_reached_the_old_mailbox_opens_the_portal(app: Flask, ada: Person, amelia: str) -> None:
    sub = visits.subscribed(amelia)
    browser, in_mail = visits.come_in(Person(app), amelia), visits.email_link("cancel", sub)
    of_app = visits.open_session(app, amelia, [sub])["urls"]["general"]["overview"]
    with transaction():
        sign_in.request(OLD, next_path="/portal", locale="en", client="")
    request = visits.mails("sign_in")[0].facts["request"]
    asked = links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0))
    change(ada, amelia, NEW)
    assert browser.open("/portal").path == "/portal/sign-in"
    for url in (in_mail, of_app):
        assert visits.get(Person(app), url).status == 410
    assert "Sign in" not in [b["text"] for f in Person(app).open(asked).forms for b in f.buttons]


def test_an_address_that_is_taken_names_who_has_it(ada: Person, amelia: str) -> None:
    daniel = people.customer("Daniel Okoro", email=NEW, status="archived")
    before = visits.records()
    page = change(ada, amelia, NEW.upper())
    assert (page.status, page.links["Daniel Okoro"]) == (409, f"/console/customers/{daniel}")
    assert "who is archived" in page
    assert visits.records() == before


@pytest.mark.parametrize(
    "email",
    [
        "",
        "none",
        "a@b",
        "a b@example.com",
        "a@example.com\r\nBcc: x@y.example",
        "A <a@example.com>",
        "a@example.com,b@x.org",
        "<script>@example.com",
        "a" * 250 + "@example.com",
        "a@example.com\x00",
    ],
)
def test_what_is_no_address_is_refused_and_kept_in_the_form(ada: Person, amelia: str, email: str) -> None:
    before = visits.records()
    page = change(ada, amelia, email)
    assert page.status == 422
    assert "Enter an email address, such as name@example.com." in page
    assert "<script>@" not in page.html
    assert visits.records() == before


def test_the_address_it_has_already_records_nothing(ada: Person, amelia: str) -> None:
    before = visits.records()
    page = change(ada, amelia, OLD)
    assert f"{OLD} is the address already." in page
    assert visits.records() == before


def test_another_spelling_of_the_same_address_ends_nothing(app: Flask, ada: Person, amelia: str) -> None:
    browser = visits.come_in(Person(app), amelia)
    page = change(ada, amelia, "Amelia@example.com")
    assert "The address is written Amelia@example.com It is the same mailbox as before: nobody is told" in page
    assert "Both addresses are told" not in page
    assert address(amelia) == "Amelia@example.com"
    assert (visits.mails(), browser.open("/portal").path) == ([], "/portal")
    assert len(console.audited()) == 1


def test_what_happened_is_said_by_the_record_and_not_by_the_address(ada: Person, amelia: str) -> None:
    place = f"/console/customers/{amelia}/email?done=changed"
    assert "The address is" not in ada.open(place)
    change(ada, amelia, NEW)
    assert "Both addresses are told" in ada.open(place)
    with transaction():
        customers.update(customers.locked(amelia), {"email": "by.an.app@example.com"}, by=system())
    assert "Both addresses are told" not in ada.open(place)


def test_the_button_pressed_twice_changes_once(ada: Person, amelia: str) -> None:
    for _ in range(2):
        assert f"The address is {NEW}" in change(ada, amelia, NEW)
    assert (len(visits.mails()), len(console.audited())) == (2, 1)


def test_who_saw_another_address_is_told_that_it_was_changed(ada: Person, amelia: str) -> None:
    change(ada, amelia, NEW)
    page = change(ada, amelia, "third@example.com")
    assert (page.status, address(amelia)) == (409, NEW)
    assert "It was changed at the same moment" in page


def test_two_changes_at_once_are_one(app: Flask, amelia: str) -> None:
    people_of_staff = [console.colleague(app, "admin", name) for name in ("Ada Admin", "Bo Admin")]
    wanted = ["first@example.com", "second@example.com"]
    answers = at_once(
        [lambda who=who, new=new: change(who, amelia, new) for who, new in zip(people_of_staff, wanted, strict=True)]
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert address(amelia) in wanted
    assert (len(visits.mails()), len(console.audited())) == (2, 1)


def test_one_address_for_two_customers_at_once_goes_to_one_of_them(app: Flask, amelia: str) -> None:
    daniel = people.customer("Daniel Okoro", email="daniel@example.com")
    ada, bo = (console.colleague(app, "admin", name) for name in ("Ada Admin", "Bo Admin"))
    answers = at_once([lambda: change(ada, amelia, NEW), lambda: change(bo, daniel, NEW, shown="daniel@example.com")])
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert sorted([address(amelia), address(daniel)]).count(NEW) == 1
    assert (len(visits.mails()), len(console.audited())) == (2, 1)


def test_an_address_that_is_taken_at_the_same_moment_is_a_conflict(ada: Person, amelia: str, monkeypatch: Any) -> None:
    """The database has the last word, if the look before it came too early."""
    people.customer("Daniel Okoro", email=NEW)
    monkeypatch.setattr(customers, "_refuse_taken", lambda *_, **__: None)
    before = visits.records()
    page = change(ada, amelia, NEW)
    assert (page.status, "Nothing was recorded" in page) == (409, True)
    assert visits.records() == before


def at_once(acts: list[Any]) -> list[Any]:
    start, answers = threading.Barrier(len(acts)), []

    def run(act: Any) -> None:
        start.wait()
        answers.append(act())

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_only_admins_change_addresses(app: Flask, amelia: str, person: Person) -> None:
    sam, before = console.colleague(app), visits.records()
    assert sam.open(f"/console/customers/{amelia}/email").status == 403
    assert change(sam, amelia, NEW).status == 403
    assert change(person, amelia, NEW).path == "/console/sign-in"
    assert visits.records() == before


def test_unknown_customers_and_hostile_names(ada: Person) -> None:
    odd = people.customer("<script>x</script>{{ 7*7 }}", email=OLD)
    assert ada.open(f"/console/customers/ctm_{visits.UNKNOWN}/email").status == 404
    assert change(ada, f"ctm_{visits.UNKNOWN}", NEW).status == 404
    page = ada.open(f"/console/customers/{odd}/email")
    assert "<script>x</script>{{ 7*7 }}" in page
    assert "<script>x" not in page.html
