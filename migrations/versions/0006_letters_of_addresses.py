"""Addresses are told apart as mail servers do: `ß` is not `ss`, and a domain has one spelling.

Revision ID: 0006
Revises: 0005
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from email_validator import EmailNotValidError, validate_email

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_BATCH = 10_000


def upgrade() -> None:
    _rekey("customers", "email_key", "sign_in_requests", lambda email: email.strip().lower())
    _rekey("staff", "email", "staff_sign_ins", _normalized)


def downgrade() -> None:
    _rekey("customers", "email_key", "sign_in_requests", lambda email: email.strip().casefold())


def _normalized(email: str) -> str:
    try:
        return validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return email


def _rekey(people: str, key: str, links: str, made: Callable[[str], str]) -> None:
    """Writes the keys that are another by now, and links that wait for them. One that is taken stays as it was."""
    table = sa.table(people, sa.column("id"), sa.column("email"), sa.column("email_key"))
    waiting, column = sa.table(links, sa.column("email_key")), table.c[key]
    for row in _rows(table, column):
        old, new = row[2], made(row.email)
        if old == new or op.get_bind().scalar(sa.select(table.c.id).where(column == new)):
            continue
        op.execute(table.update().where(table.c.id == row.id).values({key: new}))
        op.execute(waiting.update().where(waiting.c.email_key == old).values(email_key=new))


def _rows(table: Any, column: Any) -> Iterator[Any]:
    wanted, last = sa.select(table.c.id, table.c.email, column.label("key")).order_by(table.c.id).limit(_BATCH), ""
    while batch := op.get_bind().execute(wanted.where(table.c.id > last)).all():
        yield from batch
        last = batch[-1].id
