"""One's own account: what it says, and ending the browsers in which one is signed in."""

from typing import Any

import pytest
from flask import Flask

from portal.db import transaction
from portal.domain import staff, staff_sessions
from portal.domain.staff import StaffMember
from tests.customer import visits
from tests.person import Person
from tests.staff import console

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/18 Safari/604"
)
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"


@pytest.fixture(autouse=True)
def ada(app: Flask) -> StaffMember:
    return console.member("admin", "Ada Admin")


def also(member: StaffMember, agent: str = FIREFOX, client: str = "203.0.113.7") -> str:
    """Signs somebody in in another browser; gives the id of that sign-in."""
    with transaction():
        staff_sessions.begin(member, way="passkey", client=client, agent=agent)
        return staff_sessions.of(member.id)[0].id


def where(email: str = "sam@aeroedit.example") -> list[str]:
    with transaction():
        return [each.id for each in staff_sessions.of(staff.by_email(email).id)]  # type: ignore[union-attr]


def test_it_says_who_one_is_and_where_one_is_signed_in(app: Flask, the_clock: Any) -> None:
    sam = console.colleague(app)
    the_clock.advance(minutes=30)
    also(console.member(), SAFARI, "2001:db8::7")
    shown = sam.open("/console/account")
    for fact in ("Sam Support", "sam@aeroedit.example", "Support", "You have none yet."):
        assert fact in shown
    for fact in ("Safari on iPhone", "2001:db8::7", "Passkey", "Sign-in link", "127.0.0.1", "21 November 2026"):
        assert fact in shown
    assert shown.words.count("This browser") == 1


def test_one_other_browser_is_signed_out(app: Flask) -> None:
    sam = console.colleague(app)
    other = also(console.member())
    third = also(console.member(), EDGE)
    sam.open("/console/account")
    assert "That browser is signed out." in sam.submit(f"/console/account/sessions/{other}/end")
    assert other not in where()
    assert third in where()
    [entry] = console.audited("staff.session_ended")
    assert (entry.actor_name, entry.facts) == ("Sam Support", {"session": other})
    again = sam.submit(f"/console/account/sessions/{other}/end")
    assert "That was gone already. Nothing was changed." in again
    assert len(console.audited("staff.session_ended")) == 1


def test_all_others_are_signed_out_and_this_one_stays(app: Flask) -> None:
    sam = console.colleague(app)
    also(console.member())
    also(console.member(), EDGE)
    sam.open("/console/account")
    assert "You are signed out everywhere but here." in sam.press("Sign out everywhere but here")
    assert len(where()) == 1
    assert [each.facts["ended"] for each in console.audited("staff.sessions_ended")] == [2]
    sam.submit("/console/account/sessions/end-others")
    assert len(console.audited("staff.sessions_ended")) == 1


@pytest.mark.parametrize(
    "done", ["passkey-added", "passkey-removed", "session-ended", "others-ended", "role-changed", "made-up"]
)
def test_an_address_alone_says_nothing_that_did_not_happen(app: Flask, done: str) -> None:
    sam = console.colleague(app)
    also(console.member())
    assert 'id="done"' not in sam.open(f"/console/account?done={done}").html


def test_what_happened_is_said_for_five_minutes(app: Flask, the_clock: Any) -> None:
    sam = console.colleague(app)
    sam.submit(f"/console/account/sessions/{also(console.member())}/end")
    assert "That browser is signed out." in sam.open("/console/account?done=session-ended")
    the_clock.advance(minutes=6)
    assert "That browser is signed out." not in sam.open("/console/account?done=session-ended")


def test_nobody_ends_the_session_of_another_here(app: Flask, ada: StaffMember) -> None:
    sam, others = console.colleague(app), also(ada)
    for wrong in (others, "stfses_unknown", "x' OR 1=1", "%00"):
        sam.submit(f"/console/account/sessions/{wrong}/end")
    assert where("ada@aeroedit.example") == [others]
    assert len(where()) == 1
    assert console.audited("staff.session_ended") == []


def test_ending_this_browser_leads_to_the_sign_in(app: Flask) -> None:
    sam = console.colleague(app)
    assert sam.submit(f"/console/account/sessions/{where()[0]}/end").path == "/console/sign-in"


def test_signed_out_and_without_our_token_nothing_ends(app: Flask, person: Person) -> None:
    sam, other = console.colleague(app), also(console.member())
    for path in (f"/console/account/sessions/{other}/end", "/console/account/sessions/end-others"):
        assert person.submit(path).path == "/console/sign-in"
        assert sam.client.post(path).status_code == 403
        assert sam.client.get(path).status_code in (404, 405)
    assert person.open("/console/account").path == "/console/sign-in"
    assert len(where()) == 2


def test_a_customer_sees_no_account_here(person: Person) -> None:
    visits.come_in(person, visits.owner(visits.subscribed()))
    assert person.open("/console/account").path == "/console/sign-in"


def test_a_hostile_browser_and_name_are_shown_as_text(app: Flask) -> None:
    sam = console.colleague(app, "support", "<script>x</script>")
    also(console.member("support", "<script>x</script>"), "<img src=x onerror=alert(1)>\n{{ 7*7 }}")
    shown = sam.open("/console/account")
    assert "<img src=x" not in shown.html
    assert "<script>x" not in shown.html
    assert "<img src=x onerror=alert(1)> {{ 7*7 }}" in shown
    assert "Unknown browser" not in shown


def test_a_browser_without_a_name_is_said_to_be_unknown(app: Flask) -> None:
    sam = console.colleague(app)
    also(console.member(), "")
    also(console.member(), EDGE)
    shown = sam.open("/console/account")
    assert "Unknown browser" in shown
    assert "Edge on Windows" in shown
