"""Shipments: parcels that left are carried, compared by units per matched line; packed is no news to a buyer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ordersync.model import (
    Action,
    ActionKind,
    ActionState,
    Cell,
    CellState,
    Fact,
    FactKind,
    Fulfillment,
    FulfillmentState,
    LedgerRow,
    LineUnits,
    OrderRef,
    Parcel,
    fact_id_of,
    stable_hash,
)
from ordersync.reconcile.attempts import after_attempts
from ordersync.reconcile.decide import Case
from ordersync.reconcile.lines import Key, LineTable, line_tables
from ordersync.reconcile.members import Member
from ordersync.reconcile.same_goods import hold_parcels_that_differ, other_number

UNDECIDED = (CellState.OWED, CellState.SENT, CellState.FAILED)
GONE = (FulfillmentState.SHIPPED, FulfillmentState.DELIVERED)

WRITTEN = (ActionState.SEEN, ActionState.RECEIPTED, ActionState.DOUBT, ActionState.LEFT)


@dataclass(slots=True)
class Sent:
    """A parcel that left, and its units that no fact has claimed yet."""

    member: OrderRef
    parcel: Fulfillment
    left: dict[Key, int]

    @property
    def at(self) -> tuple[float, OrderRef, str]:
        when = self.parcel.shipped_at or self.parcel.created_at
        return (when.timestamp() if when else float("inf"), self.member, self.parcel.id)


@dataclass(slots=True)
class Shipping:
    """One fact: units that left at one member, what covers them elsewhere and what is owed."""

    fact: Fact
    origin: Sent
    covered_by: dict[OrderRef, list[str]] = field(default_factory=dict)
    owed: dict[OrderRef, dict[Key, int]] = field(default_factory=dict)
    units: dict[Key, int] = field(default_factory=dict)
    other_number: dict[OrderRef, dict[Key, int]] = field(default_factory=dict)
    """Units taken as these although a person shipped them there under another tracking number."""


def decide_shipments(case: Case) -> None:
    """Fill the ledger's shipment rows and plan what is owed; money holds do not stop it."""
    previous = {r.fact.fact_id: r for r in case.previous.rows if r.fact.kind is FactKind.SHIPMENT}
    gone = _went_back(case, previous)
    parcels = [p for m in case.members for p in (m.order.fulfillments if m.order else None) or ()]
    if not any(p.status in GONE for p in parcels):
        case.rows += [previous[fact_id] for fact_id in gone]
        return
    _hold_surplus(case)
    if any(p.status in GONE and p.lines is None for p in parcels):
        case.skipped.append("a platform of this link does not tell what its parcels hold: shipments stay its own")
        case.rows += list(previous.values())
        return
    tables = line_tables([m.order for m in case.members if m.order])
    if tables is None:
        _hold_unmatched(case)
        case.rows += list(previous.values())
        return
    by_member = {m.ref: table for m, table in zip(case.members, tables, strict=True)}
    copies = _copies(previous, gone)
    facts = _facts(case, by_member, copies)
    hold_parcels_that_differ(case, facts, by_member)
    for shipping in facts:
        fact_id = shipping.fact.fact_id
        if fact_id in gone:
            continue
        row = previous.get(fact_id)
        cells = tuple(_cell(case, shipping, m, by_member[m.ref], row) for m in case.members)
        case.rows.append(LedgerRow(fact=shipping.fact, cells=cells))
    stay = [id_ for id_, row in previous.items() if id_ in gone or (row.fact.origin, row.fact.record_id) in copies]
    case.rows += [previous[fact_id] for fact_id in stay]


def _hold_surplus(case: Case) -> None:
    """More units left than the order has, at an order ordersync shipped something of: goods may have left twice."""
    for member in case.members:
        wrote = any(
            a.action.target == member.ref and a.action.kind is ActionKind.SHIP and a.state in WRITTEN
            for a in case.journal
        )
        if not wrote or member.order is None:
            continue
        left = _units([p for p in member.order.fulfillments or () if p.status in GONE])
        surplus = [
            f"{line.sku or line.id}: {left[line.id]} of {line.quantity}"
            for line in member.order.line_items or ()
            if left.get(line.id, 0) > line.quantity
        ]
        if surplus:
            case.hold(
                "overshoot",
                f"{member.ref} shows more units shipped than it has: {', '.join(surplus)}",
                "parcels",
                target=member.ref,
                sticky=True,
            )


