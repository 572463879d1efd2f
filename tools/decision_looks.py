"""Small links for the decision table: two or three orders of one sale, decided by the real code.

Unless a line says otherwise: 100.00 USD for two units, paid in full at every shop, every shop's word counts, it
happened half an hour ago, the link is old enough, and every platform can take every write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ordersync.model import (
    ActionRecord,
    ActionState,
    Decision,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Hold,
    Ledger,
    Link,
    LinkOrigin,
    Order,
    Resolution,
    Verb,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, build_order

CAN = frozenset({"cancel", "refund", "pack", "ship", "confirm", "process", "complete"})
ANY = KindPolicy(sources="any")
OPEN = Policy(cancel=ANY, refund=ANY, fulfill=ANY, progress=ANY)
QUIET = Semantics(cancel_refunds="none", cancel_restocks="unknown", refund_token_field="note", tracking=True)
"""A platform whose cancel moves no money."""
PAYING = QUIET.model_copy(update={"cancel_refunds": "all"})
UNSURE = QUIET.model_copy(update={"cancel_refunds": "unknown"})
PACKS = QUIET.model_copy(update={"ship_needs_pack": True})


@dataclass(frozen=True)
class Side:
    """One member as the decision sees it; without `order` it could not be read."""

    shop: str
    order: Order | None
    semantics: Semantics = QUIET
    can: frozenset[str] = CAN
    problem: str | None = None


@dataclass(frozen=True)
class Situation:
    """One line of the table. `decision` is what the code returned."""

    changed: str
    where: str
    decision: Decision


def side(shop: str, *, semantics: Semantics = QUIET, can: frozenset[str] = CAN, **order: Any) -> Side:
    """A member whose order is built by `build_order(shop, **order)`."""
    return Side(shop, build_order(shop, **order), semantics, can)


def without(*calls: str) -> frozenset[str]:
    return CAN - set(calls)


def altered(one: Side, **fields: Any) -> Side:
    assert one.order is not None
    return Side(one.shop, one.order.model_copy(update=fields), one.semantics, one.can, one.problem)


def other_goods(one: Side) -> Side:
    """The same side with line items that match nobody else's."""
    assert one.order is not None
    lines = tuple(line.model_copy(update={"sku": "MUG", "title": "Mug"}) for line in one.order.line_items or ())
    return altered(one, line_items=lines)


def fewer_units(one: Side) -> Side:
    """The same side with one unit of each line item."""
    assert one.order is not None
    lines = tuple(line.model_copy(update={"quantity": 1}) for line in one.order.line_items or ())
    return altered(one, line_items=lines)


def look(
    *sides: Side,
    policy: Policy = OPEN,
    before: Decision | None = None,
    journal: Sequence[ActionRecord] = (),
    answers: Sequence[Resolution] = (),
    live_days: float = 30,
) -> Decision:
    """Decide one link at NOON. `before` is an earlier look, whose ledger this one goes on from."""
    members = [
        Member(build_order(s.shop).ref if s.order is None else s.order.ref, s.order, s.can, s.semantics, s.problem)
        for s in sides
    ]
    link = Link(
        link_id="L1",
        members=tuple(sorted(m.ref for m in members)),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    ledger = before.ledger if before else Ledger()
    live_from = NOON - timedelta(days=live_days)
    return reconcile(link, ledger, members, journal, policy, NOON, live_from, answers)


def policy_of(kind: str, **fields: Any) -> Policy:
    """OPEN with other words for one kind; `sources` stays any unless given."""
    return OPEN.model_copy(update={kind: KindPolicy(**{"sources": "any", **fields})})


def tried(before: Decision, state: ActionState, minutes_ago: int = 5) -> list[ActionRecord]:
    """The journal after the first write that `before` planned came to `state`; a doubt was looked for twice since,
    unless it is from this moment."""
    at = NOON - timedelta(minutes=minutes_ago)
    [action] = before.actions[:1]
    answer = "400 not allowed" if state is ActionState.REFUSED else None
    looked = (1, 2) if state is ActionState.DOUBT and minutes_ago else ()
    return [
        ActionRecord(
            action=action,
            state=state,
            intended_at=at,
            sent_at=at,
            answered_at=at,
            answer=answer,
            looked_at=tuple(at + timedelta(minutes=after) for after in looked),
        )
    ]


def answered(verb: Verb, holds: Iterable[Hold]) -> list[Resolution]:
    """What a person said to these holds just now."""
    return [
        Resolution(
            number=number,
            hold=f"H-{number}",
            hold_key=hold.key,
            code=hold.code,
            verb=verb,
            link_id=hold.link_id,
            target=hold.target,
            facts=hold.facts,
            digest=hold.digest or "",
            who="ann",
            why="agreed with the buyer",
            at=NOON,
            expires_at=NOON + timedelta(hours=72),
        )
        for number, hold in enumerate(holds, 1)
    ]


def parcel(
    name: str = "p1",
    units: int = 2,
    *,
    state: FulfillmentState = FulfillmentState.SHIPPED,
    minutes_ago: int | None = 30,
    tracking: str | None = None,
    told: bool = True,
) -> Fulfillment:
    """A parcel of `units`; with `told` false the platform does not say what is inside."""
    at = None if minutes_ago is None else NOON - timedelta(minutes=minutes_ago)
    return Fulfillment(
        id=name,
        status=state,
        lines=(FulfillmentLine(line_item_id="line-1", quantity=units),) if told else None,
        carrier="SF" if tracking else None,
        tracking_numbers=(tracking,) if tracking else (),
        created_at=at,
        shipped_at=at if state is not FulfillmentState.PACKED else None,
    )


def goods(shop: str, *parcels: Fulfillment, semantics: Semantics = QUIET, **order: Any) -> Side:
    """A member with these parcels."""
    can = order.pop("can", CAN)
    return altered(side(shop, semantics=semantics, can=can, **order), fulfillments=parcels)
