"""Who asked for a change, by which way, and when it arrived."""

from dataclasses import dataclass, field
from datetime import datetime

from portal import clock


@dataclass(frozen=True)
class Actor:
    """`kind` is customer, staff, key, system or gateway; `way` is email link, portal session, sign-in, console, shell,
    API or worker. `received_at` is when the request arrived, before any lock was waited for (`docs/rules.md`)."""

    kind: str
    id: str
    way: str
    name: str = ""
    received_at: datetime = field(default_factory=clock.now)


def system() -> Actor:
    """The portal itself, carrying out what is due."""
    return Actor(kind="system", id="portal", way="worker", name="portal")


def shell() -> Actor:
    """Whoever may run the portal's commands on the machine."""
    return Actor(kind="staff", id="shell", way="shell", name="command line")
