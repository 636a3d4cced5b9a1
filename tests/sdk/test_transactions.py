"""Transactions through the official SDK: made, paid, listed, invoiced, revised."""

from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from paddle_billing import Client
from paddle_billing.Entities.Shared import (
    Checkout,
    CollectionMode,
    CurrencyCode,
    CustomData,
    Disposition,
    Duration,
    Interval,
    Money,
    TransactionStatus,
)
from paddle_billing.Entities.Transaction import Transaction
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Exceptions.ApiErrors.TransactionApiError import TransactionApiError
from paddle_billing.Resources.Businesses.Operations import CreateBusiness
from paddle_billing.Resources.Shared.Operations import Comparator, DateComparison, OrderBy, Pager
from paddle_billing.Resources.Transactions.Operations import (
    CreateTransaction,
    GetTransactionInvoice,
    ListTransactions,
    ReviseTransaction,
    TransactionIncludes,
    TransactionOrigin,
    UpdateTransaction,
)
from paddle_billing.Resources.Transactions.Operations.Create import (
    CreateBillingDetails,
    TransactionCreateItem,
    TransactionCreateItemWithPrice,
)
from paddle_billing.Resources.Transactions.Operations.Price import TransactionNonCatalogPrice
from paddle_billing.Resources.Transactions.Operations.Revise import ReviseAddress, ReviseBusiness, ReviseCustomer
from paddle_billing.Resources.Transactions.Operations.Update import TransactionUpdateItem

from tests.sdk.checks import Refused, ids, known, same
from tests.sdk.passerby import Passerby
from tests.sdk.shop import Shop

Status = TransactionStatus


def test_a_transaction_without_a_buyer_is_a_draft_and_ready_with_one(paddle: Client, shop: Shop) -> None:
    price, customer = shop.price(), shop.customer()
    draft = paddle.transactions.create(CreateTransaction([TransactionCreateItem(price.id, 2)]))
    assert (known(draft).status, draft.origin, draft.details.totals.total) == (Status.Draft, "api", "6000")
    ready = paddle.transactions.update(
        draft.id,
        UpdateTransaction(
            items=[TransactionUpdateItem(price.id, 3)],
            customer_id=customer.id,
            address_id=shop.address(customer).id,
            custom_data=CustomData({"cart": 1}),
        ),
    )
    assert (known(ready).status, ready.details.totals.total) == (Status.Ready, "9000")
    assert ready.checkout.url.startswith(f"{shop.portal.origin}/")
    got = paddle.transactions.get(draft.id)
    got.checkout = ready.checkout  # its link is made anew each time
    assert same(got, ready)
    assert isinstance(ready, Transaction)


