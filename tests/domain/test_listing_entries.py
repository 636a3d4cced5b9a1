"""The database keeps the list of subscriptions by itself: whoever writes a row, and whatever else happens meanwhile."""

from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from portal.db import session, transaction
from portal.domain import actors, cancellation, customers, listing, subscriptions
from portal.domain.catalog import Price
from portal.domain.customers import Customer
from portal.domain.listing import Filters
from portal.domain.listing_entries import ListingEntry
from portal.domain.subscriptions import Subscription, SubscriptionItem
from tests import people
from tests.customer import visits
from tests.listed import strays
from tests.races import at_once

PENDING = ("pending",)


def write(statement: Any) -> None:
    """As somebody would who knows nothing of lists."""
    with transaction():
        session().execute(statement)


def product_of(price_id: str) -> str:
    with transaction():
        return str(session().get_one(Price, price_id).product_id)


def listed(**filters: Any) -> list[str]:
    return [each.id for each in listing.page(Filters(**filters)).rows]


def rename(customer_id: str, name: str) -> None:
    with transaction():
        customers.update(session().get_one(Customer, customer_id), {"name": name}, by=actors.shell())


def test_a_subscription_is_listed_as_it_stands_from_its_first_to_its_last_day(database: str) -> None:
    sub = visits.subscribed()
    states = [({"status": "trialing"}, "trialing"), ({"status": "active"}, "active"), (visits.ending(), "pending")]
    for fields, state in (*states, ({"scheduled_action": "pause"}, "active"), ({"status": "canceled"}, "canceled")):
        write(update(Subscription).where(Subscription.id == sub).values(**fields))
        assert listed(states=(state,), search="amelia") == [sub]
        assert listed(search="amelia", sort="name") == [sub]
        assert strays() == {}
    write(delete(SubscriptionItem).where(SubscriptionItem.subscription_id == sub))
    write(delete(Subscription).where(Subscription.id == sub))
    assert (listed(), listed(states=("canceled",), search="amelia")) == ([], [])
    assert strays() == {}


def test_it_is_listed_under_each_of_its_products_and_under_none_that_it_has_no_more(database: str) -> None:
    sub, (first, second) = visits.subscribed(), (people.price(product="A"), people.price(product="B"))
    with transaction():
        sold = session().scalar(select(SubscriptionItem.price_id).where(SubscriptionItem.subscription_id == sub))
        item = session().get_one(SubscriptionItem, (sub, 0))
        for position, price in ((1, first), (2, first), (3, second)):
            values = {each: getattr(item, each) for each in ("quantity", "created_at", "updated_at")}
            session().add(SubscriptionItem(subscription_id=sub, position=position, price_id=price, **values))
    for price in (sold, first, second):
        assert listed(product_id=product_of(str(price))) == [sub]
    write(delete(SubscriptionItem).where(SubscriptionItem.position == 1))
    assert listed(product_id=product_of(first)) == [sub], "there is one more of it"
    write(update(SubscriptionItem).where(SubscriptionItem.position == 2).values(price_id=second))
    assert (listed(product_id=product_of(first)), listed(product_id=product_of(second))) == ([], [sub])
    write(delete(SubscriptionItem).where(SubscriptionItem.position == 3))
    assert (listed(product_id=product_of(second)), listed()) == ([sub], [sub])
    assert strays() == {}


def test_who_is_called_otherwise_is_found_by_that_in_every_state(database: str) -> None:
    pending = visits.subscribed(**visits.ending())
    owner = people.row(pending).customer_id
    ended = people.subscription(owner, status="canceled")
    rename(owner, "Zoe Zimmer")
    for states, sub in ((PENDING, pending), (("canceled",), ended)):
        assert listed(states=states, search="zoe", sort="name") == [sub]
        assert listed(states=states, search="harper", sort="name") == []
    assert strays() == {}


def test_a_subscription_that_goes_to_another_customer_is_found_by_their_name(database: str) -> None:
    sub, other = visits.subscribed(**visits.ending()), people.customer("Zoe Zimmer")
    write(update(Subscription).where(Subscription.id == sub).values(customer_id=other))
    assert listed(states=PENDING, search="zoe", sort="name") == [sub]
    assert listed(states=PENDING, search="amelia", sort="name") == []
    assert strays() == {}


@pytest.mark.parametrize("turn", range(4))
def test_a_name_that_changes_while_a_cancellation_is_asked_for_is_the_name_that_is_found(
    database: str, turn: int
) -> None:
    sub = visits.subscribed()
    owner = people.row(sub).customer_id

    def cancel() -> None:
        with transaction():
            cancellation.at_period_end(subscriptions.get(sub), by=actors.shell())

    acts = [cancel, lambda: rename(owner, f"Zoe {turn}")]
    at_once(acts if turn % 2 else reversed(acts))
    assert listed(states=PENDING, search="zoe", sort="name") == [sub]
    assert listed(states=PENDING, search="harper", sort="name") == []
    assert strays() == {}


def test_a_list_that_is_not_kept_would_be_noticed(database: str) -> None:
    sub = visits.subscribed(**visits.ending())
    write(update(ListingEntry).values(state="active"))
    assert {each[2] for each in strays()["entries"]} == {"active", "pending"}
    write(update(ListingEntry).values(state="pending"))
    write(text("DELETE FROM listing_terms"))
    assert {each[3] for each in strays()["terms"]} == {sub}
    write(update(Subscription).where(Subscription.id == sub).values(scheduled_action=None))
    assert strays() == {}
