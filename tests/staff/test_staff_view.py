"""Staff look at a customer's pages in their own browser: marked, read-only, and never as the customer."""

from typing import Any

import pytest
from flask import Flask

from portal import access, config, links
from portal.db import transaction
from portal.domain import sign_in
from tests import people, statements
from tests.customer import visits
from tests.person import Page, Person
from tests.staff import console

BANNER = "portal as Sam Support, staff of AeroEdit. Nothing can be changed from here."
REFUSED = "This is the console’s browser, so nothing was changed"
ALLOWED = {"customer.sign_out", "customer.send_sign_in_link"}


def looking(app: Flask, customer_id: str) -> Person:
    """Sam, who has opened the customer's whole portal beside the console."""
    return visits.come_in(console.colleague(app), customer_id)


def buttons(page: Page) -> list[str]:
    return [button["text"] for form in page.forms for button in form.buttons]


@pytest.mark.parametrize(
    "fields",
    [{}, visits.ending(), visits.ending("staff"), {"status": "past_due"}, {"status": "trialing"}, visits.CANCELED],
)
def test_every_page_is_marked_shows_what_the_customer_sees_and_offers_nothing(app: Flask, fields: Any) -> None:
    sub = visits.subscribed(**fields)
    sam = looking(app, visits.owner(sub))
    customers_own = visits.come_in(Person(app), visits.owner(sub))
    for path in (
        "/portal",
        "/portal/payments",
        "/portal/link-expired",
        f"/portal/subscriptions/{sub}",
        f"/portal/subscriptions/{sub}?done=canceled",
        f"/portal/subscriptions/{sub}/cancel",
        f"/portal/subscriptions/{sub}/keep",
        f"/portal/subscriptions/{sub}/update-payment-method",
    ):
        page, theirs = sam.open(path), customers_own.open(path)
        assert page.status == 200
        assert page.path == theirs.path
        assert f"You are looking at Amelia Harper’s {BANNER}" in page
        assert buttons(page) == ["Close this view"], path
        assert "we email you" not in page.words
        assert BANNER not in theirs.words
        assert page.html.count("<h1") == 1


def test_the_banner_speaks_the_language_of_the_customer(app: Flask) -> None:
    sub = visits.subscribed(people.customer("Jonas Weber", locale="de"))
    page = looking(app, visits.owner(sub)).open("/portal")
    assert "Sie sehen das Kundenportal von Jonas Weber als Sam Support" in page
    assert buttons(page) == ["Diese Ansicht schließen"]


def test_every_form_of_the_customers_door_is_refused_and_nothing_is_recorded(app: Flask) -> None:
    """Whatever page is added later, too: the routes are asked."""
    sub = visits.subscribed()
    sam = looking(app, visits.owner(sub))
    before = visits.records()
    rules = [r for r in app.url_map.iter_rules() if r.endpoint.startswith("customer.") and "POST" in (r.methods or ())]
    refused = [rule for rule in rules if rule.endpoint not in ALLOWED]
    assert len(refused) > 8
    for rule in refused:
        page = visits.post(sam, rule.rule.replace("<id>", sub), reason="other", email="x@example.com")
        assert page.status == 403, rule.rule
        assert REFUSED in page
        assert buttons(page) == ["Close this view", "Sign out of the console"]
    assert visits.records() == before


def test_the_refusal_holds_if_the_console_session_began_later(app: Flask, person: Person) -> None:
    sub = visits.subscribed()
    visits.come_in(person, visits.owner(sub))
    assert BANNER not in person.open("/portal")
    console.sign_in(person, console.member())
    assert BANNER in person.open("/portal")
    assert visits.post(person, f"/portal/subscriptions/{sub}/cancel").status == 403
    assert not visits.is_scheduled(sub)
    person.client.delete_cookie(access.staff_cookie_name())
    assert visits.post(person, f"/portal/subscriptions/{sub}/cancel").status == 303, "it was theirs all the time"
    assert visits.is_scheduled(sub)


def test_a_view_opened_beside_the_console_is_over_with_it(app: Flask, the_clock: Any) -> None:
    """Else a colleague who signs out would stand there as the customer."""
    sub = visits.subscribed()
    sam = looking(app, visits.owner(sub))
    sam.submit("/console/sign-out")
    assert sam.open("/portal").path == "/portal/sign-in"
    assert visits.post(sam, f"/portal/subscriptions/{sub}/cancel").status == 303
    assert not visits.is_scheduled(sub)
    console.sign_in(sam, console.member())
    the_clock.advance(hours=2.1)
    assert sam.open("/portal").path == "/portal/sign-in"