def test_a_transaction_brings_what_belongs_to_it(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    address = shop.address(customer)
    business = paddle.businesses.create(customer.id, CreateBusiness("Harper Aerial"))
    sent = CreateTransaction(
        [TransactionCreateItem(shop.price().id, 1)],
        customer_id=customer.id,
        address_id=address.id,
        business_id=business.id,
        collection_mode=CollectionMode.Automatic,
        custom_data=CustomData({"cart": 2}),
        checkout=Checkout(None),
        discount_id=None,
    )
    asked = [TransactionIncludes.Customer, TransactionIncludes.Address, TransactionIncludes.Business]
    made = known(paddle.transactions.create(sent, asked))
    assert (made.customer.id, made.address.id, made.business.id) == (customer.id, address.id, business.id)
    assert known(paddle.transactions.get(made.id, asked)).customer.email == customer.email
    [listed] = paddle.transactions.list(ListTransactions(ids=[made.id], includes=asked))
    assert (listed.business.name, listed.custom_data.data) == ("Harper Aerial", {"cart": 2})


def test_transactions_are_listed_by_every_filter(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    bought = shop.buy(price)
    [paid] = paddle.transactions.list(ListTransactions(customer_ids=[bought.customer_id]))
    unpaid = shop.transaction(price)
    mine = [paid.id, unpaid.id]

    def listed(**filters: Any) -> list[str]:
        return sorted(ids(paddle.transactions.list(ListTransactions(ids=mine, **filters))))

    def since(when: datetime) -> DateComparison:
        return DateComparison(when, Comparator.GTE)

    later, both = datetime.now(UTC) + timedelta(hours=1), sorted(mine)
    assert listed() == both
    assert listed(statuses=[Status.Completed, Status.Paid]) == [paid.id]
    assert listed(subscription_ids=[bought.id]) == [paid.id]
    assert listed(customer_ids=[unpaid.customer_id]) == [unpaid.id]
    assert listed(invoice_numbers=[paid.invoice_number]) == [paid.id]
    assert listed(origins=[TransactionOrigin.Web]) == []
    assert listed(origins=[TransactionOrigin.Web, TransactionOrigin.Api]) == both
    assert listed(collection_mode=CollectionMode.Manual) == []
    assert listed(created_at=since(unpaid.created_at)) == [unpaid.id]
    assert listed(updated_at=since(later)) == []
    assert listed(billed_at=since(paid.billed_at)) == [paid.id]


def test_transactions_are_paged_to_the_last(paddle: Client, shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    made = [shop.transaction(price, customer=customer).id for _ in range(5)]
    pager = Pager(order_by=OrderBy("created_at", "desc"), per_page=2)
    assert ids(paddle.transactions.list(ListTransactions(pager, customer_ids=[customer.id]))) == made[::-1]
    largest = paddle.transactions.list(ListTransactions(Pager(per_page=200), customer_ids=[customer.id]))
    assert len(list(largest)) == 5


def test_a_purchase_is_paid_invoiced_and_its_invoice_corrected_once(paddle: Client, shop: Shop) -> None:
    transaction = shop.transaction()
    Passerby(shop.portal.origin).pay(transaction.checkout.url)
    shop.of(transaction)
    paid = known(paddle.transactions.get(transaction.id))
    assert paid.status in (Status.Paid, Status.Completed)
    assert [each.status for each in paid.payments] == ["captured"]
    assert paid.payments[0].method_details.card.last4 == "4242"
    for disposition in (None, Disposition.Inline, Disposition.Attachment):
        link = paddle.transactions.get_invoice_pdf(paid.id, GetTransactionInvoice(disposition)).url
        answer = requests.get(link, timeout=30)
        assert (answer.headers["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
        expected = "inline" if disposition == Disposition.Inline else "attachment"
        assert answer.headers["Content-Disposition"].startswith(expected)
    correction = ReviseTransaction(
        customer=ReviseCustomer(name="Amelia Harper-Lee"),
        business=ReviseBusiness(name="Harper Aerial", tax_identifier="GB123456789"),
        address=ReviseAddress(first_line="1 Sky Road", second_line=None, city="Albany", region="NY"),
    )
    assert known(paddle.transactions.revise(paid.id, correction)).revised_at is not None
    with Refused(TransactionApiError, "transaction_revised_limit_reached"):
        paddle.transactions.revise(paid.id, correction)


def test_what_the_sdk_knows_and_the_portal_has_not_may_be_said_to_be_nothing(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    nothing = dict.fromkeys(("discount_id", "discount", "billing_details", "billing_period", "checkout", "custom_data"))
    items = [TransactionCreateItem(shop.price().id, 1)]
    made = paddle.transactions.create(CreateTransaction(items, customer_id=customer.id, business_id=None, **nothing))
    changed = UpdateTransaction(address_id=shop.address(customer).id, currency_code=CurrencyCode.USD, **nothing)
    assert known(paddle.transactions.update(made.id, changed)).status == Status.Ready


def test_a_price_of_no_catalog_is_refused_by_name(paddle: Client, shop: Shop) -> None:
    price = TransactionNonCatalogPrice("Extra", Money("700", CurrencyCode.USD), shop.price().product_id)
    with Refused(ApiError, "invalid_field") as refused:
        paddle.transactions.create(CreateTransaction([TransactionCreateItemWithPrice(price, 1)]))
    assert "items.0.price" in refused.fields


def test_a_transaction_is_invoiced_and_called_off(paddle: Client, shop: Shop) -> None:
    customer = shop.customer()
    sent = CreateTransaction(
        [TransactionCreateItem(shop.price().id, 1)],
        customer_id=customer.id,
        address_id=shop.address(customer).id,
        collection_mode=CollectionMode.Manual,
        status=Status.Billed,
        billing_details=CreateBillingDetails(Duration(Interval.Day, 14), True, "PO-1", "Thank you"),
    )
    billed = known(paddle.transactions.create(sent))
    assert (billed.status, billed.billing_details.purchase_order_number) == (Status.Billed, "PO-1")
    assert billed.invoice_number
    canceled = paddle.transactions.update(billed.id, UpdateTransaction(status=Status.Canceled))
    assert known(canceled).status == Status.Canceled
    everything = list(vars(TransactionIncludes).values())
    asked = [each for each in everything if isinstance(each, TransactionIncludes)]
    [listed] = paddle.transactions.list(ListTransactions(ids=[billed.id], includes=asked))
    assert (known(listed).customer.id, listed.discount) == (customer.id, None)
