"""An app proves who it is with a key; the key says what it may do."""

import re
from typing import Any

import pytest
from flask import Flask

from portal.api import operations
from portal.db import session, transaction
from portal.domain import api_keys
from portal.domain.actors import shell
from portal.domain.api_keys import ApiKey
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.customer.visits import UNKNOWN
from tests.person import Person


@pytest.fixture
def sub(app: Flask) -> str:
    return visits.subscribed(people.customer("Amelia Harper"))


CODES = {
    None: "authentication_missing",
    "": "authentication_missing",
    "Bearer": "authentication_malformed",
    "Bearer ": "authentication_malformed",
    "Basic YTpi": "authentication_malformed",
    "{key}": "authentication_malformed",
    "Token {key}": "authentication_malformed",
    "Bearer x": "invalid_token",
    "Bearer {key}x": "invalid_token",
    "Bearer {upper}": "invalid_token",
    "Bearer pdl_sdbx_apikey_01jcgfqad406rsfjcgq44g9djq_abc": "invalid_token",
    "Bearer ' OR 1=1 --": "invalid_token",
    "Bearer {key} {key}": "invalid_token",
    "Bearer \xff\xfe": "invalid_token",
    "Bearer " + "x" * 20_000: "invalid_token",
}


def test_a_wrong_key_is_refused_with_the_contracts_codes(app: Flask, sub: str) -> None:
    key = people.key(everything=True)["Authorization"].removeprefix("Bearer ")
    before = visits.records()
    for header, code in CODES.items():
        sent = {} if header is None else {"Authorization": header.format(key=key, upper=key.upper())}
        answer = app.test_client().post(f"/subscriptions/{sub}/cancel", headers=sent)
        assert refusal(answer) == (403, code), header
    assert visits.records() == before


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_may_be_written_in_any_case(app: Flask, sub: str, scheme: str) -> None:
    key = people.key(everything=True)["Authorization"].removeprefix("Bearer ")
    answer = app.test_client().get(f"/subscriptions/{sub}", headers={"Authorization": f"{scheme} {key}"})
    assert answer.status_code == 200


def test_a_revoked_key_is_out_from_the_next_request_on(app: Flask, sub: str) -> None:
    seller = App(app)
    assert seller.get(f"/subscriptions/{sub}").status_code == 200
    with transaction():
        api_keys.revoke(session().query(ApiKey).one().id, by=shell())
    assert refusal(seller.get(f"/subscriptions/{sub}")) == (403, "invalid_token")


def test_the_key_itself_stands_nowhere(app: Flask) -> None:
    key = people.key(everything=True)["Authorization"].removeprefix("Bearer ")
    with transaction():
        stored = " ".join(repr(vars(row)) for row in session().query(ApiKey))
    assert key not in stored
    assert key[-32:] not in stored


