"""Rows of made-up subscriptions, ready to be copied into either database: every value is a number, a text or None.

Subscription n has an id that says n, so that a load finds its subscriptions without asking. The first customer has
50 subscriptions, the second has one, everybody else has two. Every fiftieth customer has the same first name.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import orjson

from portal import clock
from portal.domain import periods, search, shapes

MANY = 50
PRODUCTS = 20
STATES = {7: "canceled", 23: "paused", 41: "past_due", 59: "trialing", 77: "pending"}
"""Of a hundred subscriptions these five are not simply active; `pending` has a cancellation scheduled."""

FIRST_NAMES = (
    *("Amelia", "Noah", "Olivia", "Liam", "Emma", "Lucas", "Mia", "Elias", "Sofia", "Mateo", "Hannah", "Leon", "Lena"),
    *("Paul", "Ines", "Hugo", "Clara", "Louis", "Alice", "Jules", "Zofia", "Jakub", "Maja", "Antoni", "Greta", "Oskar"),
    *("Astrid", "Nils", "Freya", "Anders", "Ingrid", "Lars", "Sinead", "Conor", "Aoife", "Ewan", "Isla", "Rhys"),
    *("Yuki", "Haruto", "Mei", "Wei", "Priya", "Arjun", "Layla", "Omar", "Zeynep", "Emre", "Thandi", "Sipho"),
)
LAST_NAMES = (
    *("Harper", "Becker", "Rossi", "Novak", "Silva", "Dubois", "Jansen", "Larsen", "Kowalski", "Murphy", "Tanaka"),
    *("Sharma", "Demir", "Nkosi", "Moreau", "Fischer", "Greco", "Horvat", "Santos", "Lefevre", "Visser", "Nilsson"),
    *("Lewandowski", "Byrne", "Sato", "Patel", "Yilmaz", "Dlamini", "Keller", "Conti", "Maric", "Costa", "Bakker"),
)
WHO = ("customer", "customer", "customer", "customer", "staff", "key", "system")
"""Who asked for the ends there are."""

Row = dict[str, Any]


def made_id(prefix: str, n: int) -> str:
    """The id of the nth made-up entity; it sorts before every real one."""
    return f"{prefix}_01bench{n:019d}"


def customer_of(n: int) -> int:
    """Whose the nth subscription is."""
    return 0 if n < MANY else 1 if n == MANY else 2 + (n - MANY - 1) // 2


def state_of(n: int) -> str:
    return STATES.get((n + n // 100) % 100, "active")


def name_of(n: int) -> str:
    """What the nth customer is called."""
    return f"{FIRST_NAMES[n % len(FIRST_NAMES)]} {LAST_NAMES[n // len(FIRST_NAMES) % len(LAST_NAMES)]}"


def email_of(n: int) -> str:
    return f"customer{n}@example.com"


def stored(at: datetime) -> str:
    """An instant as SQLite stores it; PostgreSQL reads it as UTC, the connection's time zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


