"""What the operations on products, prices, customers, addresses and businesses have in common."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sqlalchemy import JSON, Integer, Select, Text, cast, func, or_

from portal.api import bodies, lists
from portal.domain import codes, entities

_DIRECTIONS = ("ASC", "DESC")


def _country(text: str) -> str:
    if text not in codes.countries():
        raise ValueError("must be a country of ISO 3166-1 in two capital letters, such as US")
    return text


def _currency(text: str) -> str:
    if text not in codes.currencies():
        raise ValueError("must be a currency of ISO 4217 in three capital letters, such as USD")
    return text


Country = Annotated[
    str, AfterValidator(_country), WithJsonSchema({"type": "string", "enum": sorted(codes.countries())})
]
Currency = Annotated[
    str, AfterValidator(_currency), WithJsonSchema({"type": "string", "enum": sorted(codes.currencies())})
]
Line = Annotated[str, Field(max_length=1024)]
Statuses = bodies.Several[entities.CatalogStatus]
Search = Annotated[str, Field(min_length=1, max_length=100)]
Flag = Literal["true", "false"]


def ordered_by(*names: str) -> Any:
    """The type of an `order_by` that takes these names, either way."""
    values = tuple(f"{name}[{direction}]" for name in names for direction in _DIRECTIONS)
    return Annotated[Literal[values], BeforeValidator(lists.canonical)]


def sortable(column: Any) -> Any:
    """A column to order by: JSON as text, and nothing that is NULL, which a cursor could not pass."""
    if not column.nullable:
        return column
    text = cast(column, Text) if isinstance(column.type, JSON) else column
    return func.coalesce(text, 0 if isinstance(column.type, Integer) else "")


def among(wanted: Select[Any], *asked: tuple[Any, Any]) -> Select[Any]:
    """The rows whose columns have one of the values asked for: `among(wanted, (Product.id, query.id))`."""
    for column, values in asked:
        if values:
            wanted = wanted.where(column.in_(values))
    return wanted


def containing(wanted: Select[Any], text: str | None, *columns: Any) -> Select[Any]:
    """The rows in which one of the columns has a text in it, however it is capitalised."""
    if not text:
        return wanted
    texts = [cast(each, Text) if isinstance(each.type, JSON) else each for each in columns]
    return wanted.where(or_(*(each.icontains(text, autoescape=True) for each in texts)))
