"""An app cancels a subscription, and takes the cancellation back."""

import pytest

from tests import people


@pytest.fixture
def sub(app):
    return people.subscription(people.customer())


@pytest.mark.parametrize("body", ["", "{}", '{"effective_from": null}', '{"effective_from": "next_billing_period"}'])
def test_every_way_of_saying_nothing_cancels_at_the_period_end(app, sub, body):
    before = people.row(sub).next_billed_at
    answer = app.test_client().post(
        f"/subscriptions/{sub}/cancel", data=body, content_type="application/json", headers=people.key(everything=True)
    )
    entity = answer.json["data"]
    assert answer.status_code == 200
    assert entity["status"] == "active"
    assert entity["next_billed_at"] is None
    assert [item["next_billed_at"] for item in entity["items"]] == [None]
    assert entity["scheduled_change"]["action"] == "cancel"
    assert entity["scheduled_change"]["resume_at"] is None
    assert people.row(sub).scheduled_effective_at == before
    assert people.events_of(sub) == ["subscription.updated"]
