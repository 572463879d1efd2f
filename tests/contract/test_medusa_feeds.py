"""Medusa feeds against the sandbox: edges inside one timestamp, rows that move, resuming, ignored filters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from ordersync_connectors.medusa.sandbox import MedusaSandbox
from tests.contract.common import error_of, pull_all
from tests.contract.medusa_shop import NOW, MedusaShop, medusa_shop

from ordersync.connector import MAX_ORDER_BYTES, CancelRequest, Window
from ordersync.errors import BrokenAnswer, ConfigError, OrdersyncError, UsageError
from ordersync.testing.sales import sales
from ordersync.testing.sandbox import Fault, Reply, Request

FROM_THE_START = Window(since=NOW - timedelta(days=400))


@pytest.fixture
def office() -> Iterator[MedusaShop]:
    with medusa_shop() as shop:
        yield shop


@pytest.fixture(params=["medusa", "style"])
def either(request: pytest.FixtureRequest) -> Iterator[MedusaShop]:
    with medusa_shop(request.param) as shop:
        yield shop


# whole passes


def test_every_order_comes_once_and_whole(either: MedusaShop) -> None:
    ids = either.sandbox.seed_orders(43)
    done = pull_all(either.connector, "orders", FROM_THE_START)
    assert sorted(done.ids) == sorted(ids)
    assert not any(order.partial for order in done.orders)
    assert done.unreadable == []


def test_the_first_page_tells_the_platforms_own_count(office: MedusaShop) -> None:
    office.sandbox.seed_orders(12)
    totals = [page.total for page in pull_all(office.connector, "orders", FROM_THE_START).pages]
    assert totals == [12, None, None]


def test_an_empty_shop_ends_at_once(either: MedusaShop) -> None:
    assert [len(page.orders) for page in pull_all(either.connector, "orders").pages] == [0]


def test_draft_orders_never_appear(either: MedusaShop) -> None:
    either.sandbox.add_draft(next(sales(1, 1)))
    assert pull_all(either.connector, "orders", FROM_THE_START).ids == []


def test_the_pass_starts_at_the_watermark_less_the_overlap(office: MedusaShop) -> None:
    old, late, new = (office.sale(number) for number in range(3))
    old.updated_at = NOW - timedelta(minutes=2, milliseconds=1)
    late.updated_at = NOW - timedelta(minutes=2)
    new.updated_at = NOW
    assert pull_all(office.connector, "orders", Window(since=NOW)).ids == [late.id, new.id]
    assert office.sandbox.requests()[0].arg("updated_at[$gte]") == "2026-11-02T11:58:00.000Z"


def test_a_window_ends_where_it_says_and_does_not_read_on(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(40)
    until = office.sandbox.state.order(ids[9]).updated_at
    done = pull_all(office.connector, "orders", Window(since=FROM_THE_START.since, until=until))
    assert done.ids == ids[:10]
    assert len(done.pages) < 5


def test_a_window_that_ends_now_ends_at_the_platforms_now(office: MedusaShop) -> None:
    """Our clock may be minutes slow: what the platform did meanwhile must not wait for it."""
    order = office.sale()
    order.updated_at = NOW
    slow = Window(since=NOW - timedelta(days=1), until=NOW - timedelta(minutes=3))
    done = pull_all(office.connector, "orders", slow)
    assert done.ids == [order.id]
    assert (done.pages[0].total, done.pages[-1].covered_until) == (1, None)


def test_a_fast_clock_of_ours_does_not_move_the_watermark_past_the_platforms_now(office: MedusaShop) -> None:
    office.sandbox.seed_orders(8)
    fast = Window(since=NOW - timedelta(days=400), until=NOW + timedelta(hours=1))
    pages = pull_all(office.connector, "orders", fast).pages
    assert [page.covered_until for page in pages] == [None, NOW]


def test_a_checkout_that_never_became_an_order_is_no_unreadable_payment(office: MedusaShop) -> None:
    done, abandoned = office.sale(1), office.sale(2)
    dispatch = office.sandbox._dispatch

    def without_order(request: Request) -> Reply:
        reply = dispatch(request)
        for row in reply.body["payments"]:
            if row["id"] == abandoned.payments[0].id:
                row["payment_collection"].pop("order")
        return reply

    office.sandbox._dispatch = without_order  # type: ignore[method-assign]  # a state sales never have
    [page] = pull_all(office.connector, "payments", FROM_THE_START).pages
    assert (page.seen_ids, page.unreadable) == ((done.id,), ())


def test_the_dialect_is_read_whole_and_cut_to_the_window_here() -> None:
    with medusa_shop("style") as shop:
        ids = shop.sandbox.seed_orders(12)
        since = shop.sandbox.state.order(ids[4]).updated_at
        assert sorted(pull_all(shop.connector, "orders", Window(since=since)).ids) == sorted(ids[4:])


# equal timestamps


@pytest.mark.parametrize("before", range(6))
def test_equal_timestamps_across_a_page_edge_lose_nothing(office: MedusaShop, before: int) -> None:
    """Whatever the platform does with ties: the sandbox gives them in another order on every page."""
    single = [office.sale(100 + number) for number in range(before)]
    for number, order in enumerate(single):
        order.updated_at = NOW - timedelta(seconds=60 - number)
    tied = office.same_instant(4)
    after = office.sale(200)
    after.updated_at = NOW + timedelta(seconds=1)
    done = pull_all(office.connector, "orders", FROM_THE_START)
    assert sorted(done.ids) == sorted([*(order.id for order in single), *tied, after.id])


@pytest.mark.parametrize("count", [5, 6, 10, 23])
def test_whole_pages_of_one_timestamp_are_stepped_through(office: MedusaShop, count: int) -> None:
    tied = office.same_instant(count)
    last = office.sale(200)
    last.updated_at = NOW + timedelta(milliseconds=1)
    done = pull_all(office.connector, "orders", FROM_THE_START)
    assert sorted(done.ids) == sorted([*tied, last.id])


def test_payments_of_one_timestamp_are_stepped_through_too(office: MedusaShop) -> None:
    orders = [office.sale(number) for number in range(13)]
    for order in orders:
        order.payments[0].updated_at = NOW
    assert office.to_look_at(FROM_THE_START) == {order.id for order in orders}


def test_a_row_that_leaves_the_timestamp_meanwhile_costs_nobody_their_place(office: MedusaShop) -> None:
    tied = office.same_instant(14)
    page = office.connector.pull("orders", FROM_THE_START, None)
    brought = [order.order_id for order in page.orders]
    page = office.connector.pull("orders", FROM_THE_START, page.next_cursor)
    brought += [order.order_id for order in page.orders]
    first = min(tied)
    office.sandbox.refund(first, Decimal(1))
    assert page.next_cursor is not None
    brought += pull_all(office.connector, "orders", FROM_THE_START, page.next_cursor).ids
    assert set(brought) == tied
    assert brought.count(first) == 2


# rows that move


@pytest.mark.parametrize("move_after", range(1, 5))
def test_rows_that_move_while_paging_are_brought_again_and_hide_nobody(
    either: MedusaShop, move_after: int
) -> None:
    ids = either.sandbox.seed_orders(23)
    brought: list[str] = []
    cursor, pages = None, 0
    while True:
        page = either.connector.pull("orders", FROM_THE_START, cursor)
        brought += [order.order_id for order in page.orders]
        cursor, pages = page.next_cursor, pages + 1
        if cursor is None:
            break
        if pages == move_after:
            for order_id in ids[:3]:
                either.sandbox.state.update(order_id, {"metadata": {"moved": "yes"}})
            new = either.sale(900)
            new.updated_at = either.sandbox.state.now()
            ids.append(new.id)
    # The dialect is listed newest first here: what is placed behind the walk's back comes with the next pass.
    assert set(ids) - set(brought) <= ({ids[-1]} if either.sandbox.dialect == "style" else set())


def test_an_edge_taken_from_a_row_just_moved_is_given_back(office: MedusaShop) -> None:
    """A row that moves between the platform's sorting and its reading ends a page with a time far ahead."""
    ids = office.sandbox.seed_orders(20)
    moving = office.sandbox.state.order(ids[4])
    honest, ahead = moving.updated_at, NOW + timedelta(hours=1)
    dispatch = office.sandbox._dispatch

    def move_as_it_is_read(request: Request) -> Reply:
        reply = dispatch(request)
        for row in reply.body["orders"]:
            if row["id"] == moving.id and moving.updated_at == honest:
                row["updated_at"] = "2026-11-02T13:00:00.000Z"
        moving.updated_at = ahead
        return reply

    office.sandbox._dispatch = move_as_it_is_read  # type: ignore[method-assign]  # a race, on demand
    assert sorted(set(pull_all(office.connector, "orders", FROM_THE_START).ids)) == sorted(ids)


