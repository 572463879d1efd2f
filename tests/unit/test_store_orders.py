"""Observations in the store: what overwrites what, what is marked, parked, found, and what the history keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersync.errors import StoreError
from ordersync.model import (
    Address,
    Buyer,
    Cancellation,
    LineItem,
    LinkOrigin,
    Money,
    Order,
    OrderRef,
    Progress,
    Refund,
    RefundState,
)
from ordersync.store import FeedPosition, FieldChange, Observation, Outcome, Parked, Same, Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
REF = OrderRef("asia", "1")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def order(order_id: str = "1", **fields: object) -> Order:
    return Order.model_validate({"shop": "asia", "order_id": order_id, "currency": "USD", **fields})


def seen(one: Order, minute: int = 0, *, partial: bool = False, version: str = "") -> Observation:
    return Observation(one, b'{"id": "1"}', NOW + timedelta(minutes=minute), partial, mapping_version=version)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def position(cursor: str | None = "c1", **fields: int) -> FeedPosition:
    return FeedPosition("asia", "changed", cursor, None, NOW, None, NOW, **fields)


def refunds(*states: RefundState) -> tuple[Refund, ...]:
    usd = Money(amount_minor=100, currency="USD")
    return tuple(Refund(id=f"r{n}", status=state, amount=usd) for n, state in enumerate(states))


def test_an_order_is_stored_and_read_back_whole(store: Store) -> None:
    line = LineItem(id="l1", quantity=2, unit_price=Money(amount_minor=995, currency="USD"))
    whole = order(number="1001", line_items=(line,), placed_at=NOW, tags=("a", "b"), references={"k": "ü"})
    assert store.save_observation(seen(whole)) == "new"
    stored = store.order(REF)
    assert stored is not None
    assert stored.order == whole
    assert (stored.sent_at, stored.first_seen_at, stored.changed_at) == (NOW, NOW, NOW)
    assert store.raw(REF) == b'{"id": "1"}'
    assert store.order(OrderRef("asia", "2")) is None
    assert store.order_count("asia") == 1


def test_an_unchanged_order_only_moves_its_time(store: Store) -> None:
    store.save_observation(seen(order()))
    assert store.save_observation(seen(order(), 5)) == "unchanged"
    stored = store.order(REF)
    assert stored is not None
    assert (stored.sent_at, stored.changed_at) == (at(5), NOW)
    assert store.history(REF) == []


def test_an_older_request_never_overwrites_a_newer_one_even_when_that_changed_nothing(store: Store) -> None:
    store.save_observation(seen(order(number="new")))
    assert store.save_observation(seen(order(number="new"), 5)) == "unchanged"
    assert store.save_observation(seen(order(number="old"), 3)) == "stale"
    stored = store.order(REF)
    assert stored is not None
    assert (stored.order.number, stored.sent_at) == ("new", at(5))


@given(st.permutations([0, 1, 2, 3, 3, 4]))
@settings(max_examples=40, deadline=None)
def test_in_whatever_order_answers_arrive_the_last_sent_wins(minutes: list[int]) -> None:
    with Store.open("sqlite://") as store:
        for minute in minutes:
            store.save_observation(seen(order(number=f"n{minute}"), minute))
        stored = store.order(REF)
        assert stored is not None
        assert (stored.order.number, stored.sent_at) == ("n4", at(4))


def test_of_two_requests_sent_at_the_same_instant_the_later_stored_wins(store: Store) -> None:
    store.save_observation(seen(order(number="a")))
    assert store.save_observation(seen(order(number="b"))) == "changed"


def test_a_partial_row_is_not_stored_and_only_marks(store: Store) -> None:
    assert store.save_observation(seen(order(), partial=True)) == "stale"
    assert store.order(REF) is None
    assert store.to_look_at("asia", 10) == ["1"]
    store.save_observation(seen(order(number="full"), 1))
    assert store.to_look_at("asia", 10) == []
    store.save_observation(seen(order(number="less"), 2, partial=True))
    stored = store.order(REF)
    assert stored is not None
    assert stored.order.number == "full"
    assert store.to_look_at("asia", 10) == ["1"]


def test_a_hint_is_answered_only_by_a_request_sent_after_it(store: Store) -> None:
    store.look_again("asia", ["1"], at(5))
    store.save_observation(seen(order(), 4))
    assert store.to_look_at("asia", 10) == ["1"]
    store.look_again("asia", ["1"], at(3))
    store.save_observation(seen(order(), 4))
    assert store.to_look_at("asia", 10) == ["1"]
    store.save_observation(seen(order(), 5))
    assert store.to_look_at("asia", 10) == []


def test_marked_orders_come_in_pages(store: Store) -> None:
    store.look_again("asia", ["3", "1", "2"], NOW)
    store.look_again("web", ["9"], NOW)
    assert store.to_look_at("asia", 2) == ["1", "2"]
    assert store.to_look_at("asia", 2, after="2") == ["3"]


def test_the_history_names_each_changed_field_with_both_values(store: Store) -> None:
    store.save_observation(seen(order(number="1", refunds=refunds(RefundState.PENDING))))
    store.save_observation(
        seen(order(number="1", refunds=refunds(RefundState.COMPLETED, RefundState.PENDING), draft=True), 5)
    )
    (change,) = store.history(REF)
    assert (change.sent_at, change.cause) == (at(5), "observed")
    assert [(f.path, f.old, f.new) for f in change.fields[:2]] == [
        ("draft", "false", "true"),
        ("refunds[r0].status", '"pending"', '"completed"'),
    ]
    assert change.fields[2].path == "refunds[r1]"
    assert change.fields[2].old is None
    assert json.loads(change.fields[2].new or "")["amount"] == {"amount_minor": 100, "currency": "USD"}


def test_the_history_names_buyer_fields_without_their_values(store: Store) -> None:
    store.save_observation(seen(order(buyer=Buyer(email="a@example.com"), note="ring twice")))
    moved = order(
        buyer=Buyer(email="b@example.com"), note="ring once", shipping_address=Address(line1="1 Low Road")
    )
    store.save_observation(seen(moved, 1))
    assert store.history(REF)[0].fields == (
        FieldChange("buyer", None, None),
        FieldChange("note", None, None),
        FieldChange("shipping_address", None, None),
    )


def test_another_order_of_keys_is_no_change(store: Store) -> None:
    store.save_observation(seen(order(references={"a": "1", "b": "2"})))
    assert store.save_observation(seen(order(references={"b": "2", "a": "1"}), 1)) == "unchanged"
    assert store.history(REF) == []


def test_open_orders_and_pending_refunds_are_known(store: Store) -> None:
    store.save_observations(
        [
            seen(order("open", progress=Progress.PROCESSING)),
            seen(order("no-word")),
            seen(order("done", progress=Progress.COMPLETED, refunds=refunds(RefundState.PENDING))),
            seen(order("cancelled", cancellation=Cancellation(cancelled_at=NOW))),
            seen(order("archived", archived=True)),
            seen(order("refunded", progress=Progress.COMPLETED, refunds=refunds(RefundState.COMPLETED))),
        ]
    )
    assert store.open_order_ids("asia") == {"open", "no-word"}
    assert store.pending_refund_ids("asia") == {"done"}
    assert store.pending_refund_ids("asia", not_seen_since=NOW) == set()
    assert store.pending_refund_ids("asia", not_seen_since=at(1)) == {"done"}
    assert store.open_order_ids("web") == set()


def test_an_order_is_found_by_its_id_and_by_its_number(store: Store) -> None:
    store.save_observations([seen(order("21", number="1001")), seen(order("22", number="1001"))])
    store.save_observation(seen(order("1001", number="7")))
    assert store.find("asia", "1001") == [OrderRef("asia", n) for n in ("1001", "21", "22")]
    assert store.find("asia", "22") == [OrderRef("asia", "22")]
    assert store.find("web", "1001") == []
    store.park(Parked("asia", "30", "unknown_word", "?", None, None, NOW))
    assert store.find("asia", "30") == [OrderRef("asia", "30")]


def test_all_orders_come_sorted_and_in_full_across_chunks(store: Store) -> None:
    count = 450
    store.save_observations([seen(order(f"{n:04d}")) for n in reversed(range(count))])
    web = [Observation(Order(shop="web", order_id="5", currency="EUR"), b"{}", NOW)]
    store.save_observations(web)
    refs = [stored.order.ref for stored in store.orders()]
    assert refs == sorted(refs)
    assert len(refs) == count + 1
    assert [stored.order.order_id for stored in store.orders("web")] == ["5"]


def test_a_parked_order_keeps_its_payload_opens_one_hold_and_dirties_its_link(store: Store) -> None:
    store.save_observation(seen(order()))
    link = store.add_link([REF, OrderRef("web", "9")], LinkOrigin.HAND, None, NOW)
    store.mark_clean(link.link_id, store.link_version(link.link_id))
    unclear = Parked("asia", "1", "unknown_word", "unknown word", "status", b'{"status": "?"}', at(1))
    assert store.park(unclear) == "H-1"
    assert store.park(unclear) is None
    assert store.parked(REF) == [unclear]
    assert store.parked() == store.parked(shop="asia") == [unclear]
    assert store.parked(shop="web") == []
    assert [dirty.link.link_id for dirty in store.dirty_links()] == [link.link_id]
    held = store.holds()[0].hold
    assert (held.code, held.target) == ("parked", REF)
    assert store.order(REF) is not None


def test_parked_orders_are_freed_by_a_later_reading_and_not_by_an_earlier(store: Store) -> None:
    store.park(Parked("asia", "1", "unknown_word", "?", None, b"{}", at(5)))
    assert store.save_observation(seen(order(), 4)) == "new"
    assert len(store.parked()) == len(store.holds()) == 1
    assert store.save_observation(seen(order(), 6)) == "unchanged"
    assert (store.parked(), store.holds()) == ([], [])
    assert store.holds(open_only=False)[0].closed_because == "the order can be read again"
    store.park(Parked("asia", "1", "unknown_word", "?", None, b"{}", at(5)))
    assert store.parked() == []


def test_a_page_and_its_cursor_are_stored_together(store: Store) -> None:
    result = store.save_page(
        position(pages=1, rows=3),
        [seen(order("1")), seen(order("2")), seen(order("3"), partial=True)],
        [Parked("asia", "4", "unknown_word", "?", None, b"{}", NOW)],
        ["5"],
        now=NOW,
    )
    assert (result.new, result.stale, result.parked) == (2, 1, 1)
    assert store.position("asia", "changed") == position(pages=1, rows=3)
    assert store.to_look_at("asia", 10) == ["3", "5"]
    assert store.passes() == []
    store.save_page(position(None, pages=2, rows=3), [], [], [], now=at(1))
    (finished,) = store.passes("asia", "changed")
    assert (finished.pages, finished.rows, finished.finished_at) == (2, 3, at(1))
    assert store.position("asia", "other") is None


def test_a_page_that_cannot_be_stored_moves_nothing(store: Store) -> None:
    with store.db.write() as connection:
        full = "CREATE TRIGGER full BEFORE INSERT ON feeds BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        connection.exec_driver_sql(full)
    with pytest.raises(StoreError) as failed:
        store.save_page(position(), [seen(order("1"))], [], ["9"])
    assert failed.value.code == "store_full"
    assert store.order(REF) is None
    assert store.position("asia", "changed") is None
    assert store.to_look_at("asia", 10) == []


def test_one_order_twice_on_a_page_is_stored_once_with_its_newest_state(store: Store) -> None:
    for first, second in permutations([seen(order(number="old"), 1), seen(order(number="new"), 2)]):
        with Store.open("sqlite://") as fresh:
            outcomes = fresh.save_observations([first, second])
            assert sorted(outcomes) == ["new", "stale"]
            stored = fresh.order(REF)
            assert stored is not None
            assert stored.order.number == "new"


def test_the_same_bytes_move_the_time_and_anything_else_is_looked_at(store: Store) -> None:
    store.save_observation(seen(order(), version="m1"))
    digest = store.digests("asia", ["1", "2"], "m1")["1"]
    assert store.digests("asia", ["1"], "m2") == {}

    def again(stored_digest: bytes, minute: int) -> Outcome:
        same = [Same("asia", "1", stored_digest, at(minute))]
        result = store.save_page(position(), [], [], [], same=same)
        return "unchanged" if result.unchanged else "stale"

    assert again(digest, 3) == "unchanged"
    stored = store.order(REF)
    assert stored is not None
    assert stored.sent_at == at(3)
    assert again(digest, 2) == "stale"
    assert store.to_look_at("asia", 10) == []
    assert again(b"other", 5) == "stale"
    assert store.to_look_at("asia", 10) == ["1"]


def test_parked_orders_are_never_taken_for_unchanged(store: Store) -> None:
    store.save_observation(seen(order(), version="m1"))
    store.park(Parked("asia", "1", "unknown_word", "?", None, b"{}", at(1)))
    assert store.digests("asia", ["1"], "m1") == {}
