"""Nothing of the SDK that is in scope stays untried: each method of its clients, and each filter of its lists."""

import ast
import inspect
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paddle_billing import Client
from paddle_billing.HasParameters import HasParameters
from paddle_billing.Resources.Addresses import Operations as addresses
from paddle_billing.Resources.Businesses import Operations as businesses
from paddle_billing.Resources.Customers import Operations as customers
from paddle_billing.Resources.Events import Operations as events
from paddle_billing.Resources.NotificationLogs import Operations as notification_logs
from paddle_billing.Resources.Notifications import Operations as notifications
from paddle_billing.Resources.NotificationSettings import Operations as notification_settings
from paddle_billing.Resources.PaymentMethods import Operations as payment_methods
from paddle_billing.Resources.Prices import Operations as prices
from paddle_billing.Resources.Products import Operations as products
from paddle_billing.Resources.Subscriptions import Operations as subscriptions
from paddle_billing.Resources.Transactions import Operations as transactions

OUT_OF_SCOPE = {
    "adjustments": "refunds and credits are made at the gateway",
    "checkout_domains": "the checkout is a page of the portal's own",
    "client_tokens": "there is no script for other people's pages that would need one",
    "countries": "a list of the platform's, not of a seller's data",
    "currencies": "a list of the platform's, not of a seller's data",
    "discounts": "no discounts yet",
    "discount_groups": "no discounts yet",
    "ip_addresses": "the portal sends from where it runs",
    "metrics": "the portal has /metrics",
    "pricing_previews": "no tax and no currency conversion, so there is nothing to preview",
    "reports": "the database is the seller's own",
    "simulations": "`portal webhook send` sends samples",
    "simulation_runs": "`portal webhook send` sends samples",
    "simulation_run_events": "`portal webhook send` sends samples",
    "simulation_types": "`portal webhook send` sends samples",
    "verifications": "nobody reviews a seller who hosts themselves",
    "customers.create_auth_token": "it is for the platform's script on the seller's pages",
    "customers.credit_balances": "no credit is kept for customers; what is owed to them waits for the next bill",
    "transactions.preview": "no tax and no currency conversion, so there is nothing to preview",
}
NOT_SENT = {("ListProducts", "product_ids"), ("ListCreditBalances", "currency_code")}
"""Filters that the SDK takes and never sends, or sends to what is out of scope."""
MODULES = (
    addresses,
    businesses,
    customers,
    events,
    notification_logs,
    notification_settings,
    notifications,
    payment_methods,
    prices,
    products,
    subscriptions,
    transactions,
)


def resources() -> dict[str, Any]:
    """The clients of the SDK by name: `products`, `prices` …"""
    made = vars(Client("a key"))
    return {name: each for name, each in made.items() if type(each).__module__.startswith("paddle_billing.Resources")}


def methods(resource: Any) -> list[str]:
    return [name for name, _ in inspect.getmembers(resource, inspect.ismethod) if not name.startswith("_")]


@cache
def calls() -> dict[str, list[ast.Call]]:
    """Every call in each of the tests' files."""
    files = [each for each in Path(__file__).parent.glob("*.py") if each != Path(__file__)]
    trees = {file.name: ast.walk(ast.parse(file.read_text())) for file in files}
    return {name: [node for node in nodes if isinstance(node, ast.Call)] for name, nodes in trees.items()}


@cache
def called() -> set[str]:
    """`products.create` for each call of a method of a client, whatever the client is called."""
    return {
        f"{call.func.value.attr}.{call.func.attr}"
        for call in chain.from_iterable(calls().values())
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Attribute)
    }


def given(operation: type) -> set[str]:
    """The names that an operation is given; where it gets `**filters`, those that the file's helpers are given."""
    names, parameters = set[str](), inspect.signature(operation).parameters
    for of_file in calls().values():
        made = [call for call in of_file if ast.unparse(call.func) == operation.__name__]
        names.update(each.arg or "**" for call in made for each in call.keywords)
        names.update(name for call in made for name, _ in zip(parameters, call.args, strict=False))
        if "**" in names:
            names.update(each.arg for call in of_file for each in call.keywords if each.arg)
            names.remove("**")
    return names


def filters(module: ModuleType) -> list[tuple[type, str]]:
    lists = [each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, HasParameters)]
    return [
        (each, name)
        for each in lists
        for name in inspect.signature(each).parameters
        if each is not HasParameters and (each.__name__, name) not in NOT_SENT
    ]


def test_the_search_sees_the_sdk_and_the_tests() -> None:
    assert len(resources()) > 25
    assert "subscriptions.cancel" in called()
    assert (subscriptions.ListSubscriptions, "customer_ids") in filters(subscriptions)


@pytest.mark.parametrize("name", sorted(resources()))
def test_every_method_is_called_or_out_of_scope_for_a_reason(name: str) -> None:
    if name in OUT_OF_SCOPE:
        return
    untried = {f"{name}.{each}" for each in methods(resources()[name])} - called()
    assert untried <= set(OUT_OF_SCOPE), untried


def test_what_is_out_of_scope_exists() -> None:
    known = {*resources(), *(f"{name}.{each}" for name, client in resources().items() for each in methods(client))}
    assert set(OUT_OF_SCOPE) <= known
    assert not {each for each in OUT_OF_SCOPE if "." in each} & called()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-2])
def test_every_filter_of_a_list_is_used(module: ModuleType) -> None:
    unused = [(operation.__name__, name) for operation, name in filters(module) if name not in given(operation)]
    assert unused == []
