"""Apply against bad luck: slow calls, full disks, lost databases, two processes, writes nobody looks after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.scenarios.test_apply_protocol import WIDE, World

from ordersync.connector import RawOrder, Receipt, RefundRequest
from ordersync.engine.byhand import Wish, perform, prepare
from ordersync.engine.linkfile import read_link_file
from ordersync.engine.linking import link_by_rules
from ordersync.engine.look import make_plan
from ordersync.engine.sentlog import SentLog
from ordersync.engine.writes import Writer
from ordersync.errors import Held, MappingError, Refused, StoreError, Transient, UsageError
from ordersync.model import ActionKind, ActionState, Cancellation, OrderRef, Refund, RefundState
from ordersync.reconcile.rules import LinkRule
from ordersync.store import Store
from ordersync.testing.orders import build_order, usd

A, B = OrderRef("a", "1"), OrderRef("b", "1")
FIVE = Wish(kind=ActionKind.REFUND, amount=usd(500))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, Store.open(f"sqlite:///{tmp_path / 'test.db'}"))
    made.open_shop("a", build_order("a"))
    made.open_shop("b", build_order("b"))
    made.read()
    made.link(A, B)
    made.clock.forward(minutes=5)
    yield made
    made.store.close()


def test_a_platform_that_refuses_to_show_one_order_does_not_stop_the_other_links(world: World) -> None:
    world.open_shop("c", build_order("c"))
    world.open_shop("d", build_order("d"))
    world.read()
    world.link(OrderRef("c", "1"), OrderRef("d", "1"))
    world.refund_by_hand("a", 1250)
    world.refund_by_hand("c", 700)
    world.read()

    def refuse(order_id: str) -> RawOrder:
        raise Refused("gone for good (410)", shop="b", order=order_id)

    world.fakes["b"].fetch = refuse  # type: ignore[method-assign]  # one broken order
    report = world.applier().run()
    assert world.refunded("d") == [700]
    assert [why for _, why in report.left] == ["b:1: gone for good (410)"]


@pytest.mark.parametrize("answers_otherwise", [True, False])
def test_a_shop_that_does_not_answer_is_not_waited_for_again_at_each_of_its_links(
    world: World, answers_otherwise: bool
) -> None:
    """Each wait is a minute, and the links of other shops stand behind; one broken order is no silent shop."""
    world.fakes["a"].orders |= {str(n): build_order("a", str(n)) for n in range(2, 6)}
    world.fakes["b"].orders |= {str(n): build_order("b", str(n)) for n in range(2, 6)}
    world.open_shop("c", build_order("c"))
    world.open_shop("d", build_order("d"))
    world.read()
    for n in range(2, 6):
        world.link(OrderRef("a", str(n)), OrderRef("b", str(n)))
    world.link(OrderRef("c", "1"), OrderRef("d", "1"))
    for n in range(1, 6):
        world.refund_by_hand("a", 1250, str(n))
    world.refund_by_hand("c", 700)
    world.read()
    asked: list[str] = []

    def silent(order_id: str) -> RawOrder:
        asked.append(order_id)
        raise Transient("fetch: no connection to b", code="no_connection", shop="b", order=order_id)

    world.fakes["b"].fetch = silent  # type: ignore[method-assign]  # a shop that is down
    if not answers_otherwise:
        world.fakes["b"].check = lambda: silent("check")  # type: ignore[method-assign,assignment,return-value]  # the same
    report = world.applier().run()
    assert asked == (["1", "2", "3", "4", "5"] if answers_otherwise else ["1", "check"])
    assert world.refunded("d") == [700], "others go on"
    assert [link for link, _ in report.left] == ["L1", "L2", "L3", "L4", "L5"]
    if not answers_otherwise:
        assert report.left[4][1] == "shop b does not answer: fetch: no connection to b"


def test_an_order_that_cannot_be_read_fresh_is_not_decided_on_what_was_stored(world: World) -> None:
    """The answer may be too large to keep at all: then nothing is parked, and the old copy is still old."""
    world.refund_by_hand("a", 1250)
    world.read()

    def too_large(order_id: str) -> RawOrder:
        raise MappingError("the order is too large", code="order_too_large", shop="b", order=order_id)

    world.fakes["b"].fetch = too_large  # type: ignore[method-assign]  # one broken order
    report = world.applier().run()
    assert world.fakes["b"].calls == []
    assert [link for link, _ in report.left] == ["L1"]


def test_a_full_disk_before_the_call_sends_nothing_and_leaves_no_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.refund_by_hand("a", 1250)
    world.read()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            world.applier().run()
    assert world.fakes["b"].calls == []
    world.clock.forward(minutes=5)
    world.apply()
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()


def test_a_line_cut_short_by_a_full_disk_does_not_swallow_the_next_key(tmp_path: Path) -> None:
    path = tmp_path / "sent.log"
    path.write_text("half-a-li")
    SentLog(path).append("key-2", B, "os-token")
    assert "key-2" in SentLog(path)


def test_a_sent_log_that_cannot_be_read_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "sent.log"
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        "key" in SentLog(path)  # noqa: B015  # the look itself is what is tested


def test_a_refund_an_earlier_database_sent_is_in_doubt_also_when_other_refunds_are_there_now(world: World) -> None:
    """Its key holds what was refunded there then; the mark does not."""
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    SentLog(world.folder / "sent.log").append(action.key, action.target, action.token)
    world.refund_by_hand("a", 300)
    world.refund_by_hand("b", 300)
    world.apply()
    assert world.fakes["b"].calls == []
    assert world.hold_codes() == {"in_doubt"}


def test_a_call_taken_for_dead_that_was_certainly_not_made_ends_the_doubt(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    fake = world.fakes["b"]
    make_refund = fake.refund

    def slow(order_id: str, request: RefundRequest, key: str) -> Receipt:
        assert world.store.advance(key, ActionState.SENDING, ActionState.DOUBT, answer="taken for dead")
        raise Transient("asks to slow down (429)", shop="b")

    fake.refund = slow  # type: ignore[method-assign]  # one slow call
    world.apply()
    stored = world.store.action(action.key)
    assert stored is not None
    assert stored.state is ActionState.EXPIRED
    fake.refund = make_refund  # type: ignore[method-assign]  # healed
    world.apply()
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()


def test_a_yes_given_after_apply_carried_the_same_refund_is_not_sent(world: World) -> None:
    world.refund_by_hand("a", 500)
    world.read()
    prepared = prepare(world.store, world.shops, B, FIVE)
    world.apply()
    assert world.refunded("b") == [500]
    with pytest.raises(Held, match="changed since"):
        perform(world.store, world.shops, prepared, SentLog(world.folder / "sent.log"), WIDE)
    assert world.refunded("b") == [500]


def test_a_typed_write_waits_for_the_process_that_works_on_its_order(world: World) -> None:
    prepared = prepare(world.store, world.shops, B, FIVE)
    assert world.store.claim([A, B], "another process", datetime.now(UTC), timedelta(minutes=5))
    with pytest.raises(Held, match="another ordersync process"):
        perform(world.store, world.shops, prepared, SentLog(world.folder / "sent.log"), WIDE)
    world.store.release("another process")
    perform(world.store, world.shops, prepared, SentLog(world.folder / "sent.log"), WIDE)
    assert world.refunded("b") == [500]
    assert world.store.claim([A, B], "another process", datetime.now(UTC), timedelta(minutes=5))


@pytest.mark.parametrize("happened", [True, False])
def test_a_typed_write_in_doubt_on_an_order_without_link_is_held_and_looked_for(
    world: World, happened: bool
) -> None:
    world.open_shop("c", build_order("c"))
    world.read()
    fake = world.fakes["c"]
    before = fake.orders["1"]
    fake.answers = ["unknown_done" if happened else "unknown_not_done"]
    if happened:
        fake.hidden.append(before)
    ref = OrderRef("c", "1")
    log = SentLog(world.folder / "sent.log")
    result = perform(world.store, world.shops, prepare(world.store, world.shops, ref, FIVE), log, WIDE)
    assert result.state is ActionState.DOUBT
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    fake.hidden.clear()
    world.applier().run()
    assert world.hold_codes() == (set() if happened else {"in_doubt"})
    assert fake.calls == ["refund"]


def test_a_typed_write_whose_process_died_is_found_by_apply_without_any_link(world: World) -> None:
    world.open_shop("c", build_order("c"))
    world.read()
    action = prepare(world.store, world.shops, OrderRef("c", "1"), FIVE).action
    at = world.clock()
    world.store.intend(action, at, at + timedelta(seconds=20), lambda _spent: None)
    world.store.advance(action.key, ActionState.INTENDED, ActionState.SENDING, sent_at=at)
    world.clock.forward(minutes=2)
    assert world.applier().run().new_holds == []
    world.clock.forward(minutes=2)
    report = world.applier().run()
    assert world.hold_codes() == {"in_doubt"}
    assert report.new_holds == [world.store.holds()[0].number]


def test_a_link_with_a_write_not_read_back_is_not_called_clean_by_plan(world: World) -> None:
    world.refund_by_hand("a", 1250)
    fake = world.fakes["b"]
    fake.answers = ["late"]
    world.apply()
    fake.hidden.clear()
    world.read()
    make_plan(world.store, world.shops, world.policy, world.clock())
    world.applier().run()
    assert world.store.actions(open_only=True) == []
    world.store.remove_link("L1")


def test_a_removed_link_takes_the_holds_about_its_writes_with_it(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].open_changes = ["a return is open"]
    world.apply()
    assert world.hold_codes() == {"order_change_open"}
    world.store.remove_link("L1")
    assert world.hold_codes() == set()


def test_a_decision_made_from_what_has_changed_since_is_not_stored(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.read()
    stale = make_plan(world.store, world.shops, world.policy, world.clock()).decisions[0]
    version = world.store.link_version("L1")
    world.apply()
    settled = world.store.ledger("L1")
    assert world.store.save_decision(stale, world.clock(), version=version) == []
    assert world.store.ledger("L1") == settled


def test_a_rule_that_names_ids_does_not_take_a_number_for_one(world: World) -> None:
    """`trusted` skips the agreement checks, so the field named must be the field compared."""
    world.open_shop("x", build_order("x", references={"metadata.b_id": "77"}))
    world.open_shop("y", build_order("y", order_id="5", number="77"))
    world.read()
    rule = LinkRule(source="x", field="metadata.b_id", to_shop="y", to_field="id", trusted=True)
    report = link_by_rules(world.store, [rule], world.clock())
    assert report.made == []
    assert report.unmatched == 1


def test_a_reference_two_orders_name_links_neither(world: World) -> None:
    """One of them may be a buyer's: whichever sorts first must not win."""
    ref = {"metadata.y": "9"}
    world.open_shop("x", build_order("x", "1", references=ref), build_order("x", "2", references=ref))
    world.open_shop("y", build_order("y", order_id="9"))
    world.read()
    rule = LinkRule(source="x", field="metadata.y", to_shop="y")
    report = link_by_rules(world.store, [rule], world.clock())
    assert report.made == []
    (held,) = world.store.holds()
    assert (held.hold.code, held.hold.target) == ("duplicate_mirror", OrderRef("y", "9"))
    assert "x:1, x:2 are all the same sale as y:9" in held.hold.message


