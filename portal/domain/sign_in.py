"""Signing in by a link sent to the address on file: once, for ten minutes, the newest link only.

Asking does the same work for every address, known or not; whether somebody is a customer is looked up by the
worker, when the mail is sent.
"""

from datetime import datetime

from sqlalchemy import Index, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config, ids
from portal.db import Base, session
from portal.domain import customers, mails


class SignInRequest(Base):
    __tablename__ = "sign_in_requests"
    __table_args__ = (Index(None, "email_key"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    email_key: Mapped[str]
    next_path: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    redeemed_at: Mapped[datetime | None]


def request(email: str, *, next_path: str, locale: str, client: str) -> None:
    """Asks for a link; every earlier one for this address is void."""
    now = clock.now()
    void(email)
    asked = SignInRequest(
        id=ids.new("sil"),
        email_key=customers.email_key(email),
        next_path=next_path,
        created_at=now,
        expires_at=now + config.current().sign_in_link_lifetime,
    )
    session().add(asked)
    mails.send_access(
        "sign_in",
        to=email,
        locale=locale,
        request=asked.id,
        asked_at=now,
        expires_at=asked.expires_at,
        client=client,
    )


def void(email: str) -> None:
    """Makes every link sent to an address so far useless."""
    now = clock.now()
    session().execute(
        update(SignInRequest)
        .where(SignInRequest.email_key == customers.email_key(email), SignInRequest.expires_at > now)
        .values(expires_at=now)
    )


def is_open(request_id: str) -> bool:
    """Whether a link has not been used, replaced or outlived."""
    asked = session().get(SignInRequest, request_id)
    return asked is not None and asked.redeemed_at is None and clock.now() < asked.expires_at


def redeem(request_id: str) -> tuple[customers.Customer, str] | None:
    """The customer and the page they wanted, the first time; None if the link is used, replaced or too old."""
    now = clock.now()
    redeemed = (
        session()
        .execute(
            update(SignInRequest)
            .where(
                SignInRequest.id == request_id,
                SignInRequest.redeemed_at.is_(None),
                SignInRequest.expires_at > now,
            )
            .values(redeemed_at=now)
            .returning(SignInRequest.email_key, SignInRequest.next_path)
        )
        .first()
    )
    customer = customers.by_email(redeemed.email_key) if redeemed else None
    return (customer, redeemed.next_path) if redeemed and customer else None
