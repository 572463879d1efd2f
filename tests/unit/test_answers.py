"""What people answered, as the decision sees it: a waived cell stays, an approval passes one check of one write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ordersync.model import (
    Action,
    ActionKind,
    CellState,
    Decision,
    Hold,
    Ledger,
    Link,
    LinkOrigin,
    Money,
    Order,
    OrderRef,
    Purse,
    Resolution,
    Verb,
    seen_digest,
    stable_hash,
    token_of,
)
from ordersync.model.semantics import Semantics
from ordersync.reconcile import KindPolicy, Limits, LimitSet, Member, Policy, reconcile
from ordersync.reconcile.limits import check_limits
from ordersync.store import Spent
from ordersync.testing.orders import NOON, R, build_order, usd

A, B = OrderRef("a", "1"), OrderRef("b", "1")
NOW_CARRIED = KindPolicy(sources="any", carry_after=timedelta(0))
LARGE = Policy(cancel=NOW_CARRIED, refund=NOW_CARRIED.model_copy(update={"approve_over": (usd(1000),)}))
PLAIN = Policy(cancel=NOW_CARRIED, refund=NOW_CARRIED)
REFUNDING = Semantics(cancel_refunds="all", cancel_restocks="unknown", refund_token_field="note")


def decide(
    *orders: Order,
    policy: Policy = PLAIN,
    given: Sequence[Resolution] = (),
    ledger: Ledger | None = None,
    can: frozenset[str] = frozenset({"cancel", "refund"}),
    live_days: float = 30,
) -> Decision:
    refs = tuple(sorted(order.ref for order in orders))
    link = Link(link_id="L1", members=refs, origin=LinkOrigin.HAND, made_at=NOON)
    members = [Member(order.ref, order, can, REFUNDING) for order in orders]
    live_from = NOON - timedelta(days=live_days)
    return reconcile(link, ledger or Ledger(), members, (), policy, NOON, live_from, given)


def reply(verb: Verb, hold: Hold, **changed: Any) -> Resolution:
    given = Resolution(
        number=7,
        hold="H-1",
        hold_key=hold.key,
        code=hold.code,
        verb=verb,
        link_id=hold.link_id,
        target=hold.target,
        facts=hold.facts,
        digest=seen_digest(hold),
        who="kim",
        why="agreed",
        at=NOON,
        expires_at=NOON + timedelta(hours=72),
    )
    return given.model_copy(update=changed)


def codes(decision: Decision) -> list[str]:
    return [hold.code for hold in decision.holds]


def pair(*refunds: R) -> tuple[Order, Order]:
    return build_order("a", refunds=refunds), build_order("b")


def test_an_approval_names_itself_on_the_write_it_lets_go() -> None:
    orders = pair(R("r1", 2000))
    asked = decide(*orders, policy=LARGE)
    assert codes(asked) == ["needs_approval"]
    let = decide(*orders, policy=LARGE, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert codes(let) == []
    assert [action.approvals for action in let.actions] == [(7,)]
    assert let.actions[0].digest == asked.holds[0].digest


@pytest.mark.parametrize(
    "changed",
    [
        {"used_at": NOON},
        {"expires_at": NOON},
        {"digest": "of other money"},
        {"target": A},
        {"facts": ("f" * 64,)},
        {"code": "old_fact"},
    ],
)
def test_an_approval_that_is_used_old_or_for_something_else_lets_nothing_go(changed: dict[str, Any]) -> None:
    orders = pair(R("r1", 2000))
    asked = decide(*orders, policy=LARGE)
    given = [reply(Verb.APPROVE, asked.holds[0], **changed)]
    decision = decide(*orders, policy=LARGE, given=given)
    assert codes(decision) == ["needs_approval"]
    assert decision.actions == ()


def test_an_approval_is_bound_to_the_money_of_every_member() -> None:
    asked = decide(*pair(R("r1", 2000)), policy=LARGE)
    given = [reply(Verb.APPROVE, asked.holds[0])]
    more = decide(*pair(R("r1", 2000), R("r2", 500, minutes_ago=20)), policy=LARGE, given=given)
    assert codes(more) == ["needs_approval"]


def test_approving_a_repeat_lets_only_that_one_go() -> None:
    once = build_order("a", refunds=[R("r1", 500)])
    known = decide(once, build_order("b", purse=Purse.GATEWAY)).ledger
    copy = R("c1", 500, note=known.rows[0].fact.token, minutes_ago=25)
    twice = build_order("a", captured=10_000, refunds=[R("r1", 500), R("r2", 500, minutes_ago=29)])
    paying = build_order("b", purse=Purse.GATEWAY, refunds=[copy])
    asked = decide(twice, paying, ledger=known)
    assert codes(asked) == ["looks_like_repeat"]
    let = decide(twice, paying, ledger=known, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert [(a.target, a.amount, a.approvals) for a in let.actions] == [(B, usd(500), (7,))]


def test_a_difference_from_before_the_link_is_carried_once_approved() -> None:
    orders = pair(R("r1", 500, minutes_ago=60 * 30))
    asked = decide(*orders, live_days=1)
    assert codes(asked) == ["differs_at_link"]
    let = decide(*orders, live_days=1, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert [a.kind for a in let.actions] == [ActionKind.REFUND]


def test_an_old_cancel_is_carried_once_approved() -> None:
    orders = build_order("a", captured=0, cancelled_minutes_ago=60 * 24 * 4), build_order("b", captured=0)
    asked = decide(*orders)
    assert codes(asked) == ["old_fact"]
    let = decide(*orders, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert [(a.kind, a.target, a.approvals) for a in let.actions] == [(ActionKind.CANCEL, B, (7,))]


def test_what_became_possible_stays_a_question_until_it_was_done() -> None:
    orders = pair(R("r1", 500))
    unable = decide(*orders, can=frozenset({"cancel"}))
    asked = decide(*orders, ledger=unable.ledger)
    assert codes(asked) == ["now_possible"]
    let = decide(*orders, ledger=asked.ledger, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert len(let.actions) == 1
    lapsed = decide(*orders, ledger=let.ledger)
    assert codes(lapsed) == ["now_possible"], "an approval nobody used must not make it owed"
    assert lapsed.actions == ()


def test_a_left_fact_is_waived_without_any_memory_in_the_ledger() -> None:
    orders = pair(R("r1", 2000))
    asked = decide(*orders, policy=LARGE)
    left = decide(*orders, policy=LARGE, given=[reply(Verb.LEAVE, asked.holds[0])])
    cell = left.ledger.rows[0].cell(B)
    assert cell is not None
    assert (cell.state, cell.reason) == (CellState.WAIVED, "kim: agreed")
    assert left.agrees
    again = decide(*orders, policy=LARGE, ledger=left.ledger)
    assert again.agrees, "and the ledger alone keeps it"


def test_a_left_fact_that_is_refunded_after_all_is_present() -> None:
    orders = pair(R("r1", 2000))
    asked = decide(*orders, policy=LARGE)
    given = [reply(Verb.LEAVE, asked.holds[0])]
    left = decide(*orders, policy=LARGE, given=given)
    by_hand = decide(orders[0], build_order("b", refunds=[R("h", 2000)]), ledger=left.ledger, given=given)
    cell = by_hand.ledger.rows[0].cell(B)
    assert cell is not None
    assert cell.state is CellState.PRESENT


def test_leaving_one_member_as_it_is_carries_to_the_others() -> None:
    orders = (*pair(R("r1", 2000)), build_order("c"))
    asked = decide(*orders, policy=LARGE)
    assert codes(asked) == ["needs_approval", "needs_approval"]
    at_b = next(hold for hold in asked.holds if hold.target == B)
    decision = decide(*orders, policy=LARGE, given=[reply(Verb.LEAVE, at_b)])
    assert [hold.target for hold in decision.holds] == [OrderRef("c", "1")]


def test_different_totals_that_were_left_still_stop_money() -> None:
    orders = build_order("a", charged=10_000, refunds=[R("r1", 500)]), build_order("b", charged=9_000)
    asked = decide(*orders)
    assert codes(asked) == ["different_totals"]
    left = decide(*orders, given=[reply(Verb.LEAVE, asked.holds[0])])
    assert codes(left) == []
    assert left.actions == ()
    new = build_order("a", charged=10_000, refunds=[R("r1", 500), R("r2", 300)])
    assert codes(decide(new, orders[1], given=[reply(Verb.LEAVE, asked.holds[0])])) == ["different_totals"]


def cancel(implied: Money | None, number: int = 1) -> Action:
    fact_id = stable_hash(str(number))
    return Action(
        key=f"k{number}",
        kind=ActionKind.CANCEL,
        target=OrderRef("b", str(number)),
        link_id="L1",
        fact_id=fact_id,
        token=token_of(fact_id),
        implied=implied,
        because="test",
        digest="d",
    )


def test_what_a_cancel_gives_back_counts_as_refunded_value() -> None:
    from ordersync.model import ActionRecord, ActionState

    limits = Limits(run=LimitSet(refund_value=(usd(1000),)), day=LimitSet(refund_value=(usd(1000),)))
    nothing = Spent(NOON, ())
    assert check_limits(cancel(None), nothing, nothing, limits) is None
    assert check_limits(cancel(usd(1000)), nothing, nothing, limits) is None
    stopped = check_limits(cancel(usd(1001)), nothing, nothing, limits)
    assert stopped is not None
    assert stopped.money == usd(1001)
    done = ActionRecord(action=cancel(usd(600)), state=ActionState.DOUBT, intended_at=NOON)
    spent = Spent(NOON, (done,))
    assert spent.value("USD") == usd(600)
    assert check_limits(cancel(usd(500), 2), spent, spent, limits) is not None
    assert check_limits(cancel(usd(400), 2), spent, spent, limits) is None


def test_three_facts_with_money_are_the_most_of_a_link_and_day() -> None:
    from ordersync.model import ActionRecord, ActionState

    limits = Limits(run=LimitSet(cancel=99), day=LimitSet(cancel=99))
    records = tuple(
        ActionRecord(action=cancel(None, n), state=ActionState.SEEN, intended_at=NOON) for n in range(1, 4)
    )
    spent = Spent(NOON, records)
    assert check_limits(cancel(None, 3), spent, spent, limits) is None, "the same fact at another order"
    stopped = check_limits(cancel(None, 4), spent, spent, limits)
    assert stopped is not None
    assert "4 facts with money of one link in 24 h, of 3" in stopped.message
    assert [one.fact_id for one in stopped.batch] == [stable_hash("4")]


def test_an_old_parcel_is_carried_once_approved_and_may_be_left() -> None:
    ship = Policy(fulfill=NOW_CARRIED)
    can = frozenset({"ship"})
    old = build_order("a", shipped=1)
    gone = tuple(p.model_copy(update={"shipped_at": NOON - timedelta(days=5)}) for p in old.fulfillments or ())
    orders = old.model_copy(update={"fulfillments": gone}), build_order("b")
    asked = decide(*orders, policy=ship, can=can)
    assert codes(asked) == ["old_fact"]
    let = decide(*orders, policy=ship, can=can, given=[reply(Verb.APPROVE, asked.holds[0])])
    assert [(a.kind, a.target, a.approvals) for a in let.actions] == [(ActionKind.SHIP, B, (7,))]
    left = decide(*orders, policy=ship, can=can, given=[reply(Verb.LEAVE, asked.holds[0])])
    assert left.agrees
    assert left.actions == ()
