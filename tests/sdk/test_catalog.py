"""Products and prices through the official SDK."""

from typing import Any

from paddle_billing import Client
from paddle_billing.Entities.Price import Price
from paddle_billing.Entities.Product import Product
from paddle_billing.Entities.Shared import (
    CatalogType,
    CountryCode,
    CurrencyCode,
    CustomData,
    Duration,
    Interval,
    Money,
    PriceQuantity,
    PriceTrialPeriod,
    Status,
    TaxCategory,
    TaxMode,
    UnitPriceOverride,
)
from paddle_billing.Resources.Prices.Operations import CreatePrice, ListPrices, PriceIncludes, UpdatePrice
from paddle_billing.Resources.Products.Operations import CreateProduct, ListProducts, ProductIncludes, UpdateProduct
from paddle_billing.Resources.Shared.Operations import OrderBy, Pager

from tests.sdk.checks import ids, known, same
from tests.sdk.shop import MONTHLY, Shop

USD = CurrencyCode.USD


def product(paddle: Client, name: str = "AeroEdit Pro", **more: Any) -> Product:
    return paddle.products.create(CreateProduct(name, TaxCategory.Standard, **more))


def test_a_product_with_everything_comes_back_as_it_was_sent(paddle: Client) -> None:
    made = product(
        paddle,
        type=CatalogType.Standard,
        description="Edits photos of the sky.",
        image_url="https://www.aeroedit.example/pro.png",
        custom_data=CustomData({"tier": {"rank": 2}, "tags": ["a", None]}),
    )
    got = known(paddle.products.get(made.id))
    assert isinstance(got, Product)
    assert same(got, made)
    assert got.custom_data.data == {"tier": {"rank": 2}, "tags": ["a", None]}
    assert (got.name, got.tax_category, got.status) == ("AeroEdit Pro", TaxCategory.Standard, Status.Active)
    assert (got.description, got.image_url) == ("Edits photos of the sky.", "https://www.aeroedit.example/pro.png")


def test_a_product_is_changed_cleared_and_archived(paddle: Client) -> None:
    made = product(paddle, description="To go")
    changed = paddle.products.update(
        made.id,
        UpdateProduct(
            name="AeroEdit Max",
            description=None,
            type=CatalogType.Custom,
            tax_category=TaxCategory.Standard,
            image_url="https://www.aeroedit.example/max.png",
            custom_data=CustomData({"tier": "max"}),
        ),
    )
    assert (changed.name, changed.description, changed.type) == ("AeroEdit Max", None, CatalogType.Custom)
    assert changed.updated_at > made.updated_at
    assert paddle.products.archive(made.id).status == Status.Archived
    assert paddle.products.update(made.id, UpdateProduct(status=Status.Active)).status == Status.Active


def test_products_are_listed_by_every_filter(paddle: Client) -> None:
    first, second, custom = product(paddle), product(paddle), product(paddle, type=CatalogType.Custom)
    paddle.products.archive(second.id)
    mine = [first.id, second.id, custom.id]
    listed = ids(paddle.products.list(ListProducts(ids=mine)))
    assert sorted(listed) == sorted([first.id, custom.id])  # archived ones only if they are asked for
    assert ids(paddle.products.list(ListProducts(ids=mine, statuses=[Status.Archived]))) == [second.id]
    assert ids(paddle.products.list(ListProducts(ids=mine, types=[CatalogType.Custom]))) == [custom.id]
    assert ids(paddle.products.list(ListProducts(ids=mine, tax_categories=[TaxCategory.Saas]))) == []
    both = ListProducts(ids=mine, statuses=[Status.Active, Status.Archived], tax_categories=[TaxCategory.Standard])
    assert len(ids(paddle.products.list(both))) == 3


