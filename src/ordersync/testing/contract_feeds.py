"""Cases about feeds: a whole pass lists everything, whatever moves, breaks or repeats meanwhile."""

from __future__ import annotations

import contextlib
import itertools
from datetime import timedelta

import pytest

from ordersync.connector import Page, Window
from ordersync.errors import ConfigError, NotFound, OrdersyncError, Refused, Transient, Unauthorized, UsageError
from ordersync.testing.bench import CannotArrange
from ordersync.testing.contract_rig import MOST_PAGES, Elsewhere, Rig, proxy_answers, status_reply
from ordersync.testing.proxy import Turn
from ordersync.testing.sandbox import Fault, FaultKind, Reply, Request, SandboxServer

LASTING: tuple[FaultKind, ...] = ("429", "500_before", "502_html", "cut_before", "torn_body")
EARLIER = timedelta(minutes=30)
"""Between the orders of one window and the next: more than a feed's overlap."""
NO_PAGE = (b"", b"null", b"{}", b'"ok"', b"<html></html>", b'{"orders": [{"id": "1"')


def listed(pages: list[Page]) -> set[str]:
    return {raw.order_id for page in pages for raw in page.orders} | {x for page in pages for x in page.seen_ids}


class Feeds:
    """Part of ConnectorContract. "Whole" feeds are those whose finished pass lists every order placed."""

    @staticmethod
    def whole(rig: Rig) -> list[str]:
        return [feed.name for feed in rig.connector.feeds if feed.complete or feed.lists_open]

    @staticmethod
    def placed(rig: Rig, count: int | None = None) -> list[str]:
        """Orders for more than two pages."""
        wanted = 2 * rig.bench.page_size + 2 if count is None else count
        return [rig.bench.place(rig.bench.sale()) for _ in range(wanted)]

    def test_some_feed_lists_everything(self, rig: Rig) -> None:
        assert self.whole(rig)

    def test_a_pass_lists_every_order_and_writes_nothing(self, rig: Rig) -> None:
        placed = self.placed(rig)
        for feed in self.whole(rig):
            pages = list(rig.pages(feed))
            assert set(placed) <= listed(pages)
            assert len(pages) > 1, "the bench's pages are too large to see an edge"
        assert rig.proxy.writes == []

    def test_what_a_feed_brings_whole_can_be_understood(self, rig: Rig) -> None:
        self.placed(rig, 2)
        for feed in rig.connector.feeds:
            for page in rig.pages(feed.name):
                for raw in page.orders:
                    order = rig.normalise(raw)
                    assert order.order_id == raw.order_id
                    assert raw.partial or order.payments is not None

    def test_an_order_on_the_edge_of_a_page_is_listed(self, rig: Rig) -> None:
        """One page exactly, one more, and one less: the edges where an order is lost."""
        for count in (rig.bench.page_size - 1, rig.bench.page_size, rig.bench.page_size + 1):
            placed = self.placed(rig, count)
            for feed in self.whole(rig):
                assert set(placed) <= listed(list(rig.pages(feed))), f"{feed} with {count} more"

    def test_a_pass_goes_on_from_every_cursor_in_a_new_process(self, rig: Rig) -> None:
        placed = self.placed(rig)
        for feed in self.whole(rig):
            pages = list(rig.pages(feed))
            for done, page in enumerate(pages[:-1], 1):
                rest = list(rig.pages(feed, rig.another(), page.next_cursor))
                assert set(placed) <= listed(pages[:done]) | listed(rest)

    def test_orders_of_one_timestamp_are_all_listed(self, rig: Rig) -> None:
        placed = self.placed(rig)
        rig.bench.tie(placed)
        for feed in self.whole(rig):
            assert set(placed) <= listed(list(rig.pages(feed)))

    def test_orders_that_move_while_paging_cost_nobody_a_place(self, rig: Rig) -> None:
        """A cursor may stand on a row that moved: a connector then refuses it, and the pass begins again."""
        for feed in self.whole(rig):
            placed = self.placed(rig)
            movers = iter(placed)
            for _ in range(3):
                pages: list[Page] = []
                try:
                    for page in rig.pages(feed):
                        pages.append(page)
                        for order_id in itertools.islice(movers, 1):
                            rig.bench.move(order_id)
                    break
                except (Refused, NotFound, ConfigError):
                    continue
            assert set(placed) <= listed(pages)

    @proxy_answers
    @pytest.mark.parametrize("fault", LASTING)
    def test_a_page_that_fails_is_not_the_end(self, rig: Rig, fault: FaultKind) -> None:
        placed = self.placed(rig)
        for feed in self.whole(rig):
            first = next(rig.pages(feed))
            assert first.next_cursor is not None
            rig.proxy.add_fault(Fault(fault, times=999))
            error = rig.error(lambda feed=feed, at=first.next_cursor: rig.connector.pull(feed, rig.window, at))  # type: ignore[misc]  # bound per turn
            assert isinstance(error, Transient)
            rig.proxy.clear()
            rest = list(rig.pages(feed, cursor=first.next_cursor))
            assert set(placed) <= listed([first, *rest])

    @proxy_answers
    @pytest.mark.parametrize("body", NO_PAGE)
    def test_an_answer_that_is_no_page_is_not_the_end(self, rig: Rig, body: bytes) -> None:
        self.placed(rig)
        for feed in self.whole(rig):
            first = next(rig.pages(feed))
            rig.proxy.answer_with(200, body, times=999)
            for cursor in (None, first.next_cursor):
                error = rig.error(lambda feed=feed, at=cursor: rig.connector.pull(feed, rig.window, at))  # type: ignore[misc]  # bound per turn
                assert isinstance(error, Transient)
            rig.proxy.clear()

    @proxy_answers
    def test_a_page_that_repeats_for_ever_is_noticed(self, rig: Rig) -> None:
        placed = self.placed(rig)
        with contextlib.suppress(CannotArrange):
            rig.bench.tie(placed)  # a feed that cuts its window into pieces then has to page
        for feed in self.whole(rig):
            rig.proxy.clear()
            answers: list[Reply] = []

            def keep(_: Request, reply: Reply, answers: list[Reply] = answers) -> Reply:
                answers.append(reply)
                return reply

            rig.proxy.add_turn(Turn(after=keep, times=MOST_PAGES))
            pages = rig.pages(feed)
            # Pages before those with orders may rightly be the last of their kind.
            assert any(set(placed) & listed([page]) for page in pages)
            rig.proxy.clear()
            last = answers[-1]
            rig.proxy.add_turn(Turn(before=lambda _, last=last: last, times=99_999))  # type: ignore[misc]  # bound per turn
            with pytest.raises(OrdersyncError):
                list(pages)
            rig.proxy.clear()

    def test_a_page_of_another_window_is_not_the_end(self, rig: Rig) -> None:
        """A cache that takes two questions for one answers with orders of earlier days: those asked for are then
        missing, and nothing else says so."""
        placed = self.placed(rig, rig.bench.page_size - 1)
        dates = [order.updated_at or order.placed_at for order in map(rig.order, placed)]
        later = Window(since=max(date for date in dates if date is not None) + EARLIER)
        for feed in self.whole(rig):
            if next(known.lists_open for known in rig.connector.feeds if known.name == feed):
                continue  # it asks for no window
            answers: list[tuple[str, Reply]] = []

            def keep(request: Request, reply: Reply, answers: list[tuple[str, Reply]] = answers) -> Reply:
                answers.append((request.path, reply))
                return reply

            rig.proxy.add_turn(Turn(after=keep, times=MOST_PAGES))
            assert set(placed) <= listed(list(rig.pages(feed)))
            rig.proxy.clear()
            path, stale = next((path, reply) for path, reply in answers if placed[0].encode() in reply.body)
            rig.proxy.add_turn(Turn(before=lambda _, stale=stale: stale, path=f"{path}$", times=99_999))  # type: ignore[misc]  # bound per turn
            error = rig.error(lambda feed=feed: list(rig.pages(feed, window=later)))  # type: ignore[misc]  # bound per turn
            assert isinstance(error, Transient)
            rig.proxy.clear()

    @proxy_answers
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_ends_a_pass_as_that(self, rig: Rig, status: int) -> None:
        for feed in rig.connector.feeds:
            rig.proxy.add_turn(Turn(before=lambda _: status_reply(status, "no"), times=99))
            error = rig.error(lambda name=feed.name: rig.connector.pull(name, rig.window, None))  # type: ignore[misc]  # bound per turn
            assert isinstance(error, Unauthorized)
            rig.proxy.clear()

    @proxy_answers
    def test_a_redirect_to_another_host_ends_a_pass(self, rig: Rig) -> None:
        with SandboxServer(Elsewhere()) as elsewhere:
            there = elsewhere.origin.replace("127.0.0.1", "localhost")
            for feed in rig.connector.feeds:
                rig.proxy.answer_with(307, None, times=999, Location=f"{there}/taken")
                error = rig.error(lambda name=feed.name: rig.connector.pull(name, rig.window, None))  # type: ignore[misc]  # bound per turn
                assert isinstance(error, Transient)
                rig.proxy.clear()
            assert elsewhere.sandbox.log == []

    def test_a_feed_that_is_not_there_is_named(self, rig: Rig) -> None:
        error = rig.error(lambda: rig.connector.pull("no_such_feed", rig.window, None))
        assert isinstance(error, UsageError | ConfigError)
        assert "no_such_feed" in error.message
        assert rig.proxy.log == []
