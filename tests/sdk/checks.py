"""What every answer must be once the SDK has read it."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime
from json import dumps
from typing import Any

import pytest
from paddle_billing.Exceptions.ApiError import ApiError
from paddle_billing.Json import PayloadEncoder
from paddle_billing.Notifications.Entities.UndefinedEntity import UndefinedEntity
from paddle_billing.PaddleStrEnum import PaddleStrEnum


def known(entity: Any, path: str = "") -> Any:
    """The entity, in which the SDK knows every value of an enum and every kind of object, and instants have a zone."""
    assert not isinstance(entity, UndefinedEntity), f"{path} is nothing the SDK knows: {entity.to_dict()}"
    if isinstance(entity, PaddleStrEnum):
        assert entity.is_known(), f"{path} is {entity.value!r}, which the SDK does not know"
    elif isinstance(entity, datetime):
        assert entity.tzinfo is not None, f"{path} has no zone"
    elif is_dataclass(entity):
        for each in fields(entity):
            known(getattr(entity, each.name), f"{path or type(entity).__name__}.{each.name}")
    elif isinstance(entity, list):
        for number, each in enumerate(entity):
            known(each, f"{path}[{number}]")
    return entity


def same(one: Any, other: Any) -> bool:
    """Whether two entities are alike in all that they hold; custom data has no comparison of its own."""
    first, second = dumps(one, cls=PayloadEncoder), dumps(other, cls=PayloadEncoder)
    assert first == second, f"{first}\n{second}"
    return True


def ids(entities: Iterable[Any]) -> list[str]:
    """Their ids, of every page: the SDK fetches the next one when it comes to the end of this one."""
    return [known(each).id for each in entities]


class Refused:
    """`with Refused(CustomerApiError, "customer_already_exists") as refused:`, then look at `refused.error`.

    The class must be just that one, and the error must have all that an app may ask of it.
    """

    error: Any

    def __init__(self, kind: type[ApiError], code: str, status: int = 400) -> None:
        self.kind, self.code, self.status = kind, code, status

    def __enter__(self) -> "Refused":
        self._raises = pytest.raises(self.kind)
        self._caught = self._raises.__enter__()
        return self

    def __exit__(self, *how: Any) -> bool:
        if not self._raises.__exit__(*how):
            return False
        self.error = error = self._caught.value
        assert type(error) is self.kind, f"{error!r} is a {type(error).__name__}"
        assert (error.error_code, error.response.status_code) == (self.code, self.status), repr(error)
        assert error.error_type == "request_error"
        assert error.detail
        assert error.docs_url.startswith("http")
        assert error.docs_url.endswith(self.code)
        return True

    @property
    def fields(self) -> list[str]:
        return [each.field for each in self.error.field_errors]
