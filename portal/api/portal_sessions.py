"""Portal sessions: an app opens one for a customer and gets links; it can call them back."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from portal import config, links
from portal.access import app_actor
from portal.api import bodies
from portal.api.operations import operation
from portal.db import session, transaction
from portal.domain import entities, portal_sessions, shapes
from portal.domain.portal_sessions import MOST_SUBSCRIPTIONS, PortalSession
from portal.errors import NotFound

_SHORTEST = timedelta(minutes=1)


class NewPortalSession(bodies.Body):
    """`lifetime` is in seconds."""

    subscription_ids: Annotated[list[str], Field(max_length=MOST_SUBSCRIPTIONS)] | None = None
    return_url: Annotated[str, Field(max_length=2048)] | None = None
    lifetime: Annotated[int, Field(strict=True)] | None = None


@operation(
    "POST",
    "/customers/<id>/portal-sessions",
    permission="customer_portal_session.write",
    takes=NewPortalSession,
    gives=entities.OpenedPortalSession,
    status=201,
    refuses=("entity_archived",),
    example={"subscription_ids": ["sub_01htymmb3hj0q9fmckjbtrmd73"], "lifetime": 600},
)
def open_portal_session(id: str, body: NewPortalSession) -> entities.OpenedPortalSession:
    """Open a portal session.

    The answer holds links straight to the pages of each subscription named. Make one for each click; they expire.
    """
    wanted = body.subscription_ids or []
    if len(set(wanted)) != len(wanted):
        raise bodies.invalid_field("subscription_ids", "must not name a subscription twice")
    with transaction():
        opened = portal_sessions.open(
            id, wanted, return_url=_return_url(body.return_url), lifetime=_lifetime(body.lifetime), by=app_actor()
        )
    return _with_links(opened)


@operation("DELETE", "/portal-sessions/<id>", permission="customer_portal_session.write", status=204)
def revoke_portal_session(id: str) -> None:
    """Revoke a portal session.

    Its links and the browsers that followed one are out from the next request on.
    """
    with transaction():
        opened = session().get(PortalSession, id)
        if opened is None:
            raise NotFound("portal session", id)
        portal_sessions.revoke(opened)


def _with_links(opened: PortalSession) -> entities.OpenedPortalSession:
    urls: entities.PortalLinks = {
        "general": {"overview": _link("portal", opened)},
        "subscriptions": [
            {
                "id": each,
                "cancel_subscription": _link("cancel", opened, each),
                "update_subscription_payment_method": _link("payment", opened, each),
                "view_subscription": _link("subscription", opened, each),
            }
            for each in opened.subscription_ids
        ],
    }
    return {**shapes.portal_session(opened), "urls": urls}


def _link(page: str, opened: PortalSession, subscription_id: str | None = None) -> str:
    return links.session_url(
        page, opened.id, expires_at=opened.expires_at, issued_at=opened.created_at, subscription_id=subscription_id
    )


def _lifetime(seconds: int | None) -> timedelta:
    settings = config.current()
    if seconds is None:
        return settings.api_link_lifetime
    longest = int(settings.api_link_longest.total_seconds())
    if not _SHORTEST.total_seconds() <= seconds <= longest:
        raise bodies.invalid_field("lifetime", f"must be from 60 to {longest} seconds")
    return timedelta(seconds=seconds)


def _return_url(url: str | None) -> str | None:
    """A URL of an origin the seller allows; compared as a whole origin, so that nothing resembling it passes."""
    if url is None:
        return None
    allowed = config.current().return_origins
    plain = url.isascii() and url.isprintable() and not set(url) & set(' \\"<>^`{|}')
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        origin = ""
    if not plain or origin not in allowed or not url.startswith(origin):
        raise bodies.invalid_field("return_url", "must begin with an origin the seller allows (PORTAL_RETURN_ORIGINS)")
    return url
