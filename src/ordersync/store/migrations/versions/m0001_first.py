"""The first schema. A migration names its types itself: it must mean the same when the tables have moved on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _orders_and_feeds()
    _links_and_journal()
    for verb in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER action_events_no_{verb} BEFORE {verb.upper()} ON action_events "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )


def _orders_and_feeds() -> None:
    op.create_table(
        "feeds",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("since", sa.String(27), nullable=True),
        sa.Column("until", sa.String(27), nullable=True),
        sa.Column("watermark", sa.String(27), nullable=True),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("shop", "feed"),
    )
    op.create_table(
        "listed",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "feed", "order_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "look_again",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("hinted_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "order_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("sent_at", sa.String(27), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("order_changes_by_order", "order_changes", ["shop", "order_id"], unique=False)
    op.create_table(
        "order_documents",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("shop", "order_id"),
    )
    op.create_table(
        "orders",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("refund_pending", sa.Boolean(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("raw_digest", sa.LargeBinary(), nullable=False),
        sa.Column("mapping_version", sa.String(), nullable=False),
        sa.Column("sent_at", sa.String(27), nullable=False),
        sa.Column("first_seen_at", sa.String(27), nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("orders_by_number", "orders", ["shop", "number"], unique=False)
    op.create_index("orders_open", "orders", ["shop"], unique=False, sqlite_where=sa.text("is_open = 1"))
    op.create_index(
        "orders_refund_pending", "orders", ["shop"], unique=False, sqlite_where=sa.text("refund_pending = 1")
    )
    op.create_table(
        "parked",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("sent_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
    )
    op.create_table(
        "passes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("since", sa.String(27), nullable=True),
        sa.Column("until", sa.String(27), nullable=True),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("finished_at", sa.String(27), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("passes_by_feed", "passes", ["shop", "feed", "id"], unique=False)


def _links_and_journal() -> None:
    op.create_table(
        "action_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("action_events_by_key", "action_events", ["key"], unique=False)
    op.create_table(
        "actions",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("link_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("intended_at", sa.String(27), nullable=False),
        sa.Column("send_by", sa.String(27), nullable=True),
        sa.Column("sent_at", sa.String(27), nullable=True),
        sa.Column("answered_at", sa.String(27), nullable=True),
        sa.Column("platform_ref", sa.String(), nullable=True),
        sa.Column("looked_at", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("actions_by_link", "actions", ["link_id"], unique=False)
    op.create_index("actions_by_order", "actions", ["shop", "order_id"], unique=False)
    op.create_index("actions_by_time", "actions", ["intended_at"], unique=False)
    op.create_index(
        "actions_one_open_per_order",
        "actions",
        ["shop", "order_id"],
        unique=True,
        sqlite_where=sa.text("is_open = 1"),
    )
    op.create_table(
        "holds",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("link_id", sa.String(), nullable=True),
        sa.Column("sticky", sa.Boolean(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.String(27), nullable=False),
        sa.Column("closed_at", sa.String(27), nullable=True),
        sa.Column("closed_because", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("holds_by_link", "holds", ["link_id"], unique=False)
    op.create_index("holds_open_once", "holds", ["key"], unique=True, sqlite_where=sa.text("closed_at IS NULL"))
    op.create_table(
        "leases",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("expires_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("leases_by_owner", "leases", ["owner"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("link", sa.Integer(), nullable=False),
        sa.Column("fact_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("link", "fact_id"),
    )
    op.create_table(
        "link_members",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("link", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("link_members_by_link", "link_members", ["link"], unique=False)
    op.create_table(
        "links",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("removed_at", sa.String(27), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("clean_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("finished_at", sa.String(27), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("figures", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
