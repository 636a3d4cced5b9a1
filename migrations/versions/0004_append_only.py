"""The audit record can only grow; what the list of subscriptions searches and filters by is made for those there are.

Revision ID: 0004
Revises: 0003
"""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

from portal import db
from portal.domain import search
from portal.domain.subscriptions import ENDS, STATE

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
_INDEXES = {"ix_subscriptions_state": f"({STATE}), id", "ix_subscriptions_state_ends": f"({STATE}), ({ENDS}), id"}
_LAST = "(SELECT actor_kind FROM events WHERE subscription_id = subscriptions.id AND transition = '{}' ORDER BY id DESC LIMIT 1)"


def upgrade() -> None:
    _keep_audit()
    _say_who_canceled()
    _make_searchable()
    for name, columns in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON subscriptions ({columns})")


def _say_who_canceled() -> None:
    """Of what is pending the row says it; of what has ended the history: who ended it at once, else who asked for it."""
    op.execute("UPDATE subscriptions SET canceled_by = scheduled_by WHERE scheduled_action = 'cancel'")
    ended, asked = _LAST.format("subscription_ended"), _LAST.format("cancellation_scheduled")
    op.execute(
        f"UPDATE subscriptions SET canceled_by = COALESCE(NULLIF({ended}, 'system'), {asked}, {ended}) "
        "WHERE status = 'canceled'"
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
    for name in _INDEXES:
        op.execute(f"DROP INDEX {name}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_entries_kept ON audit_entries")
        op.execute("DROP FUNCTION refuse_audit_change()")
        return
    for act in _REFUSED_ON_SQLITE:
        op.execute(f"DROP TRIGGER audit_entries_no_{act.lower()}")
