"""Carrying out due cancellations in plain SQL: one UPDATE, two events and a mail a row, their JSON built in SQL.

What the worker is measured against. It does the same to the rows, and nothing that a person would want of it: no
row locks shared between workers, no batches, one transaction for all.
"""

from sqlalchemy import text

from portal import clock, db
from portal.bench.synthetic import stored
from portal.db import session, transaction

_FACTS = """'{"history": [{"action": "subscription_canceled", "effective_from": "next_billing_period"}]}'"""


def carry_out() -> None:
    """Ends every due subscription."""
    told = {"now": stored(clock.now())}
    with transaction():
        for statement in _statements():
            session().execute(text(statement), told if ":now" in statement else {})


def _statements() -> list[str]:
    entity = _subscription()
    return [
        "CREATE TEMPORARY TABLE bench_due AS SELECT id FROM subscriptions"
        f" WHERE scheduled_action = 'cancel' AND scheduled_effective_at <= {_now()}",
        "UPDATE subscriptions SET status = 'canceled', canceled_at = scheduled_effective_at, version = version + 1,"
        " period_starts_at = NULL, period_ends_at = NULL, next_billed_at = NULL, remind_at = NULL,"
        " scheduled_action = NULL, scheduled_effective_at = NULL, scheduled_resume_at = NULL, scheduled_at = NULL,"
        f" scheduled_by = NULL, billing_resumes_at = NULL, on_resume = NULL, kept_period_starts_at = NULL,"
        f" kept_period_ends_at = NULL, updated_at = {_now()}"
        " WHERE id IN (SELECT id FROM bench_due)",
        _events("evt_01plaina", "subscription.updated", "NULL", "NULL", entity),
        _events("evt_01plainb", "subscription.canceled", "'subscription_ended'", _FACTS, entity),
        _mails(),
        "DROP TABLE bench_due",
    ]


def _events(prefix: str, type: str, transition: str, facts: str, entity: str) -> str:
    return (
        "INSERT INTO events (id, type, occurred_at, subject_id, customer_id, subscription_id, data, transition,"
        " facts, actor_kind, actor_id, actor_name, way, received_at, dispatched)"
        f" SELECT '{prefix}' || substr(s.id, 12), '{type}', s.canceled_at, s.id, s.customer_id, s.id, {entity},"
        f" {transition}, {facts}, 'system', 'portal', 'portal', 'worker', {_now()}, false"
        " FROM subscriptions s WHERE s.id IN (SELECT id FROM bench_due)"
    )


def _mails() -> str:
    items = _list(_object(name="o.name", quantity="i.quantity", amount="p.amount * i.quantity"))
    facts = _object(
        subscription="s.id", name="'Made-up'", customer="c.name", status="s.status", items=items, currency="'USD'",
        amount="0", interval="s.billing_interval", frequency="s.billing_frequency", automatic=_boolean(),
        ending=_boolean(False), ends_at="NULL", canceled_at=_instant("s.canceled_at"), next_billed_at="NULL",
        period_ends_at="NULL", card=_object(brand="m.brand", last4="m.last4"), because="''",
    )  # fmt: skip
    return (
        "INSERT INTO mails (id, key, kind, customer_id, subscription_id, to_address, locale, facts, status, attempts,"
        " run_at, created_at)"
        " SELECT 'mail_01plain' || substr(s.id, 12), 'ended:' || s.id, 'subscription_ended', c.id, s.id, c.email,"
        f" c.locale, {facts}, 'queued', 0, {_now()}, {_now()}"
        " FROM subscriptions s JOIN customers c ON c.id = s.customer_id"
        " LEFT JOIN payment_methods m ON m.id = s.payment_method_id"
        " WHERE s.id IN (SELECT id FROM bench_due)"
    )


def _subscription() -> str:
    """The contract's JSON of a subscription that has ended."""
    plain = "id status customer_id address_id business_id currency_code collection_mode discount custom_data"
    dates = "created_at updated_at started_at first_billed_at next_billed_at paused_at canceled_at"
    return _object(
        **{name: f"s.{name}" for name in plain.split()},
        **{name: _instant(f"s.{name}") for name in dates.split()},
        billing_details="s.billing_details",
        current_billing_period="NULL",
        billing_cycle=_object(frequency="s.billing_frequency", interval="s.billing_interval"),
        scheduled_change="NULL",
        items=_list(_item()),
        import_meta="s.import_meta",
        cancellation="s.cancellation",
        consent_requirements=_json("[]"),
    )


def _item() -> str:
    plain, dates = "status quantity", "created_at updated_at previously_billed_at"
    return _object(
        **{name: f"i.{name}" for name in plain.split()},
        **{name: _instant(f"i.{name}") for name in dates.split()},
        recurring=_boolean(),
        next_billed_at="NULL",
        trial_dates="NULL",
        price=_price(),
        product=_product(),
    )


def _price() -> str:
    plain = "id product_id type description name tax_mode custom_data status unit_price_overrides import_meta"
    return _object(
        **{name: f"p.{name}" for name in plain.split()},
        **{name: _instant(f"p.{name}") for name in ("created_at", "updated_at")},
        billing_cycle=_object(frequency="p.billing_frequency", interval="p.billing_interval"),
        trial_period="NULL",
        unit_price=_object(amount="CAST(p.amount AS TEXT)", currency_code="p.currency_code"),
        quantity=_object(minimum="p.quantity_minimum", maximum="p.quantity_maximum"),
    )


def _product() -> str:
    plain = "id name type tax_category description image_url custom_data status import_meta"
    return _object(
        **{name: f"o.{name}" for name in plain.split()},
        **{name: _instant(f"o.{name}") for name in ("created_at", "updated_at")},
    )


def _list(entity: str) -> str:
    gather = "json_agg" if db.is_postgresql() else "json_group_array"
    return (
        f"(SELECT {gather}({entity}) FROM subscription_items i JOIN prices p ON p.id = i.price_id"
        " JOIN products o ON o.id = p.product_id WHERE i.subscription_id = s.id)"
    )


def _object(**fields: str) -> str:
    build = "json_build_object" if db.is_postgresql() else "json_object"
    pairs = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    return f"{build}({pairs})"


def _instant(column: str) -> str:
    if db.is_postgresql():
        return f"to_char({column}, 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')"
    return f"replace({column}, ' ', 'T') || 'Z'"


def _boolean(true: bool = True) -> str:
    return _json("true" if true else "false")


def _json(text: str) -> str:
    return f"CAST('{text}' AS json)" if db.is_postgresql() else f"json('{text}')"


def _now() -> str:
    return "CAST(:now AS timestamptz)" if db.is_postgresql() else ":now"
