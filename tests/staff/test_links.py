"""Staff send or copy a link for a customer: it opens one page, for a while, until it is taken back."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import limits, links
from portal.db import session, transaction
from portal.domain import customer_access, customers, staff_links
from portal.domain.actors import shell
from portal.domain.portal_sessions import PortalSession
from portal.outbox import delivery, emails
from tests import people
from tests.conftest import NOW
from tests.customer import visits
from tests.person import Person
from tests.staff import console

PAGES = ("cancel", "keep", "payment", "subscription")


def opened() -> list[PortalSession]:
    with transaction():
        return list(session().scalars(select(PortalSession).order_by(PortalSession.id)))


def show(sam: Person, subscription_id: str, page: str = "cancel") -> str:
    """The link that the console shows."""
    shown = sam.submit(f"/console/subscriptions/{subscription_id}/link", page=page, how="show")
    assert shown.status == 200, shown.words
    return shown_link(shown.html)


def shown_link(html: str) -> str:
    found = re.search(r'<input id="link"[^>]* value="([^"]+)"', html)
    assert found
    return found[1]


def mailed_link() -> str:
    """The link of the newest mail, as it would be sent."""
    text = emails.compose(visits.mails("link_from_staff")[-1]).get_body(("plain",))
    assert text
    found = re.search(r"http://localhost/\S+token=\S+", text.get_content())
    assert found
    return found[0]


def test_a_link_is_sent_to_the_address_on_file_and_built_when_the_mail_is_written(app: Flask, person: Person) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    email = customers.get(visits.owner(sub)).email
    sam.open(f"/console/subscriptions/{sub}/link")
    page = sam.press(f"Send it to {email}", page="cancel")
    assert page.status == 200
    assert f"The link is on its way to {email}" in page
    (mail,) = visits.mails()
    (link,) = opened()
    assert (mail.kind, mail.to_address, mail.subscription_id) == ("link_from_staff", email, sub)
    assert "pga_" not in repr(mail.facts)
    assert (link.by_staff, link.page, link.subscription_ids, link.uses) == (True, "cancel", [sub], 0)
    assert link.expires_at == NOW + timedelta(days=7)
    (entry,) = console.audited()
    assert (entry.action, entry.actor_name, entry.way) == ("portal_link.sent", "Sam Support", "console")
    assert (entry.subject_id, entry.customer_id) == (sub, visits.owner(sub))
    assert entry.facts == {"page": "cancel", "portal_session": link.id, "to": email}
    person.open(mailed_link())
    assert person.press("Cancel at the end of the period").status == 200
    assert visits.is_scheduled(sub)
    assert visits.events(sub)[-1].actor_kind == "customer"


def test_the_mail_says_who_sends_it_what_it_opens_and_until_when_in_the_customers_language(app: Flask) -> None:
    customer = people.customer("Jonas Weber", locale="de", custom_data={"time_zone": "Europe/Berlin"})
    sub = visits.subscribed(customer)
    console.colleague(app).submit(f"/console/subscriptions/{sub}/link", page="payment", how="send")
    message = emails.compose(visits.mails()[-1])
    words = " ".join(message.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert message["Subject"] == "Ihr Link von AeroEdit"
    assert "Der Kundendienst von AeroEdit schickt Ihnen diesen Link" in words
    assert "wie AeroEdit Pro bezahlt wird" in words
    assert "bis 28. November 2026 um 13:00 MEZ" in words


def test_a_link_to_copy_is_shown_once_and_stands_in_no_address(app: Flask) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    page = visits.post(sam, f"/console/subscriptions/{sub}/link", page="subscription", how="show")
    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "Works until 21 November 2026 at 13:00 UTC" in page
    url = shown_link(page.html)
    assert url.startswith(f"http://localhost/portal/subscriptions/{sub}?token=pga_")
    assert visits.mails() == []
    assert [each.action for each in console.audited()] == ["portal_link.shown"]
    assert "pga_" not in repr(console.audited()[0].facts)
    assert "pga_" not in sam.open(f"/console/subscriptions/{sub}/link").html


@pytest.mark.parametrize("page", PAGES)
def test_a_link_of_staff_opens_its_page_and_no_other(app: Flask, person: Person, page: str) -> None:
    """Also not if somebody could sign: the portal session itself knows its page."""
    customer = people.customer()
    fields = visits.ending() if page == "keep" else {}
    sub, second = visits.subscribed(customer, **fields), visits.subscribed(customer)
    url = show(console.colleague(app), sub, page)
    (made,) = opened()
    for other in {"portal", *PAGES} - {page}:
        forged = links.session_url(
            other,
            made.id,
            expires_at=made.expires_at,
            issued_at=made.created_at,
            subscription_id=None if other == "portal" else sub,
        )
        assert visits.get(person, forged).status == 403, other
    elsewhere = links.session_url(
        page, made.id, expires_at=made.expires_at, issued_at=made.created_at, subscription_id=second
    )
    assert visits.get(person, elsewhere).status == 403
    assert person.open(url).status == 200
    assert visits.get(person, "/portal").status == 303
    assert visits.get(person, f"/portal/subscriptions/{second}").status == 303
    before = visits.records()
    if page not in ("cancel",):
        assert visits.post(person, f"/portal/subscriptions/{sub}/cancel").status == 403
    if page != "payment":
        assert visits.post(person, f"/portal/subscriptions/{sub}/update-payment-method", number="4").status == 403
    assert visits.post(person, f"/portal/subscriptions/{second}/cancel").status == 403
    assert visits.records() == before


def test_the_whole_portal_is_offered_for_a_customer_only(app: Flask, person: Person) -> None:
    customer = people.customer()
    sub, sam = visits.subscribed(customer), console.colleague(app)
    page = sam.open(f"/console/customers/{customer}/link")
    assert "AeroEdit Pro" in page.links
    shown = sam.press("Show me the link to copy", page="portal")
    assert person.open(shown_link(shown.html)).path == "/portal"
    page = sam.submit(f"/console/subscriptions/{sub}/link", page="portal", how="show")
    assert (page.status, "Choose what the link opens." in page) == (422, True)
    page = sam.submit(f"/console/customers/{customer}/link", page="cancel", how="send")
    assert page.status == 422
    assert len(opened()) == 1


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, ["cancel", "payment", "subscription"]),
        (visits.ending(), ["keep", "payment", "subscription"]),
        (visits.ending("staff"), ["payment", "subscription"]),
        (visits.CANCELED, ["subscription"]),
        ({"collection_mode": "manual"}, ["cancel", "subscription"]),
        ({"remaining_payments": 3}, ["payment", "subscription"]),
    ],
)
def test_only_pages_of_use_are_offered(app: Flask, fields: dict[str, Any], offered: list[str]) -> None:
    sub, sam = visits.subscribed(**fields), console.colleague(app)
    html = sam.open(f"/console/subscriptions/{sub}/link").html
    assert re.findall(r'name="page" value="(\w+)"', html) == offered
    for page in {*PAGES} - {*offered}:
        assert sam.submit(f"/console/subscriptions/{sub}/link", page=page, how="send").status == 422
    assert opened() == []


def test_a_link_ends_by_itself(app: Flask, person: Person, the_clock: Any) -> None:
    url = show(console.colleague(app), visits.subscribed())
    the_clock.advance(minutes=59)
    assert person.open(url).status == 200
    the_clock.advance(minutes=2)
    assert visits.get(Person(app), url).status == 410


def test_the_button_pressed_twice_sends_once(app: Flask, the_clock: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    for _ in range(2):
        assert sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send").status == 200
    assert len(visits.mails()) == len(opened()) == len(console.audited()) == 1
    the_clock.advance(minutes=5)
    sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send")
    assert len(visits.mails()) == 2


def test_twenty_links_an_hour_for_one_customer(app: Flask, the_clock: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    for _ in range(20):
        show(sam, sub)
    page = sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send")
    assert page.status == 429
    assert "20 links were made for this customer within an hour. Try again in 3 minutes." in page
    assert page.headers["Retry-After"] == "180"
    assert (len(opened()), visits.mails()) == (20, [])
    the_clock.advance(minutes=3)
    show(sam, sub)
    show(sam, visits.subscribed())


def test_its_use_is_counted_and_who_opened_it_first_is_on_record(app: Flask, person: Person, the_clock: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    url = show(sam, sub)
    person.client.head(url.removeprefix("http://localhost"))
    assert opened()[0].uses == 0
    the_clock.advance(minutes=5)
    person.open(url)
    the_clock.advance(minutes=5)
    Person(app).open(url)
    (link,) = opened()
    assert (link.uses, link.first_used_at, link.last_used_at) == (
        2,
        NOW + timedelta(minutes=5),
        NOW + timedelta(minutes=10),
    )
    (entry,) = console.audited("portal_link.opened")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("customer", visits.owner(sub), "Amelia Harper")
    assert entry.facts == {"page": "cancel", "portal_session": link.id}
    assert "2 times" in sam.open(f"/console/customers/{visits.owner(sub)}/link")


def test_a_colleague_who_opens_it_is_on_record_and_is_no_use_by_the_customer(app: Flask) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    sam.open(show(sam, sub))
    assert opened()[0].uses == 0
    assert [(each.actor_kind, each.actor_name) for each in console.audited("portal_link.opened")] == [
        ("staff", "Sam Support")
    ]


def test_links_of_apps_are_not_counted(app: Flask, person: Person) -> None:
    customer = people.customer()
    data = visits.open_session(app, customer, [visits.subscribed(customer)])
    person.open(data["urls"]["general"]["overview"])
    assert (opened()[0].uses, console.audited("portal_link.opened")) == (0, [])


def test_a_link_is_taken_back_and_who_came_in_by_it_is_out(app: Flask, person: Person) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    url = show(sam, sub)
    assert person.open(url).status == 200
    sam.open(f"/console/customers/{visits.owner(sub)}/link")
    assert "The link was taken back" in sam.press("Take it back")
    assert person.open(f"/portal/subscriptions/{sub}").path == "/portal/sign-in"
    assert visits.get(Person(app), url).status == 410
    assert [each.action for each in console.audited()][-1] == "portal_link.taken_back"
    (link,) = opened()
    again = sam.submit(f"/console/customers/{visits.owner(sub)}/links/{link.id}/take-back")
    assert again.status == 200
    assert len(console.audited("portal_link.taken_back")) == 1
    assert "No link that staff made" in again


def test_only_links_of_staff_for_this_very_customer_are_taken_back(app: Flask) -> None:
    sam, customer = console.colleague(app), people.customer()
    of_app = visits.open_session(app, customer)["id"]
    sub = visits.subscribed()
    show(sam, sub)
    (theirs,) = [each for each in opened() if each.by_staff]
    for who, link in ((customer, of_app), (customer, theirs.id), (visits.owner(sub), f"cpls_{visits.UNKNOWN}")):
        assert sam.submit(f"/console/customers/{who}/links/{link}/take-back").status == 404
    assert [each.revoked_at for each in opened()] == [None, None]


def test_a_mail_whose_link_was_taken_back_is_not_sent(app: Flask, smtp: Any) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send")
    with transaction():
        staff_links.take_back(visits.owner(sub), opened()[0].id, by=shell())
    delivery.send_due()
    (mail,) = visits.mails()
    assert (mail.status, mail.last_error) == ("dropped", "the link was taken back or is too old")


def test_links_end_with_all_of_a_customers_sessions(app: Flask) -> None:
    sub = visits.subscribed()
    url = show(console.colleague(app), sub)
    with transaction():
        ended = customer_access.sign_out(customers.locked(visits.owner(sub)), by=shell())
    assert ended.links == 1
    assert visits.get(Person(app), url).status == 410


def test_nobody_makes_links_without_signing_in(app: Flask, person: Person) -> None:
    sub = visits.subscribed()
    visits.come_in(person, visits.owner(sub))
    before = visits.records()
    for path in (f"/console/subscriptions/{sub}/link", f"/console/customers/{visits.owner(sub)}/link"):
        assert person.open(path).path == "/console/sign-in"
        assert person.submit(path, page="cancel", how="show").path == "/console/sign-in"
    person.submit(f"/console/customers/{visits.owner(sub)}/links/cpls_{visits.UNKNOWN}/take-back")
    assert visits.records() == before


def test_unknown_ids_and_archived_customers(app: Flask) -> None:
    sam, archived = console.colleague(app), people.customer(status="archived")
    for path in (f"/console/subscriptions/sub_{visits.UNKNOWN}/link", "/console/customers/x/link"):
        assert sam.open(path).status == 404
        assert sam.submit(path, page="portal", how="show").status == 404
    assert "This customer is archived" in sam.open(f"/console/customers/{archived}/link")
    assert sam.submit(f"/console/customers/{archived}/link", page="portal", how="show").status == 422
    assert opened() == []


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{ 7*7 }}", "'; DROP TABLE mails; --", "A\r\nBcc: x@y.z"]
)
def test_hostile_names_are_shown_as_text(app: Flask, name: str) -> None:
    sub, sam = visits.subscribed(people.customer(name, email="amelia@example.com")), console.colleague(app)
    page = sam.open(f"/console/subscriptions/{sub}/link")
    assert page.status == 200
    assert "<script>alert" not in page.html
    assert " ".join(name.split()) in page.words
    sam.submit(f"/console/subscriptions/{sub}/link", page="cancel", how="send")
    message = emails.compose(visits.mails()[-1])
    assert message["Bcc"] is None
    assert "<script>alert" not in message.get_body(("html",)).get_content()  # type: ignore[union-attr]


def test_a_link_goes_to_the_address_on_file_when_it_is_made_not_when_the_form_came_in(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is changed, and every way in called back, while the form is on its way."""
    sub, sam, take = visits.subscribed(), console.colleague(app), limits.take

    def change(*counted: Any, **more: Any) -> None:
        take(*counted, **more)
        with transaction():
            customer = customers.locked(visits.owner(sub))
            customer_access.change_email(customer, "new@example.com", shown=customer.email, by=shell())

    monkeypatch.setattr(limits, "take", change)
    sam.submit(f"/console/subscriptions/{sub}/link", page="cancel")
    assert [each.to_address for each in visits.mails("link_from_staff")] == ["new@example.com"]
