"""A third order joins a link that is days old: what happened before it came is not carried to it without a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.people import A, B, answer, open_world, resolver
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.resolving import Reply
from ordersync.model import CellState, LinkOrigin, OrderRef, Verb
from ordersync.store import NewLink
from ordersync.testing.orders import build_order

C = OrderRef("c", "1")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = open_world(tmp_path)
    # Old enough a link: what is decided below rests on when c joined, not on when a and b were linked.
    made.clock.forward(days=30)
    yield made
    made.store.close()


def c_joins(world: World) -> None:
    world.open_shop("c", build_order("c"))
    world.read()
    (link,) = world.store.add_links([NewLink((A, C), LinkOrigin.RULE, "1", joins=True)], world.clock())
    assert link.members == (A, B, C)
    assert link.joined_later(C) == world.clock()
    assert link.joined_later(A) is None
    assert world.store.link("L1") == link, "it is stored"


def test_a_fact_older_than_48_hours_when_it_joined_is_held_for_the_late_one_only(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.apply()
    assert world.refunded("b") == [1000]
    world.clock.forward(hours=60)
    c_joins(world)
    world.apply()
    assert world.refunded("c") == []
    (held,) = world.store.holds()
    assert (held.hold.code, held.hold.target) == ("differs_at_link", C)
    world.refund_by_hand("a", 500)
    world.apply()
    assert (world.refunded("b"), world.refunded("c")) == ([1000, 500], [500]), (
        "what happens from now on is carried"
    )


def test_a_younger_fact_is_carried_to_the_late_one(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.apply()
    world.clock.forward(hours=40)
    c_joins(world)
    world.apply()
    assert world.refunded("c") == [1000]


def test_what_the_late_one_brings_from_before_is_not_carried_to_the_others(world: World) -> None:
    world.open_shop("c", build_order("c"))
    world.refund_by_hand("c", 700)
    world.clock.forward(hours=60)
    world.read()
    world.store.add_links([NewLink((A, C), LinkOrigin.RULE, "1", joins=True)], world.clock())
    world.apply()
    assert (world.refunded("a"), world.refunded("b")) == ([], [])
    assert world.hold_codes() == {"differs_at_link"}


def test_a_cancel_from_before_it_joined_is_held_too(world: World) -> None:
    for shop in ("a", "b"):
        world.fakes[shop].orders["1"] = build_order(shop, captured=0)
    world.cancel_by_hand("a")
    world.apply()
    assert world.fakes["b"].calls == ["cancel"]
    world.clock.forward(hours=60)
    world.open_shop("c", build_order("c", captured=0))
    world.read()
    world.store.add_links([NewLink((A, C), LinkOrigin.RULE, "1", joins=True)], world.clock())
    world.apply()
    assert world.fakes["c"].calls == []
    assert world.hold_codes() == {"differs_at_link"}


def test_who_left_a_difference_spoke_of_the_orders_there_were(world: World) -> None:
    """A hold about the whole link is left for every member of then; the one that comes later is asked about anew."""
    world.refund_by_hand("a", 1000)
    world.refund_by_hand("b", 1200)
    world.apply()
    (held,) = world.store.holds()
    assert (held.hold.code, held.hold.target) == ("ambiguous_refund", None)
    answer(world, Verb.LEAVE)
    world.clock.forward(hours=1)
    c_joins(world)
    world.apply()
    rows = world.store.ledger("L1").rows
    states = [(row.fact.origin.shop, cell.member.shop, cell.state) for row in rows for cell in row.cells]
    assert ("a", "b", CellState.WAIVED) in states
    assert all(state is not CellState.WAIVED for _, member, state in states if member == "c")
    assert world.refunded("c") == []
    assert world.hold_codes() != set(), "a person is asked about c"


def test_what_was_left_at_the_late_order_itself_stays_left(world: World) -> None:
    world.refund_by_hand("a", 1000)
    world.apply()
    world.clock.forward(hours=60)
    c_joins(world)
    world.apply()
    (held,) = world.store.holds()
    resolver(world).resolve(held.number, Reply(Verb.LEAVE, "kim", why="settled"))
    world.clock.forward(hours=1)
    world.apply()
    assert world.hold_codes() == set()
    assert world.refunded("c") == []
