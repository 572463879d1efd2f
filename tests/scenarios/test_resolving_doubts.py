"""Doubtful writes answered by a person: found, matched, sent once more, or left, and never paid twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.people import B, answer, doubt, needs_approval, open_world
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.sentlog import SentLog
from ordersync.errors import Held, Refused, UsageError
from ordersync.model import (
    ActionKind,
    ActionState,
    Money,
    OrderRef,
    Verb,
)
from ordersync.testing.orders import build_order, usd


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = open_world(tmp_path)
    yield made
    made.store.close()


def test_looking_settles_what_has_shown_up(world: World) -> None:
    doubt(world, happened=True)
    assert not answer(world, Verb.LOOK).closed
    world.fakes["b"].hidden.clear()
    assert answer(world, Verb.LOOK).closed
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == ["refund"]


def test_a_doubt_is_sent_once_more_when_a_person_types_its_amount(world: World) -> None:
    doubt(world)
    for wrong in (None, usd(1251), Money.parse("1250 JPY")):
        with pytest.raises(UsageError) as refused:
            answer(world, Verb.RESEND, amount=wrong)
        assert refused.value.code in ("amount_missing", "amount_differs")
    assert world.fakes["b"].calls == ["refund"]
    done = answer(world, Verb.RESEND, amount=usd(1250))
    assert done.result is not None
    assert done.result.state is ActionState.SEEN
    assert world.refunded("b") == [1250]
    world.apply()
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == ["refund", "refund"]
    first, second = world.store.actions(target=B)
    assert (first.state, second.state) == (ActionState.EXPIRED, ActionState.SEEN)
    assert "kim says it did not happen" in (first.answer or "")


def test_sending_a_doubt_again_needs_no_second_approval_days_later(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    world.fakes["b"].answers = ["unknown_not_done"]
    world.apply()
    world.clock.forward(days=5)
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    assert answer(world, Verb.RESEND, amount=usd(1250)).result is not None
    assert world.refunded("b") == [1250]
    assert [r.used_by for r in world.store.resolutions()] == [a.action.key for a in world.store.actions(target=B)]


def test_a_doubt_on_other_money_than_it_was_sent_on_is_asked_about_anew(world: World) -> None:
    needs_approval(world)
    answer(world, Verb.APPROVE)
    world.fakes["b"].answers = ["unknown_not_done"]
    world.apply()
    world.look_twice()
    world.refund_by_hand("a", 300)
    world.refund_by_hand("b", 300)
    done = answer(world, Verb.RESEND, code="in_doubt", amount=usd(1250))
    assert done.result is None
    assert world.refunded("b") == [300]
    assert world.hold_codes() == {"needs_approval"}


def test_a_doubt_that_did_happen_is_not_sent_again_whoever_asks(world: World) -> None:
    doubt(world, happened=True)
    world.fakes["b"].hidden.clear()
    done = answer(world, Verb.RESEND, amount=usd(1250))
    assert done.result is None
    assert world.fakes["b"].calls == ["refund"]
    assert world.refunded("b") == [1250]


def test_a_doubt_is_not_sent_again_while_a_refund_there_may_be_it(world: World) -> None:
    doubt(world)
    world.refund_by_hand("b", 1250)
    world.read()
    with pytest.raises(Held) as maybe:
        answer(world, Verb.RESEND, code="in_doubt", amount=usd(1250))
    assert maybe.value.code == "may_have_happened"
    assert "b-hand-1" in (maybe.value.next_step or "")
    assert world.fakes["b"].calls == ["refund"]


def test_a_doubt_made_another_way_is_matched_with_its_record(world: World) -> None:
    doubt(world)
    world.refund_by_hand("b", 1250)
    world.apply()
    with pytest.raises(UsageError) as unknown:
        answer(world, Verb.DONE, code="in_doubt", record="nonsense")
    assert unknown.value.code == "no_such_record"
    assert answer(world, Verb.DONE, code="in_doubt", record="b-hand-1").closed
    world.apply()
    assert world.hold_codes() == set()
    assert world.plan() == []
    assert world.refunded("a") == [1250]
    assert world.fakes["b"].calls == ["refund"]
    assert len(world.store.ledger("L1").rows) == 1


def test_a_record_of_another_amount_is_not_the_doubtful_one(world: World) -> None:
    doubt(world)
    world.refund_by_hand("b", 999)
    world.apply()
    with pytest.raises(Held) as differs:
        answer(world, Verb.DONE, code="in_doubt", record="b-hand-1")
    assert differs.value.code == "amount_differs"


def test_a_doubt_left_by_a_person_frees_the_order_and_still_counts(world: World) -> None:
    doubt(world)
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    record = world.store.actions(target=B)[0]
    assert record.state is ActionState.LEFT
    assert world.store.spent(world.clock()).value("USD") == usd(1250)
    world.refund_by_hand("a", 8750)
    world.apply()
    assert world.refunded("b") == [8750], "12.50 may have gone, so 87.50 is all that is left to give"
    world.apply()
    assert world.fakes["b"].calls == ["refund", "refund"]


def test_a_doubt_that_was_left_is_not_sent_again_when_the_link_is_made_anew(world: World) -> None:
    """The answer spoke for the old link; that the refund may have happened is as true as before."""
    doubt(world)
    answer(world, Verb.LEAVE)
    world.store.remove_link("L1")
    world.link(OrderRef("a", "1"), B)
    world.refund_by_hand("a", 5000)
    for _ in range(3):
        world.clock.forward(minutes=5)
        world.apply()
    assert world.refunded("b") == [5000], "only the new one"
    assert world.hold_codes() == {"tried_before"}


def test_a_write_of_an_earlier_database_can_be_sent_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    SentLog(world.folder / "sent.log").append(action.key, action.target, action.token)
    world.apply()
    assert world.hold_codes() == {"in_doubt"}
    done = answer(world, Verb.RESEND, amount=usd(1250))
    assert done.result is not None
    assert world.refunded("b") == [1250]
    world.apply()
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == ["refund"]


def test_a_typed_doubt_is_sent_again_as_it_was_typed(world: World) -> None:
    world.fakes["b"].answers = ["unknown_not_done"]
    wish = Wish(ActionKind.REFUND, amount=usd(500), reason="late")
    log = SentLog(world.folder / "sent.log")
    result = perform(world.store, world.shops, prepare(world.store, world.shops, B, wish), log)
    assert result.state is ActionState.DOUBT
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    done = answer(world, Verb.RESEND, amount=usd(500))
    assert done.result is not None
    assert world.fakes["b"].calls == ["refund", "refund"]
    assert world.refunded("b") == [500]


def test_a_typed_doubt_on_an_order_without_a_link_may_be_left(world: World) -> None:
    world.open_shop("e", build_order("e"))
    world.fakes["e"].answers = ["unknown_not_done", "ok"]
    ref = OrderRef("e", "1")
    log = SentLog(world.folder / "sent.log")
    wish = Wish(ActionKind.REFUND, amount=usd(500))
    perform(world.store, world.shops, prepare(world.store, world.shops, ref, wish), log)
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    assert not answer(world, Verb.LOOK).closed
    answer(world, Verb.LEAVE)
    world.apply()
    assert world.hold_codes() == set()
    assert world.store.actions(target=ref)[0].state is ActionState.LEFT


def test_a_record_that_is_another_refund_already_is_not_the_doubtful_one(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.refund_by_hand("b", 1250)
    world.apply()
    doubt(world)
    with pytest.raises(Held) as taken:
        answer(world, Verb.DONE, record="b-hand-1")
    assert taken.value.code == "record_taken"
    assert world.hold_codes() == {"in_doubt"}


def test_a_doubt_that_was_left_is_not_there_to_be_refunded_by_hand(world: World) -> None:
    doubt(world)
    answer(world, Verb.LEAVE)
    with pytest.raises(Refused) as left:
        prepare(world.store, world.shops, B, Wish(ActionKind.REFUND, amount=usd(10_000)))
    assert left.value.next_step == '--amount "87.50 USD" refunds the rest'
