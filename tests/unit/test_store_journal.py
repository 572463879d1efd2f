"""The journal: one open write per order, a key used once for ever, and nothing in it ever changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ordersync.errors import Held, StoreError
from ordersync.model import Action, ActionKind, ActionState, FactKind, Hold, Money, OrderRef, fact_id_of
from ordersync.store import IntentHeld, Spent, Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEND_BY = NOW + timedelta(seconds=20)
ASIA, OFFICE = OrderRef("asia", "1"), OrderRef("office", "2")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def action(
    key: str = "k1",
    target: OrderRef = ASIA,
    kind: ActionKind = ActionKind.REFUND,
    amount: str | None = "5.00 USD",
    fact_id: str | None = None,
) -> Action:
    return Action(
        key=key,
        kind=kind,
        target=target,
        link_id="L1",
        fact_id=fact_id,
        token="os-aaaaaaaa",
        amount=Money.parse(amount) if amount else None,
        because="office:2 refunded",
        digest="d",
    )


def free(_spent: Spent) -> Hold | None:
    return None


def finish(store: Store, key: str, state: ActionState) -> None:
    store.advance(key, ActionState.INTENDED, state, at=NOW)


def test_an_intent_is_stored_and_read_back(store: Store) -> None:
    made = store.intend(action(), NOW, SEND_BY, free)
    assert made == store.action("k1")
    assert (made.state, made.intended_at, made.send_by) == (ActionState.INTENDED, NOW, SEND_BY)
    assert store.action("k2") is None


def test_an_order_has_one_open_write_at_most(store: Store) -> None:
    store.intend(action("k1"), NOW, SEND_BY, free)
    with pytest.raises(Held) as refused:
        store.intend(action("k2"), NOW, SEND_BY, free)
    assert refused.value.code == "write_in_flight"
    assert store.intend(action("k3", OFFICE), NOW, SEND_BY, free).state is ActionState.INTENDED
    for before, after in (
        (ActionState.INTENDED, ActionState.SENDING),
        (ActionState.SENDING, ActionState.DOUBT),
    ):
        store.advance("k1", before, after)
        with pytest.raises(Held):
            store.intend(action("k2"), NOW, SEND_BY, free)
    store.advance("k1", ActionState.DOUBT, ActionState.SEEN)
    assert store.intend(action("k2"), NOW, SEND_BY, free).action.key == "k2"


@pytest.mark.parametrize("end", [ActionState.SEEN, ActionState.EXPIRED, ActionState.REFUSED])
def test_a_key_is_used_once_for_ever(store: Store, end: ActionState) -> None:
    store.intend(action(), NOW, SEND_BY, free)
    finish(store, "k1", end)
    with pytest.raises(Held) as refused:
        store.intend(action(), NOW, SEND_BY, free)
    assert refused.value.code == "tried_before"


def test_a_check_that_holds_stores_nothing(store: Store) -> None:
    limit = Hold(key="h", code="limit", subject="run", message="refunds 2 of 2", next_steps=("raise it",))
    with pytest.raises(IntentHeld) as held:
        store.intend(action(), NOW, SEND_BY, lambda spent: limit)
    assert (held.value.code, held.value.hold, held.value.next_step) == ("limit", limit, "raise it")
    assert store.actions() == []
    assert store.holds() == []


def test_two_processes_cannot_both_spend_the_last_of_a_limit(tmp_path: Path) -> None:
    """The check of each sees what the other committed: of ten writes at once exactly three pass a limit of three."""
    url = f"sqlite:///{tmp_path}/s.db"
    Store.open(url).close()
    limit = Hold(key="h", code="limit", subject="run", message="enough")
    passed: list[str] = []
    held: list[str] = []

    def one(number: int) -> None:
        with Store.open(url) as store:
            try:
                store.intend(
                    action(f"k{number}", OrderRef("asia", str(number))),
                    NOW,
                    SEND_BY,
                    lambda spent: limit if spent.count(ActionKind.REFUND) >= 3 else None,
                )
                passed.append(f"k{number}")
            except IntentHeld:
                held.append(f"k{number}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), len(held)) == (3, 7)


def test_spent_counts_what_may_have_happened(store: Store) -> None:
    store.intend(action("seen", OrderRef("a", "1"), fact_id="f1"), NOW, SEND_BY, free)
    finish(store, "seen", ActionState.SEEN)
    store.intend(action("refused", OrderRef("a", "2")), NOW, SEND_BY, free)
    finish(store, "refused", ActionState.REFUSED)
    store.intend(action("expired", OrderRef("a", "3")), NOW, SEND_BY, free)
    finish(store, "expired", ActionState.EXPIRED)
    long_ago = NOW - timedelta(days=3)
    store.intend(action("old doubt", OrderRef("a", "4"), amount="7.00 USD"), long_ago, long_ago, free)
    finish(store, "old doubt", ActionState.DOUBT)
    store.intend(action("old seen", OrderRef("a", "5")), long_ago, long_ago, free)
    finish(store, "old seen", ActionState.SEEN)
    store.intend(action("cancel", OrderRef("a", "6"), ActionKind.CANCEL, amount=None), NOW, SEND_BY, free)
    store.intend(action("yen", OrderRef("a", "7"), amount="900 JPY", fact_id="f1"), NOW, SEND_BY, free)
    spent = store.spent(NOW)
    assert [record.action.key for record in spent.records] == ["old doubt", "cancel", "seen", "yen"]
    assert (spent.count(ActionKind.REFUND), spent.count(ActionKind.CANCEL)) == (3, 1)
    assert spent.value("USD") == Money.parse("12.00 USD")
    assert spent.value("JPY") == Money.parse("900 JPY")
    assert spent.value("EUR") == Money.zero("EUR")
    cancelled = fact_id_of(OrderRef("a", "6"), FactKind.CANCELLATION, "cancel")
    assert spent.money_facts("L1") == {"old doubt", cancelled, "f1"}
    assert spent.money_facts("L2") == frozenset()
    assert spent.since(NOW).count(ActionKind.REFUND) == 2


def test_a_step_is_taken_only_from_the_state_it_expects(store: Store) -> None:
    store.intend(action(), NOW, SEND_BY, free)
    assert not store.advance("k1", ActionState.SENDING, ActionState.RECEIPTED)
    assert not store.advance("none", ActionState.INTENDED, ActionState.SENDING)
    assert store.advance("k1", ActionState.INTENDED, ActionState.SENDING, sent_at=NOW)
    assert not store.advance("k1", ActionState.INTENDED, ActionState.EXPIRED)
    record = store.action("k1")
    assert record is not None
    assert (record.state, record.sent_at) == (ActionState.SENDING, NOW)


def test_of_many_threads_one_takes_the_step(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        store.intend(action(), NOW, SEND_BY, free)
        won: list[bool] = []

        def step() -> None:
            won.append(store.advance("k1", ActionState.INTENDED, ActionState.SENDING))

        threads = [threading.Thread(target=step) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]


@pytest.mark.parametrize("end", [ActionState.SEEN, ActionState.EXPIRED, ActionState.REFUSED])
def test_a_settled_write_never_moves_again(store: Store, end: ActionState) -> None:
    store.intend(action(), NOW, SEND_BY, free)
    finish(store, "k1", end)
    with pytest.raises(ValueError, match="never moves again"):
        store.advance("k1", end, ActionState.SENDING)


def test_what_was_stored_stays_and_looks_add_up(store: Store) -> None:
    store.intend(action(), NOW, SEND_BY, free)
    store.advance("k1", ActionState.INTENDED, ActionState.SENDING, sent_at=NOW)
    store.advance("k1", ActionState.SENDING, ActionState.DOUBT, answer="no answer within 30 s")
    for minute in (1, 5):
        store.advance("k1", ActionState.DOUBT, ActionState.DOUBT, looked_at=NOW + timedelta(minutes=minute))
    store.advance("k1", ActionState.DOUBT, ActionState.SEEN, platform_ref="ref_07")
    record = store.action("k1")
    assert record is not None
    assert record.looked_at == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=5))
    assert (record.sent_at, record.answer, record.platform_ref) == (NOW, "no answer within 30 s", "ref_07")
    steps = store.action_steps("k1")
    assert [step.state.value for step in steps] == ["intended", "sending", "doubt", "doubt", "doubt", "seen"]
    assert steps[3].at == NOW + timedelta(minutes=1)
    assert steps[5].fields == {"platform_ref": "ref_07"}


@pytest.mark.parametrize("statement", ["UPDATE action_events SET state = 'seen'", "DELETE FROM action_events"])
def test_the_database_itself_refuses_to_change_the_journal(store: Store, statement: str) -> None:
    store.intend(action(), NOW, SEND_BY, free)
    with pytest.raises(StoreError, match="append-only"), store.db.write() as connection:
        connection.exec_driver_sql(statement)
    assert len(store.action_steps("k1")) == 1


def test_the_index_alone_refuses_a_second_open_write(store: Store) -> None:
    """Whatever the code above believes."""
    store.intend(action("k1"), NOW, SEND_BY, free)
    copy = (
        "INSERT INTO actions SELECT 'k2', shop, order_id, link_id, state, is_open, action, intended_at, send_by, "
        "sent_at, answered_at, platform_ref, looked_at, answer FROM actions"
    )
    with pytest.raises(StoreError, match="UNIQUE"), store.db.write() as connection:
        connection.exec_driver_sql(copy)


def test_actions_are_listed_by_link_by_order_and_by_being_open(store: Store) -> None:
    store.intend(action("k1"), NOW, SEND_BY, free)
    store.intend(action("k2", OFFICE), NOW + timedelta(minutes=1), SEND_BY, free)
    finish(store, "k2", ActionState.SEEN)
    assert [record.action.key for record in store.actions()] == ["k1", "k2"]
    assert [record.action.key for record in store.actions(target=OFFICE)] == ["k2"]
    assert [record.action.key for record in store.actions(link_id="L1", open_only=True)] == ["k1"]
    assert store.actions(link_id="L2") == []


def test_leases_are_all_or_none_expire_and_are_given_back(store: Store) -> None:
    ttl = timedelta(minutes=1)
    assert store.claim([ASIA, OFFICE], "one", NOW, ttl)
    assert store.claim([ASIA], "one", NOW, ttl)
    third = OrderRef("web", "3")
    assert not store.claim([OFFICE, third], "two", NOW, ttl)
    assert store.claim([third], "three", NOW, ttl)
    assert store.claim([OFFICE], "two", NOW + ttl, ttl)
    store.release("two")
    assert store.claim([OFFICE], "four", NOW, ttl)
    assert not store.claim([ASIA], "four", NOW, ttl)


def test_a_run_is_kept_with_its_outcome(store: Store) -> None:
    first = store.run_started("pull", NOW)
    assert store.last_run("pull") is None
    store.run_finished(first, NOW + timedelta(seconds=3), "done", {"orders": 7})
    store.run_started("pull", NOW + timedelta(hours=1))
    done = store.last_run("pull")
    assert done is not None
    assert (done.id, done.outcome, done.figures) == (first, "done", {"orders": 7})
    running = store.last_run("pull", finished=False)
    assert running is not None
    assert running.finished_at is None
