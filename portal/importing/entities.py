"""What an entry may hold: the contract's entities (`docs/api.md`), every field typed and bounded.

Fields that are not stored are passed over, but a name that is nearly a known one is refused as a slip: a
`sheduled_change` that went unnoticed would be a lost cancellation.
"""

import difflib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from babel import Locale
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from portal import email_address, i18n, ids
from portal.domain import payment_plans
from portal.importing import storable

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_MOST_MINOR_UNITS = 2**53


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("takes an instant such as 2026-05-08T10:38:57.979670Z")
    instant = datetime.fromisoformat(value).astimezone(UTC)
    if not 1970 <= instant.year < 2200:
        raise ValueError("takes an instant between the years 1970 and 2199")
    return instant


def _amount(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,16}", value, re.ASCII) or int(value) > _MOST_MINOR_UNITS:
        raise ValueError(f'takes minor units as text, such as "3000", up to {_MOST_MINOR_UNITS}')
    return int(value)


def _email(value: str) -> str:
    try:
        return email_address.normalized(value)
    except email_address.NoAddress as wrong:
        raise ValueError(f"is no email address: {wrong}") from None


@lru_cache
def _currencies() -> frozenset[str]:
    return frozenset(Locale("en").currencies)


def _currency(value: str) -> str:
    if value not in _currencies():
        raise ValueError("takes a currency such as USD")
    return value


def _locale(value: str) -> str:
    if not i18n.is_locale(value):
        raise ValueError("takes a language such as en or de-AT")
    return value


def id_of(prefix: str) -> AfterValidator:
    def check(value: str) -> str:
        if not ids.is_id(value, prefix):
            raise ValueError(f"takes {prefix}_ and 26 characters of 0-9 and a-z")
        return value

    return AfterValidator(check)


Instant = Annotated[datetime, BeforeValidator(_instant)]
Amount = Annotated[int, BeforeValidator(_amount)]
Currency = Annotated[str, AfterValidator(_currency)]
Text = Annotated[str, BeforeValidator(storable.require), StringConstraints(max_length=2048)]
Line = Annotated[str, BeforeValidator(storable.require), StringConstraints(max_length=1024)]
Name = Annotated[str, BeforeValidator(storable.require), StringConstraints(min_length=1, max_length=512)]
Email = Annotated[str, BeforeValidator(storable.require), AfterValidator(_email)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,40}$")]
Quantity = Annotated[int, Field(ge=1, le=999_999_999)]
Status = Literal["active", "archived"]
Json = Annotated[dict[str, Any], BeforeValidator(storable.require)]
CustomerId = Annotated[str, id_of("ctm")]
AddressId = Annotated[str, id_of("add")]
ProductId = Annotated[str, id_of("pro")]
PriceId = Annotated[str, id_of("pri")]


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _refuse_slips(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data.keys() - cls.model_fields.keys():
                if near := _nearly(cls, key):
                    raise ValueError(f"has a field {key}; is {near} meant?")
        return data


@lru_cache(maxsize=1024)
def _nearly(part: type[Part], key: str) -> str | None:
    return next(iter(difflib.get_close_matches(key, part.model_fields, n=1, cutoff=0.86)), None)


class Entity(Part):
    custom_data: Json | None = None
    import_meta: Json | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Cycle(Part):
    interval: Literal["day", "week", "month", "year"]
    frequency: int = Field(ge=1, le=999)


class Period(Part):
    starts_at: Instant
    ends_at: Instant

    @model_validator(mode="after")
    def _refuse_backwards(self) -> "Period":
        if self.starts_at >= self.ends_at:
            raise ValueError("ends before it starts")
        return self


class Customer(Entity):
    id: CustomerId
    email: Email
    name: Name | None = None
    locale: Annotated[str, AfterValidator(_locale)] = "en"
    status: Status = "active"
    marketing_consent: bool = False


class Address(Entity):
    id: AddressId
    customer_id: CustomerId
    description: Text | None = None
    first_line: Text | None = None
    second_line: Text | None = None
    city: Text | None = None
    postal_code: Text | None = None
    region: Text | None = None
    country_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    status: Status = "active"


class Contact(Part):
    name: Line | None = None
    email: Email


class Business(Entity):
    id: Annotated[str, id_of("biz")]
    customer_id: CustomerId
    name: Annotated[Line, Field(min_length=1)]
    company_number: Line | None = None
    tax_identifier: Line | None = None
    status: Status = "active"
    contacts: list[Contact] = Field(default=[], max_length=100)


class Product(Entity):
    id: ProductId
    name: Name
    type: Literal["standard", "custom"] = "standard"
    tax_category: Word
    description: Text | None = None
    image_url: Text | None = None
    status: Status = "active"


class UnitPrice(Part):
    amount: Amount
    currency_code: Currency


class Quantities(Part):
    minimum: Quantity = 1
    maximum: Quantity = 100


class Price(Entity):
    id: PriceId
    product_id: ProductId
    type: Literal["standard", "custom"] = "standard"
    description: Text
    name: Name | None = None
    tax_mode: Literal["account_setting", "internal", "external", "location"] = "account_setting"
    billing_cycle: Cycle | None = None
    trial_period: Cycle | None = None
    unit_price: UnitPrice
    unit_price_overrides: list[Json] = []
    payments: int | None = Field(default=None, ge=payment_plans.FEWEST, le=payment_plans.MOST)
    status: Status = "active"
    quantity: Quantities = Quantities()

    @model_validator(mode="after")
    def _refuse_payments_without_cycle(self) -> "Price":
        if self.payments and not self.billing_cycle:
            raise ValueError("has payments, but no billing_cycle that says how often one is due")
        return self
