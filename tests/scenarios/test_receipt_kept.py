"""The platform said yes and the database does not take it: the answer is kept at it, and nothing is sent twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.scenarios.test_apply_protocol import World

from ordersync.connector import Receipt, RefundRequest
from ordersync.engine import answering
from ordersync.errors import StoreError, Unauthorized
from ordersync.model import ActionState, OrderRef
from ordersync.store import Store
from ordersync.testing.orders import build_order


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", busy_timeout_s=0.1)
    made = World(tmp_path, store)
    made.open_shop("a", build_order("a"))
    made.open_shop("b", build_order("b"))
    made.read()
    made.link(OrderRef("a", "1"), OrderRef("b", "1"))
    made.clock.forward(minutes=5)
    yield made
    made.store.close()


class Writer:
    """Another process that takes the write lock while the platform answers, and keeps it until `let_go`."""

    def __init__(self, world: World) -> None:
        self._file = world.folder / "test.db"
        self._held: sqlite3.Connection | None = None
        fake = world.fakes["b"]
        self._refund, fake.refund = fake.refund, self._while_locked  # type: ignore[method-assign]  # the moment between
        self.answer: Exception | None = None
        self.locks_for_s = 0.0

    def _while_locked(self, order_id: str, request: RefundRequest, key: str) -> Receipt:
        self._held = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._held.execute("BEGIN IMMEDIATE")
        if self.locks_for_s:
            threading.Timer(self.locks_for_s, self.let_go).start()
        if self.answer is not None:
            raise self.answer
        return self._refund(order_id, request, key)

    def let_go(self) -> None:
        if self._held is not None:
            self._held.rollback()
            self._held.close()
            self._held = None


def test_a_receipt_is_stored_as_soon_as_the_database_can_be_written_again(world: World) -> None:
    world.refund_by_hand("a", 1250)
    other = Writer(world)
    other.locks_for_s = 1.0
    (result,) = world.apply().results
    assert result.state is ActionState.SEEN
    stored = world.store.action(result.action.key)
    assert stored is not None
    assert stored.platform_ref == "b-refund-1"
    assert [step.state for step in world.store.action_steps(result.action.key)][-2:] == [
        ActionState.RECEIPTED,
        ActionState.SEEN,
    ], "the receipt itself was kept: no doubt was ever needed"
    assert world.refunded("b") == [1250]


def test_a_receipt_that_cannot_be_stored_at_all_is_found_by_its_mark_and_never_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ANSWER_STORED_WITHIN_S", 0.5)
    world.refund_by_hand("a", 1250)
    other = Writer(world)
    with pytest.raises(StoreError) as told:
        world.apply()
    assert told.value.code == "store_locked"
    assert "accepted b-refund-1" in told.value.message
    assert "b:1" in told.value.message
    other.let_go()
    world.fakes["b"].calls.clear()
    world.clock.now = max(world.clock.now, datetime.now(UTC))
    world.clock.forward(minutes=10)
    world.apply()
    assert world.fakes["b"].calls == []
    assert world.refunded("b") == [1250]
    assert world.store.actions(open_only=True) == []
    assert world.hold_codes() == set()


def test_a_refused_key_is_told_even_where_the_database_does_not_take_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write was not made, but nothing says so: it is looked for like any other, and then held."""
    monkeypatch.setattr(answering, "ANSWER_STORED_WITHIN_S", 0.5)
    world.refund_by_hand("a", 1250)
    other = Writer(world)
    other.answer = Unauthorized("the key was revoked", shop="b")
    with pytest.raises(StoreError, match="revoked"):
        world.apply()
    other.let_go()
    (left,) = world.store.actions(open_only=True)
    assert left.state is ActionState.SENDING


def test_ctrl_c_while_the_receipt_waits_for_the_database_ends_at_once_and_leaves_a_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.refund_by_hand("a", 1250)
    other = Writer(world)

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as typed:
        typed.setattr(answering, "pause_s", interrupted)
        with pytest.raises(KeyboardInterrupt):
            world.apply()
    other.let_go()
    world.fakes["b"].calls.clear()
    world.clock.forward(minutes=10)
    world.apply()
    assert world.fakes["b"].calls == []
    assert world.refunded("b") == [1250]
    assert world.store.actions(open_only=True) == []
