"""What a seller's app does again and again with the SDK: a catalog, a customer, a purchase, an endpoint."""

import secrets
from collections.abc import Sequence
from typing import Any

from paddle_billing import Client
from paddle_billing.Entities.Address import Address
from paddle_billing.Entities.Customer import Customer
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Entities.NotificationSetting import NotificationSetting
from paddle_billing.Entities.NotificationSettings import NotificationSettingType
from paddle_billing.Entities.Price import Price
from paddle_billing.Entities.Shared import (
    CountryCode,
    CurrencyCode,
    Duration,
    Interval,
    Money,
    PriceQuantity,
    PriceTrialPeriod,
    TaxCategory,
)
from paddle_billing.Entities.Subscription import Subscription
from paddle_billing.Entities.Transaction import Transaction
from paddle_billing.Resources.Addresses.Operations import CreateAddress
from paddle_billing.Resources.Customers.Operations import CreateCustomer
from paddle_billing.Resources.NotificationSettings.Operations import CreateNotificationSetting
from paddle_billing.Resources.Prices.Operations import CreatePrice
from paddle_billing.Resources.Products.Operations import CreateProduct
from paddle_billing.Resources.Transactions.Operations import CreateTransaction, ListTransactions
from paddle_billing.Resources.Transactions.Operations.Create import TransactionCreateItem

from tests import people
from tests.browser_story.running import RunningPortal, wait_until
from tests.sdk.passerby import Passerby
from tests.sdk.receiver import Receiver

MONTHLY = Duration(Interval.Month, 1)


class Shop:
    """`subscribed()` puts a subscription into the database as it stands; `buy()` goes through the checkout."""

    def __init__(self, paddle: Client, portal: RunningPortal) -> None:
        self.paddle, self.portal = paddle, portal

    def price(
        self, amount: int = 3000, name: str = "AeroEdit Pro", cycle: Duration | None = MONTHLY, trial_days: int = 0
    ) -> Price:
        """A price of a product of its own; a one-time price if it has no cycle."""
        product = self.paddle.products.create(CreateProduct(name, TaxCategory.Standard))
        trial = {"trial_period": PriceTrialPeriod(Interval.Day, trial_days)} if trial_days else {}
        return self.paddle.prices.create(
            CreatePrice(
                description=name,
                product_id=product.id,
                unit_price=Money(str(amount), CurrencyCode.USD),
                name="Monthly (per seat)",
                billing_cycle=cycle,
                quantity=PriceQuantity(1, 999),
                **trial,
            )
        )

    def customer(self, name: str = "Amelia Harper", email: str | None = None) -> Customer:
        email = email or f"{name.split()[0].lower()}.{secrets.token_hex(6)}@example.com"
        return self.paddle.customers.create(CreateCustomer(email=email, name=name))

    def address(self, customer: Customer) -> Address:
        return self.paddle.addresses.create(
            customer.id,
            CreateAddress(CountryCode.US, first_line="4050 Jefferson Plaza", city="New York", postal_code="10021"),
        )

    def transaction(self, *prices: Price, customer: Customer | None = None, quantity: int = 10) -> Transaction:
        """What a customer is to buy, ready to be paid."""
        customer = customer or self.customer()
        items = [TransactionCreateItem(each.id, quantity) for each in prices or (self.price(),)]
        return self.paddle.transactions.create(
            CreateTransaction(items, customer_id=customer.id, address_id=self.address(customer).id)
        )

    def buy(self, *prices: Price, customer: Customer | None = None, quantity: int = 10) -> Subscription:
        """The customer pays through the checkout page; the subscription that they get."""
        transaction = self.transaction(*prices, customer=customer, quantity=quantity)
        Passerby(self.portal.origin).pay(transaction.checkout.url)
        return self.of(transaction)

    def of(self, transaction: Transaction) -> Subscription:
        """The subscription of a transaction that has been paid."""
        paid = wait_until(
            lambda: (now := self.paddle.transactions.get(transaction.id)).subscription_id and now, "it is paid for"
        )
        return self.paddle.subscriptions.get(paid.subscription_id)

    def paid(self, subscription: Subscription) -> None:
        """Waits until every bill of a subscription is paid; while one is being collected, changes are refused."""
        bills = ListTransactions(subscription_ids=[subscription.id])
        wait_until(
            lambda: all(each.status == "completed" for each in self.paddle.transactions.list(bills)),
            "its bills are paid",
        )

    def subscribed(self, price: Price | None = None, customer: Customer | None = None, **fields: Any) -> Subscription:
        """A customer's subscription in any state, put straight into the database: `subscribed(status="past_due")`."""
        customer, price = customer or self.customer(), price or self.price()
        fields.setdefault("address_id", self.address(customer).id)
        with self.portal.inside():
            made = people.subscription(customer.id, price_id=price.id, **fields)
        return self.paddle.subscriptions.get(made)

    def endpoint(self, receiver: Receiver, events: Sequence[Any] = (EventTypeName.SubscriptionUpdated,)) -> Any:
        """The receiver is told of these events from now on, and knows its secret."""
        setting: NotificationSetting = self.paddle.notification_settings.create(
            CreateNotificationSetting(
                description="the shop",
                destination=receiver.url,
                subscribed_events=list(events),
                type=NotificationSettingType.Url,
                include_sensitive_fields=False,
            )
        )
        receiver.secret = setting.endpoint_secret_key
        return setting
