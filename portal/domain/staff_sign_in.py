"""How the seller's people sign in by a link sent to their address: once, for ten minutes, the newest link only.

The other way is a passkey (passkeys.py).
"""

from datetime import timedelta

from sqlalchemy import Index, delete

from portal import clock, ids
from portal.db import session
from portal.domain import audit, mails, sign_in_links, staff
from portal.domain.actors import Actor
from portal.domain.sign_in_links import SignInLink
from portal.domain.staff import StaffMember

_KEEP = timedelta(days=1)


class StaffSignIn(SignInLink):
    __tablename__ = "staff_sign_ins"
    __table_args__ = (Index(None, "email_key"), Index(None, "expires_at"))


def request(email: str, *, next_path: str, client: str) -> None:
    """Asks for a link; every earlier one for this address is void."""
    asked = _ask(email, next_path)
    mails.send_access(
        "staff_sign_in",
        to=email,
        locale="en",
        request=asked.id,
        asked_at=asked.created_at,
        expires_at=asked.expires_at,
        client=client,
    )


def hand_out(member: StaffMember, *, by: Actor) -> StaffSignIn:
    """Makes a link that no mail carries, for whoever may run commands; every earlier one for this address is void."""
    audit.record("staff.link_made", by=by, subject=member.id, email=member.email)
    return _ask(member.email, "/console")


def void(email: str) -> None:
    """Makes every link sent to an address so far useless."""
    sign_in_links.void(StaffSignIn, staff.email_key(email))


def is_open(request_id: str) -> bool:
    """Whether a link has not been used, replaced or outlived."""
    return sign_in_links.is_open(StaffSignIn, request_id)


def redeem(request_id: str) -> tuple[StaffMember, str] | None:
    """Who it is and the page they wanted, the first time; None if the link is used, replaced, too old or nobody's."""
    redeemed = sign_in_links.redeem(StaffSignIn, request_id)
    known = staff.by_email(redeemed.email_key) if redeemed else None
    member = staff.living(known.id) if known else None
    return (member, redeemed.next_path) if redeemed and member else None


def forget_old() -> None:
    session().execute(delete(StaffSignIn).where(StaffSignIn.expires_at < clock.now() - _KEEP))


def _ask(email: str, next_path: str) -> StaffSignIn:
    return sign_in_links.ask(StaffSignIn, ids.new("ssi"), email_key=staff.email_key(email), next_path=next_path)
