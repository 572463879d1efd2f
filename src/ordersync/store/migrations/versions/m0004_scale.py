"""Indexes for stores of a million orders, and how much of each link is skipped on purpose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("links", sa.Column("skips", sa.Integer(), nullable=True))
    for name, columns, where in (
        ("links_live", ["number"], "removed_at IS NULL"),
        ("links_unsettled", ["number"], "removed_at IS NULL AND version > clean_version"),
        ("links_waiting", ["waits"], "removed_at IS NULL AND waits > 0"),
        ("links_skipping", ["number"], "removed_at IS NULL AND (skips IS NULL OR skips > 0)"),
    ):
        op.create_index(name, "links", columns, unique=False, sqlite_where=sa.text(where))
    op.create_index("holds_by_subject", "holds", ["subject"], unique=False)
    op.create_index("holds_open", "holds", ["number"], unique=False, sqlite_where=sa.text("closed_at IS NULL"))
    op.create_index("orders_by_reading", "orders", ["shop", "sent_at"], unique=False)
