"""The console of the shared portal: who is signed in where, and somebody's story with everything in it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import requests
from sqlalchemy import select

from portal import access, clock, ids
from portal.db import session, transaction
from portal.demo import seller
from portal.domain import (
    api_keys,
    cancellation,
    customer_access,
    customers,
    overview,
    staff_links,
    staff_sessions,
    subscriptions,
)
from portal.domain.actors import Actor, shell
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.notifications import Notification, NotificationLog
from portal.domain.staff import StaffMember
from portal.domain.transactions import Transaction
from tests import people, plans
from tests.browser_story.running import RunningPortal
from tests.browser_story.states import DEMO, ENDING, LONG_NAME, overdue
from tests.browser_story.watching import Watch
from tests.customer.visits import UNKNOWN
from tests.outbox import shop

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

NOWHERE = "https://203.0.113.7/hooks"
"""An endpoint that the portal may not and does not call: the address is for examples."""


@dataclass(frozen=True)
class Scene:
    """Ids of what the console shows; `sub` is the subscription to which everything has happened."""

    sub: str
    owner: str
    past_due: str
    ending: str
    plan: str
    failed: str
    invoice: str
    mail: str
    key: str
    destination: str
    delivery: str
    event: str
    request: str
    since: str
    until: str


@dataclass
class Desk:
    """Where somebody of the staff sits: their browser, signed in, and what the portal holds."""

    page: "Page"
    portal: RunningPortal
    watch: Watch
    scene: Scene

    def open(self, path: str) -> "Page":
        """Opens a path of the console, with the scene's ids filled in: `/subscriptions/{sub}`."""
        self.page.goto(f"{self.portal.origin}/console{path.format_map(_DEMO | vars(self.scene))}")
        return self.page


_DEMO = {name: DEMO[name] for name in ("active", "canceled")}


def sign_in(context: "BrowserContext", portal: RunningPortal, role: str) -> None:
    """Signs a browser in as the demo's admin or as its support."""
    with portal.inside():
        member = next(each for each in seller.people() if each.role == role)
        with transaction():
            cookie = staff_sessions.begin(member, way="email link", client="127.0.0.1", agent="Mozilla/5.0 (a desk)")
        context.add_cookies([{"name": access.staff_cookie_name(), "value": cookie, "url": portal.origin}])


def set_up(portal: RunningPortal) -> Scene:
    """Lets it all happen, but for what a worker does with it afterwards."""
    past_due = overdue(portal)
    with portal.inside():
        ada, sam = seller.people()
        sub, owner = _a_long_story(_acting(sam), _acting(ada))
        _a_wide_row()
        key, request = _an_app(portal)
        destination, delivery, event = _deliveries(sub)
        with transaction():
            mail = session().scalars(select(Mail.id).where(Mail.kind == "cancellation_scheduled")).first() or ""
        scene = Scene(
            sub=sub,
            owner=owner,
            past_due=past_due,
            ending=people.subscription(people.customer(), **ENDING),
            plan=plans.plan(),
            failed=_transaction_of(past_due),
            invoice=_transaction_of(DEMO["manual"]),
            mail=mail,
            key=key,
            destination=destination,
            delivery=delivery,
            event=event,
            request=request,
            since=(clock.now() - timedelta(days=9)).date().isoformat(),
            until=(clock.now() + timedelta(days=1)).date().isoformat(),
        )
        overview.refresh()
    return scene


def _a_wide_row() -> None:
    """The newest in the list: words that nothing breaks, and an amount that takes its place."""
    owner = people.customer(LONG_NAME.replace(" ", ""))
    people.subscription(owner, price_id=people.price(99_999_999_999, product=LONG_NAME))


def _acting(who: StaffMember) -> Actor:
    return Actor("staff", who.id, "console", who.called)


