"""The feed `changed` of SHOPLINE: windows, archived orders, rows that move while they are paged through, kills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from ordersync_connectors.shopline import ShoplineConnector
from ordersync_connectors.shopline.sandbox_state import Problem
from tests.contract.common import Pass, error_of, pull_all
from tests.contract.shopline_shop import NOW, ShoplineShop, shopline_shop

from ordersync.connector import Window
from ordersync.errors import BrokenAnswer, ConfigError, Transient
from ordersync.testing.sandbox import Reply, Request

DAY = timedelta(days=1)


@pytest.fixture
def shop() -> Iterator[ShoplineShop]:
    with shopline_shop() as shop:
        yield shop


def order_pages(shop: ShoplineShop) -> list[Request]:
    return [request for request in shop.sandbox.requests("GET") if request.path.endswith("/orders.json")]


def pull_into(done: Pass, connector: ShoplineConnector, window: Window) -> None:
    """As `pull_all`, but what came before an error is kept."""
    cursor: str | None = None
    while not done.pages or cursor is not None:
        page = connector.pull("changed", window, cursor)
        done.pages.append(page)
        done.orders.extend(page.orders)
        cursor = page.next_cursor


def test_every_order_of_the_window_comes_archived_or_not(shop: ShoplineShop) -> None:
    ids = shop.sandbox.seed_orders(60)
    assert sum(shop.sandbox.order(order_id)["hidden_order"] for order_id in ids) == 5

    done = pull_all(shop.connector, "changed", Window(since=NOW - 400 * DAY, until=NOW))

    assert set(done.ids) == set(ids)
    assert done.pages[0].total == 60
    assert done.pages[-1].covered_until == NOW


def test_archived_visible_archived_is_asked_in_this_order(shop: ShoplineShop) -> None:
    shop.sell()

    pull_all(shop.connector, "changed")

    assert [page.arg("hidden_order") for page in order_pages(shop)] == ["true", "false", "true"]
    for page in order_pages(shop):
        assert page.arg("status") == "any"
        assert page.arg("limit") == "100"
        assert page.arg("sort_condition") == "id:asc"
        assert page.arg("updated_at_max") == "2026-10-01T12:00:00Z"


@pytest.mark.parametrize("archiving_moves_updated_at", [False, True])
@pytest.mark.parametrize("to_archive", [False, True])
def test_an_order_archived_or_unarchived_between_the_passes_is_not_missed(
    to_archive: bool, archiving_moves_updated_at: bool
) -> None:
    with shopline_shop(archive_moves_updated_at=archiving_moves_updated_at) as shop:
        moved = shop.sell(at=NOW - DAY)
        if not to_archive:
            shop.sandbox.archive(moved)
        asked: list[str | None] = []

        def flip(request: Request) -> None:
            asked.append(request.arg("hidden_order"))
            if len(asked) == 2:
                shop.sandbox.archive(moved, hidden=to_archive)

        shop.sandbox.on_list = flip
        assert moved in pull_all(shop.connector, "changed", Window(since=NOW - 2 * DAY)).ids


def test_the_larger_half_is_read_once_when_most_orders_are_archived(shop: ShoplineShop) -> None:
    ids = [shop.sell(1001 + i, at=NOW - timedelta(hours=i)) for i in range(150)]
    for order_id in ids[:120]:
        shop.sandbox.archive(order_id)

    done = pull_all(shop.connector, "changed", Window(until=NOW))

    assert set(done.ids) == set(ids)
    assert len(done.ids) < 150 + 120
    passes = [page.arg("hidden_order") for page in order_pages(shop)]
    assert (passes[0], passes[-1]) == ("false", "false")


def test_a_window_is_cut_until_each_piece_fits_one_page(shop: ShoplineShop) -> None:
    """A burst in a quiet year: pieces shrink around it, and no piece is paged through."""
    quiet = [shop.sell(1000 + i, at=NOW - i * DAY) for i in range(1, 200)]
    burst = [shop.sell(5000 + i, at=NOW - 40 * DAY - timedelta(seconds=i // 3)) for i in range(400)]

    done = pull_all(shop.connector, "changed", Window(until=NOW))

    assert set(done.ids) == {*quiet, *burst}
    assert not any(page.arg("page_info") for page in order_pages(shop))


def test_history_costs_about_one_call_for_sixty_to_a_hundred_orders(shop: ShoplineShop) -> None:
    for i in range(3000):
        shop.sell(1001 + i, at=NOW - timedelta(minutes=37 * i))
    shop.sandbox.log.clear()

    done = pull_all(shop.connector, "changed", Window(since=NOW - timedelta(minutes=37 * 3000), until=NOW))

    calls = len(order_pages(shop))
    assert len(set(done.ids)) == 3000
    assert 3000 / 100 <= calls <= 3000 / 60 + 4
    assert len(shop.sandbox.requests("GET", "count.json")) <= 4
    assert len(done.ids) < 3000 * 1.05


def test_neighbouring_pieces_share_a_second_so_milliseconds_fall_into_no_gap() -> None:
    """Whether `updated_at_max` means the whole second is not documented: both ways nothing is missed."""
    with shopline_shop(filters_by_millisecond=True) as shop:
        ids = [shop.sell(1001 + i, at=NOW - timedelta(seconds=i, milliseconds=700)) for i in range(600)]

        assert set(pull_all(shop.connector, "changed", Window(until=NOW)).ids) == set(ids)
        pieces = [
            (page.arg("updated_at_min"), page.arg("updated_at_max"))
            for page in order_pages(shop)
            if page.arg("hidden_order") == "false"
        ]
        joined = [later[0] == earlier[1] for later, earlier in pairwise(pieces) if later != earlier]
        assert joined
        assert any(joined)


@pytest.mark.parametrize("paging", ["offset", "keyset"])
def test_more_orders_in_one_second_than_fit_a_page_are_paged_through_twice(paging: str) -> None:
    with shopline_shop(paging=paging) as shop:
        ids = [shop.sell(1001 + i, at=NOW - DAY) for i in range(250)]

        done = pull_all(shop.connector, "changed", Window(since=NOW - 2 * DAY))

        assert set(done.ids) == set(ids)
        second = "2026-09-30T12:00:00Z"
        rounds = [page for page in order_pages(shop) if page.arg("updated_at_max") == second]
        assert len(rounds) >= 2
        followed = [page for page in order_pages(shop) if page.arg("page_info")]
        assert (
            len(followed) == 8
        )  # this second lies in two pieces; each is two rounds of a first and two more pages
        assert all(not page.arg("updated_at_min") for page in followed)


def test_rows_that_leave_a_second_while_it_is_paged_through_hide_no_other(shop: ShoplineShop) -> None:
    """Order 1 is touched after page 1: with pages by offset, order 101 slips onto the page already read."""
    ids = [shop.sell(1001 + i, at=NOW - DAY) for i in range(250)]
    shop.sandbox.state.now = lambda: NOW + timedelta(minutes=1)

    def touch_once(request: Request) -> None:
        if request.arg("page_info") and shop.sandbox.order(ids[0])["updated_at"].startswith("2026-09-30"):
            shop.sandbox.touch(ids[0])

    shop.sandbox.on_list = touch_once
    done = pull_all(shop.connector, "changed", Window(since=NOW - 2 * DAY))

    assert set(done.ids) == set(ids)
    assert len([page for page in order_pages(shop) if page.arg("page_info")]) >= 6  # a third round was needed


def test_a_second_that_never_comes_to_rest_ends_with_an_error_and_goes_on_later(shop: ShoplineShop) -> None:
    ids = [shop.sell(1001 + i, at=NOW - DAY) for i in range(250)]
    left = iter(ids)

    def touch_always(request: Request) -> None:
        if request.arg("page_info"):
            shop.sandbox.touch(next(left))

    shop.sandbox.on_list = touch_always
    window = Window(since=NOW - 2 * DAY, until=NOW - DAY / 2)
    done = Pass()
    with pytest.raises(Transient) as moved:
        pull_into(done, shop.connector, window)
    assert moved.value.code == "rows_keep_moving"

    shop.sandbox.on_list = None
    again = pull_all(shop.connect(), "changed", window, done.pages[-1].next_cursor)
    assert {*done.ids, *again.ids} == set(ids)


def test_a_pull_killed_at_any_page_goes_on_there_and_ends_in_the_same_set(shop: ShoplineShop) -> None:
    """Cutting, archived orders and a full second, all in one window; each resume is a fresh process."""
    ids = [shop.sell(1001 + i, at=NOW - timedelta(minutes=3 * i)) for i in range(300)]
    ids += [shop.sell(3001 + i, at=NOW - timedelta(hours=7)) for i in range(130)]
    for order_id in ids[::9]:
        shop.sandbox.archive(order_id)
    window = Window(since=NOW - 2 * DAY, until=NOW)
    whole = pull_all(shop.connector, "changed", window)
    assert set(whole.ids) == set(ids)
    assert len(whole.pages) >= 12

    before: set[str] = set()
    for page in whole.pages[:-1]:
        before |= {order.order_id for order in page.orders}
        resumed = pull_all(shop.connect(), "changed", window, page.next_cursor)
        assert before | set(resumed.ids) == set(ids)
    cursors = [page.next_cursor for page in whole.pages]
    assert len(set(cursors)) == len(cursors)


def test_the_window_is_closed_by_the_platforms_clock_and_says_how_far_it_came(shop: ShoplineShop) -> None:
    """This machine names an end the platform has not reached: what comes until then belongs to the next pass."""
    shop.sell(at=NOW - DAY)
    connector = shop.connect(lag_seconds=7)

    done = pull_all(connector, "changed", Window(since=NOW - 2 * DAY, until=NOW + timedelta(hours=3)))

    assert done.pages[-1].covered_until == NOW - timedelta(seconds=7)
    assert all(page.covered_until is None for page in done.pages[:-1])
    ahead = pull_all(connector, "changed", Window(since=NOW + DAY, until=NOW + 2 * DAY))
    assert ahead.ids == []
    assert ahead.pages[-1].covered_until == NOW + DAY


def test_each_window_begins_before_the_last_one_ended(shop: ShoplineShop) -> None:
    late = shop.sell(at=NOW - timedelta(minutes=9))

    assert pull_all(shop.connector, "changed", Window(since=NOW)).ids == [late]
    assert pull_all(shop.connect(overlap_minutes=5), "changed", Window(since=NOW)).ids == []


def test_a_next_page_on_another_host_is_not_followed(shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(130):
        shop.sell(1001 + i, at=NOW - DAY)
    answered = shop.sandbox.answer

    def elsewhere(request: Request) -> tuple[Reply | None, str]:
        reply, how = answered(request)
        if reply is not None and "link" in reply.headers:
            reply.headers["link"] = reply.headers["link"].replace("127.0.0.1", "evil.example")
        return reply, how

    monkeypatch.setattr(shop.sandbox, "answer", elsewhere)
    refused = error_of(lambda: pull_all(shop.connector, "changed"), shop.sandbox.token)
    assert isinstance(refused, BrokenAnswer)
    assert refused.code == "another_host"


@pytest.mark.parametrize(
    "link, code",
    [
        ('<{own}>; rel="next"', "repeated_cursor"),
        ("no link at all", "broken_link"),
        ("<{own}>", "broken_link"),
        ('<>; rel="next"', "broken_link"),
    ],
)
def test_a_broken_or_circling_link_is_never_the_end(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch, link: str, code: str
) -> None:
    for i in range(130):
        shop.sell(1001 + i, at=NOW - DAY)
    answered = shop.sandbox.answer

    def bent(request: Request) -> tuple[Reply | None, str]:
        reply, how = answered(request)
        if reply is not None and "link" in reply.headers:
            reply.headers["link"] = link.format(own=f"{shop.server.base_url}/orders.json?limit=100&page_info=AA")
            if request.arg("page_info"):
                reply.status, reply.body = 200, {"orders": []}
        elif reply is not None and request.arg("page_info"):
            reply = Reply(
                200, {"orders": []}, {"link": f'<{shop.server.base_url}/orders.json?page_info=AA>; rel="next"'}
            )
            reply.headers["link"] = link.format(own=f"{shop.server.base_url}/orders.json?limit=100&page_info=AA")
        return reply, how

    monkeypatch.setattr(shop.sandbox, "answer", bent)
    broken = error_of(lambda: pull_all(shop.connector, "changed"))
    assert isinstance(broken, BrokenAnswer)
    assert broken.code == code


def test_a_full_page_whose_next_link_got_lost_is_noticed_by_the_count(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(130):
        shop.sell(1001 + i, at=NOW - DAY)
    answered = shop.sandbox.answer

    def without_link(request: Request) -> tuple[Reply | None, str]:
        reply, how = answered(request)
        if reply is not None:
            reply.headers.pop("link", None)
        return reply, how

    monkeypatch.setattr(shop.sandbox, "answer", without_link)
    lost = error_of(lambda: pull_all(shop.connector, "changed"))
    assert lost.code == "page_without_cursor"


def test_exactly_one_full_page_in_a_second_is_complete(shop: ShoplineShop) -> None:
    ids = [shop.sell(1001 + i, at=NOW - DAY) for i in range(100)]

    assert set(pull_all(shop.connector, "changed").ids) == set(ids)


def test_a_cursor_of_a_page_that_expired_starts_the_round_again(shop: ShoplineShop) -> None:
    ids = [shop.sell(1001 + i, at=NOW - DAY) for i in range(250)]
    expired: list[str] = []

    def expire_once(request: Request) -> None:
        if request.arg("page_info") and not expired:
            expired.append("once")
            raise Problem(400, "page_info is invalid")

    shop.sandbox.on_list = expire_once
    assert set(pull_all(shop.connector, "changed").ids) == set(ids)
    assert expired


def test_a_position_that_is_not_ours_is_named(shop: ShoplineShop) -> None:
    for cursor in ("", "null", "{}", '{"low":1}', "no json", '{"low":5,"high":9,"top":1,"width":1,"passes":"h"}'):
        if cursor:
            said = error_of(lambda at=cursor: shop.connector.pull("changed", Window(), at))  # type: ignore[misc]  # bound
            assert isinstance(said, ConfigError)
            assert said.code == "bad_cursor"
            assert said.next_step


def test_only_the_feed_there_is_can_be_pulled(shop: ShoplineShop) -> None:
    assert [feed.name for feed in ShoplineConnector.feeds] == ["changed"]
    assert error_of(lambda: shop.connector.pull("payments", Window(), None)).code == "no_such_feed"


def test_a_store_that_refuses_to_count_is_read_all_the_same(
    shop: ShoplineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [shop.sell(1001 + i, at=NOW - timedelta(minutes=i)) for i in range(230)]
    answered = shop.sandbox.answer

    def uncounted(request: Request) -> tuple[Reply | None, str]:
        if request.path.endswith("count.json"):
            return Reply(404, {"errors": "Not Found"}), "whole"
        return answered(request)

    monkeypatch.setattr(shop.sandbox, "answer", uncounted)
    done = pull_all(shop.connector, "changed", Window(since=NOW - DAY, until=NOW))
    assert set(done.ids) == set(ids)
    assert {page.total for page in done.pages} == {None}
