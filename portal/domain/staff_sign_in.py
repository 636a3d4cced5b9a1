"""How the seller's people prove who they are: a link sent to their address, once; or a passkey."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


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


class Passkey(Base):
    """`credential_id` and `public_key` as the authenticator gave them (WebAuthn); `sign_count` as it counted last."""

    __tablename__ = "passkeys"
    __table_args__ = (Index(None, "staff_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("staff.id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int]
    name: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What an authenticator is to sign, once. Without `staff_id` it is for signing in."""

    __tablename__ = "passkey_challenges"
    __table_args__ = (Index(None, "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str | None]
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
