"""The laws of DESIGN 7 about one decision: checked for every write it plans, against the orders as they truly are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.laws.platform import GONE, STEPS, captured, completed, in_parcels, pays_buyer, refunded, units
from tests.laws.sides import World

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    CellState,
    Decision,
    FactKind,
    FulfillmentState,
    LedgerRow,
    Order,
    Progress,
    Purse,
    RefundState,
    may_have_happened,
)

LAWS = {
    1: "converges",
    2: "symmetric",
    3: "forward only",
    4: "agreement is not conflict",
    5: "one purse",
    6: "conservation",
    7: "no fact, no write; same fact, same id",
    8: "a lost database repeats nothing",
}
TOLERANCE = 1
WRITES = {
    FactKind.REFUND: (ActionKind.REFUND,),
    FactKind.CANCELLATION: (ActionKind.CANCEL,),
    FactKind.SHIPMENT: (ActionKind.PACK, ActionKind.SHIP),
    FactKind.PROGRESS: (ActionKind.CONFIRM, ActionKind.PROCESS, ActionKind.COMPLETE),
}


class Broken(Exception):
    """A law does not hold."""


@dataclass(slots=True)
class Tally:
    """What was walked and checked."""

    walked: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    checked: Counter[int] = field(default_factory=Counter)
    broken: Counter[int] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def check(self, law: int, holds: bool, why: str) -> None:
        self.checked[law] += 1
        if not holds:
            self.broken[law] += 1
            raise Broken(f"law {law} ({LAWS[law]}): {why}")

    def add(self, other: Tally) -> None:
        self.walked += other.walked
        self.looks += other.looks
        self.writes += other.writes
        self.checked += other.checked
        self.broken += other.broken
        self.examples = (self.examples + other.examples)[:20]


def check_decision(
    tally: Tally, world: World, orders: Mapping[str, Order], decision: Decision, journal: Sequence[ActionRecord]
) -> None:
    """Everything the laws say about the writes one decision plans. `orders` are the truth, seen or not."""
    targets = [action.target for action in decision.actions]
    tally.check(6, len(set(targets)) == len(targets), "one write to an order at a time")
    for action in decision.actions:
        _check_fact(tally, world, orders, decision, action, journal)
        target = orders[action.target.shop]
        if action.kind is ActionKind.REFUND:
            _check_refund(tally, world, orders, target, action)
        elif action.kind is ActionKind.CANCEL:
            _check_cancel(tally, world, decision, target, action)
        elif action.kind in (ActionKind.PACK, ActionKind.SHIP):
            _check_parcel(tally, target, action)
        else:
            _check_step(tally, world, orders, target, action)


def _check_fact(
    tally: Tally,
    world: World,
    orders: Mapping[str, Order],
    decision: Decision,
    action: Action,
    journal: Sequence[ActionRecord],
) -> None:
    """A write is about a fact that a member whose word counts shows as its own; no key is used twice."""
    row = next((r for r in decision.ledger.rows if r.fact.fact_id == action.fact_id), None)
    tally.check(7, row is not None, f"{action.kind} without a fact")
    if row is None:
        return
    tally.check(7, action.kind in WRITES[row.fact.kind], f"{action.kind} for a {row.fact.kind}")
    shops = [shop for shop in orders if shop != action.target.shop and _shows(orders[shop], row, journal)]
    tally.check(
        7, any(world.rules.counts(shop) for shop in shops), f"{action.kind}: no shop that counts says so itself"
    )
    used = [r for r in journal if r.action.key == action.key]
    tally.check(7, not used, "a key is used twice")
    same = [r for r in journal if r.action.target == action.target and r.action.fact_id == action.fact_id]
    again = [r for r in same if r.action.kind is action.kind and may_have_happened(r.state)]
    tally.check(8, not again, f"{action.kind} is planned again while the first may have happened")
    tally.check(8, not _marked(orders[action.target.shop], action), "our mark is there already")


def _marked(target: Order, action: Action) -> bool:
    return action.kind is ActionKind.REFUND and any(action.token in (r.note or "") for r in target.refunds or ())


def _shows(order: Order, row: LedgerRow, journal: Sequence[ActionRecord]) -> bool:
    """This order shows the fact, completed, and not because we wrote it there."""
    cell = row.cell(order.ref)
    if cell is None or cell.state is not CellState.PRESENT:
        return False
    wrote = [r for r in journal if r.action.target == order.ref and r.action.fact_id == row.fact.fact_id]
    if row.fact.kind is FactKind.REFUND:
        return any(
            r.id in cell.record_ids and r.status is RefundState.COMPLETED and "os-" not in (r.note or "")
            for r in order.refunds or ()
        )
    if row.fact.kind is FactKind.CANCELLATION:
        return order.is_cancelled and not wrote
    if row.fact.kind is FactKind.SHIPMENT:
        return any(p.id in cell.record_ids and p.status in GONE for p in order.fulfillments or ()) and not wrote
    return order.progress is not None and not wrote


def _check_refund(tally: Tally, world: World, orders: Mapping[str, Order], target: Order, action: Action) -> None:
    others = [order for order in orders.values() if order.ref != target.ref]
    assert action.amount is not None, "a refund has an amount"
    after = refunded(target) + action.amount.amount_minor
    charged = target.first_charged
    tally.check(6, after <= captured(target), "a member's refunds exceed what was captured")
    tally.check(
        6, charged is not None and after <= charged.amount_minor, "a member's refunds exceed what was charged"
    )
    payment = next((p for p in target.payments or () if p.id == action.payment_id), None)
    tally.check(6, payment is not None, "a refund names its payment")
    if payment is not None:
        taken = sum(
            r.amount.amount_minor
            for r in target.refunds or ()
            if r.payment_id == payment.id and r.status is not RefundState.FAILED
        )
        tally.check(
            6, taken + action.amount.amount_minor <= payment.captured.amount_minor, "more than the payment holds"
        )
        tally.check(5, action.purse is payment.purse, "the purse is the payment's")
        paying = payment.purse is Purse.GATEWAY
        tally.check(5, not paying or not any(map(pays_buyer, others)), "two orders could pay the buyer")
    tally.check(6, after <= max(map(completed, others)) + TOLERANCE, "above the highest completed elsewhere")
    for line in target.line_items or ():
        given = sum(x.quantity for r in target.refunds or () for x in r.lines if x.line_item_id == line.id)
        given += sum(x.quantity for x in action.refund_lines if x.line_item_id == line.id)
        tally.check(6, given <= line.quantity, "more units of a line are refunded than were sold")
    over = world.rules.approve_over
    tally.check(7, over is None or action.amount.amount_minor <= over, "above approve_over without a person")
    returned = any(r.restock for order in others for r in order.refunds or ())
    tally.check(7, not action.restock or (world.rules.restock and returned), "stock returned without being asked")


def _check_cancel(tally: Tally, world: World, decision: Decision, target: Order, action: Action) -> None:
    tally.check(7, not target.is_cancelled, "it is cancelled already")
    late = (
        in_parcels(target, *GONE, FulfillmentState.PACKED)
        or target.progress is Progress.COMPLETED
        or target.archived
    )
    tally.check(3, not late, "a cancel of what is shipped, packed, completed or archived")
    tally.check(6, refunded(target, RefundState.PENDING) == 0, "a cancel while a refund is pending")
    owed = [
        row
        for row in decision.ledger.rows
        if row.fact.kind is FactKind.REFUND
        and (cell := row.cell(target.ref)) is not None
        and cell.state in (CellState.OWED, CellState.SENT)
    ]
    if world.platform == "none":
        tally.check(6, not owed, "a cancel before its refund")
    else:
        tally.check(6, completed(target) >= captured(target), "a cancel would refund by itself")


def _check_parcel(tally: Tally, target: Order, action: Action) -> None:
    assert action.parcel is not None, "a parcel holds lines"
    sold = {line.id: line.quantity for line in target.line_items or ()}
    beside = units(target, *GONE, FulfillmentState.PACKED)
    if action.parcel.fulfillment_id is None:
        adds = sum(line.quantity for line in action.parcel.lines)
        tally.check(6, beside + adds <= sum(sold.values()), "more units in parcels than were sold")
    else:
        ready = [p for p in target.fulfillments or () if p.id == action.parcel.fulfillment_id]
        tally.check(
            3, [p.status for p in ready] == [FulfillmentState.PACKED], "only a packed parcel is sent on its way"
        )
    tally.check(3, not target.is_cancelled, "a parcel for a cancelled order")


def _check_step(tally: Tally, world: World, orders: Mapping[str, Order], target: Order, action: Action) -> None:
    step = STEPS[action.kind]
    furthest = max((o.progress or Progress.PENDING).rank for s, o in orders.items() if world.rules.counts(s))
    tally.check(3, step.rank > (target.progress or Progress.PENDING).rank, "a step backwards")
    tally.check(3, step.rank <= furthest, "a step further than anyone's")
    tally.check(3, not any(o.is_cancelled for o in orders.values()), "a step of a cancelled sale")
