"""All the ways in that one customer has: ended at once, or led to another address."""

from dataclasses import dataclass

from portal.domain import audit, browser_sessions, customers, mails, portal_sessions, sign_in
from portal.domain.actors import Actor
from portal.domain.customers import Customer
from portal.errors import Changed


@dataclass(frozen=True)
class Ended:
    """How many browsers were signed out, and how many portal sessions called back."""

    browsers: int
    links: int


def sign_out(customer: Customer, *, by: Actor) -> Ended:
    """Signs a customer out everywhere; every link that was sent or opened for them so far is useless."""
    ended = _end(customer, customer.email)
    audit.record(
        "customer.signed_out",
        by=by,
        subject=customer.id,
        customer_id=customer.id,
        browsers=ended.browsers,
        links=ended.links,
    )
    return ended


def change_email(customer: Customer, email: str, *, shown: str, by: Actor) -> bool:
    """Gives a customer another address; whoever has the old mailbox has no way in any more. False: it is theirs.

    Old and new address are told. `shown` is the address that was to be replaced. Raises CustomerAlreadyExists, and
    Changed if the customer has yet another address by now.
    """
    old = customer.email
    if email == old:
        return False
    if shown != old:
        raise Changed("The address was changed by somebody else meanwhile. Nothing was recorded.")
    customers.update(customer, {"email": email}, by=by)
    audit.record("customer.email_changed", by=by, subject=customer.id, customer_id=customer.id, old=old, new=email)
    if customers.email_key(old) != customer.email_key:
        _end(customer, old)
        mails.tell_buyer("email_changed", customer, key=None, to=old, told="old", changed_at=customer.updated_at)
        mails.tell_buyer("email_changed", customer, key=None, told="new", changed_at=customer.updated_at)
    return True


def _end(customer: Customer, email: str) -> Ended:
    links = portal_sessions.revoke_all_of(customer.id)
    browsers = browser_sessions.end_all_of(customer.id)
    sign_in.void(email)
    return Ended(browsers, links)