class Maker:
    """Makes rows table by table, parents before children."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or clock.now()
        self.dates = {"created_at": stored(self.now), "updated_at": stored(self.now)}
        self.billing = lru_cache(self._billing)
        self.line = lru_cache(self._line)

    def catalog(self) -> Iterator[tuple[str, list[Row]]]:
        yield "products", [self._stored_once(self._product(n)) for n in range(PRODUCTS)]
        prices = [self._stored_once(self._price(n)) for n in range(PRODUCTS)]
        yield "prices", [{name: value for name, value in each.items() if name != "product"} for each in prices]

    def subscriptions(self, first: int, count: int) -> Iterator[tuple[str, list[Row]]]:
        """Subscriptions `first` to `first + count - 1` with all that belongs to them."""
        wanted = range(first, first + count)
        newcomers = [n for n in wanted if n == 0 or customer_of(n) != customer_of(n - 1)]
        yield "customers", [self._customer(customer_of(n)) for n in newcomers]
        yield "search_terms", [term for n in newcomers for term in self._terms(customer_of(n))]
        yield "payment_methods", [self._card(customer_of(n)) for n in newcomers]
        yield "subscriptions", [self._subscription(n) for n in wanted]
        yield "subscription_items", [self._item(n) for n in wanted]
        yield "transactions", [self._transaction(n) for n in wanted]

    def _customer(self, n: int) -> Row:
        email = email_of(n)
        plain = {"name": name_of(n), "locale": "en", "status": "active", "marketing_consent": 0}
        return {"id": made_id("ctm", n), "email": email, "email_key": email, **plain, **self.dates}

    def _terms(self, n: int) -> list[Row]:
        found = search.terms(name_of(n), email_of(n))
        return [{"text": each, "customer_id": made_id("ctm", n)} for each in found]

    def _card(self, n: int) -> Row:
        card = {"type": "card", "brand": "visa", "last4": "4242", "expiry_month": 7, "expiry_year": 2031}
        kept = {"gateway": "sandbox", "reference": "sandbox_ok"}
        return {"id": made_id("paymtd", n), "customer_id": made_id("ctm", n), **card, **kept, **self.dates}

    def _subscription(self, n: int) -> Row:
        state, (began, ends) = state_of(n), self.billing(n // PRODUCTS % 25)
        row = {
            "id": made_id("sub", n),
            "version": 1,
            "customer_id": made_id("ctm", customer_of(n)),
            "status": "active" if state == "pending" else state,
            "currency_code": "USD",
            "collection_mode": "automatic",
            "billing_interval": "month",
            "billing_frequency": 1,
            "anchor_at": began,
            "started_at": began,
            "first_billed_at": began,
            "payment_method_id": made_id("paymtd", customer_of(n)),
        }
        canceled_by = {"pending": "customer", "canceled": WHO[n // 100 % len(WHO)]}.get(state)
        return {**row, "canceled_by": canceled_by, **self._standing(state, began, ends), **self.dates}

    def _standing(self, state: str, began: str, ends: str) -> Row:
        """What a subscription's state says of its period and of what comes next."""
        over, waits = state == "canceled", state in ("canceled", "paused", "pending")
        pending = state == "pending"
        return {
            "period_starts_at": None if over else began,
            "period_ends_at": None if over else ends,
            "next_billed_at": None if waits else ends,
            "paused_at": began if state == "paused" else None,
            "canceled_at": began if over else None,
            "scheduled_action": "cancel" if pending else None,
            "scheduled_effective_at": ends if pending else None,
            "scheduled_at": began if pending else None,
            "scheduled_by": "customer" if pending else None,
            "billing_resumes_at": ends if pending or state == "paused" else None,
        }

    def _item(self, n: int) -> Row:
        sold = {"price_id": made_id("pri", n % PRODUCTS), "status": "active", "quantity": 10, "recurring": 1}
        cost = 10 * (1000 + n % PRODUCTS)
        billed = {
            "previously_billed_at": self.billing(n // PRODUCTS % 25)[0],
            "billed_quantity": 10,
            "billed_amount": cost,
        }
        return {"subscription_id": made_id("sub", n), "position": 0, **sold, **billed, **self.dates}

    def _transaction(self, n: int) -> Row:
        began, ends = self.billing(n // PRODUCTS % 25)
        row = {
            "id": made_id("txn", n),
            "customer_id": made_id("ctm", customer_of(n)),
            "subscription_id": made_id("sub", n),
            "status": "past_due" if state_of(n) == "past_due" else "completed",
            "origin": "subscription_recurring",
            "collection_mode": "automatic",
            "currency_code": "USD",
            "amount": 10 * (1000 + n % PRODUCTS),
            "lines": self.line(n % PRODUCTS),
            "payments": "[]",
        }
        paid = {"invoice_number": f"bench-{n:09d}", "billed_at": began, "paid_at": began, "failed_attempts": 0}
        return {**row, "period_starts_at": began, "period_ends_at": ends, **paid, **self.dates}

    def _billing(self, days_ago: int) -> tuple[str, str]:
        """A month that began so many days ago; it ends tomorrow or later."""
        began = self.now - timedelta(days=days_ago, hours=1)
        return stored(began), stored(periods.nth(began, "month", 1, 1))

    def _line(self, n: int) -> str:
        price = SimpleNamespace(**self._price(n))
        line = {"id": made_id("txnitm", n), "quantity": 10, "amount": 10 * price.amount}
        line |= {"price": shapes.price(price), "product": shapes.product(SimpleNamespace(**price.product))}
        return orjson.dumps([line]).decode()

    def _product(self, n: int) -> Row:
        named = {"id": made_id("pro", n), "name": f"Made-up product {n}", "description": None, "image_url": None}
        return {**named, "type": "standard", "tax_category": "standard", **self._kept()}

    def _price(self, n: int) -> Row:
        named = {"id": made_id("pri", n), "product_id": made_id("pro", n), "name": "Monthly", "description": "Monthly"}
        cycle = {"billing_interval": "month", "billing_frequency": 1, "trial_interval": None, "trial_frequency": None}
        asked = {"amount": 1000 + n, "currency_code": "USD", "unit_price_overrides": [], "payments": None}
        more = {"type": "standard", "tax_mode": "account_setting", "quantity_minimum": 1, "quantity_maximum": 100}
        return {**named, **cycle, **asked, **more, **self._kept(), "product": self._product(n)}

    def _kept(self) -> Row:
        dates = {"created_at": self.now, "updated_at": self.now}
        return {"custom_data": None, "status": "active", "import_meta": None, **dates}

    def _stored_once(self, row: Row) -> Row:
        """The few rows of the catalog with their values as they are stored."""
        return row | self.dates | ({"unit_price_overrides": "[]"} if "unit_price_overrides" in row else {})