def test_a_product_brings_its_prices_if_asked(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    assert [each.id for each in paddle.products.get(price.product_id, [ProductIncludes.Prices]).prices] == [price.id]
    [listed] = paddle.products.list(ListProducts(ids=[price.product_id], includes=[ProductIncludes.Prices]))
    assert [each.id for each in known(listed).prices] == [price.id]


def test_products_are_ordered_by_name_and_paged_to_the_last(paddle: Client) -> None:
    mine = [product(paddle, f"Sky {letter}").id for letter in "CABED"]
    pager = Pager(order_by=OrderBy("name", "desc"), per_page=2)
    pages = paddle.products.list(ListProducts(pager, ids=mine))
    assert (pages.paginator.has_more, len(pages.items)) == (True, 2)
    assert [known(each).name for each in pages] == ["Sky E", "Sky D", "Sky C", "Sky B", "Sky A"]


def test_a_price_with_everything_comes_back_as_it_was_sent(paddle: Client) -> None:
    made = paddle.prices.create(
        CreatePrice(
            description="Monthly",
            product_id=product(paddle).id,
            unit_price=Money("3000", USD),
            name="Monthly (per seat)",
            type=CatalogType.Standard,
            unit_price_overrides=[UnitPriceOverride([CountryCode.DE], Money("2800", CurrencyCode.EUR))],
            tax_mode=TaxMode.AccountSetting,
            trial_period=PriceTrialPeriod(Interval.Day, 14),
            billing_cycle=Duration(Interval.Month, 1),
            quantity=PriceQuantity(1, 999),
            custom_data=CustomData({"plan": "pro"}),
        )
    )
    got = known(paddle.prices.get(made.id))
    assert isinstance(got, Price)
    assert same(got, made)
    assert (got.unit_price.amount, got.unit_price.currency_code, got.billing_cycle) == ("3000", USD, MONTHLY)
    assert (got.trial_period.interval, got.trial_period.frequency) == (Interval.Day, 14)
    assert [each.unit_price.amount for each in got.unit_price_overrides] == ["2800"]
    assert (got.quantity, got.tax_mode) == (PriceQuantity(1, 999), TaxMode.AccountSetting)


def test_the_trial_of_one_price_can_be_given_to_another(paddle: Client, shop: Shop) -> None:
    """What the SDK read, it sends again with all that it knows of a trial."""
    old = shop.price(trial_days=14)
    new = paddle.prices.create(
        CreatePrice("Again", old.product_id, old.unit_price, trial_period=old.trial_period, billing_cycle=MONTHLY)
    )
    assert new.trial_period == old.trial_period


def test_a_price_is_changed_and_archived(paddle: Client, shop: Shop) -> None:
    price = shop.price()
    changed = paddle.prices.update(
        price.id,
        UpdatePrice(
            description="Yearly",
            name=None,
            type=CatalogType.Standard,
            billing_cycle=Duration(Interval.Year, 1),
            trial_period=None,
            tax_mode=TaxMode.Internal,
            unit_price=Money("30000", USD),
            unit_price_overrides=[],
            quantity=PriceQuantity(1, 5),
            custom_data=CustomData({"plan": "yearly"}),
        ),
    )
    assert known(changed).billing_cycle == Duration(Interval.Year, 1)
    assert (changed.unit_price.amount, changed.name, changed.quantity.maximum) == ("30000", None, 5)
    assert paddle.prices.archive(price.id).status == Status.Archived
    assert paddle.prices.update(price.id, UpdatePrice(status=Status.Active)).status == Status.Active


def test_prices_are_listed_by_every_filter_with_their_product(paddle: Client, shop: Shop) -> None:
    monthly, once = shop.price(), shop.price(cycle=None)
    gone = paddle.prices.archive(shop.price().id)
    mine = [monthly.id, once.id, gone.id]
    assert sorted(ids(paddle.prices.list(ListPrices(ids=mine)))) == sorted([monthly.id, once.id])
    assert ids(paddle.prices.list(ListPrices(ids=mine, recurring=True))) == [monthly.id]
    assert ids(paddle.prices.list(ListPrices(ids=mine, recurring=False))) == [once.id]
    assert ids(paddle.prices.list(ListPrices(ids=mine, statuses=[Status.Archived]))) == [gone.id]
    assert ids(paddle.prices.list(ListPrices(ids=mine, types=[CatalogType.Custom]))) == []
    [listed] = paddle.prices.list(ListPrices(product_ids=[monthly.product_id], includes=[PriceIncludes.Product]))
    assert (listed.id, listed.product.id) == (monthly.id, monthly.product_id)
    assert paddle.prices.get(monthly.id, [PriceIncludes.Product]).product.name == "AeroEdit Pro"


def test_prices_are_paged_to_the_last(paddle: Client) -> None:
    sold = product(paddle)
    made = [paddle.prices.create(CreatePrice(f"Plan {n}", sold.id, Money(f"{n}00", USD))).id for n in range(1, 6)]
    assert ids(paddle.prices.list(ListPrices(Pager(per_page=2), product_ids=[sold.id]))) == made
    newest_first = Pager(order_by=OrderBy.id_descending(), per_page=2)
    assert ids(paddle.prices.list(ListPrices(newest_first, product_ids=[sold.id]))) == made[::-1]
    after = Pager(after=made[3], per_page=2)
    assert ids(paddle.prices.list(ListPrices(after, product_ids=[sold.id]))) == made[4:]
