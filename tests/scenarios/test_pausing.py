"""A pause stops the next write, whoever makes it: a person's file beside the store, or surplus at a shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.people import A, B, answer, doubt, open_world
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.pausing import PauseFlags, closed_shops, paused
from ordersync.engine.sentlog import SentLog
from ordersync.engine.writes import Writer
from ordersync.errors import Held
from ordersync.model import ActionKind, ActionState, LinkOrigin, OrderRef, Verb
from ordersync.testing.orders import build_order, usd


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = open_world(tmp_path)
    yield made
    made.store.close()


def flags(world: World) -> PauseFlags:
    return PauseFlags(world.store.path)


def add_third_shop(world: World) -> None:
    """A sale of its own between a and c, so that c has work while b is paused."""
    world.fakes["a"].orders["2"] = build_order("a", order_id="2")
    world.open_shop("c", build_order("c", order_id="2"))
    world.read()
    world.store.add_link([OrderRef("a", "2"), OrderRef("c", "2")], LinkOrigin.HAND, None, world.clock())
    world.clock.forward(minutes=5)


def surplus_at_b(world: World) -> None:
    """Our refund of 10.00 stands twice on b."""
    world.refund_by_hand("a", 1000)
    world.apply()
    order = world.fakes["b"].orders["1"]
    first = (order.refunds or ())[0]
    twice = first.model_copy(update={"id": "b-again"})
    world.fakes["b"].orders["1"] = order.model_copy(update={"refunds": (first, twice)})


def test_nothing_is_written_while_all_is_paused_and_it_goes_on_afterwards(world: World) -> None:
    assert flags(world).set(None, "kim", "stock take", world.clock())
    world.refund_by_hand("a", 1000)
    report = world.apply()
    assert world.fakes["b"].calls == []
    assert report.results == []
    ((pause, waiting),) = report.waiting
    assert "all shops are paused: by kim" in pause.sentence
    assert "stock take" in pause.sentence
    assert [a.target for a in waiting] == [B]
    assert flags(world).lift(None)
    world.apply()
    assert world.refunded("b") == [1000]


def test_a_paused_shop_waits_while_another_goes_on(world: World) -> None:
    add_third_shop(world)
    flags(world).set("b", "kim", None, world.clock())
    world.refund_by_hand("a", 1000)
    world.refund_by_hand("a", 700, "2")
    world.apply()
    assert (world.refunded("b"), world.refunded("c", "2")) == ([], [700])


def test_pausing_twice_keeps_the_first_and_lifting_twice_says_so(world: World) -> None:
    assert flags(world).set("b", "kim", "first", world.clock())
    assert not flags(world).set("b", "lee", "second", world.clock())
    pause = flags(world).of("b")
    assert pause is not None
    assert "kim" in pause.why
    assert flags(world).lift("b")
    assert not flags(world).lift("b")


def test_a_flag_nobody_can_read_still_pauses(world: World) -> None:
    """The file being there is the pause; its words are only for people."""
    assert world.store.path is not None
    Path(f"{world.store.path}.pause").write_bytes(b"\xff\x00")
    world.refund_by_hand("a", 1000)
    world.apply()
    assert world.fakes["b"].calls == []
    assert closed_shops(world.store, world.shops) == {"a", "b"}


def test_a_pause_set_during_the_run_stops_the_very_next_write(world: World) -> None:
    world.refund_by_hand("a", 10_000)
    world.cancel_by_hand("a")

    def pause_now(_result: object) -> None:
        flags(world).set(None, "kim", None, world.clock())

    world.read()
    applier = world.applier()
    applier.on_result = pause_now
    applier.run()
    assert world.fakes["b"].calls == ["refund"], "the cancel that follows is not sent"


def test_a_pause_set_after_the_intent_is_still_in_time(world: World) -> None:
    world.refund_by_hand("a", 1000)
    action = world.plan()[0]
    intend = world.store.intend

    def slow_intend(*given: object, **named: object) -> object:
        stored = intend(*given, **named)  # type: ignore[arg-type]  # handed on as they came
        flags(world).set("b", "kim", None, world.clock())
        return stored

    world.store.intend = slow_intend  # type: ignore[method-assign,assignment]  # another process, in the middle
    log = SentLog(world.folder / "sent.log")
    result = Writer(world.store, log, world.limits, world.clock(), world.clock).write(world.shops["b"], action)
    assert result.state is ActionState.EXPIRED
    assert "paused" in result.said
    assert world.fakes["b"].calls == []
    assert action.key not in log, "it is not in the log of sends either"


def test_typed_writes_are_paused_too(world: World) -> None:
    wish = Wish(ActionKind.REFUND, amount=usd(500))
    log = SentLog(world.folder / "sent.log")
    ready = prepare(world.store, world.shops, B, wish)
    flags(world).set("b", "kim", None, world.clock())
    with pytest.raises(Held) as asked:
        prepare(world.store, world.shops, B, wish)
    assert (asked.value.code, asked.value.next_step) == ("paused", "to go on: ordersync resume --shop b")
    with pytest.raises(Held):
        perform(world.store, world.shops, ready, log)
    assert world.fakes["b"].calls == []
    prepare(world.store, world.shops, A, wish)


def test_a_doubtful_write_is_not_sent_again_while_its_shop_is_paused(world: World) -> None:
    doubt(world)
    flags(world).set(None, "kim", None, world.clock())
    with pytest.raises(Held) as refused:
        answer(world, Verb.RESEND, amount=usd(1250))
    assert refused.value.code == "paused"
    assert world.fakes["b"].calls == ["refund"]
    assert world.hold_codes() == {"in_doubt"}, "the doubt stands as it stood"


def test_a_surplus_pauses_its_shop_for_every_sale_and_no_other_shop(world: World) -> None:
    add_third_shop(world)
    world.fakes["a"].orders["3"] = build_order("a", order_id="3")
    world.fakes["b"].orders["3"] = build_order("b", order_id="3")
    world.read()
    world.store.add_link([OrderRef("a", "3"), OrderRef("b", "3")], LinkOrigin.HAND, None, world.clock())
    world.clock.forward(minutes=5)
    surplus_at_b(world)
    world.apply()
    assert world.hold_codes() == {"overshoot"}
    pause = paused(world.store, "b")
    assert pause is not None
    assert pause.until == "ordersync holds show H-1"
    before = list(world.fakes["b"].calls)
    world.refund_by_hand("a", 400, "3")
    world.refund_by_hand("a", 700, "2")
    report = world.apply()
    assert world.fakes["b"].calls == before, "another sale of the same shop waits"
    assert world.refunded("c", "2") == [700], "another shop does not"
    assert [[a.target for a in actions] for _, actions in report.waiting] == [[OrderRef("b", "3")]]
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.refunded("b", "3") == [400], "answered: it goes on"


def test_a_surplus_found_in_the_middle_of_a_run_stops_the_shop_at_once(world: World) -> None:
    world.fakes["a"].orders["3"] = build_order("a", order_id="3")
    world.fakes["b"].orders["3"] = build_order("b", order_id="3")
    world.read()
    world.store.add_link([OrderRef("a", "3"), OrderRef("b", "3")], LinkOrigin.HAND, None, world.clock())
    world.clock.forward(minutes=5)
    surplus_at_b(world)
    world.refund_by_hand("a", 250)
    world.refund_by_hand("a", 400, "3")
    before = list(world.fakes["b"].calls)
    for order_id in ("1", "3"):
        world.store.mark_dirty("L1" if order_id == "1" else "L2")
    world.apply()
    assert world.fakes["b"].calls == before


def test_a_surplus_that_is_gone_closes_when_looked_at_and_the_shop_goes_on(world: World) -> None:
    surplus_at_b(world)
    world.apply()
    assert paused(world.store, "b") is not None
    order = world.fakes["b"].orders["1"]
    world.fakes["b"].orders["1"] = order.model_copy(update={"refunds": (order.refunds or ())[:1]})
    world.clock.forward(minutes=1)
    answer(world, Verb.LOOK, code="overshoot")
    assert paused(world.store, "b") is None


def test_what_waits_at_a_paused_shop_does_not_count_in_the_limits_of_the_run(world: World) -> None:
    add_third_shop(world)
    flags(world).set("b", "kim", None, world.clock())
    run = world.limits.run.model_copy(update={"refund": 1})
    world.limits = world.limits.model_copy(update={"run": run})
    world.refund_by_hand("a", 1000)
    world.refund_by_hand("a", 700, "2")
    world.apply()
    assert world.refunded("c", "2") == [700]
    assert world.hold_codes() == set()


def test_a_saved_plan_for_a_paused_shop_waits_and_is_not_called_stale(world: World) -> None:
    world.refund_by_hand("a", 1000)
    saved = world.plan()
    flags(world).set("b", "kim", None, world.clock())
    report = world.apply(saved)
    assert report.stale == []
    assert len(report.waiting) == 1
    assert world.fakes["b"].calls == []
