"""The people of the console: admins add, change and remove them, and one admin always stays."""

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import db
from portal.db import session, transaction
from portal.domain import staff, staff_sessions
from portal.domain.staff import StaffMember
from portal.outbox import emails
from tests.customer import visits
from tests.person import Person
from tests.staff import console


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


@pytest.fixture
def sam(ada: Person) -> StaffMember:
    return console.member()


def all_of_them() -> list[tuple[str, str, str]]:
    with transaction():
        return [(each.email, each.name, each.role) for each in staff.everybody()]


def signed_in(member: StaffMember) -> int:
    with transaction():
        return len(staff_sessions.of(member.id))


def add(ada: Person, **fields: str) -> Any:
    ada.open("/console/staff/add")
    return ada.press(
        "Add to the staff", **{"email": "kim@aeroedit.example", "name": "Kim Ode", "role": "support"} | fields
    )


def save(ada: Person, id: str, **fields: str) -> Any:
    ada.open(f"/console/staff/{id}")
    return ada.press("Save name and role", **fields)


def test_the_list_shows_everybody_and_where_they_are_signed_in(app: Flask, ada: Person, sam: StaffMember) -> None:
    console.sign_in(Person(app), sam)
    console.sign_in(Person(app), sam)
    shown = ada.open("/console/staff")
    for fact in (
        "Ada Admin",
        "ada@aeroedit.example",
        "In 1 browser",
        "Sam Support",
        "In 2 browsers",
        "Support",
        "Admin",
    ):
        assert fact in shown
    assert ada.open(shown.links["Sam Support"]).path == f"/console/staff/{sam.id}"
    assert "Firefox" not in ada.page  # type: ignore[operator]


def test_somebody_is_added_and_told(ada: Person) -> None:
    shown = add(ada, email=" Kim@AeroEdit.example ", name=" Kim   Ode ")
    assert "Kim Ode is on the staff. A mail with the console’s address is on its way." in shown
    assert ("kim@aeroedit.example", "Kim Ode", "support") in all_of_them()
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address, mail.facts) == (
        "staff_added",
        "kim@aeroedit.example",
        {"role": "support", "added_by": "Ada Admin"},
    )
    text = emails.compose(mail).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "http://localhost/console\n" in text
    [entry] = console.audited("staff.added")
    assert (entry.actor_name, entry.way, entry.facts["email"]) == ("Ada Admin", "console", "kim@aeroedit.example")


def test_who_is_on_the_staff_is_not_added_again(ada: Person, sam: StaffMember) -> None:
    refused = add(ada, email="SAM@aeroedit.example", role="admin")
    assert refused.status == 422
    assert "This address is on the staff already." in refused
    assert 'value="SAM@aeroedit.example"' in refused.html
    assert ("sam@aeroedit.example", "Sam Support", "support") in all_of_them()
    assert visits.mails() == []


@pytest.mark.parametrize(
    ("typed", "stored", "mailed"),
    [
        ("Jan@Groß.example", "jan@groß.example", "jan@xn--gro-7ka.example"),
        ("jan@GROẞ.example", "jan@groß.example", "jan@xn--gro-7ka.example"),
        ("jan@xn--gro-7ka.example", "jan@groß.example", "jan@xn--gro-7ka.example"),
        ("jan@bu\u0308cher.example", "jan@bücher.example", "jan@xn--bcher-kva.example"),
        ("groß@example.com", "groß@example.com", None),
    ],
)
def test_the_mailbox_that_was_typed_is_let_in_and_no_other(
    app: Flask, ada: Person, typed: str, stored: str, mailed: str | None
) -> None:
    add(ada, email=typed)
    assert stored in [email for email, _, _ in all_of_them()]
    [mail] = visits.mails()
    assert mail.to_address == stored
    assert mailed is None or str(emails.compose(mail)["To"]) == mailed
    assert "This address is on the staff already." in add(ada, email=typed)
    with transaction():
        assert staff.by_email(typed) is not None
        assert staff.by_email(stored.replace("ß", "ss").replace("ü", "u")) is None


