"""What crosses the store's border: plain frozen values, never rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from ordersync.errors import Held
from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    FactKind,
    Hold,
    Link,
    Money,
    Order,
    OrderRef,
    Verb,
    fact_id_of,
)

Outcome = Literal["new", "changed", "unchanged", "stale"]
"""`stale`: a newer observation is stored already, or the row was partial and only marked the order."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An order as one request saw it. Ordered by when the request was sent, not by when it was answered."""

    order: Order
    raw: bytes
    """The payload as JSON without its secret fields."""
    sent_at: datetime
    partial: bool = False
    """A list row without its details: marks the order to be looked at, is not stored."""
    raw_digest: bytes | None = None
    """SHA-256 of the payload as it came; None: taken from `raw`."""
    mapping_version: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """An order whose payload could not be normalised; kept, held and shown, never dropped."""

    shop: str
    order_id: str
    code: str
    message: str
    path: str | None
    raw: bytes | None
    sent_at: datetime

    @property
    def ref(self) -> OrderRef:
        return OrderRef(self.shop, self.order_id)


@dataclass(frozen=True, slots=True)
class Same:
    """An order whose payload is byte for byte what is stored: only its time moves."""

    shop: str
    order_id: str
    raw_digest: bytes
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """How far one feed of one shop got. `cursor=None`: no pass is under way."""

    shop: str
    feed: str
    cursor: str | None
    since: datetime | None
    until: datetime | None
    watermark: datetime | None
    """Everything up to here was listed by finished passes."""
    started_at: datetime
    pages: int = 0
    rows: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class FeedPass:
    """The completeness record of one finished pass; `total` is the platform's own count."""

    shop: str
    feed: str
    since: datetime | None
    until: datetime | None
    started_at: datetime
    finished_at: datetime
    pages: int
    rows: int
    total: int | None


@dataclass(frozen=True, slots=True)
class PageResult:
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class StoredOrder:
    order: Order
    sent_at: datetime
    fingerprint: str
    first_seen_at: datetime
    changed_at: datetime


class FieldChange(NamedTuple):
    """One changed field, old and new as JSON text. Buyer fields are named without their values."""

    path: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class OrderChange:
    sent_at: datetime
    cause: str
    """`observed`, or `mapping_changed`: the same payload, read by another mapping."""
    fields: tuple[FieldChange, ...]


class DirtyLink(NamedTuple):
    link: Link
    version: int
    """Hand it to `mark_clean`: a change that came since keeps the link dirty."""


@dataclass(frozen=True, slots=True)
class StoredHold:
    number: str
    """`H-31`."""
    hold: Hold
    opened_at: datetime
    closed_at: datetime | None
    closed_because: str | None


class Answer(NamedTuple):
    """What a person says to a hold, before it is stored."""

    verb: Verb
    who: str
    why: str | None
    facts: tuple[str, ...]
    digest: str
    expires_at: datetime | None = None
    forget: tuple[str, ...] = ()
    """Facts whose ledger rows are derived anew (a record found its fact)."""


@dataclass(frozen=True, slots=True)
class ActionStep:
    """One entry of the journal's history."""

    at: datetime
    state: ActionState
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """Every write that may have happened: those of the last 24 hours, and older ones still open or in doubt.

    Proven failures and writes that were never sent do not count. Read inside the transaction that commits an intent.
    """

    now: datetime
    records: tuple[ActionRecord, ...]

    def since(self, moment: datetime) -> Spent:
        """Only what was intended at or after `moment` (the start of a run)."""
        return Spent(self.now, tuple(r for r in self.records if r.intended_at >= moment))

    def count(self, kind: ActionKind) -> int:
        return sum(1 for record in self.records if record.action.kind is kind)

    def value(self, currency: str) -> Money:
        """What was refunded in `currency`, by refunds and by what cancels give back themselves."""
        amounts = (r.action.value for r in self.records)
        return Money(
            amount_minor=sum(a.amount_minor for a in amounts if a and a.currency == currency), currency=currency
        )

    def money_facts(self, link_id: str, members: Collection[OrderRef] = ()) -> frozenset[str]:
        """Facts of this link, or of these orders, for which money may have moved.

        A write by hand is the fact its carried copies will name, where its record is known; else one of its own.
        """
        return frozenset(
            _fact_of(r)
            for r in self.records
            if r.action.kind.moves_money and (r.action.link_id == link_id or r.action.target in members)
        )


SPENT_WINDOW = timedelta(hours=24)


def _fact_of(record: ActionRecord) -> str:
    action = record.action
    if action.fact_id is not None:
        return action.fact_id
    if action.kind is ActionKind.REFUND and record.platform_ref is not None:
        return fact_id_of(action.target, FactKind.REFUND, record.platform_ref)
    if action.kind is ActionKind.CANCEL:
        return fact_id_of(action.target, FactKind.CANCELLATION, "cancel")
    return action.key


class IntentHeld(Held):
    """The check inside `intend` returned a hold: nothing was stored, the hold is not opened yet."""

    def __init__(self, hold: Hold, action: Action) -> None:
        super().__init__(
            hold.message,
            code=hold.code,
            shop=action.target.shop,
            order=action.target.order_id,
            operation=action.kind.value,
            next_step="; ".join(hold.next_steps) or None,
        )
        self.hold = hold


@dataclass(frozen=True, slots=True)
class Run:
    id: int
    kind: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    figures: dict[str, str | int]