def test_resuming_from_any_cursor_brings_the_same_set(either: MedusaShop) -> None:
    ids = either.sandbox.seed_orders(18)
    tied = list(either.same_instant(12))
    window = FROM_THE_START
    whole = pull_all(either.connector, "orders", window)
    assert set(whole.ids) == {*ids, *tied}
    so_far: set[str] = set()
    for page in whole.pages[:-1]:
        so_far |= {order.order_id for order in page.orders}
        killed = either.connect()
        rest = pull_all(killed, "orders", window, page.next_cursor)
        assert so_far | set(rest.ids) == set(whole.ids)


def test_a_cursor_is_short_text_and_a_foreign_one_is_refused(office: MedusaShop) -> None:
    office.sandbox.seed_orders(12)
    cursor = office.connector.pull("orders", FROM_THE_START, None).next_cursor
    assert cursor is not None
    assert len(cursor) < 400
    error = error_of(lambda: office.connector.pull("orders", FROM_THE_START, "page=2"))
    assert (type(error), error.code) == (ConfigError, "bad_cursor")


def test_an_unknown_feed_is_named(either: MedusaShop) -> None:
    error = error_of(lambda: either.connector.pull("returns", Window(), None))
    assert (type(error), error.code) == (UsageError, "unknown_feed")


