"""Passkeys: made once signed in, sign in by themselves; and nothing but the right key at the right place does."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal import access, brand
from portal.db import session, transaction
from portal.domain import passkeys, staff
from portal.domain.actors import shell
from portal.domain.passkeys import Passkey, PasskeyChallenge
from portal.domain.staff_sessions import StaffSession
from portal.outbox import emails
from portal.worker import housekeeping
from tests.customer import visits
from tests.person import Person
from tests.staff import console
from tests.staff.device import Device

NEW, IN = "/console/account/passkeys", "/console/sign-in/passkey"


def post(person: Person, path: str, body: Any = None, **headers: str) -> Any:
    """As the script of the pages sends it."""
    token = {"X-CSRFToken": person.csrf_token()}
    return person.client.post(path, json=body if body is not None else {}, headers=person.headers | token | headers)


def add(person: Person, device: Device, name: str = "Work laptop", **how: Any) -> Any:
    options = post(person, f"{NEW}/options").json
    return post(person, NEW, {"name": name, "credential": device.make(options, **how)})


def enter(person: Person, device: Device, path: str = "/console/account", **how: Any) -> Any:
    options = post(person, f"{IN}/options").json
    return post(person, IN, {"next": path, "credential": device.sign(options, **how)})


def count(table: Any) -> int:
    with transaction():
        return session().scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def sam(app: Flask) -> Person:
    console.member("admin", "Ada Admin")
    return console.colleague(app)


@pytest.fixture
def device(sam: Person) -> Device:
    """One that has a passkey of Sam's."""
    made = Device()
    assert add(sam, made).status_code == 200
    return made


def test_a_passkey_is_made_and_signs_in_without_an_address(sam: Person, person: Person) -> None:
    device = Device()
    made = add(sam, device, "  Work   laptop ")
    assert made.json == {"next": "/console/account?done=passkey-added#done"}
    shown = sam.open("/console/account?done=passkey-added")
    assert "The passkey is added" in shown
    assert "Work laptop" in shown
    assert [each.facts["name"] for each in console.audited("staff.passkey_added")] == ["Work laptop"]
    [mail] = visits.mails()
    assert (mail.kind, mail.to_address) == ("staff_access_changed", "sam@aeroedit.example")
    assert (mail.facts["told"], mail.facts["name"], mail.facts["changed_by"]) == ("passkey_added", "Work laptop", None)
    entered = enter(person, device, "/console/account?x=1")
    assert entered.json == {"next": "/console/account?x=1"}
    assert "Sam Support" in person.open("/console/account")
    assert console.audited("staff.signed_in")[-1].facts["signed_in_by"] == "passkey"
    with transaction():
        kept = session().scalars(select(Passkey)).one()
        assert (kept.sign_count, kept.last_used_at is None) == (2, False)


