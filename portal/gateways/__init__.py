"""Who moves the money. A gateway takes and gives plain values; it knows no subscription and no page.

The page that replaces a card works with any of them (see CONTRIBUTING.md, "Add a gateway"):

    GET    gateway.form()          which template holds its form, and which origins the page may load it from
    POST   gateway.accept(fields)  a Card; or ConfirmationNeeded with a reference; or CardRefused
    POST   gateway.confirm(ref)    a Card, once the customer has confirmed it with their bank; or CardRefused
    worker gateway.charge(...)     None if the money moved; a repeated key is answered like the first time
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from portal.domain.payment_methods import Card


class ConfirmationNeeded(Exception):
    """The bank wants the customer to confirm this card; `reference` finds it again."""

    def __init__(self, reference: str) -> None:
        super().__init__("the bank asks for a confirmation")
        self.reference = reference


@dataclass(frozen=True)
class Form:
    """`template` is included in the page; `sources` are origins its scripts, frames and requests need (CSP)."""

    template: str
    sources: tuple[str, ...] = field(default=())


class Gateway(Protocol):
    name: str

    def form(self) -> Form: ...

    def accept(self, fields: Mapping[str, str], *, customer_id: str) -> Card:
        """Raises CardRefused, or ConfirmationNeeded."""

    def confirmation(self, reference: str, *, customer_id: str) -> Card:
        """The card that waits for this customer's confirmation. Raises CardRefused if there is none."""

    def confirm(self, reference: str, *, customer_id: str, agreed: bool) -> Card:
        """Raises CardRefused if the customer did not agree, or nothing waits for them under this reference."""

    def charge(self, reference: str, amount: int, currency: str, *, key: str) -> str | None:
        """Charges `amount` minor units. Answers None if the money moved, else the reason it did not."""


def current() -> Gateway:
    """The gateway that the settings name."""
    from portal.gateways.sandbox import Sandbox

    return Sandbox()
