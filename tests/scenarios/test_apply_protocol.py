"""Apply: every effect once, or a person. Engine, SQLite and journal are real; the shops are kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.scenarios.fake_shop import FakeClock, FakeConnector, fake_shop

from ordersync.connector import Receipt, RefundRequest
from ordersync.engine.apply import Applier, ApplyReport
from ordersync.engine.look import make_plan
from ordersync.engine.observe import observe
from ordersync.engine.planfile import load_plan, save_plan
from ordersync.engine.sentlog import SentLog
from ordersync.engine.shops import Shop
from ordersync.engine.writes import Writer
from ordersync.errors import Held, NotFound, UsageError
from ordersync.model import (
    Action,
    ActionState,
    Cancellation,
    LinkOrigin,
    Order,
    OrderRef,
    Refund,
    RefundState,
)
from ordersync.reconcile import KindPolicy, Limits, LimitSet, Policy
from ordersync.store import Store
from ordersync.testing.orders import build_order, usd

ANY = KindPolicy(sources="any", carry_after=timedelta(0))
EVERYONE = Policy(cancel=ANY, refund=ANY)
WIDE = Limits(
    run=LimitSet(cancel=10, refund=20, refund_value=(usd(100_000),)),
    day=LimitSet(cancel=30, refund=60, refund_value=(usd(100_000),)),
)


@dataclass
class World:
    """Two shops with one linked sale each side, a store on disk, and a clock that can be moved."""

    folder: Path
    store: Store
    clock: FakeClock = field(default_factory=FakeClock)
    shops: dict[str, Shop] = field(default_factory=dict)
    fakes: dict[str, FakeConnector] = field(default_factory=dict)
    limits: Limits = WIDE
    policy: Policy = EVERYONE

    def open_shop(self, name: str, *orders: Order) -> None:
        self.shops[name], self.fakes[name] = fake_shop(name, *orders)

    def link(self, *refs: OrderRef) -> None:
        self.store.add_link(refs, LinkOrigin.HAND, None, self.clock())

    def applier(self) -> Applier:
        log = SentLog(self.folder / "sent.log")
        return Applier(self.store, self.shops, self.policy, self.limits, log, self.clock)

    def apply(self, saved: list[Action] | None = None) -> ApplyReport:
        """Pull, then apply; a saved plan is applied without a pull before it."""
        if saved is None:
            self.read()
        return self.applier().run(saved)

    def look_twice(self) -> None:
        """What is in doubt is looked for as often as it takes until a person is asked."""
        for _ in range(2):
            self.clock.forward(minutes=2)
            self.apply()

    def read(self) -> None:
        for name, fake in self.fakes.items():
            for order_id in fake.orders:
                observe(self.store, self.shops[name], order_id)

    def plan(self) -> list[Action]:
        self.read()
        plan = make_plan(self.store, self.shops, self.policy, self.clock())
        return [action for decision in plan.decisions for action in decision.actions]

    def refund_by_hand(self, shop: str, amount: int, order_id: str = "1") -> None:
        order = self.fakes[shop].orders[order_id]
        record = Refund(
            id=f"{shop}-hand-{len(order.refunds or ()) + 1}",
            status=RefundState.COMPLETED,
            amount=usd(amount),
            created_at=self.clock(),
        )
        self.fakes[shop].orders[order_id] = order.model_copy(update={"refunds": (*(order.refunds or ()), record)})

    def cancel_by_hand(self, shop: str, order_id: str = "1") -> None:
        order = self.fakes[shop].orders[order_id]
        self.fakes[shop].orders[order_id] = order.model_copy(
            update={"cancellation": Cancellation(cancelled_at=self.clock())}
        )

    def refunded(self, shop: str, order_id: str = "1") -> list[int]:
        return [r.amount.amount_minor for r in self.fakes[shop].orders[order_id].refunds or ()]

    def hold_codes(self) -> set[str]:
        return {stored.hold.code for stored in self.store.holds()}

    def new_store(self) -> None:
        """The database is lost; the log of what was sent beside it is not."""
        self.store.close()
        for path in self.folder.glob("test.db*"):
            path.unlink()
        self.store = Store.open(f"sqlite:///{self.folder / 'test.db'}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}")
    made = World(tmp_path, store)
    made.open_shop("a", build_order("a"))
    made.open_shop("b", build_order("b"))
    made.read()
    made.link(OrderRef("a", "1"), OrderRef("b", "1"))
    made.clock.forward(minutes=5)
    yield made
    made.store.close()


def test_refund_in_one_shop_is_carried_once(world: World) -> None:
    world.refund_by_hand("a", 1250)
    report = world.apply()
    assert [r.state for r in report.results] == [ActionState.SEEN]
    assert world.refunded("b") == [1250]
    assert world.apply().results == []
    assert world.plan() == []
    assert world.hold_codes() == set()


def test_a_cancelled_sale_is_refunded_first_and_cancelled_in_the_same_run(world: World) -> None:
    world.refund_by_hand("a", 10_000)
    world.cancel_by_hand("a")
    world.apply()
    assert world.fakes["b"].calls == ["refund", "cancel"]
    assert world.refunded("b") == [10_000]
    assert world.plan() == []


def test_an_answer_that_never_came_is_settled_by_finding_our_mark(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unknown_done"]
    report = world.apply()
    assert [r.state for r in report.results] == [ActionState.SEEN]
    assert "looked again" in report.results[0].said
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()


def test_a_write_of_unknown_outcome_is_never_sent_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unknown_not_done"]
    world.apply()
    for _ in range(3):
        world.clock.forward(hours=3)
        world.apply()
    assert world.fakes["b"].calls == ["refund"]
    assert world.hold_codes() == {"in_doubt"}


def test_a_doubtful_write_that_shows_up_later_settles_and_its_hold_closes(world: World) -> None:
    world.refund_by_hand("a", 1250)
    fake = world.fakes["b"]
    before = fake.orders["1"]
    fake.answers = ["unknown_done"]
    fake.hidden.append(before)
    world.apply()
    world.look_twice()
    assert world.hold_codes() == {"in_doubt"}
    fake.hidden.clear()
    world.apply()
    assert world.hold_codes() == set()
    assert fake.calls == ["refund"]


def test_a_person_refunding_the_same_amount_does_not_settle_a_doubt(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["unknown_not_done"]
    world.apply()
    world.refund_by_hand("b", 1250)
    world.look_twice()
    assert "in_doubt" in world.hold_codes()
    assert world.fakes["b"].calls == ["refund"]


def test_an_accepted_write_that_is_not_visible_yet_is_not_repeated(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["late"]
    assert [r.state for r in world.apply().results] == [ActionState.RECEIPTED]
    assert world.apply().results == []
    world.clock.forward(hours=2)
    assert world.apply().results == []
    assert world.hold_codes() == {"not_visible"}
    world.fakes["b"].hidden.clear()
    world.apply()
    assert world.hold_codes() == set()
    assert world.fakes["b"].calls == ["refund"]


def test_a_write_that_was_not_sent_is_sent_at_the_next_run(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["not_sent"]
    assert world.apply().results[0].state is ActionState.EXPIRED
    assert world.refunded("b") == []
    world.apply()
    assert world.refunded("b") == [1250]


def test_a_refused_write_is_held_and_not_tried_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].answers = ["refused"]
    world.apply()
    world.apply()
    assert world.fakes["b"].calls == ["refund"]
    assert world.hold_codes() == {"refused"}


def test_the_same_refund_by_hand_between_plan_and_apply_is_not_repeated(world: World) -> None:
    world.refund_by_hand("a", 1250)
    saved = world.plan()
    assert len(saved) == 1
    world.refund_by_hand("b", 1250)
    report = world.apply(saved)
    assert report.results == []
    assert [a.key for a in report.stale] == [saved[0].key]
    assert world.refunded("b") == [1250]


def test_a_saved_plan_applies_only_what_was_in_it(world: World, tmp_path: Path) -> None:
    world.refund_by_hand("a", 1250)
    file = tmp_path / "plan"
    save_plan(file, world.plan(), world.store.birth_at, world.clock())
    world.refund_by_hand("a", 700)
    report = world.apply(load_plan(file, world.store.birth_at))
    assert report.results == []
    assert len(report.stale) == 1
    assert world.refunded("b") == []


def test_an_edited_or_foreign_plan_file_is_refused(world: World, tmp_path: Path) -> None:
    world.refund_by_hand("a", 1250)
    file = tmp_path / "plan"
    save_plan(file, world.plan(), world.store.birth_at, world.clock())
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="another store"):
        load_plan(file, world.store.birth_at + timedelta(seconds=1))
    file.write_text(file.read_text().replace("1250", "9250"))
    with pytest.raises(UsageError, match="changed after it was saved"):
        load_plan(file, world.store.birth_at)
    file.write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        load_plan(file, world.store.birth_at)


def test_a_lost_database_writes_nothing_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.apply()
    world.new_store()
    world.clock.now = datetime.now(UTC)
    world.read()
    world.link(OrderRef("a", "1"), OrderRef("b", "1"))
    assert world.plan() == []
    world.apply()
    assert world.refunded("b") == [1250]


def test_a_key_that_an_earlier_database_sent_is_in_doubt_not_new(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    SentLog(world.folder / "sent.log").append(action.key, action.target)
    report = world.apply()
    assert "earlier life" in report.results[0].said
    assert world.hold_codes() == {"in_doubt"}
    assert world.fakes["b"].calls == []


def test_limits_stop_the_first_write_beyond_them_and_say_which(world: World) -> None:
    world.limits = Limits(run=LimitSet(refund_value=(usd(1000),)), day=LimitSet(refund_value=(usd(1000),)))
    world.refund_by_hand("a", 1250)
    world.apply()
    world.apply()
    assert world.fakes["b"].calls == []
    assert world.hold_codes() == {"limit_reached"}
    assert len(world.store.holds(open_only=False)) == 1, "one hold, not one a run"
    world.limits = WIDE
    world.apply()
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()


def test_a_currency_no_limit_lists_is_zero(world: World) -> None:
    world.limits = Limits()
    world.refund_by_hand("a", 1)
    world.apply()
    assert world.hold_codes() == {"limit_reached"}
    assert world.refunded("b") == []


def test_an_open_order_change_stops_the_write_before_it_is_sent(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.fakes["b"].open_changes = ["a return is open"]
    world.apply()
    assert world.fakes["b"].calls == []
    assert world.hold_codes() == {"order_change_open"}
    world.fakes["b"].open_changes = []
    world.apply()
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()


def test_a_revoked_key_pauses_that_shop_only(world: World) -> None:
    world.open_shop("c", build_order("c"))
    world.open_shop("d", build_order("d"))
    world.read()
    world.link(OrderRef("c", "1"), OrderRef("d", "1"))
    world.refund_by_hand("a", 1250)
    world.refund_by_hand("c", 700)
    world.fakes["b"].answers = ["unauthorized"]
    world.apply()
    assert world.refunded("b") == []
    assert world.refunded("d") == [700]
    assert "unauthorized" in world.hold_codes()
    world.apply()
    assert world.refunded("b") == [1250], "with the key back, the refund that was certainly not made is made"


def test_a_claimed_link_is_left_to_its_owner(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.read()
    assert world.store.claim([OrderRef("b", "1")], "somebody else", world.clock(), timedelta(minutes=1))
    report = world.apply()
    assert world.fakes["b"].calls == []
    assert [why for _, why in report.left] == ["another ordersync process is working on it"]


def test_an_intent_whose_process_died_before_sending_is_never_sent_and_planned_anew(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    at = world.clock()
    world.store.intend(action, at, at + timedelta(seconds=20), lambda _spent: None)
    assert world.apply().results == []
    world.clock.forward(minutes=1)
    world.apply()
    assert world.fakes["b"].calls == ["refund"]
    expired = world.store.action(action.key)
    assert expired is not None
    assert expired.state is ActionState.EXPIRED


@pytest.mark.parametrize("happened", [True, False])
def test_a_process_that_died_while_sending_leaves_a_doubt_that_only_our_mark_settles(
    world: World, happened: bool
) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    at = world.clock()
    world.store.intend(action, at, at + timedelta(seconds=20), lambda _spent: None)
    world.store.advance(action.key, ActionState.INTENDED, ActionState.SENDING, sent_at=at)
    if happened:
        order = world.fakes["b"].orders["1"]
        record = Refund(id="x", status=RefundState.COMPLETED, amount=usd(1250), note=action.token, created_at=at)
        world.fakes["b"].orders["1"] = order.model_copy(update={"refunds": (record,)})
    world.apply()
    world.look_twice()
    assert world.fakes["b"].calls == []
    assert world.refunded("b") == ([1250] if happened else [])
    assert world.hold_codes() == (set() if happened else {"in_doubt"})


def test_two_writers_cannot_have_one_order_open(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    at = world.clock()
    world.store.intend(action, at, at + timedelta(seconds=20), lambda _spent: None)
    other = action.model_copy(update={"key": "another"})
    with pytest.raises(Held, match="not settled"):
        world.store.intend(other, at, at + timedelta(seconds=20), lambda _spent: None)
    writer = Writer(world.store, SentLog(None), WIDE, at, world.clock)
    assert writer.write(world.shops["b"], other).said.startswith("not sent")
    assert world.fakes["b"].calls == []


def test_a_receipt_that_comes_after_others_took_the_call_for_dead_still_counts(world: World) -> None:
    world.refund_by_hand("a", 1250)
    action = world.plan()[0]
    fake = world.fakes["b"]
    make_refund = fake.refund

    def slow(order_id: str, request: RefundRequest, key: str) -> Receipt:
        assert world.store.advance(key, ActionState.SENDING, ActionState.DOUBT, answer="taken for dead")
        return make_refund(order_id, request, key)

    fake.refund = slow  # type: ignore[method-assign]  # one slow call
    world.apply()
    stored = world.store.action(action.key)
    assert stored is not None
    assert stored.state is ActionState.SEEN
    assert world.refunded("b") == [1250]


def test_an_order_its_platform_no_longer_has_stops_its_link_until_it_is_there_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    world.read()
    kept = world.fakes["b"].orders.pop("1")
    with pytest.raises(NotFound):
        observe(world.store, world.shops["b"], "1")
    world.store.mark_dirty(world.store.links()[0].link_id)
    assert make_plan(world.store, world.shops, world.policy, world.clock()).decisions[0].actions == ()
    assert world.hold_codes() == {"order_vanished", "member_unreadable"}
    world.fakes["b"].orders["1"] = kept
    world.apply()
    assert world.refunded("b") == [1250]
    assert world.hold_codes() == set()