# a platform, or something before it, that ignores what it is asked


def ignoring(sandbox: MedusaSandbox, *names: str) -> None:
    """From now on the sandbox drops these query parameters, as a proxy or an older version might."""
    dispatch = sandbox._dispatch

    def without(request: Request) -> Reply:
        kept = tuple((name, value) for name, value in request.query if not name.startswith(names))
        return dispatch(Request(request.method, request.path, kept, request.headers, request.body, request.at))

    sandbox._dispatch = without  # type: ignore[method-assign]  # a proxy in front of the routes


@pytest.mark.parametrize("feed", ["orders", "payments"])
@pytest.mark.parametrize("names, code", [(("updated_at",), "filter_ignored"), (("order",), "order_ignored")])
def test_an_ignored_filter_or_sort_is_an_error_and_widens_nothing(
    office: MedusaShop, feed: str, names: tuple[str, ...], code: str
) -> None:
    orders = [office.sale(number) for number in range(9)]
    for number, order in enumerate(orders):
        order.updated_at = order.payments[0].updated_at = NOW - timedelta(minutes=10 * number)
    ignoring(office.sandbox, *names)
    error = error_of(lambda: office.connector.pull(feed, Window(since=NOW - timedelta(minutes=45)), None))
    assert (type(error), error.code) == (BrokenAnswer, code)