OPERATIONS = {
    ("GET", "/products"): "product.read",
    ("POST", "/products"): "product.write",
    ("GET", "/products/pro_x"): "product.read",
    ("PATCH", "/products/pro_x"): "product.write",
    ("GET", "/prices"): "price.read",
    ("POST", "/prices"): "price.write",
    ("GET", "/prices/pri_x"): "price.read",
    ("PATCH", "/prices/pri_x"): "price.write",
    ("GET", "/customers"): "customer.read",
    ("POST", "/customers"): "customer.write",
    ("GET", "/customers/ctm_x"): "customer.read",
    ("PATCH", "/customers/ctm_x"): "customer.write",
    ("GET", "/customers/ctm_x/addresses"): "address.read",
    ("POST", "/customers/ctm_x/addresses"): "address.write",
    ("GET", "/customers/ctm_x/addresses/add_x"): "address.read",
    ("PATCH", "/customers/ctm_x/addresses/add_x"): "address.write",
    ("GET", "/customers/ctm_x/businesses"): "business.read",
    ("POST", "/customers/ctm_x/businesses"): "business.write",
    ("GET", "/customers/ctm_x/businesses/biz_x"): "business.read",
    ("PATCH", "/customers/ctm_x/businesses/biz_x"): "business.write",
    ("GET", "/customers/ctm_x/payment-methods"): "payment_method.read",
    ("GET", "/customers/ctm_x/payment-methods/paymtd_x"): "payment_method.read",
    ("DELETE", "/customers/ctm_x/payment-methods/paymtd_x"): "payment_method.write",
    ("POST", "/customers/ctm_x/portal-sessions"): "customer_portal_session.write",
    ("DELETE", "/portal-sessions/cpls_x"): "customer_portal_session.write",
    ("GET", "/transactions"): "transaction.read",
    ("POST", "/transactions"): "transaction.write",
    ("GET", "/transactions/txn_x"): "transaction.read",
    ("PATCH", "/transactions/txn_x"): "transaction.write",
    ("GET", "/transactions/txn_x/invoice"): "transaction.read",
    ("POST", "/transactions/txn_x/revise"): "transaction.write",
    ("GET", "/subscriptions/sub_x/update-payment-method-transaction"): "transaction.write",
    ("GET", "/subscriptions"): "subscription.read",
    ("GET", "/subscriptions/sub_x"): "subscription.read",
    ("GET", "/subscriptions/sub_x/history"): "subscription.read",
    ("PATCH", "/subscriptions/sub_x"): "subscription.write",
    ("PATCH", "/subscriptions/sub_x/preview"): "subscription.read",
    ("POST", "/subscriptions/sub_x/activate"): "subscription.write",
    ("POST", "/subscriptions/sub_x/cancel"): "subscription.write",
    ("POST", "/subscriptions/sub_x/charge"): "subscription.write",
    ("POST", "/subscriptions/sub_x/charge/preview"): "subscription.read",
    ("POST", "/subscriptions/sub_x/pause"): "subscription.write",
    ("POST", "/subscriptions/sub_x/resume"): "subscription.write",
    ("GET", "/events"): "notification.read",
    ("GET", "/notifications"): "notification.read",
    ("GET", "/notifications/ntf_x"): "notification.read",
    ("GET", "/notifications/ntf_x/logs"): "notification.read",
    ("POST", "/notifications/ntf_x/replay"): "notification.write",
    ("GET", "/notification-settings"): "notification_setting.read",
    ("POST", "/notification-settings"): "notification_setting.write",
    ("GET", "/notification-settings/ntfset_x"): "notification_setting.read",
    ("PATCH", "/notification-settings/ntfset_x"): "notification_setting.write",
    ("DELETE", "/notification-settings/ntfset_x"): "notification_setting.write",
    ("POST", "/notification-settings/ntfset_x/rotate-secret"): "notification_setting.write",
}


def test_every_operation_needs_its_own_permission(app: Flask) -> None:
    for (method, path), permission in OPERATIONS.items():
        others = [each for each in api_keys.PERMISSIONS if each != permission]
        answer = App(app, *others).call(method, path)
        assert refusal(answer) == (403, "forbidden"), f"{method} {path}"
        assert permission in answer.json["error"]["detail"]
        allowed = App(app, permission).call(method, path)
        assert allowed.status_code in (200, 400, 404), f"{method} {path}"