@pytest.mark.parametrize("hours", [2.1, 24 * 6])
def test_whose_console_has_ended_by_itself_does_not_become_the_customer(
    app: Flask, the_clock: Any, hours: float
) -> None:
    """Unawares, with a link that was copied before; a private window, and who signed out, is somebody else."""
    customer = people.customer("Amelia Harper", email="amelia@example.com")
    sub, sam = visits.subscribed(customer), console.colleague(app)
    the_clock.advance(hours=hours)
    url = visits.email_link("cancel", sub)
    page = sam.open(url)
    assert page.status == 403
    assert REFUSED in page
    assert "is signed in to the console, or was until that ended by itself" in page
    assert "sign out of the console here, or use another browser or a private window" in page
    with transaction():
        sign_in.request("amelia@example.com", next_path="/portal", locale="en", client="")
    request = visits.mails("sign_in")[0].facts["request"]
    token = links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0)).partition("token=")[
        2
    ]
    assert visits.post(sam, "/portal/sign-in/confirm", token=token).status == 403
    assert visits.cookie_of(sam) is None
    assert Person(app).open(url).status == 200
    console.sign_in(sam, console.member())
    assert BANNER in sam.open(url)
    sam.submit("/console/sign-out")
    assert BANNER not in sam.open(url)


@pytest.mark.parametrize("hours", [0, 2.1])
def test_the_refusal_has_a_way_out(app: Flask, the_clock: Any, hours: float) -> None:
    """Also for whom the console has forgotten already: the cookie goes."""
    sub, sam = visits.subscribed(), console.colleague(app)
    the_clock.advance(hours=hours)
    url = visits.email_link("cancel", sub)
    sam.open(url)
    assert visits.post(sam, f"/portal/subscriptions/{sub}/cancel").status == 403
    page = sam.submit("/portal/link-expired")
    assert page.status == 403
    assert page.links["Go to the console"].startswith("/console")
    assert sam.press("Sign out of the console").path == "/console/sign-in"
    assert sam.client.get_cookie(access.staff_cookie_name()) is None
    sam.open(url)
    assert sam.press("Cancel at the end of the period").status == 200
    assert visits.is_scheduled(sub)


def test_a_customer_in_a_browser_whose_console_has_ended_by_itself_is_told_too(app: Flask, the_clock: Any) -> None:
    """Somebody of the staff may be a customer as well, and have come in before the console."""
    sub, sam = visits.subscribed(), Person(app)
    visits.come_in(sam, visits.owner(sub))
    console.sign_in(sam, console.member())
    for _ in range(3):
        the_clock.advance(minutes=50)
        sam.open("/portal")
    sam.open(f"/portal/subscriptions/{sub}/cancel")
    assert REFUSED in sam.press("Cancel at the end of the period")
    assert not visits.is_scheduled(sub)
    sam.press("Sign out of the console")
    sam.open(f"/portal/subscriptions/{sub}/cancel")
    assert sam.press("Cancel at the end of the period").status == 200
    assert visits.is_scheduled(sub)


def test_the_view_is_closed_and_the_customers_own_browser_stays(app: Flask, person: Person) -> None:
    customer = visits.owner(visits.subscribed())
    visits.come_in(person, customer)
    sam = looking(app, customer)
    page = sam.open("/portal")
    assert page.links["Back to the console"] == f"/console/customers/{customer}"
    sam.press("Close this view")
    assert sam.page is not None
    assert sam.page.path == f"/console/customers/{customer}"
    assert visits.cookie_of(sam) is None
    assert sam.open("/portal").path == "/portal/sign-in"
    assert person.open("/portal").path == "/portal"


def test_a_page_about_a_subscription_leads_back_to_it(app: Flask) -> None:
    sub = visits.subscribed()
    page = looking(app, visits.owner(sub)).open(f"/portal/subscriptions/{sub}")
    assert page.links["Back to the console"] == f"/console/subscriptions/{sub}"


def test_an_attenuated_link_shows_staff_its_page_and_no_other(app: Flask) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    page = sam.open(visits.email_link("cancel", sub))
    assert (page.path, buttons(page)) == (f"/portal/subscriptions/{sub}/cancel", ["Close this view"])
    assert "When it ends" in page
    assert sam.open("/portal").path == "/portal/link-expired"
    assert buttons(sam.page) == ["Close this view"]  # type: ignore[arg-type]