def test_a_removed_link_is_not_made_again_by_a_rule_whatever_the_ids_letters(world: World) -> None:
    world.open_shop("x", build_order("x", "é1", references={"metadata.y": "9"}))
    world.open_shop("y", build_order("y", order_id="9"))
    world.read()
    rules = [LinkRule(source="x", field="metadata.y", to_shop="y")]
    (made,) = link_by_rules(world.store, rules, world.clock()).made
    world.store.remove_link(made)
    assert link_by_rules(world.store, rules, world.clock()).made == []


def test_a_long_run_keeps_its_claim(world: World) -> None:
    """Reading is slow here: the claim would have run out between two writes of one link."""
    order = world.fakes["a"].orders["1"]
    done = Refund(id="r1", status=RefundState.COMPLETED, amount=usd(10_000), created_at=world.clock())
    cancelled = Cancellation(cancelled_at=world.clock())
    world.fakes["a"].orders["1"] = order.model_copy(update={"refunds": (done,), "cancellation": cancelled})
    fetch = world.fakes["a"].fetch
    taken: list[bool] = []

    def slow(order_id: str) -> RawOrder:
        taken.append(world.store.claim([A], "another process", world.clock(), timedelta(seconds=1)))
        world.clock.forward(minutes=3)
        return fetch(order_id)

    world.read()
    world.fakes["a"].fetch = slow  # type: ignore[method-assign]  # a slow platform
    world.applier().run()
    assert world.fakes["b"].calls == ["refund", "cancel"]
    assert not any(taken)


