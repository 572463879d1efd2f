"""What the decision sees of one member: its order, what its shop can do, and the refund records in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ordersync.model import (
    ActionRecord,
    ActionState,
    FulfillmentState,
    Money,
    Order,
    OrderRef,
    Payment,
    PaymentState,
    Purse,
    RefundState,
    may_have_happened,
    stable_hash,
)
from ordersync.model.semantics import Semantics

_TOKEN = re.compile(r"(?<![a-z0-9-])os-[a-z2-7]{8}(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class RefundRecord:
    """One refund record of a platform that moves, or will move, money."""

    member: OrderRef
    record_id: str
    amount: Money
    state: RefundState
    created_at: datetime | None
    token: str | None
    """Our token found in its note: then ordersync wrote it."""
    reason: str | None
    lines: tuple[tuple[str, int], ...]
    """(line item id, units) it names, sorted."""
    restocks: bool
    payment_id: str | None

    @property
    def slot(self) -> tuple[OrderRef, str]:
        return (self.member, self.record_id)


@dataclass(frozen=True, slots=True)
class Member:
    """One order of a link. `problem` says why it cannot be decided about (parked, missing, not loaded)."""

    ref: OrderRef
    order: Order | None
    capabilities: frozenset[str]
    semantics: Semantics
    problem: str | None = None

    @property
    def records(self) -> tuple[RefundRecord, ...]:
        """Refund records with money in them, failed ones included, oldest first."""
        if self.order is None or self.order.refunds is None:
            return ()
        found = [
            RefundRecord(
                member=self.ref,
                record_id=refund.id,
                amount=refund.amount,
                state=refund.status,
                created_at=refund.created_at,
                token=token_in(refund.note),
                reason=refund.note,
                lines=tuple(sorted((line.line_item_id, line.quantity) for line in refund.lines)),
                restocks=bool(refund.restock),
                payment_id=refund.payment_id,
            )
            for refund in self.order.refunds
            if refund.amount.amount_minor > 0
        ]
        return tuple(sorted(found, key=record_order))

    @property
    def refunded_minor(self) -> int:
        """Completed refunds."""
        return sum(r.amount.amount_minor for r in self.records if r.state is RefundState.COMPLETED)

    @property
    def pending_minor(self) -> int:
        return sum(r.amount.amount_minor for r in self.records if r.state is RefundState.PENDING)

    @property
    def captured_minor(self) -> int:
        captured = self.order.captured if self.order else None
        return captured.amount_minor if captured else 0

    @property
    def bound_minor(self) -> int:
        """What refunds may add up to: captured, and never more than was first charged."""
        charged = self.order.first_charged if self.order else None
        if charged is None or charged.amount_minor <= 0:
            return self.captured_minor
        return min(self.captured_minor, charged.amount_minor)

    @property
    def paid_payments(self) -> tuple[Payment, ...]:
        payments = (self.order.payments if self.order else None) or ()
        return tuple(p for p in payments if p.captured.amount_minor > 0)

    @property
    def open_authorization(self) -> bool:
        payments = (self.order.payments if self.order else None) or ()
        return any(p.status is PaymentState.AUTHORIZED for p in payments)

    @property
    def holds_gateway_money(self) -> bool:
        return any(p.purse is Purse.GATEWAY for p in self.paid_payments)

    @property
    def shipped_units(self) -> int | None:
        """Units that left the house; None where the platform does not tell what its parcels hold."""
        parcels = (self.order.fulfillments if self.order else None) or ()
        units = 0
        for parcel in parcels:
            if parcel.status not in (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED):
                continue
            if parcel.lines is None:
                return None
            units += sum(line.quantity for line in parcel.lines)
        return units

    def has_parcel(self, *states: FulfillmentState) -> bool:
        parcels = (self.order.fulfillments if self.order else None) or ()
        return any(p.status in states for p in parcels)


def token_in(text: str | None) -> str | None:
    """Our token in a note or reason, wherever it stands."""
    found = _TOKEN.search(text) if text else None
    return found.group(0) if found else None


def record_order(record: RefundRecord) -> tuple[float, int, OrderRef, str]:
    """Oldest first; records without a time last; ties by amount, so that a shop's name never decides how much is
    refunded, then by name, so that every machine sorts alike."""
    at = record.created_at.timestamp() if record.created_at else float("inf")
    return (at, record.amount.amount_minor, record.member, record.record_id)


def in_flight_minor(target: OrderRef, journal: Iterable[ActionRecord], seen: Sequence[RefundRecord]) -> int:
    """Refunds sent or about to be, that are not among the records read; a typed one that was read back before
    counts too, because a lagging answer may leave it out (a carried one has its ledger cell)."""
    visible_tokens = {r.token for r in seen if r.member == target and r.token}
    visible_ids = {r.record_id for r in seen if r.member == target}
    return sum(
        record.action.amount.amount_minor
        for record in journal
        if record.action.target == target
        and (
            may_have_happened(record.state) or (record.state is ActionState.SEEN and record.action.fact_id is None)
        )
        and record.action.amount is not None
        and record.action.kind.value == "refund"
        and record.action.token not in visible_tokens
        and record.platform_ref not in visible_ids
    )


def money_digest(members: Iterable[Member], *parts: str, copies: str = "", cancels: bool = True) -> str:
    """Binds a plan or an approval to the money facts that were seen.

    Our own copies of the same fact (`copies`: its token) are left out, and for a cancel who else is cancelled: one
    write of a saved plan must not make the same fact's write to a third order stale.
    """
    facts: list[str] = []
    for member in sorted(members, key=lambda m: m.ref):
        facts += [
            str(member.ref),
            str(member.captured_minor),
            str(bool(cancels and member.order and member.order.is_cancelled)),
        ]
        facts += [
            f"{r.record_id}={r.amount.amount_minor}{r.amount.currency}/{r.state}"
            for r in member.records
            if not copies or r.token != copies
        ]
    return stable_hash(*parts, *facts)[:32]


def totals_digest(members: Iterable[Member]) -> str:
    """Binds the choice how to compare amounts to who is in the link and what each was charged."""
    charged = [
        f"{m.ref}={m.order.first_charged if m.order else None}" for m in sorted(members, key=lambda m: m.ref)
    ]
    return stable_hash("totals", *charged)[:32]
