"""The feed `changed` of SHOPLINE where something between answers with the page of another window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from ordersync_connectors.shopline.rows import Listing
from ordersync_connectors.shopline.scan import ChangedScan, Counted, Limits

from ordersync.connector import Page, RawOrder, Window
from ordersync.errors import BrokenAnswer

NOW = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(since=NOW - 2 * DAY, until=NOW - DAY)


class Answers:
    """Lists the same rows whatever is asked."""

    def __init__(self, *moved_at: datetime) -> None:
        self._moved_at = moved_at

    def listing(self, first_s: int, last_s: int, *, hidden: bool) -> Listing:
        orders = tuple(
            RawOrder(order_id=f"2107684443705994937307{place:04}", payload=b"{}", sent_at=NOW)
            for place, _ in enumerate(self._moved_at)
        )
        return Listing(orders, (), None, self._moved_at, NOW)

    def follow(self, url: str) -> Listing:
        raise AssertionError("no page names a next one")

    def count(self, first_s: int, last_s: int, status: str) -> Counted:
        return Counted(None, NOW)


def first_page(*moved_at: datetime) -> Page:
    limits = Limits(page_limit=100, lag=timedelta(seconds=5), overlap=timedelta(minutes=10))
    return ChangedScan(Answers(*moved_at), limits, shop="asia").step(WINDOW, None)


INSIDE = NOW - 1.5 * DAY


@pytest.mark.parametrize(
    "moved_at",
    [
        [NOW - 3 * DAY],
        [INSIDE, NOW - 3 * DAY],
        [NOW - timedelta(hours=2)],
        [INSIDE, NOW - timedelta(hours=2)],
        [NOW - timedelta(minutes=1)],
        [INSIDE, NOW - timedelta(minutes=1), NOW - 3 * DAY],
    ],
    ids=["older", "one older", "newer", "one newer", "all just now", "one just now and one older"],
)
def test_rows_that_were_not_asked_for_are_a_broken_answer(moved_at: Sequence[datetime]) -> None:
    with pytest.raises(BrokenAnswer, match="outside the window asked for") as caught:
        first_page(*moved_at)
    assert caught.value.code == "outside_window"
    assert caught.value.shop == "asia"


@pytest.mark.parametrize(
    "moved_at",
    [
        [INSIDE],
        [NOW - 2 * DAY - timedelta(minutes=10)],
        [NOW - DAY + timedelta(milliseconds=999)],
        [INSIDE, NOW - timedelta(minutes=1)],
        [],
    ],
    ids=["inside", "in the overlap", "in the last second", "one touched just now", "none"],
)
def test_rows_that_were_asked_for_or_moved_since_are_taken(moved_at: Sequence[datetime]) -> None:
    page = first_page(*moved_at)
    assert len(page.orders) == len(moved_at)
    assert page.next_cursor is not None  # the passes over visible and archived orders follow