def test_a_checkout_is_only_looked_at(app: Flask, person: Person) -> None:
    sub = visits.subscribed(**visits.CANCELED)
    visits.come_in(person, visits.owner(sub))
    answer = visits.post(person, f"/portal/subscriptions/{sub}/subscribe-again")
    url = answer.headers["Location"]
    transaction_id = url.rpartition("/")[2].partition("?")[0]
    stranger = console.colleague(app)
    page = stranger.open(url)
    assert "You are looking at this page as Sam Support, staff of AeroEdit." in page
    assert buttons(page) == []
    looking_too = looking(app, visits.owner(sub))
    before = visits.records()
    for path in ("", "/who", "/card-on-file", "/confirm"):
        assert visits.post(stranger, f"/portal/checkout/{transaction_id}{path}", number="4").status == 403
    assert buttons(looking_too.open(url)) == ["Close this view"]
    assert "Your card" not in looking_too.page.words  # type: ignore[union-attr]
    assert visits.records() == before


def checkout_link(app: Flask) -> str:
    """A link to a checkout whose customer the seller has named."""
    sub = visits.subscribed(**visits.CANCELED)
    buyer = visits.come_in(Person(app), visits.owner(sub))
    return visits.post(buyer, f"/portal/subscriptions/{sub}/subscribe-again").headers["Location"]


@pytest.mark.parametrize("hours", [2.1, 12])
def test_a_checkout_opened_beside_the_console_is_over_with_it(app: Flask, the_clock: Any, hours: float) -> None:
    """Else a colleague whose sign-in has ended would stand before it as the buyer."""
    url, sam = checkout_link(app), console.colleague(app)
    path = sam.open(url).path
    the_clock.advance(hours=hours)
    before = visits.records()
    for page in (sam.open(path), visits.post(sam, path, number="4242424242424242"), sam.open(url)):
        assert (page.status, REFUSED in page) == (403, True)
    assert visits.records() == before
    console.sign_in(sam, console.member())
    assert "You are looking at this page as Sam Support" in sam.open(path)


def test_who_signs_out_of_the_console_has_to_follow_the_checkouts_link_again(app: Flask) -> None:
    """Then they are somebody who has the link, as anybody."""
    url, sam = checkout_link(app), console.colleague(app)
    path = sam.open(url).path
    sam.submit("/console/sign-out")
    before = visits.records()
    assert sam.open(path).status == 404
    assert visits.post(sam, path, number="4242424242424242").status == 404
    assert visits.records() == before
    page = sam.open(url)
    assert (page.status, "as Sam Support" in page) == (200, False)
    assert buttons(page) == ["Continue to payment"]


def test_a_buyer_who_signs_in_to_the_console_later_only_looks_until_they_sign_out(app: Flask, person: Person) -> None:
    url = checkout_link(app)
    path = person.open(url).path
    console.sign_in(person, console.member())
    assert buttons(person.open(path)) == []
    assert visits.post(person, path, number="4242424242424242").status == 403
    person.submit("/console/sign-out")
    assert buttons(person.open(path)) == ["Continue to payment"]


def test_invoices_open(app: Flask) -> None:
    sub = visits.subscribed()
    sam = looking(app, visits.owner(sub))
    assert sam.open(f"/portal/payments/txn_{visits.UNKNOWN}/invoice.pdf").status == 404
    assert BANNER in sam.page  # type: ignore[operator]


def test_an_old_link_mails_nothing_for_staff(app: Flask, the_clock: Any) -> None:
    sub = visits.subscribed()
    url = visits.email_link("cancel", sub)
    the_clock.advance(days=8)
    sam = console.colleague(app)
    page = sam.open(url)
    assert (page.status, buttons(page)) == (410, [])
    token = url.partition("?token=")[2]
    assert visits.post(sam, "/portal/link-expired", token=token).status == 403
    assert visits.mails() == []


