"""Traits and references of every order beside it: links are proposed and followed without parsing documents.

The rows are derived from the canonical orders by today's code; a later version that derives others derives them all
again in a migration of its own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ordersync.model import Order
from ordersync.model.traits import reference_texts, traits_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CHUNK = 500


def upgrade() -> None:
    traits = op.create_table(
        "order_traits",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=True),
        sa.Column("charged_currency", sa.String(), nullable=True),
        sa.Column("items", sa.BigInteger(), nullable=True),
        sa.Column("placed", sa.BigInteger(), nullable=True),
        sa.Column("buyer", sa.BigInteger(), nullable=True),
        sa.Column("phone", sa.BigInteger(), nullable=True),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
        sqlite_with_rowid=False,
    )
    references = op.create_table(
        "order_references",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id", "field"),
        sqlite_with_rowid=False,
    )
    _fill(op.get_bind(), traits, references)


def _fill(connection: sa.Connection, traits: sa.Table, references: sa.Table) -> None:
    documents = sa.table(
        "order_documents", sa.column("shop", sa.String), sa.column("order_id", sa.String), sa.column("canonical")
    )
    key = sa.tuple_(documents.c.shop, documents.c.order_id)
    query = sa.select(documents).order_by(documents.c.shop, documents.c.order_id).limit(_CHUNK)
    after: tuple[str, str] | None = None
    while True:
        rows = connection.execute(query if after is None else query.where(key > after)).all()
        if not rows:
            return
        after = (rows[-1].shop, rows[-1].order_id)
        orders = [Order.model_validate_json(row.canonical) for row in rows]
        connection.execute(
            sa.insert(traits),
            [{"shop": o.shop, "order_id": o.order_id, **traits_of(o)._asdict()} for o in orders],
        )
        texts = [
            {"shop": o.shop, "order_id": o.order_id, "field": field, "value": value}
            for o in orders
            for field, value in reference_texts(o).items()
        ]
        if texts:
            connection.execute(sa.insert(references), texts)