def _copies(previous: Mapping[str, LedgerRow], gone: Collection[str]) -> set[tuple[OrderRef, str]]:
    """Parcels that were counted as a copy of one that went back: what is left of a fact is no fact of its own, or
    the parcel that a person took back would be shipped again."""
    return {
        (cell.member, record_id)
        for fact_id in gone
        for cell in previous[fact_id].cells
        if cell.member != previous[fact_id].fact.origin
        for record_id in cell.record_ids
    }


def _went_back(case: Case, previous: Mapping[str, LedgerRow]) -> list[str]:
    """Facts a parcel of which was counted on two sides and is no longer there: a person looks, nothing is undone."""
    found: list[str] = []
    for fact_id, row in previous.items():
        present = [cell for cell in row.cells if cell.state is CellState.PRESENT]
        missing = [
            f"{cell.member} {record_id}"
            for cell in present
            for record_id in cell.record_ids
            if not _still_gone(case.member(cell.member), record_id)
        ]
        carried = len(present) > 1 or any(a.action.fact_id == fact_id for a in case.journal)
        if missing and carried:
            found.append(fact_id)
            case.hold(
                "shipment_went_back",
                f"a parcel that was counted was cancelled or vanished: {', '.join(missing)}",
                fact_id,
                sticky=True,
            )
    return found


def _still_gone(member: Member, parcel_id: str) -> bool:
    parcels = (member.order.fulfillments if member.order else None) or ()
    return any(p.id == parcel_id and p.status in GONE for p in parcels)


def _hold_unmatched(case: Case) -> None:
    if len({m.shipped_units for m in case.members}) > 1 and any(
        case.policy.fulfill.counts(m.ref.shop) and m.shipped_units for m in case.members
    ):
        case.hold(
            "lines_do_not_match",
            "members shipped different numbers of units, and their line items do not match by sku, variant or title",
        )
    else:
        case.skipped.append("line items do not match across members: shipments are not compared")


def _facts(
    case: Case, tables: Mapping[OrderRef, LineTable], copies: Collection[tuple[OrderRef, str]]
) -> list[Shipping]:
    """Parcels of shops that count, oldest first, each with what covers it at the other members.

    Every unit of every parcel is claimed once, so the same goods shipped by hand on two sides are one fact. Those
    in `copies` cover, and are no facts.
    """
    sent = [
        Sent(m.ref, p, tables[m.ref].units([(line.line_item_id, line.quantity) for line in p.lines or ()]) or {})
        for m in case.members
        for p in (m.order.fulfillments if m.order else None) or ()
        if p.status in GONE
    ]
    sent.sort(key=lambda one: one.at)
    facts: list[Shipping] = []
    for one in sent:
        if not case.policy.fulfill.counts(one.member.shop) or _ours(case, one) or not any(one.left.values()):
            continue
        if (one.member, one.parcel.id) in copies:
            continue
        units = {key: count for key, count in one.left.items() if count > 0}
        one.left = {}
        shipping = Shipping(_fact_of(one), one, units=units)
        for member in case.others(one.member):
            owed = dict(units)
            theirs = [other for other in sent if other.member == member.ref]
            theirs.sort(key=lambda other: (not _same_tracking(one.parcel, other.parcel), other.at))
            for other in theirs:
                taken = _cover(owed, other.left)
                if taken:
                    shipping.covered_by.setdefault(member.ref, []).append(other.parcel.id)
                    if other_number(one.parcel, other.parcel) and not _ours(case, other):
                        unsure = shipping.other_number.setdefault(member.ref, {})
                        unsure.update({key: min(count, unsure.get(key, count)) for key, count in taken.items()})
            shipping.owed[member.ref] = {key: count for key, count in owed.items() if count > 0}
        facts.append(shipping)
    if not facts and any(one.left and any(one.left.values()) for one in sent):
        said = ", ".join(f"{m.ref} {m.shipped_units}" for m in case.members)
        if len({m.shipped_units for m in case.members}) > 1:
            case.skipped.append(f"shipped units differ ({said}): local, not among policy.fulfill.from")
    return facts


def _cover(owed: dict[Key, int], left: dict[Key, int]) -> dict[Key, int]:
    """Take what `left` has of `owed` from both; what was taken."""
    taken: dict[Key, int] = {}
    for key in owed:
        count = min(owed[key], left.get(key, 0))
        if count > 0:
            owed[key] -= count
            left[key] -= count
            taken[key] = count
    return taken


def _same_tracking(one: Fulfillment, other: Fulfillment) -> bool:
    return bool(set(one.tracking_numbers) & set(other.tracking_numbers))


