"""How customers sign in: by a link sent to the address on file, once, for ten minutes, the newest link only."""

from sqlalchemy import Index

from portal import ids
from portal.domain import customers, mails, sign_in_links
from portal.domain.sign_in_links import SignInLink


class SignInRequest(SignInLink):
    __tablename__ = "sign_in_requests"
    __table_args__ = (Index(None, "email_key"), Index(None, "expires_at"))


def request(email: str, *, next_path: str, locale: str, client: str) -> None:
    """Asks for a link; every earlier one for this address is void."""
    key = customers.email_key(email)
    asked = sign_in_links.ask(SignInRequest, ids.new("sil"), email_key=key, next_path=next_path)
    mails.send_access(
        "sign_in",
        to=email,
        locale=locale,
        request=asked.id,
        asked_at=asked.created_at,
        expires_at=asked.expires_at,
        client=client,
    )


def void(email: str) -> None:
    """Makes every link sent to an address so far useless."""
    sign_in_links.void(SignInRequest, customers.email_key(email))


def is_open(request_id: str) -> bool:
    """Whether a link has not been used, replaced or outlived."""
    return sign_in_links.is_open(SignInRequest, request_id)


def redeem(request_id: str) -> tuple[customers.Customer, str] | None:
    """The customer and the page they wanted, the first time; None if the link is used, replaced or too old."""
    redeemed = sign_in_links.redeem(SignInRequest, request_id)
    customer = customers.by_email(redeemed.email_key) if redeemed else None
    return (customer, redeemed.next_path) if redeemed and customer else None
