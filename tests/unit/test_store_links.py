"""Links, ledger and holds in the store: one link per order, dirty until settled, every hold opened once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

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
)
from ordersync.store import Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASIA, OFFICE, WEB = OrderRef("asia", "1"), OrderRef("office", "2"), OrderRef("web", "3")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def hold(key: str, *, sticky: bool = False, link_id: str | None = "L1", message: str = "look") -> Hold:
    return Hold(
        key=key, code="refund_pending", subject=f"link:{link_id}", message=message, sticky=sticky, link_id=link_id
    )


def refund_of(target: OrderRef, key: str = "k1", link_id: str | None = "L1") -> Action:
    return Action(
        key=key,
        kind=ActionKind.REFUND,
        target=target,
        link_id=link_id,
        token="os-aaaaaaaa",
        amount=Money(amount_minor=500, currency="USD"),
        because="asia:1 refunded",
        digest="d",
    )


def decided(*holds: Hold, rows: tuple[LedgerRow, ...] = ()) -> Decision:
    return Decision(link_id="L1", ledger=Ledger(rows=rows), holds=holds)


def test_a_link_is_stored_sorted_and_found_from_each_member(store: Store) -> None:
    link = store.add_link([WEB, ASIA, OFFICE], LinkOrigin.RULE, "rule 1", NOW)
    assert (link.link_id, link.members, link.rule) == ("L1", (ASIA, OFFICE, WEB), "rule 1")
    assert store.link("L1") == store.link("l1") == link
    assert [store.link_of(ref) for ref in (ASIA, OFFICE, WEB)] == [link] * 3
    assert store.link_of(OrderRef("asia", "9")) is None
    assert store.links() == [link]
    for unknown in ("L2", "", "L", "1", "Lx"):
        assert store.link(unknown) is None


@pytest.mark.parametrize(
    "members, code",
    [
        ([ASIA], "too_few_members"),
        ([ASIA, ASIA], "too_few_members"),
        ([ASIA, OrderRef("asia", "2")], "same_shop_twice"),
        ([ASIA, OFFICE], "link_exists"),
        ([OFFICE, ASIA], "link_exists"),
        ([ASIA, WEB], "already_linked"),
        ([ASIA, OFFICE, WEB], "already_linked"),
    ],
)
def test_a_link_that_cannot_be_is_refused_by_name(store: Store, members: list[OrderRef], code: str) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    with pytest.raises(UsageError) as refused:
        store.add_link(members, LinkOrigin.HAND, None, NOW)
    assert refused.value.code == code
    assert len(store.links()) == 1


def test_a_removed_link_frees_its_orders_and_its_name_is_never_used_again(store: Store) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    store.save_decision(decided(hold("soft"), hold("hard", sticky=True)), NOW)
    store.remove_link("L1", NOW)
    assert store.links() == []
    assert store.link_of(ASIA) is None
    assert [held.hold.key for held in store.holds()] == ["hard"]
    assert store.add_link([ASIA, WEB], LinkOrigin.HAND, None, NOW).link_id == "L2"
    with pytest.raises(UsageError) as gone:
        store.remove_link("L1")
    assert gone.value.code == "unknown_link"


@pytest.mark.parametrize("state", [state for state in ActionState if state.is_open])
@pytest.mark.parametrize("link_id", ["L1", None], ids=["of the link", "by hand"])
def test_a_link_with_an_open_write_cannot_be_removed(
    store: Store, state: ActionState, link_id: str | None
) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    action = refund_of(OFFICE, link_id=link_id)
    store.intend(action, NOW, NOW, lambda spent: None)
    if state is not ActionState.INTENDED:
        store.advance(action.key, ActionState.INTENDED, state)
    with pytest.raises(Held) as refused:
        store.remove_link("L1")
    assert refused.value.code == "write_open"
    store.advance(action.key, state, ActionState.SEEN)
    store.remove_link("L1")
    assert store.links() == []


def test_a_change_during_a_decision_keeps_the_link_dirty(store: Store) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    (dirty,) = store.dirty_links()
    store.mark_dirty("L1")
    store.mark_clean("L1", dirty.version)
    assert len(store.dirty_links()) == 1
    store.mark_clean("L1", store.link_version("L1"))
    assert store.dirty_links() == []
    store.mark_clean("L1", 0)
    assert store.dirty_links() == []


def test_every_step_of_a_write_makes_its_link_dirty(store: Store) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    store.intend(refund_of(OFFICE), NOW, NOW, lambda spent: None)
    store.mark_clean("L1", store.link_version("L1"))
    store.advance("k1", ActionState.INTENDED, ActionState.SENDING)
    assert len(store.dirty_links()) == 1


def test_the_ledger_comes_back_as_it_was_decided(store: Store) -> None:
    store.add_link([ASIA, OFFICE], LinkOrigin.HAND, None, NOW)
    amount = Money(amount_minor=500, currency="USD")
    rows = tuple(
        LedgerRow(
            fact=Fact(fact_id=fact_id, kind=FactKind.REFUND, origin=ASIA, record_id=fact_id, amount=amount),
            cells=(
                Cell(member=ASIA, state=CellState.PRESENT, record_ids=("r1", "r2"), amount=amount),
                Cell(member=OFFICE, state=CellState.OWED),
            ),
        )
        for fact_id in ("ff", "aa", "cc")
    )
    store.save_decision(decided(rows=rows), NOW)
    assert store.ledger("L1") == Ledger(rows=rows)
    store.save_decision(decided(rows=rows[1:]), NOW)
    assert store.ledger("L1") == Ledger(rows=rows[1:])
    assert store.ledger("L2") == Ledger()


def test_a_decision_opens_new_holds_keeps_known_ones_and_closes_what_is_over(store: Store) -> None:
    assert store.save_decision(decided(hold("a"), hold("b")), NOW) == ["H-1", "H-2"]
    later = NOW + timedelta(minutes=5)
    assert store.save_decision(decided(hold("b", message="still"), hold("c")), later) == ["H-3"]
    assert [(h.number, h.hold.message, h.opened_at) for h in store.holds()] == [
        ("H-2", "still", NOW),
        ("H-3", "look", later),
    ]
    closed = store.hold("H-1")
    assert closed is not None
    assert (closed.closed_at, closed.closed_because) == (later, "no longer so at the last look")


def test_sticky_holds_and_holds_of_others_stay_open(store: Store) -> None:
    store.open_hold(hold("of another link", link_id="L2"), NOW)
    store.open_hold(hold("of an order", link_id=None), NOW)
    store.save_decision(decided(hold("overshoot", sticky=True)), NOW)
    store.save_decision(decided(), NOW)
    assert [held.hold.key for held in store.holds()] == ["of another link", "of an order", "overshoot"]


def test_a_hold_opens_once_and_a_closed_one_comes_back_under_a_new_number(store: Store) -> None:
    assert store.open_hold(hold("a"), NOW) == ("H-1", True)
    assert store.open_hold(hold("a"), NOW) == ("H-1", False)
    assert store.close_hold("a", NOW, "resolved by kim")
    assert not store.close_hold("a", NOW, "again")
    assert store.holds() == []
    assert store.open_hold(hold("a"), NOW) == ("H-2", True)
    assert [held.number for held in store.holds(open_only=False)] == ["H-1", "H-2"]


@pytest.mark.parametrize("typed", ["H-1", "h-1", "H1", "1", " H-1 "])
def test_a_hold_is_found_as_people_type_it(store: Store, typed: str) -> None:
    store.open_hold(hold("a"), NOW)
    found = store.hold(typed)
    assert found is not None
    assert found.number == "H-1"


@pytest.mark.parametrize("typed", ["H-2", "", "H-", "H-x", "L1", "H--1", "²"])
def test_what_names_no_hold_finds_none(store: Store, typed: str) -> None:
    store.open_hold(hold("a"), NOW)
    assert store.hold(typed) is None