def test_who_was_removed_can_be_added_again_and_is_told_again(ada: Person) -> None:
    add(ada)
    ada.submit(f"/console/staff/{staff_id('kim@aeroedit.example')}/remove")
    add(ada, role="admin")
    assert ("kim@aeroedit.example", "Kim Ode", "admin") in all_of_them()
    assert [mail.facts["role"] for mail in visits.mails("staff_added")] == ["support", "admin"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"email": "kim"}, "Enter an email address"),
        ({"email": "kim@example.com\r\nBcc: all@example.com"}, "Enter an email address"),
        ({"email": "<script>x</script>@e.com"}, "Enter an email address"),
        ({"name": " "}, "Enter the name"),
        ({"name": "x" * 81}, "up to 80 letters"),
        ({"name": "a\x00b"}, "up to 80 letters"),
        ({"role": "owner"}, "Choose a role."),
        ({"role": ""}, "Choose a role."),
    ],
)
def test_a_form_that_is_wrong_adds_nobody(ada: Person, wrong: dict[str, str], words: str) -> None:
    refused = add(ada, **wrong)
    assert refused.status == 422
    assert words in refused
    assert "<script>x" not in refused.html
    assert len(all_of_them()) == 1
    assert visits.mails() == []


def test_name_and_role_are_changed(ada: Person, sam: StaffMember) -> None:
    ada.open(f"/console/staff/{sam.id}")
    assert "Name and role are saved." in ada.press("Save name and role", name="Sam Ode", role="admin")
    assert ("sam@aeroedit.example", "Sam Ode", "admin") in all_of_them()
    assert [each.facts["new"] for each in console.audited("staff.role_changed")] == ["admin"]
    assert [each.facts["old"] for each in console.audited("staff.renamed")] == ["Sam Support"]
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address) == ("staff_access_changed", "sam@aeroedit.example")
    assert {name: mail.facts[name] for name in ("told", "old", "new", "changed_by")} == {
        "told": "role_changed",
        "old": "support",
        "new": "admin",
        "changed_by": "Ada Admin",
    }
    text = emails.compose(mail).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "You are an admin now" in text
    assert "Changed by: Ada Admin" in text
    assert "21 November 2026" in text
    ada.press("Save name and role", name="Sam Ode", role="admin")
    assert len(console.audited()) == 2
    assert len(visits.mails()) == 1


def test_what_another_admin_saved_meanwhile_is_not_undone_unseen(app: Flask, ada: Person, sam: StaffMember) -> None:
    bo = console.colleague(app, "admin", "Bo Boss")
    ada.open(f"/console/staff/{sam.id}")
    save(bo, sam.id, role="admin")
    before = visits.records()
    page = ada.press("Save name and role", name="Sam Ode")
    assert page.status == 409
    assert "It changed. Look again Nothing was saved: somebody else has changed the name or the role" in page
    assert (page.forms[1].fields["name"], page.forms[1].fields["role"]) == ("Sam Support", "admin")
    assert visits.records() == before
    assert "Name and role are saved." in ada.press("Save name and role", name="Sam Ode")
    assert ("sam@aeroedit.example", "Sam Ode", "admin") in all_of_them()


def test_a_mistake_does_not_hide_what_was_saved_meanwhile(app: Flask, ada: Person, sam: StaffMember) -> None:
    bo = console.colleague(app, "admin", "Bo Boss")
    ada.open(f"/console/staff/{sam.id}")
    save(bo, sam.id, role="admin")
    assert ada.press("Save name and role", name="").status == 422
    assert ada.press("Save name and role", name="Sam Ode").status == 409
    assert ("sam@aeroedit.example", "Sam Support", "admin") in all_of_them()


def test_the_button_pressed_twice_saves_once(ada: Person, sam: StaffMember) -> None:
    fields = ada.open(f"/console/staff/{sam.id}").forms[1].fields | {"name": "Sam Ode"}
    for _ in range(2):
        assert "Name and role are saved." in ada.submit(f"/console/staff/{sam.id}", **fields)
    assert len(console.audited()) == 1


