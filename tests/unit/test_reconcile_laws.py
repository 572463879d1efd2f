"""The laws of the decision (DESIGN 7) over every combination of small states of two members."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ordersync.model import (
    Action,
    ActionKind,
    ActionRecord,
    ActionState,
    Cancellation,
    Decision,
    Ledger,
    Link,
    LinkOrigin,
    Money,
    Order,
    Purse,
    Refund,
    RefundState,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order

PENDING = RefundState.PENDING
REFUNDS: dict[str, tuple[R, ...]] = {
    "none": (),
    "500": (R("1", 500),),
    "500 pending": (R("1", 500, PENDING),),
    "500 twice": (R("1", 500), R("2", 500, minutes_ago=20)),
    "700": (R("3", 700, minutes_ago=25),),
    "500 and 700": (R("1", 500), R("3", 700, minutes_ago=25)),
    "500 pending and 700": (R("1", 500, PENDING), R("3", 700, minutes_ago=25)),
    "all": (R("4", 10_000),),
}
PURSES = {"gateway": (Purse.GATEWAY, 10_000), "books": (Purse.BOOKS, 10_000), "unpaid": (Purse.BOOKS, 0)}
NOW_ANY = KindPolicy(sources="any", carry_after=timedelta(0))
ONLY_A = KindPolicy(sources=("a",), carry_after=timedelta(0))
POLICIES = {"any": Policy(cancel=NOW_ANY, refund=NOW_ANY), "only a": Policy(cancel=ONLY_A, refund=ONLY_A)}
SEMANTICS = {
    kind: Semantics(cancel_refunds=kind, cancel_restocks="unknown", refund_token_field="note")
    for kind in ("all", "none")
}
CAN = frozenset({"cancel", "refund"})


@dataclass(frozen=True)
class Side:
    refunds: str
    purse: str
    cancelled: bool

    def order(self, shop: str) -> Order:
        purse, captured = PURSES[self.purse]
        return build_order(
            shop,
            captured=captured,
            purse=purse,
            refunds=REFUNDS[self.refunds] if captured else (),
            cancelled_minutes_ago=90 if self.cancelled else None,
        )


SIDES = [
    Side(refunds, purse, cancelled)
    for refunds, purse, cancelled in itertools.product(REFUNDS, PURSES, (False, True))
    if purse != "unpaid" or refunds == "none"
]


def look(
    orders: dict[str, Order],
    policy: Policy,
    semantics: Semantics,
    journal: list[ActionRecord],
    ledger: Ledger,
    born_minutes_ago: int = 10_000,
) -> Decision:
    link = Link(
        link_id="L1",
        members=tuple(sorted(order.ref for order in orders.values())),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    members = [Member(order.ref, order, CAN, semantics) for order in orders.values()]
    born = NOON - timedelta(minutes=born_minutes_ago)
    return reconcile(link, ledger, members, journal, policy, NOON, born)


def happen(orders: dict[str, Order], action: Action) -> None:
    """The platform does what it is asked, exactly."""
    shop = action.target.shop
    order = orders[shop]
    if action.kind is ActionKind.CANCEL:
        orders[shop] = order.model_copy(update={"cancellation": Cancellation(cancelled_at=NOON)})
        return
    assert action.kind is ActionKind.REFUND
    assert action.amount is not None
    made = Refund(
        id=f"by-us-{len(order.refunds or ())}",
        status=RefundState.COMPLETED,
        amount=action.amount,
        note=f"{action.reason} {action.token}",
        created_at=NOON,
        payment_id=action.payment_id,
    )
    orders[shop] = order.model_copy(update={"refunds": (*(order.refunds or ()), made)})


def refunded(order: Order) -> int:
    return sum(r.amount.amount_minor for r in order.refunds or ())


def completed(order: Order) -> int:
    return (order.refunded or Money.zero("USD")).amount_minor


def converge(orders: dict[str, Order], policy: Policy, semantics: Semantics) -> tuple[Decision, int]:
    """Look, do one thing, look again, until nothing is due; checks the laws at every step."""
    journal: list[ActionRecord] = []
    ledger = Ledger()
    for step in range(8):
        decision = look(orders, policy, semantics, journal, ledger)
        assert look(orders, policy, semantics, journal, ledger) == decision, "same input, same decision"
        ledger = decision.ledger
        if not decision.actions:
            return decision, step
        assert len({a.target for a in decision.actions}) == len(decision.actions), "one write per order"
        action = decision.actions[0]
        check_before(orders, action, semantics)
        happen(orders, action)
        journal.append(ActionRecord(action=action, state=ActionState.SEEN, intended_at=NOON, answered_at=NOON))
    raise AssertionError("does not converge")


def check_before(orders: dict[str, Order], action: Action, semantics: Semantics) -> None:
    target = orders[action.target.shop]
    others = [order for order in orders.values() if order.ref != target.ref]
    captured = (target.captured or Money.zero("USD")).amount_minor
    if action.kind is ActionKind.REFUND:
        assert action.amount is not None
        after = refunded(target) + action.amount.amount_minor
        assert after <= captured, "conservation"
        assert after <= max(completed(o) for o in others) + 1, "never above the highest completed elsewhere"
        copied = [r for o in others for r in o.refunds or () if r.amount == action.amount]
        assert any(r.status is RefundState.COMPLETED for r in copied), "only completed refunds are carried"
        if action.pays_buyer:
            assert not any(p.purse is Purse.GATEWAY and p.captured for o in others for p in o.payments or ()), (
                "one purse"
            )
    else:
        assert any(o.is_cancelled for o in others), "no fact, no write"
        assert not target.is_cancelled, "already cancelled"
        if semantics.cancel_refunds != "none":
            assert completed(target) >= captured, "a cancel never refunds by itself"


def worlds() -> Iterator[tuple[Side, Side, str, str]]:
    yield from itertools.product(SIDES, SIDES, POLICIES, SEMANTICS)


def test_laws_hold_for_every_pair_of_states() -> None:
    walked = written = 0
    for one, other, policy, semantics in worlds():
        orders = {"a": one.order("a"), "b": other.order("b")}
        before = {shop: refunded(order) for shop, order in orders.items()}
        try:
            last, steps = converge(orders, POLICIES[policy], SEMANTICS[semantics])
            quiet = not any(r for r in (one.refunds, other.refunds) if r != "none")
            if quiet and not (one.cancelled or other.cancelled):
                assert steps == 0, "no fact, no write"
            assert all(refunded(o) >= before[s] for s, o in orders.items()), "forward only"
            lost = look(orders, POLICIES[policy], SEMANTICS[semantics], [], Ledger(), born_minutes_ago=-1)
            assert not lost.actions, "a new database writes nothing for what is older than itself"
            restored = look(orders, POLICIES[policy], SEMANTICS[semantics], [], Ledger())
            assert not restored.actions, "a database without memory repeats nothing"
            assert last.agrees or last.holds or last.waits
        except AssertionError as broken:
            raise AssertionError(f"{one} / {other} / {policy} / cancel refunds {semantics}: {broken}") from broken
        walked += 1
        written += steps
    assert walked == len(SIDES) ** 2 * 4
    assert written > 300


def test_names_do_not_matter() -> None:
    """Renaming the members renames the decision and changes nothing else."""
    for one, other in itertools.product(SIDES, SIDES):
        straight = look(
            {"a": one.order("a"), "b": other.order("b")}, POLICIES["any"], SEMANTICS["all"], [], Ledger()
        )
        swapped = look(
            {"a": other.order("a"), "b": one.order("b")}, POLICIES["any"], SEMANTICS["all"], [], Ledger()
        )
        renamed = {"a": "b", "b": "a"}
        mine = sorted((a.kind, a.target.shop, str(a.amount)) for a in straight.actions)
        theirs = sorted((a.kind, renamed[a.target.shop], str(a.amount)) for a in swapped.actions)
        assert mine == theirs, (one, other)
        assert sorted(h.code for h in straight.holds) == sorted(h.code for h in swapped.holds), (one, other)


def test_a_doubtful_write_is_never_repeated_in_any_state() -> None:
    """Whatever the world shows, a fact whose write is in doubt at a member is not written there again."""
    for one, other in itertools.product(SIDES, SIDES):
        orders = {"a": one.order("a"), "b": other.order("b")}
        first = look(orders, POLICIES["any"], SEMANTICS["all"], [], Ledger())
        for action in first.actions:
            doubt = ActionRecord(action=action, state=ActionState.DOUBT, intended_at=NOON, sent_at=NOON)
            for moment in range(2):
                later = dict(orders)
                if moment:
                    happen(later, replace_token(action))
                again = look(later, POLICIES["any"], SEMANTICS["all"], [doubt], first.ledger)
                assert not [a for a in again.actions if a.kind is ActionKind.REFUND], (one, other)
                assert any(h.code == "in_doubt" for h in again.holds), (one, other)


def replace_token(action: Action) -> Action:
    """A person makes the same refund by hand: same amount, not our mark."""
    return action.model_copy(update={"token": "", "reason": "by hand"})


def test_three_members_end_in_agreement_or_before_a_person() -> None:
    small = [s for s in SIDES if s.refunds in ("none", "500", "all") and s.purse != "gateway"]
    for trio in itertools.product(small, repeat=3):
        orders = {name: side.order(name) for name, side in zip("abc", trio, strict=True)}
        last, _ = converge(orders, POLICIES["any"], SEMANTICS["all"])
        amounts = {completed(o) for o in orders.values() if o.captured}
        if last.agrees and not last.skipped:
            assert len(amounts) <= 1, trio
