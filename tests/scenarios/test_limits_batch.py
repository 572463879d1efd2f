"""Limits over a whole run: a kind that would cross one is stopped before its first write, as one hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.scenarios.people import A, B, answer, cell_state, open_world, resolver
from tests.scenarios.test_apply_protocol import World

from ordersync.engine.apply import Applier, ApplyReport
from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.limiting import weigh_plan
from ordersync.engine.look import make_plan
from ordersync.engine.planfile import load_plan, save_plan
from ordersync.engine.resolving import Reply
from ordersync.engine.sentlog import SentLog
from ordersync.errors import Held
from ordersync.model import Action, ActionKind, ActionState, CellState, Hold, OrderRef, Verb
from ordersync.reconcile import Limits, LimitSet
from ordersync.testing.orders import build_order, usd

SALES = 4


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Shops a and b with four linked sales."""
    made = open_world(tmp_path)
    for number in range(2, SALES + 1):
        for shop in ("a", "b"):
            made.fakes[shop].orders[str(number)] = build_order(shop, order_id=str(number))
    made.read()
    for number in range(2, SALES + 1):
        made.link(OrderRef("a", str(number)), OrderRef("b", str(number)))
    made.clock.forward(minutes=5)
    yield made
    made.store.close()


def limits(
    *, refunds: int = 99, cancels: int = 99, value: int = 100_000, day: int = 100_000, facts: int = 3
) -> Limits:
    return Limits(
        run=LimitSet(refund=refunds, cancel=cancels, refund_value=(usd(value),)),
        day=LimitSet(refund=99, cancel=99, refund_value=(usd(day),)),
        money_facts_per_link_day=facts,
    )


def the_hold(world: World) -> Hold:
    (found,) = [stored.hold for stored in world.store.holds() if stored.hold.code == "limit_reached"]
    return found


def refunded(world: World) -> list[list[int]]:
    return [world.refunded("b", str(number)) for number in range(1, SALES + 1)]


def refund_in_all(world: World, amount: int = 1000) -> None:
    for number in range(1, SALES + 1):
        world.refund_by_hand("a", amount, str(number))


def test_a_kind_beyond_its_limit_is_stopped_before_its_first_write(world: World) -> None:
    world.limits = limits(refunds=3)
    refund_in_all(world)
    report = world.apply()
    assert world.fakes["b"].calls == [], "none of the four, not three of them"
    hold = the_hold(world)
    assert (hold.subject, hold.money) == ("run:refund", usd(4000))
    assert {(one.target.order_id, one.amount) for one in hold.batch} == {(str(n), usd(1000)) for n in range(1, 5)}
    assert "crosses limits.run.refund: 0 in this run and 4 due, of 3" in hold.evidence
    assert len(report.new_holds) == 1
    assert world.apply().new_holds == [], "the same batch is the same hold"


def test_a_kind_within_its_limits_goes_on_while_another_is_stopped(world: World) -> None:
    world.limits = limits(cancels=0)
    world.refund_by_hand("a", 1000)
    world.fakes["a"].orders["2"] = build_order("a", order_id="2", captured=0)
    world.fakes["b"].orders["2"] = build_order("b", order_id="2", captured=0)
    world.cancel_by_hand("a", "2")
    world.apply()
    assert world.fakes["b"].calls == ["refund"]
    assert [one.kind for one in the_hold(world).batch] == [ActionKind.CANCEL]


def test_an_approved_batch_goes_whole_and_once(world: World) -> None:
    world.limits = limits(refunds=3)
    refund_in_all(world)
    world.apply()
    said = answer(world, Verb.APPROVE).said
    assert "exactly these 4 writes" in said
    assert world.hold_codes() == set()
    world.apply()
    assert refunded(world) == [[1000]] * 4
    used = world.store.resolutions()
    assert {(one.who, one.verb, one.code) for one in used} == {("kim", Verb.APPROVE, "limit_reached")}
    assert len({one.used_by for one in used}) == 4, "each write used up its own approval"
    assert world.apply().results == []


def test_what_came_after_the_approval_is_another_batch(world: World) -> None:
    world.limits = limits(refunds=2)
    for number in ("1", "2", "3"):
        world.refund_by_hand("a", 1000, number)
    world.apply()
    answer(world, Verb.APPROVE)
    world.refund_by_hand("a", 1000, "4")
    world.apply()
    assert refunded(world) == [[1000], [1000], [1000], []]
    assert [one.target.order_id for one in the_hold(world).batch] == ["4"]


