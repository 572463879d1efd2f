"""Holds answered by a person: each answer looks first, does one thing, and is done once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.scenarios.people import A, B, answer, cell_state, needs_approval, open_world, resolver
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.resolving import Reply
from ordersync.errors import Held, UsageError
from ordersync.model import (
    ActionState,
    CellState,
    Fulfillment,
    FulfillmentState,
    Purse,
    RefundState,
    Verb,
)
from ordersync.reconcile import KindPolicy, Policy
from ordersync.testing.orders import build_order, usd


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = open_world(tmp_path)
    yield made
    made.store.close()


def test_an_approved_refund_is_made_once_and_the_approval_is_used_up(world: World) -> None:
    needs_approval(world)
    assert answer(world, Verb.APPROVE).closed
    assert world.hold_codes() == set()
    report = world.apply()
    assert [r.state for r in report.results] == [ActionState.SEEN]
    assert world.refunded("b") == [1250]
    used = world.store.resolutions(link_id="L1")[0]
    assert (used.who, used.verb, used.used_by) == ("kim", Verb.APPROVE, report.results[0].action.key)
    assert world.apply().results == []
    assert world.hold_codes() == set()


def test_an_approval_is_for_the_money_that_was_seen_and_nothing_else(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    world.refund_by_hand("a", 700)
    world.apply()
    assert 1250 not in world.refunded("b"), "the sale changed after it was approved"
    assert "needs_approval" in world.hold_codes()


def test_an_approval_ends_after_three_days(world: World) -> None:
    world.policy = Policy(
        refund=KindPolicy(sources="any", carry_after=timedelta(0), approve_over=(usd(1000),)),
        old_after=timedelta(days=30),
    )
    world.refund_by_hand("a", 1250)
    world.apply()
    answer(world, Verb.APPROVE)
    world.clock.forward(hours=73)
    world.apply()
    assert world.refunded("b") == []
    assert world.hold_codes() == {"needs_approval"}


def test_an_approval_lets_pass_just_the_check_it_was_given_for(world: World) -> None:
    world.policy = Policy(refund=KindPolicy(sources="any", carry_after=timedelta(0), approve_over=(usd(1000),)))
    world.refund_by_hand("a", 1250)
    world.clock.forward(days=4)
    world.apply()
    assert world.hold_codes() == {"old_fact"}
    answer(world, Verb.APPROVE)
    world.apply()
    assert world.hold_codes() == {"needs_approval"}, "being old was approved, being large was not"
    assert world.refunded("b") == []
    answer(world, Verb.APPROVE)
    world.apply()
    assert world.refunded("b") == [1250]


def test_a_replayed_approval_is_refused_by_name(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    action = world.plan()[0]
    assert action.approvals
    world.apply(None)
    assert world.refunded("b") == [1250]
    again = action.model_copy(update={"key": "another"})
    at = world.clock()
    with pytest.raises(Held) as replayed:
        world.store.intend(again, at, at + timedelta(seconds=20), lambda _spent: None)
    assert replayed.value.code == "approval_used"
    assert world.store.action("another") is None


@pytest.mark.parametrize(
    ("hours", "change", "code"), [(73, {}, "approval_expired"), (0, {"digest": "other"}, "approval_stale")]
)
def test_a_stale_approval_is_refused_by_name(world: World, hours: int, change: dict[str, str], code: str) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    action = world.plan()[0].model_copy(update=change)
    world.clock.forward(hours=hours)
    at = world.clock()
    with pytest.raises(Held) as stale:
        world.store.intend(action, at, at + timedelta(seconds=20), lambda _spent: None)
    assert stale.value.code == code
    assert world.store.actions() == []


def test_an_approval_survives_a_try_that_was_certainly_not_made(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    world.fakes["b"].answers = ["not_sent"]
    world.apply()
    assert world.refunded("b") == []
    world.apply()
    assert world.refunded("b") == [1250]


def test_what_was_seen_must_still_be_so_when_it_is_approved(world: World) -> None:
    needs_approval(world)
    world.refund_by_hand("a", 300)
    world.refund_by_hand("b", 300)
    with pytest.raises(Held) as changed:
        answer(world, Verb.APPROVE, code="needs_approval")
    assert changed.value.code == "changed_since"
    assert world.store.resolutions() == []


def test_a_left_difference_is_waived_and_never_asked_about_again(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.LEAVE)
    for _ in range(3):
        world.apply()
        world.clock.forward(hours=30)
    assert world.hold_codes() == set()
    assert world.refunded("b") == []
    row = world.store.ledger("L1").rows[0]
    cell = row.cell(B)
    assert cell is not None
    assert (cell.state, cell.reason) == (CellState.WAIVED, "kim: agreed with the shop")
    world.refund_by_hand("a", 500)
    world.apply()
    assert world.refunded("b") == [500], "the next refund is carried"


def test_leaving_without_a_reason_is_refused(world: World) -> None:
    needs_approval(world)
    with pytest.raises(UsageError) as missing:
        answer(world, Verb.LEAVE, why=" ")
    assert missing.value.code == "reason_missing"
    assert world.hold_codes() == {"needs_approval"}


@pytest.mark.parametrize("verb", [Verb.RESEND, Verb.DONE])
def test_a_verb_that_makes_no_sense_is_refused_with_those_that_do(world: World, verb: Verb) -> None:
    needs_approval(world)
    with pytest.raises(UsageError, match="cannot be answered") as wrong:
        answer(world, verb, record="x")
    assert wrong.value.next_step == "one of: look, approve, leave"


def test_two_different_refunds_left_as_they_are_do_not_stop_the_next_ones_question(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.refund_by_hand("b", 1200)
    world.apply()
    assert world.hold_codes() == {"ambiguous_refund"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert (world.refunded("a"), world.refunded("b")) == ([1000], [1200])
    world.refund_by_hand("a", 500)
    world.apply()
    assert world.refunded("b") == [1200], "17.00 on b would exceed the 15.00 of a"
    assert world.hold_codes() == {"ambiguous_refund"}


def test_an_overshoot_a_person_accepted_stays_closed_until_it_grows(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.apply()
    order = world.fakes["b"].orders["1"]
    first = (order.refunds or ())[0]
    twice = first.model_copy(update={"id": "b-again"})
    world.fakes["b"].orders["1"] = order.model_copy(update={"refunds": (first, twice)})
    world.apply()
    assert world.hold_codes() == {"overshoot"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    thrice = first.model_copy(update={"id": "b-third"})
    world.fakes["b"].orders["1"] = order.model_copy(update={"refunds": (first, twice, thrice)})
    world.apply()
    assert world.hold_codes() == {"overshoot"}


def test_a_refund_that_went_back_may_be_left(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.apply()
    order = world.fakes["a"].orders["1"]
    failed = (order.refunds or ())[0].model_copy(update={"status": RefundState.FAILED})
    world.fakes["a"].orders["1"] = order.model_copy(update={"refunds": (failed,)})
    world.apply()
    assert world.hold_codes() == {"refund_went_back"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert world.refunded("b") == [1000]


def test_two_purses_left_as_they_are_ask_again_at_the_next_refund(world: World) -> None:
    for shop in ("a", "b"):
        world.fakes[shop].orders["1"] = build_order(shop, purse=Purse.GATEWAY)
    world.refund_by_hand("a", 1000)
    world.apply()
    assert world.hold_codes() == {"two_purses"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert cell_state(world, B) is CellState.WAIVED
    assert world.apply().decisions == [], "the link agrees and is not looked at"
    world.refund_by_hand("a", 400)
    world.apply()
    assert world.hold_codes() == {"two_purses"}
    assert world.refunded("b") == []


def test_a_cancel_after_shipping_may_be_left(world: World) -> None:
    order = world.fakes["b"].orders["1"]
    gone = Fulfillment(id="p", status=FulfillmentState.SHIPPED, lines=(), shipped_at=world.clock())
    world.fakes["b"].orders["1"] = order.model_copy(update={"fulfillments": (gone,)})
    world.cancel_by_hand("a")
    world.apply()
    assert world.hold_codes() == {"cancel_after_shipping"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == []
    assert cell_state(world, B) is CellState.WAIVED


def test_a_cancellation_that_vanished_may_be_left(world: World) -> None:
    world.refund_by_hand("a", 10_000)
    world.cancel_by_hand("a")
    world.apply()
    order = world.fakes["a"].orders["1"]
    world.fakes["a"].orders["1"] = order.model_copy(update={"cancellation": None})
    world.apply()
    assert world.hold_codes() == {"cancellation_vanished"}
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == ["refund", "cancel"]


def test_of_two_people_at_one_hold_one_wins(world: World) -> None:
    needs_approval(world)
    number = world.store.holds()[0].number
    resolver(world).resolve(number, Reply(Verb.APPROVE, "kim"))
    with pytest.raises(Held) as second:
        resolver(world).resolve(number, Reply(Verb.LEAVE, "lee", why="no"))
    assert second.value.code == "hold_closed"
    assert "approve by kim" in second.value.message
    assert [r.who for r in world.store.resolutions()] == ["kim"]


def test_a_hold_somebody_is_answering_is_not_answered_by_another(world: World) -> None:
    needs_approval(world)
    world.store.claim([A, B], "lee", world.clock(), timedelta(minutes=1))
    with pytest.raises(Held) as claimed:
        answer(world, Verb.APPROVE)
    assert claimed.value.code == "claimed"
    assert world.hold_codes() == {"needs_approval"}


def test_an_order_that_vanished_may_be_left_and_does_not_come_back(world: World) -> None:
    del world.fakes["b"].orders["1"]
    world.refund_by_hand("a", 100)
    world.apply()
    assert "order_vanished" in world.hold_codes()
    answer(world, Verb.LEAVE, code="order_vanished")
    world.apply()
    assert "order_vanished" not in world.hold_codes()


def test_an_open_order_change_that_ended_closes_when_looked_at(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].open_changes = ["a return is open"]
    world.apply()
    assert not answer(world, Verb.LOOK).closed
    world.fakes["b"].open_changes = []
    assert answer(world, Verb.LOOK).closed


def test_a_refused_key_that_works_again_closes_when_looked_at(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unauthorized"]
    world.apply()
    done = answer(world, Verb.LOOK, code="unauthorized")
    assert "the shop takes the key" in done.said
    assert "unauthorized" not in world.hold_codes()
