"""Addresses of the customer's pages, built from the configured base URL only, never from a request's Host."""

from collections.abc import Callable
from datetime import datetime, timedelta

from portal import clock, config, ids, tokens

_PATHS = {
    "portal": "/portal",
    "subscription": "/portal/subscriptions/{id}",
    "cancel": "/portal/subscriptions/{id}/cancel",
    "keep": "/portal/subscriptions/{id}/keep",
    "payment": "/portal/subscriptions/{id}/update-payment-method",
}


def path(page: str, subscription_id: str | None = None) -> str:
    """`path("cancel", "sub_…")` → `/portal/subscriptions/sub_…/cancel`."""
    return _PATHS[page].format(id=subscription_id)


def page_of(path: str) -> tuple[str, str | None]:
    """The page a path leads to, and its subscription; anything else is the portal itself."""
    parts = path.rstrip("/").split("/")
    if len(parts) < 4 or parts[:3] != ["", "portal", "subscriptions"] or not ids.is_id(parts[3], "sub"):
        return "portal", None
    for page in _PATHS:
        if page != "portal" and _PATHS[page].format(id=parts[3]) == "/".join(parts):
            return page, parts[3]
    return "portal", None


def plain_url(page: str, subscription_id: str | None = None) -> str:
    """A page's address without any power: it leads through sign-in."""
    return config.current().base_url + path(page, subscription_id)


def session_url(
    page: str, portal_session_id: str, *, expires_at: datetime, issued_at: datetime, subscription_id: str | None = None
) -> str:
    """A link of a portal session."""
    return _with_token(
        page, subscription_id, tokens.PORTAL_SESSION, portal_session_id, expires_at=expires_at, issued_at=issued_at
    )


def page_url(
    page: str,
    *,
    customer_id: str,
    subscription_id: str | None = None,
    lifetime: timedelta | None = None,
    issued_at: datetime | None = None,
) -> str:
    """A direct link for one customer to one page, by default with the lifetime of links in mails."""
    issued_at = issued_at or clock.now()
    expires_at = issued_at + (lifetime or config.current().email_link_lifetime)
    return direct(expires_at=expires_at, issued_at=issued_at)(page, customer_id, subscription_id)


def direct(*, expires_at: datetime, issued_at: datetime) -> Callable[[str, str, str | None], str]:
    """Makes direct links of the same instants, each for (page, customer, subscription)."""
    issue, base_url = (
        tokens.issuer(tokens.DIRECT, expires_at=expires_at, issued_at=issued_at),
        config.current().base_url,
    )

    def link(page: str, customer_id: str, subscription_id: str | None) -> str:
        return f"{base_url}{path(page, subscription_id)}?token={issue(customer_id, page, subscription_id)}"

    return link


def sign_in_url(request_id: str, *, expires_at: datetime, issued_at: datetime) -> str:
    """The link of a sign-in mail."""
    token = tokens.issue(tokens.SIGN_IN, request_id, page="sign-in", expires_at=expires_at, issued_at=issued_at)
    return f"{config.current().base_url}/portal/sign-in/confirm?token={token}"


def console_url(*where: str) -> str:
    """Where the seller's people begin, or a page of theirs; without any power."""
    return "/".join((f"{config.current().base_url}/console", *where))


def staff_sign_in_url(request_id: str, *, expires_at: datetime, issued_at: datetime) -> str:
    """The link that signs somebody of the staff in."""
    token = tokens.issue(tokens.STAFF_SIGN_IN, request_id, page="console", expires_at=expires_at, issued_at=issued_at)
    return f"{console_url()}/sign-in/confirm?token={token}"


def checkout_path(transaction_id: str) -> str:
    return f"/portal/checkout/{transaction_id}"


def checkout_url(transaction_id: str, *, expires_at: datetime) -> str:
    """The link to a transaction's checkout; it opens nothing else."""
    token = tokens.issue(tokens.CHECKOUT, transaction_id, page="checkout", expires_at=expires_at)
    return f"{config.current().base_url}{checkout_path(transaction_id)}?token={token}"


def invoice_url(transaction_id: str, *, disposition: str, expires_at: datetime) -> str:
    """The link to a transaction's invoice, for whoever an app gives it to."""
    token = tokens.issue(tokens.INVOICE, transaction_id, page="invoice", expires_at=expires_at)
    path = f"/portal/invoices/{transaction_id}.pdf"
    return f"{config.current().base_url}{path}?disposition={disposition}&token={token}"


def _with_token(
    page: str, subscription_id: str | None, purpose: str, origin: str, *, expires_at: datetime, issued_at: datetime
) -> str:
    token = tokens.issue(
        purpose, origin, page=page, subscription=subscription_id, expires_at=expires_at, issued_at=issued_at
    )
    return f"{plain_url(page, subscription_id)}?token={token}"
