"""After the confirmation a customer may say why; nothing depends on it."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.db import session, transaction
from portal.domain.events import CancellationReason
from tests import people
from tests.customer import visits
from tests.customer.visits import UNKNOWN, alike, email_link
from tests.person import Person


@pytest.fixture
def sub(app: Any, person: Person) -> str:
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    person.press("Cancel at the end of the period")
    return sub


def path(sub: str) -> str:
    return f"/portal/subscriptions/{sub}/reason"


def reasons() -> list[CancellationReason]:
    with transaction():
        return list(session().scalars(select(CancellationReason).order_by(CancellationReason.id)))


def test_the_reason_is_kept_beside_the_cancellation(person: Person, sub: str) -> None:
    thanked = person.press("Send my answer", reason="too_expensive", comment="Half the price, and I stay.")
    assert "Thank you for telling us" in thanked
    [kept] = reasons()
    assert (kept.reason, kept.comment) == ("too_expensive", "Half the price, and I stay.")
    assert (kept.subscription_id, kept.event_id) == (sub, visits.events(sub)[0].id)
    assert (kept.actor_kind, kept.actor_id) == ("customer", visits.owner(sub))


def test_a_reason_changes_nothing_else(person: Person, sub: str) -> None:
    where_it_stands: dict[str, list[str]] = {"cancellation_reasons": [], "subscriptions": []}
    before, standing = visits.records() | where_it_stands, people.row(sub)
    person.press("Send my answer", reason="other")
    assert visits.records() | where_it_stands == before
    after = people.row(sub)
    changed = {name for name in list(after.__table__.c.keys()) if getattr(after, name) != getattr(standing, name)}
    assert changed == {"version", "cancellation"}
    assert after.cancellation == {"reason": "other", "comment": None}


def test_saying_nothing_keeps_nothing_and_claims_nothing(person: Person, sub: str) -> None:
    shown = person.press("Send my answer", comment="   ")
    assert shown.status == 200
    assert reasons() == []
    assert "Your answer is recorded" not in shown


def test_sent_twice_it_is_kept_once(person: Person, sub: str) -> None:
    for _ in range(2):
        assert visits.post(person, path(sub), reason="unused", comment="Once").status == 303
    assert [(kept.reason, kept.comment) for kept in reasons()] == [("unused", "Once")]


def test_a_reason_nobody_offered_is_not_kept_as_one(person: Person, sub: str) -> None:
    visits.post(person, path(sub), reason="'; DROP TABLE events; --", comment="hello")
    [kept] = reasons()
    assert (kept.reason, kept.comment) == (None, "hello")


def test_a_very_long_comment_is_cut(person: Person, sub: str) -> None:
    assert visits.post(person, path(sub), reason="other", comment="ж" * 50_000).status == 303
    assert reasons()[0].comment == "ж" * 2000


def test_the_reason_survives_a_change_of_mind(person: Person, sub: str) -> None:
    person.press("Send my answer", reason="temporary")
    visits.post(person, f"/portal/subscriptions/{sub}/keep")
    assert not visits.is_scheduled(sub)
    assert [kept.reason for kept in reasons()] == ["temporary"]


def test_without_a_cancellation_there_is_nothing_to_give_a_reason_for(person: Person, app: Any) -> None:
    sub = visits.subscribed()
    person.open(email_link("cancel", sub))
    shown = person.submit(path(sub), reason="unused")
    assert reasons() == []
    assert "Your answer is recorded" not in shown


def test_somebody_elses_subscription_and_an_unknown_one_are_alike(person: Person, sub: str) -> None:
    theirs = visits.subscribed(people.customer("Daniel Okoro"), **visits.ending())
    answers = [visits.post(person, path(each), reason="other") for each in (theirs, f"sub_{UNKNOWN}")]
    assert [page.status for page in answers] == [404, 404]
    assert alike(answers[0]) == alike(answers[1])
    assert reasons() == []


def test_signed_out_and_by_another_errand_nothing_is_kept(person: Person, someone_else: Person, sub: str) -> None:
    assert visits.post(someone_else, path(sub), reason="other").headers["Location"].startswith("/portal/sign-in")
    someone_else.open(email_link("keep", sub))
    assert visits.post(someone_else, path(sub), reason="other").status == 403
    assert reasons() == []


def test_the_question_cannot_be_opened_by_itself(person: Person, sub: str) -> None:
    assert person.open(path(sub)).status == 405