def test_a_write_whose_sale_changed_since_is_not_covered_and_is_named(world: World) -> None:
    world.limits = limits(value=2500)
    refund_in_all(world)
    world.apply()
    answer(world, Verb.APPROVE)
    world.refund_by_hand("a", 55, "2")
    world.refund_by_hand("b", 55, "2")
    world.apply()
    assert refunded(world) == [[1000], [55], [1000], [1000]]
    (held,) = [s for s in world.store.holds() if s.hold.code == "limit_reached"]
    assert [one.target.order_id for one in held.hold.batch] == ["2"]
    assert any("changed since kim approved it in H-1" in said for said in held.hold.evidence)


def test_a_batch_that_changed_is_another_hold_so_the_shown_one_cannot_let_more_go(world: World) -> None:
    world.limits = limits(refunds=1)
    for number in ("1", "2"):
        world.refund_by_hand("a", 1000, number)
    world.apply()
    shown = world.store.holds()[0].number
    world.refund_by_hand("a", 9000, "3")
    world.apply()
    with pytest.raises(Held) as closed:
        resolver(world).resolve(shown, Reply(Verb.APPROVE, "kim"))
    assert closed.value.code == "hold_closed"
    assert len(the_hold(world).batch) == 3
    assert world.store.resolutions() == []


def test_an_approval_of_a_batch_ends_after_three_days(world: World) -> None:
    world.policy = world.policy.model_copy(update={"old_after": timedelta(days=30)})
    world.limits = limits(refunds=3)
    refund_in_all(world)
    world.apply()
    answer(world, Verb.APPROVE)
    world.clock.forward(hours=73)
    world.apply()
    assert refunded(world) == [[]] * 4
    assert world.hold_codes() == {"limit_reached"}


def test_a_batch_that_no_longer_crosses_closes_by_itself(world: World) -> None:
    world.limits = limits(refunds=3)
    refund_in_all(world)
    world.apply()
    world.refund_by_hand("b", 1000, "4")
    world.apply()
    assert refunded(world) == [[1000]] * 4
    assert world.hold_codes() == set()


def test_a_left_batch_is_waived_and_not_asked_about_again(world: World) -> None:
    world.limits = limits(refunds=3)
    refund_in_all(world)
    world.apply()
    answer(world, Verb.LEAVE)
    world.limits = limits()
    world.apply()
    assert refunded(world) == [[]] * 4
    assert cell_state(world, B) is CellState.WAIVED
    assert world.hold_codes() == set()


def test_plan_shows_the_hold_before_anything_is_written(world: World) -> None:
    world.limits = limits(refunds=3)
    refund_in_all(world)
    world.read()
    made = make_plan(world.store, world.shops, world.policy, world.clock())
    _weighed, new = weigh_plan(world.store, made.decisions, world.limits, world.clock())
    assert len(new) == 1
    assert world.apply().new_holds == [], "apply meets the very same hold"
    assert len(the_hold(world).batch) == 4


def test_the_day_counts_what_was_written_typed_and_doubtful(world: World) -> None:
    world.limits = limits(day=2500)
    world.refund_by_hand("a", 1000, "1")
    world.apply()
    world.fakes["b"].answers = ["unknown_not_done"]
    world.refund_by_hand("a", 700, "2")
    world.apply()
    wish = Wish(ActionKind.REFUND, amount=usd(500))
    log = SentLog(world.folder / "sent.log")
    perform(world.store, world.shops, prepare(world.store, world.shops, OrderRef("b", "3"), wish), log)
    world.refund_by_hand("a", 301, "4")
    world.apply()
    assert world.refunded("b", "4") == []
    crossing = [said for said in the_hold(world).evidence if "limits.day.refund_value" in said]
    assert crossing == ["crosses limits.day.refund_value: 22.00 USD in 24 h and 8.01 USD due, of 25.00 USD"]