def _a_long_story(sam: Actor, ada: Actor) -> tuple[str, str]:
    """Canceled and stopped again and again, links sent and used, another address, words of every kind."""
    owner = people.customer("Eleanor Bennett-Vass of a Very Long Street", email=f"{ids.new('x')[2:]}@example.com")
    sub = people.subscription(owner, price_id=people.price(product=LONG_NAME))
    who = Actor("customer", owner, "email link", "Eleanor Bennett-Vass")
    words = "She asked on the phone.\nShe may come back in <spring> & summer: " + "w" * 90
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=sam, reason="too_expensive", comment=words)
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=sam)
    with transaction():
        cancellation.at_period_end(subscriptions.get(sub), by=who, reason="other")
    with transaction():
        cancellation.withdraw(subscriptions.get(sub), by=who)
    with transaction():
        link = staff_links.send(customers.get(owner), "cancel", subscriptions.get(sub), by=sam)
        staff_links.followed(link, by=who)
        taken, _ = staff_links.show(customers.get(owner), "portal", None, by=sam)
        staff_links.take_back(owner, taken.id, by=sam)
    with transaction():
        customer_access.sign_out(customers.get(owner), by=ada)
    with transaction():
        customer = customers.get(owner)
        new = f"{ids.new('x')[2:]}@example.com"
        customer_access.change_email(customer, new, shown=customer.email, by=ada)
    with transaction():
        staff_links.show(customers.get(owner), "subscription", subscriptions.get(sub), by=sam)
    with transaction():
        cancellation.on(subscriptions.get(sub), clock.now() + timedelta(days=75), by=sam, tell=False)
    return sub, owner


def _an_app(portal: RunningPortal) -> tuple[str, str]:
    """A key that has asked for something, once in vain; gives its id and the request's."""
    with transaction():
        portal.key = api_keys.create("The shop of AeroEdit", api_keys.ALL_BUT_NAMED, by=shell())
    headers = {"Authorization": f"Bearer {portal.key}"}
    known = api_keys.find(portal.key)
    assert known is not None
    requests.get(f"{portal.origin}/customers", headers=headers, timeout=30)
    refused = requests.get(f"{portal.origin}/customers/ctm_{UNKNOWN}", headers=headers, timeout=30)
    return known.id, str(refused.json()["meta"]["request_id"])


def _deliveries(sub: str) -> tuple[str, str, str]:
    """A destination with a delivery in each state; gives its id, that of one that failed, and its event's."""
    destination = shop.destination(NOWHERE, "product.updated")
    now, made = clock.now(), []
    with transaction():
        happened = session().scalars(select(Event.id).where(Event.subscription_id == sub).order_by(Event.id)).all()
        for status, event in zip(("delivered", "failed", "needs_retry", "failed"), happened, strict=False):
            times: dict[str, Any] = {"created_at": now, "times_attempted": 2, "last_attempt_at": now}
            run_at = now + timedelta(days=2) if status == "needs_retry" else None
            delivered_at = now if status == "delivered" else None
            note = Notification(
                id=ids.new("ntf"),
                setting_id=destination,
                event_id=event,
                status=status,
                run_at=run_at,
                delivered_at=delivered_at,
                **times,
            )
            session().add(note)
            session().flush()
            for code, error in ((500, None), (200, None) if status == "delivered" else (0, "no answer in 5 seconds")):
                answer = {"response_body": '{"a": "' + "x" * 300 + '"}', "response_headers": "Server: shop/1"}
                session().add(
                    NotificationLog(
                        id=ids.new("ntflog"),
                        notification_id=note.id,
                        response_code=code,
                        error=error,
                        milliseconds=5000,
                        attempted_at=now,
                        **(answer if code else {}),
                    )
                )
            made.append((note.id, event))
    return destination, *made[1]


def _transaction_of(sub: str) -> str:
    with transaction():
        wanted = select(Transaction.id).where(Transaction.subscription_id == sub).order_by(Transaction.id.desc())
        return session().scalars(wanted).first() or ""