def _ours(case: Case, one: Sent) -> bool:
    """A parcel this store wrote is a copy, not news."""
    return any(
        a.action.kind is ActionKind.SHIP
        and a.action.fact_id is not None
        and a.action.target == one.member
        and a.platform_ref == one.parcel.id
        and a.state in (ActionState.SEEN, ActionState.RECEIPTED)
        for a in case.journal
    )


def _fact_of(one: Sent) -> Fact:
    tracking = " ".join(filter(None, (one.parcel.carrier, *one.parcel.tracking_numbers)))
    return Fact(
        fact_id=fact_id_of(one.member, FactKind.SHIPMENT, one.parcel.id),
        kind=FactKind.SHIPMENT,
        origin=one.member,
        record_id=one.parcel.id,
        happened_at=one.parcel.shipped_at or one.parcel.created_at,
        reason=tracking or None,
    )


def _cell(case: Case, shipping: Shipping, member: Member, table: LineTable, row: LedgerRow | None) -> Cell:
    fact = shipping.fact
    if member.ref == fact.origin:
        return Cell(member=member.ref, state=CellState.PRESENT, record_ids=(fact.record_id,))
    covered = tuple(shipping.covered_by.get(member.ref, ()))
    owed = shipping.owed.get(member.ref, {})
    if not owed:
        return Cell(member=member.ref, state=CellState.PRESENT, record_ids=covered)
    before = row.cell(member.ref) if row else None
    waived = case.waived(fact.fact_id, member.ref, before)
    if waived is not None:
        return waived
    state, reason = _owed(case, shipping, member, table, owed, before)
    if state is CellState.OWED and before is not None and before.state is CellState.CANNOT:
        state = CellState.CANNOT  # until it was done: an approval lets it pass once
    return Cell(member=member.ref, state=state, record_ids=covered, reason=reason)


def _owed(
    case: Case,
    shipping: Shipping,
    member: Member,
    table: LineTable,
    owed: dict[Key, int],
    before: Cell | None,
) -> tuple[CellState, str | None]:
    fact, target, order = shipping.fact, member.ref, member.order
    tried = after_attempts(case, fact.fact_id, target, "the parcel")
    if tried is not None:
        return tried
    needed = ("pack", "ship") if member.semantics.ship_needs_pack else ("ship",)
    if any(call not in member.capabilities for call in needed):
        case.skipped.append(f"{target} shipment: cannot, its platform has no call for it or `allow` forbids it")
        return CellState.CANNOT, "no_ship_call"
    if all(_is_cancelled(case, ref) for ref in (target, fact.origin, *shipping.covered_by)):
        case.skipped.append(f"{target} shipment: cannot, it and {fact.origin} are cancelled")
        return CellState.CANNOT, "cancelled_since"
    unable = before is not None and before.state is CellState.CANNOT
    if unable and not case.approved("now_possible", fact.fact_id, target, None):
        case.hold(
            "now_possible", f"{target} could not be shipped before and now could", fact.fact_id, target=target
        )
        return CellState.CANNOT, "now_possible"
    if order is None or order.is_cancelled:
        case.hold(
            "shipped_but_cancelled",
            f"{fact.origin} was shipped but {target} is cancelled",
            fact.fact_id,
            target=target,
        )
        return CellState.OWED, "shipped_but_cancelled"
    if _owed_a_cancel(case, target):
        case.wait("cancel_first", f"{target} is to be cancelled; nothing is shipped there", target, fact.fact_id)
        return CellState.OWED, "cancel_first"
    ill_dated = case.ill_dated(fact, target)
    if ill_dated is not None and not case.approved(ill_dated[0], fact.fact_id, target, None):
        code, why = ill_dated
        case.hold(code, f"{fact.origin} was shipped and {target} was not; {why}", fact.fact_id, target=target)
        return CellState.OWED, code
    lag = case.policy.fulfill.carry_after or member.semantics.visibility_lag
    if fact.happened_at is not None and case.now < fact.happened_at + lag:
        case.wait("carry_after", f"carried once it is {lag} old", target, fact.fact_id, fact.happened_at + lag)
        return CellState.OWED, "carry_after"
    if case.keeps_goods_waiting(target):
        case.wait("one_at_a_time", f"{target} gets one write at a time", target, fact.fact_id)
        return CellState.OWED, "one_at_a_time"
    return _plan(case, shipping, member, table, owed)


