"""The rows of the database, and nothing else: no rule lives here, and no row leaves the store.

`table=True` skips validation by design: values are validated in `ordersync.model` and copied to rows at the edge.
Instants are text in UTC with microseconds, so that they sort as they read. Documents (canonical order, raw payload)
are kept apart from the small order rows: marking an order as seen again must not rewrite kilobytes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
    or_,
    text,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class Instant(TypeDecorator[datetime]):
    """An aware datetime as `2026-11-23T16:53:00.000000Z`; ValueError for a naive one."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else instant_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def instant_text(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Row(SQLModel):
    metadata = MetaData()


class MetaRow(Row, table=True):
    """Facts about the store itself: when it was born."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str


class OrderRow(Row, table=True):
    __tablename__ = "orders"
    __table_args__ = (
        Index("orders_by_number", "shop", "number"),
        Index("orders_by_reading", "shop", "sent_at"),
        Index("orders_open", "shop", sqlite_where=text("is_open = 1")),
        Index("orders_refund_pending", "shop", sqlite_where=text("refund_pending = 1")),
        {"sqlite_with_rowid": False},
    )
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    number: str | None
    is_open: bool
    """Neither cancelled, completed nor archived."""
    refund_pending: bool
    fingerprint: str
    raw_digest: bytes = Field(sa_type=LargeBinary)
    """SHA-256 of the payload as it came, before scrubbing: the same bytes need no second normalising."""
    mapping_version: str
    sent_at: datetime = Field(sa_type=Instant)
    first_seen_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class DocumentRow(Row, table=True):
    """What an order says: the canonical order as JSON text, the scrubbed payload compressed."""

    __tablename__ = "order_documents"
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    canonical: str = Field(sa_type=Text)
    raw: bytes | None = Field(sa_type=LargeBinary)


class TraitsRow(Row, table=True):
    """`model.traits.Traits` of each order: written with its document, so that comparing never parses one."""

    __tablename__ = "order_traits"
    __table_args__ = ({"sqlite_with_rowid": False},)
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    currency: str
    charged: int | None = Field(sa_type=BigInteger)
    charged_currency: str | None
    items: int | None = Field(sa_type=BigInteger)
    placed: int | None = Field(sa_type=BigInteger)
    buyer: int | None = Field(sa_type=BigInteger)
    phone: int | None = Field(sa_type=BigInteger)
    draft: bool


class ReferenceRow(Row, table=True):
    """Texts of an order that may name an order of another shop, as `model.traits.reference_texts` gives them."""

    __tablename__ = "order_references"
    __table_args__ = ({"sqlite_with_rowid": False},)
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    field: str = Field(primary_key=True)
    value: str


class ChangeRow(Row, table=True):
    """One observation that differed from the one before: the changed fields with old and new value."""

    __tablename__ = "order_changes"
    __table_args__ = (Index("order_changes_by_order", "shop", "order_id"),)
    id: int | None = Field(default=None, primary_key=True)
    shop: str
    order_id: str
    sent_at: datetime = Field(sa_type=Instant)
    cause: str
    """`observed`, or `mapping_changed` when the same payload is read differently."""
    fields: str = Field(sa_type=Text)


class ParkedRow(Row, table=True):
    __tablename__ = "parked"
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    code: str
    message: str
    path: str | None
    raw: bytes | None = Field(sa_type=LargeBinary)
    sent_at: datetime = Field(sa_type=Instant)


class LookAgainRow(Row, table=True):
    """An order something hinted at: it waits to be fetched."""

    __tablename__ = "look_again"
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    hinted_at: datetime = Field(sa_type=Instant)


class FeedRow(Row, table=True):
    __tablename__ = "feeds"
    shop: str = Field(primary_key=True)
    feed: str = Field(primary_key=True)
    cursor: str | None = Field(sa_type=Text)
    since: datetime | None = Field(sa_type=Instant)
    until: datetime | None = Field(sa_type=Instant)
    watermark: datetime | None = Field(sa_type=Instant)
    started_at: datetime = Field(sa_type=Instant)
    pages: int
    rows: int
    total: int | None


class ListedRow(Row, table=True):
    """Orders shown so far by an unfinished pass of a feed that lists every open order."""

    __tablename__ = "listed"
    __table_args__ = ({"sqlite_with_rowid": False},)
    shop: str = Field(primary_key=True)
    feed: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)


class PassRow(Row, table=True):
    """The completeness record: one finished pass of one feed."""

    __tablename__ = "passes"
    __table_args__ = (Index("passes_by_feed", "shop", "feed", "id"),)
    id: int | None = Field(default=None, primary_key=True)
    shop: str
    feed: str
    since: datetime | None = Field(sa_type=Instant)
    until: datetime | None = Field(sa_type=Instant)
    started_at: datetime = Field(sa_type=Instant)
    finished_at: datetime = Field(sa_type=Instant)
    pages: int
    rows: int
    total: int | None


class LinkRow(Row, table=True):
    __tablename__ = "links"
    __table_args__ = (
        Index("links_live", "number", sqlite_where=text("removed_at IS NULL")),
        Index("links_unsettled", "number", sqlite_where=text("removed_at IS NULL AND version > clean_version")),
        Index("links_waiting", "waits", sqlite_where=text("removed_at IS NULL AND waits > 0")),
        Index(
            "links_skipping", "number", sqlite_where=text("removed_at IS NULL AND (skips IS NULL OR skips > 0)")
        ),
        {"sqlite_autoincrement": True},
    )
    number: int | None = Field(default=None, primary_key=True)
    members: str = Field(sa_type=Text)
    """JSON [[shop, order id], …], sorted; stays when the link is removed."""
    origin: str
    rule: str | None
    made_at: datetime = Field(sa_type=Instant)
    removed_at: datetime | None = Field(sa_type=Instant)
    version: int
    """Rises with every change of a member; above `clean_version` the link must be looked at."""
    clean_version: int
    waits: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many writes waited for their time at the last decision."""
    skips: int | None = None
    joined: str | None = Field(default=None, sa_type=Text)
    """JSON {shop: instant} of the members that came after the link was made."""
    """How many reasons to skip something the last decision gave; None: not decided since this is counted."""


