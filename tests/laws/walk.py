"""The walk: from a world look, decide, let one write happen, look again, until nothing is due; laws at every step.

Beside the straight way, each write is also seen at its other moments: being sent, accepted but not visible, in doubt
and done, in doubt and not done, made by hand meanwhile, refused, never sent, and with the database lost or restored.
Each of these is one more look, and none may plan what could happen twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.laws.platform import GONE, captured, completed, happen, refunded, units
from tests.laws.rules import TOLERANCE, Broken, Tally, check_decision
from tests.laws.sides import SEMANTICS, World

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    CellState,
    Decision,
    FactKind,
    Ledger,
    Link,
    LinkOrigin,
    Order,
    OrderRef,
    Progress,
    RefundState,
)
from ordersync.reconcile import Member, reconcile
from ordersync.testing.orders import NOON

CAN = frozenset({"cancel", "refund", "pack", "ship", "confirm", "process", "complete"})
STEPS_MAX = 16
BIRTH = NOON - timedelta(days=30)
LATER = timedelta(hours=2)
Trace = tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Walk:
    """One world on its way: the orders as they truly are, and what our database remembers."""

    world: World
    tally: Tally
    orders: dict[str, Order]
    journal: list[ActionRecord] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    now: datetime = NOON
    backups: list[tuple[list[ActionRecord], Ledger]] = field(default_factory=list)

    def look(
        self,
        orders: Mapping[str, Order] | None = None,
        *,
        journal: Sequence[ActionRecord] | None = None,
        ledger: Ledger | None = None,
        now: datetime | None = None,
        live_from: datetime = BIRTH,
    ) -> Decision:
        seen = self.orders if orders is None else orders
        self.tally.looks += 1
        semantics = SEMANTICS[self.world.platform]
        return reconcile(
            Link(
                link_id="L1",
                members=tuple(order.ref for order in seen.values()),
                origin=LinkOrigin.HAND,
                made_at=NOON - timedelta(days=1),
            ),
            self.ledger if ledger is None else ledger,
            [Member(order.ref, order, CAN, semantics) for order in seen.values()],
            self.journal if journal is None else journal,
            self.world.rules.policy(),
            now or self.now,
            live_from,
        )


def walk(world: World, tally: Tally, *, moments: bool = True) -> Trace:
    """Walk one world to its end. What was done and held, so that it can be compared with its mirror image's.

    `moments=False` leaves out what is looked at beside the straight way.
    """
    way = Walk(world, tally, world.orders())
    if world.has_past or world.moved:
        way.ledger = way.look(world.orders(earlier=True)).ledger
    done: list[tuple[str, ...]] = []
    waited = False
    for _ in range(STEPS_MAX):
        decision = way.look()
        check_decision(tally, world, way.orders, decision, way.journal)
        if not way.journal and not waited:
            _check_agreement(way, decision)
        if moments:
            again = way.look(ledger=decision.ledger)
            tally.check(7, again == decision, "a second look decides otherwise")
        if not decision.actions:
            until = [wait.until for wait in decision.waits if wait.until is not None and wait.until > way.now]
            if until and not waited:
                waited, way.now, way.ledger = True, max(until), decision.ledger
                continue
            _check_end(way, decision, moments=moments)
            done += [("hold", h.code, str(h.target and h.target.shop), str(h.money)) for h in decision.holds]
            done += [("wait", w.code, w.target.shop) for w in decision.waits]
            tally.check(1, True, "")
            return tuple(done)
        action = decision.actions[0]
        before = way.orders
        after = {**before}
        after[action.target.shop], made = happen(before[action.target.shop], action, SEMANTICS[world.platform])
        _check_forward(way, before, after)
        way.backups.append((list(way.journal), way.ledger))
        way.ledger = decision.ledger
        if moments:
            _check_moments(way, action, made, after)
        way.orders = after
        way.journal.append(_record(action, ActionState.SEEN, made))
        if moments:
            _check_restored(way, action, before)
        done.append(
            (action.kind.value, action.target.shop, str(action.amount), str(action.parcel and action.parcel.lines))
        )
        tally.writes[action.kind.value] += 1
    tally.check(1, False, "it never ends")
    return tuple(done)


_LOOKS = (NOON + timedelta(minutes=5), NOON + timedelta(minutes=10))
"""A doubt was looked for twice: a person is asked."""


def _record(action: Action, state: ActionState, made: str | None = None) -> ActionRecord:
    sent = None if state in (ActionState.INTENDED, ActionState.EXPIRED) else NOON
    answered = NOON if state in (ActionState.RECEIPTED, ActionState.SEEN, ActionState.REFUSED) else None
    return ActionRecord(
        action=action,
        state=state,
        intended_at=NOON,
        sent_at=sent,
        answered_at=answered,
        platform_ref=made,
        looked_at=_LOOKS if state is ActionState.DOUBT else (),
    )


def _repeats(way: Walk, decision: Decision, action: Action) -> list[Action]:
    """What is planned at the same order for the same fact, or at all where it moves money."""
    return [
        a
        for a in decision.actions
        if a.target == action.target
        and (a.fact_id == action.fact_id or (_moves_money(way, a) and _moves_money(way, action)))
    ]


def _moves_money(way: Walk, action: Action) -> bool:
    """A cancel counts as money unless there is none, or its platform is known not to refund by it."""
    if action.kind is ActionKind.CANCEL:
        return way.world.platform != "none" and captured(way.orders[action.target.shop]) > 0
    return action.kind is ActionKind.REFUND


def _check_moments(way: Walk, action: Action, made: str, after: Mapping[str, Order]) -> None:
    """The write at every moment but its good end. `after` are the orders once it has happened."""
    tally, before = way.tally, way.orders
    check = tally.check
    for state, ref, orders, later in (
        (ActionState.SENDING, None, before, timedelta(0)),
        (ActionState.RECEIPTED, made, before, timedelta(0)),
        (ActionState.RECEIPTED, made, before, LATER),
        (ActionState.RECEIPTED, made, after, timedelta(0)),
        (ActionState.DOUBT, None, before, timedelta(0)),
        (ActionState.DOUBT, None, after, timedelta(0)),
    ):
        journal = [*way.journal, _record(action, state, ref)]
        decision = way.look(orders, journal=journal, now=way.now + later)
        check(8, not _repeats(way, decision, action), f"{action.kind} is planned again while {state}")
        check_decision(tally, way.world, after, decision, journal)
        doubtful = state is ActionState.DOUBT
        held = {h.code for h in decision.holds}
        check(1, not doubtful or "in_doubt" in held, "a doubt no person is told of")
        overdue = bool(later) and not ({"not_visible", "member_unreadable"} & held)
        check(1, not overdue, "a write unseen for hours that no person is told of")
        if doubtful and _moves_money(way, action):
            check(6, not any(_moves_money(way, a) for a in decision.actions), "money moves beside a doubt")
    if action.kind is ActionKind.REFUND:
        _check_by_hand(way, action)
    refused = way.look(before, journal=[*way.journal, _record(action, ActionState.REFUSED)])
    check(1, "refused" in {h.code for h in refused.holds}, "a refusal no person is told of")
    check(
        7,
        not [a for a in _repeats(way, refused, action) if a.fact_id == action.fact_id],
        "a refusal is asked again",
    )
    unsent = way.look(before, journal=[*way.journal, _record(action, ActionState.EXPIRED)])
    once_more = [a for a in unsent.actions if (a.kind, a.target, a.fact_id) == _what(action)]
    check(1, len(once_more) == 1, "what was never sent is not tried again")
    check(7, all(a.key != action.key for a in once_more), "a new try under an old key")


def _what(action: Action) -> tuple[ActionKind, OrderRef, str | None]:
    return action.kind, action.target, action.fact_id


def _check_by_hand(way: Walk, action: Action) -> None:
    """While ours is in doubt, a person makes the same refund: it is not taken for ours, and nothing is sent."""
    shop = action.target.shop
    twin = action.model_copy(update={"token": "", "reason": "by hand"})
    by_hand, _ = happen(way.orders[shop], twin, SEMANTICS[way.world.platform])
    decision = way.look({**way.orders, shop: by_hand}, journal=[*way.journal, _record(action, ActionState.DOUBT)])
    money = [a for a in decision.actions if _moves_money(way, a)]
    way.tally.check(8, not money, "money moves beside a doubt and a refund made by hand")


def _check_restored(way: Walk, action: Action, before: Mapping[str, Order]) -> None:
    """The write is done and may not be visible yet. The database is lost, or an older copy of it is put back."""
    sent = {(r.action.target, r.action.token) for r in way.journal}
    for seen in (way.orders, before):
        lost = way.look(seen, journal=[], ledger=Ledger(), live_from=way.now)
        way.tally.check(8, not lost.actions, "a new database writes what is older than itself")
        for journal, ledger in (way.backups[0], *way.backups[1:][-1:]):  # the oldest and the newest
            decision = way.look(seen, journal=journal, ledger=ledger)
            repeated = [a for a in decision.actions if _what(a) == _what(action)]
            known = all((a.target, a.token) in sent for a in repeated) if seen is before else not repeated
            way.tally.check(8, known, "a restored database repeats what was done")
            left = tuple(a for a in decision.actions if (a.target, a.token) not in sent)
            stopped = decision.model_copy(update={"actions": left})  # by the log of what was sent
            check_decision(way.tally, way.world, way.orders, stopped, journal)


def _check_forward(way: Walk, before: Mapping[str, Order], after: Mapping[str, Order]) -> None:
    for shop, was in before.items():
        now = after[shop]
        kept = {r.id for r in was.refunds or ()} <= {r.id for r in now.refunds or ()}
        less = refunded(now) < refunded(was) or units(now, *GONE) < units(was, *GONE) or not kept
        back = (was.is_cancelled and not now.is_cancelled) or _rank(now) < _rank(was)
        way.tally.check(3, not less and not back, f"{shop} went back")


def _rank(order: Order) -> int:
    return (order.progress or Progress.PENDING).rank


def _same_money(orders: Iterable[Order]) -> bool:
    found = [completed(order) for order in orders]
    return max(found) - min(found) <= TOLERANCE


def _same_parcels(orders: Iterable[Order]) -> bool:
    return len({units(order, *GONE) for order in orders}) == 1


def _money_agrees(orders: Mapping[str, Order]) -> bool:
    pending = any(refunded(o, RefundState.PENDING) for o in orders.values())
    marked = any("os-" in (r.note or "") for o in orders.values() for r in o.refunds or ())
    return not pending and not marked and _same_money(orders.values())


def _check_agreement(way: Walk, decision: Decision) -> None:
    """Equal on all sides, however it came about: nothing is written and no person is asked."""
    tally, orders, world = way.tally, way.orders, way.world
    about: dict[FactKind, tuple[bool, tuple[ActionKind, ...]]] = {
        FactKind.REFUND: (_money_agrees(orders) and not world.has_past, (ActionKind.REFUND,)),
        FactKind.CANCELLATION: (len({o.is_cancelled for o in orders.values()}) == 1, (ActionKind.CANCEL,)),
        FactKind.SHIPMENT: (
            world.matched and _same_parcels(orders.values()),
            (ActionKind.PACK, ActionKind.SHIP),
        ),
        FactKind.PROGRESS: (
            len({o.progress for o in orders.values()}) == 1,
            (ActionKind.CONFIRM, ActionKind.PROCESS, ActionKind.COMPLETE),
        ),
    }
    settled = 0
    for kind, (equal, writes) in about.items():
        if equal:
            settled += 1
            tally.check(
                4, not [a for a in decision.actions if a.kind in writes], f"a {kind} is written where all agree"
            )
    if settled == len(about):
        codes = [h.code for h in decision.holds]
        tally.check(4, not codes, f"all agree and a person is asked: {', '.join(codes)}")
    if world.has_past:
        _check_past(way, decision)


def _check_past(way: Walk, decision: Decision) -> None:
    """A record that was counted on two sides and went back is never made again without a person."""
    both = [
        row
        for row in way.ledger.rows
        if row.fact.kind is FactKind.REFUND and all(cell.state is CellState.PRESENT for cell in row.cells)
    ]
    if both and not _money_agrees(way.orders):
        way.tally.check(
            3, not [a for a in decision.actions if a.kind is ActionKind.REFUND], "what went back is refunded again"
        )
        way.tally.check(3, bool(decision.holds), "a refund went back and no person is told")


def _check_end(way: Walk, last: Decision, *, moments: bool) -> None:
    """Nothing is due any more. Then all agree, or it is said why not."""
    if moments and way.world.rules.sources != "none":
        lost = way.look(journal=[], ledger=Ledger(), live_from=way.now)
        way.tally.check(8, not lost.actions, "a new database writes what is older than itself")
    if moments and way.journal:
        blank = way.look(journal=[], ledger=Ledger())
        repeated = [a for a in blank.actions if any(_what(a) == _what(r.action) for r in way.journal)]
        way.tally.check(8, not repeated, "a database without memory repeats a write")
    if not last.agrees or last.skipped:
        return
    orders = way.orders.values()
    way.tally.check(1, _same_money(orders), "it is called agreement and the refunds differ")
    way.tally.check(
        1, len({o.is_cancelled for o in orders}) == 1, "it is called agreement and one is not cancelled"
    )
    if way.world.matched and way.world.rules.sources == "any":
        way.tally.check(1, _same_parcels(orders), "it is called agreement and parcels differ")


def walk_all(name: str, worlds: Iterable[World], tally: Tally, *, stop_at_first: bool = False) -> None:
    """Walk worlds, and each pair's mirror image; what breaks a law is counted and told."""
    for world in worlds:
        if stop_at_first and tally.examples:
            return
        tally.walked[name] += 1
        try:
            trace = walk(world, tally)
            mirrored = world.mirrored()
            if world.rules.sources == "any" and mirrored != world:
                other = _renamed(walk(mirrored, tally, moments=False), world.mirror)
                tally.check(2, sorted(trace) == sorted(other), f"under each other's names: {trace} and {other}")
        except Broken as broken:
            tally.examples.append(f"{broken} in {world}")


def _renamed(trace: Trace, names: Mapping[str, str]) -> Trace:
    return tuple(tuple(names.get(word, word) for word in step) for step in trace)