def test_its_owner_is_told_when_from_which_browser_and_what_to_do(sam: Person) -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    sam.headers["User-Agent"] = agent
    add(sam, Device())
    sam.open("/console/account")
    sam.press("Remove Work laptop")
    added, removed = (emails.compose(mail) for mail in visits.mails("staff_access_changed"))
    assert added["Subject"] == "A passkey was added to your sign-in to the console of AeroEdit"
    assert removed["Subject"] == "A passkey was removed from your sign-in to the console of AeroEdit"
    for message in (added, removed):
        text = " ".join(message.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
        for fact in (
            "Name of the passkey: Work laptop",
            "From browser: Firefox on Windows",
            "From network address: 127.0.0.1",
        ):
            assert fact in text
        assert "When: 21 November 2026 at 12:00 UTC" in text
        assert "Then tell an admin at once." in text
        assert "token=" not in text


def test_what_was_refused_is_told_to_nobody(app: Flask, sam: Person) -> None:
    add(sam, Device(), verified=False)
    add(sam, Device(), "")
    sam.submit(f"{NEW}/passkey_{visits.UNKNOWN}/remove")
    assert visits.mails() == []


def test_a_name_and_a_browser_that_are_hostile_stay_text_in_the_mail(sam: Person) -> None:
    sam.headers["User-Agent"] = "<script>x</script> {{ 7*7 }}"
    add(sam, Device(), "<b>bold</b>{{ 7*7 }}")
    message = emails.compose(visits.mails()[0])
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>x" not in html
    assert "<b>bold" not in html
    assert "{{ 7*7 }}" in html


def test_what_a_browser_is_asked_for(sam: Person, device: Device, person: Person) -> None:
    asked = post(sam, f"{NEW}/options").json
    assert asked["rp"] == {"id": "localhost", "name": "AeroEdit"}
    assert asked["user"]["name"] == "sam@aeroedit.example"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert len(asked["excludeCredentials"]) == 1
    assert len(asked["challenge"]) == 43
    asked = post(person, f"{IN}/options").json
    assert (asked["rpId"], asked["userVerification"], asked.get("allowCredentials", [])) == (
        "localhost",
        "required",
        [],
    )


WRONG: list[dict[str, Any]] = [
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:8080"},
    {"origin": "https://localhost"},
    {"rp": "evil.example"},
    {"verified": False},
    {"challenge": "A" * 43},
    {"framed": True},
]


@pytest.mark.parametrize("how", [*WRONG, {"kind": "webauthn.get"}])
def test_a_wrong_answer_makes_no_passkey(sam: Person, how: dict[str, Any]) -> None:
    refused = add(sam, Device(), **how)
    assert (refused.status_code, refused.json) == (403, {"problem": "The passkey was not added. Try again."})
    assert count(Passkey) == 0


@pytest.mark.parametrize("how", [*WRONG, {"kind": "webauthn.create"}, {"user": b"stf_0"}, {"user": b""}])
def test_a_wrong_answer_signs_nobody_in(device: Device, person: Person, how: dict[str, Any]) -> None:
    refused = enter(person, device, **how)
    assert refused.status_code == 403
    assert "does not open the console" in refused.json["problem"]
    assert person.client.get_cookie(access.staff_cookie_name()) is None
    assert enter(person, device).status_code == 200


def test_a_challenge_is_used_once_even_by_a_wrong_answer(sam: Person, device: Device, person: Person) -> None:
    options = post(person, f"{IN}/options").json
    answer = {"credential": device.sign(options)}
    form = person.client.get_cookie("form")
    assert post(person, IN, answer).status_code == 200
    person.client.set_cookie("form", form.value)  # type: ignore[union-attr]
    assert post(person, IN, answer).status_code == 403
    options = post(person, f"{IN}/options").json
    form = person.client.get_cookie("form")
    assert post(person, IN, {"credential": device.sign(options, verified=False)}).status_code == 403
    person.client.set_cookie("form", form.value)  # type: ignore[union-attr]
    assert post(person, IN, {"credential": device.sign(options)}).status_code == 403
    options = post(sam, f"{NEW}/options").json
    form = sam.client.get_cookie("form")
    assert post(sam, NEW, {"name": "One", "credential": Device().make(options)}).status_code == 200
    sam.client.set_cookie("form", form.value)  # type: ignore[union-attr]
    assert post(sam, NEW, {"name": "Two", "credential": Device().make(options)}).status_code == 403
    assert count(Passkey) == 2


def test_a_challenge_is_for_one_browser_and_for_one_purpose(
    sam: Person, device: Device, person: Person, app: Flask
) -> None:
    options = post(person, f"{IN}/options").json
    stranger = Person(app)
    assert post(stranger, IN, {"credential": device.sign(options)}).status_code == 403
    assert post(person, IN, {"credential": device.sign(options)}).status_code == 200
    options = post(sam, f"{NEW}/options").json
    assert post(sam, IN, {"credential": device.sign(options)}).status_code == 403
    options = post(sam, f"{IN}/options").json | {"user": {"id": "c3RmXzA"}}
    assert post(sam, NEW, {"name": "x", "credential": Device().make(options)}).status_code == 403
    options = post(sam, f"{NEW}/options").json
    console.sign_in(sam, console.member("admin", "Ada Admin"))
    assert post(sam, NEW, {"name": "x", "credential": Device().make(options)}).status_code == 403


@pytest.mark.parametrize(("minutes", "status"), [(4.9, 200), (5, 403)])
def test_a_challenge_lives_for_five_minutes(
    device: Device, person: Person, the_clock: Any, minutes: float, status: int
) -> None:
    options = post(person, f"{IN}/options").json
    the_clock.advance(minutes=minutes)
    assert post(person, IN, {"credential": device.sign(options)}).status_code == status


def test_another_key_under_the_same_id_signs_nobody_in(device: Device, person: Person) -> None:
    other = Device(id=device.id)
    other.user, other.count = device.user, 100
    assert enter(person, other).status_code == 403


def test_an_unknown_passkey_signs_nobody_in(device: Device, person: Person) -> None:
    other = Device()
    other.user = device.user
    assert enter(person, other).status_code == 403


def test_a_passkey_of_somebody_else_can_not_be_claimed(app: Flask, device: Device, sam: Person) -> None:
    ada = console.colleague(app, "admin", "Ada Admin")
    assert add(ada, device).status_code == 403
    assert count(Passkey) == 1


@pytest.mark.parametrize("counted", [1, 2, 0])
def test_a_count_that_does_not_go_on_is_refused_and_recorded(device: Device, person: Person, counted: int) -> None:
    assert enter(person, device).status_code == 200
    assert enter(person, device, count=counted).status_code == 403
    [entry] = console.audited("staff.passkey_refused")
    assert entry.facts["because"] == "copied"
    assert enter(person, device, count=3).status_code == 200


def test_a_synced_passkey_counts_nothing_and_works_again_and_again(sam: Person, person: Person) -> None:
    synced = Device(step=0)
    add(sam, synced)
    assert [enter(person, synced).status_code for _ in range(3)] == [200] * 3


def test_who_was_removed_is_out_and_stays_out_when_added_again(device: Device, person: Person) -> None:
    with transaction():
        staff.remove(staff.by_email("sam@aeroedit.example"), by=shell())  # type: ignore[arg-type]
    assert enter(person, device).status_code == 403
    console.member()
    assert enter(person, device).status_code == 403
    assert (count(Passkey), count(StaffSession)) == (0, 0)


def test_a_passkey_that_was_removed_opens_nothing(sam: Person, device: Device, person: Person) -> None:
    sam.open("/console/account")
    with transaction():
        id = session().scalars(select(Passkey.id)).one()
    assert "The passkey is removed" in sam.press("Remove Work laptop")
    assert "That was gone already" in sam.submit(f"{NEW}/{id}/remove")
    assert enter(person, device).status_code == 403
    assert len(console.audited("staff.passkey_removed")) == 1
    assert [mail.facts["told"] for mail in visits.mails()] == ["passkey_added", "passkey_removed"]


def test_nobody_removes_the_passkey_of_another(app: Flask, device: Device) -> None:
    with transaction():
        own = session().scalars(select(Passkey.id)).one()
    ada = console.colleague(app, "admin", "Ada Admin")
    for wrong in (own, "passkey_unknown", "%00", "'; DROP TABLE passkeys; --"):
        ada.submit(f"{NEW}/{wrong}/remove")
    assert count(Passkey) == 1
    assert console.audited("staff.passkey_removed") == []
    assert [mail.facts["told"] for mail in visits.mails()] == ["passkey_added"]


HOSTILE: list[Any] = [
    None,
    7,
    "x",
    [],
    [[[[]]]],
    {"credential": None},
    {"credential": 7},
    {"credential": []},
    {"credential": {}},
    {"credential": {"id": "x", "rawId": "y"}},
    {"credential": {"id": "é", "rawId": "é", "response": {}}},
    {"credential": {"rawId": "AAAA", "response": {"clientDataJSON": "e30"}}},
    {"credential": {"rawId": "AAAA", "response": {"clientDataJSON": "////", "attestationObject": "n" * 5000}}},
    {"credential": {"rawId": {"a": 1}, "response": 3}},
]


@pytest.mark.parametrize("body", HOSTILE)
def test_what_is_no_answer_is_refused(sam: Person, body: Any) -> None:
    post(sam, f"{IN}/options")
    assert post(sam, IN, body).status_code == 403
    post(sam, f"{NEW}/options")
    assert post(sam, NEW, ({"name": "x"} | body) if isinstance(body, dict) else body).status_code in (403, 422)
    assert count(Passkey) == 0


def test_what_is_no_json_is_refused(sam: Person) -> None:
    headers = {"X-CSRFToken": sam.csrf_token(), "Content-Type": "application/json"}
    for sent in (b"", b"{", b"\xff", b"[" * 100_000):
        assert sam.client.post(IN, data=sent, headers=headers).status_code == 403


def test_bits_that_are_flipped_sign_nobody_in(device: Device, person: Person) -> None:
    for name in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        options = post(person, f"{IN}/options").json
        credential = device.sign(options)
        value = credential["response"][name]
        middle = len(value) // 2
        credential["response"][name] = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
        assert post(person, IN, {"credential": credential}).status_code == 403, name


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\x00b", None, ["x"] * 40])
def test_a_passkey_needs_a_name(sam: Person, name: Any) -> None:
    refused = add(sam, Device(), name)
    assert refused.status_code == 422
    assert "Give the passkey a name" in refused.json["problem"]
    assert count(Passkey) == 0


def test_a_hostile_name_is_shown_as_text(sam: Person) -> None:
    add(sam, Device(), "<script>x</script>{{ 7*7 }}'\"")
    shown = sam.open("/console/account")
    assert "<script>x" not in shown.html
    assert "<script>x</script>{{ 7*7 }}'\"" in shown


def test_without_our_token_or_from_another_site_nothing_is_done(sam: Person, device: Device) -> None:
    for path in (IN, f"{IN}/options", NEW, f"{NEW}/options"):
        assert sam.client.post(path, json={}).status_code == 403
        assert post(sam, path, Origin="https://evil.example").status_code == 403
        assert sam.client.get(path).status_code == 405
    assert count(PasskeyChallenge) == 0


def test_who_is_signed_out_makes_no_passkey(person: Person) -> None:
    assert post(person, f"{NEW}/options").status_code == 303
    assert post(person, NEW, {"name": "x", "credential": {}}).status_code == 303
    assert count(PasskeyChallenge) == 0


def test_a_client_may_ask_thirty_times_an_hour(person: Person) -> None:
    statuses = [post(person, f"{IN}/options").status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]


def test_the_pages_that_need_it_load_our_script_and_nothing_else(sam: Person, person: Person, app: Flask) -> None:
    for page in (person.open("/console/sign-in"), sam.open("/console/account")):
        assert page.html.count("<script") == 1
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "connect-src 'self';" in policy
        assert "unsafe" not in policy
    assert "script" not in person.open("/console/sign-in/confirm").headers["Content-Security-Policy"]
    path = next(each for each in brand.assets() if each.startswith("/assets/passkeys-"))
    assert f'src="{path}"' in sam.open("/console/account").html
    script = person.client.get(path)
    assert (script.status_code, script.mimetype) == (200, "text/javascript")


def test_where_the_portal_has_no_name_there_are_no_passkeys(person: Person, sam: Person, configure: Any) -> None:
    for origin, possible in (
        ("http://127.0.0.1:8000", False),
        ("https://[::1]", False),
        ("https://account.aeroedit.example", True),
    ):
        configure(base_url=origin)
        assert passkeys.are_possible() == possible
    configure(base_url="http://127.0.0.1:8000")
    assert "passkey" not in person.open("/console/sign-in").html
    assert "<script" not in person.open("/console/sign-in").html


def test_challenges_nobody_answered_are_forgotten(person: Person, the_clock: Any, monkeypatch: Any) -> None:
    post(person, f"{IN}/options")
    the_clock.advance(minutes=6)
    monkeypatch.setattr(housekeeping, "_next", None)
    housekeeping.tidy()
    assert count(PasskeyChallenge) == 0
