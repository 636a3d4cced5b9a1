"""Portal sessions: an app opens one for a customer and gets links; it can call them back."""

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from flask import Response
from pydantic import Field

from portal import config, links, web
from portal.access import app_actor, key_required
from portal.api import bodies, bp
from portal.db import session, transaction
from portal.domain import portal_sessions, shapes
from portal.domain.portal_sessions import MOST_SUBSCRIPTIONS, PortalSession
from portal.errors import NotFound

_SHORTEST = timedelta(minutes=1)


class NewPortalSession(bodies.Body):
    """`lifetime` is in seconds."""

    subscription_ids: Annotated[list[str], Field(max_length=MOST_SUBSCRIPTIONS)] | None = None
    return_url: Annotated[str, Field(max_length=2048)] | None = None
    lifetime: Annotated[int, Field(strict=True)] | None = None


@bp.post("/customers/<id>/portal-sessions")
@key_required("customer_portal_session.write")
def open_portal_session(id: str) -> Response:
    body = bodies.read(NewPortalSession)
    wanted = body.subscription_ids or []
    if len(set(wanted)) != len(wanted):
        raise bodies.invalid_field("subscription_ids", "must not name a subscription twice")
    with transaction():
        opened = portal_sessions.open(
            id, wanted, return_url=_return_url(body.return_url), lifetime=_lifetime(body.lifetime), by=app_actor()
        )
    return web.data(_with_links(opened), 201)


@bp.delete("/portal-sessions/<id>")
@key_required("customer_portal_session.write")
def revoke_portal_session(id: str) -> Response:
    with transaction():
        opened = session().get(PortalSession, id)
        if opened is None:
            raise NotFound("portal session", id)
        portal_sessions.revoke(opened)
    return Response(status=204)


def _with_links(opened: PortalSession) -> dict[str, Any]:
    return shapes.portal_session(opened) | {
        "urls": {
            "general": {"overview": _link("portal", opened)},
            "subscriptions": [
                {
                    "id": each,
                    "cancel_subscription": _link("cancel", opened, each),
                    "update_subscription_payment_method": _link("payment", opened, each),
                }
                for each in opened.subscription_ids
            ],
        }
    }


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
