"""Entries of the list say whose they are: a search by age tries one index for each of them, instead of three.

Revision ID: 0005
Revises: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TOLD = ("status", "scheduled_action", "scheduled_effective_at", "canceled_at", "period_ends_at", "canceled_by")
_STATE = (
    "CASE WHEN NEW.status = 'canceled' THEN NEW.status WHEN NEW.scheduled_action = 'cancel' THEN 'pending' "
    "ELSE NEW.status END"
)
_ENDS = (
    "CASE WHEN NEW.scheduled_action = 'cancel' THEN NEW.scheduled_effective_at "
    "WHEN NEW.canceled_at IS NOT NULL THEN NEW.canceled_at ELSE NEW.period_ends_at END"
)
_PRODUCT = "(SELECT product_id FROM prices WHERE id = {}.price_id)"
_LEAVE_PRODUCT = f"""DELETE FROM listing_entries
    WHERE subscription_id = OLD.subscription_id AND part = {_PRODUCT.format("OLD")} AND NOT EXISTS (
        SELECT 1 FROM subscription_items JOIN prices ON prices.id = subscription_items.price_id
        WHERE subscription_items.subscription_id = OLD.subscription_id AND prices.product_id = listing_entries.part);"""


def upgrade() -> None:
    op.add_column("listing_entries", sa.Column("customer_id", sa.String(), server_default="", nullable=False))
    op.execute(
        "UPDATE listing_entries SET customer_id = (SELECT customer_id FROM subscriptions WHERE id = subscription_id)"
    )
    _keep(owner="customer_id")


def downgrade() -> None:
    _keep(owner=None)
    op.drop_column("listing_entries", "customer_id")


def _keep(owner: str | None) -> None:
    """The triggers that write all of an entry, with its owner or without."""
    of_new, set_owner, its = (f", NEW.{owner}", f", {owner} = NEW.{owner}", f", {owner}") if owner else ("", "", "")
    told = (*_TOLD, owner) if owner else _TOLD
    changed = "WHEN (" + " OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in told) + ")"
    enter = f"INSERT INTO listing_entries VALUES ('', NEW.id, {_STATE}, {_ENDS}, NEW.canceled_by{of_new});"
    follow = f"""UPDATE listing_entries SET state = {_STATE}, ends_at = {_ENDS}, canceled_by = NEW.canceled_by{set_owner}
        WHERE subscription_id = NEW.id AND part IN (SELECT '' UNION ALL
            SELECT prices.product_id FROM subscription_items JOIN prices ON prices.id = subscription_items.price_id
            WHERE subscription_items.subscription_id = NEW.id);"""
    sell = f"""INSERT INTO listing_entries SELECT {_PRODUCT.format("NEW")}, subscription_id, state, ends_at, canceled_by{its}
        FROM listing_entries WHERE part = '' AND subscription_id = NEW.subscription_id ON CONFLICT DO NOTHING;"""
    _replace("entered", "INSERT ON subscriptions", "", enter)
    _replace("followed", f"UPDATE OF {', '.join(told)} ON subscriptions", changed, follow)
    _replace("sold", "INSERT ON subscription_items", "", sell)
    other_price = "WHEN (OLD.price_id IS DISTINCT FROM NEW.price_id)"
    _replace("exchanged", "UPDATE OF price_id ON subscription_items", other_price, _LEAVE_PRODUCT + sell)


def _replace(name: str, act: str, when: str, steps: str) -> None:
    trigger = f"CREATE TRIGGER listing_{name} AFTER {act} FOR EACH ROW {when}"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER listing_{name} ON {act.rpartition(' ')[2]}")
        op.execute(
            f"CREATE OR REPLACE FUNCTION listing_{name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {steps} RETURN NULL; END $$"
        )
        op.execute(f"{trigger} EXECUTE FUNCTION listing_{name}()")
    else:
        op.execute(f"DROP TRIGGER listing_{name}")
        op.execute(f"{trigger.replace('IS DISTINCT FROM', 'IS NOT')} BEGIN {steps} END")
