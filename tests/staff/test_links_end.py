"""Links for customers end with whoever made them: removed from the staff, or signed out everywhere by an admin."""

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import db
from portal.db import session, transaction
from portal.domain import browser_sessions, portal_sessions, staff, staff_links, subscriptions
from portal.domain.actors import Actor, shell
from portal.domain.portal_sessions import PortalSession
from portal.domain.staff import StaffMember
from portal.errors import RoleRefused
from portal.outbox import delivery
from tests import people, races
from tests.customer import visits
from tests.domain.test_locks import until_somebody_waits
from tests.person import Person
from tests.staff import console
from tests.staff.test_links import opened, show
from tests.test_cli import portal


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


@pytest.fixture
def sam(ada: Person, app: Flask) -> Person:
    return console.colleague(app)


def member(email: str = "sam@aeroedit.example") -> StaffMember:
    found = staff.by_email(email)
    assert found is not None
    return found


def remove(ada: Person, _app: Flask) -> None:
    ada.open(f"/console/staff/{member().id}/remove")
    assert "the links they made for customers open nothing any more" in ada.page  # type: ignore[operator]
    assert "Removed from the staff." in ada.press("Remove from the staff")


def remove_by_command(_ada: Person, _app: Flask) -> None:
    assert portal("staff", "remove", "sam@aeroedit.example").exit_code == 0


def sign_out_everywhere(ada: Person, _app: Flask) -> None:
    ada.open(f"/console/staff/{member().id}")
    assert "Sam Support is signed out everywhere." in ada.press("Sign them out everywhere")


ENDS = [remove, remove_by_command, sign_out_everywhere]


@pytest.mark.parametrize("end", ENDS)
def test_copied_and_sent_links_end_and_who_came_in_by_one_is_out(
    app: Flask, ada: Person, sam: Person, person: Person, smtp: Any, end: Any
) -> None:
    sub, other = visits.subscribed(), visits.subscribed()
    copied, unopened = show(sam, sub), show(sam, other, "subscription")
    sam.submit(f"/console/subscriptions/{other}/link", page="cancel", how="send")
    assert person.open(copied).status == 200
    end(ada, app)
    assert all(each.revoked_at for each in opened())
    assert person.open(f"/portal/subscriptions/{sub}").path == "/portal/sign-in"
    assert visits.post(person, f"/portal/subscriptions/{sub}/cancel").status == 303
    assert not visits.is_scheduled(sub)
    for url in (copied, unopened):
        page = visits.get(Person(app), url)
        assert (page.status, "This link no longer works" in page) == (410, True)
    delivery.send_due()
    [mail] = visits.mails("link_from_staff")
    assert (mail.status, mail.last_error) == ("dropped", "the link was taken back or is too old")


@pytest.mark.parametrize("end", [remove, sign_out_everywhere])
def test_each_link_that_ended_is_on_record_for_its_customer_once(
    app: Flask, ada: Person, sam: Person, end: Any
) -> None:
    subs = [visits.subscribed(), visits.subscribed()]
    for sub in subs:
        show(sam, sub)
    end(ada, app)
    ended = console.audited("portal_link.taken_back")
    assert sorted((each.subject_id, each.customer_id, each.facts["page"], each.actor_name) for each in ended) == sorted(
        (sub, visits.owner(sub), "cancel", "Ada Admin") for sub in subs
    )
    act = "staff.removed" if end is remove else "staff.sessions_ended"
    [entry] = console.audited(act)
    assert (entry.facts["links"], entry.subject_id) == (2, entry.subject_id)
    assert "Took the link to the page to cancel back" in ada.open(f"/console/subscriptions/{subs[0]}")
    ada.submit(f"/console/staff/{entry.subject_id}/{'remove' if end is remove else 'end-sessions'}")
    assert len(console.audited("portal_link.taken_back")) == 2
    assert len(console.audited(act)) == 1


@pytest.mark.parametrize("end", ENDS)
def test_what_others_made_and_what_the_customer_has_besides_stays(
    app: Flask, ada: Person, sam: Person, person: Person, end: Any
) -> None:
    customer = people.customer()
    sub = visits.subscribed(customer)
    show(sam, sub)
    hers, of_app = show(ada, sub), visits.open_session(app, customer)["urls"]["general"]["overview"]
    visits.come_in(person, customer)
    person.open(show(sam, sub, "subscription"))
    end(ada, app)
    assert person.open("/portal").path == "/portal", "by a link of their own"
    assert Person(app).open(hers).status == Person(app).open(of_app).status == 200


def test_the_page_says_how_many_links_end_and_offers_it_without_a_sign_in(app: Flask, ada: Person, sam: Person) -> None:
    """Whoever used the lost laptop may have signed out afterwards."""
    sub = visits.subscribed()
    for _ in range(2):
        show(sam, sub)
    sam.submit("/console/sign-out")
    page = ada.open(f"/console/staff/{member().id}")
    assert "Nowhere." in page
    assert "This also ends the 2 links of theirs that customers can use now." in page
    ada.press("Sign them out everywhere")
    assert [each.facts for each in console.audited("staff.sessions_ended")] == [
        {"email": "sam@aeroedit.example", "ended": 0, "links": 2}
    ]
    assert "Sign them out everywhere" not in ada.open(f"/console/staff/{member().id}")


