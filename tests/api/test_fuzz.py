"""Generated requests against the whole API: what the document allows, and what it forbids (T28).

Each operation gets the document's examples, every boundary of its schema, and random requests; then stories follow the
document's links from what is made to what can be done with it. All checks of Schemathesis hold on every answer.
"""

import itertools
import re
import zlib
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure

from portal.api import openapi
from portal.domain import api_keys
from tests.api.calls import App
from tests.api.test_openapi_examples import World

EXAMPLES, STORIES, STEPS = 3, 8, 6
LONG_EXAMPLES, LONG_STORIES = 60, 100
OF_FORM = {"bad_request", "invalid_json", "unsupported_media_type"}

COUNTER = itertools.count()
CONFIG: dict[str, Any] = {
    "seed": 28,
    "suppress-health-check": ["all"],
    # JSON Schema has no word for "any text but the NUL character", which no database takes;
    # tests/api/test_errors.py sends it.
    # The key of the test that runs stays on every request; that none at all is refused is checked all the same.
    "generation": {"allow-x00": False, "with-security-parameters": False, "deterministic": True, "database": "none"},
    "checks": {
        # The contract answers 400 and 422 to a request in good form that the rules do not allow now:
        # `form_is_not_blamed` below holds that the form is not given as the reason.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "400", "403", "404", "409", "422"],
        },
    },
}


class FormBlamed(Failure):
    """A request in good form was refused for its form."""


@schemathesis.check
def form_is_not_blamed(ctx: Any, response: Any, case: Any) -> None:
    """A request that the document allows is not refused with a code that says that it is malformed."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    error = response.json()["error"]
    fields = {re.sub(r"^.*\.", "", each["field"]) for each in error.get("errors", [])}
    blamed = error["code"] in OF_FORM or (error["code"] == "invalid_field" and not fields & RULED)
    if blamed and "64 bits" not in error["detail"]:  # said in words: JSON Schema can't say it of an object's insides
        raise FormBlamed(operation=case.operation.label, title="Form blamed", message=str(error))


RULED = {
    "return_url",  # an origin that the seller allows
    "destination",  # an email address, or a URL outside the seller's network
    "subscription_ids",  # subscriptions of this customer
    "discount",  # none is offered
    "discount_id",
    "price",  # only prices of the catalog
    "price_id",  # one that can be sold here
    "product_id",
    "customer_id",  # the subscription's, and its customer's
    "address_id",
    "business_id",
    "currency_code",
    "payments",  # with a billing cycle, which a change may leave out
    "unit_price_overrides",  # each country once
    "lifetime",  # as long as the seller allows
    "locale",  # a language that exists
    "email",  # a domain that can have mail
    "postal_code",  # needed in some countries
    "quantity",  # between the price's limits, which are in order themselves
    "billing_period",  # ends after it starts
    "starts_at",  # not beyond what can be stored
    "ends_at",
    "billing_details",  # for customers who pay by invoice
    "resume_at",  # in the future
    "effective_from",
    "next_billed_at",
}
"""Fields whose values are ruled by more than a schema can say."""


@pytest.fixture
def known(app: Flask, configure: Callable[..., None]) -> World:
    """Things that exist, for requests to name."""
    configure(api_requests_per_minute=0)
    seller = App(app, *api_keys.ALL_BUT_NAMED, api_keys.CANCEL_IMMEDIATELY)
    PORTAL.current, PORTAL.key = app.wsgi_app, seller.headers
    world = World(seller)
    for prefix in ("ctm", "pri", "pro", "sub", "add", "biz", "paymtd", "txn", "ntfset"):
        world.id(prefix)
    return world


class Portal:
    """The application of the test that runs, as one that is there from the start."""

    def __init__(self) -> None:
        self.current: Any = None
        self.key: dict[str, str] = {}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.current(environ, start_response)


PORTAL = Portal()


class CurrentKey:
    """The key of the test that runs."""

    def get(self, case: Any, context: Any) -> dict[str, str]:
        return PORTAL.key

    def set(self, case: Any, data: dict[str, str], context: Any) -> None:
        case.headers.update(data)


def described(examples: int) -> Any:
    generation = CONFIG["generation"] | {"max-examples": examples}
    config = SchemathesisConfig.from_dict(CONFIG | {"generation": generation})
    schema = schemathesis.openapi.from_dict(deepcopy(openapi.document()), config=config)  # it adds links of its own
    schema.app = PORTAL
    schema.auth(refresh_interval=None)(CurrentKey)
    return schema


SHORT, LONG = described(EXAMPLES), described(LONG_EXAMPLES)


@SHORT.parametrize()
@pytest.mark.timeout(300)
def test_no_request_breaks_the_contract(case: Any, known: World) -> None:
    send(case, known)


@LONG.parametrize()
@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_more_requests(case: Any, known: World) -> None:
    send(case, known)


def send(case: Any, known: World) -> None:
    name_known_things(case, known)
    case.call_and_validate()


@pytest.mark.timeout(300)
def test_stories_along_the_links(known: World) -> None:
    tell(SHORT, known, STORIES)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_more_stories(known: World) -> None:
    tell(LONG, known, LONG_STORIES)


def tell(schema: Any, known: World, stories: int) -> None:
    class Story(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            name_known_things(case, known)

    Story.run(
        settings=hypothesis.settings(
            max_examples=stories,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
    )


def name_known_things(case: Any, known: World) -> None:
    """Requests in good form mostly name what exists: else all answers would be 404."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for name, value in list((case.path_parameters or {}).items()):
        prefix = str(value).partition("_")[0]
        if prefix in known.known and zlib.crc32(str(value).encode()) % 8:
            case.path_parameters[name] = known.id(prefix)
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"key-{next(COUNTER)}"
