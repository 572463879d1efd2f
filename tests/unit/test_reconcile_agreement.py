"""Agreement is not conflict: what is equal on all sides asks nobody, and a tie is not decided by a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from ordersync.model import Decision, Ledger, Link, LinkOrigin, Order, Purse, RefundState
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order, usd

GATEWAY = Purse.GATEWAY
PLATFORM = Semantics(cancel_refunds="all", cancel_restocks="unknown", refund_token_field="note")


def decide(*orders: Order, sources: Sequence[str] | None = None) -> Decision:
    kind = KindPolicy(sources="any" if sources is None else tuple(sources), carry_after=timedelta(0))
    link = Link(
        link_id="L1",
        members=tuple(o.ref for o in orders),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    members = [Member(o.ref, o, frozenset({"cancel", "refund"}), PLATFORM) for o in orders]
    return reconcile(
        link, Ledger(), members, (), Policy(refund=kind, cancel=kind), NOON, NOON - timedelta(days=10)
    )


def codes(decision: Decision) -> list[str]:
    return sorted(hold.code for hold in decision.holds)


def test_equal_refunds_of_two_paying_orders_ask_nobody() -> None:
    decision = decide(*(build_order(shop, purse=GATEWAY, refunds=[R("1", 500)]) for shop in "ab"))
    assert decision.agrees
    assert codes(decision) == []


def test_a_failed_refund_of_two_paying_orders_asks_nobody() -> None:
    failed = build_order("a", purse=GATEWAY, refunds=[R("1", 500, RefundState.FAILED)])
    assert decide(failed, build_order("b", purse=GATEWAY)).agrees


def test_a_refund_no_policy_carries_is_no_question_of_purses() -> None:
    refunded = build_order("a", purse=GATEWAY, refunds=[R("1", 500)])
    decision = decide(refunded, build_order("b", purse=GATEWAY), sources=["b"])
    assert (codes(decision), decision.actions) == ([], ())


@pytest.mark.parametrize("state", [RefundState.COMPLETED, RefundState.PENDING])
def test_a_refund_to_be_carried_between_two_paying_orders_is_held(state: RefundState) -> None:
    orders = [build_order("a", purse=GATEWAY, refunds=[R("1", 500, state)]), build_order("b", purse=GATEWAY)]
    decision = decide(*orders)
    assert (codes(decision), decision.actions) == (["two_purses"], ())
    assert codes(decide(*orders, build_order("c"))) == ["two_purses"]


def test_a_third_order_that_lacks_what_two_paying_ones_show_is_held() -> None:
    both = [build_order(shop, purse=GATEWAY, refunds=[R("1", 500)]) for shop in "ab"]
    decision = decide(*both, build_order("c"))
    assert (codes(decision), decision.actions) == (["two_purses"], ())


def test_the_same_sum_in_as_many_other_parts_is_the_same_money() -> None:
    decision = decide(
        build_order("a", refunds=[R("1", 500), R("2", 700, minutes_ago=20)]),
        build_order("b", refunds=[R("1", 600), R("2", 600, minutes_ago=20)]),
    )
    assert decision.agrees
    assert [row.fact.amount for row in decision.ledger.rows] == [usd(1_200)]


def test_equal_refunds_keep_their_own_rows_where_the_sums_are_equal_too() -> None:
    decision = decide(*(build_order(shop, refunds=[R("1", 500), R("2", 700, minutes_ago=20)]) for shop in "ab"))
    assert decision.agrees
    assert [row.fact.amount for row in decision.ledger.rows] == [usd(500), usd(700)]


def test_of_two_amounts_of_one_moment_the_smaller_is_the_fact_whatever_the_shops_are_called() -> None:
    for less, more in (("a", "b"), ("b", "a")):
        decision = decide(
            build_order(less, refunds=[R("1", 500)]), build_order(more, refunds=[R("1", 501)]), build_order("c")
        )
        assert [action.amount for action in decision.actions] == [usd(500)], (less, more)
