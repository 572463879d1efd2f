"""The decision over several looks: what was once seen, held or typed must not be forgotten at the next look."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.test_reconcile import (
    ANY,
    EVERYONE,
    QUIET,
    REFUNDING,
    codes,
    decide,
    only,
    sent,
    waits,
)

from ordersync.model import (
    Action,
    ActionKind,
    ActionState,
    CellState,
    FactKind,
    Ledger,
    Link,
    LinkOrigin,
    OrderRef,
    Purse,
    RefundState,
    fact_id_of,
    token_of,
)
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order, usd

A, B, C = OrderRef("a", "1"), OrderRef("b", "1"), OrderRef("c", "1")
PENDING, FAILED = RefundState.PENDING, RefundState.FAILED


def typed(target: OrderRef, token: str, amount: int) -> Action:
    return Action(
        key=f"typed-{token}",
        kind=ActionKind.REFUND,
        target=target,
        token=token,
        amount=usd(amount),
        because="typed by somebody",
        digest="d",
    )


@pytest.mark.parametrize("after", [(), (R("x", 500, FAILED),)], ids=["vanished", "failed"])
def test_a_refund_that_went_back_stays_held_at_every_later_look(after: tuple[R, ...]) -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    ledger = decide(a, build_order("b", refunds=[R("x", 500)])).ledger
    for _ in range(3):
        look = decide(a, build_order("b", refunds=after), ledger=ledger)
        assert codes(look) == {"refund_went_back"}
        assert not look.actions
        ledger = look.ledger
    again = decide(a, build_order("b", refunds=[R("x", 500)]), ledger=ledger)
    assert again.agrees


def test_an_origin_that_went_back_is_not_refunded_anew_from_its_copy() -> None:
    b = build_order("b", refunds=[R("x", 500)])
    ledger = decide(build_order("a", refunds=[R("r1", 500)]), b).ledger
    for _ in range(2):
        look = decide(build_order("a"), b, ledger=ledger)
        assert codes(look) == {"refund_went_back"}
        assert not look.actions
        ledger = look.ledger


def test_a_part_of_a_refund_that_went_back_is_remembered() -> None:
    a = build_order("a", refunds=[R("r1", 10_000)])
    both = [R("x", 6000), R("y", 4000)]
    ledger = decide(a, build_order("b", captured=[6000, 4000], refunds=both)).ledger
    for _ in range(2):
        look = decide(a, build_order("b", captured=[6000, 4000], refunds=both[:1]), ledger=ledger)
        assert "refund_went_back" in codes(look)
        ledger = look.ledger


def test_what_became_possible_stays_a_hold_at_every_later_look() -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    ledger = decide(a, build_order("b", captured=0)).ledger
    for _ in range(3):
        look = decide(a, build_order("b"), ledger=ledger)
        assert codes(look) == {"now_possible"}
        assert not look.actions
        ledger = look.ledger
    assert decide(a, build_order("b", refunds=[R("by-hand", 500)]), ledger=ledger).agrees


def test_a_cancel_that_became_possible_stays_a_hold_at_every_later_look() -> None:
    a, b = build_order("a", captured=0, cancelled_minutes_ago=30), build_order("b", captured=0)
    ledger = decide(a, b, capabilities=frozenset({"refund"})).ledger
    for _ in range(3):
        look = decide(a, b, ledger=ledger)
        assert codes(look) == {"now_possible"}
        assert not look.actions
        ledger = look.ledger


def test_a_refund_typed_through_ordersync_is_still_carried_at_the_second_look() -> None:
    a, b = build_order("a", refunds=[R("r1", 500, note="os-bbbbbbbb")]), build_order("b")
    journal = [sent(typed(A, "os-bbbbbbbb", 500), ActionState.SEEN, ref="r1")]
    first = decide(a, b, journal=journal)
    second = decide(a, b, journal=journal, ledger=first.ledger)
    assert only(second).key == only(first).key


def test_two_equal_refunds_typed_through_ordersync_are_marked_twice_in_the_books() -> None:
    """Each was announced and typed by a person; only a copy of ours would make the second one doubtful."""
    marks = ("os-bbbbbbbb", "os-cccccccc")
    a = build_order("a", refunds=[R("r1", 500, note=marks[0], minutes_ago=50), R("r2", 500, note=marks[1])])
    journal = [sent(typed(A, mark, 500), ActionState.SEEN, ref=f"r{n}") for n, mark in enumerate(marks, 1)]
    look = decide(a, build_order("b", purse=Purse.BOOKS), journal=journal)
    assert codes(look) == set()
    assert only(look).amount == usd(500)


def test_a_typed_refund_seen_once_and_not_shown_now_still_counts_as_paid() -> None:
    """A read can come from a replica that lags: what was read back once has been paid."""
    a = build_order("a", purse=Purse.BOOKS, refunds=[R("r1", 6000)])
    b = build_order("b", purse=Purse.GATEWAY)
    journal = [sent(typed(B, "os-bbbbbbbb", 6000), ActionState.SEEN, ref="typed-1")]
    assert not decide(a, b, journal=journal).actions


def test_a_write_whose_record_is_gone_stops_every_refund_of_its_link_whatever_their_order() -> None:
    a = build_order("a", refunds=[R("r1", 500, minutes_ago=50), R("r2", 700, minutes_ago=40)])
    b, c = build_order("b", refunds=[R("x1", 500)]), build_order("c")
    to_c = next(x for x in decide(a, b, c).actions if x.target == C)
    to_b = next(x for x in decide(a, b, c).actions if x.target == B)
    assert to_b.amount == usd(700)
    assert to_c.amount == usd(500)
    gone = sent(to_b, ActionState.RECEIPTED, minutes_ago=61, ref="x2")
    look = decide(a, b, c, journal=[gone])
    assert codes(look) == {"not_visible"}
    assert not look.actions


def test_a_pending_refund_of_the_shop_that_counts_is_not_carried_because_of_another_shops_word() -> None:
    policy = Policy(refund=KindPolicy(sources=("a",), carry_after=timedelta(0)))
    look = decide(
        build_order("a", refunds=[R("r1", 500, PENDING)]),
        build_order("b", refunds=[R("x", 500)]),
        build_order("c"),
        policy=policy,
    )
    assert not look.actions
    assert waits(look) == {"refund_pending"}


def test_no_cancel_before_a_refund_that_still_waits_even_where_cancels_move_no_money() -> None:
    policy = Policy(cancel=ANY, refund=KindPolicy(sources="any"))
    look = decide(
        build_order("a", refunds=[R("r1", 10_000, minutes_ago=5)], cancelled_minutes_ago=5),
        build_order("b", purse=Purse.GATEWAY),
        policy=policy,
        semantics=QUIET,
    )
    assert not look.actions
    assert waits(look) == {"carry_after", "refunds_first"}


def test_no_cancel_while_a_refund_there_is_pending_even_where_cancels_move_no_money() -> None:
    look = decide(
        build_order("a", refunds=[R("r1", 500)], cancelled_minutes_ago=30),
        build_order("b", refunds=[R("x", 500, PENDING)]),
        semantics=QUIET,
    )
    assert not look.actions
    assert "refunds_first" in waits(look)


def test_a_doubt_stays_held_while_a_member_cannot_be_read() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    doubt = sent(only(decide(a, b)), ActionState.DOUBT)
    link = Link(link_id="L1", members=(A, B), origin=LinkOrigin.HAND, made_at=NOON)
    able = frozenset({"refund"})
    members = [Member(A, a, able, REFUNDING), Member(B, b, able, REFUNDING, "parked")]
    look = reconcile(link, Ledger(), members, [doubt], EVERYONE, NOON, NOON - timedelta(days=9))
    assert codes(look) == {"in_doubt", "member_unreadable"}


def test_a_mark_copied_by_a_person_into_another_refund_is_overshoot_not_a_second_fact() -> None:
    mark = token_of(fact_id_of(A, FactKind.REFUND, "r1"))
    look = decide(
        build_order("a", refunds=[R("r1", 500), R("r2", 300, note=f"like {mark}")]),
        build_order("b", refunds=[R("x", 500, note=mark)]),
    )
    assert codes(look) == {"overshoot"}
    assert not look.actions


def test_one_write_of_a_saved_plan_does_not_make_the_same_facts_other_writes_stale() -> None:
    refunded = build_order("a", refunds=[R("r1", 500)])
    plan = {x.target: x for x in decide(refunded, build_order("b"), build_order("c")).actions}
    done = build_order("b", refunds=[R("x", 500, note=plan[B].token)])
    assert decide(refunded, done, build_order("c")).actions == (plan[C],)
    cancelled = build_order("a", captured=0, cancelled_minutes_ago=30)
    unpaid = [build_order(name, captured=0) for name in "bc"]
    plan = {x.target: x for x in decide(cancelled, *unpaid).actions}
    b_done = build_order("b", captured=0, cancelled_minutes_ago=1)
    assert decide(cancelled, b_done, unpaid[1]).actions == (plan[C],)
    by_hand = build_order("b", refunds=[R("x", 500)])
    (other,) = decide(refunded, by_hand, build_order("c")).actions
    assert other.digest != plan[C].digest


def test_each_hold_that_a_refund_by_hand_would_settle_says_which_command() -> None:
    paid_twice = decide(
        build_order("a", refunds=[R("r1", 500, minutes_ago=60), R("r2", 500)]),
        build_order("b", purse=Purse.GATEWAY),
    )
    split = decide(build_order("a", refunds=[R("r1", 9000)]), build_order("b", captured=[6000, 4000]))
    a = build_order("a", refunds=[R("r1", 500)])
    possible = decide(a, build_order("b"), ledger=decide(a, build_order("b", captured=0)).ledger)
    refused = decide(a, build_order("b"), journal=[sent(only(decide(a, build_order("b"))), ActionState.REFUSED)])
    for look in (paid_twice, split, possible, refused):
        for hold in look.holds:
            assert any("ordersync orders refund b:1 --amount" in step for step in hold.next_steps), hold


def test_a_cell_that_went_back_keeps_the_records_it_had() -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    ledger = decide(a, build_order("b", refunds=[R("x", 500)])).ledger
    cell = decide(a, build_order("b"), ledger=ledger).ledger.rows[0].cell(B)
    assert cell is not None
    assert (cell.state, cell.record_ids) == (CellState.FAILED, ("x",))


def test_a_refund_that_went_back_and_was_made_again_by_hand_is_settled() -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    ledger = decide(a, build_order("b", refunds=[R("x", 500)])).ledger
    ledger = decide(a, build_order("b", refunds=[R("x", 500, FAILED)]), ledger=ledger).ledger
    mended = build_order("b", refunds=[R("x", 500, FAILED), R("y", 500, minutes_ago=1)])
    ledger = decide(a, mended, ledger=ledger).ledger
    assert decide(a, mended, ledger=ledger).agrees


def test_a_copy_that_is_still_pending_is_waited_for_whoever_made_it() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b", refunds=[R("x", 500, PENDING)])
    assert waits(decide(a, b)) == {"refund_pending"}


def test_a_fact_dated_far_ahead_is_held_instead_of_waited_for() -> None:
    two_days, ten_hours = -60 * 48, -60 * 10
    refund = decide(build_order("a", refunds=[R("r1", 500, minutes_ago=two_days)]), build_order("b"))
    assert codes(refund) == {"dated_ahead"}
    cancel = decide(build_order("a", captured=0, cancelled_minutes_ago=two_days), build_order("b", captured=0))
    assert codes(cancel) == {"dated_ahead"}
    skewed = decide(build_order("a", refunds=[R("r1", 500, minutes_ago=ten_hours)]), build_order("b"))
    assert waits(skewed) == {"carry_after"}
    assert not any(look.actions for look in (refund, cancel, skewed))


def test_a_typed_refund_and_its_copy_are_agreement_also_after_the_journal_is_lost() -> None:
    copy = token_of(fact_id_of(A, FactKind.REFUND, "typed-1"))
    a = build_order("a", refunds=[R("typed-1", 500, note="os-bbbbbbbb")])
    b = build_order("b", refunds=[R("x", 500, note=copy)])
    assert decide(a, b).agrees
    third = decide(a, b, build_order("c"))
    for look in (third, decide(a, b, build_order("c"), ledger=third.ledger)):
        assert only(look).target == C
        assert only(look).token == copy
