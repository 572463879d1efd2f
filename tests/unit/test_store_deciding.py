"""Deciding many links: found by index, read in chunks, stored together, and none is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from ordersync.model import (
    Action,
    ActionKind,
    ActionState,
    Decision,
    Hold,
    Ledger,
    LinkOrigin,
    Money,
    OrderRef,
    Wait,
)
from ordersync.store import Decided, LinkState, Observation, Store
from ordersync.store.migrations.upgrade import upgrade
from ordersync.testing.orders import build_order

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def add_links(store: Store, count: int) -> None:
    for number in range(count):
        orders = [build_order(shop, str(number)) for shop in ("asia", "office")]
        store.save_observations([Observation(order, b"{}", NOW) for order in orders])
        store.add_link([order.ref for order in orders], LinkOrigin.HAND, None, NOW)


def refund(order_id: str, key: str) -> Action:
    return Action(
        key=key,
        kind=ActionKind.REFUND,
        target=OrderRef("office", order_id),
        link_id=f"L{int(order_id) + 1}",
        token="os-aaaaaaaa",
        amount=Money(amount_minor=500, currency="USD"),
        because="asia refunded",
        digest="d",
    )


def state_of(store: Store, link_id: str) -> LinkState:
    link = store.link(link_id)
    assert link is not None
    return store.link_state(link)


def agreeing(state: LinkState, *, settled: bool = True, **said: Any) -> Decided:
    return Decided(state, Decision(link_id=state.link.link_id, ledger=Ledger(), **said), settled)


def hold_on(action: Action) -> Hold:
    subject = f"action:{action.key}"
    return Hold(
        key=subject, code="limit", subject=subject, message="too much", sticky=True, link_id=action.link_id
    )


def test_more_links_than_a_chunk_holds_are_all_walked_and_each_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordersync.store.deciding.CHUNK", 2)
    add_links(store, 5)
    chunks = [[state.link.link_id for state in states] for states in store.unsettled()]
    assert chunks == [["L1", "L2"], ["L3", "L4"], ["L5"]]
    some = [state.link.link_id for states in store.unsettled(only=["L4", "L1", "nothing"]) for state in states]
    assert some == ["L1", "L4"]


def test_a_link_that_stays_unsettled_does_not_keep_the_walk_from_ending(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordersync.store.deciding.CHUNK", 2)
    add_links(store, 4)
    seen = []
    for states in store.unsettled():
        seen += [state.link.link_id for state in states]
        store.save_decisions([agreeing(state, settled=False) for state in states], NOW)
    assert seen == ["L1", "L2", "L3", "L4"]
    assert store.dirty_count() == 4


def test_the_state_of_a_link_holds_only_what_is_its_own(store: Store) -> None:
    add_links(store, 2)
    store.intend(refund("1", "k"), NOW, NOW + timedelta(seconds=20), lambda _spent: None)
    gone = OrderRef("asia", "1")
    vanished = Hold(key="x", code="order_vanished", subject=f"order:{gone}", message="gone", target=gone)
    store.vanished(gone, vanished.model_copy(update={"key": _vanished_key(gone)}), NOW)
    first, second = (state for states in store.unsettled() for state in states)
    assert [str(ref) for ref in first.orders] == ["asia:0", "office:0"]
    assert (first.journal, first.vanished, first.write_open) == ((), frozenset(), False)
    assert [record.action.key for record in second.journal] == ["k"]
    assert (second.vanished, second.write_open) == (frozenset({gone}), True)


def _vanished_key(ref: OrderRef) -> str:
    from ordersync.engine.observe import vanished_hold

    return vanished_hold(ref).key


def test_decisions_are_stored_together_and_only_the_settled_are_done(store: Store) -> None:
    add_links(store, 3)
    states = next(store.unsettled())
    wait = Wait(code="carry_after", link_id="L2", target=OrderRef("office", "1"), fact_id="f", message="soon")
    held = Hold(key="h", code="old_fact", subject="link:L3", message="old", link_id="L3")
    new = store.save_decisions(
        [
            agreeing(states[0]),
            agreeing(states[1], settled=False, waits=(wait,)),
            agreeing(states[2], settled=False, holds=(held,)),
        ],
        NOW,
    )
    assert new == ["H-1"]
    assert [dirty.link.link_id for dirty in store.dirty_links()] == ["L2", "L3"]
    assert store.waiting() == 1
    assert store.save_decisions([agreeing(states[2])], NOW) == []
    assert store.holds() == [], "what is no longer derived closes itself"


def test_a_link_that_changed_while_it_was_decided_is_left_as_it_is(store: Store) -> None:
    add_links(store, 2)
    states = next(store.unsettled())
    store.mark_dirty("L1")
    held = Hold(key="h", code="old_fact", subject="link:L1", message="old", link_id="L1")
    assert store.save_decisions([agreeing(states[0], holds=(held,)), agreeing(states[1])], NOW) == []
    assert store.holds() == []
    assert [dirty.link.link_id for dirty in store.dirty_links()] == ["L1"]


def test_the_hold_that_stopped_a_write_closes_once_the_write_is_not_due(store: Store) -> None:
    add_links(store, 1)
    action = refund("0", "k")
    store.open_hold(hold_on(action), NOW)
    state = state_of(store, "L1")
    store.save_decisions([agreeing(state, settled=False, actions=(action,))], NOW)
    assert [one.hold.code for one in store.holds()] == ["limit"], "still due, still stopped"
    store.save_decisions([agreeing(state)], NOW)
    assert store.holds() == []
    assert store.holds(open_only=False)[0].closed_because == "the write it stopped is no longer due"


def test_an_intent_puts_its_link_back_in_sight(store: Store) -> None:
    """A process that ends before it sends leaves an open write; a link that agreed must be looked at again."""
    add_links(store, 1)
    store.mark_clean("L1", store.link_version("L1"))
    store.intend(refund("0", "k"), NOW, NOW + timedelta(seconds=20), lambda _spent: None)
    assert [dirty.link.link_id for dirty in store.dirty_links()] == ["L1"]
    record = store.action("k")
    assert record is not None
    assert record.state is ActionState.INTENDED


def test_what_is_skipped_is_remembered_with_the_link(store: Store) -> None:
    add_links(store, 3)
    states = next(store.unsettled())
    store.save_decisions([agreeing(states[0], skipped=("local",)), agreeing(states[1])], NOW)
    assert [state.link.link_id for chunk in store.skipping() for state in chunk] == ["L1"]


def test_a_link_settled_before_skips_were_counted_counts_as_skipping(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, "0003")
        connection.execute(text("INSERT INTO meta VALUES ('birth_at', '2026-01-01T00:00:00.000000Z')"))
        connection.execute(
            text(
                "INSERT INTO links (members, origin, made_at, version, clean_version) VALUES "
                '(\'[["a", "1"], ["b", "1"]]\', \'hand\', \'2026-11-20T12:00:00.000000Z\', 1, 1)'
            )
        )
    engine.dispose()
    with Store.open(f"sqlite:///{path}") as store:
        assert store.dirty_count() == 0
        assert [state.link.link_id for states in store.skipping() for state in states] == ["L1"]


FEW = tuple(
    f"INDEX {name}"
    for name in (
        "links_live",
        "links_unsettled",
        "links_waiting",
        "links_skipping",
        "holds_open",
        "holds_open_once",
    )
)
"""Indexes of only those rows that were asked for (links_live: a few bytes a link, only to be counted)."""
QUESTIONS: dict[str, Callable[[Store], object]] = {
    "what a plan decides": lambda store: list(store.unsettled()),
    "some links": lambda store: list(store.unsettled(only=["L1"])),
    "what is skipped": lambda store: list(store.skipping()),
    "how many are unsettled": lambda store: store.dirty_count(),
    "how many there are": lambda store: store.link_count(),
    "what waits": lambda store: store.waiting(),
    "open holds": lambda store: store.holds(),
    "open holds by reason": lambda store: store.hold_count(),
    "holds about an order": lambda store: store.holds_about("L1", ["order:asia:1"]),
    "the longest unread": lambda store: store.oldest_unread(["asia"]),
    "the first links": lambda store: store.links(limit=2),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_a_plan_or_status_asks_reads_a_whole_table(store: Store, question: str) -> None:
    """SQLite says how it would answer: by an index, or a primary key, never by reading all rows."""
    add_links(store, 1)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(store.db.engine, "before_cursor_execute", note)
    QUESTIONS[question](store)
    event.remove(store.db.engine, "before_cursor_execute", note)
    assert asked
    with store.db.read() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            whole = [row[3] for row in plan if row[3].startswith("SCAN") and not row[3].endswith(FEW)]
            assert whole == [], f"{statement}\n{plan}"
