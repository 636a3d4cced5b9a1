"""Links by mail that sign in, of customers (sign_in.py) and of staff (staff_sign_in.py), each in a table of its own.

One works once, for a while, and only the newest of an address. Asking does the same work for every address, known or
not; whose it is is looked up by the worker, when the mail is sent.
"""

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config
from portal.db import Base, session


class SignInLink(Base):
    """A link that was asked for."""

    __abstract__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    email_key: Mapped[str]
    next_path: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    redeemed_at: Mapped[datetime | None]


Link = TypeVar("Link", bound=SignInLink)


def ask(links: type[Link], id: str, *, email_key: str, next_path: str) -> Link:
    """A fresh link; every earlier one for this address is void."""
    now = clock.now()
    void(links, email_key)
    asked = links(
        id=id,
        email_key=email_key,
        next_path=next_path,
        created_at=now,
        expires_at=now + config.current().sign_in_link_lifetime,
    )
    session().add(asked)
    return asked


def void(links: type[SignInLink], email_key: str) -> None:
    """Makes every link sent to an address so far useless."""
    now = clock.now()
    own = links.email_key == email_key, links.expires_at > now
    session().execute(update(links).where(*own).values(expires_at=now))


def is_open(links: type[SignInLink], id: str) -> bool:
    """Whether a link has not been used, replaced or outlived."""
    asked = session().get(links, id)
    return asked is not None and asked.redeemed_at is None and clock.now() < asked.expires_at


def redeem(links: type[SignInLink], id: str) -> Any | None:
    """`email_key` and `next_path`, the first time; None if the link is used, replaced or too old."""
    now = clock.now()
    usable = links.id == id, links.redeemed_at.is_(None), links.expires_at > now
    redeemed = update(links).where(*usable).values(redeemed_at=now)
    return session().execute(redeemed.returning(links.email_key, links.next_path)).first()