def test_a_wrong_change_changes_nothing(ada: Person, sam: StaffMember) -> None:
    ada.open(f"/console/staff/{sam.id}")
    refused = ada.press("Save name and role", name="", role="root")
    assert refused.status == 422
    assert "There is a problem. Nothing was changed." in refused
    assert ("sam@aeroedit.example", "Sam Support", "support") in all_of_them()


def test_a_new_role_holds_from_the_next_request_on(app: Flask, ada: Person, sam: StaffMember) -> None:
    theirs = Person(app)
    console.sign_in(theirs, sam)
    assert theirs.open("/console/staff").status == 403
    save(ada, sam.id, role="admin")
    assert theirs.open("/console/staff").status == 200


def test_the_only_admin_is_neither_demoted_nor_removed(ada: Person, sam: StaffMember) -> None:
    own = staff_id("ada@aeroedit.example")
    for refused in (
        save(ada, own, role="support"),
        ada.submit(f"/console/staff/{own}/remove"),
    ):
        assert refused.status == 409
        assert "This is the only admin" in refused
    assert ("ada@aeroedit.example", "Ada Admin", "admin") in all_of_them()
    assert ada.open("/console/staff").status == 200


def test_an_admin_who_steps_down_comes_to_their_account(ada: Person) -> None:
    console.member("admin", "Bo Boss")
    own = staff_id("ada@aeroedit.example")
    shown = save(ada, own, role="support")
    assert shown.path == "/console/account"
    assert "Your role is changed." in shown


def test_somebody_is_removed_with_all_that_let_them_in(app: Flask, ada: Person, sam: StaffMember) -> None:
    theirs = Person(app)
    console.sign_in(theirs, sam)
    ada.open(f"/console/staff/{sam.id}")
    shown = ada.open(ada.page.links["Remove Sam Support from the staff"])  # type: ignore[union-attr]
    assert "Remove Sam Support from the staff?" in shown
    assert "Removed from the staff." in ada.press("Remove from the staff")
    assert theirs.open("/console").path == "/console/sign-in"
    assert signed_in(sam) == 0
    [entry] = console.audited("staff.removed")
    assert (entry.actor_name, entry.subject_id, entry.facts["links"]) == ("Ada Admin", sam.id, 0)
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address, mail.facts["told"]) == ("staff_access_changed", sam.email, "removed")
    message = emails.compose(mail)
    assert message["Subject"] == "You may no longer use the console of AeroEdit"
    assert "Changed by: Ada Admin" in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "Removed from the staff." in ada.submit(f"/console/staff/{sam.id}/remove")
    assert len(console.audited("staff.removed")) == len(visits.mails()) == 1
    console.member()
    assert theirs.open("/console").path == "/console/sign-in"


def test_somebody_is_signed_out_everywhere(app: Flask, ada: Person, sam: StaffMember) -> None:
    theirs = Person(app)
    console.sign_in(theirs, sam)
    ada.open(f"/console/staff/{sam.id}")
    assert "This also ends" not in ada.page  # type: ignore[operator]
    assert "Sam Support is signed out everywhere." in ada.press("Sign them out everywhere")
    assert theirs.open("/console").path == "/console/sign-in"
    assert [each.facts["ended"] for each in console.audited("staff.sessions_ended")] == [1]
    ada.submit(f"/console/staff/{sam.id}/end-sessions")
    assert len(console.audited("staff.sessions_ended")) == 1


def test_signing_oneself_out_everywhere_keeps_this_browser(app: Flask, ada: Person) -> None:
    own = staff_id("ada@aeroedit.example")
    with transaction():
        console.sign_in(Person(app), staff.get(own))
    ada.open(f"/console/staff/{own}")
    assert "You are signed out everywhere but here." in ada.press("Sign out everywhere but here")
    assert ada.open("/console/staff").status == 200


PAGES = ("", "/add", "/{sam}", "/{sam}/remove")
ACTS = ("/add", "/{sam}", "/{sam}/remove", "/{sam}/end-sessions")


