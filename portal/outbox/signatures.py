"""How an endpoint knows that a webhook is ours: two headers with the same strength, for two kinds of verifiers.

    Paddle-Signature    ts=<seconds>;h1=<hex>          HMAC-SHA256 of `<ts>:<body>`, what Paddle's SDKs verify
    webhook-signature   v1,<base64>                    HMAC-SHA256 of `<id>.<ts>.<body>`, Standard Webhooks

The key is the endpoint's secret as text; Standard Webhooks libraries take the same bytes as `whsec_` and base 64.
While a secret is rotated there are two of each, the new one last. Made anew for each attempt: verifiers allow a
difference of seconds.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime


def headers(event_id: str, body: bytes, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """The signing headers of one attempt; `secrets` has the newest last."""
    stamp = str(int(at.timestamp()))
    ours = [_hmac(each, f"{stamp}:".encode() + body).hex() for each in secrets]
    standard = [_hmac(each, f"{event_id}.{stamp}.".encode() + body) for each in secrets]
    return {
        "Paddle-Signature": ";".join((f"ts={stamp}", *(f"h1={each}" for each in ours))),
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in standard),
    }


def is_genuine(sent: dict[str, str], body: bytes, secret: str) -> bool:
    """Whether both headers of a delivery are made with this secret; `sent` has names in lower case."""
    parts = [each.partition("=") for each in sent.get("paddle-signature", "").split(";")]
    stamp = next((value for name, _, value in parts if name == "ts"), "")
    ours = _hmac(secret, f"{stamp}:".encode() + body).hex()
    signed = f"{sent.get('webhook-id', '')}.{sent.get('webhook-timestamp', '')}.".encode() + body
    standard = f"v1,{base64.b64encode(_hmac(secret, signed)).decode()}"
    return _among(ours, [value for name, _, value in parts if name == "h1"]) and _among(
        standard, sent.get("webhook-signature", "").split(" ")
    )


def _among(expected: str, given: Sequence[str]) -> bool:
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)


def _hmac(secret: str, message: bytes) -> bytes:
    return hmac.digest(secret.encode(), message, "sha256")
