"""What a sender carries: some notifications of one endpoint, in the order of their events. It touches no database."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from portal import clock
from portal.domain.shapes import text
from portal.outbox import exchange, signatures

BUDGET_SECONDS = 20.0
"""A sender begins nothing more of an errand after this long; the lease is much longer."""


@dataclass(frozen=True)
class Parcel:
    """One event on its way."""

    notification_id: str
    event_id: str
    event_type: str
    occurred_at: datetime
    data: Any
    attempts: int
    """How often it was tried before."""


@dataclass(frozen=True)
class Errand:
    setting_id: str
    destination: str
    secrets: tuple[str, ...]
    lease_until: datetime
    parcels: tuple[Parcel, ...]


@dataclass(frozen=True)
class Attempt:
    """What came of one attempt; `code` 0 where nobody answered, and `error` says why."""

    parcel: Parcel
    at: datetime
    milliseconds: int
    code: int = 0
    content_type: str | None = None
    headers: str | None = None
    body: str = ""
    error: str | None = None
    endpoint_at_fault: bool = True
    """Whether a failure says anything about the endpoint; not if it was never asked."""

    @property
    def delivered(self) -> bool:
        return self.code == 200


@dataclass(frozen=True)
class Report:
    """An attempt of an errand, or with none its end."""

    errand: Errand
    attempt: Attempt | None = None


def carry(errand: Errand, report: Callable[[Report], None], stopping: Callable[[], bool]) -> None:
    """Delivers one after the other until the first fails: what comes after it must not overtake it."""
    endpoint, until = exchange.Endpoint(errand.destination), time.monotonic() + BUDGET_SECONDS
    try:
        for parcel in errand.parcels:
            if stopping() or time.monotonic() > until:
                break
            attempt = deliver(parcel, endpoint, errand.secrets)
            report(Report(errand, attempt))
            if not attempt.delivered and attempt.endpoint_at_fault:
                break
    finally:
        endpoint.close()
        report(Report(errand))


def deliver(parcel: Parcel, endpoint: exchange.Endpoint, secrets: Iterable[str]) -> Attempt:
    """One attempt, signed for this moment."""
    at, began, secrets = clock.now(), time.monotonic(), tuple(secrets)
    if not secrets:
        error = "no key of PORTAL_SECRET_KEYS opens its secret; rotate it"
        return Attempt(parcel, at, 0, error=error, endpoint_at_fault=False)
    try:
        body = payload(parcel)
        headers = _headers(parcel, body, secrets, at)
    except Exception as defect:
        # One that can't be written must not hold up the others; it waits for a corrected release.
        return Attempt(parcel, at, 0, error=f"can't be composed: {type(defect).__name__}", endpoint_at_fault=False)
    try:
        answer = endpoint.post(body, headers)
    except exchange.NoAnswer as why:
        return Attempt(parcel, at, _since(began), error=str(why))
    return Attempt(parcel, at, _since(began), answer.status, answer.content_type, answer.headers, answer.body)


def payload(parcel: Parcel) -> bytes:
    """The exact bytes that are signed and sent."""
    return orjson.dumps(
        {
            "event_id": parcel.event_id,
            "event_type": parcel.event_type,
            "occurred_at": text(parcel.occurred_at),
            "notification_id": parcel.notification_id,
            "data": parcel.data,
        }
    )


def _headers(parcel: Parcel, body: bytes, secrets: tuple[str, ...], at: datetime) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": exchange.USER_AGENT,
        "Accept": "*/*",
        **signatures.headers(parcel.event_id, body, secrets, at),
    }


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
