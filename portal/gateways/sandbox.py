"""The sandbox: the reference gateway, without network and without money.

    4242 4242 4242 4242   succeeds
    4000 0000 0000 0341   is accepted, but every later charge is declined
    4000 0000 0000 0002   declined
    4000 0000 0000 9995   insufficient funds
    4000 0000 0000 0069   expired
    4000 0025 0000 3155   succeeds after a confirmation on a second page

Every other number is refused before it is stored or logged. The numbers are the ones card processors publish for
tests. Charges stand in a ledger of its own, so that a test can count the money that moved.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import BigInteger, select, update
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, db, ids
from portal.db import Base, session, transaction
from portal.domain.payment_methods import Card
from portal.errors import CardRefused
from portal.gateways import ConfirmationNeeded, Form

_BRAND = "visa"
_REFUSED = {
    "4000000000000002": "declined",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired",
}
_ACCEPTED = {"4242424242424242": "ok", "4000000000000341": "declines"}
_CONFIRMED = "4000002500003155"


class SandboxCharge(Base):
    __tablename__ = "sandbox_charges"

    key: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    charged_at: Mapped[datetime]


class SandboxSetup(Base):
    """A card that waits for its owner's confirmation; without its number."""

    __tablename__ = "sandbox_setups"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    expiry_month: Mapped[int]
    expiry_year: Mapped[int]
    status: Mapped[str]
    created_at: Mapped[datetime]


class Sandbox:
    name = "sandbox"

    def form(self) -> Form:
        return Form(template="customer/gateways/sandbox.html")

    def accept(self, fields: Mapping[str, str], *, customer_id: str) -> Card:
        number = re.sub(r"[ -]", "", fields.get("number", ""))
        if number not in {*_REFUSED, *_ACCEPTED, _CONFIRMED}:
            raise CardRefused("not_a_test_card")
        month, year = _expiry(fields.get("expiry", ""))
        if not re.fullmatch(r"[0-9]{3,4}", fields.get("cvc", "")):
            raise CardRefused("invalid_cvc")
        if number in _REFUSED:
            raise CardRefused(_REFUSED[number])
        if number == _CONFIRMED:
            raise ConfirmationNeeded(_wait_for(customer_id, month, year))
        return _card(number[-4:], month, year, _ACCEPTED[number])

    def confirmation(self, reference: str, *, customer_id: str) -> Card:
        if not ids.is_id(reference, "set"):
            raise CardRefused("nothing_to_confirm")
        setup = session().scalar(
            select(SandboxSetup).where(
                SandboxSetup.id == reference,
                SandboxSetup.customer_id == customer_id,
                SandboxSetup.status == "waiting",
            )
        )
        if setup is None:
            raise CardRefused("nothing_to_confirm")
        return _card(_CONFIRMED[-4:], setup.expiry_month, setup.expiry_year, "ok")

    def confirm(self, reference: str, *, customer_id: str, agreed: bool) -> Card:
        card = self.confirmation(reference, customer_id=customer_id)
        with transaction():
            settled = session().execute(
                update(SandboxSetup)
                .where(SandboxSetup.id == reference, SandboxSetup.status == "waiting")
                .values(status="confirmed" if agreed else "refused")
            )
        if not agreed or settled.rowcount != 1:  # type: ignore[attr-defined]
            raise CardRefused("not_confirmed")
        return card

    def charge(self, reference: str, amount: int, currency: str, *, key: str) -> str | None:
        if reference == "sandbox_declines":
            return "declined"
        with transaction():
            session().execute(
                db.insert_unless_there(SandboxCharge).values(
                    key=key, reference=reference, amount=amount, currency=currency, charged_at=clock.now()
                )
            )
        return None


def _card(last4: str, month: int, year: int, behaviour: str) -> Card:
    return Card(_BRAND, last4, month, year, gateway="sandbox", reference=f"sandbox_{behaviour}")


def _wait_for(customer_id: str, month: int, year: int) -> str:
    setup = SandboxSetup(
        id=ids.new("set"),
        customer_id=customer_id,
        expiry_month=month,
        expiry_year=year,
        status="waiting",
        created_at=clock.now(),
    )
    with transaction():
        session().add(setup)
    return setup.id


def _expiry(text: str) -> tuple[int, int]:
    """`07/29` or `7 / 2029` as month and year. Raises CardRefused for anything else, and for a date gone by."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{2}|\d{4})\s*", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= 12:
        raise CardRefused("invalid_expiry")
    month, year = int(match[1]), int(match[2]) % 2000 + 2000
    if (year, month) < (clock.now().year, clock.now().month):
        raise CardRefused("expired")
    return month, year