def test_what_a_typed_cancel_gives_back_by_itself_counts_too(world: World) -> None:
    world.limits = limits(day=10_500)
    wish = Wish(ActionKind.CANCEL)
    log = SentLog(world.folder / "sent.log")
    perform(world.store, world.shops, prepare(world.store, world.shops, OrderRef("b", "3"), wish), log)
    world.refund_by_hand("a", 501, "1")
    world.apply()
    assert world.refunded("b", "1") == []
    assert any("limits.day.refund_value" in said for said in the_hold(world).evidence)


def test_cancels_that_follow_their_refunds_are_counted_before_the_first(world: World) -> None:
    world.limits = limits(cancels=3)
    for number in range(1, SALES + 1):
        world.refund_by_hand("a", 10_000, str(number))
        world.cancel_by_hand("a", str(number))
    world.apply()
    assert world.fakes["b"].calls == ["refund"] * 4, "the refunds are within their limit, no cancel is sent"
    assert [one.kind for one in the_hold(world).batch] == [ActionKind.CANCEL] * 4
    answer(world, Verb.APPROVE)
    world.apply()
    assert world.fakes["b"].calls[4:] == ["cancel"] * 4


def test_a_day_of_many_refunds_of_one_sale_is_held_by_its_link(world: World) -> None:
    world.limits = limits(facts=2)
    for amount in (100, 200, 300):
        world.refund_by_hand("a", amount)
    world.refund_by_hand("a", 400, "2")
    world.apply()
    assert world.refunded("b") == []
    assert world.refunded("b", "2") == [400], "another sale is not concerned"
    hold = the_hold(world)
    assert hold.subject == "link:L1"
    assert hold.evidence == ("makes 3 facts with money of one link in 24 h, of 2",)
    for _ in range(3):
        if world.hold_codes():
            answer(world, Verb.APPROVE)
        world.apply()
    assert world.refunded("b") == [100, 200, 300]


def test_a_refund_typed_here_and_its_copy_are_one_fact_of_the_day(world: World) -> None:
    world.limits = limits(facts=2)
    log = SentLog(world.folder / "sent.log")
    for amount in (100, 250):
        wish = Wish(ActionKind.REFUND, amount=usd(amount))
        perform(world.store, world.shops, prepare(world.store, world.shops, A, wish), log)
    world.apply()
    assert sorted(world.refunded("b")) == [100, 250]
    world.refund_by_hand("a", 333)
    world.apply()
    assert the_hold(world).subject == "link:L1"


def test_another_process_that_spends_the_limit_meanwhile_stops_the_rest_of_the_kind(world: World) -> None:
    """The guard in the intent's own transaction sees what nobody could count before."""
    world.limits = limits(value=100_000, day=4_500)
    refund_in_all(world)
    world.read()
    fourth = OrderRef("b", "4")

    class Meanwhile(SentLog):
        """The other process sends its refund while this one sends its first."""

        def append(self, key: str, target: OrderRef, token: str = "") -> None:
            super().append(key, target, token)
            if target != fourth and not world.store.actions(target=fourth):
                wish = Wish(ActionKind.REFUND, amount=usd(2_000))
                perform(world.store, world.shops, prepare(world.store, world.shops, fourth, wish), log)

    log = SentLog(world.folder / "other.log")
    applier = Applier(
        world.store, world.shops, world.policy, world.limits, Meanwhile(world.folder / "sent.log"), world.clock
    )
    report: ApplyReport = applier.run()
    assert [r.state for r in report.results].count(ActionState.EXPIRED) == 1, "one refusal stops the kind"
    assert refunded(world)[:3] == [[1000], [1000], []]
    hold = the_hold(world)
    assert [one.target.order_id for one in hold.batch] == ["3"], "what is left of the kind"
    said = next(r.said for r in report.results if r.state is ActionState.EXPIRED)
    assert "crosses limits.day.refund_value: 40.00 USD in 24 h and 10.00 USD due, of 45.00 USD" in said


def test_a_saved_plan_is_weighed_by_what_it_holds(world: World, tmp_path: Path) -> None:
    world.limits = limits(refunds=2)
    world.refund_by_hand("a", 1000, "1")
    saved: list[Action] = world.plan()
    path = tmp_path / "p"
    save_plan(path, saved, world.store.birth_at, world.clock())
    for number in ("2", "3", "4"):
        world.refund_by_hand("a", 1000, number)
    world.read()
    report = world.apply(load_plan(path, world.store.birth_at))
    assert refunded(world) == [[1000], [], [], []]
    assert report.stale == []