def test_ones_own_links_stay_when_one_signs_oneself_out_elsewhere(app: Flask, ada: Person, sam: Person) -> None:
    sub = visits.subscribed()
    for who in (ada, sam):
        show(who, sub)
    console.sign_in(Person(app), member("ada@aeroedit.example"))
    console.sign_in(Person(app), member())
    ada.submit(f"/console/staff/{member('ada@aeroedit.example').id}/end-sessions")
    for who in (ada, sam):
        who.submit("/console/account/sessions/end-others")
    assert [each.revoked_at for each in opened()] == [None, None]


def test_another_role_leaves_the_links_as_both_roles_may_send_them(ada: Person, sam: Person) -> None:
    console.member("admin", "Bo Boss")
    bo = member("bo@aeroedit.example")
    with transaction():
        acting = Actor("staff", bo.id, "console", bo.called)
        sub = subscriptions.get(visits.subscribed())
        staff_links.send(sub.customer, "cancel", sub, by=acting)
    ada.submit(f"/console/staff/{bo.id}", name="Bo Boss", role="support")
    assert [each.revoked_at for each in opened()] == [None]


def test_who_is_added_again_gets_no_link_back(ada: Person, sam: Person, app: Flask) -> None:
    url = show(sam, visits.subscribed())
    remove(ada, app)
    console.member()
    assert visits.get(Person(app), url).status == 410


def test_support_ends_nobodys_links(app: Flask, ada: Person, sam: Person) -> None:
    show(ada, visits.subscribed())
    for act in ("remove", "end-sessions"):
        assert sam.submit(f"/console/staff/{member('ada@aeroedit.example').id}/{act}").status == 403
    assert [each.revoked_at for each in opened()] == [None]


def test_who_is_removed_while_making_a_link_makes_none(app: Flask, ada: Person, sam: Person) -> None:
    """The page was asked for in time; the row says otherwise by then."""
    sub, who = visits.subscribed(), member()
    acting = Actor("staff", who.id, "console", who.called)
    with transaction():
        staff.remove(member(), by=shell())
    subscription = subscriptions.get(sub)
    for make in (staff_links.send, staff_links.show):
        with pytest.raises(RoleRefused), transaction():
            make(subscription.customer, "cancel", subscription, by=acting)
    assert (opened(), visits.mails("link_from_staff")) == ([], [])


def test_making_links_following_them_and_removing_whoever_makes_them_at_once_leaves_none_open(
    app: Flask, ada: Person, sam: Person
) -> None:
    """Whoever is first: no link and no browser that followed one outlives its maker, and no two wait for each other."""
    subs = [visits.subscribed() for _ in range(4)]
    urls = [show(sam, sub) for sub in subs]
    followers, sent = [Person(app) for _ in urls], {"csrf_token": sam.csrf_token(), "page": "cancel", "how": "show"}
    gone, token = member().id, ada.csrf_token()
    racers = [console.sign_in(each, member()) and each for each in (Person(app), Person(app))]
    sent_by = [(each, sent | {"csrf_token": each.csrf_token()}) for each in racers]
    acts = [lambda p=p, url=url: visits.get(p, url).status for p, url in zip(followers, urls, strict=True)]
    acts += [
        lambda p=p, fields=fields, sub=sub: p.client.post(f"/console/subscriptions/{sub}/link", data=fields).status_code
        for (p, fields), sub in zip(sent_by, subs[:2], strict=True)
    ]
    acts.append(lambda: ada.client.post(f"/console/staff/{gone}/remove", data={"csrf_token": token}).status_code)
    statuses = races.at_once(acts)
    assert set(statuses) <= {200, 303, 403, 410}, statuses
    assert all(each.revoked_at for each in opened())
    for follower, sub in zip(followers, subs, strict=True):
        assert follower.open(f"/portal/subscriptions/{sub}").path == "/portal/sign-in"


def test_who_follows_a_link_while_whoever_made_it_is_being_removed_is_out_afterwards(
    app: Flask, ada: Person, sam: Person
) -> None:
    sub, gone = visits.subscribed(), member().id
    show(sam, sub)
    customer, [link] = visits.owner(sub), opened()

    def remove() -> None:
        with transaction():
            staff.remove(staff.get(gone), by=shell())
        db.close()

    removing = threading.Thread(target=remove)
    with transaction():
        browser_sessions.hold(customer)
        removing.start()
        until_somebody_waits()
        browser_sessions.begin(
            customer, page="cancel", way="portal session", subscription_id=sub, portal_session_id=link.id
        )
    removing.join()
    with transaction():
        assert session().scalars(select(browser_sessions.Grant)).all() == []
    assert all(each.revoked_at for each in opened())


def test_of_two_first_openings_at_once_one_is_on_record(app: Flask, sam: Person) -> None:
    url = show(sam, visits.subscribed())
    browsers = [Person(app) for _ in range(6)]
    statuses = races.at_once(lambda p=p: visits.get(p, url).status for p in browsers)  # type: ignore[misc]
    assert statuses == [303] * 6
    assert [each.uses for each in opened()] == [6]
    assert len(console.audited("portal_link.opened")) == 1


def test_a_use_is_the_first_for_one_only_whatever_each_has_read_before(app: Flask, sam: Person) -> None:
    """Both looked at the link before either used it."""
    show(sam, visits.subscribed())
    [known] = opened()

    def use() -> bool:
        with transaction():
            return portal_sessions.use(known)

    assert sorted(races.at_once([use, use])) == [False, True]
    with transaction():
        row = session().get_one(PortalSession, known.id)
        assert (row.uses, row.first_used_at is not None) == (2, True)
    assert db.is_connected()
