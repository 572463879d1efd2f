"""Answers in the store: one per hold, whoever races; approvals used once; a left hold stays shut."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from ordersync.errors import Held, UsageError
from ordersync.model import (
    Action,
    ActionKind,
    ActionState,
    Cell,
    CellState,
    Decision,
    Fact,
    FactKind,
    Hold,
    Ledger,
    LedgerRow,
    LinkOrigin,
    Money,
    OrderRef,
    Verb,
    Wait,
    seen_digest,
)
from ordersync.store import Answer, Store
from ordersync.store.migrations import CURRENT
from ordersync.store.migrations.upgrade import upgrade

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
A, B = OrderRef("a", "1"), OrderRef("b", "1")
HOLD = Hold(
    key="k",
    code="old_fact",
    subject="link:L1",
    message="look",
    link_id="L1",
    target=B,
    facts=("f",),
    digest="seen",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(f"sqlite:///{tmp_path / 's.db'}")
    opened.add_link([A, B], LinkOrigin.HAND, None, NOW)
    return opened


def answer(verb: Verb, who: str = "kim", **given: Any) -> Answer:
    return Answer(verb, who, "agreed", ("f",), "seen", NOW + timedelta(hours=72))._replace(**given)


def refund(key: str, *approvals: int) -> Action:
    return Action(
        key=key,
        kind=ActionKind.REFUND,
        target=B,
        link_id="L1",
        fact_id="f",
        token="os-aaaaaaaa",
        amount=Money(amount_minor=500, currency="USD"),
        because="a:1 refunded",
        digest="seen",
        approvals=approvals,
    )


def intend(store: Store, action: Action) -> None:
    store.intend(action, NOW, NOW + timedelta(seconds=20), lambda _spent: None)


def test_of_many_at_once_one_answer_wins(store: Store) -> None:
    number, _ = store.open_hold(HOLD, NOW)
    won: list[str] = []
    lost: list[str] = []
    ready = threading.Barrier(6)

    def resolve(who: str) -> None:
        ready.wait(timeout=10)
        try:
            store.resolve(number, answer(Verb.APPROVE, who), NOW)
            won.append(who)
        except Held as held:
            lost.append(held.code)

    people = [threading.Thread(target=resolve, args=(f"p{n}",)) for n in range(6)]
    for person in people:
        person.start()
    for person in people:
        person.join(timeout=20)
    assert len(won) == 1
    assert lost == ["hold_closed"] * 5
    assert [r.who for r in store.resolutions(hold=number)] == won
    stored = store.hold(number)
    assert stored is not None
    assert stored.closed_because == f"approve by {won[0]}: agreed"


def test_an_answer_has_its_link_looked_at_again(store: Store) -> None:
    number, _ = store.open_hold(HOLD, NOW)
    store.mark_clean("L1", store.link_version("L1"))
    assert store.dirty_links() == []
    store.resolve(number, answer(Verb.LEAVE), NOW)
    assert [dirty.link.link_id for dirty in store.dirty_links()] == ["L1"]


def test_an_approval_is_used_in_the_transaction_of_the_intent(store: Store) -> None:
    number, _ = store.open_hold(HOLD, NOW)
    approval = store.resolve(number, answer(Verb.APPROVE), NOW)
    with pytest.raises(Held):
        intend(store, refund("k1", approval.number, 999))
    assert store.resolutions()[0].used_at is None, "refused for the other approval: nothing was stored"
    assert store.action("k1") is None
    intend(store, refund("k1", approval.number))
    assert store.resolutions()[0].used_by == "k1"
    store.advance("k1", ActionState.INTENDED, ActionState.SENDING, sent_at=NOW)
    store.advance("k1", ActionState.SENDING, ActionState.REFUSED, answer="no")
    with pytest.raises(Held) as again:
        intend(store, refund("k2", approval.number))
    assert again.value.code == "approval_used"


def test_a_write_that_was_certainly_not_made_gives_its_approval_back(store: Store) -> None:
    number, _ = store.open_hold(HOLD, NOW)
    approval = store.resolve(number, answer(Verb.APPROVE), NOW)
    intend(store, refund("k1", approval.number))
    store.advance("k1", ActionState.INTENDED, ActionState.EXPIRED, answer="never sent")
    intend(store, refund("k2", approval.number))
    assert store.resolutions()[0].used_by == "k2"


def test_what_was_left_is_no_approval(store: Store) -> None:
    number, _ = store.open_hold(HOLD, NOW)
    left = store.resolve(number, answer(Verb.LEAVE), NOW)
    with pytest.raises(Held) as stale:
        intend(store, refund("k1", left.number))
    assert stale.value.code == "approval_stale"


def test_a_left_hold_opens_again_only_when_it_says_something_else(store: Store) -> None:
    plain = HOLD.model_copy(update={"digest": None})
    number, _ = store.open_hold(plain, NOW)
    store.resolve(number, answer(Verb.LEAVE, digest=seen_digest(plain)), NOW)
    assert store.open_hold(plain, NOW) == (number, False)
    assert store.holds() == []
    worse = plain.model_copy(update={"message": "it grew"})
    again, is_new = store.open_hold(worse, NOW)
    assert is_new
    assert again != number


def test_a_hold_nobody_opened_cannot_be_answered(store: Store) -> None:
    with pytest.raises(UsageError) as unknown:
        store.resolve("H-77", answer(Verb.LEAVE), NOW)
    assert unknown.value.code == "unknown_hold"
    assert store.resolutions() == []


def test_a_row_to_forget_is_derived_anew(store: Store) -> None:
    def row(fact_id: str) -> LedgerRow:
        fact = Fact(fact_id=fact_id, kind=FactKind.REFUND, origin=A, record_id="r")
        return LedgerRow(fact=fact, cells=(Cell(member=A, state=CellState.PRESENT),))

    store.save_decision(Decision(link_id="L1", ledger=Ledger(rows=(row("f1"), row("f2")))), NOW)
    number, _ = store.open_hold(HOLD, NOW)
    store.resolve(number, answer(Verb.DONE, forget=("f2",)), NOW)
    assert [one.fact.fact_id for one in store.ledger("L1").rows] == ["f1"]


def test_a_write_of_an_earlier_life_is_entered_once_and_never_as_open(store: Store) -> None:
    assert store.record_past(refund("lost"), ActionState.SEEN, NOW, "kim says so", "r9")
    assert not store.record_past(refund("lost"), ActionState.EXPIRED, NOW, "no")
    found = store.action("lost")
    assert found is not None
    assert (found.state, found.platform_ref) == (ActionState.SEEN, "r9")
    assert store.actions(open_only=True) == []
    with pytest.raises(ValueError, match="not how a write ends"):
        store.record_past(refund("other"), ActionState.DOUBT, NOW, "?")


def test_waiting_writes_are_counted_until_their_link_is_removed(store: Store) -> None:
    wait = Wait(code="carry_after", link_id="L1", target=B, fact_id="f", message="soon")
    store.save_decision(Decision(link_id="L1", ledger=Ledger(), waits=(wait, wait)), NOW)
    assert store.waiting() == 2
    store.remove_link("L1", NOW)
    assert store.waiting() == 0


def test_a_store_of_the_first_schema_keeps_its_links_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(text("INSERT INTO meta VALUES ('birth_at', '2026-01-01T00:00:00.000000Z')"))
        connection.execute(
            text(
                "INSERT INTO links (members, origin, made_at, version, clean_version) VALUES "
                '(\'[["a", "1"], ["b", "1"]]\', \'hand\', \'2026-11-20T12:00:00.000000Z\', 1, 0)'
            )
        )
        old = HOLD.model_dump_json(exclude={"facts", "digest"})
        connection.execute(
            text(
                "INSERT INTO holds (key, code, subject, link_id, sticky, hold, opened_at) VALUES "
                "('k', 'old_fact', 'link:L1', 'L1', 0, :hold, '2026-11-20T12:00:00.000000Z')"
            ),
            {"hold": old},
        )
    engine.dispose()
    with Store.open(f"sqlite:///{path}") as store:
        assert [link.members for link in store.links()] == [(A, B)]
        assert store.waiting() == 0
        assert store.holds()[0].hold.facts == ()
        store.resolve("H-1", answer(Verb.LEAVE), NOW)
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == (CURRENT,)
    raw.close()
