"""Links that staff make for a customer: each opens one page, until it ends or is taken back.

Sent, the link is made when the mail leaves; shown, it stands on one page, once. It is stored nowhere. A link ends with
whoever made it: when they are taken off the staff, and when an admin signs them out everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from portal import clock, config, links
from portal.db import session
from portal.domain import audit, browser_sessions, customers, mails, portal_sessions, staff
from portal.domain.actors import Actor
from portal.domain.customers import Customer
from portal.domain.mails import Mail
from portal.domain.portal_sessions import PortalSession
from portal.domain.staff import StaffMember
from portal.domain.subscriptions import Standing
from portal.errors import NotFound, RoleRefused

PER_HOUR = 20
"""Links for one customer."""
_PRESSED_TWICE = timedelta(minutes=1)


@dataclass(frozen=True)
class Made:
    """A link that works, who made it, and the mail that took it to the customer, if one did."""

    link: PortalSession
    by: str
    mail: Mail | None

    @property
    def subscription_id(self) -> str | None:
        return next(iter(self.link.subscription_ids), None)


def pages_of(subscription: Standing) -> list[str]:
    """The pages that are of use for a subscription as it stands, the likeliest first."""
    pages, ended = ["subscription"], subscription.status == "canceled"
    if subscription.is_automatic and not ended:
        pages.insert(0, "payment")
    if subscription.is_ending and subscription.scheduled_by == "customer":
        pages.insert(0, "keep")
    may_cancel = config.current().self_cancellation and not subscription.binds_customer
    if may_cancel and not subscription.is_ending and not ended:
        pages.insert(0, "cancel")
    return pages


def send(customer: Customer, page: str, subscription: Standing | None, *, by: Actor) -> PortalSession:
    """Mails a link to the address that the customer has now; the button pressed twice sends once.

    Raises EntityArchived; RoleRefused for who was taken off the staff meanwhile.
    """
    _refuse_if_gone(by)
    customer = customers.locked(customer.id)  # who is changing the address calls every link of the old one back
    sent = _just_sent(customer.id, page, subscription, by)
    if sent is not None:
        return sent
    opened = _open(customer, page, subscription, config.current().email_link_lifetime, by)
    mails.send_link(customer, opened, subscription)
    _record("portal_link.sent", opened, by, to=customer.email)
    return opened


def show(customer: Customer, page: str, subscription: Standing | None, *, by: Actor) -> tuple[PortalSession, str]:
    """A link to hand over by other means. Raises EntityArchived; RoleRefused for who was taken off the staff."""
    _refuse_if_gone(by)
    opened = _open(customer, page, subscription, config.current().api_link_lifetime, by)
    _record("portal_link.shown", opened, by)
    return opened, links.session_url(
        page,
        opened.id,
        expires_at=opened.expires_at,
        issued_at=opened.created_at,
        subscription_id=subscription.id if subscription else None,
    )


def take_back(customer_id: str, portal_session_id: str, *, by: Actor) -> None:
    """Ends a link, and what browsers may do that followed it. Raises NotFound for any other than staff's."""
    browser_sessions.hold(customer_id)  # before the link's row, as who follows the link does
    opened = session().get(PortalSession, portal_session_id, with_for_update=True, populate_existing=True)
    if opened is None or opened.customer_id != customer_id or not opened.by_staff:
        raise NotFound("link", portal_session_id)
    if opened.revoked_at is not None:
        return
    portal_sessions.revoke(opened)
    _record("portal_link.taken_back", opened, by)


def end_all_by(staff_id: str, *, by: Actor) -> int:
    """Ends every link that somebody made, and what browsers may do that followed one; answers how many ended."""
    ended = portal_sessions.revoke_all_by(staff_id)
    audit.record_all((_act("portal_link.taken_back", each) for each in ended), by=by)
    return len(ended)


def followed(opened: PortalSession, *, by: Actor) -> None:
    """Remembers that somebody opened a link of staff, as whom it is for: the first time, and how often."""
    if portal_sessions.use(opened):
        _record("portal_link.opened", opened, by)


def looked(
    customer_id: str, page: str, subscription_id: str | None, opened: PortalSession | None, *, by: Actor
) -> None:
    """Remembers each time a colleague looks at a customer's page by a link, whoever made that."""
    which = {"portal_session": opened.id} if opened else {}
    subject = subscription_id or customer_id
    audit.record("portal_link.opened", by=by, subject=subject, customer_id=customer_id, page=page, **which)


def how_many_by(staff_id: str) -> int:
    """How many links of somebody still open a page."""
    own = select(func.count()).where(PortalSession.opened_by == staff_id, *_lives())
    return session().scalar(own) or 0


def living(customer_id: str) -> Sequence[Made]:
    """The links of staff that still open a customer's pages, the latest first."""
    wanted = (
        select(PortalSession, StaffMember, Mail)
        .outerjoin(StaffMember, StaffMember.id == PortalSession.opened_by)
        .outerjoin(Mail, Mail.key == mails.LINK_KEY + PortalSession.id)
        .where(PortalSession.customer_id == customer_id, *_lives())
        .order_by(PortalSession.id.desc())
    )
    return [Made(link, member.called if member else "", mail) for link, member, mail in session().execute(wanted)]


def _lives() -> tuple[Any, ...]:
    return PortalSession.by_staff, PortalSession.revoked_at.is_(None), PortalSession.expires_at > clock.now()


def _refuse_if_gone(by: Actor) -> None:
    """A link must not be made while whoever makes it is taken off the staff: it would outlive them."""
    if by.way == "console" and staff.living(by.id) is None:
        raise RoleRefused("You are not on the staff any more. Nothing was changed.")


def _open(
    customer: Customer, page: str, subscription: Standing | None, lifetime: timedelta, by: Actor
) -> PortalSession:
    return portal_sessions.open(
        customer.id,
        [subscription.id] if subscription else [],
        return_url=None,
        lifetime=lifetime,
        page=page,
        by=by,
    )


def _just_sent(customer_id: str, page: str, subscription: Standing | None, by: Actor) -> PortalSession | None:
    wanted, since = [subscription.id] if subscription else [], clock.now() - _PRESSED_TWICE
    same = (
        each.link
        for each in living(customer_id)
        if each.mail is not None
        and (each.link.page, each.link.subscription_ids, each.link.opened_by) == (page, wanted, by.id)
        and each.link.created_at > since
    )
    return next(same, None)


def _record(action: str, opened: PortalSession, by: Actor, **facts: str) -> None:
    audit.record_all((_act(action, opened, **facts),), by=by)


def _act(action: str, opened: PortalSession, **facts: str) -> tuple[str, str, str, dict[str, Any]]:
    subject = next(iter(opened.subscription_ids), opened.customer_id)
    return action, subject, opened.customer_id, {"page": opened.page, "portal_session": opened.id, **facts}