@pytest.mark.parametrize("page", ["portal", "cancel"])
def test_each_look_by_a_link_out_of_a_mail_or_of_an_app_is_on_record(app: Flask, page: str) -> None:
    sub, sam = visits.subscribed(), console.colleague(app)
    customer = visits.owner(sub)
    subject = sub if page == "cancel" else customer
    in_mail = visits.email_link(page, None if page == "portal" else sub, customer)
    data = visits.open_session(app, customer, [sub])
    urls = data["urls"]
    of_app = urls["general"]["overview"] if page == "portal" else urls["subscriptions"][0]["cancel_subscription"]
    for url in (in_mail, of_app):
        sam.client.head(url.removeprefix("http://localhost"))
    assert console.audited("portal_link.opened") == [], "a look at the head shows nothing"
    for url in (in_mail, of_app):
        assert BANNER in sam.open(url)
    looks = console.audited("portal_link.opened")
    assert [each.facts for each in looks] == [{"page": page}, {"page": page, "portal_session": data["id"]}]
    for each in looks:
        assert (each.actor_name, each.way, each.subject_id) == ("Sam Support", "console", subject)
        assert each.customer_id == customer
    place = "the page to cancel" if page == "cancel" else "the whole portal"
    for path in (f"customers/{customer}", f"subscriptions/{sub}"):
        shown = sam.open(f"/console/{path}")
        assert shown.words.count(f"Looked at {place} as the customer sees it") == 2, path


def test_what_customers_follow_is_no_look(app: Flask, person: Person) -> None:
    sub = visits.subscribed()
    person.open(visits.email_link("cancel", sub))
    assert console.audited("portal_link.opened") == []


def test_a_customers_sign_in_link_makes_no_customer_of_staff_and_stays_theirs(app: Flask, person: Person) -> None:
    customer = people.customer("Amelia Harper", email="amelia@example.com")
    sub = visits.subscribed(customer)
    with transaction():
        sign_in.request("amelia@example.com", next_path="/portal", locale="en", client="")
    request = visits.mails("sign_in")[0].facts["request"]
    url = links.sign_in_url(request, expires_at=visits.minutes(10), issued_at=visits.minutes(0))
    sam = console.colleague(app)
    sam.open(url)
    before = visits.records()
    page = sam.press("Sign in")
    assert (page.status, REFUSED in page) == (403, True)
    assert (visits.records(), visits.cookie_of(sam)) == (before, None)
    refused = visits.post(sam, f"/portal/subscriptions/{sub}/cancel")
    assert (refused.status, REFUSED in refused) == (403, True)
    assert not visits.is_scheduled(sub)
    person.open(url)
    assert person.press("Sign in").path == "/portal"


def test_names_of_all_kinds_are_shown_as_text(app: Flask) -> None:
    customer = people.customer("<b>Bold</b>", email="bold@example.com")
    sam = console.colleague(app, name="<script>x</script>", email="sam@aeroedit.example")
    page = visits.come_in(sam, customer).open("/portal")
    assert "<script>x" not in page.html
    assert "<b>Bold" not in page.html
    assert "<b>Bold</b>’s portal as <script>x</script>, staff of" in page


def test_customers_pay_nothing_for_it(app: Flask, person: Person) -> None:
    """Not one statement more, on any page and any form."""
    sub = visits.subscribed()
    visits.come_in(person, visits.owner(sub))
    paths = "/portal", "/portal/payments", f"/portal/subscriptions/{sub}", f"/portal/subscriptions/{sub}/cancel"
    with statements.seen() as seen:
        for path in paths:
            person.open(path)
        assert person.press("Cancel at the end of the period").status == 200
    assert seen
    assert [each for each in seen if "staff_sessions" in each or "FROM staff" in each] == []
    person.client.set_cookie(access.staff_cookie_name(), "made-up")
    with statements.seen() as seen:
        person.open("/portal")
    assert len([each for each in seen if "staff_sessions" in each]) == 1, "the search would find one"


def test_a_made_up_console_cookie_changes_nothing(app: Flask, person: Person) -> None:
    sub = visits.subscribed()
    person.client.set_cookie(access.staff_cookie_name(), "made-up")
    visits.come_in(person, visits.owner(sub))
    person.open(f"/portal/subscriptions/{sub}/cancel")
    assert person.press("Cancel at the end of the period").status == 200
    assert visits.is_scheduled(sub)


def test_the_console_stays_the_colleagues_own_while_they_look(app: Flask) -> None:
    sub = visits.subscribed()
    sam = looking(app, visits.owner(sub))
    assert "Sam Support" in sam.open(f"/console/subscriptions/{sub}/link")
    assert config.current().brand_name in sam.page  # type: ignore[operator]
    assert "Amelia" not in sam.page.html.partition("<main")[0]  # type: ignore[union-attr]
