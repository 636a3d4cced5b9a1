"""What the database keeps by itself: the audit record can only grow, and the list follows what it lists.

Revision ID: 0004
Revises: 0003
"""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

from portal import db
from portal.domain import search

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_REFUSAL = "the audit record can only grow"
_REFUSED_ON_SQLITE = {
    "UPDATE": "",
    "DELETE": "",
    "INSERT": "WHEN EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id OR rowid = NEW.rowid) ",
}
"""INSERT OR REPLACE takes the row that is in its way without asking the triggers of UPDATE and DELETE."""
_BATCH = 5000
_LAST = "(SELECT actor_kind FROM events WHERE subscription_id = subscriptions.id AND transition = '{}' ORDER BY id DESC LIMIT 1)"


def _state(s: str) -> str:
    """How a subscription stands, as a person calls it."""
    return (
        f"CASE WHEN {s}.status = 'canceled' THEN {s}.status WHEN {s}.scheduled_action = 'cancel' THEN 'pending' "
        f"ELSE {s}.status END"
    )


def _ends(s: str) -> str:
    return (
        f"CASE WHEN {s}.scheduled_action = 'cancel' THEN {s}.scheduled_effective_at "
        f"WHEN {s}.canceled_at IS NOT NULL THEN {s}.canceled_at ELSE {s}.period_ends_at END"
    )


def _differs(*columns: str) -> str:
    """An UPDATE counts if one of the columns is another then."""
    return "WHEN (" + " OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in columns) + ")"


_PRODUCT = "(SELECT product_id FROM prices WHERE id = {}.price_id)"
_ENTER = f"INSERT INTO listing_entries VALUES ('', NEW.id, {_state('NEW')}, {_ends('NEW')}, NEW.canceled_by);"
_FOLLOW = f"""UPDATE listing_entries SET state = {_state("NEW")}, ends_at = {_ends("NEW")}, canceled_by = NEW.canceled_by
    WHERE subscription_id = NEW.id AND part IN (SELECT '' UNION ALL
        SELECT prices.product_id FROM subscription_items JOIN prices ON prices.id = subscription_items.price_id
        WHERE subscription_items.subscription_id = NEW.id);"""
_ENTER_PRODUCT = f"""INSERT INTO listing_entries SELECT {_PRODUCT.format("NEW")}, subscription_id, state, ends_at, canceled_by
    FROM listing_entries WHERE part = '' AND subscription_id = NEW.subscription_id ON CONFLICT DO NOTHING;"""
_LEAVE_PRODUCT = f"""DELETE FROM listing_entries
    WHERE subscription_id = OLD.subscription_id AND part = {_PRODUCT.format("OLD")} AND NOT EXISTS (
        SELECT 1 FROM subscription_items JOIN prices ON prices.id = subscription_items.price_id
        WHERE subscription_items.subscription_id = OLD.subscription_id AND prices.product_id = listing_entries.part);"""
_TERMS = f"""INSERT INTO listing_terms SELECT {_state("NEW")}, text, customer_id, NEW.id
    FROM search_terms WHERE customer_id = NEW.customer_id AND {_state("NEW")} <> 'active' ON CONFLICT DO NOTHING;"""
_NO_TERMS = f"""DELETE FROM listing_terms
    WHERE state = {_state("OLD")} AND subscription_id = OLD.id AND customer_id = OLD.customer_id
    AND text IN (SELECT text FROM search_terms WHERE customer_id = OLD.customer_id);"""
_TERM = f"""INSERT INTO listing_terms SELECT {_state("subscriptions")}, NEW.text, NEW.customer_id, subscriptions.id
    FROM subscriptions WHERE customer_id = NEW.customer_id AND {_state("subscriptions")} <> 'active' ON CONFLICT DO NOTHING;"""
_NO_TERM = """DELETE FROM listing_terms WHERE state IN ('pending', 'past_due', 'trialing', 'paused', 'canceled')
    AND text = OLD.text AND customer_id = OLD.customer_id;"""
_WAIT = "PERFORM 1 FROM customers WHERE id = NEW.customer_id FOR SHARE;"
"""For who gives the customer other terms at this moment: one of both must see what the other did."""
_TOLD = ("status", "scheduled_action", "scheduled_effective_at", "canceled_at", "period_ends_at", "canceled_by")
_STATE_OF = ("status", "scheduled_action", "customer_id")
_TRIGGERS = {
    "entered": ("INSERT ON subscriptions", "", _ENTER),
    "followed": (f"UPDATE OF {', '.join(_TOLD)} ON subscriptions", _differs(*_TOLD), _FOLLOW),
    "sold": ("INSERT ON subscription_items", "", _ENTER_PRODUCT),
    "exchanged": ("UPDATE OF price_id ON subscription_items", _differs("price_id"), _LEAVE_PRODUCT + _ENTER_PRODUCT),
    "removed": ("DELETE ON subscription_items", "", _LEAVE_PRODUCT),
    "began": ("INSERT ON subscriptions", f"WHEN ({_state('NEW')} <> 'active')", _WAIT + _TERMS),
    "changed": (f"UPDATE OF {', '.join(_STATE_OF)} ON subscriptions", _differs(*_STATE_OF), _NO_TERMS + _WAIT + _TERMS),
    "called": ("INSERT ON search_terms", "", _TERM),
    "forgotten": ("DELETE ON search_terms", "", _NO_TERM),
}
"""By its name, what each is told of, when, and what it does."""


