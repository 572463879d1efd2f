"""Pulling page by page: cursors, windows, failures, parked and unchanged orders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.scenarios.pages_shop import (
    CHANGED,
    NOW,
    READ_FROM,
    RECENT,
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
from ordersync.engine.shops import Normalised
from ordersync.errors import BrokenAnswer, Refused, Transient
from ordersync.model import OrderRef
from ordersync.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


@pytest.fixture
def connector() -> PagesConnector:
    return PagesConnector("asia")


def test_every_page_is_read_and_the_second_pull_changes_nothing(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = chain([row("1"), row("2")], [], [row("3")])
    first = run(store, shop_of(connector))
    assert (first.new, first.changed, first.unchanged) == (3, 0, 0)
    assert (first.feeds[0].pages, first.feeds[0].rows, first.feeds[0].finished) == (3, 3, True)
    assert ids(store) == ["1", "2", "3"]
    second = run(store, shop_of(connector), NOW + timedelta(minutes=5))
    assert (second.new, second.changed, second.unchanged) == (0, 0, 3)


def test_the_watermark_is_the_end_of_the_last_finished_pass(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = chain([row("1")])
    run(store, shop_of(connector))
    later = NOW + timedelta(minutes=5)
    run(store, shop_of(connector), later)
    windows = [window for _, window, _ in connector.asked]
    assert windows == [Window(since=READ_FROM, until=NOW), Window(since=NOW, until=later)]
    records = store.passes("asia", "changed")
    assert [(r.since, r.until, r.pages, r.rows) for r in records] == [(READ_FROM, NOW, 1, 1), (NOW, later, 1, 1)]


def test_a_page_that_covered_less_moves_the_watermark_only_so_far(store: Store, connector: PagesConnector) -> None:
    covered = NOW - timedelta(minutes=2)
    connector.pages["changed"] = {None: Page(orders=(row("1"),), covered_until=covered, total=7)}
    report = run(store, shop_of(connector))
    position = store.position("asia", "changed")
    assert position is not None
    assert position.watermark == covered
    assert (report.feeds[0].total, store.passes()[0].total) == (7, 7)


def test_a_failed_page_keeps_what_came_before_and_the_next_pull_goes_on_there(
    store: Store, connector: PagesConnector
) -> None:
    pages = chain([row("1")], [row("2")], [row("3")])
    connector.pages["changed"] = {**pages, "c2": Transient("no answer")}
    with pytest.raises(Transient):
        run(store, shop_of(connector))
    assert ids(store) == ["1", "2"]
    position = store.position("asia", "changed")
    assert position is not None
    assert (position.cursor, position.watermark, position.pages) == ("c2", None, 2)
    assert store.passes() == []
    connector.pages["changed"] = pages
    connector.asked.clear()
    report = run(store, shop_of(connector), NOW + timedelta(hours=1))
    assert connector.asked == [("changed", Window(since=READ_FROM, until=NOW), "c2")]
    assert report.feeds[0].resumed
    assert ids(store) == ["1", "2", "3"]
    assert [(r.until, r.pages, r.rows) for r in store.passes()] == [(NOW, 3, 3)]


def test_a_repeated_cursor_is_a_broken_answer_and_loses_nothing(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = {
        None: Page(orders=(row("1"),), next_cursor="c1"),
        "c1": Page(orders=(row("2"),), next_cursor="c2"),
        "c2": Page(orders=(row("3"),), next_cursor="c1"),
    }
    with pytest.raises(BrokenAnswer) as broken:
        run(store, shop_of(connector))
    assert broken.value.code == "repeated_cursor"
    assert ids(store) == ["1", "2", "3"]
    position = store.position("asia", "changed")
    assert position is not None
    assert (position.cursor, position.watermark) == ("c2", None)
    assert len(connector.asked) == 3


def test_a_circle_met_again_after_resuming_begins_the_window_anew(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = {
        None: Page(orders=(row("1"),), next_cursor="c1"),
        "c1": Page(orders=(row("2"),), next_cursor="c1"),
    }
    for _ in range(2):
        with pytest.raises(BrokenAnswer):
            run(store, shop_of(connector))
    connector.pages["changed"] = chain([row("1")], [row("2")], [row("3")])
    connector.asked.clear()
    run(store, shop_of(connector))
    assert [cursor for _, _, cursor in connector.asked] == [None, "c1", "c2"]
    assert ids(store) == ["1", "2", "3"]


def test_a_broken_feed_does_not_keep_the_others_from_being_read(store: Store, connector: PagesConnector) -> None:
    class TwoFeeds(PagesConnector):
        feeds = (CHANGED, RECENT)

    two = TwoFeeds("asia")
    two.pages = {"changed": {None: BrokenAnswer("an HTML page")}, "recent": chain([row("5")])}
    with pytest.raises(BrokenAnswer):
        run(store, shop_of(two))
    assert ids(store) == ["5"]
    assert two.asked[1][1].since == NOW - timedelta(days=3)


def test_an_expired_cursor_restarts_its_window(store: Store, connector: PagesConnector) -> None:
    pages = chain([row("1")], [row("2")])
    connector.pages["changed"] = {**pages, "c1": Transient("no answer")}
    with pytest.raises(Transient):
        run(store, shop_of(connector))
    connector.pages["changed"] = {
        None: Page(orders=(row("1"),), next_cursor="d1"),
        "d1": Page(orders=(row("2"),)),
        "c1": Refused("page_info has expired"),
    }
    report = run(store, shop_of(connector), NOW + timedelta(days=1))
    assert ids(store) == ["1", "2"]
    assert {window.until for _, window, _ in connector.asked} == {NOW}
    assert report.feeds[0].finished


def test_a_refusal_of_the_first_page_is_raised(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = {None: Refused("unknown filter")}
    with pytest.raises(Refused):
        run(store, shop_of(connector))


def test_an_unknown_word_parks_its_order_and_the_others_go_on(store: Store, connector: PagesConnector) -> None:
    connector.pages["changed"] = chain([row("1"), row("2", state="teleported"), row("3")])
    report = run(store, shop_of(connector))
    assert (report.new, report.parked) == (2, 1)
    assert ids(store) == ["1", "3"]
    parked = store.parked(OrderRef("asia", "2"))[0]
    assert (parked.code, parked.path) == ("unknown_word", "state")
    assert json.loads(parked.raw or b"") == {"id": "2", "state": "teleported"}
    assert hold_codes(store) == ["parked"]


def test_a_corrected_mapping_reads_parked_orders_without_asking_again(
    store: Store, connector: PagesConnector
) -> None:
    connector.pages["changed"] = chain([row("2", state="teleported")])
    run(store, shop_of(connector))
    connector.pages["changed"] = chain([])

    def corrected(raw: RawOrder) -> Normalised:
        return normalise(raw.model_copy(update={"payload": raw.payload.replace(b"teleported", b"done")}))

    report = run(store, shop_of(connector, normalising=corrected))
    assert (report.new, connector.fetched) == (1, [])
    assert store.parked() == []
    assert hold_codes(store) == []


def test_a_parked_order_the_platform_mended_is_read_by_the_next_pull(
    store: Store, connector: PagesConnector
) -> None:
    """Mending may move no time that a feed looks at."""
    connector.pages["changed"] = chain([row("2", state="teleported")])
    connector.orders["2"] = {"id": "2", "state": "teleported"}
    run(store, shop_of(connector))
    connector.pages["changed"] = chain([])
    run(store, shop_of(connector))
    assert hold_codes(store) == ["parked"]
    connector.orders["2"] = {"id": "2", "state": "open"}
    run(store, shop_of(connector))
    assert store.parked() == []
    assert hold_codes(store) == []
    asked = len(connector.fetched)
    run(store, shop_of(connector))
    assert len(connector.fetched) == asked, "what is understood is not asked for again"
