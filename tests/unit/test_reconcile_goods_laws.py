"""The laws for goods: parcels and progress of two members in every combination of small states."""

from __future__ import annotations

import itertools
from datetime import timedelta

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Decision,
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Ledger,
    Link,
    LinkOrigin,
    Order,
    Progress,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, build_order

GONE = FulfillmentState.SHIPPED
PACKED = FulfillmentState.PACKED
PARCELS: dict[str, tuple[tuple[int, FulfillmentState], ...]] = {
    "none": (),
    "one": ((1, GONE),),
    "two": ((2, GONE),),
    "one and one": ((1, GONE), (1, GONE)),
    "packed": ((2, PACKED),),
    "one, one packed": ((1, GONE), (1, PACKED)),
    "cancelled": ((2, FulfillmentState.CANCELLED),),
}
STEPS = (Progress.PENDING, Progress.CONFIRMED, Progress.COMPLETED)
NOW_ANY = KindPolicy(sources="any", carry_after=timedelta(0))
POLICIES = {
    "any": Policy(fulfill=NOW_ANY, progress=NOW_ANY),
    "only a": Policy(
        fulfill=KindPolicy(sources=("a",), carry_after=timedelta(0)), progress=KindPolicy(sources=("a",))
    ),
}
CAN = frozenset({"pack", "ship", "confirm", "process", "complete"})


def order(shop: str, parcels: str, step: Progress) -> Order:
    made = [
        Fulfillment(
            id=f"{shop}-{index}",
            status=state,
            lines=(FulfillmentLine(line_item_id="line-1", quantity=units),),
            created_at=NOON - timedelta(minutes=40 - index),
            shipped_at=NOON - timedelta(minutes=30 - index) if state is GONE else None,
        )
        for index, (units, state) in enumerate(PARCELS[parcels])
    ]
    return build_order(shop, progress=step).model_copy(update={"fulfillments": tuple(made)})


def look(
    orders: dict[str, Order], policy: Policy, packs: bool, journal: list[ActionRecord], ledger: Ledger
) -> Decision:
    link = Link(
        link_id="L1",
        members=tuple(sorted(o.ref for o in orders.values())),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    does = Semantics(cancel_refunds="none", cancel_restocks="unknown", ship_needs_pack=packs)
    members = [Member(o.ref, o, CAN, does) for o in orders.values()]
    return reconcile(link, ledger, members, journal, policy, NOON, NOON - timedelta(days=10))


def happen(orders: dict[str, Order], action: Action) -> str | None:
    """The platform does it, and refuses what a platform refuses: more units than were ordered."""
    shop = action.target.shop
    made = orders[shop]
    parcels = list(made.fulfillments or ())
    steps = {"confirm": Progress.CONFIRMED, "process": Progress.PROCESSING, "complete": Progress.COMPLETED}
    if action.kind.value in steps:
        orders[shop] = made.model_copy(update={"progress": steps[action.kind.value]})
        return None
    assert action.parcel is not None
    name = action.parcel.fulfillment_id
    if action.kind is ActionKind.SHIP and name is not None:
        parcels = [
            p.model_copy(update={"status": GONE, "shipped_at": NOON}) if p.id == name else p for p in parcels
        ]
    else:
        name = f"{shop}-ours-{len(parcels)}"
        lines = tuple(
            FulfillmentLine(line_item_id=x.line_item_id, quantity=x.quantity) for x in action.parcel.lines
        )
        state = PACKED if action.kind is ActionKind.PACK else GONE
        parcels.append(Fulfillment(id=name, status=state, lines=lines, created_at=NOON, shipped_at=NOON))
    orders[shop] = made.model_copy(update={"fulfillments": tuple(parcels)})
    assert units(orders[shop], GONE, PACKED) <= 2, "never more units than were ordered"
    return name


def units(made: Order, *states: FulfillmentState) -> int:
    return sum(x.quantity for p in made.fulfillments or () if p.status in states for x in p.lines or ())


def converge(orders: dict[str, Order], policy: Policy, packs: bool) -> tuple[Decision, int]:
    journal: list[ActionRecord] = []
    ledger = look({s: order(s, "none", Progress.PENDING) for s in orders}, policy, packs, [], Ledger()).ledger
    for step in range(10):
        decision = look(orders, policy, packs, journal, ledger)
        ledger = decision.ledger
        if not decision.actions:
            return decision, step
        action = decision.actions[0]
        before = orders[action.target.shop]
        ref = happen(orders, action)
        after = orders[action.target.shop]
        assert units(after, GONE) >= units(before, GONE), "forward only"
        assert (after.progress or Progress.PENDING).rank >= (before.progress or Progress.PENDING).rank
        journal.append(ActionRecord(action=action, state=ActionState.SEEN, intended_at=NOON, platform_ref=ref))
    raise AssertionError("does not converge")


def test_goods_converge_forwards_and_never_beyond_what_was_ordered() -> None:
    walked = written = 0
    sides = list(itertools.product(PARCELS, STEPS))
    for (one, other), policy, packs in itertools.product(
        itertools.product(sides, sides), POLICIES.values(), (False, True)
    ):
        orders = {"a": order("a", *one), "b": order("b", *other)}
        try:
            last, steps = converge(orders, policy, packs)
            if policy is POLICIES["any"] and last.agrees:
                shipped = {units(o, GONE) for o in orders.values()}
                assert len(shipped) == 1, f"agreement means equal units, not {shipped}"
            blank = look(orders, policy, packs, [], Ledger())
            assert not [a for a in blank.actions if a.kind is not ActionKind.SHIP or last.agrees], (
                "a database without memory writes nothing where all agreed"
            )
        except AssertionError as broken:
            raise AssertionError(f"{one} / {other} / packs {packs}: {broken}") from broken
        walked += 1
        written += steps
    assert walked == len(sides) ** 2 * 4
    assert written > 1000


def test_names_do_not_matter_for_goods() -> None:
    renamed = {"a": "b", "b": "a"}
    for one, other in itertools.product(PARCELS, PARCELS):
        straight = look(
            {"a": order("a", one, Progress.PENDING), "b": order("b", other, Progress.PENDING)},
            POLICIES["any"],
            False,
            [],
            Ledger(),
        )
        swapped = look(
            {"a": order("a", other, Progress.PENDING), "b": order("b", one, Progress.PENDING)},
            POLICIES["any"],
            False,
            [],
            Ledger(),
        )
        mine = sorted((x.kind, x.target.shop, str(x.parcel and x.parcel.lines)) for x in straight.actions)
        theirs = sorted(
            (x.kind, renamed[x.target.shop], str(x.parcel and x.parcel.lines)) for x in swapped.actions
        )
        assert mine == theirs, (one, other)
