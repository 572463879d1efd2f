"""The decision, one readable situation each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

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
    Purse,
    RefundState,
    fact_id_of,
    token_of,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Member, Policy, reconcile
from ordersync.testing.orders import NOON, R, build_order, usd

CAN_ALL = frozenset({"cancel", "refund", "complete", "archive"})
ANY = KindPolicy(sources="any", carry_after=timedelta(0))
EVERYONE = Policy(cancel=ANY, refund=ANY)
REFUNDING = Semantics(
    cancel_refunds="all", cancel_restocks="unknown", refund_token_field="note", refund_names_payment=True
)
QUIET = REFUNDING.model_copy(update={"cancel_refunds": "none"})


def decide(
    *orders: Order,
    policy: Policy = EVERYONE,
    journal: Sequence[ActionRecord] = (),
    ledger: Ledger | None = None,
    semantics: Semantics = REFUNDING,
    capabilities: frozenset[str] = CAN_ALL,
    live_days: float = 10,
) -> Decision:
    link = Link(
        link_id="L1",
        members=tuple(sorted(o.ref for o in orders)),
        origin=LinkOrigin.HAND,
        made_at=NOON - timedelta(days=1),
    )
    members = [Member(o.ref, o, capabilities, semantics) for o in orders]
    return reconcile(link, ledger or Ledger(), members, journal, policy, NOON, NOON - timedelta(days=live_days))


def codes(decision: Decision) -> set[str]:
    return {hold.code for hold in decision.holds}


def waits(decision: Decision) -> set[str]:
    return {wait.code for wait in decision.waits}


def only(decision: Decision) -> Action:
    assert codes(decision) == set()
    assert len(decision.actions) == 1, decision
    return decision.actions[0]


def sent(action: Action, state: ActionState, minutes_ago: int = 5, ref: str | None = None) -> ActionRecord:
    """A doubt was looked for twice since."""
    at = NOON - timedelta(minutes=minutes_ago)
    looks = (at + timedelta(minutes=1), at + timedelta(minutes=2)) if state is ActionState.DOUBT else ()
    return ActionRecord(
        action=action,
        state=state,
        intended_at=at,
        sent_at=at,
        answered_at=at,
        platform_ref=ref,
        looked_at=looks,
    )


def test_orders_that_agree_need_nothing() -> None:
    assert decide(build_order("a"), build_order("b")).agrees


def test_a_refund_is_owed_to_the_other_side_with_its_amount_and_our_mark() -> None:
    action = only(decide(build_order("a", refunds=[R("r1", 1250)]), build_order("b")))
    assert (action.kind, action.target, action.amount) == (ActionKind.REFUND, OrderRef("b", "1"), usd(1250))
    assert action.token == token_of(fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1"))
    assert action.payment_id == "pay-b-1"


def test_the_same_fact_gives_the_same_key_on_every_machine() -> None:
    first = decide(build_order("a", refunds=[R("r1", 1250)]), build_order("b"))
    again = decide(build_order("b"), build_order("a", refunds=[R("r1", 1250)]))
    assert first.actions == again.actions


def test_a_refund_with_our_mark_on_the_other_side_is_the_same_refund() -> None:
    token = token_of(fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1"))
    decision = decide(
        build_order("a", refunds=[R("r1", 1250)]), build_order("b", refunds=[R("x", 1250, note=f"late {token}")])
    )
    assert decision.agrees
    assert [cell.state for cell in decision.ledger.rows[0].cells] == [CellState.PRESENT, CellState.PRESENT]


def test_the_same_refund_made_by_hand_on_both_sides_is_agreement() -> None:
    assert decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", refunds=[R("x", 500)])).agrees


def test_one_refund_against_two_records_of_equal_sum_is_agreement() -> None:
    assert decide(
        build_order("a", refunds=[R("r1", 10_000)]),
        build_order("b", captured=[6000, 4000], refunds=[R("x", 6000), R("y", 4000)]),
    ).agrees


def test_two_equal_refunds_against_one_are_ambiguous_and_nothing_is_written() -> None:
    decision = decide(
        build_order("a", refunds=[R("r1", 500), R("r2", 500, minutes_ago=9)]),
        build_order("b", refunds=[R("x", 500)]),
    )
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


def test_different_refunds_on_both_sides_are_never_added_up() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 3000)]), build_order("b", refunds=[R("x", 2000)]))
    assert codes(decision) == {"ambiguous_refund"}
    assert not decision.actions


def test_refunds_that_cross_stop_the_links_money_also_where_one_could_be_carried() -> None:
    decision = decide(
        build_order("a", refunds=[R("r1", 3000)]), build_order("b", refunds=[R("x", 2000)]), build_order("c")
    )
    assert [hold.code for hold in decision.holds] == ["ambiguous_refund"]
    assert not decision.actions


@pytest.mark.parametrize(
    ("purse", "held"), [(Purse.GATEWAY, True), (Purse.BOOKS, False)], ids=["pays the buyer", "books only"]
)
def test_two_equal_refunds_within_a_day_are_held_where_the_copy_would_pay(purse: Purse, held: bool) -> None:
    decision = decide(
        build_order("a", refunds=[R("r1", 500, minutes_ago=60), R("r2", 500)]), build_order("b", purse=purse)
    )
    assert ("looks_like_repeat" in codes(decision)) is held
    assert bool(decision.actions) is not held


def test_a_pending_refund_waits_and_its_completion_is_carried() -> None:
    pending = decide(build_order("a", refunds=[R("r1", 500, RefundState.PENDING)]), build_order("b"))
    assert waits(pending) == {"refund_pending"}
    assert not pending.actions
    done = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b"), ledger=pending.ledger)
    assert only(done).amount == usd(500)


def test_a_failed_refund_is_no_fact() -> None:
    assert decide(build_order("a", refunds=[R("r1", 500, RefundState.FAILED)]), build_order("b")).agrees


def test_a_carried_refund_that_later_fails_is_held_and_stays_held() -> None:
    before = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", refunds=[R("x", 500)]))
    after = decide(
        build_order("a", refunds=[R("r1", 500, RefundState.FAILED)]),
        build_order("b", refunds=[R("x", 500)]),
        ledger=before.ledger,
    )
    assert codes(after) == {"refund_went_back"}
    assert after.holds[0].sticky
    assert not after.actions


def test_more_refunded_than_the_fact_is_overshoot() -> None:
    token = token_of(fact_id_of(OrderRef("a", "1"), FactKind.REFUND, "r1"))
    decision = decide(
        build_order("a", refunds=[R("r1", 500)]),
        build_order("b", refunds=[R("x", 500, note=token), R("y", 500, note=token)]),
    )
    assert "overshoot" in codes(decision)
    assert not decision.actions


def test_a_mark_nobody_here_wrote_is_another_installation() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 500, note="os-aaaaaaaa")]), build_order("b"))
    assert codes(decision) == {"another_installation"}
    assert not decision.actions


def test_two_members_holding_gateway_money_are_two_purses() -> None:
    decision = decide(
        build_order("a", purse=Purse.GATEWAY, refunds=[R("r1", 500)]), build_order("b", purse=Purse.GATEWAY)
    )
    assert codes(decision) == {"two_purses"}
    assert not decision.actions


def test_a_member_that_captured_nothing_cannot_and_is_only_skipped() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", captured=0))
    assert decision.agrees
    assert decision.skipped
    assert [c.reason for c in decision.ledger.rows[0].cells] == [None, "nothing_captured"]


def test_what_could_not_be_carried_and_now_could_is_a_hold_not_a_write() -> None:
    first = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", captured=0))
    later = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b"), ledger=first.ledger)
    assert codes(later) == {"now_possible"}
    assert not later.actions


def test_a_refund_never_exceeds_what_was_captured_there() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 6000)]), build_order("b", captured=5000))
    assert codes(decision) == {"exceeds_captured"}
    assert not decision.actions


def test_a_refund_that_fits_no_single_payment_is_held() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 9000)]), build_order("b", captured=[6000, 4000]))
    assert codes(decision) == {"split_over_payments"}
    assert not decision.actions


def paid_60_and_40(*refunds: R) -> Order:
    return build_order("b", captured=[6000, 4000], refunds=refunds)


def test_a_refund_that_names_no_payment_may_have_been_of_any_of_them() -> None:
    """Platforms exist whose refunds do not say which payment they are of."""
    refunds = [R("r1", 4500, minutes_ago=60), R("r2", 2500)]
    decision = decide(build_order("a", refunds=refunds), paid_60_and_40(R("s1", 4500, minutes_ago=60)))
    assert codes(decision) == {"split_over_payments"}, "40 - 45 and 60 - 45 are both less than 25"
    assert not decision.actions


def test_a_refund_that_names_its_payment_leaves_the_other_one_whole() -> None:
    refunds = [R("r1", 4500, minutes_ago=60), R("r2", 2500)]
    named = R("s1", 4500, minutes_ago=60, payment_id="pay-b-1")
    (action,) = decide(build_order("a", refunds=refunds), paid_60_and_40(named)).actions
    assert (action.amount, action.payment_id) == (usd(2500), "pay-b-2")


def test_our_own_refund_is_of_the_payment_it_was_sent_for() -> None:
    """Its record names none, but the journal does."""
    one, two = R("r1", 4500, minutes_ago=60), R("r2", 2500)
    first = decide(build_order("a", refunds=[one]), paid_60_and_40())
    (sent,) = first.actions
    assert sent.payment_id == "pay-b-1"
    record = R("s1", 4500, minutes_ago=50, note=f"damaged {sent.token}")
    seen = ActionRecord(action=sent, state=ActionState.SEEN, intended_at=NOON, platform_ref="s1")
    (action,) = decide(
        build_order("a", refunds=[one, two]), paid_60_and_40(record), journal=[seen], ledger=first.ledger
    ).actions
    assert (action.amount, action.payment_id) == (usd(2500), "pay-b-2")


def test_different_totals_and_currencies_stop_money() -> None:
    totals = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", charged=10_825))
    assert codes(totals) == {"different_totals"}
    currencies = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b", currency="EUR"))
    assert codes(currencies) == {"different_currencies"}
    assert not totals.actions
    assert not currencies.actions


def test_a_shop_the_policy_does_not_name_is_local() -> None:
    policy = Policy(refund=KindPolicy(sources=("b",)), cancel=KindPolicy(sources=("b",)))
    decision = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b"), policy=policy)
    assert decision.agrees
    assert [c.state for c in decision.ledger.rows[0].cells] == [CellState.PRESENT, CellState.LOCAL]


def test_refund_has_no_default_policy() -> None:
    assert not decide(build_order("a", refunds=[R("r1", 500)]), build_order("b"), policy=Policy()).actions


def test_facts_older_than_the_link_are_held_and_old_ones_need_a_person() -> None:
    at_link = decide(build_order("a", refunds=[R("r1", 500)]), build_order("b"), live_days=0)
    assert codes(at_link) == {"differs_at_link"}
    old = decide(build_order("a", refunds=[R("r1", 500, minutes_ago=60 * 24 * 4)]), build_order("b"))
    assert codes(old) == {"old_fact"}
    assert not old.actions


def test_a_write_that_pays_the_buyer_waits_ten_minutes_by_default() -> None:
    policy = Policy(refund=KindPolicy(sources="any"))
    early = decide(
        build_order("a", refunds=[R("r1", 500, minutes_ago=9)]),
        build_order("b", purse=Purse.GATEWAY),
        policy=policy,
    )
    assert waits(early) == {"carry_after"}
    assert not early.actions
    assert only(
        decide(
            build_order("a", refunds=[R("r1", 500, minutes_ago=11)]),
            build_order("b", purse=Purse.GATEWAY),
            policy=policy,
        )
    ).pays_buyer


def test_a_doubtful_write_stops_the_links_money_and_is_not_repeated() -> None:
    orders = build_order("a", refunds=[R("r1", 500), R("r2", 700)]), build_order("b")
    action = next(a for a in decide(*orders).actions)
    decision = decide(*orders, journal=[sent(action, ActionState.DOUBT)])
    assert "in_doubt" in codes(decision)
    assert not decision.actions


def test_amount_alone_never_settles_a_doubt() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    action = only(decide(a, b))
    decision = decide(a, build_order("b", refunds=[R("by-hand", 500)]), journal=[sent(action, ActionState.DOUBT)])
    assert "in_doubt" in codes(decision)
    assert not decision.actions


def test_a_receipt_counts_as_done_until_its_record_is_seen_and_is_held_after_an_hour() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    action = only(decide(a, b))
    early = decide(a, b, journal=[sent(action, ActionState.RECEIPTED, ref="x")])
    assert waits(early) == {"not_yet_visible"}
    assert not early.actions
    late = decide(a, b, journal=[sent(action, ActionState.RECEIPTED, minutes_ago=61, ref="x")])
    assert codes(late) == {"not_visible"}
    assert not late.actions
    seen = decide(
        a, build_order("b", refunds=[R("x", 500)]), journal=[sent(action, ActionState.RECEIPTED, ref="x")]
    )
    assert seen.agrees


def test_a_refused_write_is_held_and_not_tried_again() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    decision = decide(a, b, journal=[sent(only(decide(a, b)), ActionState.REFUSED)])
    assert codes(decision) == {"refused"}
    assert not decision.actions


def test_a_write_that_was_never_sent_may_be_planned_again_under_a_new_key() -> None:
    a, b = build_order("a", refunds=[R("r1", 500)]), build_order("b")
    first = only(decide(a, b))
    second = only(decide(a, b, journal=[sent(first, ActionState.EXPIRED)]))
    assert second.key != first.key
    assert second.token == first.token


def test_one_order_gets_one_write_at_a_time() -> None:
    decision = decide(build_order("a", refunds=[R("r1", 500), R("r2", 700)]), build_order("b"))
    assert len(decision.actions) == 1
    assert waits(decision) == {"one_at_a_time"}


def test_an_unpaid_cancel_is_carried() -> None:
    action = only(decide(build_order("a", captured=0, cancelled_minutes_ago=30), build_order("b", captured=0)))
    assert (action.kind, action.target, action.amount) == (ActionKind.CANCEL, OrderRef("b", "1"), None)


def test_refunds_go_before_the_cancel_and_the_cancel_follows() -> None:
    cancelled = build_order("a", refunds=[R("r1", 10_000)], cancelled_minutes_ago=30)
    first = decide(cancelled, build_order("b"))
    assert [a.kind for a in first.actions] == [ActionKind.REFUND]
    assert waits(first) == {"refunds_first"}
    token = first.actions[0].token
    then = decide(cancelled, build_order("b", refunds=[R("x", 10_000, note=token)]), ledger=first.ledger)
    assert only(then).kind is ActionKind.CANCEL


def test_a_cancel_is_never_sent_where_it_would_refund_by_itself() -> None:
    fresh = decide(build_order("a", cancelled_minutes_ago=30), build_order("b"))
    assert waits(fresh) == {"money_not_back"}
    assert not fresh.actions
    later = decide(build_order("a", cancelled_minutes_ago=90), build_order("b"))
    assert codes(later) == {"money_not_back"}
    assert not later.actions


def test_a_cancel_that_moves_no_money_may_go_while_money_is_out() -> None:
    assert (
        only(decide(build_order("a", cancelled_minutes_ago=90), build_order("b"), semantics=QUIET)).kind
        is ActionKind.CANCEL
    )


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"shipped": 2}, "cancel_after_shipping"),
        ({"packed": 2}, "cancel_with_parcels"),
        ({"progress": Progress.COMPLETED}, "cancel_completed"),
        ({"archived": True}, "cancel_archived"),
    ],
)
def test_a_cancel_that_comes_too_late_is_a_persons_decision(other: dict[str, object], code: str) -> None:
    decision = decide(
        build_order("a", captured=0, cancelled_minutes_ago=30),
        build_order("b", captured=0, **other),  # type: ignore[arg-type]  # one of several keyword arguments
    )
    assert code in codes(decision)
    assert not decision.actions


def test_an_order_that_is_un_cancelled_is_held_and_nothing_is_undone() -> None:
    before = decide(
        build_order("a", captured=0, cancelled_minutes_ago=30),
        build_order("b", captured=0, cancelled_minutes_ago=20),
    )
    assert before.agrees
    after = decide(
        build_order("a", captured=0),
        build_order("b", captured=0, cancelled_minutes_ago=20),
        ledger=before.ledger,
    )
    assert codes(after) == {"cancellation_vanished"}
    assert not after.actions


def test_a_member_that_cannot_be_read_blocks_its_link_visibly() -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    link = Link(link_id="L1", members=(a.ref, OrderRef("b", "1")), origin=LinkOrigin.HAND, made_at=NOON)
    members = [
        Member(a.ref, a, CAN_ALL, REFUNDING),
        Member(OrderRef("b", "1"), None, CAN_ALL, REFUNDING, "parked"),
    ]
    decision = reconcile(link, Ledger(), members, [], EVERYONE, NOON, NOON - timedelta(days=9))
    assert codes(decision) == {"member_unreadable"}
    assert not decision.actions


def test_three_members_two_agree_and_the_third_is_brought_along() -> None:
    action = only(
        decide(
            build_order("a", refunds=[R("r1", 500)]),
            build_order("b", refunds=[R("x", 500)]),
            build_order("c"),
        )
    )
    assert action.target == OrderRef("c", "1")


def test_a_refund_typed_by_a_person_through_ordersync_is_carried_like_any_other() -> None:
    a = build_order("a", refunds=[R("r1", 500, note="os-bbbbbbbb")])
    typed = Action(key="k", kind=ActionKind.REFUND, target=a.ref, token="os-bbbbbbbb", because="typed", digest="d")
    action = only(decide(a, build_order("b"), journal=[sent(typed, ActionState.SEEN, ref="r1")]))
    assert action.target == OrderRef("b", "1")


def test_a_refund_made_by_hand_where_it_was_owed_settles_it() -> None:
    a = build_order("a", refunds=[R("r1", 500)])
    before = decide(a, build_order("b"))
    after = decide(a, build_order("b", refunds=[R("by-hand", 500, minutes_ago=1)]), ledger=before.ledger)
    assert after.agrees
