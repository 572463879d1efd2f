"""Cancels and the money that goes with them: too late, of several payments, and of an unknown time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.test_reconcile import ANY, EVERYONE, QUIET, REFUNDING, codes, decide, only

from ordersync.model import (
    ActionKind,
    Cancellation,
    CellState,
    Decision,
    FactKind,
    Hold,
    Ledger,
    Link,
    LinkOrigin,
    Order,
    Progress,
    Purse,
    Resolution,
    Verb,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order, usd

CAN = frozenset({"cancel", "refund"})


def cancelled(refund_minutes_ago: int = 30, *earlier: R) -> Order:
    """Cancelled 30 minutes ago, with all that was left given back then."""
    left = 10_000 - sum(r.amount for r in earlier)
    refunds = [*earlier, R("c", left, minutes_ago=refund_minutes_ago)]
    return build_order("a", refunds=refunds, cancelled_minutes_ago=30)


@pytest.mark.parametrize(
    ("there", "code"),
    [
        ({"shipped": 2}, "cancel_after_shipping"),
        ({"packed": 2}, "cancel_with_parcels"),
        ({"progress": Progress.COMPLETED}, "cancel_completed"),
        ({"archived": True}, "cancel_archived"),
    ],
)
def test_the_money_is_part_of_the_hold_of_the_cancel(there: dict[str, object], code: str) -> None:
    decision = decide(cancelled(), build_order("b", **there))  # type: ignore[arg-type]  # one of several arguments
    assert not decision.actions
    held = next(hold for hold in decision.holds if hold.code == code)
    assert held.money == usd(10_000)
    assert len(held.facts) == 2, "the cancel and the refund"
    assert "the 100.00 USD given back with the cancel is not refunded there either" in held.message
    assert any('orders refund b:1 --amount "100.00 USD"' in step for step in held.next_steps)


@pytest.mark.parametrize(
    ("semantics", "refund_minutes_ago", "pays"),
    [
        (QUIET, 31, False),
        (QUIET, 29, False),
        (QUIET, 32, True),
        (REFUNDING, 32, False),
    ],
    ids=["a moment before", "after", "well before", "well before, but all there was where cancels refund"],
)
def test_which_refunds_were_made_with_the_cancel(
    semantics: Semantics, refund_minutes_ago: int, pays: bool
) -> None:
    decision = decide(cancelled(refund_minutes_ago), build_order("b", shipped=2), semantics=semantics)
    assert bool(decision.actions) is pays
    assert "cancel_after_shipping" in codes(decision)


def test_an_earlier_partial_refund_is_carried() -> None:
    decision = decide(cancelled(30, R("r", 2000, minutes_ago=90)), build_order("b", shipped=2))
    assert [action.amount for action in decision.actions] == [usd(2000)]
    held = next(hold for hold in decision.holds if hold.code == "cancel_after_shipping")
    assert held.money == usd(8000)


def test_a_cancel_of_unknown_time_is_taken_to_have_made_the_refund() -> None:
    order = cancelled(600).model_copy(update={"cancellation": Cancellation()})
    assert not decide(order, build_order("b", shipped=2), semantics=QUIET).actions


def test_a_third_order_is_not_paid_either() -> None:
    decision = decide(cancelled(), build_order("b", shipped=2), build_order("c"))
    assert not decision.actions
    assert {hold.target.shop for hold in decision.holds if hold.target and hold.money} == {"b", "c"}


def test_where_the_same_was_refunded_by_hand_elsewhere_a_person_has_decided() -> None:
    by_hand = build_order("b", refunds=[R("x", 10_000)])
    action = only(
        decide(cancelled(), by_hand, build_order("c", shipped=2), policy=Policy(refund=ANY, cancel=KindPolicy()))
    )
    assert action.target.shop == "c"


@pytest.mark.parametrize("policy", [EVERYONE, Policy(refund=ANY, cancel=KindPolicy())], ids=["carried", "local"])
def test_it_waits_whether_or_not_the_cancel_itself_would_be_carried(policy: Policy) -> None:
    decision = decide(cancelled(), build_order("b", shipped=2), policy=policy)
    assert not decision.actions
    assert "cancel_after_shipping" in codes(decision)


def test_cancelled_there_as_well_it_is_a_refund_like_any_other() -> None:
    decision = decide(cancelled(), build_order("b", shipped=2, cancelled_minutes_ago=5))
    assert [action.amount for action in decision.actions] == [usd(10_000)]


def test_leaving_the_hold_leaves_the_cancel_and_its_money() -> None:
    orders = cancelled(), build_order("b", shipped=2)
    held = next(hold for hold in decide(*orders).holds if hold.code == "cancel_after_shipping")
    answer = Resolution(
        number=1,
        hold="H-1",
        hold_key=held.key,
        code=held.code,
        verb=Verb.LEAVE,
        link_id="L1",
        target=held.target,
        facts=held.facts,
        digest=held.digest or "",
        who="kim",
        why="it stays",
        at=NOON,
    )
    after = decided(orders, answer)
    assert not after.actions
    assert "cancel_after_shipping" not in codes(after)
    cells = {row.fact.kind: row.cell(orders[1].ref) for row in after.ledger.rows}
    for kind in (FactKind.CANCELLATION, FactKind.REFUND):
        cell = cells[kind]
        assert cell is not None
        assert cell.state is CellState.WAIVED


def decided(orders: tuple[Order, ...], answer: Resolution, policy: Policy = EVERYONE) -> Decision:
    link = Link(
        link_id="L1",
        members=tuple(o.ref for o in orders),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    members = [Member(o.ref, o, CAN, REFUNDING) for o in orders]
    return reconcile(link, Ledger(), members, (), policy, NOON, NOON - timedelta(days=10), (answer,))


@pytest.mark.parametrize(
    ("minutes_ago", "payments", "held"),
    [
        ((30, 30), ("pay-a-1", "pay-a-2"), False),
        ((30, 30), ("pay-a-1", "pay-a-1"), True),
        ((30, 30), (None, None), True),
        ((30, 20), ("pay-a-1", "pay-a-2"), True),
    ],
    ids=["one of each payment", "twice of one", "of who knows which", "ten minutes later"],
)
def test_what_one_cancel_gave_back_of_two_payments_is_no_repeat(
    minutes_ago: tuple[int, int], payments: tuple[str | None, str | None], held: bool
) -> None:
    """Paid as 50.00 and 50.00; the platform refunds each payment as it cancels."""
    refunds = [
        R(f"c{place}", 5000, minutes_ago=minutes_ago[place], payment_id=payments[place]) for place in (0, 1)
    ]
    order = build_order("a", captured=[5000, 5000], refunds=refunds, cancelled_minutes_ago=30)
    decision = decide(order, build_order("b", purse=Purse.GATEWAY))
    assert ("looks_like_repeat" in codes(decision)) is held
    assert bool(decision.actions) is not held


def test_refunds_of_two_payments_without_a_cancel_may_be_a_repeat() -> None:
    refunds = [R("r1", 5000, payment_id="pay-a-1"), R("r2", 5000, payment_id="pay-a-2")]
    decision = decide(
        build_order("a", captured=[5000, 5000], refunds=refunds), build_order("b", purse=Purse.GATEWAY)
    )
    assert "looks_like_repeat" in codes(decision)
    assert not decision.actions


def approve(hold: Hold) -> Resolution:
    return Resolution(
        number=1,
        hold="H-1",
        hold_key=hold.key,
        code=hold.code,
        verb=Verb.APPROVE,
        link_id="L1",
        target=hold.target,
        facts=hold.facts,
        digest=hold.digest or "",
        who="kim",
        why="yes",
        at=NOON,
    )


def undated(order: Order) -> Order:
    """The platform does not say when."""
    refunds = tuple(refund.model_copy(update={"created_at": None}) for refund in order.refunds or ())
    cancellation = Cancellation() if order.cancellation else None
    return order.model_copy(update={"refunds": refunds, "cancellation": cancellation})


LAGGING = Policy(
    refund=KindPolicy(sources="any"), cancel=KindPolicy(sources="any", carry_after=timedelta(minutes=10))
)


def test_an_undated_refund_a_person_approved_does_not_wait_for_an_age_it_never_gets() -> None:
    orders = undated(build_order("a", refunds=[R("r1", 500)])), build_order("b", purse=Purse.GATEWAY)
    held = decide(*orders, policy=LAGGING).holds
    assert [hold.code for hold in held] == ["differs_at_link"]
    after = decided(orders, approve(held[0]), LAGGING)
    assert [action.pays_buyer for action in after.actions] == [True]
    assert not after.waits


def test_an_undated_cancel_a_person_approved_does_not_wait_either() -> None:
    orders = undated(build_order("a", captured=0, cancelled_minutes_ago=5)), build_order("b", captured=0)
    held = decide(*orders, policy=LAGGING).holds
    assert [hold.code for hold in held] == ["differs_at_link"]
    after = decided(orders, approve(held[0]), LAGGING)
    assert [action.kind for action in after.actions] == [ActionKind.CANCEL]
    assert not after.waits


def test_an_undated_cancel_a_person_approved_says_at_once_that_money_is_not_back() -> None:
    orders = undated(build_order("a", cancelled_minutes_ago=5)), build_order("b")
    held = decide(*orders, policy=LAGGING).holds
    after = decided(orders, approve(held[0]), LAGGING)
    assert codes(after) == {"money_not_back"}
    assert not after.waits
