"""Links that wait for time to pass: no plan forgets them, though nothing about their orders changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.look import make_plan
from ordersync.model import ActionState, Decision, OrderRef
from ordersync.reconcile import KindPolicy, Policy
from ordersync.store import Store
from ordersync.testing.orders import build_order


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        made = World(tmp_path, store)
        slow = KindPolicy(sources="any", carry_after=timedelta(hours=1))
        made.policy = Policy(cancel=slow, refund=slow)
        made.open_shop("a", build_order("a"))
        made.open_shop("b", build_order("b"))
        made.read()
        made.link(OrderRef("a", "1"), OrderRef("b", "1"))
        yield made


def plan(world: World) -> list[Decision]:
    """Decide from what is stored; no shop is asked."""
    return make_plan(world.store, world.shops, world.policy, world.clock()).decisions


def test_a_refund_that_is_too_young_is_planned_when_its_time_has_come(world: World) -> None:
    assert plan(world) == []
    world.refund_by_hand("a", 1250)
    world.read()
    for _ in range(3):
        (waiting,) = plan(world)
        assert [wait.code for wait in waiting.waits] == ["carry_after"]
        assert world.store.dirty_count() == 1
        world.clock.forward(minutes=15)
    world.clock.forward(minutes=30)
    (due,) = plan(world)
    assert [action.target for action in due.actions] == [OrderRef("b", "1")]


def test_an_accepted_write_that_never_shows_becomes_a_hold_after_its_hour(world: World) -> None:
    world.policy = Policy(refund=KindPolicy(sources="any", carry_after=timedelta(0)))
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["late"]
    world.apply()
    assert [record.state for record in world.store.actions(open_only=True)] == [ActionState.RECEIPTED]
    (waiting,) = plan(world)
    assert [wait.code for wait in waiting.waits] == ["not_yet_visible"]
    world.clock.forward(minutes=90)
    (held,) = plan(world)
    assert [hold.code for hold in held.holds] == ["not_visible"]


def test_a_link_that_agrees_is_not_read_again_until_something_happens(world: World) -> None:
    assert plan(world) == []
    world.clock.forward(minutes=60 * 24 * 30)
    assert make_plan(world.store, world.shops, world.policy, world.clock()).looked == 0
    world.refund_by_hand("b", 700)
    world.read()
    assert make_plan(world.store, world.shops, world.policy, world.clock()).looked == 1
