"""What a pull looks at again: partial rows, hints, absences, pending refunds; and looking at one order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.scenarios.pages_shop import (
    NOW,
    OPEN,
    BatchConnector,
    PagesConnector,
    chain,
    hold_codes,
    ids,
    normalise,
    row,
    run,
    shop_of,
)

from ordersync.connector import Page, RawOrder, Window
from ordersync.engine.observe import observe
from ordersync.engine.shops import Normalised
from ordersync.errors import MappingError, NotFound, Transient, UsageError
from ordersync.model import LinkOrigin, OrderRef
from ordersync.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


@pytest.fixture
def connector() -> PagesConnector:
    return PagesConnector("asia")


def test_partial_rows_are_fetched_and_never_overwrite_a_full_order(
    store: Store, connector: PagesConnector
) -> None:
    connector.orders["1"] = {"number": "1001"}
    connector.pages["changed"] = chain([row("1", partial=True)])
    first = run(store, shop_of(connector))
    assert (first.new, first.feeds[0].hinted, connector.fetched) == (1, 1, ["1"])
    stored = store.order(OrderRef("asia", "1"))
    assert stored is not None
    assert stored.order.number == "1001"
    second = run(store, shop_of(connector))
    assert (second.new, second.changed, second.unchanged) == (0, 0, 1)
    assert store.to_look_at("asia", 10) == []


def test_orders_a_feed_only_names_are_fetched(store: Store, connector: PagesConnector) -> None:
    connector.orders = {"7": {}, "8": {}}
    connector.pages["changed"] = {None: Page(seen_ids=("7", "8"))}
    assert run(store, shop_of(connector)).new == 2
    assert connector.fetched == ["7", "8"]


def test_an_order_that_left_the_open_set_is_fetched(store: Store) -> None:
    class OpenFeed(PagesConnector):
        feeds = (OPEN,)

    connector = OpenFeed("asia")
    connector.pages["open"] = chain([row("1"), row("2")], [row("3")])
    run(store, shop_of(connector))
    assert connector.asked[0][1] == Window(since=None, until=NOW)
    connector.pages["open"] = chain([row("1")], [row("3")])
    connector.orders["2"] = {"state": "done"}
    report = run(store, shop_of(connector))
    assert (connector.fetched, report.changed) == (["2"], 1)
    assert store.open_order_ids("asia") == {"1", "3"}
    run(store, shop_of(connector))
    assert connector.fetched == ["2"]


def test_a_known_order_that_is_gone_is_a_hold_and_is_kept(store: Store) -> None:
    class OpenFeed(PagesConnector):
        feeds = (OPEN,)

    connector = OpenFeed("asia")
    connector.pages["open"] = chain([row("1"), row("2")])
    run(store, shop_of(connector))
    connector.pages["open"] = chain([row("1")])
    for _ in range(2):
        report = run(store, shop_of(connector))
        assert report.vanished == 1
    assert [held.number for held in store.holds() if held.hold.code == "order_vanished"] == ["H-1"]
    assert ids(store) == ["1", "2"]
    connector.pages["open"] = chain([row("1"), row("2")])
    run(store, shop_of(connector))
    assert store.holds() == []


def test_a_known_order_that_was_gone_and_comes_back_byte_for_byte_is_there_again(store: Store) -> None:
    class OpenFeed(PagesConnector):
        feeds = (OPEN,)

    connector = OpenFeed("asia")
    shop = replace(shop_of(connector), mapping_version="1")
    whole = chain([row("1"), row("2")])
    connector.pages["open"] = whole
    run(store, shop)
    connector.pages["open"] = chain([row("1")])
    run(store, shop)
    assert hold_codes(store) == ["order_vanished"]
    connector.pages["open"] = whole
    report = run(store, shop)
    assert (report.changed, report.unchanged) == (0, 2)
    assert hold_codes(store) == []
    assert connector.fetched == ["2"], "the listing alone says it: nothing asked for it again"


def test_an_order_with_a_pending_refund_is_read_again_by_every_pull(
    store: Store, connector: PagesConnector
) -> None:
    connector.pages["changed"] = chain([row("1", pending=500)])
    run(store, shop_of(connector))
    assert connector.fetched == []
    connector.pages["changed"] = chain([])
    connector.orders["1"] = {}
    report = run(store, shop_of(connector))
    assert (connector.fetched, report.changed) == (["1"], 1)
    run(store, shop_of(connector))
    assert connector.fetched == ["1"]


def test_rows_that_name_no_order_are_one_hold_until_a_pass_has_none(
    store: Store, connector: PagesConnector
) -> None:
    connector.pages["changed"] = {
        None: Page(orders=(row("1"),), unreadable=("row 2 has no id", "row 5 has no id"))
    }
    report = run(store, shop_of(connector))
    assert report.feeds[0].unreadable == 2
    run(store, shop_of(connector))
    held = store.holds()
    assert [(h.number, h.hold.code, h.hold.evidence) for h in held] == [
        ("H-1", "unreadable_row", ("row 2 has no id", "row 5 has no id"))
    ]
    connector.pages["changed"] = chain([row("1")])
    run(store, shop_of(connector))
    assert store.holds() == []


def test_the_same_bytes_are_not_normalised_twice_but_a_new_mapping_reads_them(
    store: Store, connector: PagesConnector
) -> None:
    calls: list[str] = []

    def counting(raw: RawOrder) -> Normalised:
        calls.append(raw.order_id)
        return normalise(raw)

    connector.pages["changed"] = chain([row("1"), row("2")])
    run(store, shop_of(connector, version="m1", normalising=counting))
    report = run(store, shop_of(connector, version="m1", normalising=counting))
    assert (calls, report.unchanged) == (["1", "2"], 2)
    run(store, shop_of(connector, version="m2", normalising=counting))
    assert calls == ["1", "2", "1", "2"]


def test_a_mapping_change_is_named_as_the_cause_in_the_history(store: Store, connector: PagesConnector) -> None:
    def renumber(raw: RawOrder) -> Normalised:
        read = normalise(raw)
        return Normalised(read.order.model_copy(update={"number": "N-1"}), read.raw)

    connector.pages["changed"] = chain([row("1")])
    run(store, shop_of(connector, version="m1"))
    assert run(store, shop_of(connector, version="m2", normalising=renumber)).changed == 1
    history = store.history(OrderRef("asia", "1"))
    assert [(h.cause, [(f.path, f.old, f.new) for f in h.fields]) for h in history] == [
        ("mapping_changed", [("number", None, '"N-1"')])
    ]


def test_hinted_orders_are_fetched_in_batches_and_one_by_one_where_a_batch_fails(store: Store) -> None:
    connector = BatchConnector("asia")
    connector.orders = {"1": {}, "2": {}, "spoilt": {}}
    connector.pages["changed"] = {None: Page(seen_ids=("1", "2"))}
    assert run(store, shop_of(connector)).new == 2
    assert connector.fetched == ["1+2"]
    connector.pages["changed"] = {None: Page(seen_ids=("2", "spoilt"))}
    connector.fetched.clear()
    assert run(store, shop_of(connector)).new == 1
    assert connector.fetched == ["2+spoilt", "2", "spoilt"]


def test_an_order_that_cannot_be_fetched_does_not_stop_the_others(store: Store, connector: PagesConnector) -> None:
    connector.orders = {"1": {}, "3": {}}
    connector.failures["2"] = Transient("502", shop="asia", order="2")
    connector.pages["changed"] = {None: Page(seen_ids=("1", "2", "3"))}
    with pytest.raises(Transient) as failed:
        run(store, shop_of(connector))
    assert failed.value.order == "2"
    assert ids(store) == ["1", "3"]
    assert store.to_look_at("asia", 10) == ["2"]


def test_several_failures_in_a_row_end_the_pull(store: Store, connector: PagesConnector) -> None:
    wanted = tuple(str(number) for number in range(10))
    connector.failures = {order_id: Transient("502", shop="asia", order=order_id) for order_id in wanted}
    connector.pages["changed"] = {None: Page(seen_ids=wanted)}
    with pytest.raises(Transient):
        run(store, shop_of(connector))
    assert len(connector.fetched) == 3
    assert len(store.to_look_at("asia", 100)) == 10


def test_a_payload_that_names_another_order_is_parked(store: Store, connector: PagesConnector) -> None:
    mixed = RawOrder(order_id="1", payload=b'{"id": "2"}', sent_at=datetime.now(UTC))
    connector.pages["changed"] = chain([mixed])
    run(store, shop_of(connector))
    assert [(p.order_id, p.code) for p in store.parked()] == [("1", "another_id")]
    assert ids(store) == []


def test_a_changed_order_makes_its_link_dirty_and_an_unchanged_one_does_not(
    store: Store, connector: PagesConnector
) -> None:
    connector.pages["changed"] = chain([row("1"), row("2")])
    run(store, shop_of(connector))
    link = store.add_link([OrderRef("asia", "1"), OrderRef("web", "9")], LinkOrigin.HAND, None, NOW)
    store.mark_clean(link.link_id, store.dirty_links()[0].version)
    run(store, shop_of(connector))
    assert store.dirty_links() == []
    connector.pages["changed"] = chain([row("1", state="done"), row("2")])
    run(store, shop_of(connector))
    assert [dirty.link.link_id for dirty in store.dirty_links()] == [link.link_id]


def test_looking_at_one_order_stores_parks_or_holds_it(store: Store, connector: PagesConnector) -> None:
    shop = shop_of(connector)
    connector.orders["1"] = {"number": "1001"}
    assert observe(store, shop, "1").number == "1001"
    connector.orders["1"] = {"state": "teleported"}
    with pytest.raises(MappingError) as unclear:
        observe(store, shop, "1")
    assert (unclear.value.code, unclear.value.order) == ("unknown_word", "1")
    assert len(store.parked(OrderRef("asia", "1"))) == 1
    del connector.orders["1"]
    with pytest.raises(NotFound):
        observe(store, shop, "1")
    assert sorted(hold_codes(store)) == ["order_vanished", "parked"]
    with pytest.raises(NotFound):
        observe(store, shop, "never-read")
    assert len(store.holds()) == 2


def test_an_unknown_feed_is_a_usage_error(store: Store, connector: PagesConnector) -> None:
    with pytest.raises(UsageError) as mistyped:
        run(store, shop_of(connector), feeds=["chnaged"])
    assert mistyped.value.next_step == "its feeds are changed"


def test_progress_is_told_after_every_stored_page(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = chain([row("1")], [row("2")])
    told: list[tuple[int, int]] = []
    run(store, shop_of(connector), on_page=lambda report: told.append((report.pages, len(ids(store)))))
    assert told == [(1, 1), (2, 2)]