def test_a_writer_that_was_held_up_before_sending_sends_nothing(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    clock = world.clock

    class SlowLog(SentLog):
        def append(self, key: str, target: OrderRef, token: str = "") -> None:
            super().append(key, target, token)
            clock.forward(seconds=30)

    writer = Writer(world.store, SlowLog(world.folder / "sent.log"), WIDE, clock(), clock)
    assert writer.write(world.shops["b"], action).state is ActionState.EXPIRED
    assert world.fakes["b"].calls == []


def test_a_key_that_reads_again_closes_its_hold_though_nothing_is_to_be_written(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unauthorized"]
    world.apply()
    assert world.hold_codes() == {"unauthorized"}
    world.refund_by_hand("b", 1250)
    world.read()
    world.fakes["b"].answers = ["ok"]
    world.refund_by_hand("a", 10)
    world.fakes["b"].open_changes = ["a return is open"]
    world.apply()
    assert world.hold_codes() == {"order_change_open"}


def test_a_links_file_with_an_endless_cell_is_answered_briefly(world: World) -> None:
    text = "a,b\n" + "9" * 100_000 + ",1\n"
    with pytest.raises(UsageError) as refused:
        read_link_file(world.store, text, ["a", "b"])
    assert len(refused.value.message) < 300


def test_somebody_without_a_name_is_recorded_by_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert (prepare(world.store, world.shops, B, FIVE).action.by or "").startswith("uid ")