def _is_cancelled(case: Case, ref: OrderRef) -> bool:
    order = case.member(ref).order
    return order is not None and order.is_cancelled


def _owed_a_cancel(case: Case, ref: OrderRef) -> bool:
    """The cancel is written now, waits, is held or was refused; a person who left it has ended that."""
    cells = [row.cell(ref) for row in case.rows if row.fact.kind is FactKind.CANCELLATION]
    return any(cell is not None and cell.state in UNDECIDED for cell in cells)


def _plan(
    case: Case, shipping: Shipping, member: Member, table: LineTable, owed: dict[Key, int]
) -> tuple[CellState, str | None]:
    """Ship at once, or pack first and ship on the next look, or ship the very parcel that stands packed."""
    order, target, fact = member.order, member.ref, shipping.fact
    parcels = (order.fulfillments if order else None) or ()
    packed = [p for p in parcels if p.status is FulfillmentState.PACKED]
    shipped = _units([p for p in parcels if p.status in GONE])
    ready = next((p for p in packed if _holds(table, p, owed)), None)
    if member.semantics.ship_needs_pack and ready is not None:
        lines = tuple(
            LineUnits(line_item_id=line.line_item_id, quantity=line.quantity) for line in ready.lines or ()
        )
        _act(case, ActionKind.SHIP, shipping, target, lines, shipped, ready.id)
        return CellState.OWED, None
    taken = _units([*packed, *(p for p in parcels if p.status in GONE)])
    spread = table.spread(owed, taken)
    if spread is None:
        code = "packed_differently" if packed else "lines_do_not_fit"
        case.hold(
            code,
            f"{fact.origin} shipped units that {target} has "
            + ("packed in another way" if packed else "not left to ship"),
            fact.fact_id,
            target=target,
        )
        return CellState.OWED, code
    if member.semantics.ship_needs_pack:
        _act(case, ActionKind.PACK, shipping, target, spread, taken, None)
    else:
        _act(case, ActionKind.SHIP, shipping, target, spread, shipped, None)
    return CellState.OWED, None


def _holds(table: LineTable, parcel: Fulfillment, owed: Mapping[Key, int]) -> bool:
    return parcel.lines is not None and (
        table.units([(line.line_item_id, line.quantity) for line in parcel.lines]) == dict(owed)
    )


def _units(parcels: list[Fulfillment]) -> dict[str, int]:
    """Units by line item id in these parcels."""
    found: dict[str, int] = {}
    for parcel in parcels:
        for line in parcel.lines or ():
            found[line.line_item_id] = found.get(line.line_item_id, 0) + line.quantity
    return found


def _act(
    case: Case,
    kind: ActionKind,
    shipping: Shipping,
    target: OrderRef,
    lines: tuple[LineUnits, ...],
    there: Mapping[str, int],
    fulfillment_id: str | None,
) -> None:
    fact, parcel = shipping.fact, shipping.origin.parcel
    after = tuple(
        LineUnits(line_item_id=line.line_item_id, quantity=there.get(line.line_item_id, 0) + line.quantity)
        for line in lines
    )
    generation = sum(
        1 for a in case.attempts(target, fact.fact_id) if a.action.kind is kind and a.state is ActionState.EXPIRED
    )
    text = ",".join(f"{line.line_item_id}={line.quantity}" for line in after)
    at = f" {fact.happened_at:%Y-%m-%d %H:%M}" if fact.happened_at else ""
    case.actions.append(
        Action(
            key=stable_hash(fact.fact_id, str(target), kind.value, fulfillment_id or "", text, str(generation))[
                :40
            ],
            kind=kind,
            target=target,
            link_id=case.link.link_id,
            fact_id=fact.fact_id,
            token=fact.token,
            reason=f"shipped on {fact.origin.shop}",
            notify_buyer=case.policy.fulfill.notify_buyer,
            # What leaves uses the approval up; packing before it goes under it.
            approvals=case.approvals(target, fact.fact_id) if kind is ActionKind.SHIP else (),
            parcel=Parcel(
                lines=lines,
                shipped_after=after,
                fulfillment_id=fulfillment_id,
                carrier=parcel.carrier,
                tracking_number=next(iter(parcel.tracking_numbers), None),
                tracking_url=next(iter(parcel.tracking_urls), None),
            ),
            because=f"{fact.origin} shipped{at}" + (f", {fact.reason}" if fact.reason else ""),
            digest=stable_hash(fact.fact_id, str(target), kind.value, text)[:32],
        )
    )
