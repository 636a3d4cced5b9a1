"""An admin says where events are sent to, and looks after it."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import access, ids, webhook_trial, worker
from portal.db import session, transaction
from portal.domain import event_types, notification_settings
from portal.domain.notification_settings import NotificationSetting
from portal.outbox import samples
from portal.outbox.errands import Attempt
from tests import people, races
from tests.conftest import NOW
from tests.customer import visits
from tests.outbox import shop
from tests.person import Person
from tests.receiver import Receiver
from tests.staff import console

HOSTILE = """<script>alert(1)</script> {{ 7*7 }} =cmd|' /C calc'!A0"""
ENDPOINT = "https://203.0.114.7/hooks/secret-path"
FORM = {"type": "url", "description": "Our shop", "destination": ENDPOINT, "subscribed_events": "subscription.updated"}


@pytest.fixture
def ada(app: Flask) -> Person:
    return console.colleague(app, "admin", "Ada Admin")


@pytest.fixture
def receiver(configure: Any) -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def settings() -> list[NotificationSetting]:
    with transaction():
        return list(session().query(NotificationSetting).order_by(NotificationSetting.id))


def add(ada: Person, **fields: str) -> Any:
    return ada.submit("/console/destinations", **{"id": ids.new("ntfset"), **FORM, **fields})


def test_an_endpoint_is_added(ada: Person) -> None:
    ada.open("/console/destinations/new")
    page = ada.press("Add the destination", **FORM)
    [made] = settings()
    assert page.path == f"/console/destinations/{made.id}"
    assert "The destination is added" in page
    assert (made.type, made.destination, made.subscribed_events) == ("url", ENDPOINT, ["subscription.updated"])
    assert made.active
    [entry] = console.audited()
    assert (entry.action, entry.actor_name, entry.subject_id) == ("destination.created", "Ada Admin", made.id)
    assert entry.facts["where"] == "203.0.114.7"
    assert "secret-path" not in repr(entry.facts)
    assert "pdl_" not in page.html
    assert "Our shop" in ada.open("/console/destinations")


def test_an_address_is_added_for_every_type_of_event(ada: Person) -> None:
    add(ada, type="email", destination="events@aeroedit.example", everything="on")
    [made] = settings()
    assert made.subscribed_events == list(event_types.NAMES)
    page = ada.open(f"/console/destinations/{made.id}")
    assert "Email address events@aeroedit.example" in page
    assert "Show the secret" not in page


def test_a_form_sent_twice_adds_one(ada: Person) -> None:
    id = ids.new("ntfset")
    pages = [add(ada, id=id) for _ in range(2)]
    assert [page.path for page in pages] == [f"/console/destinations/{id}"] * 2
    assert len(settings()) == len(console.audited()) == 1


def test_a_form_sent_again_with_other_contents_says_that_it_was_sent_before(ada: Person) -> None:
    id = ids.new("ntfset")
    add(ada, id=id)
    page = add(ada, id=id, description="Our other shop", destination="https://203.0.114.8/")
    assert page.status == 409
    assert "This form was sent before Its destination was added then. No second one was made." in page
    assert "The destination is added" not in page
    assert page.links["Its destination"] == f"/console/destinations/{id}"
    assert [each.description for each in settings()] == ["Our shop"]
    assert len(console.audited()) == 1
    page = ada.press("Add the destination", type="url")
    assert "The destination is added" in page
    assert [each.description for each in settings()] == ["Our shop", "Our other shop"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"destination": "http://203.0.114.7/"}, "it must begin with https://"),
        ({"destination": "https://127.0.0.1/"}, "not public"),
        ({"destination": "https://169.254.169.254/latest"}, "not public"),
        ({"destination": "https://[::1]/"}, "not public"),
        ({"destination": "https://0x7f.1/"}, "unusual form"),
        ({"destination": "https://ada:pw@203.0.114.7/"}, "user name or password"),
        ({"destination": "https://203.0.114.7/\r\nX-Evil: 1"}, "characters that a URL can’t have"),
        ({"destination": "javascript:alert(1)"}, "can’t be used"),
        ({"destination": ""}, "Say where to send to"),
        ({"destination": "https://203.0.114.7/" + "x" * 3000}, "at most 2048"),
        ({"type": "email", "destination": "a@b.example\r\nBcc: c@d.example"}, "not an email address"),
        ({"type": "fax"}, "Choose an endpoint or an email address"),
        ({"description": ""}, "Say what it is"),
        ({"description": "two\r\nlines"}, "Say what it is"),
        ({"subscribed_events": "staff.added"}, "does not exist"),
    ],
)
def test_a_form_that_is_wrong_adds_nothing_and_keeps_what_was_typed(
    ada: Person, fields: dict[str, str], words: str
) -> None:
    page = add(ada, **fields)
    assert page.status == 422
    assert words.replace("can’t have", "can") in page
    assert settings() == []
    assert console.audited() == []
    if "description" not in fields:
        assert 'value="Our shop"' in page.html


def test_without_a_type_of_event_nothing_is_added(ada: Person) -> None:
    fields = {name: value for name, value in FORM.items() if name != "subscribed_events"}
    page = ada.submit("/console/destinations", id=ids.new("ntfset"), **fields)
    assert (page.status, "Choose at least one type of event" in page) == (422, True)
    assert settings() == []


def test_no_more_than_a_hundred_are_active(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.destination(ENDPOINT)
    monkeypatch.setattr(notification_settings, "MOST_ACTIVE", 1)
    page = add(ada)
    assert (page.status, "1 destinations are active" in page) == (400, True)
    assert len(settings()) == 1


def test_of_two_that_are_added_or_switched_on_at_once_the_last_place_is_taken_by_one(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_settings, "MOST_ACTIVE", 2)
    shop.destination(ENDPOINT)
    off = shop.destination(ENDPOINT, active=False)
    cookie = ada.client.get_cookie(access.staff_cookie_name())
    key, api = people.key(everything=True), "/notification-settings"
    body = FORM | {"subscribed_events": ["customer.created"]}

    def press(path: str) -> Callable[[], int]:
        racer = Person(app)
        racer.client.set_cookie(access.staff_cookie_name(), cookie.value)  # type: ignore[union-attr]
        form = {"csrf_token": racer.csrf_token(), "id": ids.new("ntfset"), **FORM}
        return lambda: racer.client.post(path, data=form).status_code

    acts = [press(path) for path in ("/console/destinations", f"/console/destinations/{off}/on") * 2]
    acts.append(lambda: app.test_client().post(api, json=body, headers=key).status_code)
    acts.append(lambda: app.test_client().patch(f"{api}/{off}", json={"active": True}, headers=key).status_code)
    statuses = races.at_once(acts)
    assert sum(each.active for each in settings()) == 2
    assert set(statuses) <= {200, 201, 303, 400}
    assert statuses.count(400) >= 2


def test_a_destination_is_changed(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    ada.open(f"/console/destinations/{id}/edit")
    page = ada.press("Save the destination", destination="https://203.0.114.8/", subscribed_events="customer.created")
    assert "The destination is saved" in page
    [kept] = settings()
    assert (kept.destination, kept.subscribed_events) == ("https://203.0.114.8/", ["customer.created"])
    [entry] = console.audited()
    assert (entry.action, entry.facts["where"]) == ("destination.changed", ["203.0.114.7", "203.0.114.8"])
    ada.open(f"/console/destinations/{id}/edit")
    ada.press("Save the destination", subscribed_events="customer.created")
    assert len(console.audited()) == 1, "nothing was changed the second time"


def test_what_another_admin_saved_meanwhile_is_not_undone_unseen(app: Flask, ada: Person) -> None:
    id, bo = shop.destination(ENDPOINT), console.colleague(app, "admin", "Bo Boss")
    ada.open(f"/console/destinations/{id}/edit")
    bo.open(f"/console/destinations/{id}/edit")
    bo.press("Save the destination", destination="https://203.0.114.8/", subscribed_events="customer.created")
    before = visits.records()
    page = ada.press("Save the destination", description="Our new shop")
    assert page.status == 409
    assert "It changed. Look again Nothing was saved: somebody else has changed the destination" in page
    assert page.forms[1].fields["destination"] == "https://203.0.114.8/"
    assert visits.records() == before
    assert ada.press("Save the destination", description="").status == 422
    assert "The destination is saved" in ada.press("Save the destination", description="Our new shop")
    [kept] = settings()
    assert (kept.description, kept.destination) == ("Our new shop", "https://203.0.114.8/")
    assert kept.subscribed_events == ["customer.created"]


def test_saved_twice_by_one_form_it_is_changed_once(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    fields = ada.open(f"/console/destinations/{id}/edit").forms[1].fields | {"description": "Our new shop"}
    for _ in range(2):
        assert "The destination is saved" in ada.submit(f"/console/destinations/{id}/edit", **fields)
    assert len(console.audited()) == 1


def test_an_endpoint_is_not_moved_into_the_sellers_own_network(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    page = ada.submit(f"/console/destinations/{id}/edit", **FORM | {"destination": "https://10.0.0.1/"})
    assert page.status == 422
    assert settings()[0].destination == ENDPOINT


def test_switched_off_what_waits_has_failed_and_on_again_it_forgets_how_it_did(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    shop.happen(2)
    worker.events()
    ada.open(f"/console/destinations/{id}/off")
    assert "What waits now (2) counts as failed" in ada.page  # type: ignore[operator]
    page = ada.press("Switch it off")
    assert "The destination is off" in page
    assert "2 failed" in page
    assert [note.status for note in shop.notes(id)] == ["failed", "failed"]
    ada.submit(f"/console/destinations/{id}/off")
    with transaction():
        session().get_one(NotificationSetting, id).off_because = "The endpoint answered 410 Gone."
    assert "The portal has switched it off" in ada.open(f"/console/destinations/{id}")
    page = ada.press("Switch on")
    assert "The destination is on" in page
    ada.submit(f"/console/destinations/{id}/on")
    [kept] = settings()
    assert (kept.active, kept.off_because) == (True, None)
    assert [(each.action, each.facts["active"]) for each in console.audited()] == [
        ("destination.changed", [True, False]),
        ("destination.changed", [False, True]),
    ]


def test_a_destination_is_deleted_after_a_question(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    ada.open(f"/console/destinations/{id}/delete")
    page = ada.press("Delete the destination")
    assert (page.path, "The destination is deleted" in page) == ("/console/destinations", True)
    assert settings()[0].deleted_at == NOW
    assert ada.submit(f"/console/destinations/{id}/delete").status == 404
    assert ada.open(f"/console/destinations/{id}").status == 404
    assert [each.action for each in console.audited()] == ["destination.deleted"]


def test_the_secret_is_shown_on_demand_and_that_goes_on_record(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    secret = shop.secret(id)
    assert secret not in ada.open(f"/console/destinations/{id}").html
    page = ada.press("Show the secret")
    assert secret in page.html
    assert page.headers["Cache-Control"] == "no-store"
    [entry] = console.audited()
    assert (entry.action, entry.subject_id) == ("destination.secret_shown", id)
    assert secret not in repr(entry.facts)
    assert ada.open(f"/console/destinations/{id}/secret").status == 405


def test_a_secret_that_no_key_opens_is_not_shown(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    shop.touch(id, secret="not sealed by any of our keys")
    page = ada.submit(f"/console/destinations/{id}/secret")
    assert (page.status, "Rotate the secret" in page) == (409, True)
    assert "not sealed" not in page
    page = ada.submit(f"/console/destinations/{id}/try", event_type="subscription.updated")
    assert "Nothing was sent" in page
    assert [each.action for each in console.audited()] == ["destination.tried"]


def test_the_secret_is_rotated_once_however_often_the_form_is_sent(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    before = shop.secret(id)
    page = ada.open(f"/console/destinations/{id}/rotate")
    [shown] = re.findall(r'name="shown" value="(\w+)"', page.html)
    page = ada.submit(f"/console/destinations/{id}/rotate", shown=shown, overlap="3600")
    assert "There is a new secret" in page
    after = shop.secret(id)
    assert after != before
    assert shop.setting(id).previous_until == NOW + timedelta(hours=1)
    page = ada.submit(f"/console/destinations/{id}/rotate", shown=shown, overlap="0")
    assert "No other secret was made" in page
    assert shop.secret(id) == after
    [entry] = console.audited()
    assert (entry.action, entry.facts) == ("destination.secret_rotated", {"overlap_seconds": 3600})


def test_an_overlap_that_is_none_rotates_nothing(ada: Person) -> None:
    id = shop.destination(ENDPOINT)
    before = shop.secret(id)
    ada.open(f"/console/destinations/{id}/rotate")
    page = ada.press("Make a new secret", overlap="99999999")
    assert (page.status, "Choose how long" in page) == (422, True)
    assert shop.secret(id) == before


def test_an_endpoint_is_tried_with_a_sample(ada: Person, receiver: Receiver, configure: Any) -> None:
    configure(webhook_private=True)
    id = shop.destination(receiver.url)
    ada.open(f"/console/destinations/{id}")
    page = ada.press("Send the sample", event_type="subscription.canceled")
    assert "The endpoint took the sample" in page
    [delivery] = receiver.deliveries
    assert delivery.payload["event_type"] == "subscription.canceled"
    assert shop.notes() == [], "it is kept nowhere"
    [entry] = console.audited()
    assert (entry.action, entry.facts) == ("destination.tried", {"type": "subscription.canceled", "answered": 200})


def test_what_an_endpoint_answers_is_shown_as_text(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "<script>alert(1)</script><form action=/console>"
    attempt = Attempt(samples.parcel("subscription.updated"), NOW, 12, code=500, body=body)
    monkeypatch.setattr(webhook_trial, "send", lambda *_: attempt)
    id = shop.destination(ENDPOINT)
    page = ada.submit(f"/console/destinations/{id}/try", event_type="subscription.updated")
    assert "The sample was not taken" in page
    assert "<script>alert(1)</script>" in page
    assert "<script>" not in page.html


def test_nothing_is_tried_in_the_sellers_own_network(ada: Person, receiver: Receiver) -> None:
    id = shop.destination(receiver.url)
    page = ada.submit(f"/console/destinations/{id}/try", event_type="subscription.updated")
    assert "Nothing was sent" in page
    assert receiver.deliveries == []
    assert ada.submit(f"/console/destinations/{id}/try", event_type="x.y").status == 400


def test_hostile_text_is_shown_as_text(ada: Person) -> None:
    add(ada, description=HOSTILE)
    [made] = settings()
    for path in ("", f"/{made.id}", f"/{made.id}/edit", f"/{made.id}/off", f"/{made.id}/rotate"):
        page = ada.open(f"/console/destinations{path}")
        assert HOSTILE in page or HOSTILE in page.forms[-1].fields.values()
        assert "<script>alert" not in page.html


PAGES = ("", "/new", "/{id}", "/{id}/edit", "/{id}/off", "/{id}/delete", "/{id}/rotate")
ACTS = ("", "/{id}/edit", "/{id}/on", "/{id}/off", "/{id}/delete", "/{id}/secret", "/{id}/rotate", "/{id}/try")


def test_only_an_admin_may(app: Flask, person: Person) -> None:
    id = shop.destination(ENDPOINT)
    sam = console.colleague(app)
    before = repr([vars(each) for each in settings()])
    for path in PAGES:
        assert sam.open(f"/console/destinations{path.format(id=id)}").status == 403
        assert person.open(f"/console/destinations{path.format(id=id)}").path == "/console/sign-in"
    for path in ACTS:
        assert sam.submit(f"/console/destinations{path.format(id=id)}", **FORM).status == 403
        assert person.submit(f"/console/destinations{path.format(id=id)}", **FORM).path == "/console/sign-in"
    strip = re.compile(r"0x[0-9a-f]+")
    assert strip.sub("", repr([vars(each) for each in settings()])) == strip.sub("", before)
    assert console.audited() == []


@pytest.mark.parametrize("id", ["ntfset_00000000000000000000000000", "x"])
def test_an_id_that_is_none_is_not_found(ada: Person, id: str) -> None:
    for path in PAGES[2:]:
        assert ada.open(f"/console/destinations{path.format(id=id)}").status == 404
    for path in ACTS[1:]:
        assert ada.submit(f"/console/destinations{path.format(id=id)}", overlap="0", **FORM).status in (400, 404)


def test_what_an_app_does_to_destinations_goes_on_record_too(app: Flask) -> None:
    headers = people.key("notification_setting.write")
    made = app.test_client().post(
        "/notification-settings", headers=headers, json=FORM | {"subscribed_events": ["subscription.updated"]}
    )
    id = made.json["data"]["id"]
    app.test_client().delete(f"/notification-settings/{id}", headers=headers)
    assert [(each.action, each.actor_kind, each.actor_id, each.subject_id) for each in console.audited()] == [
        ("destination.created", "key", people.key_id(headers), id),
        ("destination.deleted", "key", people.key_id(headers), id),
    ]
