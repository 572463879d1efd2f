"""In doubt: what was sent is looked for at the times the platform needs, and only then is a person asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.scenarios.people import B
from tests.scenarios.stage import Stage, open_stage
from tests.scenarios.test_apply_protocol import World

from ordersync.errors import Held
from ordersync.model import ActionKind, ActionState, Refund, RefundState
from ordersync.testing.sandbox import Fault


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as made:
        yield made


GAPS = {"asia": 50, "office": 30, "web": 30}
"""Seconds a platform may take to answer and to work off its queue."""


def doubtful(stage: Stage, shop: str) -> None:
    """A refund goes to this shop and the line is cut before it acts."""
    origin = "office" if shop != "office" else "asia"
    sale = stage.sale(origin, shop, pays=origin)
    stage.refund(origin, sale, "20.00")
    stage.pull()
    stage.admins[shop].box.add_fault(Fault("cut_before", method="POST", path="refund"))
    stage.apply()
    stage.speak(shop)
    (record,) = stage.store.actions(open_only=True)
    assert (record.state, record.action.target.shop) == (ActionState.DOUBT, shop)


@pytest.mark.parametrize("shop", GAPS)
def test_a_person_is_asked_after_two_looks_each_the_platforms_own_time_apart(stage: Stage, shop: str) -> None:
    doubtful(stage, shop)
    for _look in range(2):
        stage.wait(seconds=GAPS[shop] - 1)
        stage.apply()
        assert stage.codes() == [], "a look that came too early counts for nothing"
        stage.wait(seconds=1)
        stage.apply()
    assert stage.codes() == ["in_doubt"]


def test_many_early_looks_are_not_two(stage: Stage) -> None:
    doubtful(stage, "asia")
    for _ in range(40):
        stage.wait(seconds=1)
        stage.apply()
    assert stage.codes() == []


def test_what_is_looked_for_moves_no_other_money_and_says_when_it_looks_again(stage: Stage) -> None:
    sale = stage.sale("asia", "office", pays="asia")
    stage.refund("asia", sale, "20.00")
    stage.refund("asia", sale, "5.00")
    stage.pull()
    stage.admins["office"].box.add_fault(Fault("cut_before", method="POST", path="refund"))
    (result,) = stage.apply().results
    stage.speak("office")
    assert "looks again" in result.said
    assert stage.apply().results == []
    waits = {wait.code: wait for wait in stage.decision(sale).waits}
    assert "money_held" in waits
    sent_at = stage.store.actions(open_only=True)[0].sent_at
    assert sent_at is not None
    assert waits["looked_for"].until == sent_at + timedelta(seconds=GAPS["office"])


def test_a_write_that_stood_in_the_queue_is_found_and_nobody_is_asked(stage: Stage) -> None:
    """The platform acts a minute after its caller gave up: the second look finds it."""
    sale = stage.sale("office", "asia", pays="office")
    stage.refund("office", sale, "20.00")
    stage.pull()
    before = stage.photo("asia")
    stage.admins["asia"].box.add_fault(Fault("cut_after", method="POST", path="refund"))
    stage.show_only("asia", before)
    stage.apply()
    stage.wait(seconds=60)
    stage.apply()
    stage.show_all("asia")
    stage.wait(seconds=60)
    stage.apply()
    assert stage.codes() == []
    assert stage.store.actions(open_only=True) == []
    assert stage.refunds(sale) == {"office": ["20.00"], "asia": ["20.00"]}


def test_goods_go_out_while_a_refund_is_held_in_doubt_and_money_does_not(stage: Stage) -> None:
    sale = stage.sale("asia", "office", pays="asia")
    stage.refund("asia", sale, "20.00")
    stage.pull()
    stage.admins["office"].box.add_fault(Fault("cut_before", method="POST", path="refund"))
    stage.apply()
    stage.speak("office")
    stage.ship("asia", sale, tracking="SF1")
    stage.pull()
    assert stage.apply().results == [], "while it is looked for, the order gets nothing else"
    for _ in range(2):
        stage.wait(minutes=2)
        stage.apply()
    assert stage.codes() == ["in_doubt"]
    stage.refund("asia", sale, "5.00")
    stage.pull()
    stage.apply()
    assert stage.shipped(sale) == {"asia": 3, "office": 3}
    assert stage.refunds(sale)["office"] == []
    assert stage.codes() == ["in_doubt"]
    (open_write,) = stage.store.actions(open_only=True)
    assert open_write.state is ActionState.DOUBT


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    from tests.scenarios.people import open_world

    made = open_world(tmp_path)
    yield made
    made.store.close()


def test_the_journal_refuses_money_to_an_order_whose_refund_is_held_in_doubt(world: World) -> None:
    """Whatever the code above it believes."""
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unknown_not_done"]
    action = world.plan()[0]
    world.apply()
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    at = world.clock()
    other = action.model_copy(update={"key": "another"})
    with pytest.raises(Held) as refused:
        world.store.intend(other, at, at + timedelta(seconds=20), lambda _spent: None)
    assert refused.value.code == "write_in_flight"
    with pytest.raises(Held) as linked:
        world.store.remove_link("L1")
    assert linked.value.code == "write_open"


def test_a_doubt_found_while_a_parcel_is_open_there_settles_all_the_same(world: World) -> None:
    world.refund_by_hand("a", 1250)
    fake = world.fakes["b"]
    fake.answers = ["unknown_not_done"]
    action = world.plan()[0]
    world.apply()
    world.look_twice()
    at = world.clock()
    parcel = action.model_copy(update={"key": "parcel", "kind": ActionKind.SHIP, "amount": None})
    world.store.intend(parcel, at, at + timedelta(seconds=20), lambda _spent: None)
    assert world.store.advance(action.key, ActionState.DOUBT, ActionState.RECEIPTED, answer="late receipt")
    record = Refund(id="x", status=RefundState.COMPLETED, amount=action.amount, note=action.token, created_at=at)
    fake.orders["1"] = fake.orders["1"].model_copy(update={"refunds": (record,)})
    assert {a.action.key for a in world.store.actions(target=B, open_only=True)} == {action.key, "parcel"}
    world.clock.forward(minutes=5)
    world.apply()
    settled = world.store.action(action.key)
    assert settled is not None
    assert settled.state is ActionState.SEEN
