"""Different totals: amounts are compared only once a person chose how, and only within what each order was paid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.people import A, answer, open_world
from tests.scenarios.test_apply_protocol import World

from ordersync.errors import UsageError
from ordersync.model import LinkOrigin, OrderRef, Verb
from ordersync.store import NewLink
from ordersync.testing.orders import build_order

TAXED = 10_825


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """a was charged 100.00; b, its mirror, 108.25 with tax."""
    made = open_world(tmp_path)
    made.fakes["b"].orders["1"] = build_order("b", charged=TAXED)
    yield made
    made.store.close()


def choose(world: World, amount: int = 2000) -> None:
    world.refund_by_hand("a", amount)
    world.apply()
    assert world.hold_codes() == {"different_totals"}
    assert world.refunded("b") == []
    said = answer(world, Verb.COMPARE).said
    assert "amounts are taken as they are" in said


def test_the_choice_lets_amounts_be_carried_cent_for_cent(world: World) -> None:
    choose(world)
    world.apply()
    assert world.refunded("b") == [2000]
    assert world.hold_codes() == set()
    chosen = world.store.resolutions(link_id="L1")[0]
    assert (chosen.who, chosen.verb, chosen.expires_at) == ("kim", Verb.COMPARE, None)
    world.clock.forward(days=10)
    world.refund_by_hand("a", 333)
    world.apply()
    assert world.refunded("b") == [2000, 333], "it holds for the link, not for one refund"


def test_who_chose_is_told_where_the_link_is_explained(world: World) -> None:
    choose(world)
    world.refund_by_hand("a", 100)
    report = world.apply()
    told = [why for decision in report.decisions for why in decision.skipped]
    assert "different totals (a:1 100.00 USD, b:1 108.25 USD): kim chose to take amounts as they are" in told


def test_a_whole_refund_of_the_larger_does_not_fit_the_smaller(world: World) -> None:
    world.refund_by_hand("b", TAXED)
    world.apply()
    answer(world, Verb.COMPARE)
    world.apply()
    assert world.refunded("a") == []
    assert world.hold_codes() == {"exceeds_captured"}


def test_a_whole_refund_of_the_smaller_leaves_the_tax_with_the_larger(world: World) -> None:
    choose(world, 10_000)
    world.apply()
    assert world.refunded("b") == [10_000]
    world.cancel_by_hand("a")
    world.clock.forward(hours=2)
    world.apply()
    assert "cancel" not in world.fakes["b"].calls, "its cancel would give back the 8.25"
    assert world.hold_codes() == {"money_not_back"}


def test_whole_refunds_made_by_hand_on_both_sides_are_not_taken_for_one(world: World) -> None:
    choose(world)
    world.apply()
    world.refund_by_hand("a", 8_000)
    world.refund_by_hand("b", 8_825)
    world.apply()
    assert "ambiguous_refund" in world.hold_codes()
    assert world.refunded("b") == [2000, 8_825]


def test_another_total_asks_again(world: World) -> None:
    choose(world)
    world.apply()
    refunded = world.fakes["b"].orders["1"].refunds
    again = build_order("b", charged=TAXED + 100).model_copy(update={"refunds": refunded})
    world.fakes["b"].orders["1"] = again
    world.refund_by_hand("a", 500)
    world.apply()
    assert world.hold_codes() == {"different_totals"}
    assert world.refunded("b") == [2000]


def test_an_order_that_joins_asks_again(world: World) -> None:
    choose(world)
    world.apply()
    world.open_shop("c", build_order("c", charged=9_000))
    world.read()
    world.clock.forward(hours=1)
    world.store.add_links([NewLink((A, OrderRef("c", "1")), LinkOrigin.HAND, joins=True)], world.clock())
    world.apply()
    assert world.hold_codes() == {"different_totals"}
    assert world.refunded("c") == []


def test_the_choice_is_for_one_link(world: World) -> None:
    for shop, charged in (("a", 10_000), ("b", TAXED)):
        world.fakes[shop].orders["2"] = build_order(shop, order_id="2", charged=charged)
    world.read()
    world.link(OrderRef("a", "2"), OrderRef("b", "2"))
    world.clock.forward(minutes=5)
    choose(world)
    world.refund_by_hand("a", 700, "2")
    world.apply()
    assert (world.refunded("b"), world.refunded("b", "2")) == ([2000], [])
    assert world.hold_codes() == {"different_totals"}


def test_other_holds_cannot_be_answered_by_comparing(world: World) -> None:
    world.fakes["b"].orders["1"] = build_order("b", currency="EUR")
    world.refund_by_hand("a", 100)
    world.apply()
    assert world.hold_codes() == {"different_currencies"}
    with pytest.raises(UsageError) as refused:
        answer(world, Verb.COMPARE)
    assert refused.value.code == "verb_not_offered"
    assert world.store.resolutions() == []


def test_no_approval_is_stretched_by_the_choice(world: World) -> None:
    """An old refund still asks, totals chosen or not."""
    choose(world)
    world.apply()
    world.refund_by_hand("a", 900)
    world.clock.forward(days=4)
    world.apply()
    assert world.hold_codes() == {"old_fact"}
    assert world.refunded("b") == [2000]