def test_support_neither_sees_nor_changes_people(app: Flask, ada: Person, sam: StaffMember) -> None:
    before, theirs = all_of_them(), Person(app)
    console.sign_in(theirs, sam)
    for page in PAGES:
        shown = theirs.open("/console/staff" + page.format(sam=sam.id))
        assert (shown.status, "Only an admin may do this" in shown) == (403, True)
    for act in ACTS:
        path = "/console/staff" + act.format(sam=sam.id)
        assert theirs.submit(path, email="x@e.com", name="Sam Ode", role="admin").status == 403
    assert all_of_them() == before
    assert console.audited() == []


def test_who_is_signed_out_neither_sees_nor_changes_people(person: Person, sam: StaffMember) -> None:
    before = all_of_them()
    for page in PAGES:
        assert person.open("/console/staff" + page.format(sam=sam.id)).path == "/console/sign-in"
    for act in ACTS:
        path = "/console/staff" + act.format(sam=sam.id)
        assert person.submit(path, email="x@e.com", name="Sam Ode", role="admin").path == "/console/sign-in"
    assert all_of_them() == before


def test_without_our_token_nothing_is_done(ada: Person, sam: StaffMember) -> None:
    before = all_of_them()
    for act in ACTS:
        path = "/console/staff" + act.format(sam=sam.id)
        assert ada.client.post(path, data={"email": "x@e.com", "name": "x", "role": "admin"}).status_code == 403
    assert all_of_them() == before


@pytest.mark.parametrize("id", ["stf_01jcgfqad406rsfjcgq44g9djq", "x", "%00", "'; DROP TABLE staff; --"])
def test_an_unknown_id_is_not_found(ada: Person, id: str) -> None:
    for path in (f"/console/staff/{id}", f"/console/staff/{id}/remove"):
        assert ada.open(path).status == 404
        assert ada.submit(path, name="x", role="support").status == 404
    assert ada.submit(f"/console/staff/{id}/end-sessions").status == 404


def test_a_hostile_name_is_shown_as_text(ada: Person) -> None:
    name = "<script>x</script>{{ 7*7 }}'\""
    shown = add(ada, name=name)
    for page in (
        shown,
        ada.open("/console/staff"),
        ada.open(f"/console/staff/{staff_id('kim@aeroedit.example')}/remove"),
    ):
        assert "<script>x" not in page.html
        assert name in page


def test_of_two_admins_who_remove_one_another_at_once_one_stays(app: Flask, ada: Person) -> None:
    bo = console.colleague(app, "admin", "Bo Boss")
    ids = {who: staff_id(f"{who}@aeroedit.example") for who in ("ada", "bo")}
    sent = [(ada, ids["bo"], ada.csrf_token()), (bo, ids["ada"], bo.csrf_token())]
    barrier, statuses = threading.Barrier(2), []

    def remove(who: Person, whom: str, token: str) -> None:
        barrier.wait()
        statuses.append(who.client.post(f"/console/staff/{whom}/remove", data={"csrf_token": token}).status_code)
        db.close()

    threads = [threading.Thread(target=remove, args=each) for each in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [role for _, _, role in all_of_them()] == ["admin"]
    assert len(console.audited("staff.removed")) == 1
    assert sorted(statuses) in ([303, 303], [303, 403])  # who came too late was no admin any more, or signed out


def test_who_lost_the_role_while_pressing_the_button_does_nothing(app: Flask, ada: Person, sam: StaffMember) -> None:
    """The look at the role before the lock is not enough."""
    console.member("admin", "Bo Boss")
    own, asked = staff_id("ada@aeroedit.example"), threading.Event()
    token, statuses = ada.csrf_token(), []

    def remove() -> None:
        asked.set()
        sent = {"csrf_token": token}
        statuses.append(ada.client.post(f"/console/staff/{sam.id}/remove", data=sent).status_code)
        db.close()

    with transaction():
        mine = staff.get(own)
        thread = threading.Thread(target=remove)
        thread.start()
        asked.wait()
        mine.role = "support"
        session().flush()
    thread.join()
    assert statuses == [403]
    assert ("sam@aeroedit.example", "Sam Support", "support") in all_of_them()


def staff_id(email: str) -> str:
    with transaction():
        return session().scalars(select(StaffMember.id).where(StaffMember.email == email)).one()
