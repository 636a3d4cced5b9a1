"""How the seller's people sign in by a link sent to their address: once, for ten minutes, the newest link only.

Asking does the same work for every address, known or not; whether somebody is on the staff is looked up by the
worker, when the mail is sent. The other way is a passkey (passkeys.py).
"""

from datetime import datetime, timedelta

from sqlalchemy import Index, delete, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config, ids
from portal.db import Base, session
from portal.domain import audit, mails, staff
from portal.domain.actors import Actor
from portal.domain.staff import StaffMember

_KEEP = timedelta(days=1)


class StaffSignIn(Base):
    """A link that was asked for. Asking does the same work for every address, known or not."""

    __tablename__ = "staff_sign_ins"
    __table_args__ = (Index(None, "email_key"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    email_key: Mapped[str]
    next_path: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    redeemed_at: Mapped[datetime | None]


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
    now = clock.now()
    session().execute(
        update(StaffSignIn)
        .where(StaffSignIn.email_key == staff.email_key(email), StaffSignIn.expires_at > now)
        .values(expires_at=now)
    )


def is_open(request_id: str) -> bool:
    """Whether a link has not been used, replaced or outlived."""
    asked = session().get(StaffSignIn, request_id)
    return asked is not None and asked.redeemed_at is None and clock.now() < asked.expires_at


def redeem(request_id: str) -> tuple[StaffMember, str] | None:
    """Who it is and the page they wanted, the first time; None if the link is used, replaced, too old or nobody's."""
    now = clock.now()
    redeemed = (
        session()
        .execute(
            update(StaffSignIn)
            .where(StaffSignIn.id == request_id, StaffSignIn.redeemed_at.is_(None), StaffSignIn.expires_at > now)
            .values(redeemed_at=now)
            .returning(StaffSignIn.email_key, StaffSignIn.next_path)
        )
        .first()
    )
    known = staff.by_email(redeemed.email_key) if redeemed else None
    member = staff.living(known.id) if known else None
    return (member, redeemed.next_path) if redeemed and member else None


def forget_old() -> None:
    session().execute(delete(StaffSignIn).where(StaffSignIn.expires_at < clock.now() - _KEEP))


def _ask(email: str, next_path: str) -> StaffSignIn:
    now = clock.now()
    void(email)
    asked = StaffSignIn(
        id=ids.new("ssi"),
        email_key=staff.email_key(email),
        next_path=next_path,
        created_at=now,
        expires_at=now + config.current().sign_in_link_lifetime,
    )
    session().add(asked)
    return asked