def test_no_operation_is_left_out_of_the_table_above(app: Flask) -> None:
    declared = {(each.method, re.sub(r"<\w+>", "*", each.path)): each.permission for each in operations.ALL}
    above = {(method, re.sub(r"/[a-z]+_x\b", "/*", path)): needed for (method, path), needed in OPERATIONS.items()}
    assert declared == above | {("GET", "/event-types"): None}
    served = {
        (method, re.sub(r"<\w+>", "*", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and not rule.rule.startswith(("/docs", "/openapi.json"))
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    }
    assert served == set(declared)


INCLUDED = {
    ("/products", "product.read"): {"prices": "price.read"},
    ("/products/pro_x", "product.read"): {"prices": "price.read"},
    ("/prices", "price.read"): {"product": "product.read"},
    ("/prices/pri_x", "price.read"): {"product": "product.read"},
    ("/transactions", "transaction.read"): {part: f"{part}.read" for part in ("customer", "address", "business")},
    ("/transactions/txn_x", "transaction.read"): {part: f"{part}.read" for part in ("customer", "address", "business")},
    ("/subscriptions/sub_x", "subscription.read"): dict.fromkeys(
        ("next_transaction", "recurring_transaction_details"), "transaction.read"
    ),
}


def test_what_include_adds_needs_the_permission_to_read_it(app: Flask) -> None:
    for (path, permission), parts in INCLUDED.items():
        for part, needed in parts.items():
            others = [each for each in api_keys.PERMISSIONS if each != needed]
            answer = App(app, *others).get(f"{path}?include={part}")
            assert refusal(answer) == (403, "forbidden"), f"{path} {part}"
            assert needed in answer.json["error"]["detail"]
            assert App(app, permission, needed).get(f"{path}?include={part}").status_code in (200, 404)
    several = App(app, "transaction.read", "customer.read").get("/transactions?include=customer,address")
    assert refusal(several) == (403, "forbidden")
    assert App(app, "transaction.read").get("/transactions?include=discount,adjustments").status_code == 200


def test_included_entities_need_it_where_something_is_changed_too(app: Flask) -> None:
    body = {"items": [{"price_id": people.price(), "quantity": 1}]}
    before = visits.records()
    assert refusal(App(app, "transaction.write").post("/transactions?include=customer", body)) == (403, "forbidden")
    assert visits.records() == before


def management_urls(app: Flask, sub: str, *permissions: str) -> Any:
    seller = App(app, "subscription.read", "subscription.write", *permissions)
    single = seller.get(f"/subscriptions/{sub}").json["data"]["management_urls"]
    listed = seller.get("/subscriptions").json["data"][0]["management_urls"]
    canceled = seller.post(f"/subscriptions/{sub}/cancel").json["data"]["management_urls"]
    patched = seller.patch(f"/subscriptions/{sub}", {"scheduled_change": None}).json["data"]["management_urls"]
    assert single == listed == canceled == patched
    return single


def test_management_urls_sign_in_only_for_a_key_that_may_open_portal_sessions(
    app: Flask, sub: str, person: Person
) -> None:
    plain = management_urls(app, sub)
    page = f"http://localhost/portal/subscriptions/{sub}"
    assert plain == {
        "cancel": f"{page}/cancel",
        "update_payment_method": f"{page}/update-payment-method",
        "view_subscription": page,
        "expires_at": None,
    }
    assert person.open(plain["cancel"]).path == "/portal/sign-in"
    signed = management_urls(app, sub, "customer_portal_session.write")
    assert signed["cancel"].startswith(f"{page}/cancel?token=pga_")
    assert person.open(signed["cancel"]).path == f"/portal/subscriptions/{sub}/cancel"
    assert person.open(signed["update_payment_method"]).status == 200
    assert not any("management_urls" in event.data for event in visits.events(sub))


def test_a_signed_management_url_lives_an_hour(app: Flask, sub: str, person: Person, the_clock: Any) -> None:
    signed = management_urls(app, sub, "customer_portal_session.write")
    the_clock.advance(hours=1)
    assert person.open(signed["cancel"]).status == 410


def test_an_invoice_subscription_has_no_payment_url(app: Flask) -> None:
    sub = visits.subscribed(collection_mode="manual", card=None)
    assert management_urls(app, sub, "customer_portal_session.write")["update_payment_method"] is None


def test_an_unknown_id_is_not_told_to_a_key_without_permission(app: Flask, sub: str) -> None:
    seller = App(app, "customer.read")
    known, unknown = seller.get(f"/subscriptions/{sub}"), seller.get(f"/subscriptions/sub_{UNKNOWN}")
    assert visits.alike(known) == visits.alike(unknown)