class MemberRow(Row, table=True):
    """Which live link an order belongs to: at most one."""

    __tablename__ = "link_members"
    __table_args__ = (Index("link_members_by_link", "link"), {"sqlite_with_rowid": False})
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    link: int


class LedgerTableRow(Row, table=True):
    __tablename__ = "ledger"
    link: int = Field(primary_key=True)
    fact_id: str = Field(primary_key=True)
    position: int
    row: str = Field(sa_type=Text)


class HoldRow(Row, table=True):
    __tablename__ = "holds"
    __table_args__ = (
        Index("holds_open_once", "key", unique=True, sqlite_where=text("closed_at IS NULL")),
        Index("holds_by_link", "link_id"),
        Index("holds_by_subject", "subject"),
        Index("holds_open", "number", sqlite_where=text("closed_at IS NULL")),
        {"sqlite_autoincrement": True},
    )
    number: int | None = Field(default=None, primary_key=True)
    key: str
    code: str
    subject: str
    link_id: str | None
    sticky: bool
    hold: str = Field(sa_type=Text)
    opened_at: datetime = Field(sa_type=Instant)
    closed_at: datetime | None = Field(sa_type=Instant)
    closed_because: str | None


class ResolutionRow(Row, table=True):
    """What a person answered to a hold. `used_at`: the write that an approval let pass has its intent stored."""

    __tablename__ = "resolutions"
    __table_args__ = (
        Index("resolutions_by_key", "hold_key"),
        Index("resolutions_by_link", "link_id"),
        {"sqlite_autoincrement": True},
    )
    number: int | None = Field(default=None, primary_key=True)
    hold: int
    hold_key: str
    code: str
    verb: str
    link_id: str | None
    shop: str | None
    order_id: str | None
    facts: str = Field(sa_type=Text)
    """JSON list of fact ids."""
    digest: str
    who: str
    why: str | None = Field(sa_type=Text)
    at: datetime = Field(sa_type=Instant)
    expires_at: datetime | None = Field(sa_type=Instant)
    used_at: datetime | None = Field(sa_type=Instant)
    used_by: str | None


