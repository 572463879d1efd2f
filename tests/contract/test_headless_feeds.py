"""Headless feeds over real HTTP: what each brings, what ends a list and what never does."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.contract.common import error_of, pull_all
from tests.contract.headless_shop import NOW, HeadlessShop, headless_shop

from ordersync.connector import MAX_ORDER_BYTES, Window
from ordersync.errors import BrokenAnswer, ConfigError, Refused, Transient
from ordersync.testing.sandbox import Fault

DAY = timedelta(days=1)
OPEN = {"pending", "confirmed", "processing", "draft"}


@pytest.fixture
def web() -> Iterator[HeadlessShop]:
    with headless_shop() as shop:
        shop.sandbox.seed_orders(23)
        yield shop


def orders_of(shop: HeadlessShop) -> dict[str, dict[str, Any]]:
    return shop.sandbox.state.orders


# new


def test_new_brings_every_order_once_as_it_was_sent(web: HeadlessShop) -> None:
    done = pull_all(web.connect(page_limit=5), "new")
    assert sorted(done.ids) == sorted(orders_of(web))
    assert [page.total for page in done.pages] == [23] * 5
    assert not done.unreadable
    for raw in done.orders:
        assert not raw.partial
        assert json.loads(raw.payload) == orders_of(web)[raw.order_id]


def test_pages_are_asked_for_one_after_another_by_cursor(web: HeadlessShop) -> None:
    done = pull_all(web.connect(page_limit=10), "new")
    asked = [dict(request.query) for request in web.sandbox.requests()]
    assert asked[0] == {"limit": "10"}
    assert [a["starting_after"] for a in asked[1:]] == [done.ids[9], done.ids[19]]


def test_a_page_edge_between_equal_times_loses_nothing(web: HeadlessShop) -> None:
    for order in orders_of(web).values():
        order["created_at"] = "2026-09-09T09:09:09Z"
    assert sorted(pull_all(web.connect(page_limit=1), "new").ids) == sorted(orders_of(web))


@pytest.mark.parametrize("unknowns", [{}, {"created_after_inclusive": False}, {"oldest_first": True}])
def test_new_reads_back_before_its_watermark(unknowns: dict[str, Any]) -> None:
    with headless_shop(**unknowns) as shop:
        ids = shop.sandbox.seed_orders(8)
        edge = NOW - 3 * DAY
        for place, order_id in enumerate(ids):
            moment = edge + timedelta(minutes=10 * (place - 4))
            orders_of(shop)[order_id]["created_at"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        connector = shop.connect(overlap_minutes=15)
        assert sorted(pull_all(connector, "new", Window(since=edge)).ids) == ids[3:]
        assert shop.sandbox.requests()[-1].arg("created_after") == "2026-09-28T11:45:00Z"


def test_a_window_has_both_ends(web: HeadlessShop) -> None:
    placed = sorted(str(order["created_at"]) for order in orders_of(web).values())
    since, until = (datetime.fromisoformat(placed[place]) for place in (6, 15))
    found = pull_all(web.connect(overlap_minutes=1), "new", Window(since=since, until=until)).ids
    asked = web.sandbox.requests()[-1]
    assert asked.arg("created_before") == placed[15]
    lower = asked.arg("created_after") or ""
    assert placed[5] < lower < placed[6]
    assert sorted(found) == sorted(
        k for k, o in orders_of(web).items() if placed[6] <= o["created_at"] <= placed[15]
    )


def test_an_empty_shop_is_an_end_and_not_an_error() -> None:
    with headless_shop() as shop:
        for feed in ("new", "open", "closed"):
            assert pull_all(shop.connector, feed).ids == []


def test_a_pass_goes_on_from_its_cursor_in_another_process(web: HeadlessShop) -> None:
    first = web.connect(page_limit=9).pull("new", Window(), None)
    rest = pull_all(web.connect(page_limit=9), "new", cursor=first.next_cursor)
    assert sorted([o.order_id for o in first.orders] + rest.ids) == sorted(orders_of(web))


def test_the_same_page_may_be_asked_for_again(web: HeadlessShop) -> None:
    connector = web.connect(page_limit=9)
    cursor = connector.pull("new", Window(), None).next_cursor
    once, again = connector.pull("new", Window(), cursor), connector.pull("new", Window(), cursor)
    assert once.next_cursor == again.next_cursor
    assert [o.payload for o in once.orders] == [o.payload for o in again.orders]


def test_a_pass_claims_no_more_than_the_platforms_clock_allows() -> None:
    """Our clock is 20 minutes ahead: what the platform will date into these minutes was not listed yet."""
    with headless_shop() as shop:
        shop.sandbox.seed_orders(5)
        ahead = Window(until=NOW + timedelta(minutes=20))
        pages = pull_all(shop.connect(page_limit=2), "new", ahead).pages
        assert [page.covered_until for page in pages] == [None, None, NOW]
        behind = Window(until=NOW - timedelta(minutes=20))
        assert pull_all(shop.connector, "new", behind).pages[-1].covered_until is None


def test_an_order_placed_while_listing_is_found_by_this_or_the_next_pass(web: HeadlessShop) -> None:
    connector = web.connect(page_limit=5)
    page = connector.pull("new", Window(until=NOW), None)
    late = web.sandbox.seed_orders(1, end=NOW + 7 * DAY)[0]
    orders_of(web)[late]["created_at"] = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = [o.order_id for o in page.orders] + pull_all(connector, "new", Window(until=NOW), page.next_cursor).ids
    assert len(found) == len(set(found)) == 23
    assert late in pull_all(connector, "new", Window(since=NOW)).ids


# open


def test_open_walks_one_chain_per_status_to_its_end(web: HeadlessShop) -> None:
    done = pull_all(web.connect(page_limit=2), "open")
    assert sorted(done.ids) == sorted(k for k, order in orders_of(web).items() if order["status"] in OPEN)
    chains = [request.arg("status") for request in web.sandbox.requests()]
    assert list(dict.fromkeys(chains)) == ["pending", "confirmed", "processing", "draft"]
    assert all(request.arg("created_after") is None for request in web.sandbox.requests())
    assert done.pages[-1].total == len(done.ids)


def test_open_goes_on_in_the_middle_of_a_chain(web: HeadlessShop) -> None:
    whole = pull_all(web.connect(page_limit=1), "open").ids
    found: list[str] = []
    cursor = None
    while True:
        page = web.connect(page_limit=1).pull("open", Window(), cursor)
        found += [order.order_id for order in page.orders]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == whole


def test_open_lists_old_orders_whatever_the_window_says(web: HeadlessShop) -> None:
    orders_of(web)["ord_1003"]["created_at"] = "2019-01-01T00:00:00Z"
    assert "ord_1003" in pull_all(web.connector, "open", Window(since=NOW - DAY, until=NOW)).ids


def test_open_statuses_are_a_setting(web: HeadlessShop) -> None:
    done = pull_all(web.connect(open_statuses=("pending",)), "open")
    assert {json.loads(o.payload)["status"] for o in done.orders} == {"pending"}
    assert len(web.sandbox.requests()) == 1


def test_a_cursor_of_a_status_no_longer_listed_starts_the_pass_anew(web: HeadlessShop) -> None:
    cursor = '{"status":"draft","after":"ord_1005"}'
    done = pull_all(web.connect(open_statuses=("pending", "confirmed")), "open", cursor=cursor)
    assert {json.loads(o.payload)["status"] for o in done.orders} == {"pending", "confirmed"}


def test_an_order_that_is_closed_leaves_the_open_set(web: HeadlessShop) -> None:
    before = pull_all(web.connector, "open").ids
    web.sandbox.state.cancel(before[0], "gone")
    assert set(before) - set(pull_all(web.connector, "open").ids) == {before[0]}


def test_closed_rows_of_an_ignored_status_filter_are_not_open(
    web: HeadlessShop, caplog: pytest.LogCaptureFixture
) -> None:
    web.sandbox.page_quirks.add("ignored_filters")
    with caplog.at_level(logging.WARNING):
        done = pull_all(web.connect(page_limit=5), "open")
    assert {json.loads(o.payload)["status"] for o in done.orders} == OPEN
    assert caplog.text.count("filter_ignored shop=web parameter=status") == 1


# closed


def test_closed_reads_its_window_in_any_status_without_overlap(web: HeadlessShop) -> None:
    done = pull_all(web.connector, "closed", Window(since=NOW - 60 * DAY))
    assert web.sandbox.requests()[-1].arg("created_after") == "2026-08-02T12:00:00Z"
    assert {json.loads(o.payload)["status"] for o in done.orders} >= {"completed", "cancelled"}


def test_the_length_of_the_closed_window_is_a_setting(web: HeadlessShop) -> None:
    def back(connector: Any) -> list[timedelta | None]:
        return [feed.look_back for feed in connector.feeds]

    assert back(web.connector) == back(type(web.connector)) == [None, None, 60 * DAY]
    assert back(web.connect(closed_window_days=90)) == [None, None, 90 * DAY]
    assert back(type(web.connector)) == [None, None, 60 * DAY]


# Ignored filters


def test_old_rows_of_an_ignored_date_filter_are_dropped_and_never_the_end(
    web: HeadlessShop, caplog: pytest.LogCaptureFixture
) -> None:
    web.sandbox.page_quirks.add("ignored_filters")
    ids = list(orders_of(web))
    for place, order_id in enumerate(ids):
        orders_of(web)[order_id]["created_at"] = f"20{26 if place % 2 else 20}-09-{place + 1:02d}T00:00:00Z"
    web.sandbox.unknowns.oldest_first = True
    with caplog.at_level(logging.WARNING):
        done = pull_all(web.connect(page_limit=4), "new", Window(since=NOW - 300 * DAY, until=NOW))
    assert sorted(done.ids) == sorted(ids[1::2])
    assert "parameter=created_after" in caplog.text
    assert len(done.pages) == 6


# Rows


@pytest.mark.parametrize("detail, partial", [("auto", True), ("always", True)])
def test_rows_without_their_arrays_only_mark_the_order(detail: str, partial: bool) -> None:
    with headless_shop(list_expanded=False) as shop:
        shop.sandbox.seed_orders(5)
        done = pull_all(shop.connect(detail=detail), "new")
        assert [order.partial for order in done.orders] == [partial] * 5


def test_detail_always_trusts_no_row(web: HeadlessShop) -> None:
    assert all(order.partial for order in pull_all(web.connect(detail="always"), "new").orders)


def test_detail_never_is_an_error_where_rows_lack_their_arrays() -> None:
    with headless_shop(list_expanded=False) as shop:
        shop.sandbox.seed_orders(2)
        error = error_of(lambda: shop.connect(detail="never").pull("new", Window(), None))
        assert type(error) is ConfigError
        assert "detail: auto" in (error.next_step or "")


def test_a_null_array_is_not_loaded(web: HeadlessShop) -> None:
    orders_of(web)["ord_1001"]["refunds"] = None
    partial = {o.order_id: o.partial for o in pull_all(web.connector, "new").orders}
    assert [order_id for order_id, is_partial in partial.items() if is_partial] == ["ord_1001"]


@pytest.mark.parametrize(
    "row_id, said",
    [(None, "no id"), (17, "a number where its id"), ("", "blank text"), ([], "a list"), (True, "boolean")],
)
def test_a_row_without_an_id_is_told_and_the_others_go_on(web: HeadlessShop, row_id: Any, said: str) -> None:
    orders_of(web)["ord_1002"]["id"] = row_id
    web.sandbox.state.orders = {
        key: order for key, order in orders_of(web).items() if key in ("ord_1001", "ord_1002")
    }
    orders_of(web)["ord_1001"]["created_at"] = "2026-09-30T00:00:00Z"
    done = pull_all(web.connector, "new")
    assert done.ids == ["ord_1001"]
    [told] = done.unreadable
    assert said in told
    assert "@" not in told


def test_an_order_beyond_the_limit_is_named_with_its_size_and_the_others_go_on(web: HeadlessShop) -> None:
    orders_of(web)["ord_1004"]["note"] = "x" * (5 * 1024 * 1024)
    done = pull_all(web.connect(page_limit=10), "new")
    assert sorted(done.ids) == sorted(set(orders_of(web)) - {"ord_1004"})
    [told] = done.unreadable
    assert "ord_1004" in told
    assert str(MAX_ORDER_BYTES) in told
    assert len(told) < 200


def test_an_unknown_status_is_passed_on_for_the_mapping_to_judge(web: HeadlessShop) -> None:
    orders_of(web)["ord_1001"]["status"] = "on_hold"
    assert "ord_1001" in pull_all(web.connector, "new").ids


# Broken pages: an error, never the end


@pytest.mark.parametrize(
    "quirk, code",
    [
        ("repeat_cursor", "repeated_cursor"),
        ("circle", "repeated_cursor"),
        ("has_more_without_cursor", "no_cursor"),
        ("empty_page", "empty_page"),
        ("torn_page", "broken_json"),
    ],
)
@pytest.mark.parametrize("feed", ["new", "open", "closed"])
def test_a_list_that_breaks_its_promise_is_a_broken_answer(
    web: HeadlessShop, feed: str, quirk: Any, code: str
) -> None:
    web.sandbox.page_quirks.add(quirk)
    error = error_of(lambda: pull_all(web.connect(page_limit=2), feed), *web.secrets)
    assert (type(error), error.code, error.shop) == (BrokenAnswer, code, "web")


def test_going_on_after_the_last_id_is_a_setting(web: HeadlessShop) -> None:
    web.sandbox.page_quirks.add("has_more_without_cursor")
    done = pull_all(web.connect(page_limit=5, cursor_from_last_id=True), "new")
    assert sorted(done.ids) == sorted(orders_of(web))


@pytest.mark.parametrize(
    "body",
    [
        {"data": None, "has_more": False},
        {"data": {}, "has_more": False},
        {"data": []},
        {"data": [], "has_more": "no"},
        {"data": [], "has_more": False, "next_cursor": 7},
        {"orders": []},
        [],
        "<html>login</html>",
        "",
    ],
)
def test_an_envelope_of_another_form_is_a_broken_answer(
    web: HeadlessShop, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    from ordersync.testing.sandbox import Reply

    monkeypatch.setattr(web.sandbox, "_with_quirks", lambda *_: Reply(200, body))
    assert type(error_of(lambda: web.connector.pull("new", Window(), None))) is BrokenAnswer


@pytest.mark.parametrize("kind", ["500_before", "502_html", "cut_before", "torn_body", "429"])
def test_a_page_that_fails_twice_is_asked_for_again_and_nothing_is_lost(web: HeadlessShop, kind: Any) -> None:
    web.sandbox.add_fault(Fault(kind, times=2))
    assert sorted(pull_all(web.connect(page_limit=7), "new").ids) == sorted(orders_of(web))


def test_a_page_that_keeps_failing_is_no_end(web: HeadlessShop) -> None:
    connector = web.connect(page_limit=7)
    cursor = connector.pull("new", Window(), None).next_cursor
    web.sandbox.add_fault(Fault("500_before", times=99))
    assert type(error_of(lambda: connector.pull("new", Window(), cursor))) is Transient
    web.sandbox.clear_faults()
    assert len(pull_all(connector, "new", cursor=cursor).ids) == 16


def test_a_quota_slows_a_pass_down_and_loses_nothing(web: HeadlessShop) -> None:
    web.sandbox.quota_per_s, web.sandbox.quota_burst = 500.0, 2
    assert sorted(pull_all(web.connect(page_limit=3), "new").ids) == sorted(orders_of(web))


def test_a_cursor_the_platform_forgot_is_refused_for_the_engine_to_start_anew(web: HeadlessShop) -> None:
    error = error_of(lambda: web.connector.pull("new", Window(), '{"after":"ord_gone"}'))
    assert type(error) is Refused


@pytest.mark.parametrize("cursor", ["", "ord_1001", "[]", '{"page":2}', '{"after":7}'])
def test_a_stored_position_of_another_connector_is_a_configuration_error(web: HeadlessShop, cursor: str) -> None:
    error = error_of(lambda: web.connector.pull("new", Window(), cursor))
    assert (type(error), error.code) == (ConfigError, "bad_cursor")
    assert web.sandbox.requests() == []
