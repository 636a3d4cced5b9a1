"""Made-up customers of a made-up seller, put straight into the database."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from portal import clock, ids
from portal.db import session, transaction
from portal.domain import api_keys, periods, search
from portal.domain.actors import shell
from portal.domain.catalog import Price, Product
from portal.domain.customers import Customer, email_key
from portal.domain.events import Event
from portal.domain.mails import Mail
from portal.domain.payment_methods import PaymentMethod
from portal.domain.subscriptions import Subscription, SubscriptionItem


def customer(name: str = "Amelia Harper", **fields: Any) -> str:
    """A customer; gives their id."""
    email = fields.pop("email", f"{name.split()[0].lower()}.{ids.new('x')[-6:]}@example.com")
    now = clock.now()
    made = Customer(
        id=ids.new("ctm"), email=email, email_key=email_key(email), name=name, created_at=now, updated_at=now, **fields
    )
    with transaction():
        session().add(made)
        session().flush()
        search.add(((made.id, made.name, made.email),))
    return made.id


def price(amount: int = 3000, currency: str = "USD", product: str = "AeroEdit Pro", interval: str = "month") -> str:
    now = clock.now()
    sold = Product(id=ids.new("pro"), name=product, tax_category="standard", created_at=now, updated_at=now)
    asked = Price(
        id=ids.new("pri"),
        product_id=sold.id,
        description=product,
        name="Monthly (per seat)",
        billing_interval=interval,
        billing_frequency=1,
        amount=amount,
        currency_code=currency,
        created_at=now,
        updated_at=now,
    )
    with transaction():
        session().add(sold)
        session().flush()
        session().add(asked)
    return asked.id


def subscription(
    customer_id: str,
    *,
    quantity: int = 10,
    price_id: str | None = None,
    began: datetime | None = None,
    card: str | None = "sandbox_ok",
    interval: str = "month",
    **fields: Any,
) -> str:
    """An active monthly subscription that began ten days ago, unless told otherwise; gives its id."""
    began = began or clock.now() - timedelta(days=10)
    ends = fields.pop("period_ends_at", periods.nth(began, interval, 1, 1))
    made = Subscription(
        **{
            "id": ids.new("sub"),
            "customer_id": customer_id,
            "status": "active",
            "currency_code": "USD",
            "billing_interval": interval,
            "billing_frequency": 1,
            "anchor_at": began,
            "started_at": began,
            "first_billed_at": began,
            "next_billed_at": ends,
            "period_starts_at": began,
            "period_ends_at": ends,
            "created_at": began,
            "updated_at": began,
        }
        | fields
    )
    price_id = price_id or price(interval=interval)
    made.items = [
        SubscriptionItem(
            position=0,
            price_id=price_id,
            quantity=quantity,
            previously_billed_at=began,
            **_billed(price_id, 0 if fields.get("status") == "trialing" else quantity),
            created_at=began,
            updated_at=began,
        )
    ]
    with transaction():
        if card:
            made.payment_method_id = _card(customer_id, card)
        session().add(made)
    return made.id


def key(*permissions: str, everything: bool = False) -> dict[str, str]:
    """An app's headers with a key that may do this."""
    granted = [*permissions, *(api_keys.ALL_BUT_NAMED if everything else ())]
    with transaction():
        return {"Authorization": f"Bearer {api_keys.create('test', granted, by=shell())}"}


def key_id(headers: dict[str, str]) -> str:
    """The id of the key that an app's headers carry."""
    known = api_keys.find(headers["Authorization"].removeprefix("Bearer "))
    assert known is not None
    return known.id


def row(subscription_id: str) -> Subscription:
    """A subscription as the database has it now."""
    with transaction():
        return session().scalars(select(Subscription).where(Subscription.id == subscription_id)).one()


def events_of(subscription_id: str) -> list[str]:
    """The types of a subscription's events, in order."""
    with transaction():
        wanted = select(Event.type).where(Event.subscription_id == subscription_id).order_by(Event.id)
        return list(session().scalars(wanted))


def mails_of(subscription_id: str) -> list[str]:
    """The kinds of the mails about a subscription, in order."""
    with transaction():
        wanted = select(Mail.kind).where(Mail.subscription_id == subscription_id).order_by(Mail.id)
        return list(session().scalars(wanted))


def _billed(price_id: str, quantity: int) -> dict[str, int]:
    with transaction():
        return {"billed_quantity": quantity, "billed_amount": session().get_one(Price, price_id).amount * quantity}


def _card(customer_id: str, reference: str) -> str:
    now = clock.now()
    card = PaymentMethod(
        id=ids.new("paymtd"),
        customer_id=customer_id,
        brand="visa",
        last4="4242",
        expiry_month=7,
        expiry_year=2029,
        gateway="sandbox",
        reference=reference,
        created_at=now,
        updated_at=now,
    )
    session().add(card)
    session().flush()
    return card.id