class ActionRow(Row, table=True):
    """The journal's current state of one write. `is_open`: possibly done and not yet read back."""

    __tablename__ = "actions"
    __table_args__ = (
        Index("actions_one_open_per_order", "shop", "order_id", unique=True, sqlite_where=text("is_open = 1")),
        Index("actions_by_link", "link_id"),
        Index("actions_by_order", "shop", "order_id"),
        Index("actions_by_time", "intended_at"),
    )
    key: str = Field(primary_key=True)
    shop: str
    order_id: str
    link_id: str | None
    state: str
    is_open: bool
    action: str = Field(sa_type=Text)
    intended_at: datetime = Field(sa_type=Instant)
    send_by: datetime | None = Field(sa_type=Instant)
    sent_at: datetime | None = Field(sa_type=Instant)
    answered_at: datetime | None = Field(sa_type=Instant)
    platform_ref: str | None
    looked_at: str = Field(sa_type=Text)
    """JSON list of instants."""
    answer: str | None = Field(sa_type=Text)


class ActionEventRow(Row, table=True):
    """Every step of every write; the database refuses to change or delete a row."""

    __tablename__ = "action_events"
    __table_args__ = (Index("action_events_by_key", "key"),)
    id: int | None = Field(default=None, primary_key=True)
    key: str
    at: datetime = Field(sa_type=Instant)
    state: str
    fields: str = Field(sa_type=Text)


class LeaseRow(Row, table=True):
    __tablename__ = "leases"
    __table_args__ = (Index("leases_by_owner", "owner"), {"sqlite_with_rowid": False})
    shop: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    owner: str
    expires_at: datetime = Field(sa_type=Instant)


class RunRow(Row, table=True):
    __tablename__ = "runs"
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    started_at: datetime = Field(sa_type=Instant)
    finished_at: datetime | None = Field(sa_type=Instant)
    outcome: str | None
    figures: str | None = Field(sa_type=Text)


METADATA: MetaData = Row.metadata
APPEND_ONLY_DDL = tuple(
    f"CREATE TRIGGER action_events_no_{verb} BEFORE {verb.upper()} ON action_events "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for verb in ("update", "delete")
)


def _table(name: str) -> Table:
    return METADATA.tables[name]


META = _table("meta")
ORDERS = _table("orders")
DOCUMENTS = _table("order_documents")
TRAITS = _table("order_traits")
REFERENCES = _table("order_references")
CHANGES = _table("order_changes")
PARKED = _table("parked")
LOOK_AGAIN = _table("look_again")
FEEDS = _table("feeds")
LISTED = _table("listed")
PASSES = _table("passes")
LINKS = _table("links")
MEMBERS = _table("link_members")
LEDGER = _table("ledger")
HOLDS = _table("holds")
RESOLUTIONS = _table("resolutions")
ACTIONS = _table("actions")
UNSETTLED = or_(ACTIONS.c.is_open, ACTIONS.c.state.in_(("doubt", "receipted")))
"""Not read back. A doubt that a person is asked about is not `is_open`: it keeps the money of its order waiting, and
nothing else."""
ACTION_EVENTS = _table("action_events")
LEASES = _table("leases")
RUNS = _table("runs")


def _append_only(_target: Table, connection: Connection, **_: object) -> None:
    for statement in APPEND_ONLY_DDL:
        connection.exec_driver_sql(statement)


event.listen(ACTION_EVENTS, "after_create", _append_only)