def test_an_ignored_id_filter_is_an_error(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(4)
    ignoring(office.sandbox, "id[]")
    error = error_of(lambda: office.connector.fetch_many(ids[:2]))
    assert (type(error), error.code) == (BrokenAnswer, "filter_ignored")


def test_an_ignored_page_size_still_reads_everything(office: MedusaShop) -> None:
    ids = office.sandbox.seed_orders(33)
    ignoring(office.sandbox, "limit")
    assert sorted(pull_all(office.connector, "orders", FROM_THE_START).ids) == sorted(ids)


@pytest.mark.parametrize("form", ["array", "envelope"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10, 31])
def test_the_dialect_is_read_whole_however_lists_are_wrapped(form: Any, count: int) -> None:
    with medusa_shop("style", list_form=form) as shop:
        ids = shop.sandbox.seed_orders(count)
        assert sorted(pull_all(shop.connector, "orders").ids) == sorted(ids)


@pytest.mark.parametrize("count", [1, 4, 6, 31])
def test_a_dialect_that_knows_no_paging_is_read_once(count: int) -> None:
    with medusa_shop("style", honours_paging=False) as shop:
        ids = shop.sandbox.seed_orders(count)
        assert sorted(pull_all(shop.connector, "orders").ids) == sorted(ids)
        assert len(shop.sandbox.requests()) == 2


def test_a_dialect_that_repeats_its_first_page_is_an_error_and_not_the_end() -> None:
    with medusa_shop("style") as shop:
        shop.sandbox.seed_orders(12)
        ignoring(shop.sandbox, "offset")
        error = error_of(lambda: pull_all(shop.connector, "orders"))
        assert (type(error), error.code) == (BrokenAnswer, "repeated_page")


def test_rows_that_vanish_from_the_dialects_list_hide_nobody() -> None:
    """What was read slides forward, the last row read included: the walk steps back."""
    with medusa_shop("style") as shop:
        ids = sorted(shop.sandbox.seed_orders(17), reverse=True)
        first = shop.connector.pull("orders", Window(), None)
        assert [order.order_id for order in first.orders] == ids[:5]
        for order_id in ids[2:5]:
            del shop.sandbox.state.orders[order_id]
        assert set(pull_all(shop.connector, "orders", cursor=first.next_cursor).ids) >= set(ids[5:])


def test_a_dialect_whose_list_never_holds_still_is_an_error() -> None:
    with medusa_shop("style") as shop:
        shop.sandbox.seed_orders(31)
        dispatch = shop.sandbox._dispatch

        def drop_the_last(request: Request) -> Reply:
            reply = dispatch(request)
            del shop.sandbox.state.orders[reply.body[-1]["id"]]
            shop.sale(len(shop.sandbox.log))
            return reply

        shop.sandbox._dispatch = drop_the_last  # type: ignore[method-assign]  # a list in constant motion
        error = error_of(lambda: pull_all(shop.connector, "orders"))
        assert (type(error), error.code) == (BrokenAnswer, "list_moved")


# poison


@pytest.mark.parametrize("kind", ["empty_200", "502_html", "torn_body", "cut_after"])
def test_a_failed_page_is_never_the_end(either: MedusaShop, kind: Any) -> None:
    either.sandbox.seed_orders(8)
    page = either.connector.pull("orders", FROM_THE_START, None)
    either.sandbox.add_fault(Fault(kind, "GET", "/admin/orders", times=99))
    error = error_of(lambda: either.connector.pull("orders", FROM_THE_START, page.next_cursor))
    assert isinstance(error, OrdersyncError)
    assert error.exit_code == 1
    either.sandbox.clear_faults()
    rest = pull_all(either.connector, "orders", FROM_THE_START, page.next_cursor)
    assert len({*(order.order_id for order in page.orders), *rest.ids}) == 8


def test_a_row_without_id_or_too_large_is_told_and_the_others_come(either: MedusaShop) -> None:
    orders = [either.sale(number) for number in range(4)]
    orders[1].metadata = {"note": "x" * MAX_ORDER_BYTES}
    nameless = orders[2]
    either.sandbox.state.orders[nameless.id] = nameless
    nameless.id = ""
    done = pull_all(either.connector, "orders", FROM_THE_START)
    assert sorted(done.ids) == sorted([orders[0].id, orders[3].id])
    assert any("has no id" in said for said in done.unreadable)
    assert any(orders[1].id in said and "bytes" in said for said in done.unreadable)
    assert not any("example.com" in said for said in done.unreadable)


def test_orders_keep_the_bytes_they_were_sent_with(office: MedusaShop) -> None:
    order = office.sale()
    order.items[0].unit_price = Decimal("15.084033613445378151")
    [row] = pull_all(office.connector, "orders", FROM_THE_START).orders
    assert b'"15.084033613445378151"' in row.payload


def test_a_cancel_seen_by_the_feed_carries_its_marker(office: MedusaShop) -> None:
    order = office.sale()
    office.connector.cancel(order.id, CancelRequest(), "key")
    [row] = pull_all(office.connector, "orders", Window(since=NOW)).orders
    assert b'"canceled_at":"2026-11-02T12:00:00' in row.payload