def upgrade() -> None:
    _keep_audit()
    _say_who_canceled()
    _say_what_is_billed()
    _make_searchable()
    _list_all()
    for name, (act, when, steps) in _TRIGGERS.items():
        _follow(f"listing_{name}", f"AFTER {act} FOR EACH ROW {when} ", steps)


def _say_who_canceled() -> None:
    """Of what is pending the row says it; of what has ended the history: who ended it at once, else who asked for it."""
    op.execute("UPDATE subscriptions SET canceled_by = scheduled_by WHERE scheduled_action = 'cancel'")
    ended, asked = _LAST.format("subscription_ended"), _LAST.format("cancellation_scheduled")
    op.execute(
        f"UPDATE subscriptions SET canceled_by = COALESCE(NULLIF({ended}, 'system'), {asked}, {ended}) "
        "WHERE status = 'canceled'"
    )


def _say_what_is_billed() -> None:
    """Nothing in a trial; else all there is, at its price: what was changed without a bill until now is not known."""
    price = "(SELECT amount FROM prices WHERE prices.id = subscription_items.price_id)"
    op.execute(
        f"UPDATE subscription_items SET billed_quantity = quantity, billed_amount = quantity * {price} "
        "WHERE recurring AND EXISTS (SELECT 1 FROM subscriptions "
        "WHERE subscriptions.id = subscription_id AND status NOT IN ('trialing', 'canceled'))"
    )


def _make_searchable() -> None:
    """A batch at a time; a customer who is findable already, because this was begun before, stays so."""
    connection, last = op.get_bind(), ""
    batch = text("SELECT id, name, email FROM customers WHERE id > :last ORDER BY id LIMIT :batch")
    while people := connection.execute(batch, {"last": last, "batch": _BATCH}).all():
        rows = [{"text": each, "customer_id": id} for id, *known in people for each in search.terms(*known)]
        if rows:
            connection.execute(db.insert_unless_there(db.table(search.SearchTerm)), rows)
        last = people[-1].id


def _list_all() -> None:
    op.execute(
        f"INSERT INTO listing_entries SELECT '', id, {_state('subscriptions')}, {_ends('subscriptions')}, canceled_by "
        "FROM subscriptions WHERE true ON CONFLICT DO NOTHING"
    )
    op.execute(
        "INSERT INTO listing_entries SELECT prices.product_id, entry.subscription_id, state, ends_at, canceled_by "
        "FROM listing_entries AS entry JOIN subscription_items AS item ON item.subscription_id = entry.subscription_id "
        "JOIN prices ON prices.id = item.price_id WHERE entry.part = '' ON CONFLICT DO NOTHING"
    )
    op.execute(
        "INSERT INTO listing_terms SELECT state, text, subscriptions.customer_id, subscription_id "
        "FROM listing_entries JOIN subscriptions ON subscriptions.id = subscription_id "
        "JOIN search_terms ON search_terms.customer_id = subscriptions.customer_id "
        "WHERE part = '' AND state <> 'active' ON CONFLICT DO NOTHING"
    )


def _follow(name: str, when: str, steps: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {steps} RETURN NULL; END $$")
        op.execute(f"CREATE TRIGGER {name} {when}EXECUTE FUNCTION {name}()")
    else:
        steps = steps.replace(_WAIT, "")
        op.execute(f"CREATE TRIGGER {name} {when.replace('IS DISTINCT FROM', 'IS NOT')}BEGIN {steps} END")


def _keep_audit() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_entries_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
        )
        return
    for act, when in _REFUSED_ON_SQLITE.items():
        op.execute(
            f"CREATE TRIGGER audit_entries_no_{act.lower()} BEFORE {act} ON audit_entries {when}"
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for name, (act, *_) in _TRIGGERS.items():
        op.execute(f"DROP TRIGGER listing_{name}" + (f" ON {act.rpartition(' ')[2]}" if postgresql else ""))
        if postgresql:
            op.execute(f"DROP FUNCTION listing_{name}()")
    if postgresql:
        op.execute("DROP TRIGGER audit_entries_kept ON audit_entries")
        op.execute("DROP FUNCTION refuse_audit_change()")
        return
    for act in _REFUSED_ON_SQLITE:
        op.execute(f"DROP TRIGGER audit_entries_no_{act.lower()}")
